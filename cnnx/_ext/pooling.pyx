"""Max-pooling that remembers where each maximum stood.

Letters: N samples; H, W rows and columns of the input; P, Q of the output; C channels.
"""

from libc.stdint cimport int32_t
from libc.string cimport memset
from cython.parallel cimport prange

from cnnx._ext.checks cimport check_images, check_threads
from cnnx._ext.real cimport floating
from cnnx._ext.window cimport Window, as_window


cdef int check_pooling(
    Window w, const Py_ssize_t* x, const Py_ssize_t* y, const Py_ssize_t* argmax, int num_threads,
) except -1:
    cdef Py_ssize_t P = y[1], Q = y[2]
    check_threads(num_threads)
    check_images('y', y, x[0], P, Q, x[3])
    check_images('argmax', argmax, x[0], P, Q, x[3])
    if w.height > x[1] or w.width > x[2] or (
            P - 1 > (x[1] - w.height) // w.stride_height or Q - 1 > (x[2] - w.width) // w.stride_width):
        raise ValueError(f'{P} x {Q} windows reach beyond images of {x[1]} x {x[2]}')
    return 0


def maxpool_forward(
    const floating[:, :, :, ::1] x,          # IN   (N, H, W, C)
    floating[:, :, :, ::1] y,                # OUT  (N, P, Q, C)
    int32_t[:, :, :, ::1] argmax,            # OUT  (N, P, Q, C) the maximum's place in its window, row-major
    window,
    int num_threads,
):
    """y = maximum of each window; the first wins a tie, and a NaN wins over every number."""
    cdef Window w = as_window(window)
    cdef Py_ssize_t N = x.shape[0], P = y.shape[1], row
    check_pooling(w, x.shape, y.shape, argmax.shape, num_threads)
    for row in prange(N * P, num_threads=num_threads, nogil=True, schedule='static'):
        pool_row(x, y, argmax, w, row // P, row % P)


cdef void pool_row(
    const floating[:, :, :, ::1] x,
    floating[:, :, :, ::1] y,
    int32_t[:, :, :, ::1] argmax,
    Window window,
    Py_ssize_t n, Py_ssize_t p,
) noexcept nogil:
    """Pool row p of sample n, all channels of a window side by side."""
    cdef Py_ssize_t Q = y.shape[2], C = y.shape[3]
    cdef Py_ssize_t q, r, s, c
    cdef int32_t place
    cdef floating value
    cdef const floating* pixel
    cdef floating* best
    cdef int32_t* best_place
    for q in range(Q):
        best = &y[n, p, q, 0]
        best_place = &argmax[n, p, q, 0]
        pixel = &x[n, p * window.stride_height, q * window.stride_width, 0]
        for c in range(C):
            best[c] = pixel[c]
            best_place[c] = 0
        for r in range(window.height):
            for s in range(window.width):
                pixel = &x[n, p * window.stride_height + r, q * window.stride_width + s, 0]
                place = <int32_t> (r * window.width + s)
                for c in range(C):
                    value = pixel[c]
                    # `not <=` is true of a larger value and of a NaN; a best that is NaN already stays.
                    if not value <= best[c] and best[c] == best[c]:
                        best[c] = value
                        best_place[c] = place


def maxpool_backward(
    const floating[:, :, :, ::1] dy,         # IN   (N, P, Q, C)
    const int32_t[:, :, :, ::1] argmax,      # IN   (N, P, Q, C)
    floating[:, :, :, ::1] dx,               # OUT  (N, H, W, C)
    window,
    int num_threads,
):
    """dx = dy at each maximum, zero elsewhere; where windows overlap, their gradients add."""
    cdef Window w = as_window(window)
    cdef Py_ssize_t N = dx.shape[0], image = dx.shape[1] * dx.shape[2] * dx.shape[3]
    cdef Py_ssize_t P = dy.shape[1], Q = dy.shape[2], C = dy.shape[3]
    cdef Py_ssize_t n, p, q, c, places = w.height * w.width
    cdef int32_t place
    check_pooling(w, dx.shape, dy.shape, argmax.shape, num_threads)
    for n in prange(N, num_threads=num_threads, nogil=True, schedule='static'):
        memset(&dx[n, 0, 0, 0], 0, image * sizeof(floating))
        for p in range(P):
            for q in range(Q):
                for c in range(C):
                    place = argmax[n, p, q, c]
                    # As in NumPy, what is no place of the window gets nothing.
                    if 0 <= place < places:
                        dx[
                            n,
                            p * w.stride_height + place // w.width,
                            q * w.stride_width + place % w.width,
                            c,
                        ] += dy[n, p, q, c]
