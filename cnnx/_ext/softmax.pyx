"""Softmax, and softmax with cross-entropy as one numerically stable step: kernels, and a classifier's last block.

Letters: N samples, one row each; C classes.
"""

from libc.stdint cimport int32_t, int64_t
from cython.parallel cimport prange

from cnnx._ext.inline.checks cimport check_shape, check_threads
from cnnx._ext.inline.denormals cimport FpMode, flush_to_zero, restore_mode
from cnnx._ext.inline.floating cimport exponential, floating, logarithm
from cnnx._ext.program cimport FORWARD, Block, Phase, Span, run_alone


cdef int check_rows(str name, const Py_ssize_t* rows, Py_ssize_t N, Py_ssize_t C, int num_threads) except -1:
    check_threads(num_threads)
    if C < 1:
        raise ValueError('expected at least one class, got rows of none')
    check_shape(name, rows, (N, C))
    return 0


cdef int check_labels(const int32_t[::1] labels, Py_ssize_t N, Py_ssize_t C) except -1:
    cdef Py_ssize_t n
    check_shape('labels', labels.shape, (N,))
    for n in range(N):
        if not 0 <= labels[n] < C:
            raise ValueError(f'labels: expected 0 to {C - 1}, got {labels[n]} at position {n}')
    return 0


def softmax_forward(
    const floating[:, ::1] x,                # IN   (N, C)
    floating[:, ::1] y,                      # OUT  (N, C)
    int num_threads,
):
    """y = exp(x - max) / sum exp(x - max), row by row."""
    check_rows('y', y.shape, x.shape[0], x.shape[1], num_threads)
    if x.shape[0] > 0:
        run_alone(SoftmaxBlock(x, y), x.shape[0], False, num_threads)


cdef void softmax_gradient_row(
    const floating* y, const floating* dy, floating* dx, Py_ssize_t C,
) noexcept nogil:
    cdef Py_ssize_t c
    cdef floating mean = 0
    for c in range(C):
        mean += y[c] * dy[c]
    for c in range(C):
        dx[c] = y[c] * (dy[c] - mean)


def softmax_backward(
    const floating[:, ::1] y,                # IN   (N, C) what softmax_forward gave
    const floating[:, ::1] dy,               # IN   (N, C)
    floating[:, ::1] dx,                     # OUT  (N, C)
    int num_threads,
):
    """dx = y (dy - sum(y dy)), row by row."""
    cdef Py_ssize_t n, C = y.shape[1]
    check_rows('dy', dy.shape, y.shape[0], C, num_threads)
    check_shape('dx', dx.shape, (y.shape[0], C))
    cdef FpMode mode
    for n in prange(y.shape[0], num_threads=num_threads, nogil=True, schedule='static'):
        mode = flush_to_zero()
        softmax_gradient_row(&y[n, 0], &dy[n, 0], &dx[n, 0], C)
        restore_mode(mode)


def softmax_cross_entropy_forward(
    const floating[:, ::1] logits,           # IN   (N, C)
    const int32_t[::1] labels,               # IN   (N) in 0 .. C - 1
    floating[:, ::1] probabilities,          # OUT  (N, C)
    floating[::1] losses,                    # OUT  (N) in nats
    double smoothing,
    int num_threads,
):
    """probabilities = softmax(logits); losses = -sum(target log probabilities).

    The target is 1 - smoothing at the label, and smoothing / C more everywhere.
    """
    cdef Py_ssize_t n, C = logits.shape[1]
    check_rows('probabilities', probabilities.shape, logits.shape[0], C, num_threads)
    check_shape('losses', losses.shape, (logits.shape[0],))
    check_labels(labels, logits.shape[0], C)
    cdef FpMode mode
    for n in prange(logits.shape[0], num_threads=num_threads, nogil=True, schedule='static'):
        mode = flush_to_zero()
        cross_entropy_row(&logits[n, 0], labels[n], <floating> smoothing, &probabilities[n, 0], &losses[n], C)
        restore_mode(mode)


def softmax_cross_entropy_backward(
    const floating[:, ::1] probabilities,    # IN   (N, C)
    const int32_t[::1] labels,               # IN   (N) in 0 .. C - 1
    floating[:, ::1] dlogits,                # OUT  (N, C)
    double smoothing,
    int num_threads,
):
    """dlogits = (probabilities - target) / N, the gradient of the mean loss."""
    cdef Py_ssize_t n, c, N = probabilities.shape[0], C = probabilities.shape[1]
    check_rows('dlogits', dlogits.shape, N, C, num_threads)
    check_labels(labels, N, C)
    cdef FpMode mode
    for n in prange(N, num_threads=num_threads, nogil=True, schedule='static'):
        mode = flush_to_zero()
        for c in range(C):
            dlogits[n, c] = cross_entropy_gradient(probabilities[n, c], c == labels[n], <floating> smoothing, C) / N
        restore_mode(mode)


