"""Max-pooling and average pooling, forward and backward: kernels, and the block where a convolution's does not do it.

Windows may extend beyond the edges of the image; pixels outside of it do not count.

Letters: N samples; H, W rows and columns of the input; P, Q of the output; C channels.
"""

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport INT32_MAX, int32_t
from libc.string cimport memset

from cnnx._ext.inline.checks cimport check_shape, check_threads
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.window cimport Window, as_window
from cnnx._ext.program cimport BACKWARD, FORWARD, Block, Phase, Span, begin_of, end_of, run_alone

cdef extern from "simd/pooling.h" nogil:
    void maxima_of_window(
        ptrdiff_t channels, ptrdiff_t rows, ptrdiff_t columns, const void* x, ptrdiff_t line, ptrdiff_t there,
        ptrdiff_t place, ptrdiff_t places, void* y, int32_t* argmax, ptrdiff_t room)
    void mean_of_window(
        ptrdiff_t channels, ptrdiff_t rows, ptrdiff_t columns, const void* x, ptrdiff_t line, ptrdiff_t there,
        void* y, ptrdiff_t room)
    void spread_over_row(
        ptrdiff_t channels, ptrdiff_t columns, ptrdiff_t pixels, const void* dy, ptrdiff_t there, void* dx,
        ptrdiff_t room)


def maxpool_forward(
    const floating[:, :, :, ::1] x,          # IN   (N, H, W, C)
    floating[:, :, :, ::1] y,                # OUT  (N, P, Q, C)
    int32_t[:, :, :, ::1] argmax,            # OUT  (N, P, Q, C) the maximum's place in its window, row-major
    window,
    int num_threads,
):
    """y = maximum of each window; the first wins a tie, and a NaN wins over every number."""
    check(window, x.shape, y.shape, argmax.shape, num_threads)
    run_alone(PoolingBlock(False, x, y, window, argmax=argmax), x.shape[0], False, num_threads)


def maxpool_backward(
    const floating[:, :, :, ::1] dy,         # IN   (N, P, Q, C)
    const int32_t[:, :, :, ::1] argmax,      # IN   (N, P, Q, C)
    floating[:, :, :, ::1] dx,               # OUT  (N, H, W, C)
    window,
    int num_threads,
):
    """dx = dy at each maximum, zero elsewhere; where windows overlap, their gradients add."""
    check(window, dx.shape, dy.shape, argmax.shape, num_threads)
    run_alone(PoolingBlock(False, dx, dy, window, dy, dx, argmax), dx.shape[0], True, num_threads)


def averagepool_forward(
    const floating[:, :, :, ::1] x,          # IN   (N, H, W, C)
    floating[:, :, :, ::1] y,                # OUT  (N, P, Q, C)
    window,
    int num_threads,
):
    """y = mean of each window's pixels."""
    check(window, x.shape, y.shape, NULL, num_threads)
    run_alone(PoolingBlock(True, x, y, window), x.shape[0], False, num_threads)


def averagepool_backward(
    const floating[:, :, :, ::1] dy,         # IN   (N, P, Q, C)
    floating[:, :, :, ::1] dx,               # OUT  (N, H, W, C)
    window,
    int num_threads,
):
    """dx = the sum, over the windows that cover a pixel, of dy / the number of the window's pixels."""
    check(window, dx.shape, dy.shape, NULL, num_threads)
    run_alone(PoolingBlock(True, dx, dy, window, dy, dx), dx.shape[0], True, num_threads)


cdef int check(
    window, const Py_ssize_t* x, const Py_ssize_t* y, const Py_ssize_t* argmax, int num_threads,
) except -1:
    cdef Window w = as_window(window)
    check_threads(num_threads)
    check_shape('y', y, (x[0], y[1], y[2], x[3]))
    check_axis(w.height, w.stride_height, w.pad_top, y[1], x[1])
    check_axis(w.width, w.stride_width, w.pad_left, y[2], x[2])
    if w.height * w.width > INT32_MAX:
        raise ValueError(f'window: expected at most {INT32_MAX} pixels, got {w.height} x {w.width}')
    check_shape('argmax', argmax, (x[0], y[1], y[2], x[3]))
    return 0


