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


cdef inline void move_windows(
    bint add,                     # the windows to the image, which else is copied to them
    floating* image,              # IN or OUT  (H, W, C), from the first of the group's G channels on
    Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t Q, Py_ssize_t G,
    Window window,
    Py_ssize_t first, Py_ssize_t last,
    floating* windows,            # OUT or IN  (last - first, K)
) noexcept nogil:
    """Copy the windows of output positions first to last - 1 into rows, or add them back; padding reads as zero."""
    cdef Py_ssize_t position, top, left, r, s, row, column, begin, size, i
    # Pixels of a window's row that lie side by side in the image and in the window.
    cdef Py_ssize_t run = window.width if window.dilation_width == 1 and G == C else 1
    cdef floating* pixels
    cdef floating* numbers
    for position in range(first, last):
        top = (position // Q) * window.stride_height - window.pad_top
        left = (position % Q) * window.stride_width - window.pad_left
        for r in range(window.height):
            row = top + r * window.dilation_height
            if not add and not (0 <= row < H and run == window.width and 0 <= left <= W - run):
                memset(windows, 0, window.width * G * sizeof(floating))
            s = 0
            while s < window.width and 0 <= row < H:
                column = left + s * window.dilation_width
                begin = max(0, -column)
                size = (min(run, W - column) - begin) * G
                pixels = image + (row * W + column + begin) * C
                numbers = windows + (s + begin) * G
                if size > 0 and add:
                    for i in range(size):
                        pixels[i] += numbers[i]
                elif size > 0:
                    copy_short(numbers, pixels, size * sizeof(floating))
                s += run
            windows += window.width * G
