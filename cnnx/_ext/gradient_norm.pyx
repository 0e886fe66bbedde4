"""The sum of squares of gradients, for their norm."""

from cython.parallel cimport parallel, prange
from libc.stddef cimport ptrdiff_t
from libc.stdlib cimport free, malloc

from cnnx._ext.inline.checks cimport check_threads
from cnnx._ext.inline.denormals cimport FpMode, flush_to_zero, restore_mode
from cnnx._ext.array_table cimport ArrayTable, check_column

cdef extern from "simd/sum_of_squares.h" nogil:
    double squares(ptrdiff_t size, const void* a)


def sum_of_squares(ArrayTable table not None, int column, int num_threads) -> float:
    """Return the sum of the squares of all numbers of a column of a table, in double.

    Float32 cannot make it overflow. Chunks are added up in their order, whoever summed them.
    """
    cdef Py_ssize_t i
    cdef Py_ssize_t* chunk
    cdef void* numbers
    cdef double total = 0
    check_threads(num_threads)
    check_column(table, column)
    cdef double* partial = <double*> malloc(max(1, table.chunks) * sizeof(double))
    if partial == NULL:
        raise MemoryError('no memory for the sums of chunks')
    cdef FpMode mode = 0
    with nogil, parallel(num_threads=num_threads):
        mode = flush_to_zero()
        for i in prange(table.chunks, schedule='static'):
            chunk = table.chunk + 3 * i
            numbers = table.pointers[chunk[0] * table.columns + column]
            if table.doubles:
                partial[i] = squares(chunk[2] - chunk[1], <const double*> numbers + chunk[1])
            else:
                partial[i] = squares(chunk[2] - chunk[1], <const float*> numbers + chunk[1])
        restore_mode(mode)
    for i in range(table.chunks):
        total += partial[i]
    free(partial)
    return total
