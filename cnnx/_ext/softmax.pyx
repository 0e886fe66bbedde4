"""Softmax, and softmax with cross-entropy as one step, which is numerically stable.

Letters: N samples, one row each; C classes.
"""

from libc.stdint cimport int32_t
from cython.parallel cimport parallel, prange

from cnnx._ext.inline.checks cimport check_shape, check_threads
from cnnx._ext.inline.denormals cimport FpMode, flush_to_zero, restore_mode
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.softmax cimport cross_entropy_row, cross_entropy_gradient, softmax_row


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
    cdef Py_ssize_t n, C = x.shape[1]
    check_rows('y', y.shape, x.shape[0], C, num_threads)
    cdef FpMode mode = 0
    with nogil, parallel(num_threads=num_threads):
        mode = flush_to_zero()
        for n in prange(x.shape[0], schedule='static'):
            softmax_row(&x[n, 0], &y[n, 0], C)
        restore_mode(mode)


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
    cdef FpMode mode = 0
    with nogil, parallel(num_threads=num_threads):
        mode = flush_to_zero()
        for n in prange(y.shape[0], schedule='static'):
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
    cdef FpMode mode = 0
    with nogil, parallel(num_threads=num_threads):
        mode = flush_to_zero()
        for n in prange(logits.shape[0], schedule='static'):
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
    cdef FpMode mode = 0
    with nogil, parallel(num_threads=num_threads):
        mode = flush_to_zero()
        for n in prange(N, schedule='static'):
            for c in range(C):
                dlogits[n, c] = cross_entropy_gradient(probabilities[n, c], c == labels[n], <floating> smoothing, C) / N
        restore_mode(mode)
