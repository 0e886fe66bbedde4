"""Stochastic gradient descent."""

from cython.parallel cimport prange

from cnnx._ext.real cimport floating


def sgd_update(
    floating[::1] value,                     # IN, OUT  (size)
    const floating[::1] grad,                # IN       (size)
    floating[::1] velocity,                  # IN, OUT  (size)
    double learning_rate,
    double momentum,
    int num_threads,
):
    """velocity = momentum velocity + grad; value -= learning_rate velocity."""
    cdef Py_ssize_t i
    cdef floating rate = <floating> learning_rate, keep = <floating> momentum
    for i in prange(value.shape[0], num_threads=num_threads, nogil=True, schedule='static'):
        velocity[i] = keep * velocity[i] + grad[i]
        value[i] -= rate * velocity[i]
