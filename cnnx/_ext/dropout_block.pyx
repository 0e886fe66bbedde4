"""The block of a dropout layer, which runs in training only."""

from libc.stdint cimport uint64_t

from cnnx._ext.inline.dropout cimport check_rate, drop
from cnnx._ext.program cimport Block, Span


cdef class DropoutBlock(Block):
    """y = 0 with probability `rate`, else x / (1 - rate); see `cnnx.layers.Dropout`.

    Args:
        x, y: (N, ...) and of the same size; y is written, and may be x.
        dy: (N, ...), the gradient of y; None where there is no backward pass.
        dx: (N, ...), written, and may be dy; None where nobody needs it.
    """

    cdef uint64_t key
    cdef double rate
    cdef void* x
    cdef void* y
    cdef void* dy
    cdef void* dx
    cdef Py_ssize_t size          # of a sample

    def __init__(self, x, y, dy=None, dx=None):
        self.doubles = x.dtype.itemsize == sizeof(double)
        self.size = x.size // len(x)
        self.x, self.y, self.dy, self.dx = self.pointer(x), self.pointer(y), self.pointer(dy), self.pointer(dx)

    def draw(self, uint64_t key, double rate):
        """Set which numbers of the next batch are dropped, forward and backward."""
        check_rate(rate)
        self.key, self.rate = key, rate

    cdef void forward(self, Span span, bint training, char* scratch) noexcept nogil:
        self.drop_span(span, self.x, span.x, self.y, span.y)

    cdef void backward(self, Span span, char* scratch) noexcept nogil:
        if self.dx != NULL:
            self.drop_span(span, self.dy, span.y, self.dx, span.x)

    cdef void drop_span(self, Span span, void* x, Py_ssize_t x_row, void* y, Py_ssize_t y_row) noexcept nogil:
        cdef Py_ssize_t size = (span.last - span.first) * self.size, first = span.first * self.size
        if self.doubles:
            drop(
                size, <const double*> x + x_row * self.size, <double*> y + y_row * self.size, self.key, first,
                self.rate)
        else:
            drop(
                size, <const float*> x + x_row * self.size, <float*> y + y_row * self.size, self.key, first,
                self.rate)
