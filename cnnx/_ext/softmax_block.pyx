"""The last block of a classifier: softmax alone, for prediction, or with cross-entropy, for training."""

from libc.stdint cimport int32_t, int64_t

from cnnx._ext.program cimport Block, Span
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.softmax cimport cross_entropy_row, cross_entropy_gradient, softmax_row


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
        self.doubles = logits.dtype.itemsize == sizeof(double)
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

    cdef void forward(self, Span span, bint training, char* scratch) noexcept nogil:
        cdef Py_ssize_t n
        for n in range(span.first, span.last):
            if self.doubles:
                forward(self, span, n, <double*> self.logits, <double*> self.dlogits)
            else:
                forward(self, span, n, <float*> self.logits, <float*> self.dlogits)


cdef void forward(
    CrossEntropyBlock block, Span span, Py_ssize_t n, const floating* logits, floating* dlogits,
) noexcept nogil:
    """Compute one sample."""
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

    cdef void* x
    cdef void* y
    cdef Py_ssize_t rows          # of a sample
    cdef Py_ssize_t classes

    def __init__(self, x, y):
        self.doubles = x.dtype.itemsize == sizeof(double)
        self.classes = x.shape[x.ndim - 1]
        self.rows = x.size // len(x) // self.classes
        self.x, self.y = self.pointer(x), self.pointer(y)

    cdef void forward(self, Span span, bint training, char* scratch) noexcept nogil:
        cdef Py_ssize_t i, C = self.classes, x, y
        for i in range((span.last - span.first) * self.rows):
            x, y = (span.x * self.rows + i) * C, (span.y * self.rows + i) * C
            if self.doubles:
                softmax_row(<const double*> self.x + x, <double*> self.y + y, C)
            else:
                softmax_row(<const float*> self.x + x, <float*> self.y + y, C)
