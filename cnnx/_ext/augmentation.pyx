"""Image augmentation: resampling by affine maps and displacements, fields of elastic distortion, random erasing.

Letters: N samples; H, W rows and columns of the images; P, Q of the result; C channels.
"""

from libc.math cimport floor
from libc.stdint cimport INT32_MAX, int32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset
from cython.parallel cimport prange, threadid

from cnnx._ext.inline.checks cimport check_shape, check_threads
from cnnx._ext.inline.memory cimport room
from cnnx._ext.inline.random_bits cimport random_bits
from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.even_parts cimport round_up

cdef extern from "simd/gaussian_smoothing.h" nogil:
    const int VECTOR_BYTES

    void smooth(
        Py_ssize_t rows, Py_ssize_t width, const void* source, Py_ssize_t source_row, Py_ssize_t step,
        const void* weights, Py_ssize_t radius, void* to, Py_ssize_t to_row)

cdef enum:
    BLOCK = 32                    # columns whose places are worked out side by side, before pixels are read
    MAX_SIDE = (1 << 24) - 4      # floats hold all whole numbers up to there, and 3 beyond
    FILL, EDGE, REFLECT           # what lies outside of an image

OUTSIDE = {'fill': FILL, 'edge': EDGE, 'reflect': REFLECT}


def resample(
    const floating[:, :, :, ::1] x,              # IN   (N, H, W, C)
    floating[:, :, :, ::1] y,                    # OUT  (N, H, W, C), may be x
    const floating[:, :, ::1] matrices,          # IN   (N, 2, 3)
    const floating[:, :, :, ::1] displacements,  # IN   (N, 2, H, W), or None
    str outside,
    double fill,
    int num_threads,
):
    """y[n, p, q] = x[n] at row, column = matrices[n] (p, q, 1) + displacements[n, :, p, q].

    Between pixels it is bilinear. Outside of the image is, by the name `outside`, the number `fill` ('fill'), the
    nearest pixel ('edge'), or the image mirrored at its outermost pixels ('reflect').
    """
    cdef Py_ssize_t N = x.shape[0], H = x.shape[1], W = x.shape[2], C = x.shape[3], n, i
    check_threads(num_threads)
    if outside not in OUTSIDE:
        raise ValueError(f"outside: expected 'fill', 'edge' or 'reflect', got {outside!r}")
    check_shape('y', y.shape, (N, H, W, C))
    check_shape('matrices', matrices.shape, (N, 2, 3))
    if displacements is not None:
        check_shape('displacements', displacements.shape, (N, 2, H, W))
    cdef Py_ssize_t size = (H + 3) * (W + 3) * C
    cdef int way = OUTSIDE[outside]
    if N * H * W * C == 0:
        return
    if H > MAX_SIDE or W > MAX_SIDE or size > INT32_MAX:
        raise ValueError(
            f'x: expected images of up to {MAX_SIDE} rows and columns, and of {INT32_MAX} numbers with 3 more of each, '
            f'got ({H}, {W}, {C})')
    cdef floating* scratch = <floating*> room(num_threads * size * sizeof(floating))
    for i in range(num_threads * size):
        scratch[i] = <floating> fill
    for n in prange(N, num_threads=num_threads, nogil=True, schedule='static'):
        resample_image(
            &x[n, 0, 0, 0], H, W, C, &matrices[n, 0, 0],
            &displacements[n, 0, 0, 0] if displacements is not None else NULL, way,
            scratch + threadid() * size, &y[n, 0, 0, 0])
    free(scratch)


cdef inline floating clamped(floating place, floating first, floating last) noexcept nogil:
    """Return a place from the first to the last; NaN becomes the first."""
    place = place if place > first else first
    return place if place < last else last


