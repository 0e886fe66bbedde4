"""Updates of stochastic gradient descent, with momentum and Nesterov momentum."""

from cython.parallel cimport parallel, prange

from cnnx._ext.inline.checks cimport check_threads
from cnnx._ext.inline.denormals cimport FpMode, flush_to_zero, restore_mode
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.array_table cimport ArrayTable, Chunk, check_columns


def sgd_update(
    ArrayTable table not None, double learning_rate, double momentum, bint nesterov, double weight_decay,
    double scale, int num_threads,
):
    """g = scale gradient + weight_decay value; velocity = momentum velocity + g.

    value -= learning_rate velocity, with nesterov learning_rate (g + momentum velocity).
    The table's rows are (value, gradient, velocity); without momentum (value, gradient).
    """
    cdef Py_ssize_t i
    cdef Chunk chunk
    check_threads(num_threads)
    check_columns(
        table, 3 if momentum else 2, 'a value, a gradient and a velocity' if momentum else 'a value and a gradient')
    cdef FpMode mode = 0
    with nogil, parallel(num_threads=num_threads):
        mode = flush_to_zero()
        for i in prange(table.count, schedule='static'):
            chunk = table.chunks[i]
            if table.doubles:
                update(
                    <double**> chunk.arrays, chunk.first, chunk.last, learning_rate, momentum, nesterov, weight_decay,
                    scale)
            else:
                update(
                    <float**> chunk.arrays, chunk.first, chunk.last, learning_rate, momentum, nesterov, weight_decay,
                    scale)
        restore_mode(mode)


cdef void update(
    floating** row,                          # IN, OUT  (value, gradient, velocity)
    Py_ssize_t first, Py_ssize_t last,
    floating learning_rate, floating momentum, bint nesterov, floating weight_decay, floating scale,
) noexcept nogil:
    cdef floating* value = row[0]
    cdef const floating* gradient = row[1]
    cdef floating* velocity = row[2] if momentum else NULL
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
