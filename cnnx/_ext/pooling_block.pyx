"""The block of max-pooling and average pooling, where they do not run in a convolution's block.

Letters: see pooling.pyx.
"""

from libc.stdint cimport int32_t

from cnnx._ext.inline.pooling cimport Pooling, average_row, pool_row, route_sample, spread_sample
from cnnx._ext.program cimport Block, Span
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.window cimport as_window


cdef struct Arrays:
    Pooling shape
    void* x                       # (N, H, W, C)
    void* y                       # (N, P, Q, C)
    void* dy                      # (N, P, Q, C)
    void* dx                      # (N, H, W, C), or NULL
    int32_t* argmax               # (N, P, Q, C), or NULL where nobody needs it


cdef class PoolingBlock(Block):
    """y = the maximum, or the mean, of each window's pixels in the image; see `cnnx.layers.pooling`.

    Args:
        average: whether it is the mean.
        x: (N, H, W, C).
        y: (N, P, Q, C), written.
        window: a `cnnx._util.windows.Window`.
        dy: (N, P, Q, C), the gradient of y; None where there is no backward pass.
        dx: (N, H, W, C), written, or None where nobody needs it.
    """

    cdef Arrays a
    cdef bint average

    def __init__(self, bint average, x, y, window, dy=None, dx=None):
        cdef Arrays* a = &self.a
        cdef Pooling* s = &a.shape
        self.doubles = x.dtype.itemsize == sizeof(double)
        self.average = average
        a.x, a.y, a.dy, a.dx = self.pointer(x), self.pointer(y), self.pointer(dy), self.pointer(dx)
        s.window = as_window(window)
        s.H, s.W, s.C = x.shape[1:]
        s.P, s.Q = y.shape[1:3]
        if dx is not None and not average:
            a.argmax = <int32_t*> self.room(y.size * sizeof(int32_t))
        self.scratch_bytes = s.Q * s.C * sizeof(int32_t)

    cdef void forward(self, Span span, bint training, char* scratch) noexcept nogil:
        if self.doubles:
            forward(&self.a, self.average, span, <int32_t*> scratch, <double*> NULL)
        else:
            forward(&self.a, self.average, span, <int32_t*> scratch, <float*> NULL)

    cdef void backward(self, Span span, char* scratch) noexcept nogil:
        if self.a.dx == NULL:
            return
        if self.doubles:
            backward(&self.a, self.average, span, <double*> NULL)
        else:
            backward(&self.a, self.average, span, <float*> NULL)


cdef void forward(
    const Arrays* a, bint average, Span span, int32_t* argmax, const floating* kind,
) noexcept nogil:
    cdef const Pooling* s = &a.shape
    cdef Py_ssize_t row = s.Q * s.C, image = s.H * s.W * s.C, i, p
    cdef const floating* x
    cdef floating* y
    for i in range(span.last - span.first):
        x = <const floating*> a.x + (span.x + i) * image
        y = <floating*> a.y + (span.y + i) * s.P * row
        for p in range(s.P):
            if average:
                average_row(s, p, x, y + p * row)
                continue
            if a.argmax != NULL:
                argmax = a.argmax + ((span.y + i) * s.P + p) * row
            pool_row(s, p, x, y + p * row, argmax)


cdef void backward(const Arrays* a, bint average, Span span, const floating* kind) noexcept nogil:
    cdef const Pooling* s = &a.shape
    cdef Py_ssize_t map = s.P * s.Q * s.C, image = s.H * s.W * s.C, i
    cdef const floating* dy
    cdef floating* dx
    for i in range(span.last - span.first):
        dy = <const floating*> a.dy + (span.y + i) * map
        dx = <floating*> a.dx + (span.x + i) * image
        if average:
            spread_sample(s, dy, dx)
        else:
            route_sample(s, dy, a.argmax + (span.y + i) * map, dx)
