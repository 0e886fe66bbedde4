# The steps of Winograd's convolution F(4 x 4, 3 x 3). Letters and method: see winograd.pyx.

from libc.stddef cimport ptrdiff_t
from libc.string cimport memcpy, memset

from cnnx._ext.inline.even_parts cimport round_up
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.gemm cimport BLOCK_ROWS, Layout, multiply_columns

cdef extern from "simd/winograd.h" nogil:
    void image_tile(
        ptrdiff_t channels, const void* tile, ptrdiff_t row, ptrdiff_t pixel, void* planes, ptrdiff_t plane)
    void gradient_tile(
        ptrdiff_t channels, const void* tile, ptrdiff_t row, ptrdiff_t pixel, void* planes, ptrdiff_t plane)
    void filter_tile(
        ptrdiff_t channels, const void* tile, ptrdiff_t row, ptrdiff_t pixel, void* planes, ptrdiff_t plane)
    void output_tile(
        ptrdiff_t filters, const void* planes, ptrdiff_t plane, const void* bias, bint relu,
        void* y, ptrdiff_t row, ptrdiff_t pixel, int rows, int columns)
    void add_filter_gradient(
        ptrdiff_t filters, const void* planes, ptrdiff_t plane, void* taps, ptrdiff_t tap)

cdef enum:
    OUTPUTS = 4                   # rows and columns of a tile of the output
    POINTS = OUTPUTS + 2          # and of the input that they are made from
    PLANES = POINTS * POINTS
    # A group of tiles: as many as keep what is known of them, at all points, below this.
    GROUP_BYTES = 524288
    MOST_TILES = 64
    APART = 16                    # numbers between planes, so that they do not share the same places of a cache


cdef struct Maps:
    # What a convolution reads and what it writes: the images and the outputs, or the gradients of both.
    Py_ssize_t H, W, C            # rows, columns and channels that are read
    Py_ssize_t pixel              # from one pixel to the next: C, or more
    Py_ssize_t P, Q, F            # and that are written
    Py_ssize_t top, left          # padding, which may be negative
    Py_ssize_t wide_C, wide_F     # rounded up to lanes
    Py_ssize_t tile_rows, tile_columns
    Py_ssize_t group              # tiles at a time


