"""Benchmarks: cnnx against PyTorch and others, by `python -m benchmarks`."""
