"""Check that gradients are finite."""

from cython.parallel cimport prange

from cnnx._ext.inline.checks cimport check_threads
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.array_table cimport ArrayTable, Chunk, check_column


def all_finite(ArrayTable table not None, int column, int num_threads) -> bool:
    """Return whether all numbers of a column of a table are finite: neither NaN nor infinite."""
    cdef Py_ssize_t i
    cdef Chunk chunk
    cdef int others = 0
    check_threads(num_threads)
    check_column(table, column)
    for i in prange(table.count, num_threads=num_threads, nogil=True, schedule='static'):
        chunk = table.chunks[i]
        others |= (
            not_finite(<const double*> chunk.arrays[column], chunk.first, chunk.last)
            if table.doubles
            else not_finite(<const float*> chunk.arrays[column], chunk.first, chunk.last)
        )
    return not others


cdef int not_finite(const floating* numbers, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """Whether a number less itself is not 0."""
    cdef int found = 0
    cdef Py_ssize_t i
    for i in range(first, last):
        found |= numbers[i] - numbers[i] != 0
    return found
