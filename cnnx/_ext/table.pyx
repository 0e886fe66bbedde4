"""Arrays that are changed together, looked up once: what an optimizer goes through at every step."""

from libc.stdlib cimport free, malloc

from cnnx._ext.memory cimport pointer_to

cdef enum:
    CHUNK = 4096                  # numbers that one thread takes at a time


cdef class ArrayTable:
    """Rows of arrays: the arrays of a row have one length, all arrays one dtype.

    Args:
        rows: tuples of contiguous arrays, such as (value, gradient, velocity).

    Attributes:
        size: how many numbers all rows have.
    """

    def __cinit__(self, list rows):
        cdef Py_ssize_t i, j, first
        self._rows = rows
        self.columns = len(rows[0]) if rows else 0
        self.doubles = bool(rows) and rows[0][0].dtype.itemsize == sizeof(double)
        self.size = sum(row[0].size for row in rows)
        self.chunks = sum((row[0].size + CHUNK - 1) // CHUNK for row in rows)
        self.pointers = <void**> malloc(max(1, len(rows) * self.columns) * sizeof(void*))
        self.chunk = <Py_ssize_t*> malloc(max(1, 3 * self.chunks) * sizeof(Py_ssize_t))
        if self.pointers == NULL or self.chunk == NULL:
            raise MemoryError('no memory for a table of arrays')
        j = 0
        for i, row in enumerate(rows):
            for column, array in enumerate(row):
                self.pointers[i * self.columns + column] = pointer_to(array)
            first = 0
            while first < row[0].size:
                self.chunk[3 * j] = i
                self.chunk[3 * j + 1] = first
                first = min(first + CHUNK, row[0].size)
                self.chunk[3 * j + 2] = first
                j += 1

    def __dealloc__(self):
        free(self.pointers)
        free(self.chunk)
