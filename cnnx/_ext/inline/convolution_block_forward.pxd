# The forward pass of a convolution block, in two ways: see convolution_block.pyx.

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int32_t
from libc.string cimport memset

from cnnx._ext.inline.activations cimport RELU, activate
from cnnx._ext.inline.convolution_block_shape cimport Arrays, Shape, origin_of, with_padding
from cnnx._ext.inline.gemm cimport Layout, lanes, multiply_columns
from cnnx._ext.program cimport Span, begin_of, end_of
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.even_parts cimport part_start, round_up
from cnnx._ext.inline.dot_and_transpose cimport transpose

cdef extern from "simd/convolution_few_filters.h" nogil:
    int BLOCK_PLACES
    int BLOCK_FILTERS
    void take_columns(
        ptrdiff_t count, ptrdiff_t step, const void* source, ptrdiff_t readable, void* to)
    void columns_block(
        int places, int filters, int taps, const int32_t* at, int at_row, const void* x,
        const void* weights, ptrdiff_t weights_row, const void* bias,
        const int32_t* place_origins, bint go_on, void* best, int32_t* origins)
    void finish_columns(
        int filters, int count, int32_t origin, int32_t step, bint relu,
        void* best, const int32_t* best_origins, int32_t* origins)


cdef extern from "simd/max_and_relu.h" nogil:
    void pool_window(
        Py_ssize_t filters, int places, const int32_t* at, const int32_t* place_origins, int32_t origin,
        bint relu, const void* band, void* y, int32_t* origins)


cdef inline bint is_narrow(const Shape* s, Py_ssize_t width):
    """Whether columns fill vectors so much better than filters do that it pays to lay them out so.

    That computes a pooling window in registers, which counts for more where the filters are small.
    """
    cdef double by_filters = <double> s.F / s.wide_F
    cdef double by_columns = <double> s.Q / round_up(s.Q, width)
    cdef double least = 1.1 if s.K <= 32 else 1.4
    # Where pooling windows overlap, each would compute its positions for itself.
    cdef bint overlap = s.pool.stride_height < s.pool.height or s.pool.stride_width < s.pool.width
    return s.pooled and not overlap and by_columns > least * by_filters


cdef inline void list_taps(const Shape* s, int32_t* taps):
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


cdef inline void forward_pass(const Arrays* a, const Span* span, floating* scratch) noexcept nogil:
    cdef const Shape* s = &a.shape
    cdef Py_ssize_t image = s.H * s.W * s.C, map = s.P * s.Q * s.F, i
    cdef const floating* x = <const floating*> a.x + span.x * image
    cdef floating* y = <floating*> a.y + span.y * map
    cdef int32_t* origins = NULL
    for i in range(span.last - span.first):
        if a.origins != NULL:
            origins = a.origins + (span.y + i) * s.map
        if s.narrow:
            forward_narrow(a, span, x + i * image, y + i * map, origins, scratch)
        elif s.pooled:
            forward_wide(a, span, x + i * image, y + i * map, origins, scratch)
        else:
            forward_rows(a, span, x + i * image, y + i * map, scratch)


cdef inline void forward_rows(
    const Arrays* a, const Span* span,
    const floating* image,        # IN   (H, W, C)
    floating* y,                  # OUT  (P, Q, F)
    floating* scratch,
) noexcept nogil:
    """Without pooling, rows of the map are written where they belong."""
    cdef const Shape* s = &a.shape
    cdef Py_ssize_t line = s.padded_columns * s.C, step = s.window.stride_width * s.C
    cdef Py_ssize_t row_step = s.window.stride_height * line, t, first, last
    cdef Py_ssize_t top = 0, bottom = s.P, left = 0, right = s.Q, p
    cdef Layout windows = Layout(step, 1, line, row_step)
    cdef const floating* padded = with_padding(s, image, scratch)
    # Two rows at a time share what is loaded of the filters; each part of them has to have two columns at least.
    cdef bint pairs = s.F <= lanes(y) and s.Q >= 2 * s.tiles
    cdef int some
    if s.pointwise:  # one row: a part is some of its columns
        left, right = begin_of(span, s.Q), end_of(span, s.Q)
    else:
        top, bottom = begin_of(span, s.P), end_of(span, s.P)
    p = top
    while p < bottom:
        some = 2 if pairs and p + 1 < bottom else 1
        for t in range(s.tiles):
            first = left + part_start(right - left, t, s.tiles)
            last = left + part_start(right - left, t + 1, s.tiles)
            multiply_columns(
                last - first, s.F, s.window.height, s.window.width * s.C, padded + p * row_step + first * step,
                windows, <const floating*> a.weights, s.F, y + (p * s.Q + first) * s.F, s.F,
                <const floating*> a.bias, False, some, s.Q * s.F)
        p += some
    if s.relu:
        y += (top * s.Q + left) * s.F
        activate(RELU, (bottom - top) * (right - left) * s.F, y, y, 0)


