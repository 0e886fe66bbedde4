# Batch normalization of rows of channels, for the kernels and for the blocks. Letters: see normalization.pyx.

from libc.math cimport sqrt
from libc.string cimport memset

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


cdef inline void fold(Py_ssize_t C, Py_ssize_t width, double* wide) noexcept nogil:
    """Add up the rows that lie side by side in a wide row of sums, into its first C numbers."""
    cdef Py_ssize_t row, c
    for row in range(1, width // C):
        for c in range(C):
            wide[c] += wide[row * C + c]


cdef inline void tile_statistics(
    Py_ssize_t size, Py_ssize_t C, Py_ssize_t width,
    const floating* x,                       # IN       (size) a tile of rows
    double* partial,                         # OUT      (2, C) means, and sums of squares around them
    double* scratch,                         # SCRATCH  (2, width)
) noexcept nogil:
    cdef Py_ssize_t row, first, i
    cdef double rows = size // C
    cdef double* sums = scratch
    cdef double* means = scratch + width
    cdef double distance
    memset(sums, 0, width * sizeof(double))
    for row in range(wide_rows(size, width)):
        first = row * width
        for i in range(min(width, size - first)):
            sums[i] += x[first + i]
    fold(C, width, sums)
    for i in range(C):
        partial[i] = sums[i] / rows
    for i in range(width):
        means[i] = partial[i % C]
    memset(sums, 0, width * sizeof(double))
    for row in range(wide_rows(size, width)):
        first = row * width
        for i in range(min(width, size - first)):
            distance = x[first + i] - means[i]
            sums[i] += distance * distance
    fold(C, width, sums)
    for i in range(C):
        partial[C + i] = sums[i]


cdef inline void join_statistics(
    Py_ssize_t C, double before,
    double* statistics,                      # IN, OUT  (2, C) of so many rows, before this
    double rows,
    const double* partial,                   # IN       (2, C) of some more rows
) noexcept nogil:
    """Put the means and sums of squares of two sets of rows together.

    Source: Chan, Golub and LeVeque, "Algorithms for computing the sample variance", 1983.
    """
    cdef double fraction = rows / (before + rows), distance
    cdef Py_ssize_t c
    for c in range(C):
        distance = partial[c] - statistics[c]
        statistics[c] += distance * fraction
        statistics[C + c] += partial[C + c] + distance * distance * before * fraction


cdef inline void add_tile_gradients(
    Py_ssize_t size, Py_ssize_t C, Py_ssize_t width,
    const floating* x,                       # IN       (size) a tile of rows
    const floating* dy,                      # IN       (size)
    const floating* means,                   # IN       (width)
    double* partial,                         # IN, OUT  (2, C) sums of dy (x - mean), and of dy, added to
    double* scratch,                         # SCRATCH  (2, width)
) noexcept nogil:
    cdef Py_ssize_t row, first, i
    cdef double* products = scratch
    cdef double* gradients = scratch + width
    cdef double gradient
    memset(scratch, 0, 2 * width * sizeof(double))
    for row in range(wide_rows(size, width)):
        first = row * width
        for i in range(min(width, size - first)):
            gradient = dy[first + i]
            products[i] += gradient * (x[first + i] - <double> means[i])
            gradients[i] += gradient
    fold(C, width, products)
    fold(C, width, gradients)
    for i in range(C):
        partial[i] += products[i]
        partial[C + i] += gradients[i]


cdef inline void widen_factors(
    Py_ssize_t C, Py_ssize_t width, Py_ssize_t rows,
    const floating* mean,                    # IN   (C)
    const floating* variance,                # IN   (C)
    const floating* gamma,                   # IN   (C)
    const floating* dgamma,                  # IN   (C)
    const floating* dbeta,                   # IN   (C)
    double epsilon,
    floating* wide,                          # OUT  (4, width) means, scales, and what the gradients of mean and
                                             #      variance take off: shifts, and factors of x - mean
) noexcept nogil:
    cdef Py_ssize_t c
    cdef double root
    for c in range(width):
        root = sqrt(variance[c % C] + epsilon)
        wide[c] = mean[c % C]
        wide[width + c] = <floating> (gamma[c % C] / root)
        wide[2 * width + c] = <floating> (dbeta[c % C] / <double> rows)
        wide[3 * width + c] = <floating> (dgamma[c % C] / root / rows)


cdef inline void gradient_of_rows(
    Py_ssize_t size, Py_ssize_t width, bint of_batch,
    const floating* x,                       # IN   (size) rows of C
    const floating* dy,                      # IN   (size)
    const floating* wide,                    # IN   (4, width) what `widen_factors` writes
    floating* dx,                            # OUT  (size), may be dy
) noexcept nogil:
    cdef const floating* scales = wide + width
    cdef const floating* shifts = wide + 2 * width
    cdef const floating* factors = wide + 3 * width
    cdef Py_ssize_t row, first, i
    for row in range(wide_rows(size, width)):
        first = row * width
        if of_batch:
            for i in range(min(width, size - first)):
                dx[first + i] = scales[i] * (dy[first + i] - shifts[i] - (x[first + i] - wide[i]) * factors[i])
        else:
            for i in range(min(width, size - first)):
                dx[first + i] = scales[i] * dy[first + i]
