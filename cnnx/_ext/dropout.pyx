"""Dropout: the random bits follow from a key and the position of a number, so no mask is stored."""

from libc.stdint cimport uint64_t
from cython.parallel cimport parallel, prange

from cnnx._ext.inline.checks cimport check_shape, check_threads
from cnnx._ext.inline.denormals cimport FpMode, flush_to_zero, restore_mode
from cnnx._ext.inline.dropout cimport check_rate, drop
from cnnx._ext.inline.floating cimport floating

cdef enum:
    PART = 4096                   # numbers that a thread takes at a time


cdef int drop_in_parts(const floating[::1] x, floating[::1] y, uint64_t key, double rate, int num_threads) except -1:
    cdef Py_ssize_t size = x.shape[0], part
    check_rate(rate)
    cdef FpMode mode = 0
    with nogil, parallel(num_threads=num_threads):
        mode = flush_to_zero()
        for part in prange((size + PART - 1) // PART, schedule='static'):
            drop(min(<Py_ssize_t> PART, size - part * PART), &x[part * PART], &y[part * PART], key, part * PART, rate)
        restore_mode(mode)
    return 0


def dropout_forward(
    const floating[::1] x,                   # IN   (size)
    floating[::1] y,                         # OUT  (size)
    uint64_t key,
    double rate,
    int num_threads,
):
    """y = 0 with probability `rate`, else x / (1 - rate)."""
    check_threads(num_threads)
    check_shape('y', y.shape, (x.shape[0],))
    drop_in_parts(x, y, key, rate, num_threads)


def dropout_backward(
    const floating[::1] dy,                  # IN   (size)
    floating[::1] dx,                        # OUT  (size)
    uint64_t key,
    double rate,
    int num_threads,
):
    """dx = 0 where dropout_forward dropped under this key, else dy / (1 - rate)."""
    check_threads(num_threads)
    check_shape('dx', dx.shape, (dy.shape[0],))
    drop_in_parts(dy, dx, key, rate, num_threads)
