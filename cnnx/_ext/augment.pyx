"""Random changes to images: resampled at other places, shifted by fields of random displacements, erased in part.

Letters: N samples; H, W rows and columns of the images; P, Q of the result; C channels.
"""

from libc.stdint cimport INT32_MAX, int32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset
from cython.parallel cimport prange, threadid

from cnnx._ext.checks cimport check_images, check_matrix, check_threads
from cnnx._ext.random cimport random_bits
from cnnx._ext.real cimport floating
from cnnx._ext.sizes cimport round_up

cdef extern from "copy.h" nogil:
    void copy_short(void* to, const void* source, size_t size)

cdef extern from "smooth.h" nogil:
    const int VECTOR_BYTES

    void smooth_float(
        Py_ssize_t rows, Py_ssize_t width, const float* source, Py_ssize_t source_row, Py_ssize_t step,
        const float* weights, Py_ssize_t radius, float* to, Py_ssize_t to_row, const float* end)
    void smooth_double(
        Py_ssize_t rows, Py_ssize_t width, const double* source, Py_ssize_t source_row, Py_ssize_t step,
        const double* weights, Py_ssize_t radius, double* to, Py_ssize_t to_row, const double* end)

cdef enum:
    BLOCK = 32                    # columns whose places are worked out before pixels are read


def resample(
    const floating[:, :, :, ::1] x,              # IN   (N, H, W, C)
    floating[:, :, :, ::1] y,                    # OUT  (N, H, W, C), may be x
    const floating[:, :, ::1] matrices,          # IN   (N, 2, 3)
    const floating[:, :, :, ::1] displacements,  # IN   (N, 2, H, W), or None
    int num_threads,
):
    """y[n, p, q] = x[n] at row, column = matrices[n] (p, q, 1) + displacements[n, :, p, q].

    Between pixels it is bilinear, and zero outside of the image.
    """
    cdef Py_ssize_t N = x.shape[0], H = x.shape[1], W = x.shape[2], C = x.shape[3], n
    check_threads(num_threads)
    check_images('y', y.shape, N, H, W, C)
    if matrices.shape[0] != N or matrices.shape[1] != 2 or matrices.shape[2] != 3:
        raise ValueError(
            f'matrices: expected shape ({N}, 2, 3), '
            f'got ({matrices.shape[0]}, {matrices.shape[1]}, {matrices.shape[2]})')
    if displacements is not None:
        check_images('displacements', displacements.shape, N, 2, H, W)
    cdef Py_ssize_t size = (H + 3) * (W + 3) * C
    if x.size == 0:
        return
    if size > INT32_MAX:
        raise ValueError(f'x: expected images of at most {INT32_MAX} numbers with a border of 3, got {size}')
    cdef floating* scratch = <floating*> malloc(num_threads * size * sizeof(floating))
    if scratch == NULL:
        raise MemoryError('resample: no memory for an image')
    memset(scratch, 0, num_threads * size * sizeof(floating))
    for n in prange(N, num_threads=num_threads, nogil=True, schedule='static'):
        resample_image(
            &x[n, 0, 0, 0], H, W, C, &matrices[n, 0, 0],
            &displacements[n, 0, 0, 0] if displacements is not None else NULL,
            scratch + threadid() * size, &y[n, 0, 0, 0])
    free(scratch)


cdef inline floating clamped(floating place, Py_ssize_t size) noexcept nogil:
    """Return a place from -1 to size, one further on; NaN becomes the first."""
    place += 1
    place = place if place > 0 else 0
    return place if place < size + 1 else size + 1


