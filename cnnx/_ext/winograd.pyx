"""Convolution by 3 x 3 filters with stride 1, by Winograd's method F(4 x 4, 3 x 3): a quarter of the multiplications.

Letters: see convolution.pyx.

A product of two polynomials is known from its numbers at some points, where it is a product of numbers. Four
neighbouring outputs of a filter of three numbers, in one dimension, need 12 multiplications; made from six points they
need six. In two dimensions that is 36 in place of 144. So:
    V = B^T d B of each tile d, 6 x 6 numbers of a channel of the input;
    U = G g G^T of each filter g, 3 x 3;
    at each of the 36 points, a matrix product over the channels: M = V U;
    y = A^T M A: 4 x 4 outputs. Tiles of the input overlap by two rows and columns.
The matrices are in cnnx/_numpy/winograd.py. What the transforms cost is shared by all filters, or all channels.

Gradients. That of x is such a convolution too, of dy by filters that are turned by half a turn. That of a filter is
G^T (sum over tiles of V (A dy A^T)) G.

Rounding errors are larger than those of sums of products: about twice in y, four to five times in gradients. A NaN
or infinity in x spreads to the 4 x 4 outputs of all tiles that read it.

Source: Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016; with the points 0, +-3/4, +-3/2 and
infinity, which round less than 0, +-1, +-2.
"""

from libc.string cimport memcpy, memset

from cnnx._ext.inline.checks cimport check_shape, check_threads
from cnnx._ext.inline.even_parts cimport round_up
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.gemm cimport lanes
from cnnx._ext.inline.task_sums cimport add_up_rows
from cnnx._ext.inline.window cimport Window, as_window
from cnnx._ext.inline.winograd cimport (
    Maps, add_filter_gradients, add_weight_gradient, convolve, filters_size, maps_of, scratch_size, transform_filters,
    turn_filters,
)
from cnnx._ext.program cimport (
    BACKWARD, FINISH, FORWARD, PREPARE, Block, Phase, Span, begin_of, end_of, in_whole_vectors, run_alone,
)

cdef extern from "simd/convolution_gradient_rows.h" nogil:
    void mask_rows(
        Py_ssize_t rows, Py_ssize_t filters, const void* y, const void* dy, void* masked, void* sums)


def winograd_forward(
    const floating[:, :, :, ::1] x,          # IN   (N, H, W, C)
    const floating[:, :, :, ::1] weights,    # IN   (3, 3, C, F)
    const floating[::1] bias,                # IN   (F)
    floating[:, :, :, ::1] y,                # OUT  (N, P, Q, F)
    window,
    int num_threads,
):
    """y = windows of x times weights, plus bias."""
    check(x.shape, weights.shape, y.shape, bias.shape, num_threads)
    run_alone(
        WinogradBlock(x, in_whole_vectors(weights), bias, y, window, False), x.shape[0], False, num_threads)


def winograd_backward_weights(
    const floating[:, :, :, ::1] x,          # IN   (N, H, W, C)
    const floating[:, :, :, ::1] dy,         # IN   (N, P, Q, F)
    floating[:, :, :, ::1] dweights,         # OUT  (3, 3, C, F)
    floating[::1] dbias,                     # OUT  (F)
    window,
    int num_threads,
):
    """dweights = windows of x, transposed, times dy; dbias = sum of dy."""
    check(x.shape, dweights.shape, dy.shape, dbias.shape, num_threads)
    block = WinogradBlock(x, None, None, dy, window, False, dy, None, dweights, dbias)
    if x.shape[0] == 0:
        dweights[...] = 0
        dbias[...] = 0
    run_alone(block, x.shape[0], True, num_threads)


def winograd_backward_input(
    const floating[:, :, :, ::1] weights,    # IN   (3, 3, C, F)
    const floating[:, :, :, ::1] dy,         # IN   (N, P, Q, F)
    floating[:, :, :, ::1] dx,               # OUT  (N, H, W, C)
    window,
    int num_threads,
):
    """dx = a convolution of dy by the filters, turned by half a turn."""
    check(dx.shape, weights.shape, dy.shape, NULL, num_threads)
    run_alone(
        WinogradBlock(dx, in_whole_vectors(weights), None, dy, window, False, dy, dx), dx.shape[0], True, num_threads)


cdef int check(
    const Py_ssize_t* x, const Py_ssize_t* weights, const Py_ssize_t* y, const Py_ssize_t* bias, int num_threads,
) except -1:
    check_threads(num_threads)
    if x[3] < 1 or y[3] < 1:
        raise ValueError(f'expected at least one channel and one filter, got {x[3]} and {y[3]}')
    check_shape('weights', weights, (3, 3, x[3], y[3]))
    check_shape('y', y, (x[0], y[1], y[2], y[3]))
    check_shape('bias', bias, (y[3],))
    return 0


