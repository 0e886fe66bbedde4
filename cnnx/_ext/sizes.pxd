# Sizes and shares of them.


cdef inline Py_ssize_t round_up(Py_ssize_t size, Py_ssize_t multiple) noexcept nogil:
    return (size + multiple - 1) // multiple * multiple


cdef inline Py_ssize_t share(Py_ssize_t size, Py_ssize_t part, Py_ssize_t parts) noexcept nogil:
    """Return where a part begins when `size` things are shared out evenly."""
    return part * size // parts
