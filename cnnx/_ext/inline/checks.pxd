# Checks of arguments: sizes that do not agree raise a ValueError, before a kernel reads beyond an array.

cdef enum:
    # As many as cnnx.set_num_threads takes: OpenMP ends the process where it cannot start so many.
    MAX_THREADS = 256


cdef inline int check_threads(int num_threads) except -1:
    if not 1 <= num_threads <= MAX_THREADS:
        raise ValueError(f'num_threads: expected 1 to {MAX_THREADS}, got {num_threads}')
    return 0


cdef inline int check_shape(str name, const Py_ssize_t* shape, tuple expected) except -1:
    """Check an array's shape; NULL stands for no array."""
    cdef Py_ssize_t axis
    for axis in range(len(expected) if shape != NULL else 0):
        if shape[axis] != <Py_ssize_t> expected[axis]:
            found = tuple([shape[axis] for axis in range(len(expected))])
            raise ValueError(f'{name}: expected shape {expected}, got {found}')
    return 0