cdef class WinogradBlock(Block):
    """Convolution by 3 x 3 filters with stride 1, then ReLU if `relu`; see `cnnx.layers.Convolutional`.

    Args:
        x: (N, H, W, C).
        weights, bias: (3, 3, C, F) and (F,); the gradients of the weights alone need neither.
        y: (N, P, Q, F), written.
        window: of the convolution, a `cnnx._util.windows.Window`.
        relu: whether there is a ReLU.
        dy: (N, P, Q, F), the gradient of y; None where there is no backward pass.
        dx: (N, H, W, C), written, or None where nobody needs it.
        dweights, dbias: written, or None where nobody needs them.

    Raises:
        ValueError: the window is not 3 x 3 with stride 1.
    """

    # With more weights than this, their filters, transformed, do not stay in the cache from one tile to the next: in
    # training all tiles go through this block before they go on.
    large_bytes = 131072

    cdef Maps forward             # from x to y
    cdef Maps backward            # from dy, masked by the ReLU, to dx
    cdef bint relu
    cdef void* filters            # transformed
    cdef void* turned             # (3, 3, F, wide_C), those of the input's gradient
    cdef void* turned_filters     # and these transformed
    cdef void* wide_bias          # (wide_F)
    cdef Py_ssize_t some          # samples whose gradients are masked at a time

    def __init__(self, x, weights, bias, y, window, bint relu, dy=None, dx=None, dweights=None, dbias=None):
        cdef Py_ssize_t H, W, C, P, Q, F, wide_C, wide_F, size = x.itemsize
        cdef Py_ssize_t width = lanes(<double*> NULL) if size == sizeof(double) else lanes(<float*> NULL)
        cdef Window w = as_window(window)
        if (w.height, w.width, w.stride_height, w.stride_width) != (3, 3, 1, 1):
            strides = w.stride_height, w.stride_width
            raise ValueError(f'window: expected 3 x 3 with stride 1, got {w.height} x {w.width} with {strides}')
        _, H, W, C = x.shape
        _, P, Q, F = y.shape
        wide_C, wide_F = round_up(C, width), round_up(F, width)
        self.take(x, y, dy, dx, weights, bias, dweights, dbias)
        self.relu, self.shares = relu, True
        self.weights_size = 9 * C * F
        self.of_batch = self.goes_back and self.weights_size * size > self.large_bytes
        self.forward = maps_of(H, W, C, C, P, Q, F, w.pad_top, w.pad_left, width, size)
        self.filters = self.room(filters_size(C, wide_F) * size)
        self.wide_bias = self.room(wide_F * size)
        # As much as the convolution of dx, where channels and filters change places.
        self.scratch_bytes = scratch_size(&self.forward) * size
        if self.goes_back:
            self.some = max(1, self.forward.group // max(1, self.forward.tile_rows * self.forward.tile_columns))
            self.partial_bytes = (9 * C + 1) * wide_F * size
            self.scratch_bytes += (filters_size(C, wide_F) + self.some * P * Q * wide_F) * size
        if dx is not None:
            self.backward = maps_of(P, Q, F, wide_F, H, W, C, 2 - w.pad_top, 2 - w.pad_left, width, size)
            self.turned = self.room(9 * F * wide_C * size)
            self.turned_filters = self.room(filters_size(F, wide_C) * size)

    cdef void run_phase(self, Phase phase, const Span* span, char* scratch) noexcept nogil:
        if self.doubles:
            run(self, phase, span, <double*> scratch)
        else:
            run(self, phase, span, <float*> scratch)


cdef void run(WinogradBlock a, Phase phase, const Span* span, floating* scratch) noexcept nogil:
    if phase == PREPARE and a.weights != NULL:
        prepare(a, span, scratch)
    elif phase == FORWARD:
        forward(a, span, scratch)
    elif phase == BACKWARD:
        backward(a, span, scratch)
    elif phase == FINISH and a.dweights != NULL:
        add_up_rows(
            span, 9 * a.forward.C, a.forward.F, a.forward.wide_F, <floating*> a.dweights, <floating*> a.dbias)


cdef void prepare(WinogradBlock a, const Span* span, const floating* kind) noexcept nogil:
    """Transform the filters, for the backward pass those of the input's gradient too."""
    cdef const Maps* m = &a.forward
    cdef Py_ssize_t first = begin_of(span, m.F), last = end_of(span, m.F)
    transform_filters(
        m.C, m.F, m.wide_F, begin_of(span, m.C), end_of(span, m.C), <const floating*> a.weights,
        <floating*> a.filters)
    if span.part == 0 and a.bias != NULL:
        memcpy(a.wide_bias, a.bias, m.F * sizeof(floating))
    if span.training and a.dx != NULL:
        turn_filters(m.C, m.F, m.wide_C, first, last, <const floating*> a.weights, <floating*> a.turned)
        transform_filters(
            m.F, m.wide_C, m.wide_C, first, last, <const floating*> a.turned, <floating*> a.turned_filters)


cdef void forward(WinogradBlock a, const Span* span, floating* scratch) noexcept nogil:
    cdef const Maps* m = &a.forward
    cdef Py_ssize_t tiles = (span.last - span.first) * m.tile_rows * m.tile_columns
    convolve(
        m, begin_of(span, tiles), end_of(span, tiles), <const floating*> a.x + span.x * m.H * m.W * m.C,
        <const floating*> a.filters, <const floating*> a.wide_bias, a.relu,
        <floating*> a.y + span.y * m.P * m.Q * m.F, scratch)


cdef void backward(WinogradBlock a, const Span* span, floating* scratch) noexcept nogil:
    cdef const Maps* m = &a.forward
    # (3, 3, C, wide_F), then (wide_F): dweights and dbias, added to.
    cdef floating* partial = <floating*> span.partial
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
        if a.dweights != NULL:
            add_weight_gradient(
                m, some, <const floating*> a.x + (span.x + first) * image, <const floating*> masked, dfilters, rest)
        if a.dx != NULL:
            convolve(
                &a.backward, 0, some * a.backward.tile_rows * a.backward.tile_columns, <const floating*> masked,
                <const floating*> a.turned_filters, no_bias, False, <floating*> a.dx + (span.x + first) * image, rest)
        first += some
    if a.dweights != NULL:
        add_filter_gradients(m.C, m.wide_F, <const floating*> dfilters, partial)
