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

from cnnx._ext.gemm cimport Layout, lanes, multiply_columns, pack, round_up
from cnnx._ext.program cimport Block, Span, share
from cnnx._ext.real cimport floating
from cnnx._ext.window cimport Window, as_window

cdef extern from "columns.h" nogil:
    int BLOCK_PLACES
    int BLOCK_FILTERS
    void columns_block_float(
        int places, int filters, int taps, const int32_t* at, int at_row, const float* x,
        const float* weights, ptrdiff_t weights_row, const float* bias,
        int first_place, float* best, float* best_place)
    void columns_block_double(
        int places, int filters, int taps, const int32_t* at, int at_row, const double* x,
        const double* weights, ptrdiff_t weights_row, const double* bias,
        int first_place, double* best, double* best_place)

cdef extern from "patches.h" nogil:
    int MAX_PATCH_VECTORS
    bint HALF_VECTORS
    void add_patches_float(
        int vectors, ptrdiff_t count, const int32_t* origins, const float* gradients,
        const float* image, const ptrdiff_t* at, float* sums)
    void add_patches_double(
        int vectors, ptrdiff_t count, const int32_t* origins, const double* gradients,
        const double* image, const ptrdiff_t* at, double* sums)
    void add_patches_half_float(
        int vectors, ptrdiff_t count, const int32_t* origins, const float* gradients,
        const float* image, const ptrdiff_t* at, float* sums)
    void add_patches_half_double(
        int vectors, ptrdiff_t count, const int32_t* origins, const double* gradients,
        const double* image, const ptrdiff_t* at, double* sums)
    void spread_patches_float(
        int vectors, ptrdiff_t count, const int32_t* origins, const float* gradients,
        const float* filter, const ptrdiff_t* at, float* image)
    void spread_patches_double(
        int vectors, ptrdiff_t count, const int32_t* origins, const double* gradients,
        const double* filter, const ptrdiff_t* at, double* image)
    void spread_patches_half_float(
        int vectors, ptrdiff_t count, const int32_t* origins, const float* gradients,
        const float* filter, const ptrdiff_t* at, float* image)
    void spread_patches_half_double(
        int vectors, ptrdiff_t count, const int32_t* origins, const double* gradients,
        const double* filter, const ptrdiff_t* at, double* image)

cdef enum:
    DEAD = -1
    # A band of the backward pass: as many pooled rows as keep the image's rows below this in the cache.
    BAND_BYTES = 24576
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
    Py_ssize_t band               # pooled rows to a band of the backward pass
    Py_ssize_t tile               # positions to a tile of the dense backward pass


