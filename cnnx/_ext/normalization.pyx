"""Batch normalization of each channel: kernels, and blocks for prediction and for training.

Letters: N samples; P positions of each, such as pixels; C channels.

Sums are made of tiles of rows of C, in double, and added up tile by tile. Where there are few channels, several rows
are laid side by side and read as one of `width` numbers.
"""

from libc.math cimport sqrt
from libc.string cimport memcpy, memset

from cnnx._ext.inline.checks cimport check_shape, check_threads
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.normalization cimport (
    add_tile_gradients, gradient_of_rows, join_statistics, normalize, tile_statistics, wide_row, widen_factors,
    widen_scales,
)
from cnnx._ext.program cimport (
    BACKWARD, FORWARD, JOIN_DY, JOIN_X, MEASURE_DY, MEASURE_X, PREPARE, Block, Phase, Span, run_alone,
)

cdef enum:
    TILE = 4096                   # numbers whose sums are taken together, at most
    LEAST_ROWS = 16               # unless these are more


def batchnorm_statistics(
    const floating[:, :, ::1] x,             # IN   (N, P, C)
    floating[::1] mean,                      # OUT  (C)
    floating[::1] variance,                  # OUT  (C)
    int num_threads,
):
    """Mean and (biased) variance of each channel; zeros where there are no rows.

    Each tile has its own mean, and sum of squares around it, which are then put together.
    """
    check(x.shape, mean.shape, variance.shape, mean.shape, mean.shape, x.shape, num_threads)
    mean[...] = 0
    variance[...] = 0
    if x.size > 0:
        run_alone(BatchNormalizationBlock(x, None, mean, mean, mean, variance, 0), x.shape[0], False, num_threads)


def batchnorm_forward(
    const floating[:, :, ::1] x,             # IN   (N, P, C)
    const floating[::1] mean,                # IN   (C)
    const floating[::1] variance,            # IN   (C)
    const floating[::1] gamma,               # IN   (C)
    const floating[::1] beta,                # IN   (C)
    floating[:, :, ::1] y,                   # OUT  (N, P, C)
    double epsilon,
    int num_threads,
):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta."""
    check(x.shape, mean.shape, variance.shape, gamma.shape, beta.shape, y.shape, num_threads)
    if x.size > 0:
        run_alone(NormalizationBlock(x, y, mean, variance, gamma, beta, epsilon), x.shape[0], False, num_threads)


def batchnorm_backward(
    const floating[:, :, ::1] x,             # IN   (N, P, C)
    const floating[::1] mean,                # IN   (C)
    const floating[::1] variance,            # IN   (C)
    const floating[::1] gamma,               # IN   (C)
    const floating[:, :, ::1] dy,            # IN   (N, P, C)
    floating[::1] dgamma,                    # OUT  (C)
    floating[::1] dbeta,                     # OUT  (C)
    floating[:, :, ::1] dx,                  # OUT  (N, P, C)
    double epsilon,
    bint of_batch,
    int num_threads,
):
    """dgamma = sum of dy z, z = (x - mean) / sqrt(variance + epsilon); dbeta = sum of dy.

    dx = gamma / sqrt(variance + epsilon) (dy - dbeta / (N P) - z dgamma / (N P)); the two last terms are there where
    mean and variance are those of the batch, `of_batch`.
    """
    check(x.shape, mean.shape, variance.shape, gamma.shape, gamma.shape, dy.shape, num_threads)
    check(dx.shape, mean.shape, variance.shape, dgamma.shape, dbeta.shape, x.shape, num_threads)
    dgamma[...] = 0
    dbeta[...] = 0
    if x.size > 0:
        block = BatchNormalizationBlock(x, None, gamma, gamma, mean, variance, epsilon, dy, dx, dgamma, dbeta, of_batch)
        run_alone(block, x.shape[0], True, num_threads)


cdef int check(
    const Py_ssize_t* x, const Py_ssize_t* mean, const Py_ssize_t* variance, const Py_ssize_t* gamma,
    const Py_ssize_t* beta, const Py_ssize_t* y, int num_threads,
) except -1:
    check_threads(num_threads)
    check_shape('mean', mean, (x[2],))
    check_shape('variance', variance, (x[2],))
    check_shape('gamma', gamma, (x[2],))
    check_shape('beta', beta, (x[2],))
    check_shape('y', y, (x[0], x[1], x[2]))
    return 0


cdef class NormalizationBlock(Block):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, forward only; see `cnnx.layers.BatchNormalization`.

    Args:
        x, y: (N, ..., C) and of the same size; y is written, and may be x.
        mean, variance, gamma, beta: (C,).
        epsilon: what is added to the variance.
    """

    cdef void* mean
    cdef void* variance
    cdef void* wide               # (4, width), of which a pass forward reads three
    cdef Py_ssize_t size          # of a sample
    cdef Py_ssize_t C, width
    cdef double epsilon

    def __init__(self, x, y, mean, variance, gamma, beta, double epsilon):
        self.take(x, y, None, None, gamma, beta)
        self.size = x.size // len(x)
        self.C, self.width, self.epsilon = len(mean), wide_row(len(mean)), epsilon
        self.mean, self.variance = self.pointer(mean), self.pointer(variance)
        self.wide = self.room(4 * self.width * sizeof(double))
        self.weights_size = 1

    cdef void run_phase(self, Phase phase, const Span* span, char* scratch) noexcept nogil:
        if self.doubles:
            predict(self, phase, span, <double*> self.wide)
        else:
            predict(self, phase, span, <float*> self.wide)


