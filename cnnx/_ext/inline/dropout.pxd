# Dropout of numbers that lie in a row, for the kernels and for the block.

from libc.stdint cimport uint64_t

from cnnx._ext.inline.random_bits cimport random_bits
from cnnx._ext.inline.floating cimport floating


cdef inline int check_rate(double rate) except -1:
    if not 0 <= rate < 1:
        raise ValueError(f'rate: expected at least 0 and less than 1, got {rate}')
    return 0


cdef inline void drop(
    Py_ssize_t size, const floating* x, floating* y, uint64_t key, uint64_t first, double rate,
) noexcept nogil:
    """y = 0 with probability `rate`, else x / (1 - rate), for the numbers from place `first` on; y may be x."""
    cdef uint64_t threshold = <uint64_t> (rate * 2.0 ** 64)
    cdef floating scale = <floating> (1 / (1 - rate)), kept
    cdef Py_ssize_t i
    for i in range(size):
        kept = scale * x[i]
        y[i] = 0 if random_bits(key, first + i) < threshold else kept
