# Matrix products for the kernels: C = A B, cut into the blocks that micro_kernel.h computes.

from libc.stddef cimport ptrdiff_t

from cnnx._ext.real cimport floating

cdef extern from "micro_kernel.h" nogil:
    int BLOCK_ROWS
    int PANEL_COLUMNS_FLOAT
    int PANEL_COLUMNS_DOUBLE
    void multiply_block_float(
        int rows, ptrdiff_t depth,
        const float* a, ptrdiff_t a_row, ptrdiff_t a_column,
        const float* b, ptrdiff_t b_row,
        float* c, ptrdiff_t c_row, int columns,
        const float* bias, int accumulate)
    void multiply_block_double(
        int rows, ptrdiff_t depth,
        const double* a, ptrdiff_t a_row, ptrdiff_t a_column,
        const double* b, ptrdiff_t b_row,
        double* c, ptrdiff_t c_row, int columns,
        const double* bias, int accumulate)


cdef struct Layout:
    # How far apart a matrix's rows and columns lie, in elements: (1, n) reads a row-major
    # (k, n) matrix as its transpose.
    ptrdiff_t row
    ptrdiff_t column


cdef inline Py_ssize_t panel_columns(floating* kind) noexcept nogil:
    """Return how many columns a panel has; the pointer only names the type."""
    return PANEL_COLUMNS_FLOAT if floating is float else PANEL_COLUMNS_DOUBLE


cdef inline Py_ssize_t panel_size(Py_ssize_t depth, floating* kind) noexcept nogil:
    """Return how many elements `multiply` needs as scratch for a product of that depth."""
    return depth * panel_columns(kind)


cdef inline void multiply_panel(
    Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t depth,
    const floating* a, Layout a_layout,       # IN      (rows, depth)
    const floating* b, Layout b_layout,       # IN      (depth, columns)
    floating* c, ptrdiff_t c_row,             # OUT     (rows, columns)
    const floating* bias,                     # IN      (columns), or NULL
    bint accumulate,
    floating* packed,                         # SCRATCH (depth, panel_columns)
) noexcept nogil:
    """Write A B + bias into one panel of C, columns <= panel_columns; or add A B to it."""
    cdef Py_ssize_t width = panel_columns(packed)
    cdef Py_ssize_t i, j, k, block
    cdef const floating* panel = b
    cdef ptrdiff_t panel_row = b_layout.row
    if columns < width or b_layout.column != 1:
        for k in range(depth):
            for j in range(columns):
                packed[k * width + j] = b[k * b_layout.row + j * b_layout.column]
            for j in range(columns, width):
                packed[k * width + j] = 0
        panel = packed
        panel_row = width
    for block in range((rows + BLOCK_ROWS - 1) // BLOCK_ROWS):
        i = block * BLOCK_ROWS
        if floating is float:
            multiply_block_float(
                <int> min(rows - i, <Py_ssize_t> BLOCK_ROWS), depth,
                a + i * a_layout.row, a_layout.row, a_layout.column,
                panel, panel_row, c + i * c_row, c_row, <int> columns, bias, accumulate)
        else:
            multiply_block_double(
                <int> min(rows - i, <Py_ssize_t> BLOCK_ROWS), depth,
                a + i * a_layout.row, a_layout.row, a_layout.column,
                panel, panel_row, c + i * c_row, c_row, <int> columns, bias, accumulate)


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
    cdef Py_ssize_t width = panel_columns(packed)
    cdef Py_ssize_t j, panel
    for panel in range((columns + width - 1) // width):
        j = panel * width
        multiply_panel(
            rows, min(width, columns - j), depth, a, a_layout, b + j * b_layout.column, b_layout,
            c + j, c_row, bias + j if bias != NULL else NULL, accumulate, packed)
