"""Convolution by im2col: every window of the image becomes a row of a matrix, and the convolution a matrix product.

Letters, here and in the NumPy twin:
    N samples; H, W, C rows, columns and channels of the input; P, Q rows and columns of the output;
    R, S rows and columns of the filter; F filters; G channels that a filter sees: all C, or those of its group;
    K = R S G, the numbers that one window covers.

The matrix of windows, (N P Q, K), is never stored whole: a strip of `strip_rows(K)` windows is copied
into scratch that fits the first-level cache, multiplied, and written over by the next.
"""

from libc.string cimport memcpy, memset
from libc.stdlib cimport free
from cython.parallel cimport prange, threadid

from cnnx._ext.inline.checks cimport check_shape, check_threads
from cnnx._ext.inline.denormals cimport FpMode, flush_to_zero, restore_mode
from cnnx._ext.inline.gemm cimport Layout, multiply, panel_columns
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.even_parts cimport part_start
from cnnx._ext.inline.memory cimport room
from cnnx._ext.inline.task_sums cimport add_up
from cnnx._ext.inline.window cimport Window, as_window
from cnnx._ext.inline.windows cimport move_windows, strip_rows, strips_in

cdef enum:
    # A weight gradient is summed in this many parts, each over its own samples, and the parts are added in order.
    MAX_PARTS = 16


