"""Helpers that the whole package uses: argument checks, arrays, windows, random generators, reprs."""
