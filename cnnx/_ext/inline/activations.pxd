# Activations of numbers that lie in a row, for the kernels and for blocks.

from libc.stddef cimport ptrdiff_t

from cnnx._ext.inline.floating cimport floating

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

    void activate_float(activation kind, ptrdiff_t size, const float* x, float* y, float slope)
    void activate_double(activation kind, ptrdiff_t size, const double* x, double* y, double slope)
    void activate_backward_float(
        activation kind, ptrdiff_t size, const float* known, const float* dy, float* dx, float slope)
    void activate_backward_double(
        activation kind, ptrdiff_t size, const double* known, const double* dy, double* dx, double slope)


cdef inline void activate(
    activation kind, Py_ssize_t size, const floating* x, floating* y, double slope,
) noexcept nogil:
    """y = the activation of x, which y may be; `slope` is that of LEAKY_RELU, and the alpha of ELU."""
    if floating is float:
        activate_float(kind, size, x, y, <float> slope)
    else:
        activate_double(kind, size, x, y, slope)


cdef inline void activate_backward(
    activation kind, Py_ssize_t size, const floating* known, const floating* dy, floating* dx, double slope,
) noexcept nogil:
    """dx from dy, which it may be, and from `known`: what `activate` gave; of SOFTPLUS and those after it, its x."""
    if floating is float:
        activate_backward_float(kind, size, known, dy, dx, <float> slope)
    else:
        activate_backward_double(kind, size, known, dy, dx, slope)