cdef class CrossEntropyBlock(Block):
    """losses = -weight sum(target log softmax(logits)); dlogits = weight (softmax - target) / count.

    Args:
        logits: (N, ..., classes): rows of logits, one or several a sample.
        labels: (N, ...) int32, one a row, in 0 .. classes - 1; a row of a negative one has neither loss nor gradient.
        dlogits: (N, ..., classes), written.
        smoothing: the target is 1 - smoothing at the label, and smoothing / classes more everywhere.
        weights: (N,) or (N, ...), or None where each row weighs 1.

    Attributes:
        count: how many rows of the batch have labels, to set before a pass; 0 for all of them.
    """

    cdef public Py_ssize_t count
    cdef void* logits
    cdef void* dlogits
    cdef int32_t* labels
    cdef Py_ssize_t rows          # of a sample
    cdef Py_ssize_t rows_of_weight
    cdef Py_ssize_t classes
    cdef void* weights
    cdef double smoothing
    cdef double* losses
    cdef int64_t* right

    def __init__(self, logits, labels, dlogits, double smoothing=0, weights=None):
        self.doubles = logits.itemsize == sizeof(double)
        self.classes = logits.shape[logits.ndim - 1]
        self.rows = labels.size // len(labels)
        self.rows_of_weight = 1 if weights is None else labels.size // weights.size
        self.logits, self.dlogits = self.pointer(logits), self.pointer(dlogits)
        self.labels = <int32_t*> self.pointer(labels)
        self.weights = self.pointer(weights)
        self.smoothing = smoothing
        self.losses = <double*> self.room(len(labels) * sizeof(double))
        self.right = <int64_t*> self.room(len(labels) * sizeof(int64_t))

    def totals(self, Py_ssize_t samples) -> tuple[float, int]:
        """Return the sum of the losses of the latest pass, and how many largest logits are the label's."""
        cdef double total = 0
        cdef Py_ssize_t right = 0, n
        for n in range(samples):
            total += self.losses[n]
            right += self.right[n]
        return total, right

    cdef void run_phase(self, Phase phase, const Span* span, char* scratch) noexcept nogil:
        cdef Py_ssize_t n
        for n in range(span.first, span.last if phase == FORWARD else span.first):
            if self.doubles:
                compute_sample(self, span, n, <double*> self.logits, <double*> self.dlogits)
            else:
                compute_sample(self, span, n, <float*> self.logits, <float*> self.dlogits)


cdef void compute_sample(
    CrossEntropyBlock block, const Span* span, Py_ssize_t n, const floating* logits, floating* dlogits,
) noexcept nogil:
    cdef Py_ssize_t i, c, largest, C = block.classes
    cdef Py_ssize_t first = (span.x + n - span.first) * block.rows
    cdef Py_ssize_t count = block.count if block.count > 0 else span.samples * block.rows
    cdef floating loss, weight = 1, smoothing = <floating> block.smoothing
    cdef const floating* row
    cdef floating* gradient
    cdef int32_t label
    block.losses[n] = 0
    block.right[n] = 0
    for i in range(block.rows):
        row, gradient = logits + (first + i) * C, dlogits + (first + i) * C
        label = block.labels[n * block.rows + i]
        if label < 0:
            for c in range(C):
                gradient[c] = 0
            continue
        cross_entropy_row(row, label, smoothing, gradient, &loss, C)
        largest = 0
        for c in range(1, C):
            # A NaN beats every number, and the first NaN stays, as in NumPy.
            if not row[c] <= row[largest] and row[largest] == row[largest]:
                largest = c
        if block.weights != NULL:
            weight = (<const floating*> block.weights)[(n * block.rows + i) // block.rows_of_weight]
        block.losses[n] += weight * loss
        block.right[n] += largest == label
        for c in range(C):
            gradient[c] = weight * cross_entropy_gradient(gradient[c], c == label, smoothing, C) / count


cdef class SoftmaxBlock(Block):
    """y = softmax(x), row by row, forward only.

    Args:
        x, y: (N, ..., classes).
    """

    cdef Py_ssize_t rows          # of a sample
    cdef Py_ssize_t classes

    def __init__(self, x, y):
        self.take(x, y, None, None)
        self.classes = x.shape[x.ndim - 1]
        self.rows = x.size // len(x) // self.classes

    cdef void run_phase(self, Phase phase, const Span* span, char* scratch) noexcept nogil:
        cdef Py_ssize_t i, C = self.classes, x, y
        for i in range((span.last - span.first) * self.rows if phase == FORWARD else 0):
            x, y = (span.x * self.rows + i) * C, (span.y * self.rows + i) * C
            if self.doubles:
                softmax_row(<const double*> self.x + x, <double*> self.y + y, C)
            else:
                softmax_row(<const float*> self.x + x, <float*> self.y + y, C)


cdef inline floating exponentials_of_row(
    const floating* x,                       # IN   (C)
    floating* y,                             # OUT  (C)
    floating* largest,                       # OUT  the largest x
    Py_ssize_t C,
) noexcept nogil:
    """Write exp(x - largest), which cannot overflow, and return the sum."""
    cdef Py_ssize_t c
    cdef floating total = 0
    largest[0] = x[0]
    for c in range(1, C):
        largest[0] = max(largest[0], x[c])
    for c in range(C):
        y[c] = exponential(x[c] - largest[0])
        total += y[c]
    return total


cdef inline void softmax_row(const floating* x, floating* y, Py_ssize_t C) noexcept nogil:
    cdef Py_ssize_t c
    cdef floating largest
    cdef floating total = exponentials_of_row(x, y, &largest, C)
    for c in range(C):
        y[c] /= total


cdef inline void cross_entropy_row(
    const floating* x, int32_t label, floating smoothing, floating* y, floating* loss, Py_ssize_t C,
) noexcept nogil:
    """y = softmax(x); loss = log sum exp(x) - target x, the target being 1 - smoothing + smoothing / C at the label."""
    cdef Py_ssize_t c
    cdef floating largest, mean = 0
    cdef floating total = exponentials_of_row(x, y, &largest, C)
    loss[0] = logarithm(total) - (x[label] - largest)
    if smoothing > 0:
        for c in range(C):
            mean += (x[c] - x[label]) / C
        loss[0] -= smoothing * mean
    for c in range(C):
        y[c] /= total


cdef inline floating cross_entropy_gradient(
    floating probability, bint is_label, floating smoothing, Py_ssize_t C,
) noexcept nogil:
    """The loss's derivative by one x: the probability less the target."""
    return probability - (is_label * (1 - smoothing) + smoothing / C)
