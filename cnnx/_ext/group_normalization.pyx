"""Normalization of each sample by itself, in groups of channels: forward pass and gradients.

Letters: N samples; P positions, such as pixels; G groups of K channels, C = G K in all.

Sums are made in double, channel by channel, and then added up for each group.
"""

from libc.math cimport sqrt
from libc.stdlib cimport free
from libc.string cimport memset
from cython.parallel cimport prange, threadid

from cnnx._ext.inline.checks cimport check_shape, check_threads
from cnnx._ext.inline.denormals cimport FpMode, flush_to_zero, restore_mode
from cnnx._ext.inline.dot_and_transpose cimport dot
from cnnx._ext.inline.even_parts cimport part_start
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.memory cimport room

cdef enum:
    MAX_PARTS = 64                # that samples are cut into; each has sums of its own for the parameters' gradients


cdef struct Sizes:
    Py_ssize_t N, P, G, K, C


cdef int check_arrays(
    Sizes* sizes, const Py_ssize_t* x, const Py_ssize_t* mean, const Py_ssize_t* scale, const Py_ssize_t* gamma,
    const Py_ssize_t* y, int num_threads,
) except -1:
    sizes.N, sizes.P, sizes.G, sizes.K, sizes.C = x[0], x[1], x[2], x[3], x[2] * x[3]
    check_threads(num_threads)
    check_shape('mean', mean, (sizes.N, sizes.G))
    check_shape('scale', scale, (sizes.N, sizes.G))
    check_shape('gamma', gamma, (sizes.C,))
    check_shape('y', y, (sizes.N, sizes.P, sizes.G, sizes.K))
    return 0


def groupnorm_forward(
    const floating[:, :, :, ::1] x,          # IN   (N, P, G, K)
    const floating[::1] gamma,               # IN   (C)
    const floating[::1] beta,                # IN   (C)
    floating[:, ::1] mean,                   # OUT  (N, G)
    floating[:, ::1] scale,                  # OUT  (N, G) 1 / sqrt(variance + epsilon)
    floating[:, :, :, ::1] y,                # OUT  (N, P, G, K)
    double epsilon,
    int num_threads,
):
    """y = gamma (x - mean) scale + beta; mean and (biased) variance are those of each group of each sample."""
    cdef Sizes sizes
    cdef Py_ssize_t part, parts = min(x.shape[0], <Py_ssize_t> MAX_PARTS), n
    cdef FpMode mode
    check_arrays(&sizes, x.shape, mean.shape, scale.shape, gamma.shape, y.shape, num_threads)
    check_shape('beta', beta.shape, (sizes.C,))
    if sizes.N * sizes.P * sizes.C == 0:
        return
    cdef double* scratch = <double*> room(2 * num_threads * sizes.C * sizeof(double))
    for part in prange(parts, num_threads=num_threads, nogil=True, schedule='static'):
        mode = flush_to_zero()
        for n in range(part_start(sizes.N, part, parts), part_start(sizes.N, part + 1, parts)):
            normalize_sample(
                &sizes, &x[n, 0, 0, 0], &gamma[0], &beta[0], &mean[n, 0], &scale[n, 0], &y[n, 0, 0, 0], epsilon,
                scratch + 2 * threadid() * sizes.C)
        restore_mode(mode)
    free(scratch)


cdef void normalize_sample(
    const Sizes* sizes,
    const floating* x,                       # IN   (P, C)
    const floating* gamma,                   # IN   (C)
    const floating* beta,                    # IN   (C)
    floating* mean,                          # OUT  (G)
    floating* scale,                         # OUT  (G)
    floating* y,                             # OUT  (P, C)
    double epsilon,
    double* scratch,                         # SCRATCH  (2, C)
) noexcept nogil:
    cdef Py_ssize_t P = sizes.P, C = sizes.C, K = sizes.K, p, c, group
    cdef double* means = scratch
    cdef double* factors = scratch + C
    cdef double distance, root
    memset(scratch, 0, 2 * C * sizeof(double))
    for p in range(P):
        for c in range(C):
            means[c] += x[p * C + c]
    average_groups(sizes, means)
    for p in range(P):
        for c in range(C):
            distance = x[p * C + c] - means[c]
            factors[c] += distance * distance
    average_groups(sizes, factors)
    for group in range(sizes.G):
        root = 1 / sqrt(factors[group * K] + epsilon)
        mean[group], scale[group] = <floating> means[group * K], <floating> root
        for c in range(group * K, (group + 1) * K):
            factors[c] = root * gamma[c]
    for p in range(P):
        for c in range(C):
            y[p * C + c] = <floating> ((x[p * C + c] - means[c]) * factors[c] + beta[c])


cdef inline void average_groups(const Sizes* sizes, double* sums) noexcept nogil:
    """Turn sums over the positions, (C), into the mean of each group, at each of its channels."""
    cdef Py_ssize_t K = sizes.K, group, c
    cdef double mean
    for group in range(sizes.G):
        mean = dot(K, sums + group * K, NULL) / (sizes.P * K)
        for c in range(group * K, (group + 1) * K):
            sums[c] = mean