cdef inline Maps maps_of(
    Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t pixel, Py_ssize_t P, Py_ssize_t Q, Py_ssize_t F,
    Py_ssize_t top, Py_ssize_t left, Py_ssize_t width, Py_ssize_t size,
) noexcept nogil:
    """Lay out a convolution for vectors of `width` numbers of `size` bytes."""
    cdef Py_ssize_t wide_C = round_up(C, width), wide_F = round_up(F, width)
    cdef Py_ssize_t group = GROUP_BYTES // (PLANES * (wide_C + wide_F) * size)
    group = max(<Py_ssize_t> BLOCK_ROWS, min(<Py_ssize_t> MOST_TILES, group // BLOCK_ROWS * BLOCK_ROWS))
    return Maps(
        H, W, C, pixel, P, Q, F, top, left, wide_C, wide_F,
        (P + OUTPUTS - 1) // OUTPUTS, (Q + OUTPUTS - 1) // OUTPUTS, group)


cdef inline Py_ssize_t plane_of(const Maps* m, Py_ssize_t wide) noexcept nogil:
    """Return how far apart the planes of a group of tiles are."""
    return m.group * wide + APART


cdef inline Py_ssize_t scratch_size(const Maps* m) noexcept nogil:
    """Return how many numbers a convolution needs as scratch: planes of both sides, and a tile at an edge."""
    cdef Py_ssize_t planes = PLANES * (plane_of(m, m.wide_C) + plane_of(m, m.wide_F))
    return planes + PLANES * max(m.wide_C, m.wide_F)


cdef inline Py_ssize_t filters_size(Py_ssize_t inputs, Py_ssize_t wide_outputs) noexcept nogil:
    """Return how many numbers transformed filters take."""
    return PLANES * inputs * wide_outputs


cdef inline void transform_filters(
    Py_ssize_t inputs, Py_ssize_t row, Py_ssize_t wide, Py_ssize_t first, Py_ssize_t last,
    const floating* weights,      # IN   (3, 3, inputs, row), read in whole vectors
    floating* filters,            # OUT  (PLANES, inputs, wide), for inputs first to last - 1
) noexcept nogil:
    """G g G^T of each filter, filters in lanes."""
    cdef Py_ssize_t i
    for i in range(first, last):
        filter_tile(
            wide, weights + i * row, 3 * inputs * row, inputs * row, filters + i * wide, inputs * wide)


cdef inline void turn_filters(
    Py_ssize_t C, Py_ssize_t F, Py_ssize_t wide_C, Py_ssize_t first, Py_ssize_t last,
    const floating* weights,      # IN   (3, 3, C, F)
    floating* turned,             # OUT  (3, 3, F, wide_C), for filters first to last - 1
) noexcept nogil:
    """The filters of the input's gradient: turned by half a turn, from filters to channels."""
    cdef Py_ssize_t f, c, tap
    for tap in range(9):
        for f in range(first, last):
            for c in range(C):
                turned[(tap * F + f) * wide_C + c] = weights[((8 - tap) * C + c) * F + f]


cdef inline void convolve(
    const Maps* m, Py_ssize_t first, Py_ssize_t last,
    const floating* x,            # IN       (samples, H, W, pixel)
    const floating* filters,      # IN       (PLANES, C, wide_F)
    const floating* bias,         # IN       (wide_F), or NULL
    bint relu,
    floating* y,                  # OUT      (samples, P, Q, F)
    floating* scratch,
) noexcept nogil:
    """Transform tiles first to last - 1 of x, multiply them at each point, transform what comes out into tiles of y."""
    cdef Py_ssize_t tiles = m.tile_rows * m.tile_columns
    cdef Py_ssize_t in_plane = plane_of(m, m.wide_C), out_plane = plane_of(m, m.wide_F)
    cdef Py_ssize_t count, i, k, row, column
    cdef int rows, columns
    cdef floating* outputs = scratch + PLANES * in_plane
    cdef floating* edge = outputs + PLANES * out_plane
    cdef const floating* no_bias = NULL
    cdef floating* to
    while first < last:
        count = min(m.group, last - first)
        transform_images(m, first, count, x, scratch, edge)
        for k in range(PLANES):
            multiply_columns(
                count, m.wide_F, 1, m.C, <const floating*> scratch + k * in_plane, Layout(m.wide_C, 1, 0, 0),
                filters + k * m.C * m.wide_F, m.wide_F, outputs + k * out_plane, m.wide_F, no_bias, False)
        for i in range(count):
            row = (first + i) % tiles // m.tile_columns * OUTPUTS
            column = (first + i) % m.tile_columns * OUTPUTS
            rows = <int> min(<Py_ssize_t> OUTPUTS, m.P - row)
            columns = <int> min(<Py_ssize_t> OUTPUTS, m.Q - column)
            to = y + (((first + i) // tiles * m.P + row) * m.Q + column) * m.F
            output_tile(
                m.F, outputs + i * m.wide_F, out_plane, bias, relu, to, m.Q * m.F, m.F, rows, columns)
        first += count


cdef inline void transform_images(
    const Maps* m, Py_ssize_t first, Py_ssize_t count,
    const floating* x,            # IN       (samples, H, W, pixel)
    floating* planes,             # OUT      (PLANES, group, wide_C)
    floating* edge,               # SCRATCH  (POINTS, POINTS, wide_C)
) noexcept nogil:
    cdef Py_ssize_t tiles = m.tile_rows * m.tile_columns, plane = plane_of(m, m.wide_C), i
    cdef Tile tile
    cdef const floating* at
    for i in range(count):
        tile = tile_at(
            m.H, m.W, m.wide_C, m.pixel, (first + i) % tiles // m.tile_columns * OUTPUTS - m.top,
            (first + i) % m.tile_columns * OUTPUTS - m.left, POINTS)
        at = read_tile(&tile, m.C, x + (first + i) // tiles * m.H * m.W * m.pixel, edge)
        image_tile(m.wide_C, at, tile.row, tile.step, planes + i * m.wide_C, plane)


cdef struct Tile:
    # Some rows and columns of an image, where it can be read in place and where it is copied.
    Py_ssize_t H, W, wide, pixel, top, left, side
    bint in_place
    Py_ssize_t row, step          # from one row to the next, and from one column, where it is read


cdef inline Tile tile_at(
    Py_ssize_t H, Py_ssize_t W, Py_ssize_t wide, Py_ssize_t pixel, Py_ssize_t top, Py_ssize_t left, Py_ssize_t side,
) noexcept nogil:
    # Channels are read in whole vectors.
    cdef bint in_place = pixel == wide and top >= 0 and left >= 0 and top + side <= H and left + side <= W
    return Tile(
        H, W, wide, pixel, top, left, side, in_place, W * pixel if in_place else side * wide, wide)


cdef inline const floating* read_tile(
    const Tile* t, Py_ssize_t channels,
    const floating* image,        # IN       (H, W, pixel)
    floating* copy,               # SCRATCH  (side, side, wide)
) noexcept nogil:
    """Return where a tile begins: in the image, or in a copy, with zeros where there is no image."""
    cdef Py_ssize_t r, s, first = max(0, -t.left), last = min(t.side, t.W - t.left)
    if t.in_place:
        return image + (t.top * t.W + t.left) * t.pixel
    memset(copy, 0, t.side * t.side * t.wide * sizeof(floating))
    for r in range(max(0, -t.top), min(t.side, t.H - t.top)):
        if t.pixel == t.wide and first < last:
            memcpy(
                copy + (r * t.side + first) * t.wide, image + ((t.top + r) * t.W + t.left + first) * t.pixel,
                (last - first) * t.wide * sizeof(floating))
            continue
        for s in range(first, last):
            memcpy(
                copy + (r * t.side + s) * t.wide, image + ((t.top + r) * t.W + t.left + s) * t.pixel,
                channels * sizeof(floating))
    return copy


cdef inline void add_weight_gradient(
    const Maps* m, Py_ssize_t samples,
    const floating* x,            # IN       (samples, H, W, pixel)
    const floating* dy,           # IN       (samples, P, Q, wide_F)
    floating* dfilters,           # IN, OUT  (PLANES, C, wide_F), added to
    floating* scratch,
) noexcept nogil:
    """At each point: the transformed images, transposed, times the transformed gradients."""
    cdef Py_ssize_t tiles = m.tile_rows * m.tile_columns, all_tiles = samples * tiles
    cdef Py_ssize_t in_plane = plane_of(m, m.wide_C), out_plane = plane_of(m, m.wide_F)
    cdef Py_ssize_t first = 0, count, i, k
    cdef floating* gradients = scratch + PLANES * in_plane
    cdef floating* edge = gradients + PLANES * out_plane
    cdef const floating* no_bias = NULL
    cdef const floating* at
    cdef Tile tile
    while first < all_tiles:
        count = min(m.group, all_tiles - first)
        transform_images(m, first, count, x, scratch, edge)
        for i in range(count):
            tile = tile_at(
                m.P, m.Q, m.wide_F, m.wide_F, (first + i) % tiles // m.tile_columns * OUTPUTS,
                (first + i) % m.tile_columns * OUTPUTS, OUTPUTS)
            at = read_tile(&tile, m.F, dy + (first + i) // tiles * m.P * m.Q * m.wide_F, edge)
            gradient_tile(m.wide_F, at, tile.row, tile.step, gradients + i * m.wide_F, out_plane)
        for k in range(PLANES):
            multiply_columns(
                m.C, m.wide_F, 1, count, <const floating*> scratch + k * in_plane, Layout(1, m.wide_C, 0, 0),
                <const floating*> gradients + k * out_plane, m.wide_F, dfilters + k * m.C * m.wide_F, m.wide_F,
                no_bias, True)
        first += count


cdef inline void add_filter_gradients(
    Py_ssize_t C, Py_ssize_t wide_F,
    const floating* dfilters,     # IN       (PLANES, C, wide_F)
    floating* dweights,           # IN, OUT  (3, 3, C, wide_F), added to
) noexcept nogil:
    """Transform the gradient of transformed filters back: G^T t G."""
    cdef Py_ssize_t c
    for c in range(C):
        add_filter_gradient(
            wide_F, dfilters + c * wide_F, C * wide_F, dweights + c * wide_F, C * wide_F)