cdef int check_convolution(
    Window w, Py_ssize_t C, Py_ssize_t F, const Py_ssize_t* weights, const Py_ssize_t* bias, int num_threads,
) except -1:
    check_threads(num_threads)
    if C < 1 or F < 1:
        raise ValueError(f'expected at least one channel and one filter, got {C} and {F}')
    check_shape('weights', weights, (w.height, w.width, weights[2], F))
    if weights[2] < 1 or C % weights[2] or F % (C // weights[2]):
        raise ValueError(f'weights: expected groups of {C} channels and {F} filters, got {weights[2]} to a filter')
    check_shape('bias', bias, (F,))
    return 0


def convolution_forward(
    const floating[:, :, :, ::1] x,          # IN   (N, H, W, C)
    const floating[:, :, :, ::1] weights,    # IN   (R, S, G, F), G = C // groups
    const floating[::1] bias,                # IN   (F)
    floating[:, :, :, ::1] y,                # OUT  (N, P, Q, F)
    window,
    int num_threads,
):
    """y = windows of x times weights, plus bias."""
    cdef Window w = as_window(window, True)
    cdef Py_ssize_t N = x.shape[0], H = x.shape[1], W = x.shape[2], C = x.shape[3]
    cdef Py_ssize_t P = y.shape[1], Q = y.shape[2], F = y.shape[3]
    check_convolution(w, C, F, weights.shape, bias.shape, num_threads)
    check_shape('y', y.shape, (N, P, Q, F))
    cdef Py_ssize_t G = weights.shape[2], groups = C // G, K = w.height * w.width * G
    cdef Py_ssize_t strip = strip_rows(K, sizeof(floating))
    cdef Py_ssize_t strips = strips_in(P * Q, strip)
    cdef Py_ssize_t task, n, first, last, group, f
    cdef Layout windows_layout = Layout(K, 1, 0, 0), weights_layout = Layout(F, 1, 0, 0)
    cdef floating* windows = NULL
    cdef Py_ssize_t per_thread = strip * K + K * panel_columns(windows)
    cdef floating* scratch = <floating*> room(num_threads * per_thread * sizeof(floating))
    cdef FpMode mode
    for task in prange(N * strips, num_threads=num_threads, nogil=True, schedule='static'):
        mode = flush_to_zero()
        n = task // strips
        first = (task % strips) * strip
        last = min(first + strip, P * Q)
        windows = scratch + threadid() * per_thread
        for group in range(groups):
            f = group * (F // groups)
            move_windows(False, <floating*> &x[n, 0, 0, group * G], H, W, C, Q, G, w, first, last, windows)
            multiply(
                last - first, F // groups, K, <const floating*> windows, windows_layout,
                &weights[0, 0, 0, f], weights_layout,
                &y[n, 0, 0, f] + first * F, F, &bias[f], False, windows + strip * K)
        restore_mode(mode)
    free(scratch)


def convolution_backward_weights(
    const floating[:, :, :, ::1] x,          # IN   (N, H, W, C)
    const floating[:, :, :, ::1] dy,         # IN   (N, P, Q, F)
    floating[:, :, :, ::1] dweights,         # OUT  (R, S, G, F)
    floating[::1] dbias,                     # OUT  (F)
    window,
    int num_threads,
):
    """dweights = windows of x, transposed, times dy; dbias = sum of dy."""
    cdef Window w = as_window(window, True)
    cdef Py_ssize_t N = x.shape[0], C = x.shape[3], F = dy.shape[3]
    check_convolution(w, C, F, dweights.shape, dbias.shape, num_threads)
    check_shape('dy', dy.shape, (N, dy.shape[1], dy.shape[2], F))
    cdef Py_ssize_t K = w.height * w.width * dweights.shape[2]
    cdef Py_ssize_t strip = strip_rows(K, sizeof(floating))
    cdef Py_ssize_t parts = max(<Py_ssize_t> 1, min(N, <Py_ssize_t> MAX_PARTS)), size = K * F + F, part
    # A thread's scratch is its strip and its panel; a part is dweights followed by dbias.
    cdef floating* windows = NULL
    cdef Py_ssize_t per_thread = strip * K + strip * panel_columns(windows)
    cdef floating* scratch = <floating*> room((num_threads * per_thread + parts * size) * sizeof(floating))
    cdef floating* partial = scratch + num_threads * per_thread
    cdef FpMode mode
    for part in prange(parts, num_threads=num_threads, nogil=True, schedule='static'):
        mode = flush_to_zero()
        windows = scratch + threadid() * per_thread
        add_weight_gradient(
            x, dy, w, dweights.shape[2], part_start(N, part, parts), part_start(N, part + 1, parts),
            partial + part * size, partial + part * size + K * F, windows, windows + strip * K)
        restore_mode(mode)
    add_up(partial, size, parts, 0, size)
    memcpy(&dweights[0, 0, 0, 0], partial, K * F * sizeof(floating))
    memcpy(&dbias[0], partial + K * F, F * sizeof(floating))
    free(scratch)


cdef void add_weight_gradient(
    const floating[:, :, :, ::1] x,
    const floating[:, :, :, ::1] dy,
    Window window, Py_ssize_t G,
    Py_ssize_t first_sample, Py_ssize_t last_sample,
    floating* dweights,                      # OUT      (K, F)
    floating* dbias,                         # OUT      (F)
    floating* windows,                       # SCRATCH  (strip, K)
    floating* packed,                        # SCRATCH  (strip, panel)
) noexcept nogil:
    """Sum the gradient over samples first_sample to last_sample - 1."""
    cdef Py_ssize_t H = x.shape[1], W = x.shape[2], C = x.shape[3]
    cdef Py_ssize_t P = dy.shape[1], Q = dy.shape[2], F = dy.shape[3]
    cdef Py_ssize_t K = window.height * window.width * G, groups = C // G, group
    cdef Py_ssize_t strip = strip_rows(K, sizeof(floating))
    cdef Py_ssize_t n, t, first, last, position, f
    cdef Layout transposed_windows = Layout(1, K, 0, 0), dy_layout = Layout(F, 1, 0, 0)
    cdef const floating* dy_strip
    cdef const floating* no_bias = NULL
    memset(dweights, 0, K * F * sizeof(floating))
    memset(dbias, 0, F * sizeof(floating))
    for n in range(first_sample, last_sample):
        for t in range(strips_in(P * Q, strip)):
            first = t * strip
            last = min(first + strip, P * Q)
            dy_strip = &dy[n, 0, 0, 0] + first * F
            for group in range(groups):
                f = group * (F // groups)
                move_windows(False, <floating*> &x[n, 0, 0, group * G], H, W, C, Q, G, window, first, last, windows)
                multiply(
                    K, F // groups, last - first, <const floating*> windows, transposed_windows,
                    dy_strip + f, dy_layout, dweights + f, F, no_bias, True, packed)
            for position in range(last - first):
                for f in range(F):
                    dbias[f] += dy_strip[position * F + f]


def convolution_backward_input(
    const floating[:, :, :, ::1] weights,    # IN   (R, S, G, F), G = C // groups
    const floating[:, :, :, ::1] dy,         # IN   (N, P, Q, F)
    floating[:, :, :, ::1] dx,               # OUT  (N, H, W, C)
    window,
    int num_threads,
):
    """dx = dy times weights, transposed, each row added back to the pixels of its window."""
    cdef Window w = as_window(window, True)
    cdef Py_ssize_t N = dx.shape[0], H = dx.shape[1], W = dx.shape[2], C = dx.shape[3]
    cdef Py_ssize_t P = dy.shape[1], Q = dy.shape[2], F = dy.shape[3]
    check_convolution(w, C, F, weights.shape, NULL, num_threads)
    check_shape('dy', dy.shape, (N, P, Q, F))
    cdef Py_ssize_t G = weights.shape[2], groups = C // G, K = w.height * w.width * G
    cdef Py_ssize_t strip = strip_rows(K, sizeof(floating))
    cdef Py_ssize_t n, t, first, last, group, f
    cdef Layout dy_layout = Layout(F, 1, 0, 0), transposed_weights = Layout(1, F, 0, 0)
    cdef const floating* no_bias = NULL
    cdef floating* windows = NULL
    cdef Py_ssize_t per_thread = strip * K + F * panel_columns(windows)
    cdef floating* scratch = <floating*> room(num_threads * per_thread * sizeof(floating))
    cdef FpMode mode
    for n in prange(N, num_threads=num_threads, nogil=True, schedule='static'):
        mode = flush_to_zero()
        windows = scratch + threadid() * per_thread
        memset(&dx[n, 0, 0, 0], 0, H * W * C * sizeof(floating))
        for t in range(strips_in(P * Q, strip)):
            first = t * strip
            last = min(first + strip, P * Q)
            for group in range(groups):
                f = group * (F // groups)
                multiply(
                    last - first, K, F // groups, &dy[n, 0, 0, f] + first * F, dy_layout,
                    &weights[0, 0, 0, f], transposed_weights, windows, K, no_bias, False, windows + strip * K)
                move_windows(True, &dx[n, 0, 0, group * G], H, W, C, Q, G, w, first, last, windows)
        restore_mode(mode)
    free(scratch)
