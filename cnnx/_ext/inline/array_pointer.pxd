# A pointer to the numbers of a NumPy array.

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBuffer_Release, PyObject_GetBuffer


cdef inline void* pointer_to(array) except NULL:
    """Return where a contiguous array's numbers stand; the caller keeps it alive."""
    cdef Py_buffer buffer
    PyObject_GetBuffer(array, &buffer, PyBUF_C_CONTIGUOUS)
    cdef void* pointer = buffer.buf
    PyBuffer_Release(&buffer)
    return pointer
