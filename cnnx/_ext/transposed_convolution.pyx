"""The block of a transposed convolution, with bias.

Letters: H, W, C rows, columns and channels of the input; P, Q, F those of the larger output; R, S rows and columns of
a filter; K = R S F, the numbers that one pixel of the input is spread over. What goes forward here goes back in a
convolution, from the output to the input, and the other way round: see convolution.pyx.
"""

from libc.string cimport memcpy

from cnnx._ext.inline.dot_and_transpose cimport transpose
from cnnx._ext.inline.even_parts cimport round_up
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.gemm cimport Layout, lanes, multiply_columns
from cnnx._ext.inline.task_sums cimport add_up
from cnnx._ext.inline.window cimport Window, as_window
from cnnx._ext.inline.windows cimport move_windows, strip_rows, strips_in
from cnnx._ext.program cimport BACKWARD, FINISH, FORWARD, PREPARE, Block, Phase, Span, begin_of, end_of


cdef class TransposedConvolutionBlock(Block):
    """Each pixel of x adds its filters, times itself, to a window of y; see `cnnx.layers.TransposedConvolutional`.

    Args:
        x: (N, H, W, C).
        weights, bias: (R, S, F, C) and (F,).
        y: (N, P, Q, F), written.
        window: of the convolution from y to x, a `cnnx._util.windows.Window`.
        dy: (N, P, Q, F), the gradient of y; None where there is no backward pass.
        dx: (N, H, W, C), written, or None where nobody needs it.
        dweights, dbias: written.
    """

    cdef Window window            # of the convolution from y to x
    cdef Py_ssize_t H, W, C, P, Q, F, K
    cdef Py_ssize_t wide_K        # K, rounded up to lanes
    cdef Py_ssize_t strip         # pixels whose windows are in scratch at a time
    cdef void* filters            # (C, wide_K): the weights, transposed

    def __init__(self, x, weights, bias, y, window, dy=None, dx=None, dweights=None, dbias=None):
        cdef Py_ssize_t size = x.itemsize
        self.take(x, y, dy, dx, weights, bias, dweights, dbias)
        self.window = as_window(window)
        self.H, self.W, self.C = x.shape[1:]
        self.P, self.Q, self.F = y.shape[1:]
        self.K = self.window.height * self.window.width * self.F
        self.wide_K = round_up(self.K, lanes(<double*> NULL) if self.doubles else lanes(<float*> NULL))
        self.strip = strip_rows(self.K, size)
        self.filters = self.room(self.C * self.wide_K * size)
        self.weights_size = self.K * self.C
        self.scratch_bytes = self.strip * self.K * size
        if self.goes_back:
            self.partial_bytes = (self.weights_size + self.F) * size

    cdef void run_phase(self, Phase phase, const Span* span, char* scratch) noexcept nogil:
        if self.doubles:
            run(self, phase, span, <double*> scratch)
        else:
            run(self, phase, span, <float*> scratch)


cdef void run(TransposedConvolutionBlock a, Phase phase, const Span* span, floating* scratch) noexcept nogil:
    cdef Py_ssize_t first, last
    if phase == PREPARE:
        first, last = begin_of(span, a.K), end_of(span, a.K)
        transpose(
            last - first, a.C, <const floating*> a.weights + first * a.C, a.C, <floating*> a.filters + first, a.wide_K)
    elif phase == FORWARD:
        forward(a, span, scratch)
    elif phase == BACKWARD:
        backward(a, span, scratch, <floating*> span.partial)
    elif phase == FINISH:
        finish(a, span, <floating*> span.partial)


cdef void forward(TransposedConvolutionBlock a, const Span* span, floating* windows) noexcept nogil:
    cdef Py_ssize_t image = a.H * a.W, map = a.P * a.Q, n, i, t, first, last
    cdef const floating* no_bias = NULL
    cdef const floating* x
    cdef floating* y
    for n in range(span.last - span.first):
        x = <const floating*> a.x + (span.x + n) * image * a.C
        y = <floating*> a.y + (span.y + n) * map * a.F
        for i in range(map):
            memcpy(y + i * a.F, a.bias, a.F * sizeof(floating))
        for t in range(strips_in(image, a.strip)):
            first = t * a.strip
            last = min(first + a.strip, image)
            multiply_columns(
                last - first, a.K, 1, a.C, x + first * a.C, Layout(a.C, 1, 0, 0), <const floating*> a.filters,
                a.wide_K, windows, a.K, no_bias, False)
            move_windows(True, y, a.P, a.Q, a.F, a.W, a.F, a.window, first, last, windows)


cdef void backward(
    TransposedConvolutionBlock a, const Span* span,
    floating* windows,            # SCRATCH  (strip, K)
    floating* partial,            # IN, OUT  (K, C), then (F): dweights and dbias, added to
) noexcept nogil:
    """dweights = windows of dy, transposed, times x; dx = windows of dy times weights."""
    cdef Py_ssize_t image = a.H * a.W, map = a.P * a.Q, n, i, f, t, first, last
    cdef floating* dbias = partial + a.K * a.C
    cdef const floating* no_bias = NULL
    cdef const floating* x
    cdef const floating* dy
    for n in range(span.last - span.first):
        x = <const floating*> a.x + (span.x + n) * image * a.C
        dy = <const floating*> a.dy + (span.y + n) * map * a.F
        for i in range(map):
            for f in range(a.F):
                dbias[f] += dy[i * a.F + f]
        for t in range(strips_in(image, a.strip)):
            first = t * a.strip
            last = min(first + a.strip, image)
            move_windows(False, <floating*> dy, a.P, a.Q, a.F, a.W, a.F, a.window, first, last, windows)
            multiply_columns(
                a.K, a.C, 1, last - first, <const floating*> windows, Layout(1, a.K, 0, 0), x + first * a.C, a.C,
                partial, a.C, no_bias, True)
            if a.dx != NULL:
                multiply_columns(
                    last - first, a.C, 1, a.K, <const floating*> windows, Layout(a.K, 1, 0, 0),
                    <const floating*> a.weights, a.C,
                    <floating*> a.dx + ((span.x + n) * image + first) * a.C, a.C, no_bias, False)


cdef void finish(TransposedConvolutionBlock a, const Span* span, floating* partials) noexcept nogil:
    """Add up the gradients of all tasks, in order, for some of the weights."""
    cdef Py_ssize_t count = a.K * a.C, size = count + a.F, first = begin_of(span, count), last = end_of(span, count)
    add_up(partials, size, span.tasks, first, last)
    memcpy(<floating*> a.dweights + first, partials + first, (last - first) * sizeof(floating))
    if span.part == 0:
        add_up(partials, size, span.tasks, count, size)
        memcpy(a.dbias, partials + count, a.F * sizeof(floating))
