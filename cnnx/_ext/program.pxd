# The interface of a block: what program.pyx runs it by.

from libc.stdint cimport int64_t

from cnnx._ext.inline.even_parts cimport part_start


cdef enum Phase:
    PREPARE                       # in parts: what is made from weights alone
    FORWARD                       # a span of samples; of blocks with `shares`, in parts: of each sample's output
    BACKWARD                      # a span of samples
    FINISH                        # in parts: the gradients of the weights
    # Of a block with `of_batch`: spans of samples before its forward pass, and before its backward pass; and what is
    # done with the whole batch, in parts, before either.
    MEASURE_X, MEASURE_DY
    JOIN_X, JOIN_DY


cdef struct Span:
    # What a phase works on: part `part` of `parts`, or the samples first to last - 1. A task is some spans whose
    # gradients are added up in one place, which is zero before the first one goes backward; `fresh` marks that.
    Py_ssize_t samples, tasks     # of the batch
    bint training                 # the forward pass keeps what the backward pass needs
    Py_ssize_t part, parts
    Py_ssize_t first, last
    Py_ssize_t x                  # where the first sample stands in the x and dx of a block
    Py_ssize_t y                  # and where in its y and dy
    Py_ssize_t task
    bint fresh
    const int64_t* order          # where the batch's samples stand in what a Gather block copies from, or NULL
    char* partial                 # the task's gradients; in a phase in parts, those of all tasks, one after the other
    size_t partial_bytes          # of one task


cdef inline Py_ssize_t begin_of(const Span* span, Py_ssize_t size) noexcept nogil:
    """Return where a span's part of so many things begins."""
    return part_start(size, span.part, span.parts)


cdef inline Py_ssize_t end_of(const Span* span, Py_ssize_t size) noexcept nogil:
    return part_start(size, span.part + 1, span.parts)


cdef class Block:
    cdef list _arrays             # keeps alive what the pointers of a block point into
    cdef bint doubles             # float64, not float32
    cdef public bint x_local      # x and dx hold a tile for each thread, not a batch
    cdef public bint y_local      # and so do y and dy
    cdef bint goes_back           # it has a backward pass
    cdef bint of_batch            # its passes need the whole batch
    cdef bint shares              # threads can share its forward pass over a span
    cdef size_t scratch_bytes     # what it needs for each thread
    cdef size_t partial_bytes     # what it needs for each task of a backward pass
    cdef Py_ssize_t weights_size  # how many numbers are prepared and finished
    cdef char* partials
    # What `take` keeps: a layer's arrays and their gradients, or NULL.
    cdef void* x
    cdef void* y
    cdef void* dy
    cdef void* dx
    cdef void* weights
    cdef void* bias
    cdef void* dweights
    cdef void* dbias

    cdef int take(self, x, y, dy, dx, weights=*, bias=*, dweights=*, dbias=*) except -1
    cdef void* pointer(self, array) except? NULL
    cdef void* room(self, size_t size) except NULL
    cdef void run_phase(self, Phase phase, const Span* span, char* scratch) noexcept nogil


cdef int run_alone(Block block, Py_ssize_t samples, bint backward, int num_threads) except -1
cdef object in_whole_vectors(array)
