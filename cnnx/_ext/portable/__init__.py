"""The kernels compiled for any processor of the platform, where that is not x86-64."""
