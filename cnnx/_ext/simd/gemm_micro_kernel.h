/* The inner loop of every matrix product (its micro-kernel): a block of C, a few rows by one or two vectors of
 * columns, held in vector registers while k runs.
 *
 * Registers decide the block's size. A block of R rows by P vectors needs R * P accumulators and P
 * operands, and each step does R * P multiply-adds for R + P loads. The sizes below fill the 32
 * registers of AVX-512 and NEON and the 16 of AVX2 and SSE.
 */
#if !defined(REAL) && !defined(CNNX_GEMM_MICRO_KERNEL_H)
#define CNNX_GEMM_MICRO_KERNEL_H

#include "vectors.h"

#if REGISTERS == 32 && VECTOR_BYTES == 64
#define BLOCK_ROWS 12
#elif REGISTERS == 32
#define BLOCK_ROWS 8
#elif VECTOR_BYTES == 32
#define BLOCK_ROWS 6
#else
#define BLOCK_ROWS 4
#endif

/* A single row has no others to hide the latency of its sums: it takes more vectors of columns. */
#define ROW_LANES 8

/* How the micro-kernel reads a matrix A: element (i, s * depth + k) of group g stands at
 * a[g * group + i * row + s * segment + k * column]. A segment is a stretch of columns that lie evenly: one
 * row of a window, where A is the matrix of an image's windows, which is so never stored. A group is a
 * stretch of rows that lie evenly: the windows of one row of the image.
 */
typedef struct {
    ptrdiff_t row, column, segment, group;
} layout;

#define BODY "gemm_micro_kernel.h"
#include "for_float_and_double.h"

#define multiply_block(groups, rows, a, ...) BY_KIND(multiply_block, a)(groups, rows, a, __VA_ARGS__)

#elif defined(REAL)

#define VECTORS (LANES / WIDTH)
#define MAX_VECTORS (ROW_LANES * VECTORS)

/* `groups`, `rows` and `vectors` are constants wherever this is inlined, so that the loops over them unroll. */
static ALWAYS_INLINE void NAME(block_of)(
    const int groups, const int rows, const int vectors, const REAL *a, layout at, ptrdiff_t segments, ptrdiff_t depth,
    const REAL *b, ptrdiff_t b_row, REAL *c, ptrdiff_t c_row, ptrdiff_t c_group, int columns, const REAL *bias,
    int accumulate)
{
    NAME(vector) sum[2 * BLOCK_ROWS * VECTORS], start[MAX_VECTORS];
    const int whole = columns == vectors * WIDTH;
    REAL line[MAX_VECTORS * WIDTH];
    if (bias && !whole)
        for (int j = 0; j < vectors * WIDTH; j++)
            line[j] = j < columns ? bias[j] : 0;
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++)
        start[v] = bias ? NAME(load)((whole ? bias : line) + v * WIDTH) : (NAME(vector)){0};
#pragma GCC unroll 24
    for (int i = 0; i < groups * rows; i++)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++)
            sum[i * vectors + v] = start[v];

    ptrdiff_t row = at.row;
    for (ptrdiff_t s = 0; s < segments; s++) {
        const REAL *column[2] = {a + s * at.segment, a + s * at.segment + at.group};
        for (ptrdiff_t k = 0; k < depth; k++) {
            NAME(vector) operand[MAX_VECTORS];
            HIDE(row);
#pragma GCC unroll 8
            for (int v = 0; v < vectors; v++)
                operand[v] = NAME(load)(b + v * WIDTH);
#pragma GCC unroll 2
            for (int g = 0; g < groups; g++) {
#pragma GCC unroll 16
                for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
                    for (int v = 0; v < vectors; v++)
                        sum[(g * rows + i) * vectors + v] += column[g][i * row] * operand[v];
                column[g] += at.column;
            }
            b += b_row;
        }
    }

#pragma GCC unroll 24
    for (int i = 0; i < groups * rows; i++) {
        REAL *out = c + i / rows * c_group + i % rows * c_row;
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) {
            const int left = columns - v * WIDTH;
            if (left >= WIDTH) {
                NAME(vector) total = sum[i * vectors + v];
                if (accumulate)
                    total += NAME(load)(out + v * WIDTH);
                NAME(store)(out + v * WIDTH, total);
            } else if (left > 0) {
                NAME(store)(line, sum[i * vectors + v]);
                for (int j = 0; j < left; j++)
                    out[v * WIDTH + j] = accumulate ? out[v * WIDTH + j] + line[j] : line[j];
            }
        }
    }
}

static inline void NAME(multiply_row)(
    const REAL *a, layout at, ptrdiff_t segments, ptrdiff_t depth,
    const REAL *b, ptrdiff_t b_row, REAL *c, int columns, const REAL *bias, int accumulate)
{
#define ROW(lanes) \
    case lanes: \
        NAME(block_of)(1, 1, lanes * VECTORS, a, at, segments, depth, b, b_row, c, 0, 0, columns, bias, accumulate); \
        break;
    switch ((columns + LANES - 1) / LANES) {
        ROW(1) ROW(2) ROW(3) ROW(4) ROW(5) ROW(6) ROW(7) ROW(8)
    }
#undef ROW
}

/* C (groups, rows, columns) = or += A (groups, rows, segments * depth) B (segments * depth, columns)
 * + bias (columns).
 *
 * rows <= BLOCK_ROWS and columns <= 2 * LANES, or ROW_LANES * LANES where rows is 1. Two groups share what
 * is loaded of B; they need columns <= LANES, and more rows than one. B's rows lie b_row apart and must be readable
 * up to the next multiple of LANES. bias may be NULL. The layout is handed over by its address: a copy of it for each
 * block would have to wait until what the block before has stored is in the cache. Each element is the same chain of multiply-adds whatever `rows`
 * is, so a row's bits do not depend on its place in the block.
 */
static inline void NAME(multiply_block)(
    int groups, int rows, const REAL *a, const layout *layout_of_a, ptrdiff_t segments, ptrdiff_t depth,
    const REAL *b, ptrdiff_t b_row, REAL *c, ptrdiff_t c_row, ptrdiff_t c_group, int columns, const REAL *bias,
    int accumulate)
{
    const layout at = *layout_of_a;
#define BLOCK_OF(groups, r, vectors) \
    NAME(block_of)( \
        groups, r, vectors, a, at, segments, depth, b, b_row, c, c_row, c_group, columns, bias, accumulate)
#define BLOCK(r) \
    case r: \
        if (columns > LANES) \
            BLOCK_OF(1, r, 2 * VECTORS); \
        else if (groups == 2) \
            BLOCK_OF(2, r, VECTORS); \
        else \
            BLOCK_OF(1, r, VECTORS); \
        break;
    switch (rows) {
        case 1: NAME(multiply_row)(a, at, segments, depth, b, b_row, c, columns, bias, accumulate); break;
        BLOCK(2) BLOCK(3) BLOCK(4)
#if BLOCK_ROWS >= 6
        BLOCK(5) BLOCK(6)
#endif
#if BLOCK_ROWS >= 8
        BLOCK(7) BLOCK(8)
#endif
#if BLOCK_ROWS >= 12
        BLOCK(9) BLOCK(10) BLOCK(11) BLOCK(12)
#endif
    }
#undef BLOCK
#undef BLOCK_OF
}

#undef MAX_VECTORS
#undef VECTORS
#endif
