# Batch normalization of rows of channels, for the kernels and for the block. Letters: see normalization.pyx.

from libc.math cimport sqrt

from cnnx._ext.inline.floating cimport floating

cdef enum:
    WIDE = 64                     # numbers to a wide row, at least


cdef inline Py_ssize_t wide_row(Py_ssize_t C) noexcept nogil:
    """Return how many numbers are read as one row: some rows of C that lie side by side."""
    return max(<Py_ssize_t> WIDE // max(C, 1), 1) * C


cdef inline Py_ssize_t wide_rows(Py_ssize_t size, Py_ssize_t width) noexcept nogil:
    return (size + width - 1) // width


cdef inline void widen_scales(
    Py_ssize_t C, Py_ssize_t width,
    const floating* mean,                    # IN   (C)
    const floating* variance,                # IN   (C)
    const floating* gamma,                   # IN   (C)
    const floating* beta,                    # IN   (C)
    double epsilon,
    floating* wide,                          # OUT  (3, width) means, scales and betas
) noexcept nogil:
    cdef Py_ssize_t c
    for c in range(width):
        wide[c] = mean[c % C]
        wide[width + c] = <floating> (gamma[c % C] / sqrt(variance[c % C] + epsilon))
        wide[2 * width + c] = beta[c % C]


cdef inline void normalize(
    Py_ssize_t size, Py_ssize_t width,
    const floating* x,                       # IN   (size) rows of C
    const floating* wide,                    # IN   (3, width) what `widen_scales` writes
    floating* y,                             # OUT  (size), may be x
) noexcept nogil:
    cdef const floating* scales = wide + width
    cdef const floating* betas = wide + 2 * width
    cdef Py_ssize_t row, first, i
    for row in range(wide_rows(size, width)):
        first = row * width
        for i in range(min(width, size - first)):
            y[first + i] = (x[first + i] - wide[i]) * scales[i] + betas[i]
