"""The fully connected layer: y = x weights + bias.

Letters: N samples, I inputs, O outputs. Each product is cut into panels of output columns, one task
each; no element is shared between tasks, so the bits do not depend on the number of threads.
"""

from libc.stdlib cimport free
from cython.parallel cimport parallel, prange, threadid

from cnnx._ext.inline.checks cimport check_shape, check_threads
from cnnx._ext.inline.denormals cimport FpMode, flush_to_zero, restore_mode
from cnnx._ext.inline.gemm cimport Layout, multiply_panel, panel_columns, panel_size
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.memory cimport room


cdef int parallel_product(
    Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t depth,
    const floating* a, Layout a_layout,      # IN   (rows, depth)
    const floating* b, Layout b_layout,      # IN   (depth, columns)
    floating* c,                             # OUT  (rows, columns)
    const floating* bias,                    # IN   (columns), or NULL
    int num_threads,
) except -1:
    """Write C = A B + bias."""
    cdef Py_ssize_t width = panel_columns(c)
    cdef Py_ssize_t panels = (columns + width - 1) // width
    cdef Py_ssize_t size = panel_size(depth, c)
    cdef Py_ssize_t panel, first
    cdef floating* scratch = <floating*> room(num_threads * size * sizeof(floating))
    cdef FpMode mode = 0
    with nogil, parallel(num_threads=num_threads):
        mode = flush_to_zero()
        for panel in prange(panels, schedule='static'):
            first = panel * width
            multiply_panel(
                rows, min(width, columns - first), depth, a, a_layout,
                b + first * b_layout.column, b_layout, c + first, columns,
                bias + first if bias != NULL else NULL, False, scratch + threadid() * size)
        restore_mode(mode)
    free(scratch)
    return 0


def dense_forward(
    const floating[:, ::1] x,                # IN   (N, I)
    const floating[:, ::1] weights,          # IN   (I, O)
    const floating[::1] bias,                # IN   (O)
    floating[:, ::1] y,                      # OUT  (N, O)
    int num_threads,
):
    """y = x weights + bias."""
    cdef Py_ssize_t N = x.shape[0], I = x.shape[1], O = y.shape[1]
    check_threads(num_threads)
    check_shape('weights', weights.shape, (I, O))
    check_shape('bias', bias.shape, (O,))
    check_shape('y', y.shape, (N, O))
    if N == 0:
        return
    parallel_product(
        N, O, I, &x[0, 0], Layout(I, 1, 0, 0), &weights[0, 0], Layout(O, 1, 0, 0), &y[0, 0], &bias[0], num_threads)


def dense_backward_weights(
    const floating[:, ::1] x,                # IN   (N, I)
    const floating[:, ::1] dy,               # IN   (N, O)
    floating[:, ::1] dweights,               # OUT  (I, O)
    floating[::1] dbias,                     # OUT  (O)
    int num_threads,
):
    """dweights = x, transposed, times dy; dbias = sum of dy over the samples."""
    cdef Py_ssize_t N = x.shape[0], I = x.shape[1], O = dy.shape[1]
    cdef Py_ssize_t n, o
    cdef const floating* no_bias = NULL
    check_threads(num_threads)
    check_shape('dy', dy.shape, (N, O))
    check_shape('dweights', dweights.shape, (I, O))
    check_shape('dbias', dbias.shape, (O,))
    if N == 0:
        dweights[:, :] = 0
        dbias[:] = 0
        return
    dbias[:] = dy[0]
    for n in range(1, N):
        for o in range(O):
            dbias[o] += dy[n, o]
    parallel_product(
        I, O, N, &x[0, 0], Layout(1, I, 0, 0), &dy[0, 0], Layout(O, 1, 0, 0), &dweights[0, 0], no_bias, num_threads)


def dense_backward_input(
    const floating[:, ::1] weights,          # IN   (I, O)
    const floating[:, ::1] dy,               # IN   (N, O)
    floating[:, ::1] dx,                     # OUT  (N, I)
    int num_threads,
):
    """dx = dy times weights, transposed."""
    cdef Py_ssize_t N = dx.shape[0], I = dx.shape[1], O = dy.shape[1]
    cdef const floating* no_bias = NULL
    check_threads(num_threads)
    check_shape('weights', weights.shape, (I, O))
    check_shape('dy', dy.shape, (N, O))
    if N == 0:
        return
    parallel_product(
        N, I, O, &dy[0, 0], Layout(O, 1, 0, 0), &weights[0, 0], Layout(1, O, 0, 0), &dx[0, 0], no_bias, num_threads)
