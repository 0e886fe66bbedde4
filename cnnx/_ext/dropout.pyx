"""Dropout, as kernels and as a block: random bits follow from a key and the place of a number; no mask is stored."""

from libc.stdint cimport uint64_t
from cython.parallel cimport prange

from cnnx._ext.inline.checks cimport check_shape, check_threads
from cnnx._ext.inline.denormals cimport FpMode, flush_to_zero, restore_mode
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.random_bits cimport random_bits
from cnnx._ext.program cimport BACKWARD, FORWARD, Block, Phase, Span

cdef enum:
    PART = 4096                   # numbers that a thread takes at a time


def dropout_forward(
    const floating[::1] x,                   # IN   (size)
    floating[::1] y,                         # OUT  (size)
    uint64_t key,
    double rate,
    int num_threads,
):
    """y = 0 with probability `rate`, else x / (1 - rate)."""
    check_threads(num_threads)
    check_shape('y', y.shape, (x.shape[0],))
    drop_in_parts(x, y, key, rate, num_threads)


def dropout_backward(
    const floating[::1] dy,                  # IN   (size)
    floating[::1] dx,                        # OUT  (size)
    uint64_t key,
    double rate,
    int num_threads,
):
    """dx = 0 where dropout_forward dropped under this key, else dy / (1 - rate)."""
    check_threads(num_threads)
    check_shape('dx', dx.shape, (dy.shape[0],))
    drop_in_parts(dy, dx, key, rate, num_threads)


cdef int drop_in_parts(const floating[::1] x, floating[::1] y, uint64_t key, double rate, int num_threads) except -1:
    cdef Py_ssize_t size = x.shape[0], part
    cdef FpMode mode
    check_rate(rate)
    for part in prange((size + PART - 1) // PART, num_threads=num_threads, nogil=True, schedule='static'):
        mode = flush_to_zero()
        drop(min(<Py_ssize_t> PART, size - part * PART), &x[part * PART], &y[part * PART], key, part * PART, rate)
        restore_mode(mode)
    return 0


cdef int check_rate(double rate) except -1:
    if not 0 <= rate < 1:
        raise ValueError(f'rate: expected at least 0 and less than 1, got {rate}')
    return 0


cdef void drop(
    Py_ssize_t size, const floating* x, floating* y, uint64_t key, uint64_t first, double rate,
) noexcept nogil:
    """y = 0 with probability `rate`, else x / (1 - rate), for the numbers from place `first` on; y may be x."""
    cdef uint64_t threshold = <uint64_t> (rate * 2.0 ** 64)
    cdef floating scale = <floating> (1 / (1 - rate)), kept
    cdef Py_ssize_t i
    for i in range(size):
        kept = scale * x[i]
        y[i] = 0 if random_bits(key, first + i) < threshold else kept


cdef class DropoutBlock(Block):
    """y = 0 with probability `rate`, else x / (1 - rate); see `cnnx.layers.Dropout`.

    Args:
        x, y: (N, ...) and of the same size; y is written, and may be x.
        dy: (N, ...), the gradient of y; None where there is no backward pass.
        dx: (N, ...), written, and may be dy; None where nobody needs it.
    """

    cdef uint64_t key
    cdef double rate
    cdef Py_ssize_t size          # of a sample

    def __init__(self, x, y, dy=None, dx=None):
        self.size = x.size // len(x)
        self.take(x, y, dy, dx)

    def draw(self, uint64_t key, double rate):
        """Set which numbers of the next batch are dropped, forward and backward."""
        check_rate(rate)
        self.key, self.rate = key, rate

    cdef void run_phase(self, Phase phase, const Span* span, char* scratch) noexcept nogil:
        if phase == FORWARD:
            self.drop_span(span, self.x, span.x, self.y, span.y)
        elif phase == BACKWARD:
            self.drop_span(span, self.dy, span.y, self.dx, span.x)

    cdef void drop_span(self, const Span* span, void* x, Py_ssize_t x_row, void* y, Py_ssize_t y_row) noexcept nogil:
        cdef Py_ssize_t size = (span.last - span.first) * self.size, first = span.first * self.size
        if self.doubles:
            drop(
                size, <const double*> x + x_row * self.size, <double*> y + y_row * self.size, self.key, first,
                self.rate)
        else:
            drop(
                size, <const float*> x + x_row * self.size, <float*> y + y_row * self.size, self.key, first,
                self.rate)
