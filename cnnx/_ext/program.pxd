# The interface of a block: the methods and attributes by which program.pyx runs it.

from libc.stdint cimport int64_t


cdef struct Span:
    # The samples first to last - 1 of a batch of `samples`. A task is some spans whose gradients are added
    # up in one place; `fresh` marks its first. `order`, if not NULL, says where the batch's samples stand
    # in what a Gather block copies from.
    Py_ssize_t first
    Py_ssize_t last
    Py_ssize_t x                  # where the first of them stands in the x and dx of a block
    Py_ssize_t y                  # and where in its y and dy
    Py_ssize_t samples
    Py_ssize_t task
    bint fresh
    const int64_t* order


cdef class Block:
    cdef list _arrays             # keeps alive what the pointers of a block point into
    cdef bint doubles             # float64, not float32
    cdef public bint x_local      # x and dx hold a tile for each thread, not a batch
    cdef public bint y_local      # and so do y and dy
    cdef size_t scratch_bytes     # what it needs for each thread
    cdef size_t partial_bytes     # what it needs for each task of a backward pass
    cdef Py_ssize_t weights_size  # how many numbers `prepare` and `finish` go through
    cdef char* partials
    cdef bint of_batch            # its passes need the whole batch

    cdef void* pointer(self, array) except? NULL
    cdef void* room(self, size_t size) except NULL
    cdef void prepare(self, Py_ssize_t samples, bint training, Py_ssize_t part, Py_ssize_t parts) noexcept nogil
    cdef void measure(self, Span span, bint backward, char* scratch) noexcept nogil
    cdef void join(
        self, Py_ssize_t samples, Py_ssize_t tasks, bint backward, Py_ssize_t part, Py_ssize_t parts, char* scratch,
    ) noexcept nogil
    cdef void forward(self, Span span, bint training, char* scratch) noexcept nogil
    cdef void backward(self, Span span, char* scratch) noexcept nogil
    cdef void finish(self, Py_ssize_t samples, Py_ssize_t tasks, Py_ssize_t part, Py_ssize_t parts) noexcept nogil
