"""What optimizers do with a table of parameters and gradients: checks of the gradients, and updates.

The updates use g = scale gradient + weight_decay value.
"""

from cython.parallel cimport prange
from libc.math cimport pow, sqrt
from libc.stdint cimport int64_t
from libc.stdlib cimport free

from cnnx._ext.array_table cimport ArrayTable, Chunk, check_column, check_columns
from cnnx._ext.inline.checks cimport check_shape, check_threads
from cnnx._ext.inline.denormals cimport FpMode, flush_to_zero, restore_mode
from cnnx._ext.inline.floating cimport floating, square_root
from cnnx._ext.inline.memory cimport room

cdef enum:
    SUMS = 16                     # that take turns: one would wait for itself


# Checks


def all_finite(ArrayTable table not None, int column, int num_threads) -> bool:
    """Return whether all numbers of a column of a table are finite: neither NaN nor infinite."""
    cdef Py_ssize_t i
    cdef Chunk chunk
    cdef int others = 0
    check_threads(num_threads)
    check_column(table, column)
    for i in prange(table.count, num_threads=num_threads, nogil=True, schedule='static'):
        chunk = table.chunks[i]
        if table.doubles:
            others |= not_finite(<const double*> chunk.arrays[column], chunk.first, chunk.last)
        else:
            others |= not_finite(<const float*> chunk.arrays[column], chunk.first, chunk.last)
    return not others


