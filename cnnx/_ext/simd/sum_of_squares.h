/* Sums of squares, in double whatever the numbers are.
 *
 * One body serves float and double: for_float_and_double.h includes this file again for each.
 */
#ifndef REAL

#ifndef CNNX_SUM_OF_SQUARES_H
#define CNNX_SUM_OF_SQUARES_H

#include "vectors.h"

#define BODY "sum_of_squares.h"
#include "for_float_and_double.h"
#undef BODY

#define squares(size, a) BY_KIND(squares, a)(size, a)

#endif

#else

#if VECTOR_EXTENSIONS

/* As many numbers as a vector holds doubles. */
static ALWAYS_INLINE vector_double NAME(widened)(const REAL *from)
{
    typedef REAL narrow __attribute__((vector_size(VECTOR_BYTES / sizeof(double) * sizeof(REAL))));
    narrow vector;
    memcpy(&vector, from, sizeof vector);
    return __builtin_convertvector(vector, vector_double);
}

#else

static ALWAYS_INLINE double NAME(widened)(const REAL *from) { return *from; }

#endif

/* The sum of a[i]^2. Four sums take turns, since one would wait for itself. */
static inline double NAME(squares)(ptrdiff_t size, const REAL *a)
{
    const ptrdiff_t width = VECTOR_LANES(double), whole = size / (4 * width) * (4 * width);
    vector_double sum[4] = {(vector_double){0}}, all;
    double lanes[VECTOR_LANES(double)], total = 0;
    for (ptrdiff_t i = 0; i < whole; i += 4 * width)
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++) {
            const vector_double numbers = NAME(widened)(a + i + k * width);
            sum[k] += numbers * numbers;
        }
    all = sum[0] + sum[1] + (sum[2] + sum[3]);
    memcpy(lanes, &all, sizeof all);
    for (ptrdiff_t i = whole; i < size; i++)
        total += (double)a[i] * a[i];
    for (ptrdiff_t k = 0; k < width; k++)
        total += lanes[k];
    return total;
}

#endif
