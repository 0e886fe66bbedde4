"""Updates of stochastic gradient descent, with momentum and Nesterov momentum."""

from cython.parallel cimport parallel, prange

from cnnx._ext.inline.checks cimport check_threads
from cnnx._ext.inline.denormals cimport FpMode, flush_to_zero, restore_mode
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.array_table cimport ArrayTable, check_columns


def sgd_update(
    ArrayTable table not None, double learning_rate, double momentum, bint nesterov, double weight_decay,
    double scale, int num_threads,
):
    """g = scale gradient + weight_decay value; velocity = momentum velocity + g.

    value -= learning_rate velocity, with nesterov learning_rate (g + momentum velocity).
    The table's rows are (value, gradient, velocity); without momentum (value, gradient).
    """
    cdef Py_ssize_t i
    cdef Py_ssize_t* chunk
    cdef void** row
    check_threads(num_threads)
    check_columns(
        table, 3 if momentum else 2, 'a value, a gradient and a velocity' if momentum else 'a value and a gradient')
    cdef FpMode mode = 0
    with nogil, parallel(num_threads=num_threads):
        mode = flush_to_zero()
        for i in prange(table.chunks, schedule='static'):
            chunk = table.chunk + 3 * i
            row = table.pointers + table.columns * chunk[0]
            if table.doubles:
                update(
                    <double*> row[0], <const double*> row[1], <double*> row[2] if momentum else NULL,
                    chunk[1], chunk[2], learning_rate, momentum, nesterov, weight_decay, scale)
            else:
                update(
                    <float*> row[0], <const float*> row[1], <float*> row[2] if momentum else NULL,
                    chunk[1], chunk[2],
                    <float> learning_rate, <float> momentum, nesterov, <float> weight_decay, <float> scale)
        restore_mode(mode)


cdef void update(
    floating* value,                         # IN, OUT
    const floating* gradient,                # IN
    floating* velocity,                      # IN, OUT  NULL without momentum
    Py_ssize_t first, Py_ssize_t last,
    floating learning_rate, floating momentum, bint nesterov, floating weight_decay, floating scale,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef floating g
    if velocity == NULL:
        for i in range(first, last):
            value[i] -= learning_rate * (scale * gradient[i] + weight_decay * value[i])
    elif nesterov:
        for i in range(first, last):
            g = scale * gradient[i] + weight_decay * value[i]
            velocity[i] = momentum * velocity[i] + g
            value[i] -= learning_rate * (g + momentum * velocity[i])
    elif scale == 1 and weight_decay == 0:
        # The general loop computes the same bits, and takes a fifth longer.
        for i in range(first, last):
            velocity[i] = momentum * velocity[i] + gradient[i]
            value[i] -= learning_rate * velocity[i]
    else:
        for i in range(first, last):
            velocity[i] = momentum * velocity[i] + (scale * gradient[i] + weight_decay * value[i])
            value[i] -= learning_rate * velocity[i]
