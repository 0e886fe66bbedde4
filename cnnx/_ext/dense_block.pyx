"""The block of a dense layer and of the ReLU after it.

Letters: I inputs, O outputs. A tile of samples makes y and dx while its numbers are hot; the weights'
gradient waits until all samples are through, and is then cut into rows of weights, over the whole batch.
"""

from libc.string cimport memcpy, memset

from cnnx._ext.inline.gemm cimport Layout, lanes, multiply_columns, pack, panel_columns
from cnnx._ext.program cimport Block, Span
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.even_parts cimport part_start, round_up
from cnnx._ext.inline.dot_and_transpose cimport dots, transpose

cdef enum:
    # For fewer samples than this, dx is dot products with the weights as they lie: transposing them
    # would cost more than it saves.
    LEAST_SAMPLES_TO_TRANSPOSE = 8
    # Weights of more bytes than this do not stay in the cache: they are read a block of so many rows at a time.
    LARGE_BYTES = 2097152
    BLOCK_ROWS_OF_WEIGHTS = 256
    # Bytes of transposed rows are an odd multiple of this, so that a column's numbers do not share one place there.
    CACHE_LINE = 64
    # Numbers of x that are copied so that a product reads them in a row, and columns of x at least: a block of rows of
    # the product.
    COPIED = 4096
    LEAST_COPIED = 12


cdef struct Arrays:
    Py_ssize_t I, O
    Py_ssize_t row                # of transposed weights
    bint relu, large
    void* x                       # (N, I)
    void* weights                 # (I, O)
    void* bias                    # (O)
    void* y                       # (N, O)
    void* dy                      # (N, O)
    void* dx                      # (N, I), or NULL
    void* dweights                # (I, O)
    void* dbias                   # (O)
    void* transposed              # (O, row)


