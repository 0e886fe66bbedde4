"""RMSprop updates."""

from cython.parallel cimport parallel, prange

from cnnx._ext.inline.checks cimport check_threads
from cnnx._ext.inline.denormals cimport FpMode, flush_to_zero, restore_mode
from cnnx._ext.inline.floating cimport floating, square_root
from cnnx._ext.array_table cimport ArrayTable, Chunk, check_columns


def rmsprop_update(
    ArrayTable table not None, double learning_rate, double rho, double epsilon, double momentum,
    double weight_decay, double scale, int num_threads,
):
    """g = scale gradient + weight_decay value; square_average = rho square_average + (1 - rho) g^2.

    velocity = momentum velocity + g / (sqrt(square_average) + epsilon); value -= learning_rate velocity.
    The table's rows are (value, gradient, square_average, velocity); without momentum there is no velocity.
    """
    cdef Py_ssize_t i
    cdef Chunk chunk
    check_threads(num_threads)
    check_columns(
        table, 4 if momentum else 3,
        f'a value, a gradient, the average of its square{" and a velocity" if momentum else ""}')
    cdef FpMode mode = 0
    with nogil, parallel(num_threads=num_threads):
        mode = flush_to_zero()
        for i in prange(table.count, schedule='static'):
            chunk = table.chunks[i]
            if table.doubles:
                update(
                    <double**> chunk.arrays, chunk.first, chunk.last, learning_rate, rho, 1 - rho, epsilon, momentum,
                    weight_decay, scale)
            else:
                update(
                    <float**> chunk.arrays, chunk.first, chunk.last, learning_rate, rho, 1 - rho, epsilon, momentum,
                    weight_decay, scale)
        restore_mode(mode)


cdef void update(
    floating** row,                          # IN, OUT  (value, gradient, square_average, velocity)
    Py_ssize_t first, Py_ssize_t last,
    floating learning_rate, floating rho, floating new, floating epsilon, floating momentum,
    floating weight_decay, floating scale,
) noexcept nogil:
    cdef floating* value = row[0]
    cdef const floating* gradient = row[1]
    cdef floating* square_average = row[2]
    cdef floating* velocity = row[3] if momentum else NULL
    cdef Py_ssize_t i
    cdef floating g
    if velocity == NULL:
        for i in range(first, last):
            g = scale * gradient[i] + weight_decay * value[i]
            square_average[i] = rho * square_average[i] + new * g * g
            value[i] -= learning_rate * g / (square_root(square_average[i]) + epsilon)
    else:
        for i in range(first, last):
            g = scale * gradient[i] + weight_decay * value[i]
            square_average[i] = rho * square_average[i] + new * g * g
            velocity[i] = momentum * velocity[i] + g / (square_root(square_average[i]) + epsilon)
            value[i] -= learning_rate * velocity[i]
