"""ReLU, leaky ReLU, sigmoid and tanh, element by element over arrays that come flat."""

from cython.parallel cimport prange

from cnnx._ext.checks cimport check_threads, check_vector
from cnnx._ext.real cimport exponential, floating, hyperbolic_tangent


def relu_forward(
    const floating[::1] x,                   # IN   (size)
    floating[::1] y,                         # OUT  (size)
    int num_threads,
):
    """y = max(0, x); a NaN stays NaN."""
    cdef Py_ssize_t i
    check_threads(num_threads)
    check_vector('y', y.shape, x.shape[0])
    for i in prange(x.shape[0], num_threads=num_threads, nogil=True, schedule='static'):
        y[i] = 0 if x[i] <= 0 else x[i]


def relu_backward(
    const floating[::1] y,                   # IN   (size) what relu_forward gave
    const floating[::1] dy,                  # IN   (size)
    floating[::1] dx,                        # OUT  (size)
    int num_threads,
):
    """dx = dy where the output is positive, else 0."""
    cdef Py_ssize_t i
    check_threads(num_threads)
    check_vector('dy', dy.shape, y.shape[0])
    check_vector('dx', dx.shape, y.shape[0])
    for i in prange(y.shape[0], num_threads=num_threads, nogil=True, schedule='static'):
        dx[i] = dy[i] if y[i] > 0 else 0


def leaky_relu_forward(
    const floating[::1] x,                   # IN   (size)
    floating[::1] y,                         # OUT  (size)
    double negative_slope,
    int num_threads,
):
    """y = x where x is positive, else negative_slope x."""
    cdef Py_ssize_t i
    cdef floating slope = <floating> negative_slope
    check_threads(num_threads)
    check_vector('y', y.shape, x.shape[0])
    for i in prange(x.shape[0], num_threads=num_threads, nogil=True, schedule='static'):
        y[i] = x[i] if x[i] > 0 else slope * x[i]


def leaky_relu_backward(
    const floating[::1] y,                   # IN   (size) what leaky_relu_forward gave
    const floating[::1] dy,                  # IN   (size)
    floating[::1] dx,                        # OUT  (size)
    double negative_slope,
    int num_threads,
):
    """dx = dy where the output is positive, else negative_slope dy."""
    cdef Py_ssize_t i
    cdef floating slope = <floating> negative_slope
    check_threads(num_threads)
    check_vector('dy', dy.shape, y.shape[0])
    check_vector('dx', dx.shape, y.shape[0])
    for i in prange(y.shape[0], num_threads=num_threads, nogil=True, schedule='static'):
        dx[i] = dy[i] if y[i] > 0 else slope * dy[i]


def sigmoid_forward(
    const floating[::1] x,                   # IN   (size)
    floating[::1] y,                         # OUT  (size)
    int num_threads,
):
    """y = 1 / (1 + exp(-x)), by way of exp(-|x|), which cannot overflow."""
    cdef Py_ssize_t i
    cdef floating small
    check_threads(num_threads)
    check_vector('y', y.shape, x.shape[0])
    for i in prange(x.shape[0], num_threads=num_threads, nogil=True, schedule='static'):
        small = exponential(-x[i] if x[i] > 0 else x[i])
        y[i] = (1 if x[i] > 0 else small) / (1 + small)


def sigmoid_backward(
    const floating[::1] y,                   # IN   (size) what sigmoid_forward gave
    const floating[::1] dy,                  # IN   (size)
    floating[::1] dx,                        # OUT  (size)
    int num_threads,
):
    """dx = dy y (1 - y)."""
    cdef Py_ssize_t i
    check_threads(num_threads)
    check_vector('dy', dy.shape, y.shape[0])
    check_vector('dx', dx.shape, y.shape[0])
    for i in prange(y.shape[0], num_threads=num_threads, nogil=True, schedule='static'):
        dx[i] = dy[i] * y[i] * (1 - y[i])


def tanh_forward(
    const floating[::1] x,                   # IN   (size)
    floating[::1] y,                         # OUT  (size)
    int num_threads,
):
    """y = tanh(x)."""
    cdef Py_ssize_t i
    check_threads(num_threads)
    check_vector('y', y.shape, x.shape[0])
    for i in prange(x.shape[0], num_threads=num_threads, nogil=True, schedule='static'):
        y[i] = hyperbolic_tangent(x[i])


def tanh_backward(
    const floating[::1] y,                   # IN   (size) what tanh_forward gave
    const floating[::1] dy,                  # IN   (size)
    floating[::1] dx,                        # OUT  (size)
    int num_threads,
):
    """dx = dy (1 - y^2)."""
    cdef Py_ssize_t i
    check_threads(num_threads)
    check_vector('dy', dy.shape, y.shape[0])
    check_vector('dx', dx.shape, y.shape[0])
    for i in prange(y.shape[0], num_threads=num_threads, nogil=True, schedule='static'):
        dx[i] = dy[i] * (1 - y[i]) * (1 + y[i])
