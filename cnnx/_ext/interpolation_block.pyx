"""The block that enlarges images by interpolation. Letters: H, W, C rows, columns, channels of x; P, Q those of y."""

from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.interpolation cimport add_lines, find_band
from cnnx._ext.program cimport Block, Span


cdef struct Axis:
    Py_ssize_t before
    Py_ssize_t after
    const void* matrix            # (after, before) how much each line before counts for each one after
    Py_ssize_t* bands             # (after, 2) where the numbers of a row that are not zero begin and end


cdef class InterpolationBlock(Block):
    """y = rows x columns, transposed, channel by channel; see `cnnx.layers.UpSampling`.

    Args:
        rows, columns: (P, H) and (Q, W), how much each pixel of x counts for each one of y, most of it zero.
        x: (N, H, W, C).
        y: (N, P, Q, C), written.
        dy: (N, P, Q, C), the gradient of y; None where there is no backward pass.
        dx: (N, H, W, C), written, or None where nobody needs it.
    """

    cdef Axis[2] forward_axes     # rows and columns
    cdef Axis[2] backward_axes
    cdef void* x
    cdef void* y
    cdef void* dy
    cdef void* dx
    cdef Py_ssize_t C

    def __init__(self, rows, columns, x, y, dy=None, dx=None):
        self.doubles = x.dtype.itemsize == sizeof(double)
        self.x, self.y, self.dy, self.dx = self.pointer(x), self.pointer(y), self.pointer(dy), self.pointer(dx)
        self.C = x.shape[3]
        for i, matrix in enumerate((rows, columns)):
            self.forward_axes[i] = self.axis(matrix.astype(x.dtype, order='C'))
            self.backward_axes[i] = self.axis(matrix.T.astype(x.dtype, order='C'))
        # Images whose columns have been made, and not their rows.
        self.scratch_bytes = max(x.shape[1] * y.shape[2], y.shape[1] * x.shape[2]) * self.C * x.itemsize

    cdef Axis axis(self, matrix) except *:
        cdef Axis axis
        cdef Py_ssize_t i
        axis.after, axis.before = matrix.shape
        axis.matrix = self.pointer(matrix)
        axis.bands = <Py_ssize_t*> self.room(2 * axis.after * sizeof(Py_ssize_t))
        for i in range(axis.after):
            if self.doubles:
                find_band(axis.before, <const double*> axis.matrix + i * axis.before, axis.bands + 2 * i)
            else:
                find_band(axis.before, <const float*> axis.matrix + i * axis.before, axis.bands + 2 * i)
        return axis

    cdef void forward(self, Span span, bint training, char* scratch) noexcept nogil:
        cdef Axis* axes = self.forward_axes
        if self.doubles:
            resize(axes, axes + 1, self.C, span, <const double*> self.x, <double*> scratch, <double*> self.y)
        else:
            resize(axes, axes + 1, self.C, span, <const float*> self.x, <float*> scratch, <float*> self.y)

    cdef void backward(self, Span span, char* scratch) noexcept nogil:
        cdef Axis* axes = self.backward_axes
        if self.dx == NULL:
            return
        span.x, span.y = span.y, span.x
        if self.doubles:
            resize(axes, axes + 1, self.C, span, <const double*> self.dy, <double*> scratch, <double*> self.dx)
        else:
            resize(axes, axes + 1, self.C, span, <const float*> self.dy, <float*> scratch, <float*> self.dx)


cdef void resize(
    const Axis* rows, const Axis* columns, Py_ssize_t C, Span span,
    const floating* x,            # IN       (N, rows.before, columns.before, C)
    floating* between,            # SCRATCH  (rows.before, columns.after, C)
    floating* y,                  # OUT      (N, rows.after, columns.after, C)
) noexcept nogil:
    """Make images of others: first the pixels of each row, then the rows."""
    cdef Py_ssize_t line = columns.before * C, wide = columns.after * C, n, i, j
    x += span.x * rows.before * line
    y += span.y * rows.after * wide
    for n in range(span.last - span.first):
        for i in range(rows.before):
            for j in range(columns.after):
                add_lines(
                    columns.bands + 2 * j, C, <const floating*> columns.matrix + j * columns.before,
                    x + (n * rows.before + i) * line, between + i * wide + j * C)
        for i in range(rows.after):
            add_lines(
                rows.bands + 2 * i, wide, <const floating*> rows.matrix + i * rows.before, <const floating*> between,
                y + (n * rows.after + i) * wide)
