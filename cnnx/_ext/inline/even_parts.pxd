# Sizes in whole multiples, and cut into even parts.


cdef inline Py_ssize_t round_up(Py_ssize_t size, Py_ssize_t multiple) noexcept nogil:
    return (size + multiple - 1) // multiple * multiple


cdef inline Py_ssize_t part_start(Py_ssize_t size, Py_ssize_t part, Py_ssize_t parts) noexcept nogil:
    """Return where a part begins when `size` things are cut into even parts."""
    return part * size // parts
