"""Peak speed: how many multiply-adds a second the processor does. The profiler gives speeds as a fraction of it."""

from cython.parallel cimport prange

from cnnx._ext.inline.checks cimport check_threads

cdef extern from "simd/peak_speed.h" nogil:
    int SUMS
    int LANES_FLOAT
    float multiply_add(Py_ssize_t rounds, float start)


def multiply_adds(Py_ssize_t count, int num_threads) -> int:
    """Do about `count` multiply-adds of float32 numbers on each thread, in registers; return how many in all."""
    cdef int _thread
    cdef Py_ssize_t rounds = count // (SUMS * LANES_FLOAT) + 1
    cdef float total = 0
    check_threads(num_threads)
    for _thread in prange(num_threads, num_threads=num_threads, nogil=True, schedule='static'):
        total += multiply_add(rounds, 0.5)
    return rounds * SUMS * LANES_FLOAT * num_threads if total > 0 else 0