cdef void predict(NormalizationBlock block, Phase phase, const Span* span, floating* wide) noexcept nogil:
    """Run a phase with known mean and variance."""
    if phase == PREPARE:
        widen_scales(
            block.C, block.width, <const floating*> block.mean, <const floating*> block.variance,
            <const floating*> block.weights, <const floating*> block.bias, block.epsilon, wide)
    elif phase == FORWARD and block.y != NULL:
        normalize(
            (span.last - span.first) * block.size, block.width, <const floating*> block.x + span.x * block.size,
            <const floating*> wide, <floating*> block.y + span.y * block.size)


cdef class BatchNormalizationBlock(NormalizationBlock):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with mean and variance of the batch.

    Args:
        x, y: (N, ..., C) and of the same size; y is written, or None where nobody needs it.
        gamma, beta: (C,).
        mean, variance: (C,), written.
        epsilon: what is added to the variance.
        dy: (N, ..., C), the gradient of y; None where there is no backward pass.
        dx: (N, ..., C), written, and may be dy, or None where nobody needs it.
        dgamma, dbeta: (C,), written.
        moves: whether mean and variance depend on x, which has a part in dx then.
    """

    cdef bint moves

    def __init__(
        self, x, y, gamma, beta, mean, variance, double epsilon, dy=None, dx=None, dgamma=None, dbeta=None,
        bint moves=True,
    ):
        super().__init__(x, y, mean, variance, gamma, beta, epsilon)
        self.take(x, y, dy, dx, gamma, beta, dgamma, dbeta)
        self.of_batch, self.moves = True, moves
        self.partial_bytes = (1 + 4 * self.C) * sizeof(double)
        self.scratch_bytes = (2 * self.C + 2 * self.width) * sizeof(double)

    cdef void run_phase(self, Phase phase, const Span* span, char* scratch) noexcept nogil:
        if self.doubles:
            train(self, phase, span, <double*> self.wide, <double*> scratch)
        else:
            train(self, phase, span, <float*> self.wide, <double*> scratch)


cdef void train(
    BatchNormalizationBlock block, Phase phase, const Span* span, floating* wide, double* scratch,
) noexcept nogil:
    """Run a phase with the mean and variance of the batch."""
    cdef Py_ssize_t x = span.x * block.size
    if phase == MEASURE_X or phase == MEASURE_DY:
        measure(block, span, phase == MEASURE_DY, <const floating*> wide, scratch)
    elif phase == JOIN_X and span.part == 0:
        join_rows(block, span, wide)
    elif phase == JOIN_DY and span.part == 0:
        join_gradients(block, span, wide)
    elif phase == BACKWARD and block.dx != NULL:
        gradient_of_rows(
            (span.last - span.first) * block.size, block.width, block.moves, <const floating*> block.x + x,
            <const floating*> block.dy + span.y * block.size, <const floating*> wide, <floating*> block.dx + x)
    else:
        predict(block, phase, span, wide)


cdef void measure(
    BatchNormalizationBlock block, const Span* span, bint backward, const floating* wide, double* scratch,
) noexcept nogil:
    """Add what the sums over a batch are made of, for some of its samples: statistics, or sums of gradients."""
    cdef Py_ssize_t C = block.C, width = block.width, rows = (span.last - span.first) * block.size // max(C, 1)
    cdef Py_ssize_t tile = max(<Py_ssize_t> LEAST_ROWS, TILE // max(C, 1)), first, some
    cdef const floating* x = <const floating*> block.x + span.x * block.size
    cdef const floating* dy = <const floating*> block.dy + span.y * block.size
    # (1 + 4 C) of the task: how many rows, their means and squares, and the sums of gradients.
    cdef double* partial = <double*> span.partial
    cdef double* gradients = partial + 1 + 2 * C
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
                some * C, C, width, x + first * C, dy + first * C, wide, gradients, scratch)
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


cdef void join_rows(BatchNormalizationBlock block, const Span* span, floating* wide) noexcept nogil:
    """Put the tasks' statistics together, and from them make what `normalize` reads."""
    cdef Py_ssize_t C = block.C, size = 1 + 4 * C, task, c
    cdef double* partials = <double*> span.partial
    cdef floating* mean = <floating*> block.mean
    cdef floating* variance = <floating*> block.variance
    for task in range(1, span.tasks):
        add_statistics(C, partials, partials[task * size], partials + task * size + 1)
    for c in range(C):
        mean[c] = <floating> partials[1 + c]
        variance[c] = <floating> (partials[1 + C + c] / partials[0])
    predict(block, PREPARE, span, wide)


cdef void join_gradients(BatchNormalizationBlock block, const Span* span, floating* wide) noexcept nogil:
    """Put the tasks' sums of gradients together, and from them make what `gradient_of_rows` reads."""
    cdef Py_ssize_t C = block.C, size = 1 + 4 * C, task, c
    cdef double* gradients = <double*> span.partial + 1 + 2 * C
    cdef const floating* variance = <const floating*> block.variance
    cdef floating* dgamma = <floating*> block.dweights
    cdef floating* dbeta = <floating*> block.dbias
    for task in range(1, span.tasks):
        for c in range(2 * C):
            gradients[c] += gradients[task * size + c]
    for c in range(C):
        dgamma[c] = <floating> (gradients[c] / sqrt(variance[c] + block.epsilon))
        dbeta[c] = <floating> gradients[C + c]
    widen_factors(
        C, block.width, span.samples * block.size // max(C, 1), <const floating*> block.mean, variance,
        <const floating*> block.weights, <const floating*> dgamma, <const floating*> dbeta, block.epsilon, wide)