cdef void resample_image(
    const floating* x, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C,
    const floating* matrix,                # (2, 3)
    const floating* displacement,          # (2, H, W), or NULL
    int outside,
    floating* bordered,                    # (H + 3, W + 3, C), the fill at the border
    floating* y,
) noexcept nogil:
    cdef Py_ssize_t line = (W + 3) * C, p, q, block, count
    cdef int32_t places[BLOCK]    # of the pixel above and to the left
    cdef int32_t j
    cdef floating rows[BLOCK]
    cdef floating columns[BLOCK]
    cdef floating row, column
    for p in range(H):
        memcpy(bordered + (p + 1) * line + C, x + p * W * C, W * C * sizeof(floating))
    for p in range(H):
        for block in range((W + BLOCK - 1) // BLOCK):
            q = block * BLOCK
            # In the bordered image, rows and columns are one further on.
            row = matrix[0] * p + matrix[1] * q + (matrix[2] + 1)
            column = matrix[3] * p + matrix[4] * q + (matrix[5] + 1)
            for j in range(BLOCK):
                rows[j] = row + matrix[1] * j
                columns[j] = column + matrix[4] * j
            count = min(BLOCK, W - q)
            if displacement != NULL:
                for j in range(count):
                    rows[j] += displacement[p * W + q + j]
                    columns[j] += displacement[(H + p) * W + q + j]
            if outside == REFLECT:
                reflect_places(rows, H)
                reflect_places(columns, W)
            find_places(rows, columns, places, H, W, C, outside == FILL)
            if C == 1:
                interpolate(bordered, line, rows, columns, places, count, y + p * W + q)
            else:
                interpolate_channels(bordered, line, C, rows, columns, places, count, y + (p * W + q) * C)


cdef inline void reflect_places(floating* places, Py_ssize_t size) noexcept nogil:
    """Mirror places in the bordered image at its first and last pixel, as often as it takes."""
    cdef int32_t j
    cdef floating place, period = max(2 * (size - 1), 1)
    for j in range(BLOCK):
        place = places[j] - 1
        place -= period * <floating> floor(place / period)
        places[j] = (place if place < period - place else period - place) + 1


cdef inline void find_places(
    floating* rows, floating* columns,     # IN   places; OUT  how far they are beyond whole ones, from 0 to 1
    int32_t* places, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C,
    bint border,                           # whether places may lie between the image and its border, else in the image
) noexcept nogil:
    cdef int32_t j, row, column, width = <int32_t> (W + 3), channels = <int32_t> C
    cdef floating first = 0 if border else 1, last_row = H + border, last_column = W + border
    for j in range(BLOCK):
        rows[j], columns[j] = clamped(rows[j], first, last_row), clamped(columns[j], first, last_column)
        row, column = <int32_t> rows[j], <int32_t> columns[j]
        rows[j] -= row
        columns[j] -= column
        places[j] = (row * width + column) * channels


cdef inline void interpolate(
    const floating* bordered, Py_ssize_t line,
    const floating* rows, const floating* columns, const int32_t* places, Py_ssize_t count,
    floating* y,                           # OUT  (count)
) noexcept nogil:
    cdef Py_ssize_t j
    cdef floating upper[2 * BLOCK]         # of each place, two neighbours are copied in one go
    cdef floating lower[2 * BLOCK]
    cdef floating values[BLOCK]
    cdef floating above, below
    for j in range(BLOCK):
        memcpy(upper + 2 * j, bordered + places[j], 2 * sizeof(floating))
        memcpy(lower + 2 * j, bordered + places[j] + line, 2 * sizeof(floating))
    for j in range(BLOCK):
        above = upper[2 * j] + columns[j] * (upper[2 * j + 1] - upper[2 * j])
        below = lower[2 * j] + columns[j] * (lower[2 * j + 1] - lower[2 * j])
        values[j] = above + rows[j] * (below - above)
    memcpy(y, values, count * sizeof(floating))


cdef inline void interpolate_channels(
    const floating* bordered, Py_ssize_t line, Py_ssize_t C,
    const floating* rows, const floating* columns, const int32_t* places, Py_ssize_t count,
    floating* y,                           # OUT  (count, C)
) noexcept nogil:
    cdef Py_ssize_t j, c
    cdef const floating* upper
    cdef const floating* lower
    cdef floating above, below
    for j in range(count):
        upper = bordered + places[j]
        lower = upper + line
        for c in range(C):
            above = upper[c] + columns[j] * (upper[C + c] - upper[c])
            below = lower[c] + columns[j] * (lower[C + c] - lower[c])
            y[j * C + c] = above + rows[j] * (below - above)


cdef struct Field:
    Py_ssize_t H, W, R
    Py_ssize_t spacing            # of the noise, in pixels
    Py_ssize_t rows, columns      # of the noise
    Py_ssize_t width              # columns, in whole vectors
    Py_ssize_t line               # width, with R zeros on both sides


cdef Py_ssize_t field_size(Field f) noexcept nogil:
    """Return the numbers that a field needs room for, as `elastic_field` lays them out."""
    return 2 * f.rows * f.line + (f.rows + 2 * f.R) * f.width + f.rows * f.width + f.rows * f.W


def elastic_fields(
    floating[:, :, :, ::1] displacements,        # OUT  (N, 2, H, W)
    const floating[::1] weights,                 # IN   (R + 1) of a place, its neighbours, those after them, ...
    Py_ssize_t spacing,
    uint64_t key,
    double alpha,
    int num_threads,
):
    """displacements = alpha times noise, uniform from -1 to 1, smoothed by weights along rows and along columns.

    There is noise at each `spacing`-th row and column, and at one after the last where these do not come to it, but
    no further. Between these, displacements are bilinear. Row and column of a place share the bits of its number.
    """
    cdef Py_ssize_t N = displacements.shape[0], H = displacements.shape[2], W = displacements.shape[3], n
    cdef Py_ssize_t lanes = VECTOR_BYTES // <Py_ssize_t> sizeof(floating)
    check_threads(num_threads)
    check_shape('displacements', displacements.shape, (N, 2, H, W))
    if weights.shape[0] < 1 or spacing < 1:
        raise ValueError(f'expected weights and a spacing of at least 1, got {weights.shape[0]} and {spacing}')
    if N * H * W == 0:
        return
    cdef Field field = Field(H, W, weights.shape[0] - 1, spacing, 0, 0, 0, 0)
    field.rows, field.columns = (H - 1) // spacing + 1, (W - 1) // spacing + 1
    field.rows += (H - 1) % spacing > 0
    field.columns += (W - 1) % spacing > 0
    field.width = round_up(field.columns, lanes)
    field.line = field.width + 2 * field.R
    cdef Py_ssize_t size = field_size(field)
    cdef floating* scratch = <floating*> room(num_threads * size * sizeof(floating))
    memset(scratch, 0, num_threads * size * sizeof(floating))
    for n in prange(N, num_threads=num_threads, nogil=True, schedule='static'):
        elastic_field(
            field, &weights[0], key, n, <floating> (alpha * 2.0 ** -31), scratch + threadid() * size,
            &displacements[n, 0, 0, 0])
    free(scratch)


cdef void elastic_field(
    Field f, const floating* weights, uint64_t key, Py_ssize_t n, floating scale,
    floating* noise,              # (2, f.rows, f.line), and more room; zeros where nothing is written
    floating* displacement,       # OUT  (2, H, W)
) noexcept nogil:
    cdef Py_ssize_t plane, p, q
    cdef uint64_t bits
    cdef floating* rows
    cdef floating* columns
    cdef floating* along_rows = noise + 2 * f.rows * f.line + f.R * f.width    # (f.rows, f.width), R more around
    cdef floating* smoothed = along_rows + (f.rows + f.R) * f.width            # (f.rows, f.width)
    cdef floating* widened = smoothed + f.rows * f.width                       # (f.rows, W)
    for p in range(f.rows):
        rows = noise + p * f.line + f.R
        columns = rows + f.rows * f.line
        for q in range(f.columns):
            bits = random_bits(key, (n * f.rows + p) * f.columns + q)
            rows[q] = scale * <int32_t> (bits >> 32)
            columns[q] = scale * <int32_t> bits
    for plane in range(2):
        smooth(
            f.rows, f.width, noise + plane * f.rows * f.line + f.R, f.line, 1, weights, f.R, along_rows, f.width)
        smooth(f.rows, f.width, along_rows, f.width, f.width, weights, f.R, smoothed, f.width)
        for p in range(f.rows):
            widen(smoothed + p * f.width, 1, f.spacing, widened + p * f.W, f.W)
        widen(widened, f.W, f.spacing, displacement + plane * f.H * f.W, f.H)


cdef inline void widen(
    const floating* x, Py_ssize_t size, Py_ssize_t spacing, floating* y, Py_ssize_t rows,
) noexcept nogil:
    """y[k spacing + t] = x[k] + t / spacing (x[k + 1] - x[k]), rows of `size` numbers; none beyond the last is read."""
    cdef Py_ssize_t k, t, i
    cdef floating fraction
    cdef const floating* before
    cdef const floating* after
    cdef floating* row
    for t in range(min(spacing, rows)):
        fraction = t / <floating> spacing
        for k in range((rows - 1 - t) // spacing + 1):
            before = x + k * size
            after = before + (size if t > 0 else 0)
            row = y + (k * spacing + t) * size
            for i in range(size):
                row[i] = before[i] + fraction * (after[i] - before[i])


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
    check_shape('boxes', boxes.shape, (N, 4))
    for n in prange(N, num_threads=num_threads, nogil=True, schedule='static'):
        first, last = max(0, boxes[n, 1]) * C, min(W, boxes[n, 3]) * C
        for row in range(max(0, boxes[n, 0]), min(H, boxes[n, 2])):
            start = (n * H + row) * W * C
            for i in range(first, last):
                (&x[0, 0, 0, 0])[start + i] = <floating> (
                    low + (high - low) * (<double> (random_bits(key, start + i) >> 11) * 2.0 ** -53))