cdef int not_finite(const floating* numbers, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """Return whether one of the numbers, taken off itself, does not leave 0."""
    cdef int found = 0
    cdef Py_ssize_t i
    for i in range(first, last):
        found |= numbers[i] - numbers[i] != 0
    return found


def sum_of_squares(ArrayTable table not None, int column, int num_threads) -> float:
    """Return the sum of the squares of all numbers of a column of a table, in double.

    Float32 cannot make it overflow. Chunks are added up in their order, whoever summed them.
    """
    cdef Py_ssize_t i
    cdef Chunk chunk
    cdef FpMode mode
    cdef double total = 0
    check_threads(num_threads)
    check_column(table, column)
    cdef double* partial = <double*> room(table.count * sizeof(double))
    for i in prange(table.count, num_threads=num_threads, nogil=True, schedule='static'):
        mode = flush_to_zero()
        chunk = table.chunks[i]
        if table.doubles:
            partial[i] = squares(<const double*> chunk.arrays[column], chunk.first, chunk.last)
        else:
            partial[i] = squares(<const float*> chunk.arrays[column], chunk.first, chunk.last)
        restore_mode(mode)
    for i in range(table.count):
        total += partial[i]
    free(partial)
    return total


cdef double squares(const floating* numbers, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef double[SUMS] sums
    cdef double number, total = 0
    cdef Py_ssize_t i, k
    for k in range(SUMS):
        sums[k] = 0
    while first + SUMS <= last:
        for k in range(SUMS):
            number = numbers[first + k]
            sums[k] += number * number
        first += SUMS
    for i in range(first, last):
        number = numbers[i]
        total += number * number
    for k in range(SUMS):
        total += sums[k]
    return total


# Updates


cdef struct Settings:
    double learning_rate, weight_decay, scale, epsilon, momentum, rho, beta_1, beta_2
    bint nesterov, decoupled
    const int64_t* updates


ctypedef void (*FloatUpdate)(float** row, const Chunk* chunk, const Settings* s) noexcept nogil
ctypedef void (*DoubleUpdate)(double** row, const Chunk* chunk, const Settings* s) noexcept nogil


cdef int update_chunks(
    ArrayTable table, FloatUpdate of_floats, DoubleUpdate of_doubles, const Settings* s, int num_threads,
) except -1:
    cdef Py_ssize_t i
    cdef FpMode mode
    for i in prange(table.count, num_threads=num_threads, nogil=True, schedule='static'):
        mode = flush_to_zero()
        if table.doubles:
            of_doubles(<double**> table.chunks[i].arrays, &table.chunks[i], s)
        else:
            of_floats(<float**> table.chunks[i].arrays, &table.chunks[i], s)
        restore_mode(mode)
    return 0


def sgd_update(
    ArrayTable table not None, double learning_rate, double momentum, bint nesterov, double weight_decay,
    double scale, int num_threads,
):
    """velocity = momentum velocity + g; value -= learning_rate velocity.

    With nesterov, value -= learning_rate (g + momentum velocity).
    The table's rows are (value, gradient, velocity); without momentum (value, gradient).
    """
    cdef Settings s
    s.learning_rate, s.momentum, s.nesterov = learning_rate, momentum, nesterov
    s.weight_decay, s.scale = weight_decay, scale
    check_threads(num_threads)
    check_columns(
        table, 3 if momentum else 2, 'a value, a gradient and a velocity' if momentum else 'a value and a gradient')
    update_chunks(table, update_by_sgd, update_by_sgd, &s, num_threads)


cdef void update_by_sgd(floating** row, const Chunk* chunk, const Settings* s) noexcept nogil:
    cdef floating* value = row[0]
    cdef const floating* gradient = row[1]
    cdef floating* velocity = row[2] if s.momentum else NULL
    cdef floating learning_rate = s.learning_rate, momentum = s.momentum, scale = s.scale, decay = s.weight_decay, g
    cdef Py_ssize_t i
    if velocity != NULL and not s.nesterov and scale == 1 and decay == 0:
        # The loop below computes the same bits, and takes up to a tenth longer.
        for i in range(chunk.first, chunk.last):
            velocity[i] = momentum * velocity[i] + gradient[i]
            value[i] -= learning_rate * velocity[i]
        return
    for i in range(chunk.first, chunk.last):
        g = scale * gradient[i] + decay * value[i]
        if velocity == NULL:
            value[i] -= learning_rate * g
        else:
            velocity[i] = momentum * velocity[i] + g
            value[i] -= learning_rate * (g + momentum * velocity[i] if s.nesterov else velocity[i])


def adam_update(
    ArrayTable table not None,
    const int64_t[::1] updates,              # IN   (rows,): which update this is for each row, from 1
    double learning_rate, double beta_1, double beta_2, double epsilon, double weight_decay, bint decoupled,
    double scale, int num_threads,
):
    """average = beta_1 average + (1 - beta_1) g, square_average = beta_2 square_average + (1 - beta_2) g^2.

    value -= learning_rate (average / (1 - beta_1^t)) / (sqrt(square_average / (1 - beta_2^t)) + epsilon) for
    update t. Where weight decay is decoupled, g is without it, and before, value *= 1 - learning_rate weight_decay.
    The table's rows are (value, gradient, average, square_average).
    """
    cdef Settings s
    s.learning_rate, s.beta_1, s.beta_2, s.epsilon = learning_rate, beta_1, beta_2, epsilon
    s.weight_decay, s.decoupled, s.scale = weight_decay, decoupled, scale
    check_threads(num_threads)
    check_columns(table, 4, 'a value, a gradient, its average and that of its square')
    check_shape('updates', updates.shape, (len(table._rows),))
    if table.count:
        s.updates = &updates[0]
    update_chunks(table, update_by_adam, update_by_adam, &s, num_threads)


cdef void update_by_adam(floating** row, const Chunk* chunk, const Settings* s) noexcept nogil:
    cdef floating* value = row[0]
    cdef const floating* gradient = row[1]
    cdef floating* average = row[2]
    cdef floating* square_average = row[3]
    cdef double t = <double> s.updates[chunk.row]
    cdef floating step = s.learning_rate / (1 - pow(s.beta_1, t)), root = 1 / sqrt(1 - pow(s.beta_2, t))
    cdef floating new = 1 - s.beta_1, kept_square = s.beta_2, new_square = 1 - s.beta_2, epsilon = s.epsilon
    cdef floating scale = s.scale, added = 0 if s.decoupled else s.weight_decay, g
    cdef floating kept = 1 - s.learning_rate * s.weight_decay if s.decoupled else 1
    cdef Py_ssize_t i
    for i in range(chunk.first, chunk.last):
        g = scale * gradient[i] + added * value[i]
        average[i] += new * (g - average[i])
        square_average[i] = kept_square * square_average[i] + new_square * g * g
        value[i] = kept * value[i] - step * average[i] / (root * square_root(square_average[i]) + epsilon)


def rmsprop_update(
    ArrayTable table not None, double learning_rate, double rho, double epsilon, double momentum,
    double weight_decay, double scale, int num_threads,
):
    """square_average = rho square_average + (1 - rho) g^2.

    velocity = momentum velocity + g / (sqrt(square_average) + epsilon); value -= learning_rate velocity.
    The table's rows are (value, gradient, square_average, velocity); without momentum there is no velocity.
    """
    cdef Settings s
    s.learning_rate, s.rho, s.epsilon = learning_rate, rho, epsilon
    s.momentum, s.weight_decay, s.scale = momentum, weight_decay, scale
    check_threads(num_threads)
    check_columns(
        table, 4 if momentum else 3,
        f'a value, a gradient, the average of its square{" and a velocity" if momentum else ""}')
    update_chunks(table, update_by_rmsprop, update_by_rmsprop, &s, num_threads)


cdef void update_by_rmsprop(floating** row, const Chunk* chunk, const Settings* s) noexcept nogil:
    cdef floating* value = row[0]
    cdef const floating* gradient = row[1]
    cdef floating* square_average = row[2]
    cdef floating* velocity = row[3] if s.momentum else NULL
    cdef floating learning_rate = s.learning_rate, rho = s.rho, new = 1 - s.rho, epsilon = s.epsilon
    cdef floating momentum = s.momentum, scale = s.scale, decay = s.weight_decay, g
    cdef Py_ssize_t i
    for i in range(chunk.first, chunk.last):
        g = scale * gradient[i] + decay * value[i]
        square_average[i] = rho * square_average[i] + new * g * g
        if velocity == NULL:
            value[i] -= learning_rate * g / (square_root(square_average[i]) + epsilon)
        else:
            velocity[i] = momentum * velocity[i] + g / (square_root(square_average[i]) + epsilon)
            value[i] -= learning_rate * velocity[i]


def adagrad_update(
    ArrayTable table not None, double learning_rate, double epsilon, double weight_decay, double scale,
    int num_threads,
):
    """square_sum += g^2; value -= learning_rate g / (sqrt(square_sum) + epsilon).

    The table's rows are (value, gradient, square_sum).
    """
    cdef Settings s
    s.learning_rate, s.epsilon, s.weight_decay, s.scale = learning_rate, epsilon, weight_decay, scale
    check_threads(num_threads)
    check_columns(table, 3, 'a value, a gradient and the sum of its squares')
    update_chunks(table, update_by_adagrad, update_by_adagrad, &s, num_threads)


cdef void update_by_adagrad(floating** row, const Chunk* chunk, const Settings* s) noexcept nogil:
    cdef floating* value = row[0]
    cdef const floating* gradient = row[1]
    cdef floating* square_sum = row[2]
    cdef floating learning_rate = s.learning_rate, epsilon = s.epsilon, scale = s.scale, decay = s.weight_decay, g
    cdef Py_ssize_t i
    for i in range(chunk.first, chunk.last):
        g = scale * gradient[i] + decay * value[i]
        square_sum[i] += g * g
        value[i] -= learning_rate * g / (square_root(square_sum[i]) + epsilon)
