/* Transposes a matrix of 4-byte numbers, in blocks of 4 by 4 that fit registers; and of 8-byte numbers. */
#ifndef CNNX_TRANSPOSE_H
#define CNNX_TRANSPOSE_H

#include "vectors.h"

#if VECTOR_EXTENSIONS

typedef float quad __attribute__((vector_size(16)));
#if defined(__clang__)
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef int32_t quad_of_places __attribute__((vector_size(16)));
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (quad_of_places){__VA_ARGS__})
#endif

/* to[c][r] = from[r][c], r < rows <= 4, c < 4; `rows` is a constant wherever this is inlined. */
static ALWAYS_INLINE void transpose_block(
    const int rows, const float *from, ptrdiff_t from_row, float *to, ptrdiff_t to_row)
{
    quad row[4], column[4];
    for (int r = 0; r < 4; r++)
        memcpy(&row[r], from + (r < rows ? r : 0) * from_row, sizeof(quad));
    quad a = SHUFFLE(row[0], row[1], 0, 4, 1, 5), b = SHUFFLE(row[2], row[3], 0, 4, 1, 5);
    quad c = SHUFFLE(row[0], row[1], 2, 6, 3, 7), d = SHUFFLE(row[2], row[3], 2, 6, 3, 7);
    column[0] = SHUFFLE(a, b, 0, 1, 4, 5);
    column[1] = SHUFFLE(a, b, 2, 3, 6, 7);
    column[2] = SHUFFLE(c, d, 0, 1, 4, 5);
    column[3] = SHUFFLE(c, d, 2, 3, 6, 7);
    for (int k = 0; k < 4; k++)
        memcpy(to + k * to_row, &column[k], rows * sizeof(float));
}

static ALWAYS_INLINE void transpose_rows(
    const int rows, ptrdiff_t columns, const float *from, ptrdiff_t from_row, float *to, ptrdiff_t to_row)
{
    ptrdiff_t c = 0;
    for (; c + 4 <= columns; c += 4)
        transpose_block(rows, from + c, from_row, to + c * to_row, to_row);
    for (; c < columns; c++)
        for (int r = 0; r < rows; r++)
            to[c * to_row + r] = from[r * from_row + c];
}

/* to (columns, rows) = from (rows, columns), transposed; rows lie from_row and to_row apart. */
static inline void transpose_float(
    ptrdiff_t rows, ptrdiff_t columns, const float *from, ptrdiff_t from_row, float *to, ptrdiff_t to_row)
{
    ptrdiff_t r = 0;
    for (; r + 4 <= rows; r += 4)
        transpose_rows(4, columns, from + r * from_row, from_row, to + r, to_row);
    switch (rows - r) {
        case 1: transpose_rows(1, columns, from + r * from_row, from_row, to + r, to_row); break;
        case 2: transpose_rows(2, columns, from + r * from_row, from_row, to + r, to_row); break;
        case 3: transpose_rows(3, columns, from + r * from_row, from_row, to + r, to_row); break;
    }
}

#else

static inline void transpose_float(
    ptrdiff_t rows, ptrdiff_t columns, const float *from, ptrdiff_t from_row, float *to, ptrdiff_t to_row)
{
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t c = 0; c < columns; c++)
            to[c * to_row + r] = from[r * from_row + c];
}

#endif

static inline void transpose_double(
    ptrdiff_t rows, ptrdiff_t columns, const double *from, ptrdiff_t from_row, double *to, ptrdiff_t to_row)
{
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t c = 0; c < columns; c++)
            to[c * to_row + r] = from[r * from_row + c];
}

static inline void transpose_integers(
    ptrdiff_t rows, ptrdiff_t columns, const int32_t *from, ptrdiff_t from_row, int32_t *to, ptrdiff_t to_row)
{
    transpose_float(rows, columns, (const float *)from, from_row, (float *)to, to_row);
}

#define transpose(rows, columns, matrix, ...) BY_KIND(transpose, matrix)(rows, columns, matrix, __VA_ARGS__)

#endif
