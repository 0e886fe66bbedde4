"""Max-pooling that remembers where each maximum stood, and average pooling.

Windows may reach over the image's edges: what lies outside is no part of them.

Letters: N samples; H, W rows and columns of the input; P, Q of the output; C channels.
"""

from libc.stdint cimport INT32_MAX, int32_t
from libc.string cimport memset
from cython.parallel cimport prange

from cnnx._ext.checks cimport check_images, check_threads
from cnnx._ext.real cimport floating
from cnnx._ext.window cimport Window, as_window


cdef struct Part:
    # Which rows and columns of a window lie in the image, `last` not among them, and the image's pixel that
    # the window's own first row and column would stand at.
    Py_ssize_t row, first_row, last_row
    Py_ssize_t column, first_column, last_column


cdef inline Part part_inside(const Window* w, Py_ssize_t p, Py_ssize_t q, Py_ssize_t H, Py_ssize_t W) noexcept nogil:
    cdef Part part
    part.row = p * w.stride_height - w.pad_top
    part.first_row, part.last_row = max(0, -part.row), min(w.height, H - part.row)
    part.column = q * w.stride_width - w.pad_left
    part.first_column, part.last_column = max(0, -part.column), min(w.width, W - part.column)
    return part


cdef int check_axis(
    Py_ssize_t extent, Py_ssize_t stride, Py_ssize_t before, Py_ssize_t positions, Py_ssize_t size,
) except -1:
    """Raise a ValueError unless each window along an axis of the image covers some of it."""
    if positions > 0 and (before >= extent or size < 1 or (positions - 1) > (size - 1 + before) // stride):
        raise ValueError(
            f'{positions} windows of {extent} pixels, {stride} apart with {before} of padding, '
            f'reach beyond images of {size}')
    return 0


cdef int check_pooling(
    Window w, const Py_ssize_t* x, const Py_ssize_t* y, int num_threads,
) except -1:
    check_threads(num_threads)
    check_images('y', y, x[0], y[1], y[2], x[3])
    check_axis(w.height, w.stride_height, w.pad_top, y[1], x[1])
    check_axis(w.width, w.stride_width, w.pad_left, y[2], x[2])
    if w.height * w.width > INT32_MAX:
        raise ValueError(f'window: expected at most {INT32_MAX} pixels, got {w.height} x {w.width}')
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
    check_pooling(w, x.shape, y.shape, num_threads)
    check_images('argmax', argmax.shape, x.shape[0], P, y.shape[2], x.shape[3])
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
    cdef Part part
    for q in range(Q):
        part = part_inside(&window, p, q, x.shape[1], x.shape[2])
        best = &y[n, p, q, 0]
        best_place = &argmax[n, p, q, 0]
        pixel = &x[n, part.row + part.first_row, part.column + part.first_column, 0]
        place = <int32_t> (part.first_row * window.width + part.first_column)
        for c in range(C):
            best[c] = pixel[c]
            best_place[c] = place
        for r in range(part.first_row, part.last_row):
            for s in range(part.first_column, part.last_column):
                pixel = &x[n, part.row + r, part.column + s, 0]
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
    cdef Py_ssize_t N = dx.shape[0], H = dx.shape[1], W = dx.shape[2], image = H * W * dx.shape[3]
    cdef Py_ssize_t P = dy.shape[1], Q = dy.shape[2], C = dy.shape[3]
    cdef Py_ssize_t n, p, q, c, row, column, places = w.height * w.width
    cdef int32_t place
    check_pooling(w, dx.shape, dy.shape, num_threads)
    check_images('argmax', argmax.shape, N, P, Q, C)
    for n in prange(N, num_threads=num_threads, nogil=True, schedule='static'):
        memset(&dx[n, 0, 0, 0], 0, image * sizeof(floating))
        for p in range(P):
            for q in range(Q):
                for c in range(C):
                    place = argmax[n, p, q, c]
                    # As in NumPy, what is no place of the window, or lies outside the image, gets nothing.
                    if 0 <= place < places:
                        row = p * w.stride_height - w.pad_top + place // w.width
                        column = q * w.stride_width - w.pad_left + place % w.width
                        if 0 <= row < H and 0 <= column < W:
                            dx[n, row, column, c] += dy[n, p, q, c]


def averagepool_forward(
    const floating[:, :, :, ::1] x,          # IN   (N, H, W, C)
    floating[:, :, :, ::1] y,                # OUT  (N, P, Q, C)
    window,
    int num_threads,
):
    """y = mean of each window's pixels."""
    cdef Window w = as_window(window)
    cdef Py_ssize_t N = x.shape[0], P = y.shape[1], row
    check_pooling(w, x.shape, y.shape, num_threads)
    for row in prange(N * P, num_threads=num_threads, nogil=True, schedule='static'):
        average_row(x, y, w, row // P, row % P)


cdef void average_row(
    const floating[:, :, :, ::1] x, floating[:, :, :, ::1] y, Window window, Py_ssize_t n, Py_ssize_t p,
) noexcept nogil:
    """Average row p of sample n, all channels of a window side by side."""
    cdef Py_ssize_t q, r, s, c, C = y.shape[3]
    cdef const floating* pixel
    cdef floating* mean
    cdef Part part
    for q in range(y.shape[2]):
        part = part_inside(&window, p, q, x.shape[1], x.shape[2])
        mean = &y[n, p, q, 0]
        for c in range(C):
            mean[c] = 0
        for r in range(part.first_row, part.last_row):
            for s in range(part.first_column, part.last_column):
                pixel = &x[n, part.row + r, part.column + s, 0]
                for c in range(C):
                    mean[c] += pixel[c]
        for c in range(C):
            mean[c] /= pixels_of(part)


cdef inline Py_ssize_t pixels_of(Part part) noexcept nogil:
    return (part.last_row - part.first_row) * (part.last_column - part.first_column)


def averagepool_backward(
    const floating[:, :, :, ::1] dy,         # IN   (N, P, Q, C)
    floating[:, :, :, ::1] dx,               # OUT  (N, H, W, C)
    window,
    int num_threads,
):
    """dx = the sum, over the windows that cover a pixel, of dy / the number of the window's pixels."""
    cdef Window w = as_window(window)
    cdef Py_ssize_t n
    check_pooling(w, dx.shape, dy.shape, num_threads)
    for n in prange(dx.shape[0], num_threads=num_threads, nogil=True, schedule='static'):
        spread_sample(dy, dx, w, n)


cdef void spread_sample(
    const floating[:, :, :, ::1] dy, floating[:, :, :, ::1] dx, Window window, Py_ssize_t n,
) noexcept nogil:
    """Share out the gradients of sample n's windows among their pixels."""
    cdef Py_ssize_t H = dx.shape[1], W = dx.shape[2], C = dx.shape[3]
    cdef Py_ssize_t p, q, r, s, c
    cdef floating pixels
    cdef const floating* gradient
    cdef floating* pixel
    cdef Part part
    memset(&dx[n, 0, 0, 0], 0, H * W * C * sizeof(floating))
    for p in range(dy.shape[1]):
        for q in range(dy.shape[2]):
            part = part_inside(&window, p, q, H, W)
            pixels = pixels_of(part)
            gradient = &dy[n, p, q, 0]
            for r in range(part.first_row, part.last_row):
                for s in range(part.first_column, part.last_column):
                    pixel = &dx[n, part.row + r, part.column + s, 0]
                    for c in range(C):
                        pixel[c] += gradient[c] / pixels