cdef void resample_image(
    const floating* x, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C,
    const floating* matrix, const floating* displacement,
    floating* bordered,           # (H + 3, W + 3, C), zeros at the border
    floating* y,
) noexcept nogil:
    cdef Py_ssize_t line = (W + 3) * C, p, block, first, c
    cdef int32_t places[BLOCK]
    cdef floating row_shares[BLOCK]
    cdef floating column_shares[BLOCK]
    cdef floating row, column, row_step, column_step, row_start, column_start, above, below
    cdef const floating* pixel
    cdef int32_t width = <int32_t> (W + 3), channels = <int32_t> C, whole_row, whole_column
    cdef int32_t j, upto
    for p in range(H):
        copy_short(bordered + (p + 1) * line + C, x + p * W * C, W * C * sizeof(floating))
    row_step, column_step = matrix[1], matrix[4]
    for p in range(H):
        for block in range((W + BLOCK - 1) // BLOCK):
            first = block * BLOCK
            upto = <int32_t> min(BLOCK, W - first)
            row_start = matrix[0] * p + matrix[1] * first + matrix[2]
            column_start = matrix[3] * p + matrix[4] * first + matrix[5]
            if displacement == NULL:
                for j in range(upto):
                    row_shares[j] = row_start + row_step * j
                    column_shares[j] = column_start + column_step * j
            else:
                for j in range(upto):
                    row_shares[j] = row_start + row_step * j + displacement[p * W + first + j]
                    column_shares[j] = column_start + column_step * j + displacement[(H + p) * W + first + j]
            for j in range(upto):
                row = clamped(row_shares[j], H)
                column = clamped(column_shares[j], W)
                whole_row, whole_column = <int32_t> row, <int32_t> column
                row_shares[j] = row - whole_row
                column_shares[j] = column - whole_column
                places[j] = (whole_row * width + whole_column) * channels
            if C == 1:
                for j in range(upto):
                    pixel = bordered + places[j]
                    above = pixel[0] + column_shares[j] * (pixel[1] - pixel[0])
                    below = pixel[width] + column_shares[j] * (pixel[width + 1] - pixel[width])
                    y[p * W + first + j] = above + row_shares[j] * (below - above)
            else:
                for j in range(upto):
                    pixel = bordered + places[j]
                    for c in range(C):
                        above = pixel[c] + column_shares[j] * (pixel[c + C] - pixel[c])
                        below = pixel[line + c] + column_shares[j] * (pixel[line + C + c] - pixel[line + c])
                        y[(p * W + first + j) * C + c] = above + row_shares[j] * (below - above)


def elastic_fields(
    floating[:, :, :, ::1] displacements,        # OUT  (N, 2, H, W)
    const floating[::1] weights,                 # IN   (R + 1) of a place, its neighbours, those behind them, ...
    uint64_t key,
    double alpha,
    int num_threads,
):
    """displacements = alpha times noise, uniform from -1 to 1, smoothed by weights along rows and along columns.

    Outside of the image there is no noise. Row and column of a place share the random bits of its number.
    """
    cdef Py_ssize_t N = displacements.shape[0], H = displacements.shape[2], W = displacements.shape[3], n
    cdef Py_ssize_t R = weights.shape[0] - 1
    check_threads(num_threads)
    check_images('displacements', displacements.shape, N, 2, H, W)
    if R < 0:
        raise ValueError('weights: expected at least one, got none')
    if displacements.size == 0:
        return
    cdef Py_ssize_t lanes = VECTOR_BYTES // <Py_ssize_t> sizeof(floating)
    cdef Field field = Field(H, W, R, round_up(W, lanes), 0, 0)
    field.line = field.width + 2 * R
    field.size = 2 * H * field.line + (H + 2 * R) * field.width
    cdef floating* scratch = <floating*> malloc(num_threads * field.size * sizeof(floating))
    if scratch == NULL:
        raise MemoryError('elastic_fields: no memory for a field')
    memset(scratch, 0, num_threads * field.size * sizeof(floating))
    for n in prange(N, num_threads=num_threads, nogil=True, schedule='static'):
        elastic_field(
            field, &weights[0], key, n, <floating> (alpha * 2.0 ** -31), scratch + threadid() * field.size,
            &displacements[n, 0, 0, 0])
    free(scratch)


cdef struct Field:
    Py_ssize_t H, W, R
    Py_ssize_t width              # W, in whole vectors
    Py_ssize_t line               # a row of noise, with R zeros on both sides
    Py_ssize_t size               # of the memory: two planes of noise, one smoothed along rows with R rows around it


cdef inline void smooth(
    Py_ssize_t rows, Py_ssize_t width, const floating* source, Py_ssize_t source_row, Py_ssize_t step,
    const floating* weights, Py_ssize_t radius, floating* to, Py_ssize_t to_row, const floating* end,
) noexcept nogil:
    if floating is float:
        smooth_float(rows, width, source, source_row, step, weights, radius, to, to_row, end)
    else:
        smooth_double(rows, width, source, source_row, step, weights, radius, to, to_row, end)


cdef void elastic_field(
    Field f, const floating* weights, uint64_t key, Py_ssize_t n, floating scale,
    floating* memory,             # (f.size), zeros where no noise and no row stands
    floating* displacement,       # OUT  (2, H, W)
) noexcept nogil:
    cdef Py_ssize_t p, q, plane
    cdef uint64_t bits
    cdef floating* rows
    cdef floating* columns
    cdef floating* smoothed = memory + 2 * f.H * f.line
    for p in range(f.H):
        rows = memory + p * f.line + f.R
        columns = rows + f.H * f.line
        for q in range(f.W):
            bits = random_bits(key, (n * f.H + p) * f.W + q)
            rows[q] = scale * <int32_t> (bits >> 32)
            columns[q] = scale * <int32_t> bits
    for plane in range(2):
        smooth(
            f.H, f.W, memory + plane * f.H * f.line + f.R, f.line, 1, weights, f.R,
            smoothed + f.R * f.width, f.width, smoothed + (f.R + f.H) * f.width)
        smooth(
            f.H, f.W, smoothed + f.R * f.width, f.width, f.width, weights, f.R,
            displacement + plane * f.H * f.W, f.W, displacement + 2 * f.H * f.W)


def erase(
    floating[:, :, :, ::1] x,                    # IN/OUT  (N, H, W, C)
    const int32_t[:, ::1] boxes,                 # IN   (N, 4) first row and column, last ones, these not in it
    uint64_t key,
    double low,
    double high,
    int num_threads,
):
    """Fill each box, as far as it lies in its image, with numbers drawn uniformly from low to high."""
    cdef Py_ssize_t N = x.shape[0], H = x.shape[1], W = x.shape[2], C = x.shape[3]
    cdef Py_ssize_t n, row, i, first, last, start
    check_threads(num_threads)
    check_matrix('boxes', boxes.shape, N, 4)
    for n in prange(N, num_threads=num_threads, nogil=True, schedule='static'):
        first, last = max(0, boxes[n, 1]) * C, min(W, boxes[n, 3]) * C
        for row in range(max(0, boxes[n, 0]), min(H, boxes[n, 2])):
            start = (n * H + row) * W * C
            for i in range(first, last):
                (&x[0, 0, 0, 0])[start + i] = <floating> (
                    low + (high - low) * (<double> (random_bits(key, start + i) >> 11) * 2.0 ** -53))
