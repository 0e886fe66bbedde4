"""Tables of arrays: parameters, gradients and state that an optimizer updates in one call."""

from libc.stdlib cimport free, malloc

from cnnx._ext.inline.array_pointer cimport pointer_to

cdef enum:
    CHUNK = 4096                  # numbers that one thread takes at a time


cdef int check_rows(list rows) except -1:
    """Raise a ValueError unless all rows are of as many arrays, of one length each, and of one float dtype."""
    first = rows[0] if rows else ()
    for row in rows:
        if len(row) != len(first) or len(row) < 1:
            raise ValueError(f'expected rows of {max(len(first), 1)} arrays, got one of {len(row)}')
        for array in row:
            if array.shape != (row[0].size,) or array.dtype != first[0].dtype or not array.flags.carray:
                raise ValueError(
                    f'expected arrays to write to, contiguous and aligned, of shape ({row[0].size},) '
                    f'and dtype {first[0].dtype}, '
                    f'got {array.shape} and {array.dtype}')
    if first and first[0].dtype not in ('float32', 'float64'):
        raise ValueError(f'expected arrays of float32 or float64, got {first[0].dtype}')
    return 0


cdef class ArrayTable:
    """Rows of arrays: the arrays of a row have one length, all arrays one dtype.

    Args:
        rows: tuples of contiguous arrays, such as (value, gradient, velocity).

    Attributes:
        size: how many numbers all rows have.
    """

    def __cinit__(self, list rows):
        cdef Py_ssize_t i, j, first, last
        self._rows = rows
        check_rows(rows)
        self.columns = len(rows[0]) if rows else 0
        self.doubles = bool(rows) and rows[0][0].dtype == 'float64'
        self.size = sum(row[0].size for row in rows)
        self.count = sum((row[0].size + CHUNK - 1) // CHUNK for row in rows)
        self.pointers = <void**> malloc(max(1, len(rows) * self.columns) * sizeof(void*))
        self.chunks = <Chunk*> malloc(max(1, self.count) * sizeof(Chunk))
        if self.pointers == NULL or self.chunks == NULL:
            raise MemoryError('no memory for a table of arrays')
        j = 0
        for i, row in enumerate(rows):
            for column, array in enumerate(row):
                self.pointers[i * self.columns + column] = pointer_to(array)
            first = 0
            while first < row[0].size:
                last = min(first + CHUNK, row[0].size)
                self.chunks[j] = Chunk(self.pointers + i * self.columns, i, first, last)
                first = last
                j += 1

    def __dealloc__(self):
        free(self.pointers)
        free(self.chunks)
