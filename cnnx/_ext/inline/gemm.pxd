# Matrix products, C = A B, cut into the blocks that simd/gemm_micro_kernel.h computes.

from libc.stddef cimport ptrdiff_t
from libc.string cimport memcpy

from cnnx._ext.inline.floating cimport floating
from cnnx._ext.inline.even_parts cimport part_start

cdef extern from "simd/gemm_micro_kernel.h" nogil:
    int BLOCK_ROWS
    int ROW_LANES
    int LANES_FLOAT
    int LANES_DOUBLE
    # How far apart a matrix's rows and columns lie, in elements: (1, n) reads a row-major (k, n) matrix as its
    # transpose. Segments and groups: see there.
    ctypedef struct Layout "layout":
        ptrdiff_t row
        ptrdiff_t column
        ptrdiff_t segment
        ptrdiff_t group
    void multiply_block(
        int groups, int rows, const void* a, const Layout* layout, ptrdiff_t segments, ptrdiff_t depth,
        const void* b, ptrdiff_t b_row, void* c, ptrdiff_t c_row, ptrdiff_t c_group, int columns,
        const void* bias, bint accumulate)


cdef inline Py_ssize_t lanes(const floating* kind) noexcept nogil:
    """Return how many numbers a vector holds; the pointer only names the type."""
    return LANES_FLOAT if floating is float else LANES_DOUBLE


cdef inline void multiply_columns(
    Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t segments, Py_ssize_t depth,
    const floating* a, Layout layout,         # IN   (rows, segments * depth)
    const floating* b, ptrdiff_t b_row,       # IN   (segments * depth, columns rounded up to lanes)
    floating* c, ptrdiff_t c_row,             # OUT  (rows, columns)
    const floating* bias,                     # IN   (columns), or NULL
    bint accumulate,
    int groups=1, ptrdiff_t c_group=0,
) noexcept nogil:
    """Write A B + bias into C, or add A B to it, where B's rows can be read in whole vectors.

    Two groups of rows, c_group apart in C, need columns <= lanes, and more rows than one to each.

    Rows are cut into even blocks: blocks of 10, 9 and 9 keep the registers busier than 12, 12 and 4.
    """
    cdef Py_ssize_t width = (ROW_LANES if rows == 1 else 2) * lanes(b)
    cdef Py_ssize_t blocks = (rows + BLOCK_ROWS - 1) // BLOCK_ROWS
    cdef Py_ssize_t i, panel, block, first, last
    cdef int narrow
    cdef const floating* panel_bias = NULL
    for i in range((columns + width - 1) // width):
        panel = i * width
        narrow = <int> min(width, columns - panel)
        if bias != NULL:
            panel_bias = bias + panel
        for block in range(blocks):
            first = part_start(rows, block, blocks)
            last = part_start(rows, block + 1, blocks)
            multiply_block(
                groups, <int> (last - first), a + first * layout.row, &layout, segments, depth,
                b + panel, b_row, c + first * c_row + panel, c_row, c_group, narrow, panel_bias, accumulate)


cdef inline Py_ssize_t panel_columns(const floating* kind) noexcept nogil:
    """Return how many columns `multiply` packs at a time."""
    return 2 * lanes(kind)


cdef inline void multiply(
    Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t depth,
    const floating* a, Layout a_layout,       # IN      (rows, depth)
    const floating* b, Layout b_layout,       # IN      (depth, columns)
    floating* c, ptrdiff_t c_row,             # OUT     (rows, columns)
    const floating* bias,                     # IN      (columns), or NULL
    bint accumulate,
    floating* packed,                         # SCRATCH (depth, panel_columns)
) noexcept nogil:
    """Write A B + bias into C, or add A B to it, a panel of columns at a time."""
    cdef Py_ssize_t width = panel_columns(packed), j = 0, some, panel_row
    cdef const floating* panel
    while j < columns:
        some = min(width, columns - j)
        panel, panel_row = b + j * b_layout.column, b_layout.row
        if some % lanes(b) or b_layout.column != 1:
            pack(depth, some, panel, b_layout, packed, width)
            panel, panel_row = packed, width
        multiply_columns(
            rows, some, 1, depth, a, a_layout, panel, panel_row, c + j, c_row, bias + j if bias != NULL else NULL,
            accumulate)
        j += some


cdef inline void pack(
    Py_ssize_t rows, Py_ssize_t columns, const floating* matrix, Layout layout,
    floating* packed, Py_ssize_t width,       # OUT     (rows, width), in its first columns
) noexcept nogil:
    """Copy a matrix of any layout into rows that can be read in whole vectors, zeros at their ends."""
    cdef Py_ssize_t i, j
    for i in range(rows):
        if layout.column == 1:
            memcpy(packed + i * width, matrix + i * layout.row, columns * sizeof(floating))
        else:
            for j in range(columns):
                packed[i * width + j] = matrix[i * layout.row + j * layout.column]
        for j in range(columns, width):
            packed[i * width + j] = 0
