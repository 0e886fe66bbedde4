"""The block of a convolution with bias, and of the ReLU and max-pooling after it.

Letters: H, W, C rows, columns and channels of the input; P, Q rows and columns of the output, after the
pooling; R, S rows and columns of a filter; F filters; K = R S C, the numbers that one window covers.

Forward. The image is copied into scratch with its padding, so that every window is a few unbroken stretches
of memory, one a row: the matrix of windows need not be stored to be multiplied. Then, either
    wide: filters lie in the lanes of a vector. A band of the map, as many rows as a pooling window has, is
        computed into scratch and pooled from there while it is in the cache; or
    narrow: where filters are too few to fill vectors, neighbouring columns lie in the lanes: see
        simd/convolution_few_filters.h.
The map before pooling is never stored. What is kept is where in the padded image the window began that won
each pooling window, its *origin*, or DEAD where ReLU made a zero.

Backward. After pooling only the origins carry gradient, and of them those that are not dead: they are
listed, filter by filter, and the patches of the image at these origins are all that is visited
(simd/convolution_sparse_backward.h). Patches of dx are added up in slots, one to a pixel, which lie apart from each
other (simd/convolution_gradient_rows.h); or in place, where they begin at whole vectors anyway.
Without pooling most positions carry gradient, and the passes are matrix products.
"""

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport INT32_MAX, int32_t

from cnnx._ext.inline.convolution_block_backward cimport HALF_VECTORS, MAX_PATCH_VECTORS, add_up_tasks, backward_pass
from cnnx._ext.inline.convolution_block_forward cimport forward_pass, is_narrow, list_taps
from cnnx._ext.inline.convolution_block_shape cimport Arrays, Shape, filter_size, list_size, origin_of, slots_size
from cnnx._ext.inline.gemm cimport lanes
from cnnx._ext.program cimport BACKWARD, FINISH, FORWARD, PREPARE, Block, Phase, Span, begin_of, end_of
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.even_parts cimport round_up
from cnnx._ext.inline.dot_and_transpose cimport transpose
from cnnx._ext.inline.window cimport as_window

cdef enum:
    # A band of the backward pass: as many pooled rows as keep what is added to below this.
    BAND_BYTES = 40960
    # A tile of a row, or of the dense backward pass: as many positions as keep what they read below this.
    TILE_BYTES = 24576

ONE_PIXEL = (1, 1, 1, 1, 0, 0, 1, 1)  # a window


