"""Dropout: which numbers are dropped is told by a key and their place alone, so no mask is kept."""

from libc.stdint cimport uint64_t
from cython.parallel cimport prange

from cnnx._ext.checks cimport check_threads, check_vector
from cnnx._ext.random cimport random_bits
from cnnx._ext.real cimport floating


cdef int drop(const floating[::1] x, floating[::1] y, uint64_t key, double rate, int num_threads) except -1:
    """y = 0 with probability `rate`, else x / (1 - rate)."""
    cdef uint64_t threshold
    cdef floating scale, kept
    cdef Py_ssize_t i
    if not 0 <= rate < 1:
        raise ValueError(f'rate: expected at least 0 and less than 1, got {rate}')
    threshold, scale = <uint64_t> (rate * 2.0 ** 64), <floating> (1 / (1 - rate))
    for i in prange(x.shape[0], num_threads=num_threads, nogil=True, schedule='static'):
        kept = scale * x[i]
        y[i] = 0 if random_bits(key, i) < threshold else kept
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
    check_vector('y', y.shape, x.shape[0])
    drop(x, y, key, rate, num_threads)


def dropout_backward(
    const floating[::1] dy,                  # IN   (size)
    floating[::1] dx,                        # OUT  (size)
    uint64_t key,
    double rate,
    int num_threads,
):
    """dx = 0 where dropout_forward dropped under this key, else dy / (1 - rate)."""
    check_threads(num_threads)
    check_vector('dx', dx.shape, dy.shape[0])
    drop(dy, dx, key, rate, num_threads)
