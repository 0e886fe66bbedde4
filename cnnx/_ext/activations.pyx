"""Activation functions and their gradients: ReLU, leaky ReLU, sigmoid, tanh, ELU, softplus, SiLU, GELU, hard swish.

Arrays are of shape (size,): those that are const are read, the others written. The backward functions read what their
forward function gave, y, or from softplus on what it read, x. The first four have a block too.
"""

from cython.parallel cimport prange

from cnnx._ext.inline.activations cimport (
    ELU, GELU, HARD_SWISH, LEAKY_RELU, RELU, SIGMOID, SILU, SOFTPLUS, TANH, activate, activate_backward, activation,
)
from cnnx._ext.inline.checks cimport check_shape, check_threads
from cnnx._ext.inline.denormals cimport FpMode, flush_to_zero, restore_mode
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.program cimport BACKWARD, FORWARD, Block, Phase, Span

cdef enum:
    PART = 4096                   # numbers that a thread takes at a time

KINDS = {'relu': RELU, 'leaky_relu': LEAKY_RELU, 'sigmoid': SIGMOID, 'tanh': TANH}  # that have a block


cdef int forward(
    activation kind, const floating[::1] x, floating[::1] y, double slope, int num_threads,
) except -1:
    cdef Py_ssize_t size = x.shape[0], part
    cdef FpMode mode
    check_threads(num_threads)
    check_shape('y', y.shape, (size,))
    for part in prange((size + PART - 1) // PART, num_threads=num_threads, nogil=True, schedule='static'):
        mode = flush_to_zero()
        activate(kind, min(<Py_ssize_t> PART, size - part * PART), &x[part * PART], &y[part * PART], slope)
        restore_mode(mode)
    return 0


cdef int backward(
    activation kind, const floating[::1] known, const floating[::1] dy, floating[::1] dx, double slope, int num_threads,
) except -1:
    cdef Py_ssize_t size = known.shape[0], part
    cdef FpMode mode
    check_threads(num_threads)
    check_shape('dy', dy.shape, (size,))
    check_shape('dx', dx.shape, (size,))
    for part in prange((size + PART - 1) // PART, num_threads=num_threads, nogil=True, schedule='static'):
        mode = flush_to_zero()
        activate_backward(
            kind, min(<Py_ssize_t> PART, size - part * PART), &known[part * PART], &dy[part * PART], &dx[part * PART],
            slope)
        restore_mode(mode)
    return 0


def relu_forward(const floating[::1] x, floating[::1] y, int num_threads):
    """y = max(0, x); a NaN stays NaN."""
    forward(RELU, x, y, 0, num_threads)


def relu_backward(const floating[::1] y, const floating[::1] dy, floating[::1] dx, int num_threads):
    """dx = dy where the output is positive, else 0."""
    backward(RELU, y, dy, dx, 0, num_threads)


def leaky_relu_forward(const floating[::1] x, floating[::1] y, double negative_slope, int num_threads):
    """y = x where x is positive, else negative_slope x."""
    forward(LEAKY_RELU, x, y, negative_slope, num_threads)


def leaky_relu_backward(
    const floating[::1] y, const floating[::1] dy, floating[::1] dx, double negative_slope, int num_threads,
):
    """dx = dy where the output is positive, else negative_slope dy."""
    backward(LEAKY_RELU, y, dy, dx, negative_slope, num_threads)


def sigmoid_forward(const floating[::1] x, floating[::1] y, int num_threads):
    """y = 1 / (1 + exp(-x)), by way of exp(-|x|), which cannot overflow."""
    forward(SIGMOID, x, y, 0, num_threads)


def sigmoid_backward(const floating[::1] y, const floating[::1] dy, floating[::1] dx, int num_threads):
    """dx = dy y (1 - y)."""
    backward(SIGMOID, y, dy, dx, 0, num_threads)


def tanh_forward(const floating[::1] x, floating[::1] y, int num_threads):
    """y = tanh(x)."""
    forward(TANH, x, y, 0, num_threads)


def tanh_backward(const floating[::1] y, const floating[::1] dy, floating[::1] dx, int num_threads):
    """dx = dy (1 - y^2)."""
    backward(TANH, y, dy, dx, 0, num_threads)


def elu_forward(const floating[::1] x, floating[::1] y, double alpha, int num_threads):
    """y = x where x is positive, else alpha (exp(x) - 1)."""
    forward(ELU, x, y, alpha, num_threads)


def elu_backward(const floating[::1] y, const floating[::1] dy, floating[::1] dx, double alpha, int num_threads):
    """dx = dy where the output is positive, else dy (y + alpha)."""
    backward(ELU, y, dy, dx, alpha, num_threads)


def softplus_forward(const floating[::1] x, floating[::1] y, int num_threads):
    """y = log(1 + exp(x)), by way of exp(-|x|), which cannot overflow."""
    forward(SOFTPLUS, x, y, 0, num_threads)


def softplus_backward(const floating[::1] x, const floating[::1] dy, floating[::1] dx, int num_threads):
    """dx = dy / (1 + exp(-x))."""
    backward(SOFTPLUS, x, dy, dx, 0, num_threads)


def silu_forward(const floating[::1] x, floating[::1] y, int num_threads):
    """y = x / (1 + exp(-x))."""
    forward(SILU, x, y, 0, num_threads)


def silu_backward(const floating[::1] x, const floating[::1] dy, floating[::1] dx, int num_threads):
    """dx = dy s (1 + x (1 - s)), s = 1 / (1 + exp(-x))."""
    backward(SILU, x, dy, dx, 0, num_threads)


def gelu_forward(const floating[::1] x, floating[::1] y, int num_threads):
    """y = x F(x), F(x) = (1 + erf(x / sqrt(2))) / 2."""
    forward(GELU, x, y, 0, num_threads)


def gelu_backward(const floating[::1] x, const floating[::1] dy, floating[::1] dx, int num_threads):
    """dx = dy (F(x) + x exp(-x^2 / 2) / sqrt(2 pi))."""
    backward(GELU, x, dy, dx, 0, num_threads)


def hard_swish_forward(const floating[::1] x, floating[::1] y, int num_threads):
    """y = x min(max(x + 3, 0), 6) / 6."""
    forward(HARD_SWISH, x, y, 0, num_threads)


def hard_swish_backward(const floating[::1] x, const floating[::1] dy, floating[::1] dx, int num_threads):
    """dx = 0 where x < -3, dy where x > 3, else dy (2 x + 3) / 6."""
    backward(HARD_SWISH, x, dy, dx, 0, num_threads)


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
    cdef Py_ssize_t size          # of a sample

    def __init__(self, str kind, double slope, x, y, dy=None, dx=None):
        self.kind, self.slope = KINDS[kind], slope
        self.size = x.size // len(x)
        self.take(x, y, dy, dx)

    cdef void run_phase(self, Phase phase, const Span* span, char* scratch) noexcept nogil:
        if self.doubles:
            run(self, phase, span, <double*> scratch)
        else:
            run(self, phase, span, <float*> scratch)


cdef void run(ActivationBlock block, Phase phase, const Span* span, const floating* kind) noexcept nogil:
    cdef Py_ssize_t size = (span.last - span.first) * block.size
    cdef floating* y = <floating*> block.y + span.y * block.size
    if phase == FORWARD:
        activate(block.kind, size, <const floating*> block.x + span.x * block.size, y, block.slope)
    elif phase == BACKWARD:
        activate_backward(
            block.kind, size, <const floating*> y, <const floating*> block.dy + span.y * block.size,
            <floating*> block.dx + span.x * block.size, block.slope)