cdef class ConvolutionBlock(Block):
    """Convolution, then ReLU if `relu`, then max-pooling; see `cnnx.layers`.

    Args:
        x: (N, H, W, C).
        weights, bias: (R, S, C, F) and (F,).
        y: (N, P, Q, F), written.
        window: of the convolution, a `cnnx._util.windows.Window`.
        positions: (rows, columns) of the map before pooling.
        pool: of the pooling, likewise; None for no pooling.
        relu: whether there is a ReLU, before or after the pooling: that makes no difference.
        dy: (N, P, Q, F), the gradient of y; None where there is no backward pass.
        dx: (N, H, W, C), written, or None where nobody needs it.
        dweights, dbias: written.
    """

    cdef Arrays a

    def __init__(
        self, x, weights, bias, y, window, positions, pool, bint relu, dy=None, dx=None, dweights=None, dbias=None,
    ):
        cdef Arrays* a = &self.a
        cdef Shape* s = &a.shape
        cdef size_t size = weights.itemsize
        self.take(x, y, dy, dx, weights, bias, dweights, dbias)
        a.x, a.weights, a.bias, a.y = self.x, self.weights, self.bias, self.y
        a.dy, a.dx, a.dweights, a.dbias = self.dy, self.dx, self.dweights, self.dbias
        self.weights_size, self.shares = weights.size, True
        s.H, s.W, s.C = x.shape[1:]
        s.P, s.Q, s.F = y.shape[1:]
        s.rows, s.columns = positions
        s.window, s.relu, s.pooled = as_window(window), relu, pool is not None
        s.pool = as_window(pool if s.pooled else ONE_PIXEL)
        s.pointwise = tuple(window) == ONE_PIXEL and not s.pooled
        if s.pointwise:
            s.H, s.W, s.P, s.Q, s.rows, s.columns = 1, s.H * s.W, 1, s.P * s.Q, 1, s.P * s.Q
        self.lay_out(len(y), size, lanes(<double*> NULL) if self.doubles else lanes(<float*> NULL))

    cdef int lay_out(self, Py_ssize_t capacity, Py_ssize_t size, Py_ssize_t width) except -1:
        """Choose the ways to compute, and make room for what they need."""
        cdef Arrays* a = &self.a
        cdef Shape* s = &a.shape
        cdef Py_ssize_t numbers
        s.K = s.window.height * s.window.width * s.C
        s.padded_rows = (s.rows - 1) * s.window.stride_height + s.window.height
        s.padded_columns = (s.columns - 1) * s.window.stride_width + s.window.width
        if s.padded_rows * s.padded_columns > INT32_MAX:
            raise ValueError(f'expected images of at most {INT32_MAX} pixels, got {s.H} x {s.W}')
        s.wide_F = round_up(s.F, width)
        # Beyond the image's end a vector may be read.
        s.image = round_up(s.padded_rows * s.padded_columns * s.C + width, width)
        s.tiles = max(1, s.columns * s.window.stride_width * s.C * size // TILE_BYTES)
        numbers = self.lay_out_forward(width)
        if a.dy != NULL:
            if s.pooled:
                a.origins = <int32_t*> self.room(capacity * s.map * sizeof(int32_t))
            numbers = max(numbers, self.lay_out_backward(size, width))
        self.scratch_bytes = (numbers + width) * size
        return 0

    cdef Py_ssize_t lay_out_forward(self, Py_ssize_t width) except -1:
        """Return how many numbers the forward pass needs as scratch."""
        cdef Arrays* a = &self.a
        cdef Shape* s = &a.shape
        cdef Py_ssize_t places = s.pool.height * s.pool.width, i
        s.period = s.pool.stride_width * s.window.stride_width
        s.phase_row = round_up(s.Q, width) + (s.padded_columns + s.period - 1) // s.period - s.Q + width
        s.narrow = is_narrow(s, width)
        s.map = s.P * (round_up(s.Q, width) if s.narrow else s.Q) * s.F
        a.place_origins = <int32_t*> self.room(places * sizeof(int32_t))
        for i in range(places):
            a.place_origins[i] = <int32_t> origin_of(s, i // s.pool.width, i % s.pool.width)
        if s.narrow:
            a.taps = <int32_t*> self.room(s.K * places * sizeof(int32_t))
            list_taps(s, a.taps)
            return s.padded_rows * s.C * s.period * s.phase_row + 3 * s.F * width
        a.band_places = <int32_t*> self.room(s.pool.height * places * sizeof(int32_t))
        for i in range(s.pool.height * places):
            a.band_places[i] = <int32_t> (
                ((i // places + i % places // s.pool.width) % s.pool.height * s.columns + i % s.pool.width)
                * s.wide_F)
        return s.image + s.pool.height * s.columns * s.wide_F + s.F

    cdef Py_ssize_t lay_out_backward(self, Py_ssize_t size, Py_ssize_t width) except -1:
        """Return how many numbers the backward pass needs as scratch."""
        cdef Arrays* a = &self.a
        cdef Shape* s = &a.shape
        cdef Py_ssize_t row = s.window.width * s.C, i
        s.half = HALF_VECTORS and row <= width // 2
        s.width = width // 2 if s.half else width
        s.per_row = (row + s.width - 1) // s.width
        s.vectors = s.window.height * s.per_row
        s.chunks = (s.vectors + MAX_PATCH_VECTORS - 1) // MAX_PATCH_VECTORS
        s.slotted = a.dx != NULL and s.window.stride_width * s.C % width != 0
        s.pixel = round_up(row + width - 1, s.width) if s.slotted else s.C
        a.at = <ptrdiff_t*> self.room(s.vectors * sizeof(ptrdiff_t))
        a.slot_at = <ptrdiff_t*> self.room(s.vectors * sizeof(ptrdiff_t))
        for i in range(s.vectors):
            a.at[i] = (i // s.per_row) * s.padded_columns * s.C + (i % s.per_row) * s.width
            a.slot_at[i] = (i // s.per_row) * s.padded_columns * s.pixel + (i % s.per_row) * s.width
        a.filters = self.room(s.F * filter_size(s, width) * size)
        if s.pooled:
            s.band = max(1, min(s.P, <Py_ssize_t> BAND_BYTES // (
                s.padded_columns * s.pixel * size * s.window.stride_height * s.pool.stride_height)))
            self.partial_bytes = (s.F * s.vectors * s.width + s.F) * size
            # Slots; gradients and origins, as lists and transposed.
            return 2 * s.image + slots_size(s) + 2 * list_size(s) * s.F + s.F + 2 * s.F * s.band * s.Q
        s.tile = max(<Py_ssize_t> 12, <Py_ssize_t> (TILE_BYTES // (s.K * size)))
        self.partial_bytes = (s.K + 1) * s.wide_F * size
        return 2 * s.image + s.P * s.Q * s.wide_F + s.tile * round_up(s.K, width)

    cdef void run_phase(self, Phase phase, const Span* span, char* scratch) noexcept nogil:
        if self.doubles:
            run(&self.a, phase, span, <double*> scratch)
        else:
            run(&self.a, phase, span, <float*> scratch)


cdef void run(const Arrays* a, Phase phase, const Span* span, floating* scratch) noexcept nogil:
    if phase == PREPARE:
        prepare(a, span, scratch)
    elif phase == FORWARD:
        forward_pass(a, span, scratch)
    elif phase == BACKWARD:
        backward_pass(a, span, scratch, <floating*> span.partial)
    elif phase == FINISH:
        add_up_tasks(a, span, <floating*> span.partial)


cdef void prepare(const Arrays* a, const Span* span, const floating* kind) noexcept nogil:
    """Transpose the weights, one row of a filter at a time, for the backward pass."""
    cdef const Shape* s = &a.shape
    cdef Py_ssize_t row = s.window.width * s.C, filter_row = s.per_row * s.width if s.pooled else row
    cdef Py_ssize_t patch = filter_size(s, lanes(kind)), r
    if not span.training or a.dx == NULL:
        return
    for r in range(begin_of(span, s.window.height), end_of(span, s.window.height)):
        transpose(
            row, s.F, <const floating*> a.weights + r * row * s.F, s.F,
            <floating*> a.filters + r * filter_row, patch)
