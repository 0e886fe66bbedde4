"""The fully connected layer, as kernels and as a block, with the ReLU after it.

Letters: N samples, I inputs, O outputs. A tile of samples makes y and dx while its numbers are hot; the weights'
gradient waits until all samples are through, and is then cut into rows of weights, over the whole batch.

Large weights, which no cache would keep from one tile to the next, are read once for a whole batch: each thread takes
some columns of y, and then the same columns of dx and rows of the weights' gradient.
"""

from libc.string cimport memcpy, memset

from cnnx._ext.inline.checks cimport check_shape, check_threads
from cnnx._ext.inline.gemm cimport Layout, multiply_columns, panel_columns
from cnnx._ext.program cimport (
    BACKWARD, FINISH, FORWARD, JOIN_DY, JOIN_X, MEASURE_DY, PREPARE, Block, Phase, Span, begin_of, end_of,
    in_whole_vectors, run_alone,
)
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.even_parts cimport part_start, round_up
from cnnx._ext.inline.dot_and_transpose cimport dots, transpose

cdef enum:
    # For fewer samples than this, dx is dot products with the weights as they lie: transposing them
    # would cost more than it saves.
    LEAST_SAMPLES_TO_TRANSPOSE = 8
    # Weights of more bytes than this are large.
    LARGE_BYTES = 2097152
    # For a product with large weights, blocks of so many rows and columns are copied: (BLOCK, BLOCK), (BLOCK, PADDED).
    BLOCK = 128
    PADDED = 144                  # rows that lie so far apart do not share a few places in the cache
    # Bytes of transposed rows are an odd multiple of this, so that a column's numbers do not share one place there.
    CACHE_LINE = 64


def dense_forward(
    const floating[:, ::1] x,                # IN   (N, I)
    const floating[:, ::1] weights,          # IN   (I, O)
    const floating[::1] bias,                # IN   (O)
    floating[:, ::1] y,                      # OUT  (N, O)
    int num_threads,
):
    """y = x weights + bias."""
    check(x.shape, weights.shape, y.shape, bias.shape, num_threads)
    run_alone(DenseBlock(x, in_whole_vectors(weights), bias, y, False), x.shape[0], False, num_threads)


def dense_backward_weights(
    const floating[:, ::1] x,                # IN   (N, I)
    const floating[:, ::1] dy,               # IN   (N, O)
    floating[:, ::1] dweights,               # OUT  (I, O)
    floating[::1] dbias,                     # OUT  (O)
    int num_threads,
):
    """dweights = x, transposed, times dy; dbias = sum of dy over the samples."""
    check(x.shape, dweights.shape, dy.shape, dbias.shape, num_threads)
    if x.shape[0] == 0:
        dweights[...] = 0
        dbias[...] = 0
    run_alone(
        DenseBlock(x, None, None, dy, False, in_whole_vectors(dy), None, dweights, dbias), x.shape[0], True,
        num_threads)


def dense_backward_input(
    const floating[:, ::1] weights,          # IN   (I, O)
    const floating[:, ::1] dy,               # IN   (N, O)
    floating[:, ::1] dx,                     # OUT  (N, I)
    int num_threads,
):
    """dx = dy times weights, transposed."""
    check(dx.shape, weights.shape, dy.shape, NULL, num_threads)
    run_alone(DenseBlock(dx, in_whole_vectors(weights), None, dy, False, dy, dx), dx.shape[0], True, num_threads)


cdef int check(
    const Py_ssize_t* x, const Py_ssize_t* weights, const Py_ssize_t* y, const Py_ssize_t* bias, int num_threads,
) except -1:
    check_threads(num_threads)
    check_shape('weights', weights, (x[1], y[1]))
    check_shape('y', y, (x[0], y[1]))
    check_shape('bias', bias, (y[1],))
    return 0


