"""The compiled kernels: one .pyx per operation, built once per processor tier into the folders beside it."""
