# Strips of the matrix of windows, copied from an image, or added back to it. Letters: see convolution.pyx.

from libc.string cimport memset

from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.window cimport Window

cdef extern from "simd/short_copy.h" nogil:
    void copy_short(void* to, const void* source, size_t size)

cdef enum:
    STRIP_BYTES = 24576
    # Large windows fill those bytes with few rows; a product of fewer than this wastes registers.
    LEAST_STRIP_ROWS = 12


cdef inline Py_ssize_t strip_rows(Py_ssize_t K, size_t itemsize) noexcept nogil:
    return max(<Py_ssize_t> LEAST_STRIP_ROWS, <Py_ssize_t> (STRIP_BYTES // (K * itemsize)))


cdef inline Py_ssize_t strips_in(Py_ssize_t positions, Py_ssize_t strip) noexcept nogil:
    return (positions + strip - 1) // strip


cdef inline void gather_windows(
    const floating* image,        # IN   (H, W, C), from the first channel of the group on
    Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t Q, Py_ssize_t G,
    Window window,
    Py_ssize_t first, Py_ssize_t last,
    floating* windows,            # OUT  (last - first, K)
) noexcept nogil:
    """Copy the windows of output positions first to last - 1 into rows; padding reads as zero."""
    cdef Py_ssize_t position, top, left, r, s, row, column, begin, end
    cdef Py_ssize_t line = window.width * G
    cdef bint in_one_piece = window.dilation_width == 1 and G == C
    for position in range(first, last):
        top = (position // Q) * window.stride_height - window.pad_top
        left = (position % Q) * window.stride_width - window.pad_left
        begin = max(0, -left)
        end = min(window.width, W - left)
        for r in range(window.height):
            row = top + r * window.dilation_height
            if row < 0 or row >= H or (begin >= end and in_one_piece):
                memset(windows, 0, line * sizeof(floating))
            elif not in_one_piece:
                memset(windows, 0, line * sizeof(floating))
                for s in range(window.width):
                    column = left + s * window.dilation_width
                    if 0 <= column < W:
                        copy_short(windows + s * G, image + (row * W + column) * C, G * sizeof(floating))
            else:
                if end - begin < window.width:
                    memset(windows, 0, line * sizeof(floating))
                copy_short(
                    windows + begin * C, image + (row * W + left + begin) * C,
                    (end - begin) * C * sizeof(floating))
            windows += line


cdef inline void scatter_windows(
    const floating* windows,      # IN   (last - first, K)
    Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t Q, Py_ssize_t G,
    Window window,
    Py_ssize_t first, Py_ssize_t last,
    floating* image,              # OUT  (H, W, C), likewise, added to
) noexcept nogil:
    """Add rows back to the pixels that `gather_windows` copies them from."""
    cdef Py_ssize_t position, top, left, r, s, row, column, begin, end, i
    cdef Py_ssize_t line = window.width * G
    cdef bint in_one_piece = window.dilation_width == 1 and G == C
    cdef floating* pixels
    for position in range(first, last):
        top = (position // Q) * window.stride_height - window.pad_top
        left = (position % Q) * window.stride_width - window.pad_left
        begin = max(0, -left)
        end = min(window.width, W - left)
        for r in range(window.height):
            row = top + r * window.dilation_height
            if 0 <= row < H and not in_one_piece:
                for s in range(window.width):
                    column = left + s * window.dilation_width
                    if 0 <= column < W:
                        pixels = image + (row * W + column) * C
                        for i in range(G):
                            pixels[i] += windows[s * G + i]
            elif 0 <= row < H:
                pixels = image + (row * W + left) * C
                for i in range(begin * C, end * C):
                    pixels[i] += windows[i]
            windows += line