cdef int check_axis(
    Py_ssize_t extent, Py_ssize_t stride, Py_ssize_t before, Py_ssize_t positions, Py_ssize_t size,
) except -1:
    """Raise a ValueError unless each window along an axis of the image covers some of it."""
    if positions > 0 and (before >= extent or size < 1 or (positions - 1) > (size - 1 + before) // stride):
        raise ValueError(
            f'{positions} windows of {extent} pixels, {stride} apart with {before} of padding, '
            f'reach beyond images of {size}')
    return 0


cdef class PoolingBlock(Block):
    """y = the maximum, or the mean, of each window's pixels in the image; see `cnnx.layers.pooling`.

    Args:
        average: whether it is the mean.
        x: (N, H, W, C).
        y: (N, P, Q, C), written.
        window: a `cnnx._util.windows.Window`.
        dy: (N, P, Q, C), the gradient of y; None where there is no backward pass.
        dx: (N, H, W, C), written, or None where nobody needs it.
        argmax: int32 (N, P, Q, C), the place of each maximum in its window; None for an array of the block's own.
    """

    cdef Window window
    cdef bint average
    cdef Py_ssize_t H, W, P, Q, C
    cdef int32_t* argmax          # (N, P, Q, C), or NULL where nobody needs it

    def __init__(self, bint average, x, y, window, dy=None, dx=None, argmax=None):
        self.take(x, y, dy, dx)
        self.average, self.window, self.shares = average, as_window(window), True
        self.argmax = <int32_t*> self.pointer(argmax)
        _, self.H, self.W, self.C = x.shape
        _, self.P, self.Q, _ = y.shape
        if self.goes_back and not average and argmax is None:
            self.argmax = <int32_t*> self.room(y.size * sizeof(int32_t))
        self.scratch_bytes = self.Q * self.C * sizeof(int32_t)

    cdef void run_phase(self, Phase phase, const Span* span, char* scratch) noexcept nogil:
        if self.doubles:
            run(self, phase, span, <double*> scratch)
        else:
            run(self, phase, span, <float*> scratch)


cdef void run(PoolingBlock s, Phase phase, const Span* span, floating* scratch) noexcept nogil:
    cdef Py_ssize_t row = s.Q * s.C, image = s.H * s.W * s.C, x = span.x * image, y = span.y * s.P * row, _i, p
    cdef int32_t* argmax = <int32_t*> scratch
    for _i in range(span.last - span.first):
        if phase == FORWARD:
            for p in range(begin_of(span, s.P), end_of(span, s.P)):
                if s.argmax != NULL:
                    argmax = s.argmax + y + p * row
                if s.average:
                    average_row(s, p, <const floating*> s.x + x, <floating*> s.y + y + p * row)
                else:
                    pool_row(s, p, <const floating*> s.x + x, <floating*> s.y + y + p * row, argmax)
        elif phase == BACKWARD and s.average:
            spread_sample(s, <const floating*> s.dy + y, <floating*> s.dx + x)
        elif phase == BACKWARD:
            route_sample(s, <const floating*> s.dy + y, s.argmax + y, <floating*> s.dx + x)
        x += image
        y += s.P * row


cdef struct Part:
    # Which rows and columns of a window lie in the image, `last` not among them, and the image's pixel that
    # the window's own first row and column would stand at.
    Py_ssize_t row, first_row, last_row
    Py_ssize_t column, first_column, last_column


cdef inline Part part_inside(PoolingBlock s, Py_ssize_t p, Py_ssize_t q) noexcept nogil:
    cdef const Window* w = &s.window
    cdef Part part
    part.row = p * w.stride_height - w.pad_top
    part.first_row, part.last_row = max(0, -part.row), min(w.height, s.H - part.row)
    part.column = q * w.stride_width - w.pad_left
    part.first_column, part.last_column = max(0, -part.column), min(w.width, s.W - part.column)
    return part


cdef inline Py_ssize_t pixels_of(Part part) noexcept nogil:
    return (part.last_row - part.first_row) * (part.last_column - part.first_column)


cdef void pool_row(
    PoolingBlock s, Py_ssize_t p,
    const floating* x,                       # IN   (H, W, C)
    floating* y,                             # OUT  (Q, C), row p
    int32_t* argmax,                         # OUT  (Q, C), row p
) noexcept nogil:
    cdef Py_ssize_t q, rows, columns, at, C = s.C, line = s.W * s.C, place
    cdef Part part
    for q in range(s.Q):
        part = part_inside(s, p, q)
        rows, columns = part.last_row - part.first_row, part.last_column - part.first_column
        at = (part.row + part.first_row) * line + (part.column + part.first_column) * C
        place = part.first_row * s.window.width + part.first_column
        maxima_of_window(
            C, rows, columns, x + at, line, s.H * line - at, place, s.window.width,
            y + q * C, argmax + q * C, (s.Q - q) * C)


cdef void route_sample(
    PoolingBlock s,
    const floating* dy,                      # IN   (P, Q, C)
    const int32_t* argmax,                   # IN   (P, Q, C)
    floating* dx,                            # OUT  (H, W, C)
) noexcept nogil:
    """Add each window's gradient to where its maximum was; one that is no place of the image gets nothing."""
    cdef Py_ssize_t p, q, c, row, column
    cdef int32_t place
    cdef Part part
    cdef floating* to
    memset(dx, 0, s.H * s.W * s.C * sizeof(floating))
    for p in range(s.P):
        for q in range(s.Q):
            part = part_inside(s, p, q)
            for row in range(part.first_row, part.last_row):
                for column in range(part.first_column, part.last_column):
                    place = <int32_t> (row * s.window.width + column)
                    to = dx + ((part.row + row) * s.W + part.column + column) * s.C
                    for c in range(s.C):
                        to[c] += dy[c] if argmax[c] == place else 0
            dy += s.C
            argmax += s.C


cdef void average_row(
    PoolingBlock s, Py_ssize_t p,
    const floating* x,                       # IN   (H, W, C)
    floating* y,                             # OUT  (Q, C), row p
) noexcept nogil:
    cdef Py_ssize_t q, rows, columns, at, C = s.C, line = s.W * s.C
    cdef Part part
    for q in range(s.Q):
        part = part_inside(s, p, q)
        rows, columns = part.last_row - part.first_row, part.last_column - part.first_column
        at = (part.row + part.first_row) * line + (part.column + part.first_column) * C
        mean_of_window(C, rows, columns, x + at, line, s.H * line - at, y + q * C, (s.Q - q) * C)


cdef void spread_sample(
    PoolingBlock s,
    const floating* dy,                      # IN   (P, Q, C)
    floating* dx,                            # OUT  (H, W, C)
) noexcept nogil:
    """Divide the gradient of each window among its pixels."""
    cdef const Window* w = &s.window
    cdef bint overlap = w.stride_height < w.height or w.stride_width < w.width
    cdef Py_ssize_t size = s.H * s.W * s.C, map = s.P * s.Q * s.C, p, r, q, at, from_
    cdef Part part
    memset(dx, 0, size * sizeof(floating))
    for p in range(s.P):
        part = part_inside(s, p, 0)
        for r in range(part.first_row, part.last_row):
            for q in range(s.Q):
                part = part_inside(s, p, q)
                at = ((part.row + r) * s.W + part.column + part.first_column) * s.C
                from_ = (p * s.Q + q) * s.C
                if overlap:
                    add_to_row(s.C, part, dy + from_, dx + at)
                else:
                    spread_over_row(
                        s.C, part.last_column - part.first_column, pixels_of(part), dy + from_, map - from_, dx + at,
                        size - at)


cdef inline void add_to_row(Py_ssize_t C, Part part, const floating* dy, floating* dx) noexcept nogil:
    """Add a window's gradient to the pixels of one of its rows."""
    cdef floating pixels = pixels_of(part)
    cdef Py_ssize_t column, c
    for column in range(part.last_column - part.first_column):
        for c in range(C):
            dx[column * C + c] += dy[c] / pixels
