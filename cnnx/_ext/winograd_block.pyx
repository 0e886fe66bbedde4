"""The block of a 3 x 3 convolution by Winograd's method, with bias and the ReLU after it. See winograd.pyx."""

from libc.string cimport memcpy, memset

from cnnx._ext.inline.even_parts cimport part_start, round_up
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.gemm cimport lanes
from cnnx._ext.inline.task_sums cimport add_up_rows, partial_of
from cnnx._ext.inline.window cimport Window, as_window
from cnnx._ext.inline.winograd cimport (
    Maps, add_filter_gradients, add_weight_gradient, check_winograd, convolve, filters_size, maps_of, scratch_size,
    transform_filters, turn_filters,
)
from cnnx._ext.program cimport Block, Span

cdef extern from "simd/convolution_gradient_rows.h" nogil:
    void mask_rows(
        Py_ssize_t rows, Py_ssize_t filters, const void* y, const void* dy, void* masked, void* sums)


cdef struct Arrays:
    Maps forward                  # from x to y
    Maps backward                 # from dy, masked by the ReLU, to dx
    bint relu
    void* x
    void* weights
    void* bias
    void* y
    void* dy
    void* dx
    void* dweights
    void* dbias
    void* filters                 # transformed
    void* turned                  # (3, 3, F, wide_C), those of the input's gradient
    void* turned_filters          # and these transformed
    void* wide_bias               # (wide_F)
    Py_ssize_t some               # samples whose gradients are masked at a time