cdef class DenseBlock(Block):
    """y = x weights + bias, then max(0, y) if `relu`; see `cnnx.layers.Dense`.

    Args:
        x, y: (N, I) and (N, O).
        weights, bias: (I, O) and (O,).
        relu: whether a ReLU follows.
        dy: (N, O), the gradient of y, which the backward pass changes; None where there is no backward pass.
        dx: (N, I), written, or None where nobody needs it.
        dweights, dbias: written.
    """

    cdef Arrays a

    def __init__(self, x, weights, bias, y, bint relu, dy=None, dx=None, dweights=None, dbias=None):
        cdef Arrays* a = &self.a
        cdef size_t size = weights.dtype.itemsize
        cdef Py_ssize_t width = lanes(<double*> NULL) if size == sizeof(double) else lanes(<float*> NULL)
        self.doubles = size == sizeof(double)
        a.I, a.O = weights.shape
        self.weights_size = a.I * a.O
        a.relu = relu
        a.x, a.weights, a.bias, a.y = self.pointer(x), self.pointer(weights), self.pointer(bias), self.pointer(y)
        a.dy, a.dx = self.pointer(dy), self.pointer(dx)
        a.dweights, a.dbias = self.pointer(dweights), self.pointer(dbias)
        a.large = a.I * a.O * size > LARGE_BYTES
        a.row = (round_up(a.I * size, CACHE_LINE) // CACHE_LINE | 1) * CACHE_LINE // size
        a.transposed = self.room(a.O * a.row * size) if dx is not None else NULL
        self.scratch_bytes = 2 * width * BLOCK_ROWS_OF_WEIGHTS * size if a.large else 0

    cdef void prepare(self, Py_ssize_t samples, bint training, Py_ssize_t part, Py_ssize_t parts) noexcept nogil:
        if self.doubles:
            prepare(&self.a, samples, training, part, parts, <double*> NULL)
        else:
            prepare(&self.a, samples, training, part, parts, <float*> NULL)

    cdef void forward(self, Span span, bint training, char* scratch) noexcept nogil:
        if self.doubles:
            forward(&self.a, span, <double*> scratch)
        else:
            forward(&self.a, span, <float*> scratch)

    cdef void backward(self, Span span, char* scratch) noexcept nogil:
        if self.a.dy == NULL:
            return
        if self.doubles:
            backward(&self.a, span, <double*> NULL)
        else:
            backward(&self.a, span, <float*> NULL)

    cdef void finish(self, Py_ssize_t samples, Py_ssize_t tasks, Py_ssize_t part, Py_ssize_t parts) noexcept nogil:
        if self.a.dy == NULL:
            return
        if self.doubles:
            finish(&self.a, samples, part, parts, <double*> NULL)
        else:
            finish(&self.a, samples, part, parts, <float*> NULL)


cdef void prepare(
    Arrays* a, Py_ssize_t samples, bint training, Py_ssize_t part, Py_ssize_t parts, const floating* kind,
) noexcept nogil:
    """Transpose the weights for the backward pass."""
    cdef Py_ssize_t first = part_start(a.I, part, parts), last = part_start(a.I, part + 1, parts)
    if training and a.transposed != NULL and samples >= LEAST_SAMPLES_TO_TRANSPOSE:
        transpose(
            last - first, a.O, <const floating*> a.weights + first * a.O, a.O,
            <floating*> a.transposed + first, a.row)


cdef void forward(Arrays* a, Span span, floating* scratch) noexcept nogil:
    cdef Py_ssize_t rows = span.last - span.first, i
    cdef const floating* x = <const floating*> a.x + span.x * a.I
    cdef floating* y = <floating*> a.y + span.y * a.O
    if a.large:
        multiply_in_blocks(
            rows, a.O, a.I, x, <const floating*> a.weights, <const floating*> a.bias, y, scratch)
    else:
        multiply_columns(
            rows, a.O, 1, a.I, x, Layout(a.I, 1, 0, 0), <const floating*> a.weights, a.O, y, a.O,
            <const floating*> a.bias, False)
    if a.relu:
        for i in range(rows * a.O):
            y[i] = 0 if y[i] <= 0 else y[i]


cdef void multiply_in_blocks(
    Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t depth,
    const floating* a,            # IN       (rows, depth)
    const floating* b,            # IN       (depth, columns)
    const floating* bias,         # IN       (columns)
    floating* c,                  # OUT      (rows, columns)
    floating* packed,             # SCRATCH  (BLOCK_ROWS_OF_WEIGHTS, panel_columns)
) noexcept nogil:
    """C = A B + bias, some rows of B at a time. Bits do not depend on how many rows A has."""
    cdef Py_ssize_t width = panel_columns(b), first = 0, column, some, narrow
    while first < depth:
        some = min(depth - first, <Py_ssize_t> BLOCK_ROWS_OF_WEIGHTS)
        column = 0
        # A row alone reads each number of B once: copying would gain nothing.
        while rows > 1 and column < columns:
            narrow = min(width, columns - column)
            pack(some, narrow, b + column, Layout(columns, 1, 0, 0), packed)
            multiply_columns(
                rows, narrow, 1, some, a, Layout(depth, 1, 0, 0), <const floating*> packed,
                round_up(narrow, lanes(b)), c + column, columns, bias + column if bias != NULL else NULL, first > 0)
            column += width
        if rows == 1:
            multiply_columns(
                1, columns, 1, some, a, Layout(depth, 1, 0, 0), b, columns, c, columns, bias, first > 0)
        a += some
        b += some * columns
        bias = NULL
        first += some


cdef void backward(Arrays* a, Span span, const floating* kind) noexcept nogil:
    cdef Py_ssize_t rows = span.last - span.first, i, n
    cdef const floating* y = <const floating*> a.y + span.y * a.O
    cdef floating* dy = <floating*> a.dy + span.y * a.O
    cdef floating* dx = <floating*> a.dx + span.x * a.I
    cdef const floating* no_bias = NULL
    if a.relu:
        for i in range(rows * a.O):
            dy[i] = dy[i] if y[i] > 0 else 0
    if a.dx == NULL:
        return
    if span.samples >= LEAST_SAMPLES_TO_TRANSPOSE:
        multiply_columns(
            rows, a.I, 1, a.O, <const floating*> dy, Layout(a.O, 1, 0, 0), <const floating*> a.transposed, a.row,
            dx, a.I, no_bias, False)
        return
    for n in range(rows):
        dots(a.I, a.O, <const floating*> a.weights, a.O, dy + n * a.O, dx + n * a.I)


cdef void finish(
    Arrays* a, Py_ssize_t samples, Py_ssize_t part, Py_ssize_t parts, const floating* kind,
) noexcept nogil:
    """dweights = x, transposed, times dy, for some rows; dbias = sum of dy."""
    cdef Py_ssize_t first = part_start(a.I, part, parts), last = part_start(a.I, part + 1, parts), n, o
    cdef const floating* dy = <const floating*> a.dy
    cdef floating* dbias = <floating*> a.dbias
    if samples == 1:
        multiply_outer(last - first, a.O, <const floating*> a.x + first, dy, <floating*> a.dweights + first * a.O)
    else:
        multiply_transposed(
            last - first, a.O, samples, <const floating*> a.x + first, a.I, dy,
            <floating*> a.dweights + first * a.O)
    if part == 0:
        memset(dbias, 0, a.O * sizeof(floating))
        for n in range(samples):
            for o in range(a.O):
                dbias[o] += dy[n * a.O + o]


cdef void multiply_transposed(
    Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t samples,
    const floating* x,            # IN   (samples, x_row), of which `rows` columns are read
    Py_ssize_t x_row,
    const floating* dy,           # IN   (samples, columns)
    floating* product,            # OUT  (rows, columns)
) noexcept nogil:
    """product = x, transposed, times dy. Columns of x are copied so that their numbers lie side by side."""
    cdef floating[COPIED] copied
    cdef Py_ssize_t some = min(rows, max(<Py_ssize_t> LEAST_COPIED, COPIED // max(samples, 1)))
    cdef Py_ssize_t depth = COPIED // max(some, 1), first = 0, sample, count, deep, n
    cdef const floating* no_bias = NULL
    while first < rows:
        count = min(some, rows - first)
        sample = 0
        while sample < samples:
            deep = min(depth, samples - sample)
            for n in range(deep):
                memcpy(copied + n * count, x + (sample + n) * x_row + first, count * sizeof(floating))
            multiply_columns(
                count, columns, 1, deep, <const floating*> copied, Layout(1, count, 0, 0), dy + sample * columns,
                columns, product + first * columns, columns, no_bias, sample > 0)
            sample += deep
        first += count


cdef void multiply_outer(
    Py_ssize_t rows, Py_ssize_t columns, const floating* x, const floating* dy, floating* product,
) noexcept nogil:
    """product[i][o] = x[i] dy[o]."""
    cdef Py_ssize_t i, o
    for i in range(rows):
        for o in range(columns):
            product[i * columns + o] = x[i] * dy[o]
