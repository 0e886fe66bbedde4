"""Diagnostics: doctor, gradient check, learning-rate finder, profiler, backend comparison, classification report."""
