/* Max-pooling and ReLU after a convolution, with filters in the lanes. */
#ifndef REAL

#ifndef CNNX_CONVOLUTION_MAX_POOLING_H
#define CNNX_CONVOLUTION_MAX_POOLING_H

#include "max_and_relu.h"

#define BODY "convolution_max_pooling.h"
#include "for_float_and_double.h"

#define pool_window(filters, places, at, place_origins, origin, relu, band, ...) \
    BY_KIND(pool_window, band)(filters, places, at, place_origins, origin, relu, band, __VA_ARGS__)

#endif

#else

/* `places` may be a constant wherever this is inlined, so that the loop over them unrolls. */
static ALWAYS_INLINE void NAME(pool_lanes)(
    const int places, const int32_t *at, const int32_t *place_origins, int32_t origin, int relu,
    const REAL *band, REAL *y, int32_t *origins)
{
    NAME(vector) largest = NAME(load)(band + at[0]);
    NAME(mask) winner = (NAME(mask)){0} + (origin + place_origins[0]);
#pragma GCC unroll 4
    for (int m = 1; m < places; m++)
        NAME(contend)(NAME(load)(band + at[m]), origin + place_origins[m], &largest, &winner);
    if (relu)
        NAME(rectify)(&largest, &winner);
    NAME(store)(y, largest);
    NAME(store_integers)(origins, winner);
}

static ALWAYS_INLINE void NAME(pool_window_of)(
    ptrdiff_t filters, const int places, const int32_t *at, const int32_t *place_origins, int32_t origin, int relu,
    const REAL *band, REAL *y, int32_t *origins)
{
    ptrdiff_t f = 0;
    for (; f + LANES <= filters; f += LANES)
        for (int lane = 0; lane < LANES; lane += WIDTH)
            NAME(pool_lanes)(
                places, at, place_origins, origin, relu, band + f + lane, y + f + lane, origins + f + lane);
    if (f < filters) {
        REAL last_y[LANES];
        int32_t last_origins[LANES];
        for (int lane = 0; lane < LANES; lane += WIDTH)
            NAME(pool_lanes)(
                places, at, place_origins, origin, relu, band + f + lane, last_y + lane, last_origins + lane);
        memcpy(y + f, last_y, (filters - f) * sizeof(REAL));
        memcpy(origins + f, last_origins, (filters - f) * sizeof(int32_t));
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
