"""Stochastic gradient descent."""

from cython.parallel cimport prange

from cnnx._ext.checks cimport check_threads
from cnnx._ext.real cimport floating
from cnnx._ext.table cimport ArrayTable


def sgd_update(ArrayTable table not None, double learning_rate, double momentum, int num_threads):
    """velocity = momentum velocity + gradient; value -= learning_rate velocity.

    The table's rows are (value, gradient, velocity).
    """
    cdef Py_ssize_t i
    cdef Py_ssize_t* chunk
    cdef void** row
    check_threads(num_threads)
    if table.chunks and table.columns != 3:
        raise ValueError(f'expected rows of a value, a gradient and a velocity, got rows of {table.columns} arrays')
    for i in prange(table.chunks, num_threads=num_threads, nogil=True, schedule='static'):
        chunk = table.chunk + 3 * i
        row = table.pointers + 3 * chunk[0]
        if table.doubles:
            update(
                <double*> row[0], <const double*> row[1], <double*> row[2], chunk[1], chunk[2],
                learning_rate, momentum)
        else:
            update(
                <float*> row[0], <const float*> row[1], <float*> row[2], chunk[1], chunk[2],
                <float> learning_rate, <float> momentum)


cdef void update(
    floating* value,                         # IN, OUT
    const floating* gradient,                # IN
    floating* velocity,                      # IN, OUT
    Py_ssize_t first, Py_ssize_t last,
    floating learning_rate, floating momentum,
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(first, last):
        velocity[i] = momentum * velocity[i] + gradient[i]
        value[i] -= learning_rate * velocity[i]
