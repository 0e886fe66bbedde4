/* The inner loop of every matrix product: a block of C, a few rows by one panel of columns,
 * held in vector registers while k runs.
 *
 * Registers decide the block's size. With V columns to a vector, a block of R rows by P vectors
 * needs R * P accumulators and P operands, and each step does R * P multiply-adds for R + P loads.
 * The sizes below fill the 32 registers of AVX-512 and NEON and the 16 of AVX2 and SSE.
 *
 * One body serves float and double: this file includes itself with REAL defined as each.
 */
#ifndef REAL

#ifndef CNNX_MICRO_KERNEL_H
#define CNNX_MICRO_KERNEL_H

#include <stddef.h>
#include <string.h>

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define BLOCK_ROWS 12
#define PANEL_VECTORS 1
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#define BLOCK_ROWS 6
#define PANEL_VECTORS 2
#elif defined(__aarch64__)
#define VECTOR_BYTES 16
#define BLOCK_ROWS 8
#define PANEL_VECTORS 2
#else
#define VECTOR_BYTES 16
#define BLOCK_ROWS 4
#define PANEL_VECTORS 2
#endif

#define PANEL_COLUMNS_FLOAT (PANEL_VECTORS * VECTOR_BYTES / (int)sizeof(float))
#define PANEL_COLUMNS_DOUBLE (PANEL_VECTORS * VECTOR_BYTES / (int)sizeof(double))

#if defined(__GNUC__)
#define ALWAYS_INLINE inline __attribute__((always_inline))
#else
#define ALWAYS_INLINE __forceinline
#endif

#define REAL float
#define PANEL_COLUMNS PANEL_COLUMNS_FLOAT
#define NAME(stem) stem##_float
#include "micro_kernel.h"
#undef REAL
#undef PANEL_COLUMNS
#undef NAME

#define REAL double
#define PANEL_COLUMNS PANEL_COLUMNS_DOUBLE
#define NAME(stem) stem##_double
#include "micro_kernel.h"
#undef REAL
#undef PANEL_COLUMNS
#undef NAME

#endif

#else

#if defined(__GNUC__)
typedef REAL NAME(vector) __attribute__((vector_size(VECTOR_BYTES)));
#define LANES (VECTOR_BYTES / (int)sizeof(REAL))
#else
/* No vector extensions: a "vector" is one number and the compiler is left to group them. */
typedef REAL NAME(vector);
#define LANES 1
#endif
#define VECTORS (PANEL_COLUMNS / LANES)

static ALWAYS_INLINE NAME(vector) NAME(load_vector)(const REAL *from)
{
    NAME(vector) vector;
    memcpy(&vector, from, sizeof vector);
    return vector;
}

/* `rows` is a constant wherever this is inlined, so that the loops over it unroll. */
static ALWAYS_INLINE void NAME(block_of_rows)(
    const int rows, ptrdiff_t depth,
    const REAL *a, ptrdiff_t a_row, ptrdiff_t a_column,
    const REAL *b, ptrdiff_t b_row,
    REAL *c, ptrdiff_t c_row, int columns,
    const REAL *bias, int accumulate)
{
    NAME(vector) sum[BLOCK_ROWS][VECTORS];
    REAL start[PANEL_COLUMNS] = {0};
    if (bias)
        memcpy(start, bias, columns * sizeof(REAL));
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++)
            sum[i][v] = NAME(load_vector)(start + v * LANES);

    for (ptrdiff_t k = 0; k < depth; k++) {
        NAME(vector) operand[VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++)
            operand[v] = NAME(load_vector)(b + k * b_row + v * LANES);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; v++)
                sum[i][v] += a[i * a_row + k * a_column] * operand[v];
    }

    for (int i = 0; i < rows; i++) {
        REAL line[PANEL_COLUMNS];
        memcpy(line, sum[i], sizeof line);
        REAL *out = c + i * c_row;
        if (accumulate)
            for (int j = 0; j < columns; j++)
                out[j] += line[j];
        else
            memcpy(out, line, columns * sizeof(REAL));
    }
}

/* C (rows, columns) = or += A (rows, depth) B (depth, columns) + bias (columns).
 *
 * rows <= BLOCK_ROWS and columns <= PANEL_COLUMNS, but B is read PANEL_COLUMNS wide: its rows lie
 * b_row apart and must be readable to their full width. A's elements lie a_row and a_column apart.
 * bias may be NULL. Each element is the same chain of multiply-adds whatever `rows` is, so a row's
 * bits do not depend on its place in the block.
 */
static inline void NAME(multiply_block)(
    int rows, ptrdiff_t depth,
    const REAL *a, ptrdiff_t a_row, ptrdiff_t a_column,
    const REAL *b, ptrdiff_t b_row,
    REAL *c, ptrdiff_t c_row, int columns,
    const REAL *bias, int accumulate)
{
#define BLOCK(r) \
    case r: \
        NAME(block_of_rows)(r, depth, a, a_row, a_column, b, b_row, c, c_row, columns, bias, accumulate); \
        break;
    switch (rows) {
        BLOCK(1) BLOCK(2) BLOCK(3) BLOCK(4)
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
}

#undef LANES
#undef VECTORS

#endif
