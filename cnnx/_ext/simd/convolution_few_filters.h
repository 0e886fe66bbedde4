/* Convolution with few filters, then max-pooling and ReLU: output columns lie in the lanes of a vector.
 *
 * Where a convolution has fewer filters than a vector has lanes, the lanes hold neighbouring output
 * positions of one row instead. After it comes max-pooling: lane j belongs to pooled column j, and the
 * `places` of a pooling window, each a convolution of its own, are computed side by side in registers and
 * compared there, so that the map before pooling is never stored.
 */
#if !defined(REAL) && !defined(CNNX_CONVOLUTION_FEW_FILTERS_H)
#define CNNX_CONVOLUTION_FEW_FILTERS_H

#include "max_and_relu.h"

/* Places and filters to a block: their product is the number of accumulators. */
#define BLOCK_PLACES 4
#if REGISTERS == 32
#define BLOCK_FILTERS 6
#elif VECTOR_BYTES == 32
#define BLOCK_FILTERS 3
#else
#define BLOCK_FILTERS 2
#endif

#define BODY "convolution_few_filters.h"
#include "for_float_and_double.h"

#define take_columns(count, step, from, ...) BY_KIND(take_columns, from)(count, step, from, __VA_ARGS__)
#define columns_block(places, filters, taps, at, at_row, x, ...) \
    BY_KIND(columns_block, x)(places, filters, taps, at, at_row, x, __VA_ARGS__)
#define finish_columns(filters, count, origin, step, relu, best, ...) \
    BY_KIND(finish_columns, best)(filters, count, origin, step, relu, best, __VA_ARGS__)

#elif defined(REAL)

#if VECTOR_EXTENSIONS
/* Every second number of two vectors. */
static ALWAYS_INLINE NAME(vector) NAME(evens)(NAME(vector) a, NAME(vector) b)
{
    return NAME(shuffle)(a, b, 2 * NAME(load_integers)(LANE_NUMBERS));
}
#else
static ALWAYS_INLINE REAL NAME(evens)(REAL a, REAL b) { return a; }
#endif

/* to[j] = from[j * step], j < count; `readable` numbers stand at `from`. Writes up to LANES - 1 more. */
static inline void NAME(take_columns)(
    ptrdiff_t count, ptrdiff_t step, const REAL *from, ptrdiff_t readable, REAL *to)
{
    ptrdiff_t j = 0;
    if (step == 2)
        for (; j < count && 2 * (j + WIDTH) <= readable; j += WIDTH)
            NAME(store)(to + j, NAME(evens)(NAME(load)(from + 2 * j), NAME(load)(from + 2 * j + WIDTH)));
    for (; j < count; j++)
        to[j] = from[j * step];
}

/* `places` and `filters` are constants wherever this is inlined, so that the loops over them unroll. */
static ALWAYS_INLINE void NAME(columns_of)(
    const int places, const int filters, int taps, const int32_t *at, int at_row, const REAL *x,
    const REAL *weights, ptrdiff_t weights_row, const REAL *bias,
    const int32_t *place_origins, int go_on, REAL *best, int32_t *best_origins)
{
    NAME(vector) sum[BLOCK_PLACES][BLOCK_FILTERS];
#pragma GCC unroll 4
    for (int m = 0; m < places; m++)
#pragma GCC unroll 6
        for (int f = 0; f < filters; f++)
            sum[m][f] = (NAME(vector)){0} + bias[f];
    for (int t = 0; t < taps; t++) {
        NAME(vector) weight[BLOCK_FILTERS];
#pragma GCC unroll 6
        for (int f = 0; f < filters; f++)
            weight[f] = weights[f] - (NAME(vector)){0};  /* minus 0 leaves -0 as it is */
#pragma GCC unroll 4
        for (int m = 0; m < places; m++) {
            const NAME(vector) operand = NAME(load)(x + at[m]);
#pragma GCC unroll 6
            for (int f = 0; f < filters; f++)
                sum[m][f] += weight[f] * operand;
        }
        at += at_row;
        weights += weights_row;
    }
#pragma GCC unroll 6
    for (int f = 0; f < filters; f++) {
        NAME(vector) largest = sum[0][f];
        NAME(mask) winner = (NAME(mask)){0} + place_origins[0];
        if (go_on) {
            largest = NAME(load)(best + f * LANES);
            winner = NAME(load_integers)(best_origins + f * LANES);
        }
#pragma GCC unroll 4
        for (int m = 0; m < places; m++)
            if (m > 0 || go_on)
                NAME(contend)(sum[m][f], place_origins[m], &largest, &winner);
        NAME(store)(best + f * LANES, largest);
        NAME(store_integers)(best_origins + f * LANES, winner);
    }
}

/* best[f][j] = the largest, over places m, of bias[f] + sum over taps t of weights[t][f] x[at[t][m] + j];
 * best_origins[f][j] = place_origins[m] of the first of equals.
 *
 * places <= BLOCK_PLACES, filters <= BLOCK_FILTERS. With go_on, what best and best_origins hold takes part.
 */
static inline void NAME(columns_block)(
    int places, int filters, int taps, const int32_t *at, int at_row, const REAL *x,
    const REAL *weights, ptrdiff_t weights_row, const REAL *bias,
    const int32_t *place_origins, int go_on, REAL *best, int32_t *best_origins)
{
#define BLOCK(m, f) \
    case m * 8 + f: \
        for (int lane = 0; lane < LANES; lane += WIDTH) \
            NAME(columns_of)( \
                m, f, taps, at, at_row, x + lane, weights, weights_row, bias, place_origins, go_on, \
                best + lane, best_origins + lane); \
        break;
#define BLOCKS(f) BLOCK(1, f) BLOCK(2, f) BLOCK(3, f) BLOCK(4, f)
    switch (places * 8 + filters) {
        BLOCKS(1) BLOCKS(2)
#if BLOCK_FILTERS >= 3
        BLOCKS(3)
#endif
#if BLOCK_FILTERS >= 6
        BLOCKS(4) BLOCKS(5) BLOCKS(6)
#endif
    }
#undef BLOCKS
#undef BLOCK
}

/* After all places were compared: best = max(0, best) if relu; origins = origin +
 * best_origins + j step in lane j, DEAD where relu made a zero and from lane `count` on. */
static inline void NAME(finish_columns)(
    int filters, int count, int32_t origin, int32_t step, int relu, REAL *best, const int32_t *best_origins,
    int32_t *origins)
{
    for (int lane = 0; lane < LANES; lane += WIDTH) {
        const NAME(mask) column = NAME(load_integers)(LANE_NUMBERS) + lane;
        const NAME(mask) base = column * step + origin, used = (column - count) >> 31;
        for (int f = 0; f < filters; f++) {
            REAL *value = best + f * LANES + lane;
            NAME(vector) largest = NAME(load)(value);
            NAME(mask) place = NAME(load_integers)(best_origins + f * LANES + lane) + base;
            if (relu) {
                NAME(rectify)(&largest, &place);
                NAME(store)(value, largest);
            }
            NAME(store_integers)(
                origins + f * LANES + lane, NAME(select_integers)(used, place, (NAME(mask)){0} + DEAD));
        }
    }
}

#endif
