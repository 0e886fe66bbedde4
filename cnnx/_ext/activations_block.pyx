"""The block of activation layers: ReLU, leaky ReLU, sigmoid, tanh."""

from cnnx._ext.inline.activations cimport LEAKY_RELU, RELU, SIGMOID, TANH, activate, activate_backward, activation
from cnnx._ext.program cimport Block, Span

KINDS = {'relu': RELU, 'leaky_relu': LEAKY_RELU, 'sigmoid': SIGMOID, 'tanh': TANH}


cdef class ActivationBlock(Block):
    """y = the activation of x; see `cnnx.layers.activations`.

    Args:
        kind: 'relu', 'leaky_relu', 'sigmoid' or 'tanh'.
        slope: of 'leaky_relu', where x is not positive.
        x, y: (N, ...) and of the same size; y is written, and may be x.
        dy: (N, ...), the gradient of y; None where there is no backward pass.
        dx: (N, ...), written, and may be dy; None where nobody needs it.
    """

    cdef activation kind
    cdef double slope
    cdef void* x
    cdef void* y
    cdef void* dy
    cdef void* dx
    cdef Py_ssize_t size          # of a sample

    def __init__(self, str kind, double slope, x, y, dy=None, dx=None):
        self.kind, self.slope = KINDS[kind], slope
        self.doubles = x.dtype.itemsize == sizeof(double)
        self.size = x.size // len(x)
        self.x, self.y, self.dy, self.dx = self.pointer(x), self.pointer(y), self.pointer(dy), self.pointer(dx)

    cdef void forward(self, Span span, bint training, char* scratch) noexcept nogil:
        cdef Py_ssize_t size = (span.last - span.first) * self.size, x = span.x * self.size, y = span.y * self.size
        if self.doubles:
            activate(self.kind, size, <const double*> self.x + x, <double*> self.y + y, self.slope)
        else:
            activate(self.kind, size, <const float*> self.x + x, <float*> self.y + y, self.slope)

    cdef void backward(self, Span span, char* scratch) noexcept nogil:
        cdef Py_ssize_t size = (span.last - span.first) * self.size, x = span.x * self.size, y = span.y * self.size
        if self.dx == NULL:
            return
        if self.doubles:
            activate_backward(
                self.kind, size, <const double*> self.y + y, <const double*> self.dy + y, <double*> self.dx + x,
                self.slope)
        else:
            activate_backward(
                self.kind, size, <const float*> self.y + y, <const float*> self.dy + y, <float*> self.dx + x,
                self.slope)
