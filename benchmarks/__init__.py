"""Benchmarks of cnnx against its peers, in one run: `python -m benchmarks`."""
