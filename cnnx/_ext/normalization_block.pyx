"""The blocks of batch normalization, for prediction and for training. Letters: see normalization.pyx."""

from libc.math cimport sqrt
from libc.string cimport memcpy, memset

from cnnx._ext.inline.normalization cimport (
    add_tile_gradients, gradient_of_rows, join_statistics, normalize, tile_statistics, wide_row, widen_factors,
    widen_scales,
)
from cnnx._ext.program cimport Block, Span
from cnnx._ext.inline.floating cimport floating


cdef class NormalizationBlock(Block):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, forward only; see `cnnx.layers.BatchNormalization`.

    Args:
        x, y: (N, ..., C) and of the same size; y is written, and may be x.
        mean, variance, gamma, beta: (C,).
        epsilon: what is added to the variance.
    """

    cdef void* x
    cdef void* y
    cdef void* mean
    cdef void* variance
    cdef void* gamma
    cdef void* beta
    cdef void* wide               # (4, width), of which a pass forward reads three
    cdef Py_ssize_t size          # of a sample
    cdef Py_ssize_t C, width
    cdef double epsilon

    def __init__(self, x, y, mean, variance, gamma, beta, double epsilon):
        self.doubles = x.dtype.itemsize == sizeof(double)
        self.size = x.size // len(x)
        self.C, self.width, self.epsilon = len(mean), wide_row(len(mean)), epsilon
        self.x, self.y = self.pointer(x), self.pointer(y)
        self.mean, self.variance = self.pointer(mean), self.pointer(variance)
        self.gamma, self.beta = self.pointer(gamma), self.pointer(beta)
        self.wide = self.room(4 * self.width * sizeof(double))
        self.weights_size = 1

    cdef void prepare(self, Py_ssize_t samples, bint training, Py_ssize_t part, Py_ssize_t parts) noexcept nogil:
        if self.doubles:
            prepare(self, <double*> self.wide)
        else:
            prepare(self, <float*> self.wide)

    cdef void forward(self, Span span, bint training, char* scratch) noexcept nogil:
        if self.doubles:
            forward(self, span, <const double*> self.wide)
        else:
            forward(self, span, <const float*> self.wide)


cdef void prepare(NormalizationBlock block, floating* wide) noexcept nogil:
    widen_scales(
        block.C, block.width, <const floating*> block.mean, <const floating*> block.variance,
        <const floating*> block.gamma, <const floating*> block.beta, block.epsilon, wide)


cdef void forward(NormalizationBlock block, Span span, const floating* wide) noexcept nogil:
    normalize(
        (span.last - span.first) * block.size, block.width, <const floating*> block.x + span.x * block.size, wide,
        <floating*> block.y + span.y * block.size)


cdef enum:
    TILE = 4096                   # numbers whose sums are taken together, at most
    LEAST_ROWS = 16               # unless these are more


cdef class BatchNormalizationBlock(NormalizationBlock):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with mean and variance of the batch.

    Args:
        x, y: (N, ..., C) and of the same size; y is written.
        gamma, beta: (C,).
        mean, variance: (C,), written.
        epsilon: what is added to the variance.
        dy: (N, ..., C), the gradient of y; None where there is no backward pass.
        dx: (N, ..., C), written, and may be dy, or None where nobody needs it.
        dgamma, dbeta: (C,), written.
    """

    cdef void* dy
    cdef void* dx
    cdef void* dgamma
    cdef void* dbeta

    def __init__(
        self, x, y, gamma, beta, mean, variance, double epsilon, dy=None, dx=None, dgamma=None, dbeta=None,
    ):
        super().__init__(x, y, mean, variance, gamma, beta, epsilon)
        self.dy, self.dx = self.pointer(dy), self.pointer(dx)
        self.dgamma, self.dbeta = self.pointer(dgamma), self.pointer(dbeta)
        self.of_batch = True
        self.weights_size = 0     # nothing to prepare: `join` makes the scales
        # Of a task: how many rows, their means and squares, and the sums of gradients.
        self.partial_bytes = (1 + 4 * self.C) * sizeof(double)
        self.scratch_bytes = (2 * self.C + 2 * self.width) * sizeof(double)

    cdef void measure(self, Span span, bint backward, char* scratch) noexcept nogil:
        cdef double* partial = <double*> (self.partials + span.task * self.partial_bytes)
        if self.doubles:
            measure(self, span, backward, partial, <double*> scratch, <const double*> NULL)
        else:
            measure(self, span, backward, partial, <double*> scratch, <const float*> NULL)

    cdef void join(
        self, Py_ssize_t samples, Py_ssize_t tasks, bint backward, Py_ssize_t part, Py_ssize_t parts, char* scratch,
    ) noexcept nogil:
        if part > 0:
            return
        if self.doubles:
            join(self, samples, tasks, backward, <double*> self.wide)
        else:
            join(self, samples, tasks, backward, <float*> self.wide)

    cdef void backward(self, Span span, char* scratch) noexcept nogil:
        cdef Py_ssize_t size = (span.last - span.first) * self.size, x = span.x * self.size, y = span.y * self.size
        if self.dx == NULL:
            return
        if self.doubles:
            gradient_of_rows(
                size, self.width, True, <const double*> self.x + x, <const double*> self.dy + y,
                <const double*> self.wide, <double*> self.dx + x)
        else:
            gradient_of_rows(
                size, self.width, True, <const float*> self.x + x, <const float*> self.dy + y,
                <const float*> self.wide, <float*> self.dx + x)


