"""Depthwise convolution: each channel has one filter of its own. Kernels, and a block with bias.

Letters: as in convolution.pyx; weights are (R, S, 1, C), and y has C channels. Forward and back, a pixel is a sum over
those weights of a window that lie over the other image: over its padding there are none. Between the borders,
neighbouring pixels have the same weights and are computed some at a time.
"""

from libc.stddef cimport ptrdiff_t

from cnnx._ext.inline.checks cimport check_shape, check_threads
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.task_sums cimport add_up_rows
from cnnx._ext.inline.window cimport Window, as_window
from cnnx._ext.program cimport BACKWARD, FINISH, FORWARD, Block, Phase, Span, begin_of, end_of, run_alone

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


def depthwise_forward(
    const floating[:, :, :, ::1] x,          # IN   (N, H, W, C)
    const floating[:, :, :, ::1] weights,    # IN   (R, S, 1, C)
    const floating[::1] bias,                # IN   (C)
    floating[:, :, :, ::1] y,                # OUT  (N, P, Q, C)
    window,
    int num_threads,
):
    """y[p, q, c] = sum over r, s of x[p + r, q + s, c] weights[r, s, 0, c], plus bias[c]."""
    check(window, x.shape, weights.shape, y.shape, bias.shape, num_threads)
    run_alone(DepthwiseBlock(x, weights, bias, y, window), x.shape[0], False, num_threads)


def depthwise_backward_weights(
    const floating[:, :, :, ::1] x,          # IN   (N, H, W, C)
    const floating[:, :, :, ::1] dy,         # IN   (N, P, Q, C)
    floating[:, :, :, ::1] dweights,         # OUT  (R, S, 1, C)
    floating[::1] dbias,                     # OUT  (C)
    window,
    int num_threads,
):
    """dweights[r, s, 0, c] = sum of x[p + r, q + s, c] dy[p, q, c]; dbias = sum of dy."""
    check(window, x.shape, dweights.shape, dy.shape, dbias.shape, num_threads)
    if x.shape[0] == 0:
        dweights[...] = 0
        dbias[...] = 0
    run_alone(DepthwiseBlock(x, None, None, dy, window, dy, None, dweights, dbias), x.shape[0], True, num_threads)


def depthwise_backward_input(
    const floating[:, :, :, ::1] weights,    # IN   (R, S, 1, C)
    const floating[:, :, :, ::1] dy,         # IN   (N, P, Q, C)
    floating[:, :, :, ::1] dx,               # OUT  (N, H, W, C)
    window,
    int num_threads,
):
    """dx: dy times each weight is added to the pixel that the weight was for."""
    check(window, dx.shape, weights.shape, dy.shape, NULL, num_threads)
    run_alone(DepthwiseBlock(dx, weights, None, dy, window, dy, dx), dx.shape[0], True, num_threads)


cdef int check(
    window, const Py_ssize_t* x, const Py_ssize_t* weights, const Py_ssize_t* y, const Py_ssize_t* bias,
    int num_threads,
) except -1:
    cdef Window w = as_window(window, True)
    check_threads(num_threads)
    check_shape('weights', weights, (w.height, w.width, 1, x[3]))
    check_shape('y', y, (x[0], y[1], y[2], x[3]))
    check_shape('bias', bias, (x[3],))
    return 0


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


cdef class DepthwiseBlock(Block):
    """Depthwise convolution, a filter to a channel; see `cnnx.layers.Convolutional`.

    Args:
        x: (N, H, W, C).
        weights, bias: (R, S, 1, C) and (C,); the gradients of the weights alone need neither.
        y: (N, P, Q, C), written.
        window: of the convolution, a `cnnx._util.windows.Window`; it may be dilated.
        dy: (N, P, Q, C), the gradient of y; None where there is no backward pass.
        dx: (N, H, W, C), written, or None where nobody needs it.
        dweights, dbias: written, or None where nobody needs them.
    """

    cdef Window window
    cdef Pass forward             # from x to y
    cdef Pass backward            # from dy to dx

    def __init__(self, x, weights, bias, y, window, dy=None, dx=None, dweights=None, dbias=None):
        cdef Py_ssize_t[4] image = x.shape
        cdef Py_ssize_t[4] map = y.shape
        self.take(x, y, dy, dx, weights, bias, dweights, dbias)
        self.window = as_window(window, True)
        self.shares = True
        self.forward = pass_between(True, self.window, image, map, <Taps*> self.room(map[2] * sizeof(Taps)))
        self.backward = pass_between(False, self.window, map, image, <Taps*> self.room(image[2] * sizeof(Taps)))
        self.weights_size = self.window.height * self.window.width * image[3]
        if dweights is not None:
            self.partial_bytes = (self.weights_size + image[3]) * x.itemsize

    cdef void run_phase(self, Phase phase, const Span* span, char* scratch) noexcept nogil:
        if self.doubles:
            run(self, phase, span, <double*> span.partial)
        else:
            run(self, phase, span, <float*> span.partial)


cdef void run(DepthwiseBlock a, Phase phase, const Span* span, floating* partial) noexcept nogil:
    cdef Py_ssize_t C = a.forward.C
    if phase == FORWARD:
        forward(a, span, partial)
    elif phase == BACKWARD:
        backward(a, span, partial)
    elif phase == FINISH and a.dweights != NULL:
        add_up_rows(
            span, a.window.height * a.window.width, C, C, <floating*> a.dweights, <floating*> a.dbias)


cdef void forward(DepthwiseBlock a, const Span* span, const floating* kind) noexcept nogil:
    cdef const Pass* work = &a.forward
    cdef Py_ssize_t image = work.H * work.W * work.C, row = work.width * work.C, i, p
    for i in range(span.last - span.first):
        for p in range(begin_of(span, work.height), end_of(span, work.height)):
            make_row(
                work, p, <const floating*> a.x + (span.x + i) * image, <const floating*> a.weights,
                <const floating*> a.bias, <floating*> a.y + ((span.y + i) * work.height + p) * row)


cdef void backward(
    DepthwiseBlock a, const Span* span,
    floating* partial,            # IN, OUT  (R, S, 1, C), then (C): dweights and dbias, added to
) noexcept nogil:
    cdef const Pass* work = &a.backward
    cdef Py_ssize_t C = work.C, map = work.H * work.W * C, row = work.width * C, i, h
    cdef Py_ssize_t K = a.window.height * a.window.width
    cdef const floating* no_bias = NULL
    cdef const floating* dy
    for i in range(span.last - span.first):
        dy = <const floating*> a.dy + (span.y + i) * map
        if a.dweights != NULL:
            add_weight_gradient(
                <const floating*> a.x + (span.x + i) * work.height * row, work.height, work.width, C, work.H, work.W,
                a.window, dy, partial, partial + K * C)
        for h in range(work.height if a.dx != NULL else 0):
            make_row(
                work, h, dy, <const floating*> a.weights, no_bias,
                <floating*> a.dx + ((span.x + i) * work.height + h) * row)


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
