/* Dot products, and sums of numbers. */
#ifndef REAL

#ifndef CNNX_DOT_PRODUCT_H
#define CNNX_DOT_PRODUCT_H

#include "vectors.h"

#define BODY "dot_product.h"
#include "for_float_and_double.h"

#define dot(size, a, ...) BY_KIND(dot, a)(size, a, __VA_ARGS__)

#endif

#else

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

/* The lanes from `first` on; zero before. */
static ALWAYS_INLINE NAME(vector) NAME(lanes_from)(int first, NAME(vector) numbers)
{
    return NAME(select)(NAME(load_integers)(LANE_NUMBERS) >= first, numbers, (NAME(vector)){0});
}

#else

static ALWAYS_INLINE REAL NAME(sum_of_lanes)(REAL sum) { return sum; }
static ALWAYS_INLINE REAL NAME(lanes_from)(int first, REAL number) { return first ? 0 : number; }

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

#endif