cdef void measure(
    BatchNormalizationBlock block, Span span, bint backward,
    double* partial,              # IN, OUT  (1 + 4 C) of the span's task
    double* scratch,
    const floating* kind,
) noexcept nogil:
    """Add what the sums over a batch are made of, for some of its samples: statistics, or sums of gradients."""
    cdef Py_ssize_t C = block.C, width = block.width, rows = (span.last - span.first) * block.size // max(C, 1)
    cdef Py_ssize_t tile = max(<Py_ssize_t> LEAST_ROWS, TILE // max(C, 1)), first, some
    cdef const floating* x = <const floating*> block.x + span.x * block.size
    cdef const floating* dy = <const floating*> block.dy + span.y * block.size
    cdef double* statistics = partial + 1
    cdef double* gradients = statistics + 2 * C
    cdef double* found = scratch + 2 * width
    if backward and span.fresh:
        memset(gradients, 0, 2 * C * sizeof(double))
    elif span.fresh:
        partial[0] = 0
    first = 0
    while first < rows:
        some = min(tile, rows - first)
        if backward:
            add_tile_gradients(
                some * C, C, width, x + first * C, dy + first * C, <const floating*> block.wide, gradients, scratch)
        else:
            tile_statistics(some * C, C, width, x + first * C, found, scratch)
            add_statistics(C, partial, some, found)
        first += some


cdef void add_statistics(Py_ssize_t C, double* partial, double rows, const double* found) noexcept nogil:
    """Add the means and squares of some rows to those of a task."""
    if partial[0] == 0:
        memcpy(partial + 1, found, 2 * C * sizeof(double))
    else:
        join_statistics(C, partial[0], partial + 1, rows, found)
    partial[0] += rows


cdef void join(
    BatchNormalizationBlock block, Py_ssize_t samples, Py_ssize_t tasks, bint backward, floating* wide,
) noexcept nogil:
    """Put the tasks' sums together, and from them make what `forward` or `backward` reads."""
    cdef Py_ssize_t C = block.C, size = 1 + 4 * C, task, c
    cdef double* partials = <double*> block.partials
    cdef double* gradients = partials + 1 + 2 * C
    cdef floating* mean = <floating*> block.mean
    cdef floating* variance = <floating*> block.variance
    cdef floating* dgamma = <floating*> block.dgamma
    cdef floating* dbeta = <floating*> block.dbeta
    cdef const floating* gamma = <const floating*> block.gamma
    if not backward:
        for task in range(1, tasks):
            add_statistics(C, partials, partials[task * size], partials + task * size + 1)
        for c in range(C):
            mean[c] = <floating> partials[1 + c]
            variance[c] = <floating> (partials[1 + C + c] / partials[0])
        widen_scales(C, block.width, mean, variance, gamma, <const floating*> block.beta, block.epsilon, wide)
        return
    for task in range(1, tasks):
        for c in range(2 * C):
            gradients[c] += gradients[task * size + c]
    for c in range(C):
        dgamma[c] = <floating> (gradients[c] / sqrt(variance[c] + block.epsilon))
        dbeta[c] = <floating> gradients[C + c]
    widen_factors(
        C, block.width, samples * block.size // max(C, 1), mean, variance, gamma, dgamma, dbeta, block.epsilon, wide)
