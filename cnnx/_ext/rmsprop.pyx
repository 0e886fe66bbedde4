"""RMSprop updates."""

from cython.parallel cimport parallel, prange

from cnnx._ext.inline.checks cimport check_threads
from cnnx._ext.inline.denormals cimport FpMode, flush_to_zero, restore_mode
from cnnx._ext.inline.floating cimport floating, square_root
from cnnx._ext.array_table cimport ArrayTable, check_columns


def rmsprop_update(
    ArrayTable table not None, double learning_rate, double rho, double epsilon, double momentum,
    double weight_decay, double scale, int num_threads,
):
    """g = scale gradient + weight_decay value; square_average = rho square_average + (1 - rho) g^2.

    velocity = momentum velocity + g / (sqrt(square_average) + epsilon); value -= learning_rate velocity.
    The table's rows are (value, gradient, square_average, velocity); without momentum there is no velocity.
    """
    cdef Py_ssize_t i
    cdef Py_ssize_t* chunk
    cdef void** row
    check_threads(num_threads)
    check_columns(
        table, 4 if momentum else 3,
        f'a value, a gradient, the average of its square{" and a velocity" if momentum else ""}')
    cdef FpMode mode = 0
    with nogil, parallel(num_threads=num_threads):
        mode = flush_to_zero()
        for i in prange(table.chunks, schedule='static'):
            chunk = table.chunk + 3 * i
            row = table.pointers + table.columns * chunk[0]
            if table.doubles:
                update(
                    <double*> row[0], <const double*> row[1], <double*> row[2],
                    <double*> row[3] if momentum else NULL, chunk[1], chunk[2],
                    learning_rate, rho, 1 - rho, epsilon, momentum, weight_decay, scale)
            else:
                update(
                    <float*> row[0], <const float*> row[1], <float*> row[2],
                    <float*> row[3] if momentum else NULL, chunk[1], chunk[2],
                    <float> learning_rate, <float> rho, <float> (1 - rho), <float> epsilon, <float> momentum,
                    <float> weight_decay, <float> scale)
        restore_mode(mode)


cdef void update(
    floating* value,                         # IN, OUT
    const floating* gradient,                # IN
    floating* square_average,                # IN, OUT
    floating* velocity,                      # IN, OUT  NULL without momentum
    Py_ssize_t first, Py_ssize_t last,
    floating learning_rate, floating rho, floating new, floating epsilon, floating momentum,
    floating weight_decay, floating scale,
) noexcept nogil:
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
