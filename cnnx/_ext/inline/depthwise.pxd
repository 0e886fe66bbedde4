# Depthwise convolutions of an image, and where the weights lie over it: see depthwise.pyx.

from libc.stddef cimport ptrdiff_t

from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.window cimport Window

cdef extern from "simd/depthwise.h" nogil:
    int PIXELS
    ctypedef struct Distances "distances":
        ptrdiff_t row
        ptrdiff_t column
        ptrdiff_t pixel
    void depthwise_pixels(
        int pixels, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t channels, const void* image,
        const Distances* of_image, const void* weights, const Distances* of_weights, const void* bias,
        void* out, ptrdiff_t out_pixel)
    void add_products(
        ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t channels, const void* x, const Distances* of_x,
        const void* dy, const Distances* of_dy, void* to)


cdef struct Taps:
    # Along one axis: the weights that a pixel is made with, and what they lie over.
    Py_ssize_t first              # weight
    Py_ssize_t step               # from one weight to the next
    Py_ssize_t count
    Py_ssize_t over               # what the first one lies over
    Py_ssize_t over_step


cdef struct Axis:
    Py_ssize_t size               # of the window
    Py_ssize_t stride
    Py_ssize_t pad
    Py_ssize_t dilation


cdef inline Taps taps_forward(Axis a, Py_ssize_t place, Py_ssize_t length) noexcept nogil:
    """Return which weights make pixel `place` of y, over an image of that length."""
    cdef Taps taps = Taps(0, 1, 0, place * a.stride - a.pad, a.dilation)
    while taps.first < a.size and taps.over < 0:
        taps.first += 1
        taps.over += a.dilation
    while taps.first + taps.count < a.size and taps.over + taps.count * a.dilation < length:
        taps.count += 1
    return taps


cdef inline Taps taps_backward(Axis a, Py_ssize_t place, Py_ssize_t length) noexcept nogil:
    """Return which weights lay over pixel `place` of x, for pixels of a y of that length."""
    cdef Taps taps = Taps(0, 0, 0, 0, 0)
    cdef Py_ssize_t weight, over
    for weight in range(a.size):
        over = place + a.pad - weight * a.dilation
        if over < 0 or over % a.stride != 0 or over // a.stride >= length:
            continue
        if taps.count == 0:
            taps.first, taps.over = weight, over // a.stride
        elif taps.count == 1:
            taps.step, taps.over_step = weight - taps.first, over // a.stride - taps.over
        taps.count += 1
    return taps


cdef struct Pass:
    # Makes an image (height, width, C) of another one, (H, W, C).
    bint forward
    Axis rows
    Axis columns
    Py_ssize_t H, W, C
    Py_ssize_t height, width
    Taps* taps                    # (width)
    Py_ssize_t apart              # how far apart pixels are whose weights can be the same
    Py_ssize_t shift              # how far apart what their weights lie over is


cdef inline Pass pass_between(
    bint forward, Window w, const Py_ssize_t* source, const Py_ssize_t* target,
    Taps* taps,                   # OUT  (target[2])
) noexcept nogil:
    """Return how an image of shape `target`, (N, H, W, C), is made of one of shape `source`: y of x, or dx of dy."""
    cdef Pass work
    cdef Py_ssize_t i
    work.forward = forward
    work.rows = Axis(w.height, w.stride_height, w.pad_top, w.dilation_height)
    work.columns = Axis(w.width, w.stride_width, w.pad_left, w.dilation_width)
    work.H, work.W, work.C = source[1], source[2], source[3]
    work.height, work.width = target[1], target[2]
    work.apart = 1 if forward else w.stride_width
    work.shift = w.stride_width if forward else 1
    work.taps = taps
    for i in range(work.width):
        taps[i] = taps_forward(work.columns, i, work.W) if forward else taps_backward(work.columns, i, work.W)
    return work


cdef inline bint same_taps(const Pass* work, Py_ssize_t i) noexcept nogil:
    """Whether the next PIXELS pixels from i on have the same weights, over neighbouring pixels of the source."""
    cdef Py_ssize_t k, other
    for k in range(1, PIXELS):
        other = i + k * work.apart
        if other >= work.width:
            return False
        if work.taps[other].first != work.taps[i].first or work.taps[other].count != work.taps[i].count:
            return False
        if work.taps[other].over != work.taps[i].over + k * work.shift:
            return False
    return True


cdef inline void make_row(
    const Pass* work, Py_ssize_t row, const floating* source, const floating* weights, const floating* bias,
    floating* target,
) noexcept nogil:
    """Write a row of an image."""
    cdef Py_ssize_t C = work.C, S = work.columns.size, start, i
    cdef int some
    cdef Taps rows = taps_forward(work.rows, row, work.H) if work.forward else taps_backward(work.rows, row, work.H)
    cdef Taps columns
    cdef Distances of_source, of_weights
    of_source.row, of_source.pixel, of_weights.row = rows.over_step * work.W * C, work.shift * C, rows.step * S * C
    source += rows.over * work.W * C
    weights += rows.first * S * C
    for start in range(min(work.apart, work.width)):
        i = start
        while i < work.width:
            columns = work.taps[i]
            some = PIXELS if same_taps(work, i) else 1
            of_source.column, of_weights.column = columns.over_step * C, columns.step * C
            depthwise_pixels(
                some, rows.count, columns.count, C, source + columns.over * C, &of_source,
                weights + columns.first * C, &of_weights, bias, target + i * C, work.apart * C)
            i += some * work.apart


cdef inline Py_ssize_t first_over(Axis a, Py_ssize_t weight, Py_ssize_t place) noexcept nogil:
    """Return the first pixel of y, from 0 on, for which a weight lies over pixel `place` of x, or over a later one."""
    return max(<Py_ssize_t> 0, place + a.pad - weight * a.dilation + a.stride - 1) // a.stride


cdef inline void add_weight_gradient(
    const floating* x, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t P, Py_ssize_t Q, Window w,
    const floating* dy,
    floating* dweights,                      # OUT  (R S, C), added to
    floating* dbias,                         # OUT  (C), added to
) noexcept nogil:
    cdef Axis rows = Axis(w.height, w.stride_height, w.pad_top, w.dilation_height)
    cdef Axis columns = Axis(w.width, w.stride_width, w.pad_left, w.dilation_width)
    cdef Py_ssize_t r, s, p, q, p_end, q_end, i, c
    cdef Distances of_x, of_dy
    of_x.row, of_x.pixel, of_dy.row, of_dy.pixel = w.stride_height * W * C, w.stride_width * C, Q * C, C
    for i in range(P * Q):
        for c in range(C):
            dbias[c] += dy[i * C + c]
    for r in range(w.height):
        p, p_end = first_over(rows, r, 0), min(P, first_over(rows, r, H))
        for s in range(w.width):
            q, q_end = first_over(columns, s, 0), min(Q, first_over(columns, s, W))
            if p >= p_end or q >= q_end:
                continue
            i = (p * w.stride_height - w.pad_top + r * w.dilation_height) * W
            i += q * w.stride_width - w.pad_left + s * w.dilation_width
            add_products(
                p_end - p, q_end - q, C, x + i * C, &of_x, dy + (p * Q + q) * C, &of_dy,
                dweights + (r * w.width + s) * C)
