# Rows of arrays of one length; see table.pyx.

cdef class ArrayTable:
    cdef list _rows
    cdef readonly bint doubles    # float64, not float32
    cdef readonly Py_ssize_t size
    cdef Py_ssize_t columns
    cdef Py_ssize_t chunks
    cdef void** pointers          # (rows, columns)
    cdef Py_ssize_t* chunk        # (chunks, 3): row, first number, last number
