"""Adagrad updates."""

from cython.parallel cimport parallel, prange

from cnnx._ext.inline.checks cimport check_threads
from cnnx._ext.inline.denormals cimport FpMode, flush_to_zero, restore_mode
from cnnx._ext.inline.floating cimport floating, square_root
from cnnx._ext.array_table cimport ArrayTable, Chunk, check_columns


def adagrad_update(
    ArrayTable table not None, double learning_rate, double epsilon, double weight_decay, double scale,
    int num_threads,
):
    """g = scale gradient + weight_decay value; square_sum += g^2.

    value -= learning_rate g / (sqrt(square_sum) + epsilon).
    The table's rows are (value, gradient, square_sum).
    """
    cdef Py_ssize_t i
    cdef Chunk chunk
    check_threads(num_threads)
    check_columns(table, 3, 'a value, a gradient and the sum of its squares')
    cdef FpMode mode = 0
    with nogil, parallel(num_threads=num_threads):
        mode = flush_to_zero()
        for i in prange(table.count, schedule='static'):
            chunk = table.chunks[i]
            if table.doubles:
                update(<double**> chunk.arrays, chunk.first, chunk.last, learning_rate, epsilon, weight_decay, scale)
            else:
                update(<float**> chunk.arrays, chunk.first, chunk.last, learning_rate, epsilon, weight_decay, scale)
        restore_mode(mode)


cdef void update(
    floating** row,                          # IN, OUT  (value, gradient, square_sum)
    Py_ssize_t first, Py_ssize_t last,
    floating learning_rate, floating epsilon, floating weight_decay, floating scale,
) noexcept nogil:
    cdef floating* value = row[0]
    cdef const floating* gradient = row[1]
    cdef floating* square_sum = row[2]
    cdef Py_ssize_t i
    cdef floating g
    for i in range(first, last):
        g = scale * gradient[i] + weight_decay * value[i]
        square_sum[i] += g * g
        value[i] -= learning_rate * g / (square_root(square_sum[i]) + epsilon)