def groupnorm_backward(
    const floating[:, :, :, ::1] x,          # IN   (N, P, G, K)
    const floating[:, ::1] mean,             # IN   (N, G) what groupnorm_forward gave
    const floating[:, ::1] scale,            # IN   (N, G) likewise
    const floating[::1] gamma,               # IN   (C)
    const floating[:, :, :, ::1] dy,         # IN   (N, P, G, K)
    floating[::1] dgamma,                    # OUT  (C)
    floating[::1] dbeta,                     # OUT  (C)
    floating[:, :, :, ::1] dx,               # OUT  (N, P, G, K)
    int num_threads,
):
    """dgamma = sum of dy z, z = (x - mean) scale; dbeta = sum of dy; dx = scale (g - mean of g - z mean of g z).

    g = gamma dy; the means are those of each group of each sample.
    """
    cdef Sizes sizes
    cdef Py_ssize_t part, parts = min(x.shape[0], <Py_ssize_t> MAX_PARTS), size, n, c
    cdef FpMode mode
    cdef double* sums
    cdef double* scratch
    check_arrays(&sizes, x.shape, mean.shape, scale.shape, gamma.shape, dy.shape, num_threads)
    check_shape('dgamma', dgamma.shape, (sizes.C,))
    check_shape('dbeta', dbeta.shape, (sizes.C,))
    check_shape('dx', dx.shape, (sizes.N, sizes.P, sizes.G, sizes.K))
    dgamma[:] = 0
    dbeta[:] = 0
    if sizes.N * sizes.P * sizes.C == 0:
        return
    size = 2 * sizes.C
    sums = <double*> room((parts + 3 * num_threads) * size * sizeof(double))
    scratch = sums + parts * size
    memset(sums, 0, parts * size * sizeof(double))
    for part in prange(parts, num_threads=num_threads, nogil=True, schedule='static'):
        mode = flush_to_zero()
        for n in range(part_start(sizes.N, part, parts), part_start(sizes.N, part + 1, parts)):
            gradients_of_sample(
                &sizes, &x[n, 0, 0, 0], &mean[n, 0], &scale[n, 0], &gamma[0], &dy[n, 0, 0, 0], &dx[n, 0, 0, 0],
                sums + part * size, scratch + 3 * threadid() * size)
        restore_mode(mode)
    for part in range(1, parts):
        for c in range(size):
            sums[c] += sums[part * size + c]
    for c in range(sizes.C):
        dgamma[c] = <floating> sums[c]
        dbeta[c] = <floating> sums[sizes.C + c]
    free(sums)


cdef void gradients_of_sample(
    const Sizes* sizes,
    const floating* x,                       # IN   (P, C)
    const floating* mean,                    # IN   (G)
    const floating* scale,                   # IN   (G)
    const floating* gamma,                   # IN   (C)
    const floating* dy,                      # IN   (P, C)
    floating* dx,                            # OUT  (P, C)
    double* sums,                            # IN, OUT  (2, C): what dgamma and dbeta get is added
    double* scratch,                         # SCRATCH  (6, C)
) noexcept nogil:
    cdef Py_ssize_t P = sizes.P, C = sizes.C, K = sizes.K, p, c, group
    cdef double* products = scratch
    cdef double* gradients = scratch + C
    cdef double* means = scratch + 2 * C
    cdef double* of_dy = scratch + 3 * C
    cdef double* shifts = scratch + 4 * C
    cdef double* of_x = scratch + 5 * C
    cdef double gradient, root, mean_of_g, mean_of_gz
    memset(scratch, 0, 2 * C * sizeof(double))
    for group in range(sizes.G):
        for c in range(group * K, (group + 1) * K):
            means[c] = mean[group]
    for p in range(P):
        for c in range(C):
            gradient = dy[p * C + c]
            products[c] += gradient * (x[p * C + c] - means[c])
            gradients[c] += gradient
    for group in range(sizes.G):
        root = scale[group]
        for c in range(group * K, (group + 1) * K):
            products[c] *= root
            shifts[c] = gamma[c] * gradients[c]
            of_x[c] = gamma[c] * products[c]
        mean_of_g = dot(K, shifts + group * K, NULL) / (P * K)
        mean_of_gz = dot(K, of_x + group * K, NULL) / (P * K)
        for c in range(group * K, (group + 1) * K):
            of_dy[c], shifts[c], of_x[c] = root * gamma[c], root * mean_of_g, root * root * mean_of_gz
    for c in range(2 * C):
        sums[c] += scratch[c]
    for p in range(P):
        for c in range(C):
            dx[p * C + c] = <floating> (of_dy[c] * dy[p * C + c] - shifts[c] - (x[p * C + c] - means[c]) * of_x[c])
