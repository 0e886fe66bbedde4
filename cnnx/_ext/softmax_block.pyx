"""The last block of a classifier: softmax alone, for prediction, or with cross-entropy, for training."""

from libc.stdint cimport int32_t, uint8_t

from cnnx._ext.program cimport Block, Span
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.softmax cimport cross_entropy_row, cross_entropy_gradient, softmax_row


cdef class CrossEntropyBlock(Block):
    """losses = -weight sum(target log softmax(logits)); dlogits = weight (softmax - target) / N.

    Args:
        logits: (N, classes).
        labels: (N,) int32, in 0 .. classes - 1.
        dlogits: (N, classes), written.
        smoothing: the target is 1 - smoothing at the label, and smoothing / classes more everywhere.
        weights: (N,), or None where each sample weighs 1.
    """

    cdef void* logits
    cdef void* dlogits
    cdef int32_t* labels
    cdef Py_ssize_t classes
    cdef void* weights
    cdef double smoothing
    cdef double* losses
    cdef uint8_t* right

    def __init__(self, logits, labels, dlogits, double smoothing=0, weights=None):
        self.doubles = logits.dtype.itemsize == sizeof(double)
        self.classes = logits.shape[1]
        self.logits, self.dlogits = self.pointer(logits), self.pointer(dlogits)
        self.labels = <int32_t*> self.pointer(labels)
        self.weights = self.pointer(weights)
        self.smoothing = smoothing
        self.losses = <double*> self.room(len(labels) * sizeof(double))
        self.right = <uint8_t*> self.room(len(labels))

    def totals(self, Py_ssize_t samples) -> tuple[float, int]:
        """Return the sum of the losses of the latest pass, and how many largest logits are the label's."""
        cdef double total = 0
        cdef Py_ssize_t right = 0, n
        for n in range(samples):
            total += self.losses[n]
            right += self.right[n]
        return total, right

    cdef void forward(self, Span span, bint training, char* scratch) noexcept nogil:
        if self.doubles:
            forward(self, span, <double*> self.logits, <double*> self.dlogits)
        else:
            forward(self, span, <float*> self.logits, <float*> self.dlogits)


cdef void forward(CrossEntropyBlock block, Span span, const floating* logits, floating* dlogits) noexcept nogil:
    cdef Py_ssize_t n, c, largest, C = block.classes
    cdef floating loss, weight = 1, smoothing = <floating> block.smoothing
    cdef const floating* row
    cdef floating* gradient
    for n in range(span.first, span.last):
        row = logits + (span.x + n - span.first) * C
        gradient = dlogits + (span.x + n - span.first) * C
        cross_entropy_row(row, block.labels[n], smoothing, gradient, &loss, C)
        largest = 0
        for c in range(1, C):
            # A NaN beats every number, and the first NaN stays, as in NumPy.
            if not row[c] <= row[largest] and row[largest] == row[largest]:
                largest = c
        if block.weights != NULL:
            weight = (<const floating*> block.weights)[n]
        block.losses[n] = weight * loss
        block.right[n] = largest == block.labels[n]
        for c in range(C):
            gradient[c] = (
                weight * cross_entropy_gradient(gradient[c], c == block.labels[n], smoothing, C) / span.samples)


cdef class SoftmaxBlock(Block):
    """y = softmax(x), row by row, forward only.

    Args:
        x, y: (N, classes).
    """

    cdef void* x
    cdef void* y
    cdef Py_ssize_t classes

    def __init__(self, x, y):
        self.doubles = x.dtype.itemsize == sizeof(double)
        self.classes = x.shape[1]
        self.x, self.y = self.pointer(x), self.pointer(y)

    cdef void forward(self, Span span, bint training, char* scratch) noexcept nogil:
        cdef Py_ssize_t i, C = self.classes, x, y
        for i in range(span.last - span.first):
            x, y = (span.x + i) * C, (span.y + i) * C
            if self.doubles:
                softmax_row(<const double*> self.x + x, <double*> self.y + y, C)
            else:
                softmax_row(<const float*> self.x + x, <float*> self.y + y, C)
