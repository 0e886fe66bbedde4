# The backward pass of a convolution block, after pooling or without: see convolution_block.pyx.

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int32_t
from libc.string cimport memcpy, memset

from cnnx._ext.inline.convolution_block_shape cimport (
    Arrays, Shape, band_rows, filter_size, list_size, origin_of, slots_size, with_padding,
)
from cnnx._ext.inline.gemm cimport Layout, lanes, multiply_columns
from cnnx._ext.program cimport Span, begin_of, end_of
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.even_parts cimport part_start, round_up
from cnnx._ext.inline.dot_and_transpose cimport dot, transpose, transpose_integers
from cnnx._ext.inline.task_sums cimport add_up, add_up_rows

cdef extern from "simd/nonzero_gradients.h" nogil:
    Py_ssize_t list_live(
        Py_ssize_t count, const int32_t* origins, const void* gradients, int32_t* live, void* live_gradients)

cdef extern from "simd/convolution_sparse_backward.h" nogil:
    int MAX_PATCH_VECTORS
    bint HALF_VECTORS
    void add_patches(
        bint half, int vectors, ptrdiff_t count, const int32_t* origins, const void* gradients,
        const void* image, ptrdiff_t channels, const ptrdiff_t* at, void* sums)
    void spread_patches(
        bint half, int vectors, ptrdiff_t count, const int32_t* origins, ptrdiff_t first, const void* gradients,
        const void* filter, ptrdiff_t pixel, const ptrdiff_t* at, void* image)

cdef extern from "simd/convolution_gradient_rows.h" nogil:
    void mask_rows(
        ptrdiff_t rows, ptrdiff_t filters, const void* y, const void* dy, void* masked, void* sums)
    void add_row(ptrdiff_t size, const void* from_, void* to)
    void add_slots(
        ptrdiff_t size, ptrdiff_t count, ptrdiff_t row, ptrdiff_t step, const void* slots, ptrdiff_t slot,
        void* line)


cdef inline void backward_pass(
    const Arrays* a, const Span* span, floating* scratch, floating* partial,
) noexcept nogil:
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
        if dpadded != NULL and s.pointwise:
            dpadded = <floating*> a.dx + (span.x + i) * image
        elif dpadded != NULL:
            memset(dpadded, 0, s.image * sizeof(floating))
        if s.pooled:
            backward_sparse(a, padded, origins + i * s.map, dy + i * map, dpadded, partial, rest)
        else:
            backward_dense(
                a, padded, <const floating*> a.y + (span.y + i) * map if s.relu else NULL, dy + i * map, dpadded,
                partial, rest)
        if dpadded != NULL and not s.pointwise:
            copy_unpadded(s, dpadded, <floating*> a.dx + (span.x + i) * image)


cdef inline void copy_unpadded(const Shape* s, const floating* padded, floating* image) noexcept nogil:
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


