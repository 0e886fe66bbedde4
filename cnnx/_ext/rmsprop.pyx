"""RMSprop: gradients divided by the root of their mean square, without correction of its beginning."""

from cython.parallel cimport prange

from cnnx._ext.checks cimport check_threads
from cnnx._ext.real cimport floating, square_root
from cnnx._ext.table cimport ArrayTable, check_columns


def rmsprop_update(
    ArrayTable table not None, double learning_rate, double rho, double epsilon, double momentum,
    double weight_decay, double scale, int num_threads,
):
    """slope = scale gradient + weight_decay value; square_average = rho square_average + (1 - rho) slope^2.

    velocity = momentum velocity + slope / (sqrt(square_average) + epsilon); value -= learning_rate velocity.
    The table's rows are (value, gradient, square_average, velocity); without momentum there is no velocity.
    """
    cdef Py_ssize_t i
    cdef Py_ssize_t* chunk
    cdef void** row
    check_threads(num_threads)
    check_columns(
        table, 4 if momentum else 3,
        f'a value, a gradient, the average of its square{" and a velocity" if momentum else ""}')
    for i in prange(table.chunks, num_threads=num_threads, nogil=True, schedule='static'):
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
    cdef floating slope
    if velocity == NULL:
        for i in range(first, last):
            slope = scale * gradient[i] + weight_decay * value[i]
            square_average[i] = rho * square_average[i] + new * slope * slope
            value[i] -= learning_rate * slope / (square_root(square_average[i]) + epsilon)
    else:
        for i in range(first, last):
            slope = scale * gradient[i] + weight_decay * value[i]
            square_average[i] = rho * square_average[i] + new * slope * slope
            velocity[i] = momentum * velocity[i] + slope / (square_root(square_average[i]) + epsilon)
            value[i] -= learning_rate * velocity[i]
