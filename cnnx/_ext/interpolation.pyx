"""Images enlarged by interpolation, and the way back: a kernel, and a block.

Letters: N images; H, W, C rows, columns and channels before; P, Q rows and columns after.
"""

import numpy as np

from libc.string cimport memset

from cnnx._ext.inline.checks cimport check_shape, check_threads
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.program cimport BACKWARD, FORWARD, Block, Phase, Span, run_alone


def interpolate(
    const floating[:, ::1] rows,             # IN   (P, H) how much each row before counts for each one after
    const floating[:, ::1] columns,          # IN   (Q, W) likewise
    const floating[:, :, :, ::1] x,          # IN   (N, H, W, C)
    floating[:, :, :, ::1] y,                # OUT  (N, P, Q, C)
    int num_threads,
):
    """y = rows x columns, transposed, channel by channel.

    Of a matrix, only what lies between the first and the last number of a row that is not zero is read.
    """
    check_threads(num_threads)
    check_shape('rows', rows.shape, (y.shape[1], x.shape[1]))
    check_shape('columns', columns.shape, (y.shape[2], x.shape[2]))
    check_shape('y', y.shape, (x.shape[0], y.shape[1], y.shape[2], x.shape[3]))
    run_alone(InterpolationBlock(np.asarray(rows), np.asarray(columns), x, y), x.shape[0], False, num_threads)


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
    cdef Py_ssize_t C

    def __init__(self, rows, columns, x, y, dy=None, dx=None):
        cdef object dtype = np.dtype(f'f{x.itemsize}')
        self.take(x, y, dy, dx)
        self.C = x.shape[3]
        for i, matrix in enumerate((rows, columns)):
            self.forward_axes[i] = self.axis(matrix.astype(dtype, order='C'))
            if self.goes_back:
                self.backward_axes[i] = self.axis(matrix.T.astype(dtype, order='C'))
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

    cdef void run_phase(self, Phase phase, const Span* span, char* scratch) noexcept nogil:
        if self.doubles:
            run(self, phase, span, <double*> scratch)
        else:
            run(self, phase, span, <float*> scratch)


cdef void run(InterpolationBlock block, Phase phase, const Span* span, floating* scratch) noexcept nogil:
    cdef const Axis* axes = block.forward_axes
    cdef Py_ssize_t samples = span.last - span.first, C = block.C
    cdef Py_ssize_t x = span.x * axes[0].before * axes[1].before * C, y = span.y * axes[0].after * axes[1].after * C
    if phase == FORWARD:
        resize(samples, C, block.forward_axes, <const floating*> block.x + x, scratch, <floating*> block.y + y)
    elif phase == BACKWARD:
        resize(samples, C, block.backward_axes, <const floating*> block.dy + y, scratch, <floating*> block.dx + x)


cdef void resize(
    Py_ssize_t samples, Py_ssize_t C, const Axis* axes,
    const floating* x,            # IN       (samples, rows.before, columns.before, C)
    floating* between,            # SCRATCH  (rows.before, columns.after, C)
    floating* y,                  # OUT      (samples, rows.after, columns.after, C)
) noexcept nogil:
    """Make images of others: first the pixels of each row, then the rows."""
    cdef const Axis* rows = axes
    cdef const Axis* columns = axes + 1
    cdef Py_ssize_t line = columns.before * C, wide = columns.after * C, n, i, j
    for n in range(samples):
        for i in range(rows.before):
            for j in range(columns.after):
                add_lines(
                    columns.bands + 2 * j, C, <const floating*> columns.matrix + j * columns.before,
                    x + (n * rows.before + i) * line, between + i * wide + j * C)
        for i in range(rows.after):
            add_lines(
                rows.bands + 2 * i, wide, <const floating*> rows.matrix + i * rows.before, <const floating*> between,
                y + (n * rows.after + i) * wide)


cdef void find_band(Py_ssize_t H, const floating* row, Py_ssize_t* band) noexcept nogil:
    """Write where the numbers of a row that are not zero begin and end."""
    band[0], band[1] = 0, H
    while band[1] > 0 and row[band[1] - 1] == 0:
        band[1] -= 1
    while band[0] < band[1] and row[band[0]] == 0:
        band[0] += 1


cdef void add_lines(
    const Py_ssize_t* band, Py_ssize_t L,
    const floating* row,                     # IN   (H)
    const floating* x,                       # IN   (H, L)
    floating* y,                             # OUT  (L)
) noexcept nogil:
    cdef Py_ssize_t h, i
    memset(y, 0, L * sizeof(floating))
    for h in range(band[0], band[1]):
        for i in range(L):
            y[i] += row[h] * x[h * L + i]
