# Softmax and cross-entropy of one row, for the kernels and for the loss block.

from libc.stdint cimport int32_t

from cnnx._ext.inline.floating cimport exponential, floating, logarithm


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
