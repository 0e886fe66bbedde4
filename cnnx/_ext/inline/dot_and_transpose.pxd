# Dot products, and transposed matrices.

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int32_t

cdef extern from "simd/dot_product.h" nogil:
    # The sum of a[i] b[i]; where b is NULL, of a[i].
    double dot(ptrdiff_t size, const void* a, const void* b)
    # y[r] = the sum of a[r * row + i] b[i].
    void dots(ptrdiff_t rows, ptrdiff_t size, const void* a, ptrdiff_t row, const void* b, void* y)

cdef extern from "simd/transpose.h" nogil:
    # (rows, columns), rows `row` apart, becomes (columns, rows), rows `to_row` apart.
    void transpose(
        ptrdiff_t rows, ptrdiff_t columns, const void* matrix, ptrdiff_t row, void* to, ptrdiff_t to_row)
    void transpose_integers(
        ptrdiff_t rows, ptrdiff_t columns, const int32_t* matrix, ptrdiff_t row, int32_t* to, ptrdiff_t to_row)
