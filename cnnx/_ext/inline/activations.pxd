# Activations of numbers that lie in a row, for the kernels and for blocks.

from libc.stddef cimport ptrdiff_t

cdef extern from "simd/activations.h" nogil:
    enum activation:
        RELU
        LEAKY_RELU
        SIGMOID
        TANH
        ELU
        SOFTPLUS
        SILU
        GELU
        HARD_SWISH

    # y = the activation of x, which y may be; `slope` is that of LEAKY_RELU, and the alpha of ELU.
    void activate(activation kind, ptrdiff_t size, const void* x, void* y, double slope)
    # dx from dy, which it may be, and from `known`: what `activate` gave; of SOFTPLUS and those after it, its x.
    void activate_backward(
        activation kind, ptrdiff_t size, const void* known, const void* dy, void* dx, double slope)
