# Dropout of numbers that lie in a row, for the kernels and for the block.

from libc.stdint cimport uint64_t

from cnnx._ext.real cimport floating

cdef extern from *:
    """
    #define SPLITMIX_STEP 0x9E3779B97F4A7C15ULL
    #define SPLITMIX_FIRST 0xBF58476D1CE4E5B9ULL
    #define SPLITMIX_SECOND 0x94D049BB133111EBULL
    """
    const uint64_t SPLITMIX_STEP
    const uint64_t SPLITMIX_FIRST
    const uint64_t SPLITMIX_SECOND


cdef inline uint64_t random_bits(uint64_t key, uint64_t i) noexcept nogil:
    """Return what the generator splitmix64, seeded with `key`, gives at its i-th call.

    Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014, with the
    constants of Vigna's splitmix64.c.
    """
    cdef uint64_t z = key + (i + 1) * SPLITMIX_STEP
    z = (z ^ (z >> 30)) * SPLITMIX_FIRST
    z = (z ^ (z >> 27)) * SPLITMIX_SECOND
    return z ^ (z >> 31)


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
