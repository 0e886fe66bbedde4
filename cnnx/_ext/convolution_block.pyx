"""Convolution, bias, ReLU and max-pooling in one sweep over an image, as a block of a program.

Letters: H, W, C rows, columns and channels of the input; P, Q rows and columns of the output, behind the
pooling; R, S rows and columns of a filter; F filters; K = R S C, the numbers that one window covers.

Forward. The image is copied into scratch with its padding, so that every window is a few unbroken stretches
of memory, one a row: the matrix of windows need not be stored to be multiplied. Then, either
    wide: filters lie in the lanes of a vector. A band of the map, as many rows as a pooling window has, is
        computed into scratch and pooled from there while it is in the cache; or
    narrow: where filters are too few to fill vectors, neighbouring columns lie in the lanes (columns.h).
The map before pooling is never stored. What is kept is where in the padded image the window began that won
each pooling window, its *origin*, or DEAD where ReLU made a zero.

Backward. Behind pooling only the origins carry gradient, and of them those that are not dead: they are
listed, filter by filter, and the patches of the image at these origins are all that is visited (patches.h).
Without pooling most positions carry gradient, and the passes are matrix products.
"""

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int32_t
from libc.string cimport memcpy, memset

from cnnx._ext.gemm cimport Layout, lanes, multiply_columns, round_up
from cnnx._ext.program cimport Block, Span, share
from cnnx._ext.real cimport floating
from cnnx._ext.vectors cimport dot, transpose, transpose_integers
from cnnx._ext.window cimport Window, as_window

cdef extern from "copy.h" nogil:
    void copy_short(void* to, const void* source, size_t size)

cdef extern from "columns.h" nogil:
    int BLOCK_PLACES
    int BLOCK_FILTERS
    void take_columns_float(
        ptrdiff_t count, ptrdiff_t step, const float* source, ptrdiff_t readable, float* to)
    void take_columns_double(
        ptrdiff_t count, ptrdiff_t step, const double* source, ptrdiff_t readable, double* to)
    void columns_block_float(
        int places, int filters, int taps, const int32_t* at, int at_row, const float* x,
        const float* weights, ptrdiff_t weights_row, const float* bias,
        const int32_t* place_origins, bint go_on, float* best, int32_t* origins)
    void columns_block_double(
        int places, int filters, int taps, const int32_t* at, int at_row, const double* x,
        const double* weights, ptrdiff_t weights_row, const double* bias,
        const int32_t* place_origins, bint go_on, double* best, int32_t* origins)
    void finish_columns_float(
        int filters, int count, int32_t origin, int32_t step, bint relu,
        float* best, const int32_t* best_origins, int32_t* origins)
    void finish_columns_double(
        int filters, int count, int32_t origin, int32_t step, bint relu,
        double* best, const int32_t* best_origins, int32_t* origins)

cdef extern from "pooled.h" nogil:
    int32_t DEAD
    void pool_window_float(
        Py_ssize_t filters, int places, const int32_t* at, const int32_t* place_origins, int32_t origin,
        bint relu, const float* band, float* y, int32_t* origins)
    void pool_window_double(
        Py_ssize_t filters, int places, const int32_t* at, const int32_t* place_origins, int32_t origin,
        bint relu, const double* band, double* y, int32_t* origins)

cdef extern from "patches.h" nogil:
    Py_ssize_t LIST_SLACK
    Py_ssize_t list_live_float(
        Py_ssize_t count, const int32_t* origins, const float* gradients, int32_t* live, float* live_gradients)
    Py_ssize_t list_live_double(
        Py_ssize_t count, const int32_t* origins, const double* gradients, int32_t* live, double* live_gradients)
    int MAX_PATCH_VECTORS
    bint HALF_VECTORS
    void add_patches_float(
        int vectors, ptrdiff_t count, const int32_t* origins, const float* gradients,
        const float* image, ptrdiff_t channels, const ptrdiff_t* at, float* sums)
    void spread_patches_float(
        int vectors, ptrdiff_t count, const int32_t* origins, ptrdiff_t first, const float* gradients,
        const float* filter, ptrdiff_t pixel, const ptrdiff_t* at, float* image)
    void add_patches_double(
        int vectors, ptrdiff_t count, const int32_t* origins, const double* gradients,
        const double* image, ptrdiff_t channels, const ptrdiff_t* at, double* sums)
    void spread_patches_double(
        int vectors, ptrdiff_t count, const int32_t* origins, ptrdiff_t first, const double* gradients,
        const double* filter, ptrdiff_t pixel, const ptrdiff_t* at, double* image)
    void add_patches_half_float(
        int vectors, ptrdiff_t count, const int32_t* origins, const float* gradients,
        const float* image, ptrdiff_t channels, const ptrdiff_t* at, float* sums)
    void spread_patches_half_float(
        int vectors, ptrdiff_t count, const int32_t* origins, ptrdiff_t first, const float* gradients,
        const float* filter, ptrdiff_t pixel, const ptrdiff_t* at, float* image)
    void add_patches_half_double(
        int vectors, ptrdiff_t count, const int32_t* origins, const double* gradients,
        const double* image, ptrdiff_t channels, const ptrdiff_t* at, double* sums)
    void spread_patches_half_double(
        int vectors, ptrdiff_t count, const int32_t* origins, ptrdiff_t first, const double* gradients,
        const double* filter, ptrdiff_t pixel, const ptrdiff_t* at, double* image)