cdef class DenseBlock(Block):
    """y = x weights + bias, then max(0, y) if `relu`; see `cnnx.layers.Dense`.

    Args:
        x, y: (N, I) and (N, O).
        weights, bias: (I, O) and (O,); the gradients of the weights alone need neither.
        relu: whether a ReLU follows.
        dy: (N, O), the gradient of y, which the backward pass changes; None where there is no backward pass.
        dx: (N, I), written, or None where nobody needs it.
        dweights, dbias: written, or None where nobody needs them.

    Attributes:
        large_bytes: weights of more bytes need arrays of whole batches.
    """

    large_bytes = LARGE_BYTES

    cdef Py_ssize_t I, O
    cdef Py_ssize_t row           # of transposed weights
    cdef bint relu, large
    cdef void* transposed         # (O, row)

    def __init__(self, x, weights, bias, y, bint relu, dy=None, dx=None, dweights=None, dbias=None):
        cdef size_t size = x.itemsize
        self.take(x, y, dy, dx, weights, bias, dweights, dbias)
        self.I, self.O, self.relu, self.shares = x.shape[1], y.shape[1], relu, True
        self.weights_size = self.I * self.O
        self.large = self.of_batch = self.weights_size * size > LARGE_BYTES
        self.row = (round_up(self.I * size, CACHE_LINE) // CACHE_LINE | 1) * CACHE_LINE // size
        if dx is not None and not self.large:
            self.transposed = self.room(self.O * self.row * size)
        self.scratch_bytes = BLOCK * (BLOCK + PADDED) * size if self.large else 0

    cdef void run_phase(self, Phase phase, const Span* span, char* scratch) noexcept nogil:
        if self.doubles:
            run(self, phase, span, <double*> scratch)
        else:
            run(self, phase, span, <float*> scratch)


cdef void run(DenseBlock a, Phase phase, const Span* span, floating* scratch) noexcept nogil:
    if phase == PREPARE:
        prepare(a, span, scratch)
    elif phase == FORWARD:
        forward(a, span, scratch)
    elif phase == MEASURE_DY and a.relu:
        through_relu(a, span, scratch)
    elif phase == JOIN_X or phase == JOIN_DY:
        multiply_batch(a, span, phase == JOIN_DY, scratch)
    elif phase == BACKWARD and not a.large:
        backward(a, span, scratch)
    elif phase == FINISH and a.dweights != NULL:
        finish(a, span, scratch)


cdef void prepare(DenseBlock a, const Span* span, const floating* kind) noexcept nogil:
    """Transpose the weights for the backward pass."""
    cdef Py_ssize_t first = begin_of(span, a.I), last = end_of(span, a.I)
    if span.training and a.transposed != NULL and span.samples >= LEAST_SAMPLES_TO_TRANSPOSE:
        transpose(
            last - first, a.O, <const floating*> a.weights + first * a.O, a.O,
            <floating*> a.transposed + first, a.row)


cdef void forward(DenseBlock a, const Span* span, const floating* kind) noexcept nogil:
    cdef Py_ssize_t rows = span.last - span.first, n, o
    cdef Py_ssize_t first = first_column(span, a.O, kind, 0), columns = first_column(span, a.O, kind, 1) - first
    cdef const floating* x = <const floating*> a.x + span.x * a.I
    cdef floating* y = <floating*> a.y + span.y * a.O + first
    if not a.large:
        multiply_columns(
            rows, columns, 1, a.I, x, Layout(a.I, 1, 0, 0), <const floating*> a.weights + first, a.O, y, a.O,
            <const floating*> a.bias + first, False)
    for n in range(rows if a.relu else 0):
        for o in range(n * a.O, n * a.O + columns):
            y[o] = 0 if y[o] <= 0 else y[o]


cdef inline Py_ssize_t first_column(
    const Span* span, Py_ssize_t columns, const floating* kind, Py_ssize_t later,
) noexcept nogil:
    """Return where a part of so many columns begins, or a later one; panels are not cut."""
    cdef Py_ssize_t width = panel_columns(kind), panels = (columns + width - 1) // width
    return min(columns, part_start(panels, span.part + later, span.parts) * width)


cdef void through_relu(DenseBlock a, const Span* span, const floating* kind) noexcept nogil:
    """Turn the gradient of ReLU's output into that of its input."""
    cdef const floating* y = <const floating*> a.y + span.y * a.O
    cdef floating* dy = <floating*> a.dy + span.y * a.O
    cdef Py_ssize_t i
    for i in range((span.last - span.first) * a.O):
        dy[i] = dy[i] if y[i] > 0 else 0


cdef void backward(DenseBlock a, const Span* span, const floating* kind) noexcept nogil:
    cdef Py_ssize_t rows = span.last - span.first
    cdef const floating* dy = <const floating*> a.dy + span.y * a.O
    cdef floating* dx = <floating*> a.dx + span.x * a.I
    cdef const floating* no_bias = NULL
    if a.relu:
        through_relu(a, span, kind)
    if a.dx == NULL:
        return
    if span.samples >= LEAST_SAMPLES_TO_TRANSPOSE:
        multiply_columns(
            rows, a.I, 1, a.O, dy, Layout(a.O, 1, 0, 0), <const floating*> a.transposed, a.row, dx, a.I, no_bias,
            False)
    else:
        multiply_by_dots(a, rows, 0, a.I, dy, dx)


cdef void multiply_by_dots(
    DenseBlock a, Py_ssize_t rows, Py_ssize_t first, Py_ssize_t last, const floating* dy, floating* dx,
) noexcept nogil:
    """Write columns first to last - 1 of dx for some samples."""
    cdef Py_ssize_t n
    for n in range(rows):
        dots(
            last - first, a.O, <const floating*> a.weights + first * a.O, a.O, dy + n * a.O, dx + n * a.I + first)


cdef void finish(DenseBlock a, const Span* span, const floating* kind) noexcept nogil:
    """dweights = x, transposed, times dy, for some rows; dbias = sum of dy."""
    cdef Py_ssize_t first = begin_of(span, a.I), last = end_of(span, a.I)
    cdef Py_ssize_t samples = span.samples, n, o
    cdef const floating* dy = <const floating*> a.dy
    cdef floating* dbias = <floating*> a.dbias
    if samples == 1:
        multiply_outer(last - first, a.O, <const floating*> a.x + first, dy, <floating*> a.dweights + first * a.O)
    elif not a.large:
        multiply_columns(
            last - first, a.O, 1, samples, <const floating*> a.x + first, Layout(1, a.I, 0, 0), dy, a.O,
            <floating*> a.dweights + first * a.O, a.O, <const floating*> NULL, False)
    if span.part == 0:
        memset(dbias, 0, a.O * sizeof(floating))
        for n in range(samples):
            for o in range(a.O):
                dbias[o] += dy[n * a.O + o]


cdef void multiply_outer(
    Py_ssize_t rows, Py_ssize_t columns, const floating* x, const floating* dy, floating* product,
) noexcept nogil:
    """product[i][o] = x[i] dy[o]."""
    cdef Py_ssize_t i, o
    for i in range(rows):
        for o in range(columns):
            product[i * columns + o] = x[i] * dy[o]


cdef void multiply_batch(DenseBlock a, const Span* span, bint backward, floating* scratch) noexcept nogil:
    """Write some columns of y, or of dx with those rows of dweights, for all samples."""
    cdef Py_ssize_t samples = span.samples, columns = a.I if backward else a.O
    cdef Py_ssize_t first = first_column(span, columns, scratch, 0), last = first_column(span, columns, scratch, 1)
    cdef const floating* x = <const floating*> a.x
    cdef const floating* weights = <const floating*> a.weights
    cdef const floating* bias = <const floating*> a.bias
    cdef const floating* dy = <const floating*> a.dy
    cdef floating* y = <floating*> a.y
    cdef floating* dx = <floating*> a.dx
    if not backward and samples == 1:
        multiply_row(last - first, a.O, a.I, x, weights + first, bias + first if bias != NULL else NULL, y + first)
    elif not backward:
        multiply_copies(
            samples, last - first, a.I, x, Layout(a.I, 1, 0, 0), weights + first, Layout(1, a.O, 0, 0), y + first, a.O,
            bias + first if bias != NULL else NULL, scratch)
    elif dx != NULL and samples < LEAST_SAMPLES_TO_TRANSPOSE:
        multiply_by_dots(a, samples, first, last, dy, dx)
    elif dx != NULL:
        multiply_copies(
            samples, last - first, a.O, dy, Layout(a.O, 1, 0, 0), weights + first * a.O, Layout(a.O, 1, 0, 0),
            dx + first, a.I, <const floating*> NULL, scratch)
    if backward and samples > 1 and a.dweights != NULL:
        multiply_copies(
            last - first, a.O, samples, x + first, Layout(1, a.I, 0, 0), dy, Layout(1, a.O, 0, 0),
            <floating*> a.dweights + first * a.O, a.O, <const floating*> NULL, scratch)


cdef void multiply_row(
    Py_ssize_t columns, Py_ssize_t row, Py_ssize_t depth,
    const floating* x, const floating* weights, const floating* bias, floating* y,
) noexcept nogil:
    """Write what `multiply_copies` would: each number of the weights is read once, and copying would gain nothing."""
    cdef Py_ssize_t k = 0, deep
    while k < depth:
        deep = min(depth - k, <Py_ssize_t> BLOCK)
        multiply_columns(
            1, columns, 1, deep, x + k, Layout(depth, 1, 0, 0), weights + k * row, row, y, row,
            bias if k == 0 else NULL, k > 0)
        k += deep


cdef void multiply_copies(
    Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t depth,
    const floating* a, Layout a_layout,       # IN       (rows, depth)
    const floating* b, Layout b_layout,       # IN       (columns, depth)
    floating* c, Py_ssize_t c_row,            # OUT      (rows, columns)
    const floating* bias,                     # IN       (columns), or NULL
    floating* scratch,                        # SCRATCH  (BLOCK, BLOCK + PADDED)
) noexcept nogil:
    """C = A B^T + bias, by copies of a block of A and one of B at a time.

    Where they lie, rows are often so far apart that they share a few places in the cache. Bits do not depend on how
    many rows and columns there are.
    """
    cdef Py_ssize_t row = 0, column, k, some, narrow, deep
    cdef floating* copied = scratch + BLOCK * BLOCK
    cdef const floating* some_bias = NULL
    while row < rows:
        some = min(rows - row, <Py_ssize_t> BLOCK)
        k = 0
        while k < depth:
            deep = min(depth - k, <Py_ssize_t> BLOCK)
            copy(some, deep, a + row * a_layout.row + k * a_layout.column, a_layout, scratch, some)
            column = 0
            while column < columns:
                narrow = min(columns - column, <Py_ssize_t> BLOCK)
                copy(narrow, deep, b + column * b_layout.row + k * b_layout.column, b_layout, copied, PADDED)
                if bias != NULL:
                    some_bias = bias + column if k == 0 else NULL
                multiply_columns(
                    some, narrow, 1, deep, <const floating*> scratch, Layout(1, some, 0, 0), <const floating*> copied,
                    PADDED, c + row * c_row + column, c_row, some_bias, k > 0)
                column += narrow
            k += deep
        row += some


cdef void copy(
    Py_ssize_t rows, Py_ssize_t columns, const floating* matrix, Layout layout, floating* to, Py_ssize_t to_row,
) noexcept nogil:
    """Copy a matrix, whose rows or columns are contiguous, transposed: to[column][row]."""
    cdef Py_ssize_t column
    if layout.column == 1:
        transpose(rows, columns, matrix, layout.row, to, to_row)
        return
    for column in range(columns):
        memcpy(to + column * to_row, matrix + column * layout.column, rows * sizeof(floating))
