# Checks of arguments: sizes that do not agree raise a ValueError, before a kernel reads beyond an array.

cdef enum:
    # As many as cnnx.set_num_threads takes: OpenMP ends the process where it cannot start so many.
    MAX_THREADS = 256


cdef inline int check_threads(int num_threads) except -1:
    if not 1 <= num_threads <= MAX_THREADS:
        raise ValueError(f'num_threads: expected 1 to {MAX_THREADS}, got {num_threads}')
    return 0


cdef inline int check_vector(str name, const Py_ssize_t* shape, Py_ssize_t a) except -1:
    if shape[0] != a:
        raise ValueError(f'{name}: expected shape ({a},), got ({shape[0]},)')
    return 0


cdef inline int check_matrix(str name, const Py_ssize_t* shape, Py_ssize_t a, Py_ssize_t b) except -1:
    if shape[0] != a or shape[1] != b:
        raise ValueError(f'{name}: expected shape ({a}, {b}), got ({shape[0]}, {shape[1]})')
    return 0


cdef inline int check_images(
    str name, const Py_ssize_t* shape, Py_ssize_t a, Py_ssize_t b, Py_ssize_t c, Py_ssize_t d,
) except -1:
    if shape[0] != a or shape[1] != b or shape[2] != c or shape[3] != d:
        raise ValueError(
            f'{name}: expected shape ({a}, {b}, {c}, {d}), got ({shape[0]}, {shape[1]}, {shape[2]}, {shape[3]})')
    return 0
