"""Check that gradients are finite."""

from cython.parallel cimport prange
from libc.stdint cimport uint32_t, uint64_t

from cnnx._ext.inline.checks cimport check_threads
from cnnx._ext.array_table cimport ArrayTable, Chunk, check_column

cdef enum:
    FLOAT_EXPONENT = 0x7F800000

cdef extern from *:
    """
    #define DOUBLE_EXPONENT 0x7FF0000000000000ULL
    """
    const uint64_t DOUBLE_EXPONENT


def all_finite(ArrayTable table not None, int column, int num_threads) -> bool:
    """Return whether all numbers of a column of a table are finite: neither NaN nor infinite.

    Those that are not have all bits of the exponent set: but for the sign, they are the largest as integers.
    """
    cdef Py_ssize_t i
    cdef Chunk chunk
    cdef void* numbers
    cdef int others = 0
    check_threads(num_threads)
    check_column(table, column)
    for i in prange(table.count, num_threads=num_threads, nogil=True, schedule='static'):
        chunk = table.chunks[i]
        numbers = chunk.arrays[column]
        others |= (
            doubles_not_finite(<const uint64_t*> numbers, chunk.first, chunk.last)
            if table.doubles
            else floats_not_finite(<const uint32_t*> numbers, chunk.first, chunk.last)
        )
    return not others


cdef int floats_not_finite(const uint32_t* bits, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef uint32_t found = 0
    cdef Py_ssize_t i
    for i in range(first, last):
        found = max(found, bits[i] & <uint32_t> 0x7FFFFFFF)
    return found >= <uint32_t> FLOAT_EXPONENT


cdef int doubles_not_finite(const uint64_t* bits, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef uint64_t found = 0
    cdef Py_ssize_t i
    for i in range(first, last):
        found = max(found, bits[i] & <uint64_t> 0x7FFFFFFFFFFFFFFF)
    return found >= DOUBLE_EXPONENT
