"""The blocks where a network's branches meet or part: what Add and Concatenate do, and the sum of gradients."""

import math

from libc.string cimport memcpy

from cnnx._ext.program cimport BACKWARD, FORWARD, Block, Phase, Span

cdef extern from "simd/short_copy.h" nogil:
    void copy_short(void* to, const void* source, size_t size)


cdef void** pointers(Block block, arrays) except NULL:
    """Return where the numbers of several arrays stand; NULL for None."""
    cdef void** found = <void**> block.room((len(arrays) + 1) * sizeof(void*))
    for i, array in enumerate(arrays):
        found[i] = block.pointer(array)
    return found


cdef void add(Block block, const Span* span, Py_ssize_t size, const void* a, const void* b, void* to) noexcept nogil:
    """to = a + b, of a span's samples of so many numbers."""
    cdef Py_ssize_t i
    cdef bint doubles = block.doubles
    for i in range(span.y * size, (span.y + span.last - span.first) * size):
        if doubles:
            (<double*> to)[i] = (<const double*> a)[i] + (<const double*> b)[i]
        else:
            (<float*> to)[i] = (<const float*> a)[i] + (<const float*> b)[i]


cdef class AddBlock(Block):
    """y = the sum of several x; see `cnnx.layers.merging`.

    Args:
        xs: arrays (N, ...), at least two.
        y: (N, ...), written, and may be the first x.
        dy: (N, ...), the gradient of y; None where there is no backward pass.
        dxs: the gradients of the xs, written, of which the first may be dy; None where nobody needs one.
    """

    cdef void** xs
    cdef void** dxs
    cdef Py_ssize_t count, size

    def __init__(self, xs, y, dy=None, dxs=()):
        self.count, self.size = len(xs), y.size // len(y)
        self.take(xs[0], y, dy, dy)  # dy for dx: with it there is a backward pass
        self.xs, self.dxs = pointers(self, xs), pointers(self, dxs or [None] * len(xs))

    cdef void run_phase(self, Phase phase, const Span* span, char* scratch) noexcept nogil:
        cdef size_t sample = self.size * (sizeof(double) if self.doubles else sizeof(float))
        cdef Py_ssize_t i
        for i in range(self.count):
            if phase == FORWARD and i > 0:
                add(self, span, self.size, self.xs[0] if i == 1 else self.y, self.xs[i], self.y)
            elif phase == BACKWARD and self.dxs[i] != NULL and self.dxs[i] != self.dy:
                memcpy(
                    <char*> self.dxs[i] + span.y * sample, <char*> self.dy + span.y * sample,
                    (span.last - span.first) * sample)


cdef class ForkBlock(Block):
    """Where several blocks read one output, its gradient is the sum of theirs.

    Args:
        dy: (N, ...), as one of them has written it; the others are added.
        others: arrays like dy, written by the others, in the order in which they are added.
    """

    cdef void** others
    cdef Py_ssize_t count, size

    def __init__(self, dy, others):
        self.count, self.size = len(others), dy.size // len(dy)
        self.take(dy, None, dy, dy)
        self.others = pointers(self, others)

    cdef void run_phase(self, Phase phase, const Span* span, char* scratch) noexcept nogil:
        cdef Py_ssize_t i
        for i in range(self.count if phase == BACKWARD else 0):
            add(self, span, self.size, self.dy, self.others[i], self.dy)


cdef class ConcatenateBlock(Block):
    """y = several x one after the other along an axis; see `cnnx.layers.merging`.

    Args:
        xs: arrays (N, ...) that differ along the axis alone.
        y: (N, ...), written.
        axis: of the arrays, at least 1.
        dy: (N, ...), the gradient of y; None where there is no backward pass.
        dxs: the gradients of the xs, written; None where nobody needs one.
    """

    cdef void** xs
    cdef void** dxs
    cdef Py_ssize_t count
    cdef Py_ssize_t rows          # of a sample, which stand apart in each x
    cdef size_t* sizes            # (count) bytes of a row of each x
    cdef size_t row               # bytes of a row of y

    def __init__(self, xs, y, Py_ssize_t axis, dy=None, dxs=()):
        self.count, self.rows = len(xs), math.prod(y.shape[1:axis])
        self.take(xs[0], y, dy, dy)  # dy for dx: with it there is a backward pass
        self.xs, self.dxs = pointers(self, xs), pointers(self, dxs or [None] * len(xs))
        self.sizes = <size_t*> self.room(len(xs) * sizeof(size_t))
        for i, x in enumerate(xs):
            self.sizes[i] = math.prod(x.shape[axis:]) * x.itemsize
            self.row += self.sizes[i]

    cdef void run_phase(self, Phase phase, const Span* span, char* scratch) noexcept nogil:
        if phase == FORWARD:
            self.copy(span, <char*> self.y, self.xs, False)
        elif phase == BACKWARD:
            self.copy(span, <char*> self.dy, self.dxs, True)

    cdef void copy(self, const Span* span, char* whole, void** parts, bint back) noexcept nogil:
        """Copy the parts into the whole, or back."""
        cdef Py_ssize_t count = (span.last - span.first) * self.rows, i, k
        cdef char* part
        whole += span.y * self.rows * self.row
        for k in range(self.count):
            part = <char*> parts[k]
            if part != NULL:
                part += span.x * self.rows * self.sizes[k]
                for i in range(count):
                    if back:
                        copy_short(part + i * self.sizes[k], whole + i * self.row, self.sizes[k])
                    else:
                        copy_short(whole + i * self.row, part + i * self.sizes[k], self.sizes[k])
            whole += self.sizes[k]
