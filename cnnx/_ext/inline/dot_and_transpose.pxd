# Dot products, and transposed matrices.

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int32_t

from cnnx._ext.inline.floating cimport floating

cdef extern from "simd/dot_product.h" nogil:
    float dot_float(ptrdiff_t size, const float* a, const float* b)
    double dot_double(ptrdiff_t size, const double* a, const double* b)

    void dots_float(
        ptrdiff_t rows, ptrdiff_t size, const float* a, ptrdiff_t row, const float* b, float* y)
    void dots_double(
        ptrdiff_t rows, ptrdiff_t size, const double* a, ptrdiff_t row, const double* b, double* y)

cdef extern from "simd/transpose.h" nogil:
    void transpose_float(
        ptrdiff_t rows, ptrdiff_t columns, const float* matrix, ptrdiff_t row, float* to, ptrdiff_t to_row)
    void transpose_double(
        ptrdiff_t rows, ptrdiff_t columns, const double* matrix, ptrdiff_t row, double* to, ptrdiff_t to_row)
    void transpose_integers(
        ptrdiff_t rows, ptrdiff_t columns, const int32_t* matrix, ptrdiff_t row, int32_t* to, ptrdiff_t to_row)


cdef inline floating dot(Py_ssize_t size, const floating* a, const floating* b) noexcept nogil:
    """Return the sum of a[i] b[i]; where b is NULL, of a[i]."""
    if floating is float:
        return dot_float(size, a, b)
    else:
        return dot_double(size, a, b)


cdef inline void dots(
    Py_ssize_t rows, Py_ssize_t size, const floating* a, Py_ssize_t row, const floating* b, floating* y,
) noexcept nogil:
    """y[r] = the sum of a[r * row + i] b[i]."""
    if floating is float:
        dots_float(rows, size, a, row, b, y)
    else:
        dots_double(rows, size, a, row, b, y)


cdef inline void transpose(
    Py_ssize_t rows, Py_ssize_t columns,
    const floating* matrix, Py_ssize_t row,   # IN   (rows, columns), rows that far apart
    floating* to, Py_ssize_t to_row,          # OUT  (columns, rows)
) noexcept nogil:
    if floating is float:
        transpose_float(rows, columns, matrix, row, to, to_row)
    else:
        transpose_double(rows, columns, matrix, row, to, to_row)
