/* The inner loop of the convolution with few filters: output columns lie in the lanes of a vector.
 *
 * Where a convolution has fewer filters than a vector has lanes, the lanes hold neighbouring output
 * positions of one row instead. Behind it comes max-pooling: lane j belongs to pooled column j, and the
 * `places` of a pooling window, each a convolution of its own, are computed side by side in registers and
 * compared there, so that the map before pooling is never stored.
 *
 * One body serves float and double: this file includes itself with REAL defined as each.
 */
#ifndef REAL

#ifndef CNNX_COLUMNS_H
#define CNNX_COLUMNS_H

#include "vectors.h"

/* Places and filters to a block: their product is the number of accumulators. */
#define BLOCK_PLACES 4
#if REGISTERS == 32
#define BLOCK_FILTERS 6
#else
#define BLOCK_FILTERS 2
#endif

#define REAL float
#define LANES LANES_FLOAT
#define NAME(stem) stem##_float
#include "columns.h"
#undef REAL
#undef LANES
#undef NAME

#define REAL double
#define LANES LANES_DOUBLE
#define NAME(stem) stem##_double
#include "columns.h"
#undef REAL
#undef LANES
#undef NAME

#endif

#else

#define WIDTH VECTOR_LANES(REAL)

/* `places` and `filters` are constants wherever this is inlined, so that the loops over them unroll. */
static ALWAYS_INLINE void NAME(columns_of)(
    const int places, const int filters, int taps, const int32_t *at, int at_row, const REAL *x,
    const REAL *weights, ptrdiff_t weights_row, const REAL *bias, int first_place, REAL *best, REAL *best_place)
{
    NAME(vector) sum[BLOCK_PLACES][BLOCK_FILTERS];
#pragma GCC unroll 4
    for (int m = 0; m < places; m++)
#pragma GCC unroll 6
        for (int f = 0; f < filters; f++)
            sum[m][f] = (NAME(vector)){0} + bias[f];
    for (int t = 0; t < taps; t++) {
        NAME(vector) operand[BLOCK_PLACES];
#pragma GCC unroll 4
        for (int m = 0; m < places; m++)
            operand[m] = NAME(load)(x + at[m]);
#pragma GCC unroll 6
        for (int f = 0; f < filters; f++)
#pragma GCC unroll 4
            for (int m = 0; m < places; m++)
                sum[m][f] += weights[f] * operand[m];
        at += at_row;
        weights += weights_row;
    }
#pragma GCC unroll 6
    for (int f = 0; f < filters; f++) {
        NAME(vector) largest = sum[0][f], place = (NAME(vector)){0} + (REAL)first_place;
        if (first_place) {
            largest = NAME(load)(best + f * LANES);
            place = NAME(load)(best_place + f * LANES);
        }
#pragma GCC unroll 4
        for (int m = first_place ? 0 : 1; m < places; m++) {
            /* A NaN beats every number, and the first NaN stays. */
            NAME(mask) wins = NAME(not_less_equal)(sum[m][f], largest) & NAME(equal)(largest, largest);
            largest = NAME(select)(wins, sum[m][f], largest);
            place = NAME(select)(wins, (NAME(vector)){0} + (REAL)(first_place + m), place);
        }
        NAME(store)(best + f * LANES, largest);
        NAME(store)(best_place + f * LANES, place);
    }
}

/* best[f][j] = the largest, over places m, of bias[f] + sum over taps t of weights[t][f] x[at[t][m] + j].
 *
 * places <= BLOCK_PLACES, filters <= BLOCK_FILTERS. best_place tells which m, counted from first_place, the
 * first of equals; where first_place is not 0, the contest goes on from what best holds.
 */
static inline void NAME(columns_block)(
    int places, int filters, int taps, const int32_t *at, int at_row, const REAL *x,
    const REAL *weights, ptrdiff_t weights_row, const REAL *bias, int first_place, REAL *best, REAL *best_place)
{
#define BLOCK(m, f) \
    case m * 8 + f: \
        for (int lane = 0; lane < LANES; lane += WIDTH) \
            NAME(columns_of)( \
                m, f, taps, at, at_row, x + lane, weights, weights_row, bias, first_place, \
                best + lane, best_place + lane); \
        break;
#define BLOCKS(f) BLOCK(1, f) BLOCK(2, f) BLOCK(3, f) BLOCK(4, f)
    switch (places * 8 + filters) {
        BLOCKS(1) BLOCKS(2)
#if BLOCK_FILTERS >= 6
        BLOCKS(3) BLOCKS(4) BLOCKS(5) BLOCKS(6)
#endif
    }
#undef BLOCKS
#undef BLOCK
}

#undef WIDTH

#endif
