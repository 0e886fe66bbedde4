# Memory for what a kernel computes on the way.

from libc.stdlib cimport malloc


cdef inline void* room(size_t size) except NULL:
    """Return memory, of which nothing is known, for the caller to free."""
    cdef void* memory = malloc(size + 1)
    if memory == NULL:
        raise MemoryError(f'no memory for {size} bytes that a kernel needs')
    return memory
