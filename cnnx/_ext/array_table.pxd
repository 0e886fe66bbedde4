# What optimizers read of a table of arrays; see array_table.pyx.

cdef struct Chunk:
    # Some numbers of a row of a table.
    void** arrays                 # of the row
    Py_ssize_t row, first, last


cdef class ArrayTable:
    cdef list _rows
    cdef readonly bint doubles    # float64, not float32
    cdef readonly Py_ssize_t size
    cdef Py_ssize_t columns
    cdef Py_ssize_t count         # of chunks
    cdef Chunk* chunks
    cdef void** pointers          # (rows, columns)


cdef inline int check_columns(ArrayTable table, int columns, str what) except -1:
    """Raise a ValueError unless the rows are of so many arrays; an empty table has none."""
    if table.count and table.columns != columns:
        raise ValueError(f'expected rows of {what}, got rows of {table.columns} arrays')
    return 0


cdef inline int check_column(ArrayTable table, int column) except -1:
    if not 0 <= column < table.columns:
        raise ValueError(f'expected one of {table.columns} columns, got {column}')
    return 0
