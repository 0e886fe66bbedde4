"""Max-pooling and average pooling, forward and backward.

Windows may extend beyond the edges of the image; pixels outside of it do not count.

Letters: N samples; H, W rows and columns of the input; P, Q of the output; C channels.
"""

from libc.stdint cimport INT32_MAX, int32_t
from cython.parallel cimport prange

from cnnx._ext.inline.checks cimport check_shape, check_threads
from cnnx._ext.inline.pooling cimport Pooling, average_row, pool_row, route_sample, spread_sample
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.window cimport Window, as_window


cdef int check_axis(
    Py_ssize_t extent, Py_ssize_t stride, Py_ssize_t before, Py_ssize_t positions, Py_ssize_t size,
) except -1:
    """Raise a ValueError unless each window along an axis of the image covers some of it."""
    if positions > 0 and (before >= extent or size < 1 or (positions - 1) > (size - 1 + before) // stride):
        raise ValueError(
            f'{positions} windows of {extent} pixels, {stride} apart with {before} of padding, '
            f'reach beyond images of {size}')
    return 0


cdef Pooling checked_pooling(window, const Py_ssize_t* x, const Py_ssize_t* y, int num_threads) except *:
    cdef Window w = as_window(window)
    cdef Pooling pooling
    check_threads(num_threads)
    check_shape('y', y, (x[0], y[1], y[2], x[3]))
    check_axis(w.height, w.stride_height, w.pad_top, y[1], x[1])
    check_axis(w.width, w.stride_width, w.pad_left, y[2], x[2])
    if w.height * w.width > INT32_MAX:
        raise ValueError(f'window: expected at most {INT32_MAX} pixels, got {w.height} x {w.width}')
    pooling.window = w
    pooling.H, pooling.W, pooling.C = x[1], x[2], x[3]
    pooling.P, pooling.Q = y[1], y[2]
    return pooling


def maxpool_forward(
    const floating[:, :, :, ::1] x,          # IN   (N, H, W, C)
    floating[:, :, :, ::1] y,                # OUT  (N, P, Q, C)
    int32_t[:, :, :, ::1] argmax,            # OUT  (N, P, Q, C) the maximum's place in its window, row-major
    window,
    int num_threads,
):
    """y = maximum of each window; the first wins a tie, and a NaN wins over every number."""
    cdef Pooling s = checked_pooling(window, x.shape, y.shape, num_threads)
    cdef Py_ssize_t row
    check_shape('argmax', argmax.shape, (x.shape[0], s.P, s.Q, s.C))
    if s.Q == 0 or s.C == 0:
        return
    for row in prange(x.shape[0] * s.P, num_threads=num_threads, nogil=True, schedule='static'):
        pool_row(
            &s, row % s.P, &x[row // s.P, 0, 0, 0], &y[row // s.P, row % s.P, 0, 0],
            &argmax[row // s.P, row % s.P, 0, 0])


def maxpool_backward(
    const floating[:, :, :, ::1] dy,         # IN   (N, P, Q, C)
    const int32_t[:, :, :, ::1] argmax,      # IN   (N, P, Q, C)
    floating[:, :, :, ::1] dx,               # OUT  (N, H, W, C)
    window,
    int num_threads,
):
    """dx = dy at each maximum, zero elsewhere; where windows overlap, their gradients add."""
    cdef Pooling s = checked_pooling(window, dx.shape, dy.shape, num_threads)
    cdef Py_ssize_t n
    check_shape('argmax', argmax.shape, (dx.shape[0], s.P, s.Q, s.C))
    if dy.size == 0:
        dx[...] = 0
        return
    for n in prange(dx.shape[0], num_threads=num_threads, nogil=True, schedule='static'):
        route_sample(&s, &dy[n, 0, 0, 0], &argmax[n, 0, 0, 0], &dx[n, 0, 0, 0])


def averagepool_forward(
    const floating[:, :, :, ::1] x,          # IN   (N, H, W, C)
    floating[:, :, :, ::1] y,                # OUT  (N, P, Q, C)
    window,
    int num_threads,
):
    """y = mean of each window's pixels."""
    cdef Pooling s = checked_pooling(window, x.shape, y.shape, num_threads)
    cdef Py_ssize_t row
    if s.Q == 0 or s.C == 0:
        return
    for row in prange(x.shape[0] * s.P, num_threads=num_threads, nogil=True, schedule='static'):
        average_row(&s, row % s.P, &x[row // s.P, 0, 0, 0], &y[row // s.P, row % s.P, 0, 0])


def averagepool_backward(
    const floating[:, :, :, ::1] dy,         # IN   (N, P, Q, C)
    floating[:, :, :, ::1] dx,               # OUT  (N, H, W, C)
    window,
    int num_threads,
):
    """dx = the sum, over the windows that cover a pixel, of dy / the number of the window's pixels."""
    cdef Pooling s = checked_pooling(window, dx.shape, dy.shape, num_threads)
    cdef Py_ssize_t n
    if dy.size == 0:
        dx[...] = 0
        return
    for n in prange(dx.shape[0], num_threads=num_threads, nogil=True, schedule='static'):
        spread_sample(&s, &dy[n, 0, 0, 0], &dx[n, 0, 0, 0])
