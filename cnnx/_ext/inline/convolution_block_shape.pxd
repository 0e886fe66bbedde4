# The shape and the arrays of a convolution block, for both of its passes, and where things stand in them.
#
# Letters: see convolution_block.pyx.

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int32_t
from libc.string cimport memset

from cnnx._ext.inline.gemm cimport lanes
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.even_parts cimport round_up
from cnnx._ext.inline.window cimport Window

cdef extern from "simd/short_copy.h" nogil:
    void copy_short(void* to, const void* source, size_t size)

cdef extern from "simd/nonzero_gradients.h" nogil:
    int32_t DEAD
    Py_ssize_t LIST_SLACK


cdef struct Shape:
    Py_ssize_t H, W, C
    Window window                 # of the convolution
    Py_ssize_t F, K
    Py_ssize_t rows, columns      # of the map before pooling
    Window pool
    Py_ssize_t P, Q
    bint relu, pooled, narrow
    bint pointwise                # a window is one pixel, and none is left out: an image is one row
    Py_ssize_t padded_rows, padded_columns
    Py_ssize_t wide_F             # F, rounded up to lanes
    # The narrow way's image: each row as `period` rows, one of every period-th column.
    Py_ssize_t period, phase_row
    # Patches: `vectors` of them, of `width` numbers each, `per_row` to a row of the window.
    Py_ssize_t width, per_row, vectors, chunks
    bint half                     # width is half of lanes
    bint slotted                  # dx is added up in slots, one to a pixel
    Py_ssize_t pixel              # from one pixel to the next: a slot's size, or C
    Py_ssize_t image              # the numbers of the padded image, and of a vector after it
    Py_ssize_t map                # origins to a sample
    Py_ssize_t band               # pooled rows to a band of the backward pass
    Py_ssize_t tiles              # how many parts a row without pooling is made in
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


cdef inline Py_ssize_t origin_of(const Shape* s, Py_ssize_t row, Py_ssize_t column) noexcept nogil:
    """Return at which pixel of the padded image the window of a position of the map begins."""
    return row * s.window.stride_height * s.padded_columns + column * s.window.stride_width


cdef inline Py_ssize_t filter_size(const Shape* s, Py_ssize_t width) noexcept nogil:
    """Return how many numbers a filter takes, transposed, with the zeros at the ends of its rows."""
    return s.vectors * s.width if s.pooled else round_up(s.K, width)


cdef inline Py_ssize_t list_size(const Shape* s) noexcept nogil:
    """Return how much room the list of one filter takes."""
    return s.band * s.Q + LIST_SLACK


cdef inline Py_ssize_t band_rows(const Shape* s) noexcept nogil:
    """Return how many rows of the padded image the windows of a band cover."""
    cdef Py_ssize_t map_rows = (s.band - 1) * s.pool.stride_height + s.pool.height
    return (map_rows - 1) * s.window.stride_height + s.window.height


cdef inline Py_ssize_t slots_size(const Shape* s) noexcept nogil:
    """Return how many numbers the slots of a band hold."""
    return band_rows(s) * s.padded_columns * s.pixel if s.slotted else 0


cdef inline const floating* with_padding(const Shape* s, const floating* image, floating* scratch) noexcept nogil:
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
