"""The block of a transposed convolution, with bias.

Letters: H, W, C rows, columns and channels of the input; P, Q, F those of the larger output; R, S rows and columns of
a filter; K = R S F, the numbers that one pixel of the input is spread over. What goes forward here goes back in a
convolution, from the output to the input, and the other way round: see convolution.pyx.
"""

from libc.string cimport memcpy

from cnnx._ext.inline.dot_and_transpose cimport transpose
from cnnx._ext.inline.even_parts cimport part_start, round_up
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.gemm cimport Layout, lanes, multiply_columns
from cnnx._ext.inline.task_sums cimport add_up
from cnnx._ext.inline.window cimport Window, as_window
from cnnx._ext.inline.windows cimport move_windows, strip_rows, strips_in
from cnnx._ext.program cimport BACKWARD, FINISH, FORWARD, PREPARE, Block, Phase, Span


cdef struct Arrays:
    Window window                 # of the convolution from y to x
    Py_ssize_t H, W, C, P, Q, F, K
    Py_ssize_t wide_K             # K, rounded up to lanes
    Py_ssize_t strip              # pixels whose windows are in scratch at a time
    void* x
    void* weights
    void* bias
    void* y
    void* dy
    void* dx
    void* dweights
    void* dbias
    void* filters                 # (C, wide_K): the weights, transposed


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

    cdef Arrays a

    def __init__(self, x, weights, bias, y, window, dy=None, dx=None, dweights=None, dbias=None):
        cdef Arrays* a = &self.a
        cdef Py_ssize_t size = weights.itemsize
        self.doubles = size == sizeof(double)
        self.goes_back = dy is not None
        a.x, a.weights, a.bias, a.y = self.pointer(x), self.pointer(weights), self.pointer(bias), self.pointer(y)
        a.dy, a.dx = self.pointer(dy), self.pointer(dx)
        a.dweights, a.dbias = self.pointer(dweights), self.pointer(dbias)
        a.window = as_window(window)
        a.H, a.W, a.C = x.shape[1:]
        a.P, a.Q, a.F = y.shape[1:]
        a.K = a.window.height * a.window.width * a.F
        a.wide_K = round_up(a.K, lanes(<double*> NULL) if self.doubles else lanes(<float*> NULL))
        a.strip = strip_rows(a.K, size)
        a.filters = self.room(a.C * a.wide_K * size)
        self.weights_size = weights.size
        self.scratch_bytes = a.strip * a.K * size
        if dy is not None:
            self.partial_bytes = (weights.size + a.F) * size

    cdef void run(self, Phase phase, const Span* span, char* scratch) noexcept nogil:
        if self.doubles:
            run(&self.a, phase, span, <double*> scratch)
        else:
            run(&self.a, phase, span, <float*> scratch)


cdef void run(const Arrays* a, Phase phase, const Span* span, floating* scratch) noexcept nogil:
    cdef Py_ssize_t first, last
    if phase == PREPARE:
        first, last = part_start(a.K, span.part, span.parts), part_start(a.K, span.part + 1, span.parts)
        transpose(
            last - first, a.C, <const floating*> a.weights + first * a.C, a.C, <floating*> a.filters + first, a.wide_K)
    elif phase == FORWARD:
        forward(a, span, scratch)
    elif phase == BACKWARD:
        backward(a, span, scratch, <floating*> span.partial)
    elif phase == FINISH:
        finish(a, span, <floating*> span.partial)


cdef void forward(const Arrays* a, const Span* span, floating* windows) noexcept nogil:
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
    const Arrays* a, const Span* span,
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


cdef void finish(const Arrays* a, const Span* span, floating* partials) noexcept nogil:
    """Add up the gradients of all tasks, in order, for some of the weights."""
    cdef Py_ssize_t count = a.K * a.C, size = count + a.F
    cdef Py_ssize_t first = part_start(count, span.part, span.parts), last = part_start(count, span.part + 1, span.parts)
    add_up(partials, size, span.tasks, first, last)
    memcpy(<floating*> a.dweights + first, partials + first, (last - first) * sizeof(floating))
    if span.part == 0:
        add_up(partials, size, span.tasks, count, size)
        memcpy(a.dbias, partials + count, a.F * sizeof(floating))