cdef inline void backward_sparse(
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
    cdef Py_ssize_t band, first, rows, corner, f, i, v, next_v
    cdef int vectors
    cdef floating* slots = scratch
    cdef floating* gradients = slots + slots_size(s)
    cdef floating* spare = gradients + size * s.F
    cdef int32_t* live = <int32_t*> (spare + 2 * s.F * s.band * s.Q)
    cdef int32_t* counts = live + size * s.F
    cdef floating* target = slots if s.slotted else dpadded
    cdef const ptrdiff_t* target_at = a.slot_at if s.slotted else a.at
    cdef const floating* no_factors = NULL
    cdef const floating* filter
    cdef floating* sums
    for band in range((s.P + s.band - 1) // s.band):
        first = band * s.band
        rows = min(s.band, s.P - first)
        corner = origin_of(s, first * s.pool.stride_height, 0) if s.slotted else 0
        list_band(s, first, rows * s.Q, origins, dy + first * s.Q * s.F, live, gradients, counts, spare)
        memset(slots, 0, slots_size(s) * sizeof(floating))
        for f in range(s.F):
            partial[s.F * patch + f] += dot(counts[f], gradients + f * size, no_factors)
            for i in range(s.chunks):
                v = part_start(s.vectors, i, s.chunks)
                next_v = part_start(s.vectors, i + 1, s.chunks)
                vectors = <int> (next_v - v)
                sums = partial + f * patch + v * s.width
                filter = <const floating*> a.filters + f * patch + v * s.width
                add_patches(
                    s.half, vectors, counts[f], live + f * size, gradients + f * size, padded, s.C, a.at + v, sums)
                if dpadded != NULL:
                    spread_patches(
                        s.half, vectors, counts[f], live + f * size, corner, gradients + f * size, filter, s.pixel,
                        target_at + v, target)
        if s.slotted:
            add_band(s, first * s.pool.stride_height * s.window.stride_height, slots, dpadded)


cdef inline void add_band(
    const Shape* s, Py_ssize_t first,
    const floating* slots,        # IN   (band_rows, padded_columns, pixel)
    floating* dpadded,            # OUT  (padded_rows, padded_columns, C), added to from row `first` on
) noexcept nogil:
    cdef Py_ssize_t line = s.padded_columns * s.C, row = s.window.width * s.C, step = s.window.stride_width * s.C
    cdef Py_ssize_t slot = s.window.stride_width * s.pixel, r
    for r in range(min(band_rows(s), s.padded_rows - first)):
        add_slots(line, s.columns, row, step, slots, slot, dpadded + (first + r) * line)
        slots += s.padded_columns * s.pixel


cdef inline void list_band(
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


cdef inline void backward_dense(
    const Arrays* a,
    const floating* padded,       # IN       (padded_rows, padded_columns, C)
    const floating* y,            # IN       (P, Q, F), or NULL without ReLU
    const floating* dy,           # IN       (P, Q, F)
    floating* dpadded,            # OUT      like padded, added to; or NULL
    floating* partial,            # OUT      (K, wide_F), then (wide_F): dweights and dbias, added to
    floating* scratch,
) noexcept nogil:
    """dweights = windows, transposed, times dy; dx = dy times filters, each row added back to its window."""
    cdef const Shape* s = &a.shape
    cdef Py_ssize_t line = s.padded_columns * s.C, row = s.window.width * s.C, map = s.P * s.Q
    cdef Py_ssize_t patch = filter_size(s, lanes(dy)), i, r = 0, tile, first, count, top, left
    cdef floating* masked = scratch
    cdef floating* windows = masked + map * s.wide_F
    cdef const floating* no_bias = NULL
    cdef floating* pixels
    # Two rows of a filter at a time share what is loaded of the gradients.
    cdef bint pairs = s.wide_F == lanes(dy) and row > 1
    cdef int some
    mask_rows(map, s.F, y, dy, masked, partial + s.K * s.wide_F)
    while r < s.window.height:
        some = 2 if pairs and r + 1 < s.window.height else 1
        multiply_columns(
            row, s.wide_F, s.rows, s.columns,
            padded + r * line, Layout(1, s.window.stride_width * s.C, s.window.stride_height * line, line),
            <const floating*> masked, s.wide_F, partial + r * row * s.wide_F, s.wide_F, no_bias, True,
            some, row * s.wide_F)
        r += some
    if dpadded == NULL:
        return
    for tile in range((map + s.tile - 1) // s.tile):
        first = tile * s.tile
        count = min(s.tile, map - first)
        if s.pointwise:
            multiply_columns(
                count, s.C, 1, s.F, <const floating*> masked + first * s.wide_F, Layout(s.wide_F, 1, 0, 0),
                <const floating*> a.filters, patch, dpadded + first * s.C, s.C, no_bias, False)
            continue
        multiply_columns(
            count, patch, 1, s.F, <const floating*> masked + first * s.wide_F, Layout(s.wide_F, 1, 0, 0),
            <const floating*> a.filters, patch, windows, patch, no_bias, False)
        for i in range(count):
            top = (first + i) // s.Q * s.window.stride_height
            left = (first + i) % s.Q * s.window.stride_width
            for r in range(s.window.height):
                pixels = dpadded + (top + r) * line + left * s.C
                add_row(row, windows + i * patch + r * row, pixels)


cdef inline void add_up_tasks(const Arrays* a, const Span* span, floating* partials) noexcept nogil:
    """Add up the gradients of all tasks, in order, for some rows of the weights."""
    cdef const Shape* s = &a.shape
    cdef floating* dweights = <floating*> a.dweights
    cdef floating* dbias = <floating*> a.dbias
    cdef Py_ssize_t row = s.window.width * s.C, patch = filter_size(s, lanes(partials)), bias_at = s.F * patch
    cdef Py_ssize_t first = begin_of(span, s.K), last = end_of(span, s.K)
    cdef Py_ssize_t size = span.partial_bytes // sizeof(floating)
    cdef Py_ssize_t r, f, begin, end, place
    if not s.pooled:
        add_up_rows(span, s.K, s.F, s.wide_F, dweights, dbias)
        return
    for r in range(first // row, (last + row - 1) // row):
        begin = max(first - r * row, 0)
        end = min(last - r * row, row)
        place = r * s.per_row * s.width + begin
        for f in range(s.F):
            add_up(partials, size, span.tasks, f * patch + place, f * patch + place + end - begin)
        transpose(
            s.F, end - begin, <const floating*> partials + place, patch, dweights + (r * row + begin) * s.F, s.F)
    if span.part == 0:
        add_up(partials, size, span.tasks, bias_at, bias_at + s.F)
        memcpy(dbias, partials + bias_at, s.F * sizeof(floating))
