# What optimizers read of a table of arrays; see array_table.pyx.

cdef class ArrayTable:
    cdef list _rows
    cdef readonly bint doubles    # float64, not float32
    cdef readonly Py_ssize_t size
    cdef Py_ssize_t columns
    cdef Py_ssize_t chunks
    cdef void** pointers          # (rows, columns)
    cdef Py_ssize_t* chunk        # (chunks, 3): row, first number, last number


cdef struct Chunk:
    # Some numbers of a row of a table.
    void** arrays                 # of the row
    Py_ssize_t row, first, last


cdef inline Chunk chunk_of(ArrayTable table, Py_ssize_t i) noexcept nogil:
    cdef Py_ssize_t* chunk = table.chunk + 3 * i
    return Chunk(table.pointers + table.columns * chunk[0], chunk[0], chunk[1], chunk[2])


cdef inline int check_columns(ArrayTable table, int columns, str what) except -1:
    """Raise a ValueError unless the rows are of so many arrays; an empty table has none."""
    if table.chunks and table.columns != columns:
        raise ValueError(f'expected rows of {what}, got rows of {table.columns} arrays')
    return 0


cdef inline int check_column(ArrayTable table, int column) except -1:
    if not 0 <= column < table.columns:
        raise ValueError(f'expected one of {table.columns} columns, got {column}')
    return 0
