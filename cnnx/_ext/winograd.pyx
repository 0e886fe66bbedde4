"""Convolution by 3 x 3 filters with stride 1, by Winograd's method F(4 x 4, 3 x 3): a quarter of the multiplications.

Letters: see convolution.pyx.

A product of two polynomials is known from its numbers at some points, where it is a product of numbers. Four
neighbouring outputs of a filter of three numbers, in one dimension, need 12 multiplications; made from six points they
need six. In two dimensions that is 36 in place of 144. So:
    V = B^T d B of each tile d, 6 x 6 numbers of a channel of the input;
    U = G g G^T of each filter g, 3 x 3;
    at each of the 36 points, a matrix product over the channels: M = V U;
    y = A^T M A: 4 x 4 outputs. Tiles of the input overlap by two rows and columns.
The matrices are in cnnx/_numpy/winograd.py. What the transforms cost is shared by all filters, or all channels.

Gradients. That of x is such a convolution too, of dy by filters that are turned by half a turn. That of a filter is
G^T (sum over tiles of V (A dy A^T)) G.

Rounding errors are larger than those of sums of products: about twice in y, four to five times in gradients. A NaN
or infinity in x spreads to the 4 x 4 outputs of all tiles that read it.

Source: Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016; with the points 0, +-3/4, +-3/2 and
infinity, which round less than 0, +-1, +-2.
"""

from libc.stdlib cimport free
from libc.string cimport memset
from cython.parallel cimport parallel, prange, threadid

from cnnx._ext.inline.checks cimport check_shape, check_threads
from cnnx._ext.inline.denormals cimport FpMode, flush_to_zero, restore_mode
from cnnx._ext.inline.even_parts cimport part_start
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.gemm cimport Layout, lanes, pack
from cnnx._ext.inline.memory cimport room
from cnnx._ext.inline.task_sums cimport add_up_rows
from cnnx._ext.inline.window cimport Window, as_window
from cnnx._ext.inline.winograd cimport (
    Maps, add_filter_gradients, add_weight_gradient, check_winograd, convolve, filters_size, maps_of, scratch_size,
    transform_filters, turn_filters,
)

cdef enum:
    # Samples are cut into so many parts, by which threads share them: a gradient of the weights is the sum of theirs.
    MAX_PARTS = 16


cdef Maps checked(
    window, const Py_ssize_t* x, const Py_ssize_t* y, const Py_ssize_t* weights, const Py_ssize_t* bias,
    int num_threads, Py_ssize_t width, Py_ssize_t size,
) except *:
    """Return how a convolution from x to y is laid out."""
    cdef Window w = as_window(window)
    check_threads(num_threads)
    check_winograd(w)
    if x[3] < 1 or y[3] < 1:
        raise ValueError(f'expected at least one channel and one filter, got {x[3]} and {y[3]}')
    check_shape('weights', weights, (3, 3, x[3], y[3]))
    check_shape('y', y, (x[0], y[1], y[2], y[3]))
    if bias != NULL:
        check_shape('bias', bias, (y[3],))
    return maps_of(x[1], x[2], x[3], x[3], y[1], y[2], y[3], w.pad_top, w.pad_left, width, size)


cdef void convolve_parts(
    const Maps* m,
    const floating[:, :, :, ::1] x,          # IN       (N, H, W, C)
    const floating* filters,                 # IN       transformed
    const floating* bias,                    # IN       (wide_F), or NULL
    floating[:, :, :, ::1] y,                # OUT      (N, P, Q, F)
    floating* scratch,                       # SCRATCH  (num_threads, scratch_size)
    int num_threads,
) except *:
    cdef Py_ssize_t N = x.shape[0], parts = min(N, <Py_ssize_t> MAX_PARTS), size = scratch_size(m), part, first
    cdef FpMode mode = 0
    with nogil, parallel(num_threads=num_threads):
        mode = flush_to_zero()
        for part in prange(parts, schedule='static'):
            first = part_start(N, part, parts)
            convolve(
                m, part_start(N, part + 1, parts) - first, &x[first, 0, 0, 0], filters, bias, False,
                &y[first, 0, 0, 0], scratch + threadid() * size)
        restore_mode(mode)


