"""Depthwise convolution: each channel has one filter of its own.

Letters: as in convolution.pyx; weights are (R, S, 1, C), and y has C channels. Forward and back, a pixel is a sum over
those weights of a window that lie over the other image: over its padding there are none. Between the borders,
neighbouring pixels have the same weights and are computed some at a time.
"""

from libc.stddef cimport ptrdiff_t
from libc.stdlib cimport free
from libc.string cimport memset
from cython.parallel cimport parallel, prange

from cnnx._ext.inline.checks cimport check_shape, check_threads
from cnnx._ext.inline.denormals cimport FpMode, flush_to_zero, restore_mode
from cnnx._ext.inline.even_parts cimport part_start
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.memory cimport room
from cnnx._ext.inline.task_sums cimport add_up_rows
from cnnx._ext.inline.window cimport Window, as_window

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

cdef enum:
    MAX_PARTS = 16                # of a gradient, each over its own samples, added in order


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


cdef Pass a_pass(
    bint forward, Window w, const Py_ssize_t* source, const Py_ssize_t* target,
) except *:
    cdef Pass work
    cdef Py_ssize_t i
    work.forward = forward
    work.rows = Axis(w.height, w.stride_height, w.pad_top, w.dilation_height)
    work.columns = Axis(w.width, w.stride_width, w.pad_left, w.dilation_width)
    work.H, work.W, work.C = source[1], source[2], source[3]
    work.height, work.width = target[1], target[2]
    work.apart = 1 if forward else w.stride_width
    work.shift = w.stride_width if forward else 1
    work.taps = <Taps*> room(work.width * sizeof(Taps))
    for i in range(work.width):
        work.taps[i] = taps_forward(work.columns, i, work.W) if forward else taps_backward(work.columns, i, work.W)
    return work


cdef void make_row(
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


cdef int check(
    Window w, Py_ssize_t C, const Py_ssize_t* weights, const Py_ssize_t* y, Py_ssize_t N, int num_threads,
) except -1:
    check_threads(num_threads)
    check_shape('weights', weights, (w.height, w.width, 1, C))
    check_shape('y', y, (N, y[1], y[2], C))
    return 0


def depthwise_forward(
    const floating[:, :, :, ::1] x,          # IN   (N, H, W, C)
    const floating[:, :, :, ::1] weights,    # IN   (R, S, 1, C)
    const floating[::1] bias,                # IN   (C)
    floating[:, :, :, ::1] y,                # OUT  (N, P, Q, C)
    window,
    int num_threads,
):
    """y[p, q, c] = sum over r, s of x[p + r, q + s, c] weights[r, s, 0, c], plus bias[c]."""
    cdef Window w = as_window(window, True)
    cdef Py_ssize_t N = x.shape[0], H = x.shape[1], W = x.shape[2], C = x.shape[3]
    cdef Py_ssize_t P = y.shape[1], Q = y.shape[2], task
    check(w, C, weights.shape, y.shape, N, num_threads)
    check_shape('bias', bias.shape, (C,))
    if N == 0 or P == 0 or Q == 0 or C == 0:
        return
    cdef Pass work = a_pass(True, w, x.shape, y.shape)
    cdef FpMode mode = 0
    with nogil, parallel(num_threads=num_threads):
        mode = flush_to_zero()
        for task in prange(N * P, schedule='static'):
            make_row(
                &work, task % P, &x[task // P, 0, 0, 0] if H * W else NULL, &weights[0, 0, 0, 0], &bias[0],
                &y[task // P, task % P, 0, 0])
        restore_mode(mode)
    free(work.taps)


def depthwise_backward_weights(
    const floating[:, :, :, ::1] x,          # IN   (N, H, W, C)
    const floating[:, :, :, ::1] dy,         # IN   (N, P, Q, C)
    floating[:, :, :, ::1] dweights,         # OUT  (R, S, 1, C)
    floating[::1] dbias,                     # OUT  (C)
    window,
    int num_threads,
):
    """dweights[r, s, 0, c] = sum of x[p + r, q + s, c] dy[p, q, c]; dbias = sum of dy."""
    cdef Window w = as_window(window, True)
    cdef Py_ssize_t N = x.shape[0], H = x.shape[1], W = x.shape[2], C = x.shape[3]
    cdef Py_ssize_t P = dy.shape[1], Q = dy.shape[2], K = w.height * w.width
    check(w, C, dweights.shape, dy.shape, N, num_threads)
    check_shape('dbias', dbias.shape, (C,))
    if C == 0:
        return
    cdef Py_ssize_t parts = max(<Py_ssize_t> 1, min(N, <Py_ssize_t> MAX_PARTS)), size = (K + 1) * C, part, n
    # A part is dweights followed by dbias.
    cdef floating* partial = <floating*> room(parts * size * sizeof(floating))
    memset(partial, 0, parts * size * sizeof(floating))
    cdef FpMode mode = 0
    if P > 0 and Q > 0:
        with nogil, parallel(num_threads=num_threads):
            mode = flush_to_zero()
            for part in prange(parts, schedule='static'):
                for n in range(part_start(N, part, parts), part_start(N, part + 1, parts)):
                    add_weight_gradient(
                        &x[n, 0, 0, 0], H, W, C, P, Q, w, &dy[n, 0, 0, 0], partial + part * size,
                        partial + part * size + K * C)
            restore_mode(mode)
    add_up_rows(partial, size, parts, 0, 1, K, C, C, &dweights[0, 0, 0, 0], &dbias[0])
    free(partial)


cdef void add_weight_gradient(
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


cdef inline Py_ssize_t first_over(Axis a, Py_ssize_t weight, Py_ssize_t place) noexcept nogil:
    """Return the first pixel of y, from 0 on, for which a weight lies over pixel `place` of x, or over a later one."""
    return max(<Py_ssize_t> 0, place + a.pad - weight * a.dilation + a.stride - 1) // a.stride


def depthwise_backward_input(
    const floating[:, :, :, ::1] weights,    # IN   (R, S, 1, C)
    const floating[:, :, :, ::1] dy,         # IN   (N, P, Q, C)
    floating[:, :, :, ::1] dx,               # OUT  (N, H, W, C)
    window,
    int num_threads,
):
    """dx: dy times each weight is added to the pixel that the weight was for."""
    cdef Window w = as_window(window, True)
    cdef Py_ssize_t N = dx.shape[0], H = dx.shape[1], W = dx.shape[2], C = dx.shape[3]
    cdef Py_ssize_t P = dy.shape[1], Q = dy.shape[2], task
    check(w, C, weights.shape, dy.shape, N, num_threads)
    if N == 0 or H == 0 or W == 0 or C == 0:
        return
    cdef Pass work = a_pass(False, w, dy.shape, dx.shape)
    cdef FpMode mode = 0
    with nogil, parallel(num_threads=num_threads):
        mode = flush_to_zero()
        for task in prange(N * H, schedule='static'):
            make_row(
                &work, task % H, &dy[task // H, 0, 0, 0] if P * Q else NULL, &weights[0, 0, 0, 0], <floating*> NULL,
                &dx[task // H, task % H, 0, 0])
        restore_mode(mode)
    free(work.taps)
