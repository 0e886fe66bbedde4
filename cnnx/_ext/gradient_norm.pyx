"""The sum of squares of gradients, for their norm."""

from cython.parallel cimport parallel, prange
from libc.stdlib cimport free

from cnnx._ext.inline.checks cimport check_threads
from cnnx._ext.inline.denormals cimport FpMode, flush_to_zero, restore_mode
from cnnx._ext.array_table cimport ArrayTable, Chunk, check_column
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.memory cimport room

cdef enum:
    SUMS = 16                     # that take turns: one would wait for itself


def sum_of_squares(ArrayTable table not None, int column, int num_threads) -> float:
    """Return the sum of the squares of all numbers of a column of a table, in double.

    Float32 cannot make it overflow. Chunks are added up in their order, whoever summed them.
    """
    cdef Py_ssize_t i
    cdef Chunk chunk
    cdef void* numbers
    cdef double total = 0
    check_threads(num_threads)
    check_column(table, column)
    cdef double* partial = <double*> room(table.count * sizeof(double))
    cdef FpMode mode = 0
    with nogil, parallel(num_threads=num_threads):
        mode = flush_to_zero()
        for i in prange(table.count, schedule='static'):
            chunk = table.chunks[i]
            numbers = chunk.arrays[column]
            if table.doubles:
                partial[i] = squares(<const double*> numbers, chunk.first, chunk.last)
            else:
                partial[i] = squares(<const float*> numbers, chunk.first, chunk.last)
        restore_mode(mode)
    for i in range(table.count):
        total += partial[i]
    free(partial)
    return total


cdef double squares(const floating* numbers, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef double[SUMS] sums
    cdef double number, total = 0
    cdef Py_ssize_t i, k
    for k in range(SUMS):
        sums[k] = 0
    while first + SUMS <= last:
        for k in range(SUMS):
            number = numbers[first + k]
            sums[k] += number * number
        first += SUMS
    for i in range(first, last):
        number = numbers[i]
        total += number * number
    for k in range(SUMS):
        total += sums[k]
    return total
