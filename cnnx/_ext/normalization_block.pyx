"""The block of batch normalization, for prediction: a scale and a shift for each channel."""

from cnnx._ext.inline.normalization cimport normalize, wide_row, widen_scales
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
    cdef void* wide               # (3, width)
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
        self.wide = self.room(3 * self.width * sizeof(double))
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
