"""Adam and AdamW updates."""

from cython.parallel cimport parallel, prange
from libc.math cimport pow, sqrt
from libc.stdint cimport int64_t

from cnnx._ext.inline.checks cimport check_shape, check_threads
from cnnx._ext.inline.denormals cimport FpMode, flush_to_zero, restore_mode
from cnnx._ext.inline.floating cimport floating, square_root
from cnnx._ext.array_table cimport ArrayTable, Chunk, check_columns


def adam_update(
    ArrayTable table not None,
    const int64_t[::1] updates,              # IN   (rows,): which update this is for each row, from 1
    double learning_rate, double beta_1, double beta_2, double epsilon, double weight_decay, bint decoupled,
    double scale, int num_threads,
):
    """g = scale gradient + weight_decay value, or where that is decoupled scale gradient.

    average = beta_1 average + (1 - beta_1) g, square_average = beta_2 square_average + (1 - beta_2) g^2.
    value -= learning_rate (average / (1 - beta_1^t)) / (sqrt(square_average / (1 - beta_2^t)) + epsilon) for
    update t; where it is decoupled, value is multiplied by 1 - learning_rate weight_decay before.
    The table's rows are (value, gradient, average, square_average).
    """
    cdef Py_ssize_t i
    cdef Chunk chunk
    cdef double step, root
    cdef double kept = 1 - learning_rate * weight_decay if decoupled else 1
    cdef double added = 0 if decoupled else weight_decay
    check_threads(num_threads)
    check_columns(table, 4, 'a value, a gradient, its average and that of its square')
    check_shape('updates', updates.shape, (len(table._rows),))
    cdef FpMode mode = 0
    with nogil, parallel(num_threads=num_threads):
        mode = flush_to_zero()
        for i in prange(table.count, schedule='static'):
            chunk = table.chunks[i]
            step = learning_rate / (1 - pow(beta_1, <double> updates[chunk.row]))
            root = 1 / sqrt(1 - pow(beta_2, <double> updates[chunk.row]))
            if table.doubles:
                update(
                    <double**> chunk.arrays, chunk.first, chunk.last, step, root, 1 - beta_1, beta_2, 1 - beta_2,
                    epsilon, added, kept, scale)
            else:
                update(
                    <float**> chunk.arrays, chunk.first, chunk.last, step, root, 1 - beta_1, beta_2, 1 - beta_2,
                    epsilon, added, kept, scale)
        restore_mode(mode)


cdef void update(
    floating** row,                          # IN, OUT  (value, gradient, average, square_average)
    Py_ssize_t first, Py_ssize_t last,
    floating step, floating root, floating new, floating kept_square, floating new_square, floating epsilon,
    floating added, floating kept, floating scale,
) noexcept nogil:
    cdef floating* value = row[0]
    cdef const floating* gradient = row[1]
    cdef floating* average = row[2]
    cdef floating* square_average = row[3]
    cdef Py_ssize_t i
    cdef floating g
    for i in range(first, last):
        g = scale * gradient[i] + added * value[i]
        average[i] += new * (g - average[i])
        square_average[i] = kept_square * square_average[i] + new_square * g * g
        value[i] = kept * value[i] - step * average[i] / (root * square_root(square_average[i]) + epsilon)
