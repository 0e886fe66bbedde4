# Max-pooling and average pooling of one sample, for the kernels and for the block. Letters: see pooling.pyx.

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int32_t
from libc.string cimport memset

from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.window cimport Window

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


cdef struct Pooling:
    Window window
    Py_ssize_t H, W, P, Q, C


cdef struct Part:
    # Which rows and columns of a window lie in the image, `last` not among them, and the image's pixel that
    # the window's own first row and column would stand at.
    Py_ssize_t row, first_row, last_row
    Py_ssize_t column, first_column, last_column


cdef inline Part part_inside(const Pooling* s, Py_ssize_t p, Py_ssize_t q) noexcept nogil:
    cdef const Window* w = &s.window
    cdef Part part
    part.row = p * w.stride_height - w.pad_top
    part.first_row, part.last_row = max(0, -part.row), min(w.height, s.H - part.row)
    part.column = q * w.stride_width - w.pad_left
    part.first_column, part.last_column = max(0, -part.column), min(w.width, s.W - part.column)
    return part


cdef inline Py_ssize_t pixels_of(Part part) noexcept nogil:
    return (part.last_row - part.first_row) * (part.last_column - part.first_column)


cdef inline void pool_row(
    const Pooling* s, Py_ssize_t p,
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


cdef inline void route_sample(
    const Pooling* s,
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


cdef inline void average_row(
    const Pooling* s, Py_ssize_t p,
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


cdef inline void spread_sample(
    const Pooling* s,
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