cdef struct Arrays:
    Shape shape
    void* x                       # (N, H, W, C)
    void* weights                 # (R, S, C, F)
    void* bias                    # (F)
    void* y                       # (N, P, Q, F)
    int32_t* origins              # (N, P, Q, F)
    void* dy                      # (N, P, Q, F)
    void* dx                      # (N, H, W, C), or NULL
    void* dweights                # (R, S, C, F)
    void* dbias                   # (F)
    void* packed                  # (K, wide_F), or NULL where weights need no packing
    void* filters                 # (F, vectors, width), zeros at the ends of rows; dense: (F, K rounded up)
    ptrdiff_t* at                 # (vectors) where a patch's vectors begin
    int32_t* taps                 # narrow: (K, places) where each tap of each place begins


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
        s.H, s.W, s.C = x.shape[1:]
        s.P, s.Q, s.F = y.shape[1:]
        s.rows, s.columns = positions
        s.window, s.relu, s.pooled = as_window(window), relu, pool is not None
        s.pool = as_window(pool if s.pooled else (1, 1, 1, 1, 0, 0))
        if self.doubles:
            self.lay_out(len(x), size, lanes(<double*> NULL))
        else:
            self.lay_out(len(x), size, lanes(<float*> NULL))

    cdef int lay_out(self, Py_ssize_t capacity, size_t size, Py_ssize_t width) except -1:
        """Choose the ways to compute, and make room for what they need."""
        cdef Arrays* a = &self.a
        cdef Shape* s = &a.shape
        cdef Py_ssize_t places = s.pool.height * s.pool.width, row = s.window.width * s.C
        cdef Py_ssize_t image, forward_size, backward_size = 0
        s.K = s.window.height * row
        s.padded_rows = (s.rows - 1) * s.window.stride_height + s.window.height
        s.padded_columns = (s.columns - 1) * s.window.stride_width + s.window.width
        s.wide_F = round_up(s.F, width)
        s.period = s.pool.stride_width * s.window.stride_width
        s.phase_row = round_up(s.Q, width) + (s.padded_columns + s.period - 1) // s.period - s.Q + width
        s.narrow = is_narrow(s, width)
        if a.dy != NULL:
            a.origins = <int32_t*> self.room(capacity * s.P * s.Q * s.F * sizeof(int32_t))
        # Beyond the image's end a vector may be read.
        image = round_up(s.padded_rows * s.padded_columns * s.C + width, width)
        if s.narrow:
            a.taps = <int32_t*> self.room(s.K * places * sizeof(int32_t))
            list_taps(s, a.taps)
            forward_size = s.padded_rows * s.C * s.period * s.phase_row + 2 * round_up(s.F, BLOCK_FILTERS) * width
        else:
            if s.wide_F != s.F:
                a.packed = self.room(s.K * s.wide_F * size)
            forward_size = image + (s.pool.height * s.columns + 1) * s.wide_F
        if a.dy != NULL:
            s.width = width // 2 if HALF_VECTORS and row <= width // 2 else width
            s.per_row = (row + s.width - 1) // s.width
            s.vectors = s.window.height * s.per_row
            s.chunks = (s.vectors + MAX_PATCH_VECTORS - 1) // MAX_PATCH_VECTORS
            a.at = <ptrdiff_t*> self.room(s.vectors * sizeof(ptrdiff_t))
            for i in range(s.vectors):
                a.at[i] = (i // s.per_row) * s.padded_columns * s.C + (i % s.per_row) * s.width
            s.band = max(1, min(s.P, <Py_ssize_t> BAND_BYTES // (
                s.padded_columns * s.C * size * s.window.stride_height * s.pool.stride_height)))
            s.tile = max(<Py_ssize_t> 12, <Py_ssize_t> (TILE_BYTES // (s.K * size)))
            if s.pooled:
                self.partial_bytes = (s.F * s.vectors * s.width + s.F) * size
                # Origins and gradients of a band, and how many each filter has.
                backward_size = 2 * image + s.band * s.Q * s.F * 2 + s.F * 2
            else:
                self.partial_bytes = (s.K + 1) * s.wide_F * size
                backward_size = 2 * image + s.P * s.Q * s.wide_F + s.tile * round_up(s.K, width)
            a.filters = self.room(s.F * max(s.vectors * s.width, round_up(s.K, width)) * size)
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
    """Lay the weights out as the passes read them."""
    cdef const Shape* s = &a.shape
    cdef const floating* weights = <const floating*> a.weights
    cdef floating* filters = <floating*> a.filters
    cdef Py_ssize_t first = share(s.K, part, parts), last = share(s.K, part + 1, parts)
    cdef Py_ssize_t row = s.window.width * s.C, k, f, patch
    if a.packed != NULL:
        pack(last - first, s.F, weights + first * s.F, Layout(s.F, 1, 0), <floating*> a.packed + first * s.wide_F)
    if not training or a.dx == NULL:
        return
    if s.pooled:
        patch = s.vectors * s.width
        for k in range(first, last):
            for f in range(s.F):
                filters[f * patch + (k // row) * s.per_row * s.width + k % row] = weights[k * s.F + f]
    else:
        patch = round_up(s.K, lanes(kind))
        for k in range(first, last):
            for f in range(s.F):
                filters[f * patch + k] = weights[k * s.F + f]


cdef void copy_padded(const Shape* s, const floating* image, floating* padded) noexcept nogil:
    """Copy the rows and columns that windows cover, with zeros where they are padding."""
    cdef Py_ssize_t line = s.padded_columns * s.C, row, source
    cdef Py_ssize_t begin = s.window.pad_left, end = min(s.padded_columns, s.window.pad_left + s.W)
    for row in range(s.padded_rows):
        source = row - s.window.pad_top
        if 0 <= source < s.H:
            memset(padded, 0, begin * s.C * sizeof(floating))
            memcpy(padded + begin * s.C, image + source * s.W * s.C, (end - begin) * s.C * sizeof(floating))
            memset(padded + end * s.C, 0, (s.padded_columns - end) * s.C * sizeof(floating))
        else:
            memset(padded, 0, line * sizeof(floating))
        padded += line


cdef void forward(const Arrays* a, Span span, floating* scratch) noexcept nogil:
    cdef const Shape* s = &a.shape
    cdef Py_ssize_t image = s.H * s.W * s.C, map = s.P * s.Q * s.F, n
    cdef int32_t* origins = NULL
    for n in range(span.first, span.last):
        if a.origins != NULL:
            origins = a.origins + n * map
        if s.narrow:
            forward_narrow(a, <const floating*> a.x + n * image, <floating*> a.y + n * map, origins, scratch)
        else:
            forward_wide(a, <const floating*> a.x + n * image, <floating*> a.y + n * map, origins, scratch)


cdef void forward_wide(
    const Arrays* a,
    const floating* image,        # IN   (H, W, C)
    floating* y,                  # OUT  (P, Q, F)
    int32_t* origins,             # OUT  (P, Q, F), or NULL
    floating* scratch,
) noexcept nogil:
    cdef const Shape* s = &a.shape
    cdef const floating* weights = <const floating*> (a.packed if a.packed != NULL else a.weights)
    cdef Py_ssize_t line = s.padded_columns * s.C, row = s.columns * s.wide_F
    cdef Layout windows = Layout(s.window.stride_width * s.C, 1, line)
    cdef floating* padded = scratch
    cdef floating* band = scratch + round_up(s.padded_rows * line + lanes(y), lanes(y))
    cdef Py_ssize_t p, next_row = 0
    copy_padded(s, image, padded)
    for p in range(s.P):
        # The band is a ring of rows: where pooling windows overlap, the rows that they share stay.
        next_row = max(next_row, p * s.pool.stride_height)
        while next_row < p * s.pool.stride_height + s.pool.height:
            multiply_columns(
                s.columns, s.F, s.window.height, s.window.width * s.C,
                <const floating*> padded + next_row * s.window.stride_height * line, windows,
                weights, s.wide_F, band + (next_row % s.pool.height) * row, s.wide_F,
                <const floating*> a.bias, False)
            next_row += 1
        pool_band(s, band, p, y + p * s.Q * s.F, origins + p * s.Q * s.F if origins != NULL else NULL)


cdef void pool_band(
    const Shape* s,
    const floating* band,         # IN   (pool.height, columns, wide_F)
    Py_ssize_t p,
    floating* y,                  # OUT  (Q, F)
    int32_t* origins,             # OUT  (Q, F), or NULL
) noexcept nogil:
    """Pool one row; the first of equals wins, and a NaN wins over every number."""
    cdef Py_ssize_t q, f, r, column, top, step = s.window.stride_width * s.C
    cdef int32_t origin
    cdef const floating* pixel
    cdef floating value
    for q in range(s.Q):
        for r in range(s.pool.height):
            top = p * s.pool.stride_height + r
            for column in range(s.pool.width):
                pixel = band + (
                    (top % s.pool.height) * s.columns + q * s.pool.stride_width + column) * s.wide_F
                origin = <int32_t> (
                    top * s.window.stride_height * s.padded_columns * s.C
                    + (q * s.pool.stride_width + column) * step)
                if r == 0 and column == 0:
                    memcpy(y, pixel, s.F * sizeof(floating))
                    if origins != NULL:
                        for f in range(s.F):
                            origins[f] = origin
                elif origins != NULL:
                    for f in range(s.F):
                        value = pixel[f]
                        if not value <= y[f] and y[f] == y[f]:
                            y[f] = value
                            origins[f] = origin
                else:
                    for f in range(s.F):
                        value = pixel[f]
                        if not value <= y[f] and y[f] == y[f]:
                            y[f] = value
        if s.relu:
            if origins != NULL:
                for f in range(s.F):
                    origins[f] = origins[f] if y[f] > 0 else DEAD
            for f in range(s.F):
                y[f] = 0 if y[f] <= 0 else y[f]
        y += s.F
        if origins != NULL:
            origins += s.F


cdef void forward_narrow(
    const Arrays* a,
    const floating* image,        # IN   (H, W, C)
    floating* y,                  # OUT  (P, Q, F)
    int32_t* origins,             # OUT  (P, Q, F), or NULL
    floating* scratch,
) noexcept nogil:
    cdef const Shape* s = &a.shape
    cdef const floating* weights = <const floating*> a.weights
    cdef const floating* bias = <const floating*> a.bias
    cdef Py_ssize_t width = lanes(y), places = s.pool.height * s.pool.width
    cdef Py_ssize_t step = s.pool.stride_height * s.window.stride_height * s.C * s.period * s.phase_row
    cdef floating* narrow = scratch
    cdef floating* best = scratch + s.padded_rows * s.C * s.period * s.phase_row
    cdef floating* best_place = best + round_up(s.F, BLOCK_FILTERS) * width
    cdef Py_ssize_t p, q, f, place, block, group, part
    cdef int filters, some
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
                            some, filters, <int> s.K, a.taps + place, <int> places, narrow + p * step + q,
                            weights + f, s.F, bias + f, <int> place, best + f * width, best_place + f * width)
                    else:
                        columns_block_double(
                            some, filters, <int> s.K, a.taps + place, <int> places, narrow + p * step + q,
                            weights + f, s.F, bias + f, <int> place, best + f * width, best_place + f * width)
            take_columns(
                s, best, best_place, p, q, min(width, s.Q - q), y + (p * s.Q + q) * s.F,
                origins + (p * s.Q + q) * s.F if origins != NULL else NULL)


cdef void lay_out_narrow(const Shape* s, const floating* image, floating* narrow) noexcept nogil:
    """Copy the image so that the columns that neighbouring lanes read are neighbours."""
    cdef Py_ssize_t row, source, phase, c, first, last, j
    cdef const floating* pixels
    cdef floating* to = narrow
    for row in range(s.padded_rows):
        source = row - s.window.pad_top
        for c in range(s.C):
            for phase in range(s.period):
                memset(to, 0, s.phase_row * sizeof(floating))
                if 0 <= source < s.H:
                    # Columns phase + period j - pad_left that lie inside the image.
                    first = max(0, (s.window.pad_left - phase + s.period - 1) // s.period)
                    last = max(0, (s.W + s.window.pad_left - phase + s.period - 1) // s.period)
                    last = min(last, s.phase_row)
                    pixels = image + (source * s.W + phase - s.window.pad_left) * s.C + c
                    for j in range(first, last):
                        to[j] = pixels[j * s.period * s.C]
                to += s.phase_row


cdef void take_columns(
    const Shape* s,
    const floating* best,         # IN   (F, lanes)
    const floating* best_place,   # IN   (F, lanes)
    Py_ssize_t p, Py_ssize_t first, Py_ssize_t count,
    floating* y,                  # OUT  (count, F)
    int32_t* origins,             # OUT  (count, F), or NULL
) noexcept nogil:
    """Write what lies in lanes as pixels, after ReLU."""
    cdef Py_ssize_t f, q, place, width = lanes(best), line = s.padded_columns * s.C
    cdef floating value
    for f in range(s.F):
        for q in range(count):
            value = best[f * width + q]
            y[q * s.F + f] = 0 if s.relu and value <= 0 else value
        if origins != NULL:
            for q in range(count):
                place = <Py_ssize_t> best_place[f * width + q]
                origins[q * s.F + f] = DEAD if s.relu and not best[f * width + q] > 0 else <int32_t> (
                    (p * s.pool.stride_height + place // s.pool.width) * s.window.stride_height * line
                    + ((first + q) * s.pool.stride_width + place % s.pool.width) * s.window.stride_width * s.C)


cdef void backward(const Arrays* a, Span span, floating* scratch, floating* partial) noexcept nogil:
    """Add the gradient of some samples to `partial`, and write dx."""
    cdef const Shape* s = &a.shape
    cdef Py_ssize_t image = s.H * s.W * s.C, map = s.P * s.Q * s.F, n
    cdef Py_ssize_t padded_size = round_up(s.padded_rows * s.padded_columns * s.C + lanes(scratch), lanes(scratch))
    cdef floating* padded = scratch
    cdef floating* dpadded = NULL if a.dx == NULL else scratch + padded_size
    cdef floating* rest = scratch + 2 * padded_size
    for n in range(span.first, span.last):
        copy_padded(s, <const floating*> a.x + n * image, padded)
        if dpadded != NULL:
            memset(dpadded, 0, padded_size * sizeof(floating))
        if s.pooled:
            backward_sparse(
                a, padded, a.origins + n * map, <const floating*> a.dy + n * map, dpadded, partial, rest)
        else:
            backward_dense(
                a, padded, a.origins + n * map, <const floating*> a.dy + n * map, dpadded, partial, rest)
        if dpadded != NULL:
            copy_unpadded(s, dpadded, <floating*> a.dx + n * image)


cdef void copy_unpadded(const Shape* s, const floating* padded, floating* image) noexcept nogil:
    """Copy back what `copy_padded` copies; what no window covers is zero."""
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
    const int32_t* origins,       # IN       (P, Q, F)
    const floating* dy,           # IN       (P, Q, F)
    floating* dpadded,            # OUT      like padded, added to; or NULL
    floating* partial,            # OUT      (F, vectors, width), then (F): dweights and dbias, added to
    floating* scratch,
) noexcept nogil:
    """Visit the origins that carry gradient, filter by filter, in bands of rows that stay in the cache."""
    cdef const Shape* s = &a.shape
    cdef Py_ssize_t patch = s.vectors * s.width, most = s.band * s.Q, band, first, windows, f, count, i, v, next_v
    cdef floating* gradients = scratch
    cdef int32_t* live = <int32_t*> (scratch + most * s.F)
    cdef int32_t* counts = live + most * s.F
    cdef floating* dbias = partial + s.F * patch
    cdef floating total
    for band in range((s.P + s.band - 1) // s.band):
        first = band * s.band
        windows = min(s.band, s.P - first) * s.Q
        list_live(s, windows, most, origins + first * s.Q * s.F, dy + first * s.Q * s.F, live, gradients, counts)
        for f in range(s.F):
            count = counts[f]
            total = 0
            for i in range(count):
                total += gradients[f * most + i]
            dbias[f] += total
            for i in range(s.chunks):
                v = share(s.vectors, i, s.chunks)
                next_v = share(s.vectors, i + 1, s.chunks)
                visit(
                    s, <int> (next_v - v), count, live + f * most, gradients + f * most, padded, dpadded, a.at + v,
                    <const floating*> a.filters + f * patch + v * s.width, partial + f * patch + v * s.width)


cdef inline void list_live(
    const Shape* s, Py_ssize_t windows, Py_ssize_t most,
    const int32_t* origins,       # IN   (windows, F)
    const floating* dy,           # IN   (windows, F)
    int32_t* live,                # OUT  (F, most)
    floating* gradients,          # OUT  (F, most)
    int32_t* counts,              # OUT  (F)
) noexcept nogil:
    """List, for each filter, the origins that are not dead and their gradients."""
    cdef Py_ssize_t f, i
    cdef int32_t count
    for f in range(s.F):
        count = 0
        for i in range(windows):
            live[f * most + count] = origins[i * s.F + f]
            gradients[f * most + count] = dy[i * s.F + f]
            count += origins[i * s.F + f] != DEAD
        counts[f] = count


cdef inline void visit(
    const Shape* s, int vectors, Py_ssize_t count, const int32_t* origins, const floating* gradients,
    const floating* padded, floating* dpadded, const ptrdiff_t* at, const floating* filter, floating* sums,
) noexcept nogil:
    """Run both loops of patches.h over the same origins."""
    cdef bint half = s.width != lanes(padded)
    if floating is float:
        if half:
            add_patches_half_float(vectors, count, origins, gradients, padded, at, sums)
        else:
            add_patches_float(vectors, count, origins, gradients, padded, at, sums)
        if dpadded != NULL:
            if half:
                spread_patches_half_float(vectors, count, origins, gradients, filter, at, dpadded)
            else:
                spread_patches_float(vectors, count, origins, gradients, filter, at, dpadded)
    else:
        if half:
            add_patches_half_double(vectors, count, origins, gradients, padded, at, sums)
        else:
            add_patches_double(vectors, count, origins, gradients, padded, at, sums)
        if dpadded != NULL:
            if half:
                spread_patches_half_double(vectors, count, origins, gradients, filter, at, dpadded)
            else:
                spread_patches_double(vectors, count, origins, gradients, filter, at, dpadded)


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
    cdef Py_ssize_t patch = round_up(s.K, lanes(dy)), i, f, r, tile, first, count, top, left, k
    cdef floating* masked = scratch
    cdef floating* windows = masked + map * s.wide_F
    cdef floating* dbias = partial + s.K * s.wide_F
    cdef const floating* no_bias = NULL
    cdef floating* pixels
    for i in range(map):
        for f in range(s.F):
            masked[i * s.wide_F + f] = 0 if origins[i * s.F + f] == DEAD else dy[i * s.F + f]
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
    const Arrays* a, Py_ssize_t tasks, Py_ssize_t part, Py_ssize_t parts, const floating* partials, Py_ssize_t size,
) noexcept nogil:
    """Add up the gradients of all tasks, in order, for some filters or some rows of the weights."""
    cdef const Shape* s = &a.shape
    cdef floating* dweights = <floating*> a.dweights
    cdef floating* dbias = <floating*> a.dbias
    cdef Py_ssize_t row = s.window.width * s.C, patch = s.vectors * s.width, k, f, task, place
    cdef Py_ssize_t bias_at = s.F * patch if s.pooled else s.K * s.wide_F
    cdef floating total
    for k in range(share(s.K, part, parts), share(s.K, part + 1, parts)):
        for f in range(s.F):
            if s.pooled:
                place = f * patch + (k // row) * s.per_row * s.width + k % row
            else:
                place = k * s.wide_F + f
            total = partials[place]
            for task in range(1, tasks):
                total += partials[task * size + place]
            dweights[k * s.F + f] = total
    if part == 0:
        for f in range(s.F):
            total = 0
            for task in range(tasks):
                total += partials[task * size + bias_at + f]
            dbias[f] = total
