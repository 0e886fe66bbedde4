# Random bits (splitmix64) that depend on a key and a place alone, not on what was drawn before.

from libc.stdint cimport uint64_t

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