def winograd_forward(
    const floating[:, :, :, ::1] x,          # IN   (N, H, W, C)
    const floating[:, :, :, ::1] weights,    # IN   (3, 3, C, F)
    const floating[::1] bias,                # IN   (F)
    floating[:, :, :, ::1] y,                # OUT  (N, P, Q, F)
    window,
    int num_threads,
):
    """y = windows of x times weights, plus bias."""
    cdef floating* kind = NULL
    cdef Maps m = checked(
        window, x.shape, y.shape, weights.shape, bias.shape, num_threads, lanes(kind), sizeof(floating))
    cdef Py_ssize_t taps = (9 * m.C + 1) * m.wide_F, filters = filters_size(m.C, m.wide_F)
    cdef Layout rows = Layout(m.F, 1, 0, 0)
    cdef floating* wide = <floating*> room((taps + filters + num_threads * scratch_size(&m)) * sizeof(floating))
    cdef floating* wide_bias = wide + 9 * m.C * m.wide_F
    pack(9 * m.C, m.F, &weights[0, 0, 0, 0], rows, wide)
    pack(1, m.F, &bias[0], rows, wide_bias)
    transform_filters(m.C, m.wide_F, m.wide_F, 0, m.C, <const floating*> wide, wide + taps)
    convolve_parts(
        &m, x, <const floating*> wide + taps, <const floating*> wide_bias, y, wide + taps + filters, num_threads)
    free(wide)


def winograd_backward_weights(
    const floating[:, :, :, ::1] x,          # IN   (N, H, W, C)
    const floating[:, :, :, ::1] dy,         # IN   (N, P, Q, F)
    floating[:, :, :, ::1] dweights,         # OUT  (3, 3, C, F)
    floating[::1] dbias,                     # OUT  (F)
    window,
    int num_threads,
):
    """dweights = windows of x, transposed, times dy; dbias = sum of dy."""
    cdef floating* kind = NULL
    cdef Maps m = checked(
        window, x.shape, dy.shape, dweights.shape, dbias.shape, num_threads, lanes(kind), sizeof(floating))
    cdef Py_ssize_t N = x.shape[0], used = min(N, <Py_ssize_t> MAX_PARTS), parts = max(<Py_ssize_t> 1, used)
    cdef Py_ssize_t part, first
    cdef Py_ssize_t filters = filters_size(m.C, m.wide_F), scratch = scratch_size(&m), taps = 9 * m.C * m.wide_F
    # Of a part: the gradients of transformed filters, of filters, and of the bias.
    cdef Py_ssize_t size = filters + taps + m.wide_F
    cdef floating* partials = <floating*> room((parts * size + num_threads * scratch) * sizeof(floating))
    cdef floating* of_part
    memset(partials, 0, parts * size * sizeof(floating))
    cdef FpMode mode = 0
    with nogil, parallel(num_threads=num_threads):
        mode = flush_to_zero()
        for part in prange(used, schedule='static'):
            first = part_start(N, part, parts)
            of_part = partials + part * size
            add_weight_gradient(
                &m, part_start(N, part + 1, parts) - first, &x[first, 0, 0, 0], &dy[first, 0, 0, 0], m.F,
                of_part, partials + parts * size + threadid() * scratch)
            add_filter_gradients(m.C, m.wide_F, <const floating*> of_part, of_part + filters)
            add_rows(
                (part_start(N, part + 1, parts) - first) * m.P * m.Q, m.F, &dy[first, 0, 0, 0],
                of_part + filters + taps)
        restore_mode(mode)
    add_up_rows(
        partials + filters, size, parts, 0, 1, 9 * m.C, m.F, m.wide_F, &dweights[0, 0, 0, 0], &dbias[0])
    free(partials)


cdef void add_rows(Py_ssize_t rows, Py_ssize_t F, const floating* dy, floating* dbias) noexcept nogil:
    cdef Py_ssize_t i, f
    for i in range(rows):
        for f in range(F):
            dbias[f] += dy[i * F + f]


def winograd_backward_input(
    const floating[:, :, :, ::1] weights,    # IN   (3, 3, C, F)
    const floating[:, :, :, ::1] dy,         # IN   (N, P, Q, F)
    floating[:, :, :, ::1] dx,               # OUT  (N, H, W, C)
    window,
    int num_threads,
):
    """dx = a convolution of dy by the filters, turned by half a turn."""
    cdef floating* kind = NULL
    cdef Maps m = checked(
        window, dx.shape, dy.shape, weights.shape, NULL, num_threads, lanes(kind), sizeof(floating))
    cdef Py_ssize_t taps = 9 * m.F * m.wide_C, filters = filters_size(m.F, m.wide_C)
    cdef const floating* no_bias = NULL
    m = maps_of(
        m.P, m.Q, m.F, m.F, m.H, m.W, m.C, 2 - m.top, 2 - m.left, lanes(kind), sizeof(floating))
    cdef floating* turned = <floating*> room((taps + filters + num_threads * scratch_size(&m)) * sizeof(floating))
    memset(turned, 0, taps * sizeof(floating))
    turn_filters(m.F, m.C, m.wide_F, 0, m.C, &weights[0, 0, 0, 0], turned)
    transform_filters(m.C, m.wide_F, m.wide_F, 0, m.C, <const floating*> turned, turned + taps)
    convolve_parts(
        &m, dy, <const floating*> turned + taps, no_bias, dx, turned + taps + filters, num_threads)
    free(turned)