cdef extern from "slots.h" nogil:
    void add_slots_float(
        ptrdiff_t size, ptrdiff_t count, ptrdiff_t row, ptrdiff_t step, const float* slots, ptrdiff_t slot,
        float* line)
    void add_slots_double(
        ptrdiff_t size, ptrdiff_t count, ptrdiff_t row, ptrdiff_t step, const double* slots, ptrdiff_t slot,
        double* line)

cdef enum:
    # A band of the backward pass: as many pooled rows as keep what is added to below this.
    BAND_BYTES = 40960
    # A tile of the dense backward pass: as many positions as keep their windows below this.
    TILE_BYTES = 24576


cdef struct Shape:
    Py_ssize_t H, W, C
    Window window                 # of the convolution
    Py_ssize_t F, K
    Py_ssize_t rows, columns      # of the map before pooling
    Window pool
    Py_ssize_t P, Q
    bint relu, pooled, narrow
    Py_ssize_t padded_rows, padded_columns
    Py_ssize_t wide_F             # F, rounded up to lanes
    # The narrow way's image: each row as `period` rows, one of every period-th column.
    Py_ssize_t period, phase_row
    # Patches: `vectors` of them, of `width` numbers each, `per_row` to a row of the window.
    Py_ssize_t width, per_row, vectors, chunks
    bint half                     # width is half of lanes
    # dx is added up in slots, one to a pixel, or in place where patches begin at whole vectors.
    bint slotted
    Py_ssize_t pixel              # from one pixel to the next: the size of a slot, or C
    Py_ssize_t image              # the padded image's numbers, rounded up, and a vector more
    Py_ssize_t map                # origins to a sample
    Py_ssize_t band               # pooled rows to a band of the backward pass
    Py_ssize_t tile               # positions to a tile of the dense backward pass


cdef struct Arrays:
    Shape shape
    void* x                       # (N, H, W, C)
    void* weights                 # (R, S, C, F)
    void* bias                    # (F)
    void* y                       # (N, P, Q, F)
    int32_t* origins              # (N, P, Q, F), or narrow: (N, P, Q's blocks of lanes, F, lanes)
    void* dy                      # (N, P, Q, F)
    void* dx                      # (N, H, W, C), or NULL
    void* dweights                # (R, S, C, F)
    void* dbias                   # (F)
    void* filters                 # (F, vectors, width), zeros at the ends of rows; dense: (F, K rounded up)
    ptrdiff_t* at                 # (vectors) where a patch's vectors begin, in the image
    ptrdiff_t* slot_at            # (vectors) and where in the slots
    int32_t* taps                 # narrow: (K, places) where each tap of each place begins
    int32_t* place_origins        # (places) origins of a pooling window's places, seen from its first one's
    int32_t* band_places          # wide: (pool.height, places) where they stand in the band, by its first row


