"""Batch normalization of each channel: statistics, forward pass, gradients.

Letters: M rows, one a sample or one a pixel of a sample; C channels.

Sums are made of tiles of rows, in double, and added up tile by tile, so the bits do not depend on the number
of threads. Where there are few channels, several rows are laid side by side and read as one of `width` numbers.
"""

from libc.math cimport sqrt
from libc.stdlib cimport free
from libc.string cimport memset
from cython.parallel cimport parallel, prange, threadid

from cnnx._ext.inline.checks cimport check_shape, check_threads
from cnnx._ext.inline.denormals cimport FpMode, flush_to_zero, restore_mode
from cnnx._ext.inline.memory cimport room
from cnnx._ext.inline.normalization cimport (
    add_tile_gradients, gradient_of_rows, join_statistics, normalize, tile_statistics, wide_row, widen_factors,
    widen_scales,
)
from cnnx._ext.inline.floating cimport floating

cdef enum:
    TILE = 8192                   # numbers to a tile that stays in the cache
    LEAST_ROWS = 64               # to a tile: partial sums take a small part of the batch's memory then


cdef struct Cut:
    Py_ssize_t C, rows, tile, tiles
    Py_ssize_t width              # numbers to a wide row, a multiple of C


cdef Cut cut_rows(Py_ssize_t M, Py_ssize_t C) noexcept nogil:
    cdef Cut cut
    cut.C, cut.rows = C, M
    cut.tile = max(LEAST_ROWS, TILE // max(C, 1))
    cut.tiles = (M + cut.tile - 1) // cut.tile
    cut.width = wide_row(C)
    return cut


cdef inline Py_ssize_t tile_size(const Cut* cut, Py_ssize_t tile) noexcept nogil:
    """Return how many numbers a tile holds."""
    return min(cut.tile, cut.rows - tile * cut.tile) * cut.C


# Sums


def batchnorm_statistics(
    const floating[:, ::1] x,                # IN   (M, C)
    floating[::1] mean,                      # OUT  (C)
    floating[::1] variance,                  # OUT  (C)
    int num_threads,
):
    """Mean and (biased) variance of each channel; zeros where there are no rows.

    Each tile has its own mean, and sum of squares around it, which are then put together.
    """
    cdef Cut cut = cut_rows(x.shape[0], x.shape[1])
    cdef Py_ssize_t tile, c, C = cut.C
    cdef double* partials
    cdef double* scratch
    check_threads(num_threads)
    check_shape('mean', mean.shape, (C,))
    check_shape('variance', variance.shape, (C,))
    mean[:] = 0
    variance[:] = 0
    if cut.rows == 0 or C == 0:
        return
    partials = <double*> room((2 * cut.tiles * C + 2 * num_threads * cut.width) * sizeof(double))
    scratch = partials + 2 * cut.tiles * C
    cdef FpMode mode = 0
    with nogil, parallel(num_threads=num_threads):
        mode = flush_to_zero()
        for tile in prange(cut.tiles, schedule='static'):
            tile_statistics(
                tile_size(&cut, tile), C, cut.width, &x[tile * cut.tile, 0], partials + 2 * tile * C,
                scratch + 2 * threadid() * cut.width)
        restore_mode(mode)
    for tile in range(1, cut.tiles):
        join_statistics(C, tile * cut.tile, partials, tile_size(&cut, tile) // C, partials + 2 * tile * C)
    for c in range(C):
        mean[c] = <floating> partials[c]
        variance[c] = <floating> (partials[C + c] / cut.rows)
    free(partials)


def batchnorm_backward_parameters(
    const floating[:, ::1] x,                # IN   (M, C)
    const floating[::1] mean,                # IN   (C)
    const floating[::1] variance,            # IN   (C)
    const floating[:, ::1] dy,               # IN   (M, C)
    floating[::1] dgamma,                    # OUT  (C)
    floating[::1] dbeta,                     # OUT  (C)
    double epsilon,
    int num_threads,
):
    """dgamma = sum of dy (x - mean) / sqrt(variance + epsilon); dbeta = sum of dy."""
    cdef Cut cut = cut_rows(x.shape[0], x.shape[1])
    cdef Py_ssize_t tile, c, C = cut.C
    cdef double product, gradient
    cdef double* partials
    cdef floating* means
    cdef double* scratch
    check_threads(num_threads)
    check_channels(x.shape, mean.shape, variance.shape, dgamma.shape, dbeta.shape)
    check_shape('dy', dy.shape, (x.shape[0], C))
    dgamma[:] = 0
    dbeta[:] = 0
    if cut.rows == 0 or C == 0:
        return
    partials = <double*> room((2 * cut.tiles * C + (2 * num_threads + 1) * cut.width) * sizeof(double))
    scratch = partials + 2 * cut.tiles * C
    means = <floating*> (scratch + 2 * num_threads * cut.width)
    memset(partials, 0, 2 * cut.tiles * C * sizeof(double))
    for c in range(cut.width):
        means[c] = mean[c % C]
    cdef FpMode mode = 0
    with nogil, parallel(num_threads=num_threads):
        mode = flush_to_zero()
        for tile in prange(cut.tiles, schedule='static'):
            add_tile_gradients(
                tile_size(&cut, tile), C, cut.width, &x[tile * cut.tile, 0], &dy[tile * cut.tile, 0],
                <const floating*> means, partials + 2 * tile * C, scratch + 2 * threadid() * cut.width)
        restore_mode(mode)
    for c in range(C):
        product, gradient = 0, 0
        for tile in range(cut.tiles):
            product += partials[2 * tile * C + c]
            gradient += partials[(2 * tile + 1) * C + c]
        dgamma[c] = <floating> (product / sqrt(variance[c] + epsilon))
        dbeta[c] = <floating> gradient
    free(partials)


cdef int check_channels(
    const Py_ssize_t* x, const Py_ssize_t* mean, const Py_ssize_t* variance,
    const Py_ssize_t* gamma, const Py_ssize_t* beta,
) except -1:
    check_shape('mean', mean, (x[1],))
    check_shape('variance', variance, (x[1],))
    check_shape('gamma', gamma, (x[1],))
    check_shape('beta', beta, (x[1],))
    return 0


# Row by row


def batchnorm_forward(
    const floating[:, ::1] x,                # IN   (M, C)
    const floating[::1] mean,                # IN   (C)
    const floating[::1] variance,            # IN   (C)
    const floating[::1] gamma,               # IN   (C)
    const floating[::1] beta,                # IN   (C)
    floating[:, ::1] y,                      # OUT  (M, C)
    double epsilon,
    int num_threads,
):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta."""
    cdef Cut cut = cut_rows(x.shape[0], x.shape[1])
    cdef Py_ssize_t tile
    cdef floating* wide
    check_threads(num_threads)
    check_channels(x.shape, mean.shape, variance.shape, gamma.shape, beta.shape)
    check_shape('y', y.shape, (x.shape[0], cut.C))
    if cut.rows == 0 or cut.C == 0:
        return
    wide = <floating*> room(3 * cut.width * sizeof(floating))
    widen_scales(cut.C, cut.width, &mean[0], &variance[0], &gamma[0], &beta[0], epsilon, wide)
    cdef FpMode mode = 0
    with nogil, parallel(num_threads=num_threads):
        mode = flush_to_zero()
        for tile in prange(cut.tiles, schedule='static'):
            normalize(
                tile_size(&cut, tile), cut.width, &x[tile * cut.tile, 0], <const floating*> wide,
                &y[tile * cut.tile, 0])
        restore_mode(mode)
    free(wide)


def batchnorm_backward_input(
    const floating[:, ::1] x,                # IN   (M, C)
    const floating[::1] mean,                # IN   (C)
    const floating[::1] variance,            # IN   (C)
    const floating[::1] gamma,               # IN   (C)
    const floating[:, ::1] dy,               # IN   (M, C)
    const floating[::1] dgamma,              # IN   (C)
    const floating[::1] dbeta,               # IN   (C)
    floating[:, ::1] dx,                     # OUT  (M, C)
    double epsilon,
    bint of_batch,
    int num_threads,
):
    """dx = gamma / sqrt(variance + epsilon) (dy - dbeta / M - normalized x dgamma / M).

    The two last terms are there where mean and variance are those of the batch, `of_batch`.
    """
    cdef Cut cut = cut_rows(x.shape[0], x.shape[1])
    cdef Py_ssize_t tile, C = cut.C, width = cut.width
    cdef floating* wide
    check_threads(num_threads)
    check_channels(x.shape, mean.shape, variance.shape, gamma.shape, dbeta.shape)
    check_shape('dgamma', dgamma.shape, (C,))
    check_shape('dy', dy.shape, (x.shape[0], C))
    check_shape('dx', dx.shape, (x.shape[0], C))
    if cut.rows == 0 or C == 0:
        return
    wide = <floating*> room(4 * width * sizeof(floating))
    widen_factors(
        C, width, cut.rows, &mean[0], &variance[0], &gamma[0], &dgamma[0], &dbeta[0], epsilon, wide)
    cdef FpMode mode = 0
    with nogil, parallel(num_threads=num_threads):
        mode = flush_to_zero()
        for tile in prange(cut.tiles, schedule='static'):
            gradient_of_rows(
                tile_size(&cut, tile), width, of_batch, &x[tile * cut.tile, 0], &dy[tile * cut.tile, 0],
                <const floating*> wide, &dx[tile * cut.tile, 0])
        restore_mode(mode)
    free(wide)