cdef inline void forward_wide(
    const Arrays* a, const Span* span,
    const floating* image,        # IN   (H, W, C)
    floating* y,                  # OUT  (P, Q, F)
    int32_t* origins,             # OUT  (P, Q, F), or NULL
    floating* scratch,
) noexcept nogil:
    cdef const Shape* s = &a.shape
    cdef Py_ssize_t line = s.padded_columns * s.C, row = s.columns * s.wide_F
    cdef Py_ssize_t row_step = s.window.stride_height * line
    cdef Layout windows = Layout(s.window.stride_width * s.C, 1, line, row_step)
    cdef const floating* padded = with_padding(s, image, scratch)
    cdef floating* band = scratch + round_up(s.padded_rows * line + lanes(y), lanes(y))
    cdef int32_t* unused = <int32_t*> (band + s.pool.height * row)
    cdef Py_ssize_t p, q, pixel, slot, end, next_row = 0, places = s.pool.height * s.pool.width
    # Two rows at a time share what is loaded of the filters.
    cdef bint pairs = s.wide_F == lanes(y) and s.columns > 1
    cdef int some
    for p in range(begin_of(span, s.P), end_of(span, s.P)):
        # The band is a ring of rows: where pooling windows overlap, the rows that they share stay.
        next_row = max(next_row, p * s.pool.stride_height)
        end = p * s.pool.stride_height + s.pool.height
        while next_row < end:
            slot = next_row % s.pool.height
            some = 2 if pairs and next_row + 1 < end and slot + 1 < s.pool.height else 1
            multiply_columns(
                s.columns, s.wide_F, s.window.height, s.window.width * s.C, padded + next_row * row_step, windows,
                <const floating*> a.weights, s.F, band + slot * row, s.wide_F, <const floating*> a.bias, False,
                some, row)
            next_row += some
        for q in range(s.Q):
            pixel = (p * s.Q + q) * s.F
            pool_window(
                s.F, <int> places, a.band_places + p * s.pool.stride_height % s.pool.height * places, a.place_origins,
                <int32_t> origin_of(s, p * s.pool.stride_height, q * s.pool.stride_width), s.relu,
                band + q * s.pool.stride_width * s.wide_F, y + pixel,
                origins + pixel if origins != NULL else unused)


cdef inline void forward_narrow(
    const Arrays* a, const Span* span,
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
    for p in range(begin_of(span, s.P), end_of(span, s.P)):
        for block in range((s.Q + width - 1) // width):
            q = block * width
            for group in range((s.F + BLOCK_FILTERS - 1) // BLOCK_FILTERS):
                f = group * BLOCK_FILTERS
                filters = <int> min(<Py_ssize_t> BLOCK_FILTERS, s.F - f)
                for part in range((places + BLOCK_PLACES - 1) // BLOCK_PLACES):
                    place = part * BLOCK_PLACES
                    some = <int> min(<Py_ssize_t> BLOCK_PLACES, places - place)
                    columns_block(
                        some, filters, <int> s.K, a.taps + place, <int> places, narrow + p * row + q,
                        weights + f, s.F, bias + f, a.place_origins + place, place > 0,
                        best + f * width, best_origins + f * width)
            origin = <int32_t> origin_of(s, p * s.pool.stride_height, q * s.pool.stride_width)
            finish_columns(
                <int> s.F, <int> min(width, s.Q - q), origin, step, s.relu, best, best_origins, origins)
            transpose(s.F, min(width, s.Q - q), best, width, y + (p * s.Q + q) * s.F, s.F)
            if keep:
                origins += s.F * width


cdef inline void lay_out_narrow(const Shape* s, const floating* image, floating* narrow) noexcept nogil:
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
                take_columns(last - first, s.period * s.C, image + from_, size - from_, to + first)
                memset(to + last, 0, (s.phase_row - last) * sizeof(floating))
