"""Depthwise convolution: each channel has one filter of its own.

Letters: as in convolution.pyx; weights are (R, S, 1, C), and y has C channels. Forward and back, a pixel is a sum over
those weights of a window that lie over the other image: over its padding there are none. Between the borders,
neighbouring pixels have the same weights and are computed some at a time.
"""

from libc.stdlib cimport free
from libc.string cimport memset
from cython.parallel cimport parallel, prange

from cnnx._ext.inline.checks cimport check_shape, check_threads
from cnnx._ext.inline.denormals cimport FpMode, flush_to_zero, restore_mode
from cnnx._ext.inline.depthwise cimport Pass, Taps, add_weight_gradient, make_row, pass_between
from cnnx._ext.inline.even_parts cimport part_start
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.memory cimport room
from cnnx._ext.inline.task_sums cimport add_up_rows
from cnnx._ext.inline.window cimport Window, as_window

cdef enum:
    MAX_PARTS = 16                # of a gradient, each over its own samples, added in order


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
    cdef Pass work = pass_between(True, w, x.shape, y.shape, <Taps*> room(Q * sizeof(Taps)))
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
    cdef Pass work = pass_between(False, w, dy.shape, dx.shape, <Taps*> room(W * sizeof(Taps)))
    cdef FpMode mode = 0
    with nogil, parallel(num_threads=num_threads):
        mode = flush_to_zero()
        for task in prange(N * H, schedule='static'):
            make_row(
                &work, task % H, &dy[task // H, 0, 0, 0] if P * Q else NULL, &weights[0, 0, 0, 0], <floating*> NULL,
                &dx[task // H, task % H, 0, 0])
        restore_mode(mode)
    free(work.taps)