cdef class WinogradBlock(Block):
    """Convolution by 3 x 3 filters with stride 1, then ReLU if `relu`; see `cnnx.layers.Convolutional`.

    Args:
        x: (N, H, W, C).
        weights, bias: (3, 3, C, F) and (F,).
        y: (N, P, Q, F), written.
        window: of the convolution, a `cnnx._util.windows.Window`.
        relu: whether there is a ReLU.
        dy: (N, P, Q, F), the gradient of y; None where there is no backward pass.
        dx: (N, H, W, C), written, or None where nobody needs it.
        dweights, dbias: written.
    """

    # With more weights than this, their filters, transformed, do not stay in the cache from one tile to the next: in
    # training all tiles go through this block before they go on.
    large_bytes = 131072

    cdef Arrays a

    def __init__(self, x, weights, bias, y, window, bint relu, dy=None, dx=None, dweights=None, dbias=None):
        cdef Arrays* a = &self.a
        self.doubles = weights.dtype.itemsize == sizeof(double)
        a.x, a.weights, a.bias, a.y = self.pointer(x), self.pointer(weights), self.pointer(bias), self.pointer(y)
        a.dy, a.dx = self.pointer(dy), self.pointer(dx)
        a.dweights, a.dbias = self.pointer(dweights), self.pointer(dbias)
        a.relu = relu
        self.weights_size = weights.size
        self.of_batch = dy is not None and weights.nbytes > self.large_bytes
        if self.doubles:
            self.lay_out(x.shape, y.shape, window, sizeof(double), lanes(<double*> NULL))
        else:
            self.lay_out(x.shape, y.shape, window, sizeof(float), lanes(<float*> NULL))

    cdef int lay_out(self, x, y, window, Py_ssize_t size, Py_ssize_t width) except -1:
        cdef Arrays* a = &self.a
        cdef Py_ssize_t H, W, C, P, Q, F, wide_C, wide_F, masked = 0
        cdef Window w = as_window(window)
        _, H, W, C = x
        _, P, Q, F = y
        wide_C, wide_F = round_up(C, width), round_up(F, width)
        check_winograd(w)
        a.forward = maps_of(H, W, C, C, P, Q, F, w.pad_top, w.pad_left, width, size)
        a.filters = self.room(filters_size(C, wide_F) * size)
        a.wide_bias = self.room(wide_F * size)
        # As much as the convolution of dx, where channels and filters change places.
        self.scratch_bytes = scratch_size(&a.forward)
        if a.dy != NULL:
            a.some = max(1, a.forward.group // max(1, a.forward.tile_rows * a.forward.tile_columns))
            masked = a.some * P * Q * wide_F
            self.partial_bytes = (9 * C + 1) * wide_F * size
            self.scratch_bytes += filters_size(C, wide_F)
        if a.dx != NULL:
            a.backward = maps_of(P, Q, F, wide_F, H, W, C, 2 - w.pad_top, 2 - w.pad_left, width, size)
            a.turned = self.room(9 * F * wide_C * size)
            a.turned_filters = self.room(filters_size(F, wide_C) * size)
        self.scratch_bytes = (self.scratch_bytes + masked) * size
        return 0

    cdef void prepare(self, Py_ssize_t samples, bint training, Py_ssize_t part, Py_ssize_t parts) noexcept nogil:
        if self.doubles:
            prepare(&self.a, training, part, parts, <double*> NULL)
        else:
            prepare(&self.a, training, part, parts, <float*> NULL)

    cdef void forward(self, Span span, bint training, char* scratch) noexcept nogil:
        if self.doubles:
            forward(&self.a, span, <double*> scratch)
        else:
            forward(&self.a, span, <float*> scratch)

    cdef void backward(self, Span span, char* scratch) noexcept nogil:
        cdef char* partial
        if self.a.dy == NULL:
            return
        partial = partial_of(self, span)
        if self.doubles:
            backward(&self.a, span, <double*> scratch, <double*> partial)
        else:
            backward(&self.a, span, <float*> scratch, <float*> partial)

    cdef void finish(self, Py_ssize_t samples, Py_ssize_t tasks, Py_ssize_t part, Py_ssize_t parts) noexcept nogil:
        if self.a.dy == NULL:
            return
        if self.doubles:
            finish(&self.a, tasks, part, parts, <double*> self.partials, self.partial_bytes // sizeof(double))
        else:
            finish(&self.a, tasks, part, parts, <float*> self.partials, self.partial_bytes // sizeof(float))


cdef void prepare(
    const Arrays* a, bint training, Py_ssize_t part, Py_ssize_t parts, const floating* kind,
) noexcept nogil:
    """Transform the filters, for the backward pass those of the input's gradient too."""
    cdef const Maps* m = &a.forward
    cdef Py_ssize_t first = part_start(m.F, part, parts), last = part_start(m.F, part + 1, parts)
    transform_filters(
        m.C, m.F, m.wide_F, part_start(m.C, part, parts), part_start(m.C, part + 1, parts),
        <const floating*> a.weights, <floating*> a.filters)
    if part == 0:
        memcpy(a.wide_bias, a.bias, m.F * sizeof(floating))
    if training and a.dx != NULL:
        turn_filters(m.C, m.F, m.wide_C, first, last, <const floating*> a.weights, <floating*> a.turned)
        transform_filters(
            m.F, m.wide_C, m.wide_C, first, last, <const floating*> a.turned, <floating*> a.turned_filters)


cdef void forward(const Arrays* a, Span span, floating* scratch) noexcept nogil:
    cdef const Maps* m = &a.forward
    convolve(
        m, span.last - span.first, <const floating*> a.x + span.x * m.H * m.W * m.C, <const floating*> a.filters,
        <const floating*> a.wide_bias, a.relu, <floating*> a.y + span.y * m.P * m.Q * m.F, scratch)


cdef void backward(
    const Arrays* a, Span span,
    floating* scratch,
    floating* partial,            # IN, OUT  (3, 3, C, wide_F), then (wide_F): dweights and dbias, added to
) noexcept nogil:
    cdef const Maps* m = &a.forward
    cdef Py_ssize_t samples = span.last - span.first, first, some, map = m.P * m.Q * m.F, image = m.H * m.W * m.C
    cdef floating* dfilters = scratch
    cdef floating* masked = dfilters + filters_size(m.C, m.wide_F)
    cdef floating* rest = masked + a.some * m.P * m.Q * m.wide_F
    cdef const floating* y = NULL
    cdef const floating* dy
    cdef const floating* no_bias = NULL
    memset(dfilters, 0, filters_size(m.C, m.wide_F) * sizeof(floating))
    first = 0
    while first < samples:
        some = min(a.some, samples - first)
        if a.relu:
            y = <const floating*> a.y + (span.y + first) * map
        dy = <const floating*> a.dy + (span.y + first) * map
        mask_rows(some * m.P * m.Q, m.F, y, dy, masked, partial + 9 * m.C * m.wide_F)
        add_weight_gradient(
            m, some, <const floating*> a.x + (span.x + first) * image, <const floating*> masked, m.wide_F, dfilters,
            rest)
        if a.dx != NULL:
            convolve(
                &a.backward, some, <const floating*> masked, <const floating*> a.turned_filters, no_bias, False,
                <floating*> a.dx + (span.x + first) * image, rest)
        first += some
    add_filter_gradients(m.C, m.wide_F, <const floating*> dfilters, partial)


cdef void finish(
    const Arrays* a, Py_ssize_t tasks, Py_ssize_t part, Py_ssize_t parts, floating* partials, Py_ssize_t size,
) noexcept nogil:
    cdef const Maps* m = &a.forward
    add_up_rows(
        partials, size, tasks, part, parts, 9 * m.C, m.F, m.wide_F, <floating*> a.dweights, <floating*> a.dbias)
