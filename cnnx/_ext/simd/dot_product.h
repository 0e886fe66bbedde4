/* Dot products, and sums of numbers. */
#if !defined(REAL) && !defined(CNNX_DOT_PRODUCT_H)
#define CNNX_DOT_PRODUCT_H

#include "vectors.h"

#define BODY "dot_product.h"
#include "for_float_and_double.h"

#define dot(size, a, ...) BY_KIND(dot, a)(size, a, __VA_ARGS__)
#define dots(rows, size, a, ...) BY_KIND(dots, a)(rows, size, a, __VA_ARGS__)

#elif defined(REAL)

static ALWAYS_INLINE NAME(vector) NAME(products)(const REAL *a, const REAL *b)
{
    return b ? NAME(load)(a) * NAME(load)(b) : NAME(load)(a);
}

#if VECTOR_EXTENSIONS

static ALWAYS_INLINE REAL NAME(sum_of_lanes)(NAME(vector) sum)
{
#pragma GCC unroll 4
    for (int width = WIDTH / 2; width > 0; width /= 2) {
        NAME(mask) partner = NAME(load_integers)(LANE_NUMBERS) ^ width;
        sum += NAME(shuffle)(sum, sum, partner);
    }
    return sum[0];
}

/* to[r] = the sum of the lanes of sum[r], r < 4. Each step adds up two vectors into one. */
static ALWAYS_INLINE void NAME(sums_of_lanes)(const NAME(vector) *sum, REAL *to)
{
    const NAME(mask) lane = NAME(load_integers)(LANE_NUMBERS), odd = lane & 1, upper = lane & 2;
    const NAME(mask) second = (lane ^ odd) + WIDTH * odd, pair = (lane ^ upper) + WIDTH / 2 * upper;
    NAME(vector) half[2], all;
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++)
        half[h] = NAME(shuffle)(sum[2 * h], sum[2 * h + 1], second)
            + NAME(shuffle)(sum[2 * h], sum[2 * h + 1], second + 1);
    all = NAME(shuffle)(half[0], half[1], pair) + NAME(shuffle)(half[0], half[1], pair + 2);
#pragma GCC unroll 4
    for (int width = WIDTH / 2; width >= 4; width /= 2)
        all += NAME(shuffle)(all, all, lane ^ width);
    memcpy(to, &all, 4 * sizeof(REAL));
}

#else

static ALWAYS_INLINE REAL NAME(sum_of_lanes)(REAL sum) { return sum; }

#endif

/* The sum of a[i] b[i]; without b, of a[i]. Four sums take turns, since one would wait for itself. */
static inline REAL NAME(dot)(ptrdiff_t size, const REAL *a, const REAL *b)
{
    NAME(vector) sum[4] = {(NAME(vector)){0}};
    REAL total = 0;
    ptrdiff_t i = 0;
    if (size < WIDTH) {
        for (; i < size; i++)
            total += b ? a[i] * b[i] : a[i];
        return total;
    }
    for (; i + 4 * WIDTH <= size; i += 4 * WIDTH)
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++)
            sum[k] += NAME(products)(a + i + k * WIDTH, b ? b + i + k * WIDTH : b);
    for (; i + WIDTH <= size; i += WIDTH)
        sum[0] += NAME(products)(a + i, b ? b + i : b);
    if (i < size) {
        /* The last vector's worth, without what is summed already. */
        const ptrdiff_t last = size - WIDTH;
        sum[1] += NAME(lanes_from)((int)(i - last), NAME(products)(a + last, b ? b + last : b));
    }
    return NAME(sum_of_lanes)(sum[0] + sum[1] + (sum[2] + sum[3]));
}

/* y[r] = the sum of a[r * row + i] b[i], i < size, for r < rows. */
static inline void NAME(dots)(
    ptrdiff_t rows, ptrdiff_t size, const REAL *a, ptrdiff_t row, const REAL *b, REAL *y)
{
    ptrdiff_t r = 0;
#if VECTOR_EXTENSIONS
    if (WIDTH >= 4 && size >= WIDTH)
        for (; r + 4 <= rows; r += 4) {
            const ptrdiff_t whole = size / WIDTH * WIDTH, last = size - WIDTH;
            NAME(vector) sum[4] = {(NAME(vector)){0}};
            for (ptrdiff_t i = 0; i < whole; i += WIDTH)
#pragma GCC unroll 4
                for (int k = 0; k < 4; k++)
                    sum[k] += NAME(products)(a + (r + k) * row + i, b + i);
            if (whole < size)
#pragma GCC unroll 4
                for (int k = 0; k < 4; k++)
                    sum[k] += NAME(lanes_from)((int)(whole - last), NAME(products)(a + (r + k) * row + last, b + last));
            NAME(sums_of_lanes)(sum, y + r);
        }
#endif
    for (; r < rows; r++)
        y[r] = NAME(dot)(size, a + r * row, b);
}

#endif
