/* Max-pooling and ReLU of vectors, which keep where each maximum came from (its origin). */
#if !defined(REAL) && !defined(CNNX_MAX_AND_RELU_H)
#define CNNX_MAX_AND_RELU_H

#include "vectors.h"

#define BODY "max_and_relu.h"
#include "for_float_and_double.h"

#define pool_window(filters, places, at, place_origins, origin, relu, band, ...) \
    BY_KIND(pool_window, band)(filters, places, at, place_origins, origin, relu, band, __VA_ARGS__)

#elif defined(REAL)

static ALWAYS_INLINE NAME(mask) NAME(select_integers)(NAME(mask) mask, NAME(mask) a, NAME(mask) b)
{
    return (mask & a) | (~mask & b);
}

/* Where the value is larger than the largest so far, it takes that one's place, and its origin the winner's.
 * A NaN is larger than every number, and the first NaN stays. */
static ALWAYS_INLINE void NAME(contend)(
    NAME(vector) value, int32_t origin, NAME(vector) *largest, NAME(mask) *winner)
{
    const NAME(mask) wins = NAME(not_less_equal)(value, *largest) & NAME(equal)(*largest, *largest);
    *largest = NAME(select)(wins, value, *largest);
    *winner = NAME(select_integers)(wins, (NAME(mask)){0} + origin, *winner);
}

/* values = max(0, values), NaN staying NaN; origins become DEAD where that made a zero. */
static ALWAYS_INLINE void NAME(rectify)(NAME(vector) *values, NAME(mask) *origins)
{
    const NAME(vector) zero = {0};
    *origins = NAME(select_integers)(NAME(greater)(*values, zero), *origins, (NAME(mask)){0} + DEAD);
    *values = NAME(select)(NAME(not_less_equal)(*values, zero), *values, zero);
}

/* `places` may be a constant wherever this is inlined, so that the loop over them unrolls. */
static ALWAYS_INLINE void NAME(pool_window_of)(
    ptrdiff_t filters, const int places, const int32_t *at, const int32_t *place_origins, int32_t origin, int relu,
    const REAL *band, REAL *y, int32_t *origins)
{
    for (ptrdiff_t f = 0; f < filters; f += WIDTH) {
        NAME(vector) largest = NAME(load)(band + at[0] + f);
        NAME(mask) winner = (NAME(mask)){0} + (origin + place_origins[0]);
#pragma GCC unroll 4
        for (int m = 1; m < places; m++)
            NAME(contend)(NAME(load)(band + at[m] + f), origin + place_origins[m], &largest, &winner);
        if (relu)
            NAME(rectify)(&largest, &winner);
        NAME(store_some)(y + f, largest, filters - f);
        NAME(store_some_integers)(origins + f, winner, filters - f);
    }
}

/* y[f] = the largest, over places m, of band[at[m] + f], then max(0, y[f]) if relu, for f < filters;
 * origins[f] = origin + place_origins[m], of the first of equals, or DEAD if relu made y[f] zero.
 *
 * The band is read up to the next multiple of LANES.
 */
static inline void NAME(pool_window)(
    ptrdiff_t filters, int places, const int32_t *at, const int32_t *place_origins, int32_t origin, int relu,
    const REAL *band, REAL *y, int32_t *origins)
{
    if (places == 4)
        NAME(pool_window_of)(filters, 4, at, place_origins, origin, relu, band, y, origins);
    else
        NAME(pool_window_of)(filters, places, at, place_origins, origin, relu, band, y, origins);
}

#endif