cdef class ConvolutionBlock(Block):
    """Convolution, then ReLU if `relu`, then max-pooling; see `cnnx.layers`.

    Args:
        x: (N, H, W, C).
        weights, bias: (R, S, C, F) and (F,).
        y: (N, P, Q, F), written.
        window: of the convolution, a `cnnx.geometry.Window`.
        positions: (rows, columns) of the map before pooling.
        pool: of the pooling, likewise; None for no pooling.
        relu: whether there is a ReLU, before or behind the pooling: that makes no difference.
        dy: (N, P, Q, F), the gradient of y; None for inference alone.
        dx: (N, H, W, C), written, or None where nobody needs it.
        dweights, dbias: written.
    """

    cdef Arrays a

    def __init__(
        self, x, weights, bias, y, window, positions, pool, bint relu, dy=None, dx=None, dweights=None, dbias=None,
    ):
        cdef Arrays* a = &self.a
        cdef Shape* s = &a.shape
        cdef size_t size = weights.dtype.itemsize
        self.doubles = size == sizeof(double)
        a.x, a.weights, a.bias, a.y = self.pointer(x), self.pointer(weights), self.pointer(bias), self.pointer(y)
        a.dy, a.dx = self.pointer(dy), self.pointer(dx)
        a.dweights, a.dbias = self.pointer(dweights), self.pointer(dbias)
        self.weights_size = weights.size
        s.H, s.W, s.C = x.shape[1:]
        s.P, s.Q, s.F = y.shape[1:]
        s.rows, s.columns = positions
        s.window, s.relu, s.pooled = as_window(window), relu, pool is not None
        s.pool = as_window(pool if s.pooled else (1, 1, 1, 1, 0, 0))
        if self.doubles:
            self.lay_out(len(y), size, lanes(<double*> NULL))
        else:
            self.lay_out(len(y), size, lanes(<float*> NULL))

    cdef int lay_out(self, Py_ssize_t capacity, Py_ssize_t size, Py_ssize_t width) except -1:
        """Choose the ways to compute, and make room for what they need."""
        cdef Arrays* a = &self.a
        cdef Shape* s = &a.shape
        cdef Py_ssize_t places = s.pool.height * s.pool.width, row = s.window.width * s.C
        cdef Py_ssize_t forward_size, backward_size = 0
        s.K = s.window.height * row
        s.padded_rows = (s.rows - 1) * s.window.stride_height + s.window.height
        s.padded_columns = (s.columns - 1) * s.window.stride_width + s.window.width
        s.wide_F = round_up(s.F, width)
        s.period = s.pool.stride_width * s.window.stride_width
        s.phase_row = round_up(s.Q, width) + (s.padded_columns + s.period - 1) // s.period - s.Q + width
        s.narrow = is_narrow(s, width)
        a.place_origins = <int32_t*> self.room(places * sizeof(int32_t))
        for i in range(places):
            a.place_origins[i] = <int32_t> origin_of(s, i // s.pool.width, i % s.pool.width)
        s.map = s.P * (round_up(s.Q, width) if s.narrow else s.Q) * s.F
        if a.dy != NULL:
            a.origins = <int32_t*> self.room(capacity * s.map * sizeof(int32_t))
        # Beyond the image's end a vector may be read.
        s.image = round_up(s.padded_rows * s.padded_columns * s.C + width, width)
        if s.narrow:
            a.taps = <int32_t*> self.room(s.K * places * sizeof(int32_t))
            list_taps(s, a.taps)
            forward_size = s.padded_rows * s.C * s.period * s.phase_row + 3 * s.F * width
        else:
            a.band_places = <int32_t*> self.room(s.pool.height * places * sizeof(int32_t))
            for i in range(s.pool.height * places):
                a.band_places[i] = <int32_t> (
                    ((i // places + i % places // s.pool.width) % s.pool.height * s.columns + i % s.pool.width)
                    * s.wide_F)
            forward_size = s.image + s.pool.height * s.columns * s.wide_F + s.F
        if a.dy != NULL:
            s.half = HALF_VECTORS and row <= width // 2
            s.width = width // 2 if s.half else width
            s.per_row = (row + s.width - 1) // s.width
            s.vectors = s.window.height * s.per_row
            s.chunks = (s.vectors + MAX_PATCH_VECTORS - 1) // MAX_PATCH_VECTORS
            a.at = <ptrdiff_t*> self.room(s.vectors * sizeof(ptrdiff_t))
            s.slotted = s.pooled and a.dx != NULL and s.window.stride_width * s.C % width != 0
            s.pixel = round_up(row + width - 1, s.width) if s.slotted else s.C
            a.slot_at = <ptrdiff_t*> self.room(s.vectors * sizeof(ptrdiff_t))
            for i in range(s.vectors):
                a.at[i] = (i // s.per_row) * s.padded_columns * s.C + (i % s.per_row) * s.width
                a.slot_at[i] = (i // s.per_row) * s.padded_columns * s.pixel + (i % s.per_row) * s.width
            s.band = max(1, min(s.P, <Py_ssize_t> BAND_BYTES // (
                s.padded_columns * s.pixel * size * s.window.stride_height * s.pool.stride_height)))
            s.tile = max(<Py_ssize_t> 12, <Py_ssize_t> (TILE_BYTES // (s.K * size)))
            if s.pooled:
                self.partial_bytes = (s.F * s.vectors * s.width + s.F) * size
                # Slots; gradients and origins, as lists and transposed.
                backward_size = (
                    2 * s.image + (band_rows(s) * s.padded_columns * s.pixel if s.slotted else 0)
                    + 2 * list_size(s) * s.F + s.F + 2 * s.F * s.band * s.Q)
            else:
                self.partial_bytes = (s.K + 1) * s.wide_F * size
                backward_size = 2 * s.image + s.P * s.Q * s.wide_F + s.tile * round_up(s.K, width)
            a.filters = self.room(s.F * filter_size(s, width) * size)
        # A vector may be read beyond the end.
        self.scratch_bytes = (max(forward_size, backward_size) + width) * size
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
        cdef char* partial = self.partials + span.task * self.partial_bytes
        if span.fresh:
            memset(partial, 0, self.partial_bytes)
        if self.doubles:
            backward(&self.a, span, <double*> scratch, <double*> partial)
        else:
            backward(&self.a, span, <float*> scratch, <float*> partial)

    cdef void finish(self, Py_ssize_t samples, Py_ssize_t tasks, Py_ssize_t part, Py_ssize_t parts) noexcept nogil:
        if self.doubles:
            finish(&self.a, tasks, part, parts, <double*> self.partials, self.partial_bytes // sizeof(double))
        else:
            finish(&self.a, tasks, part, parts, <float*> self.partials, self.partial_bytes // sizeof(float))


cdef bint is_narrow(const Shape* s, Py_ssize_t width):
    """Whether columns fill vectors so much better than filters do that laying them out anew pays."""
    cdef double by_filters = <double> s.F / s.wide_F
    cdef double by_columns = <double> s.Q / round_up(s.Q, width)
    # Where pooling windows overlap, each would compute its positions for itself.
    cdef bint overlap = s.pool.stride_height < s.pool.height or s.pool.stride_width < s.pool.width
    return not overlap and by_columns > 1.25 * by_filters


cdef void list_taps(const Shape* s, int32_t* taps):
    """Write where, in the narrow image, each tap begins for each place of the pooling window."""
    cdef Py_ssize_t r, c, column, place, places = s.pool.height * s.pool.width, k = 0
    for r in range(s.window.height):
        for column in range(s.window.width):
            for c in range(s.C):
                for place in range(places):
                    taps[k] = <int32_t> narrow_place(
                        s, place // s.pool.width * s.window.stride_height + r,
                        place % s.pool.width * s.window.stride_width + column, c)
                    k += 1


cdef inline Py_ssize_t narrow_place(const Shape* s, Py_ssize_t row, Py_ssize_t column, Py_ssize_t c) noexcept nogil:
    """Return where a pixel of the padded image stands in the narrow image."""
    return ((row * s.C + c) * s.period + column % s.period) * s.phase_row + column // s.period


cdef void prepare(
    const Arrays* a, bint training, Py_ssize_t part, Py_ssize_t parts, const floating* kind,
) noexcept nogil:
    """Transpose the weights, one row of a filter at a time, for the backward pass."""
    cdef const Shape* s = &a.shape
    cdef Py_ssize_t row = s.window.width * s.C, filter_row = s.per_row * s.width if s.pooled else row
    cdef Py_ssize_t patch = filter_size(s, lanes(kind)), r
    if not training or a.dx == NULL:
        return
    for r in range(share(s.window.height, part, parts), share(s.window.height, part + 1, parts)):
        transpose(
            row, s.F, <const floating*> a.weights + r * row * s.F, s.F,
            <floating*> a.filters + r * filter_row, patch)


cdef inline Py_ssize_t filter_size(const Shape* s, Py_ssize_t width) noexcept nogil:
    """Return how many numbers a filter takes, transposed, with the zeros at the ends of its rows."""
    return s.vectors * s.width if s.pooled else round_up(s.K, width)


cdef const floating* with_padding(const Shape* s, const floating* image, floating* scratch) noexcept nogil:
    """Return the rows and columns that windows cover, with zeros where they are padding."""
    cdef Py_ssize_t line = s.padded_columns * s.C, begin = s.window.pad_left
    cdef Py_ssize_t first = s.window.pad_top, last = min(s.padded_rows, s.window.pad_top + s.H), row
    cdef size_t size = (min(s.padded_columns, begin + s.W) - begin) * s.C * sizeof(floating)
    if first == 0 and begin == 0 and s.padded_columns == s.W and s.padded_rows <= s.H:
        return image
    memset(scratch, 0, s.padded_rows * line * sizeof(floating))
    for row in range(first, last):
        copy_short(scratch + row * line + begin * s.C, image + (row - first) * s.W * s.C, size)
    return scratch


cdef void forward(const Arrays* a, Span span, floating* scratch) noexcept nogil:
    cdef const Shape* s = &a.shape
    cdef Py_ssize_t image = s.H * s.W * s.C, map = s.P * s.Q * s.F, i
    cdef const floating* x = <const floating*> a.x + span.x * image
    cdef floating* y = <floating*> a.y + span.y * map
    cdef int32_t* origins = NULL
    for i in range(span.last - span.first):
        if a.origins != NULL:
            origins = a.origins + (span.y + i) * s.map
        if s.narrow:
            forward_narrow(a, x + i * image, y + i * map, origins, scratch)
        else:
            forward_wide(a, x + i * image, y + i * map, origins, scratch)


cdef void forward_wide(
    const Arrays* a,
    const floating* image,        # IN   (H, W, C)
    floating* y,                  # OUT  (P, Q, F)
    int32_t* origins,             # OUT  (P, Q, F), or NULL
    floating* scratch,
) noexcept nogil:
    cdef const Shape* s = &a.shape
    cdef Py_ssize_t line = s.padded_columns * s.C, row = s.columns * s.wide_F
    cdef Layout windows = Layout(s.window.stride_width * s.C, 1, line)
    cdef const floating* padded = with_padding(s, image, scratch)
    cdef floating* band = scratch + round_up(s.padded_rows * line + lanes(y), lanes(y))
    cdef int32_t* unused = <int32_t*> (band + s.pool.height * row)
    cdef Py_ssize_t p, q, pixel, next_row = 0, places = s.pool.height * s.pool.width
    for p in range(s.P):
        # The band is a ring of rows: where pooling windows overlap, the rows that they share stay.
        next_row = max(next_row, p * s.pool.stride_height)
        while next_row < p * s.pool.stride_height + s.pool.height:
            multiply_columns(
                s.columns, s.wide_F, s.window.height, s.window.width * s.C,
                padded + next_row * s.window.stride_height * line, windows,
                <const floating*> a.weights, s.F, band + (next_row % s.pool.height) * row, s.wide_F,
                <const floating*> a.bias, False)
            next_row += 1
        for q in range(s.Q):
            pixel = (p * s.Q + q) * s.F
            pool_window(
                s, a.band_places + p * s.pool.stride_height % s.pool.height * places, a.place_origins,
                <int32_t> origin_of(s, p * s.pool.stride_height, q * s.pool.stride_width),
                band + q * s.pool.stride_width * s.wide_F, y + pixel,
                origins + pixel if origins != NULL else unused)


cdef inline void pool_window(
    const Shape* s, const int32_t* at, const int32_t* place_origins, int32_t origin,
    const floating* band, floating* y, int32_t* origins,
) noexcept nogil:
    cdef int places = <int> (s.pool.height * s.pool.width)
    if floating is float:
        pool_window_float(s.F, places, at, place_origins, origin, s.relu, band, y, origins)
    else:
        pool_window_double(s.F, places, at, place_origins, origin, s.relu, band, y, origins)


cdef inline Py_ssize_t origin_of(const Shape* s, Py_ssize_t row, Py_ssize_t column) noexcept nogil:
    """Return at which pixel of the padded image the window of a position of the map begins."""
    return row * s.window.stride_height * s.padded_columns + column * s.window.stride_width


cdef void forward_narrow(
    const Arrays* a,
    const floating* image,        # IN   (H, W, C)
    floating* y,                  # OUT  (P, Q, F)
    int32_t* origins,             # OUT  (P, blocks, F, lanes), or NULL
    floating* scratch,
) noexcept nogil:
    cdef const Shape* s = &a.shape
    cdef const floating* weights = <const floating*> a.weights
    cdef const floating* bias = <const floating*> a.bias
    cdef Py_ssize_t width = lanes(y), places = s.pool.height * s.pool.width
    cdef Py_ssize_t row = s.pool.stride_height * s.window.stride_height * s.C * s.period * s.phase_row
    cdef int32_t step = <int32_t> origin_of(s, 0, s.pool.stride_width), origin
    cdef floating* narrow = scratch
    cdef floating* best = scratch + s.padded_rows * s.C * s.period * s.phase_row
    cdef int32_t* best_origins = <int32_t*> (best + s.F * width)
    cdef bint keep = origins != NULL
    cdef Py_ssize_t p, q, f, place, block, group, part
    cdef int filters, some
    if not keep:
        origins = best_origins + s.F * width
    lay_out_narrow(s, image, narrow)
    for p in range(s.P):
        for block in range((s.Q + width - 1) // width):
            q = block * width
            for group in range((s.F + BLOCK_FILTERS - 1) // BLOCK_FILTERS):
                f = group * BLOCK_FILTERS
                filters = <int> min(<Py_ssize_t> BLOCK_FILTERS, s.F - f)
                for part in range((places + BLOCK_PLACES - 1) // BLOCK_PLACES):
                    place = part * BLOCK_PLACES
                    some = <int> min(<Py_ssize_t> BLOCK_PLACES, places - place)
                    if floating is float:
                        columns_block_float(
                            some, filters, <int> s.K, a.taps + place, <int> places, narrow + p * row + q,
                            weights + f, s.F, bias + f, a.place_origins + place, place > 0,
                            best + f * width, best_origins + f * width)
                    else:
                        columns_block_double(
                            some, filters, <int> s.K, a.taps + place, <int> places, narrow + p * row + q,
                            weights + f, s.F, bias + f, a.place_origins + place, place > 0,
                            best + f * width, best_origins + f * width)
            origin = <int32_t> origin_of(s, p * s.pool.stride_height, q * s.pool.stride_width)
            if floating is float:
                finish_columns_float(
                    <int> s.F, <int> min(width, s.Q - q), origin, step, s.relu, best, best_origins, origins)
            else:
                finish_columns_double(
                    <int> s.F, <int> min(width, s.Q - q), origin, step, s.relu, best, best_origins, origins)
            transpose(s.F, min(width, s.Q - q), best, width, y + (p * s.Q + q) * s.F, s.F)
            if keep:
                origins += s.F * width


cdef void lay_out_narrow(const Shape* s, const floating* image, floating* narrow) noexcept nogil:
    """Copy the image so that the columns that neighbouring lanes read are neighbours."""
    cdef Py_ssize_t line = s.C * s.period * s.phase_row, size = s.H * s.W * s.C
    cdef Py_ssize_t top = s.window.pad_top, end = min(s.padded_rows, top + s.H)
    cdef Py_ssize_t phase, c, row, first, last, from_
    cdef floating* to
    memset(narrow, 0, top * line * sizeof(floating))
    memset(narrow + end * line, 0, (s.padded_rows - end) * line * sizeof(floating))
    for phase in range(s.period):
        # Columns phase + period j - pad_left that lie inside the image, first <= j < last.
        first = max(0, (s.window.pad_left - phase + s.period - 1) // s.period)
        last = max(0, (s.W + s.window.pad_left - phase + s.period - 1) // s.period)
        last = min(last, s.phase_row)
        for row in range(top, end):
            for c in range(s.C):
                to = narrow + row * line + (c * s.period + phase) * s.phase_row
                from_ = ((row - top) * s.W + phase + s.period * first - s.window.pad_left) * s.C + c
                memset(to, 0, first * sizeof(floating))
                if floating is float:
                    take_columns_float(last - first, s.period * s.C, image + from_, size - from_, to + first)
                else:
                    take_columns_double(last - first, s.period * s.C, image + from_, size - from_, to + first)
                memset(to + last, 0, (s.phase_row - last) * sizeof(floating))


cdef void backward(const Arrays* a, Span span, floating* scratch, floating* partial) noexcept nogil:
    """Add the gradient of some samples to `partial`, and write dx."""
    cdef const Shape* s = &a.shape
    cdef Py_ssize_t image = s.H * s.W * s.C, map = s.P * s.Q * s.F, i
    cdef const floating* x = <const floating*> a.x + span.x * image
    cdef const floating* dy = <const floating*> a.dy + span.y * map
    cdef const int32_t* origins = a.origins + span.y * s.map
    cdef const floating* padded
    cdef floating* dpadded = NULL if a.dx == NULL else scratch + s.image
    cdef floating* rest = scratch + 2 * s.image
    for i in range(span.last - span.first):
        padded = with_padding(s, x + i * image, scratch)
        if dpadded != NULL:
            memset(dpadded, 0, s.image * sizeof(floating))
        if s.pooled:
            backward_sparse(a, padded, origins + i * s.map, dy + i * map, dpadded, partial, rest)
        else:
            backward_dense(a, padded, origins + i * s.map, dy + i * map, dpadded, partial, rest)
        if dpadded != NULL:
            copy_unpadded(s, dpadded, <floating*> a.dx + (span.x + i) * image)


cdef void copy_unpadded(const Shape* s, const floating* padded, floating* image) noexcept nogil:
    """Copy back what `with_padding` copies; what no window covers is zero."""
    cdef Py_ssize_t line = s.padded_columns * s.C, row, from_row
    cdef Py_ssize_t columns = min(s.W, s.padded_columns - s.window.pad_left)
    for row in range(s.H):
        from_row = row + s.window.pad_top
        if from_row < s.padded_rows:
            memcpy(image, padded + from_row * line + s.window.pad_left * s.C, columns * s.C * sizeof(floating))
            memset(image + columns * s.C, 0, (s.W - columns) * s.C * sizeof(floating))
        else:
            memset(image, 0, s.W * s.C * sizeof(floating))
        image += s.W * s.C


cdef void backward_sparse(
    const Arrays* a,
    const floating* padded,       # IN       (padded_rows, padded_columns, C)
    const int32_t* origins,       # IN       (P, Q, F), or as the narrow way writes them
    const floating* dy,           # IN       (P, Q, F)
    floating* dpadded,            # OUT      like padded, added to; or NULL
    floating* partial,            # OUT      (F, vectors, width), then (F): dweights and dbias, added to
    floating* scratch,
) noexcept nogil:
    """Visit the origins that carry gradient, in bands of rows that stay in the cache."""
    cdef const Shape* s = &a.shape
    cdef Py_ssize_t size = list_size(s), patch = s.vectors * s.width
    cdef Py_ssize_t slots_size = band_rows(s) * s.padded_columns * s.pixel if s.slotted else 0
    cdef Py_ssize_t band, first, rows, f, i, v, next_v
    cdef floating* gradients = scratch + slots_size
    cdef floating* spare = gradients + size * s.F
    cdef int32_t* live = <int32_t*> (spare + 2 * s.F * s.band * s.Q)
    cdef int32_t* counts = live + size * s.F
    cdef const floating* filter
    cdef const floating* no_factors = NULL
    for band in range((s.P + s.band - 1) // s.band):
        first = band * s.band
        rows = min(s.band, s.P - first)
        list_band(s, first, rows * s.Q, origins, dy + first * s.Q * s.F, live, gradients, counts, spare)
        if slots_size:
            memset(scratch, 0, slots_size * sizeof(floating))
        for f in range(s.F):
            partial[s.F * patch + f] += dot(counts[f], gradients + f * size, no_factors)
            for i in range(s.chunks):
                v = share(s.vectors, i, s.chunks)
                next_v = share(s.vectors, i + 1, s.chunks)
                add_patches(
                    s, <int> (next_v - v), counts[f], live + f * size, gradients + f * size, padded, a.at + v,
                    partial + f * patch + v * s.width)
                if dpadded == NULL:
                    continue
                filter = <const floating*> a.filters + f * patch + v * s.width
                if s.slotted:
                    spread_patches(
                        s, <int> (next_v - v), counts[f], live + f * size,
                        origin_of(s, first * s.pool.stride_height, 0), gradients + f * size, filter,
                        a.slot_at + v, scratch)
                else:
                    spread_patches(
                        s, <int> (next_v - v), counts[f], live + f * size, 0, gradients + f * size, filter,
                        a.at + v, dpadded)
        if slots_size:
            add_band(s, first * s.pool.stride_height * s.window.stride_height, scratch, dpadded)


cdef inline Py_ssize_t band_rows(const Shape* s) noexcept nogil:
    """Return how many rows of the padded image the windows of a band cover."""
    cdef Py_ssize_t map_rows = (s.band - 1) * s.pool.stride_height + s.pool.height
    return (map_rows - 1) * s.window.stride_height + s.window.height


cdef void add_band(
    const Shape* s, Py_ssize_t first,
    const floating* slots,        # IN   (band_rows, padded_columns, pixel)
    floating* dpadded,            # OUT  (padded_rows, padded_columns, C), added to from row `first` on
) noexcept nogil:
    cdef Py_ssize_t line = s.padded_columns * s.C, row = s.window.width * s.C, step = s.window.stride_width * s.C
    cdef Py_ssize_t pixels = s.window.stride_width * s.pixel, r
    for r in range(min(band_rows(s), s.padded_rows - first)):
        if floating is float:
            add_slots_float(
                line, s.columns, row, step, slots + r * s.padded_columns * s.pixel, pixels, dpadded + (first + r) * line)
        else:
            add_slots_double(
                line, s.columns, row, step, slots + r * s.padded_columns * s.pixel, pixels, dpadded + (first + r) * line)


cdef void list_band(
    const Shape* s, Py_ssize_t first, Py_ssize_t windows,
    const int32_t* origins,       # IN       (P, Q, F), or as the narrow way writes them
    const floating* dy,           # IN       (windows, F), from row `first` on
    int32_t* live,                # OUT      (F, list)
    floating* gradients,          # OUT      (F, list)
    int32_t* counts,              # OUT      (F)
    floating* spare,              # SCRATCH  (2, F, windows)
) noexcept nogil:
    """List, for each filter, the origins of a band that are not dead, and their gradients."""
    cdef Py_ssize_t list = list_size(s), width = lanes(dy), blocks = round_up(s.Q, width) // width
    cdef Py_ssize_t f, row, block, place
    cdef int32_t* columns = <int32_t*> (spare + s.F * windows)
    transpose(windows, s.F, dy, s.F, spare, windows)
    if not s.narrow:
        transpose_integers(windows, s.F, origins + first * s.Q * s.F, s.F, columns, windows)
        for f in range(s.F):
            counts[f] = <int32_t> list_live(
                windows, columns + f * windows, spare + f * windows, live + f * list, gradients + f * list)
        return
    for f in range(s.F):
        counts[f] = 0
        for row in range(windows // s.Q):
            for block in range(blocks):
                place = f * list + counts[f]
                counts[f] += <int32_t> list_live(
                    min(width, s.Q - block * width), origins + (((first + row) * blocks + block) * s.F + f) * width,
                    spare + f * windows + row * s.Q + block * width, live + place, gradients + place)


cdef inline Py_ssize_t list_size(const Shape* s) noexcept nogil:
    """Return how much room the list of one filter takes."""
    return s.band * s.Q + LIST_SLACK


cdef inline Py_ssize_t list_live(
    Py_ssize_t count, const int32_t* origins, const floating* dy, int32_t* live, floating* gradients,
) noexcept nogil:
    if floating is float:
        return list_live_float(count, origins, dy, live, gradients)
    else:
        return list_live_double(count, origins, dy, live, gradients)


cdef inline void add_patches(
    const Shape* s, int vectors, Py_ssize_t count, const int32_t* live, const floating* gradients,
    const floating* image, const ptrdiff_t* at, floating* sums,
) noexcept nogil:
    if floating is float:
        if s.half:
            add_patches_half_float(vectors, count, live, gradients, image, s.C, at, sums)
        else:
            add_patches_float(vectors, count, live, gradients, image, s.C, at, sums)
    elif s.half:
        add_patches_half_double(vectors, count, live, gradients, image, s.C, at, sums)
    else:
        add_patches_double(vectors, count, live, gradients, image, s.C, at, sums)


cdef inline void spread_patches(
    const Shape* s, int vectors, Py_ssize_t count, const int32_t* live, Py_ssize_t first, const floating* gradients,
    const floating* filter, const ptrdiff_t* at, floating* image,
) noexcept nogil:
    if floating is float:
        if s.half:
            spread_patches_half_float(vectors, count, live, first, gradients, filter, s.pixel, at, image)
        else:
            spread_patches_float(vectors, count, live, first, gradients, filter, s.pixel, at, image)
    elif s.half:
        spread_patches_half_double(vectors, count, live, first, gradients, filter, s.pixel, at, image)
    else:
        spread_patches_double(vectors, count, live, first, gradients, filter, s.pixel, at, image)


cdef void backward_dense(
    const Arrays* a,
    const floating* padded,       # IN       (padded_rows, padded_columns, C)
    const int32_t* origins,       # IN       (P, Q, F)
    const floating* dy,           # IN       (P, Q, F)
    floating* dpadded,            # OUT      like padded, added to; or NULL
    floating* partial,            # OUT      (K, wide_F), then (wide_F): dweights and dbias, added to
    floating* scratch,
) noexcept nogil:
    """dweights = windows, transposed, times dy; dx = dy times filters, each row added back to its window."""
    cdef const Shape* s = &a.shape
    cdef Py_ssize_t line = s.padded_columns * s.C, row = s.window.width * s.C, map = s.P * s.Q
    cdef Py_ssize_t patch = filter_size(s, lanes(dy)), i, f, r, tile, first, count, top, left, k
    cdef floating* masked = scratch
    cdef floating* windows = masked + map * s.wide_F
    cdef floating* dbias = partial + s.K * s.wide_F
    cdef const floating* no_bias = NULL
    cdef floating* pixels
    for i in range(map):
        for f in range(s.F):
            masked[i * s.wide_F + f] = 0 if origins[origin_place(s, i, f, lanes(dy))] == DEAD else dy[i * s.F + f]
        for f in range(s.F, s.wide_F):
            masked[i * s.wide_F + f] = 0
        for f in range(s.wide_F):
            dbias[f] += masked[i * s.wide_F + f]
    for r in range(s.window.height):
        multiply_columns(
            row, s.wide_F, s.rows, s.columns,
            padded + r * line, Layout(1, s.window.stride_width * s.C, s.window.stride_height * line),
            <const floating*> masked, s.wide_F, partial + r * row * s.wide_F, s.wide_F, no_bias, True)
    if dpadded == NULL:
        return
    for tile in range((map + s.tile - 1) // s.tile):
        first = tile * s.tile
        count = min(s.tile, map - first)
        multiply_columns(
            count, patch, 1, s.F, <const floating*> masked + first * s.wide_F, Layout(s.wide_F, 1, 0),
            <const floating*> a.filters, patch, windows, patch, no_bias, False)
        for i in range(count):
            top = (first + i) // s.Q * s.window.stride_height
            left = (first + i) % s.Q * s.window.stride_width
            for r in range(s.window.height):
                pixels = dpadded + (top + r) * line + left * s.C
                for k in range(row):
                    pixels[k] += windows[i * patch + r * row + k]


cdef void finish(
    const Arrays* a, Py_ssize_t tasks, Py_ssize_t part, Py_ssize_t parts, floating* partials, Py_ssize_t size,
) noexcept nogil:
    """Add up the gradients of all tasks, in order, for some rows of the weights."""
    cdef const Shape* s = &a.shape
    cdef floating* dweights = <floating*> a.dweights
    cdef floating* dbias = <floating*> a.dbias
    cdef Py_ssize_t row = s.window.width * s.C, patch = filter_size(s, lanes(partials))
    cdef Py_ssize_t bias_at = s.F * patch if s.pooled else s.K * s.wide_F
    cdef Py_ssize_t first = share(s.K, part, parts), last = share(s.K, part + 1, parts), k, r, f, begin, end, place
    if s.pooled:
        for r in range(first // row, (last + row - 1) // row):
            begin = max(first - r * row, 0)
            end = min(last - r * row, row)
            place = r * s.per_row * s.width + begin
            for f in range(s.F):
                add_up(partials, size, tasks, f * patch + place, f * patch + place + end - begin)
            transpose(
                s.F, end - begin, <const floating*> partials + place, patch,
                dweights + (r * row + begin) * s.F, s.F)
    else:
        add_up(partials, size, tasks, first * s.wide_F, last * s.wide_F)
        for k in range(first, last):
            memcpy(dweights + k * s.F, partials + k * s.wide_F, s.F * sizeof(floating))
    if part == 0:
        add_up(partials, size, tasks, bias_at, bias_at + s.F)
        memcpy(dbias, partials + bias_at, s.F * sizeof(floating))


cdef void add_up(
    floating* partials,           # IN, OUT  (tasks, size): the sum goes into the first
    Py_ssize_t size, Py_ssize_t tasks, Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    cdef Py_ssize_t task, i
    cdef const floating* partial
    for task in range(1, tasks):
        partial = partials + task * size
        for i in range(first, last):
            partials[i] += partial[i]


cdef inline Py_ssize_t origin_place(const Shape* s, Py_ssize_t i, Py_ssize_t f, Py_ssize_t width) noexcept nogil:
    """Return where the origin of filter f at output position i is kept."""
    cdef Py_ssize_t row = i // s.Q, column = i % s.Q, blocks = (s.Q + width - 1) // width
    if not s.narrow:
        return i * s.F + f
    return ((row * blocks + column // width) * s.F + f) * width + column % width
