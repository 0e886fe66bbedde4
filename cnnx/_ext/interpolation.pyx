"""Lines of an array as sums of neighbouring lines: images enlarged by interpolation, and the way back.

Letters: N images, H lines of an image before, P after, L numbers to a line.
"""

from libc.stdlib cimport free
from cython.parallel cimport parallel, prange

from cnnx._ext.inline.checks cimport check_shape, check_threads
from cnnx._ext.inline.denormals cimport FpMode, flush_to_zero, restore_mode
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.interpolation cimport add_lines, find_band
from cnnx._ext.inline.memory cimport room


def interpolate(
    const floating[:, ::1] matrix,           # IN   (P, H) how much each line counts, most of it zero
    const floating[:, :, ::1] x,             # IN   (N, H, L)
    floating[:, :, ::1] y,                   # OUT  (N, P, L)
    int num_threads,
):
    """y[n] = matrix x[n]. Only what lies between the first and the last number of a row that is not zero is read."""
    cdef Py_ssize_t N = x.shape[0], H = x.shape[1], L = x.shape[2], P = matrix.shape[0], i
    check_threads(num_threads)
    check_shape('matrix', matrix.shape, (P, H))
    check_shape('y', y.shape, (N, P, L))
    if N * P * L == 0:
        return
    cdef Py_ssize_t* bands = <Py_ssize_t*> room(2 * P * sizeof(Py_ssize_t))
    cdef FpMode mode = 0
    with nogil:
        for i in range(P):
            find_band(H, &matrix[i, 0] if H else NULL, bands + 2 * i)
    with nogil, parallel(num_threads=num_threads):
        mode = flush_to_zero()
        for i in prange(N * P, schedule='static'):
            add_lines(
                bands + 2 * (i % P), L, &matrix[i % P, 0] if H else NULL, &x[i // P, 0, 0] if H else NULL,
                &y[i // P, i % P, 0])
        restore_mode(mode)
    free(bands)
