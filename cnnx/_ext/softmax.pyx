"""Softmax, alone and as one step with cross-entropy, which is stable where the two apart are not.

Letters: N samples, one row each; C classes. Labels are checked before they come here.
"""

from libc.stdint cimport int32_t
from cython.parallel cimport prange

from cnnx._ext.real cimport floating
from cnnx._ext.softmax_rows cimport cross_entropy_row, softmax_row


def softmax_forward(
    const floating[:, ::1] x,                # IN   (N, C)
    floating[:, ::1] y,                      # OUT  (N, C)
    int num_threads,
):
    """y = exp(x - max) / sum exp(x - max), row by row."""
    cdef Py_ssize_t n, C = x.shape[1]
    for n in prange(x.shape[0], num_threads=num_threads, nogil=True, schedule='static'):
        softmax_row(&x[n, 0], &y[n, 0], C)


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
    for n in prange(y.shape[0], num_threads=num_threads, nogil=True, schedule='static'):
        softmax_gradient_row(&y[n, 0], &dy[n, 0], &dx[n, 0], C)


def softmax_cross_entropy_forward(
    const floating[:, ::1] logits,           # IN   (N, C)
    const int32_t[::1] labels,               # IN   (N) in 0 .. C - 1
    floating[:, ::1] probabilities,          # OUT  (N, C)
    floating[::1] losses,                    # OUT  (N) in nats
    int num_threads,
):
    """probabilities = softmax(logits); losses = -log probabilities[label] = log sum exp(x) - x[label]."""
    cdef Py_ssize_t n, C = logits.shape[1]
    for n in prange(logits.shape[0], num_threads=num_threads, nogil=True, schedule='static'):
        cross_entropy_row(&logits[n, 0], labels[n], &probabilities[n, 0], &losses[n], C)


def softmax_cross_entropy_backward(
    const floating[:, ::1] probabilities,    # IN   (N, C)
    const int32_t[::1] labels,               # IN   (N) in 0 .. C - 1
    floating[:, ::1] dlogits,                # OUT  (N, C)
    int num_threads,
):
    """dlogits = (probabilities - one-hot labels) / N, the gradient of the mean loss."""
    cdef Py_ssize_t n, c, N = probabilities.shape[0], C = probabilities.shape[1]
    for n in prange(N, num_threads=num_threads, nogil=True, schedule='static'):
        for c in range(C):
            dlogits[n, c] = (probabilities[n, c] - (c == labels[n])) / N
