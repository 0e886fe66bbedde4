"""The block of a depthwise convolution, with bias. See depthwise.pyx."""

from cnnx._ext.inline.depthwise cimport Pass, Taps, add_weight_gradient, make_row, pass_between
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.task_sums cimport add_up_rows, partial_of
from cnnx._ext.inline.window cimport Window, as_window
from cnnx._ext.program cimport Block, Span


cdef struct Arrays:
    Window window
    Pass forward                  # from x to y
    Pass backward                 # from dy to dx
    void* x
    void* weights
    void* bias
    void* y
    void* dy
    void* dx
    void* dweights
    void* dbias


cdef class DepthwiseBlock(Block):
    """Depthwise convolution, a filter to a channel; see `cnnx.layers.Convolutional`.

    Args:
        x: (N, H, W, C).
        weights, bias: (R, S, 1, C) and (C,).
        y: (N, P, Q, C), written.
        window: of the convolution, a `cnnx._util.windows.Window`; it may be dilated.
        dy: (N, P, Q, C), the gradient of y; None where there is no backward pass.
        dx: (N, H, W, C), written, or None where nobody needs it.
        dweights, dbias: written.
    """

    cdef Arrays a

    def __init__(self, x, weights, bias, y, window, dy=None, dx=None, dweights=None, dbias=None):
        cdef Arrays* a = &self.a
        cdef Py_ssize_t[4] image = x.shape
        cdef Py_ssize_t[4] map = y.shape
        self.doubles = weights.dtype.itemsize == sizeof(double)
        a.x, a.weights, a.bias, a.y = self.pointer(x), self.pointer(weights), self.pointer(bias), self.pointer(y)
        a.dy, a.dx = self.pointer(dy), self.pointer(dx)
        a.dweights, a.dbias = self.pointer(dweights), self.pointer(dbias)
        a.window = as_window(window, True)
        a.forward = pass_between(True, a.window, image, map, <Taps*> self.room(map[2] * sizeof(Taps)))
        a.backward = pass_between(False, a.window, map, image, <Taps*> self.room(image[2] * sizeof(Taps)))
        self.weights_size = weights.size
        if dy is not None:
            self.partial_bytes = (weights.size + image[3]) * weights.itemsize

    cdef void forward(self, Span span, bint training, char* scratch) noexcept nogil:
        if self.doubles:
            forward(&self.a, span, <double*> NULL)
        else:
            forward(&self.a, span, <float*> NULL)

    cdef void backward(self, Span span, char* scratch) noexcept nogil:
        cdef char* partial
        if self.a.dy == NULL:
            return
        partial = partial_of(self, span)
        if self.doubles:
            backward(&self.a, span, <double*> partial)
        else:
            backward(&self.a, span, <float*> partial)

    cdef void finish(self, Py_ssize_t samples, Py_ssize_t tasks, Py_ssize_t part, Py_ssize_t parts) noexcept nogil:
        if self.a.dy == NULL:
            return
        if self.doubles:
            finish(&self.a, tasks, part, parts, <double*> self.partials)
        else:
            finish(&self.a, tasks, part, parts, <float*> self.partials)


cdef void forward(const Arrays* a, Span span, const floating* kind) noexcept nogil:
    cdef const Pass* work = &a.forward
    cdef Py_ssize_t image = work.H * work.W * work.C, row = work.width * work.C, i, p
    for i in range(span.last - span.first):
        for p in range(work.height):
            make_row(
                work, p, <const floating*> a.x + (span.x + i) * image, <const floating*> a.weights,
                <const floating*> a.bias, <floating*> a.y + ((span.y + i) * work.height + p) * row)


cdef void backward(
    const Arrays* a, Span span,
    floating* partial,            # IN, OUT  (R, S, 1, C), then (C): dweights and dbias, added to
) noexcept nogil:
    cdef const Pass* work = &a.backward
    cdef Py_ssize_t C = work.C, map = work.H * work.W * C, row = work.width * C, i, h
    cdef Py_ssize_t K = a.window.height * a.window.width
    cdef const floating* no_bias = NULL
    cdef const floating* dy
    for i in range(span.last - span.first):
        dy = <const floating*> a.dy + (span.y + i) * map
        add_weight_gradient(
            <const floating*> a.x + (span.x + i) * work.height * row, work.height, work.width, C, work.H, work.W,
            a.window, dy, partial, partial + K * C)
        for h in range(work.height if a.dx != NULL else 0):
            make_row(
                work, h, dy, <const floating*> a.weights, no_bias,
                <floating*> a.dx + ((span.x + i) * work.height + h) * row)


cdef void finish(
    const Arrays* a, Py_ssize_t tasks, Py_ssize_t part, Py_ssize_t parts, floating* partials,
) noexcept nogil:
    cdef Py_ssize_t C = a.forward.C, K = a.window.height * a.window.width
    add_up_rows(
        partials, (K + 1) * C, tasks, part, parts, K, C, C, <floating*> a.dweights, <floating*> a.dbias)
