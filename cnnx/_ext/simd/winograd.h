/* The transforms of Winograd's convolution F(4 x 4, 3 x 3), with channels in the lanes: see winograd.pyx.
 *
 * A tile of 6 x 6 numbers, or 4 x 4, or 3 x 3, is transformed by a small matrix from the left, and by the same one from
 * the right. The functions of six, four or three vectors below multiply by the matrices that cnnx/_numpy/winograd.py
 * writes out. The points are 0, +-3/4, +-3/2 and infinity: all numbers but those of G are exact.
 */
#if !defined(REAL) && !defined(CNNX_WINOGRAD_H)
#define CNNX_WINOGRAD_H

#include "vectors.h"

#define POINT 0.75  /* a; the other one is 2 a */
#define SQUARE (POINT * POINT)

#define BODY "winograd.h"
#include "for_float_and_double.h"

#define output_tile(filters, planes, ...) BY_KIND(output_tile, planes)(filters, planes, __VA_ARGS__)
#define add_filter_gradient(filters, planes, ...) BY_KIND(add_filter_gradient, planes)(filters, planes, __VA_ARGS__)
#define image_tile(channels, tile, ...) BY_KIND(image_tile, tile)(channels, tile, __VA_ARGS__)
#define gradient_tile(channels, tile, ...) BY_KIND(gradient_tile, tile)(channels, tile, __VA_ARGS__)
#define filter_tile(channels, tile, ...) BY_KIND(filter_tile, tile)(channels, tile, __VA_ARGS__)

#elif defined(REAL)

#define V NAME(vector)

/* t = B^T d: what a window's six numbers are at each point. */
static ALWAYS_INLINE void NAME(at_points)(const V d[6], V t[6])
{
    const REAL a = (REAL)POINT, a2 = (REAL)SQUARE, b2 = 4 * a2, sum = 5 * a2, product = 4 * a2 * a2;
    const V even = d[4] - b2 * d[2], odd = a * (d[3] - b2 * d[1]);
    const V even_2 = d[4] - a2 * d[2], odd_2 = 2 * a * (d[3] - a2 * d[1]);
    t[0] = product * d[0] - sum * d[2] + d[4];
    t[1] = even + odd;
    t[2] = even - odd;
    t[3] = even_2 + odd_2;
    t[4] = even_2 - odd_2;
    t[5] = product * d[1] - sum * d[3] + d[5];
}

/* y = A^T t: four outputs of the products at each point. */
static ALWAYS_INLINE void NAME(from_points)(const V t[6], V y[4])
{
    const REAL a = (REAL)POINT, a2 = (REAL)SQUARE;
    const V sum = t[1] + t[2], difference = a * (t[1] - t[2]);
    const V sum_2 = t[3] + t[4], difference_2 = 2 * a * (t[3] - t[4]);
    y[0] = t[0] + sum + sum_2;
    y[1] = difference + difference_2;
    y[2] = a2 * (sum + 4 * sum_2);
    y[3] = a2 * (difference + 4 * difference_2) + t[5];
}

/* t = A d: the transpose of `from_points`. */
static ALWAYS_INLINE void NAME(gradient_at_points)(const V d[4], V t[6])
{
    const REAL a = (REAL)POINT, a2 = (REAL)SQUARE;
    const V even = d[0] + a2 * d[2], odd = a * (d[1] + a2 * d[3]);
    const V even_2 = d[0] + 4 * a2 * d[2], odd_2 = 2 * a * (d[1] + 4 * a2 * d[3]);
    t[0] = d[0];
    t[1] = even + odd;
    t[2] = even - odd;
    t[3] = even_2 + odd_2;
    t[4] = even_2 - odd_2;
    t[5] = d[3];
}

/* t = G g: what a filter's three numbers are at each point. */
static ALWAYS_INLINE void NAME(filter_at_points)(const V g[3], V t[6])
{
    const REAL a = (REAL)POINT, a2 = (REAL)SQUARE;
    const REAL n = (REAL)(1 / (4 * SQUARE * SQUARE)), n_1 = (REAL)(-1 / (6 * SQUARE * SQUARE)), n_2 = -n_1 / 4;
    const V even = n_1 * (g[0] + a2 * g[2]), odd = n_1 * a * g[1];
    const V even_2 = n_2 * (g[0] + 4 * a2 * g[2]), odd_2 = 2 * n_2 * a * g[1];
    t[0] = n * g[0];
    t[1] = even + odd;
    t[2] = even - odd;
    t[3] = even_2 + odd_2;
    t[4] = even_2 - odd_2;
    t[5] = g[2];
}

/* g = G^T t: the transpose of `filter_at_points`. */
static ALWAYS_INLINE void NAME(filter_from_points)(const V t[6], V g[3])
{
    const REAL a = (REAL)POINT, a2 = (REAL)SQUARE;
    const REAL n = (REAL)(1 / (4 * SQUARE * SQUARE)), n_1 = (REAL)(-1 / (6 * SQUARE * SQUARE)), n_2 = -n_1 / 4;
    const V sum = n_1 * (t[1] + t[2]), sum_2 = n_2 * (t[3] + t[4]);
    g[0] = n * t[0] + sum + sum_2;
    g[1] = a * (n_1 * (t[1] - t[2]) + 2 * n_2 * (t[3] - t[4]));
    g[2] = a2 * (sum + 4 * sum_2) + t[5];
}

/* Moves a pointer on, unseen by the compiler: it would keep all 36 addresses of a tile, and lack registers for them. */
#define STEP(pointer, distance) do { (pointer) += (distance); HIDE(pointer); } while (0)

/* A tile, `rows` apart by row and `pixel` by column, becomes `to` x `to` planes: TRANSFORM from both sides. */
#define DEFINE_TILE(name, from, to, TRANSFORM) \
    static inline void NAME(name)( \
        ptrdiff_t channels, const REAL *tile, ptrdiff_t row, ptrdiff_t pixel, REAL *planes, ptrdiff_t plane) \
    { \
        for (ptrdiff_t c = 0; c < channels; c += WIDTH) { \
            V half[to][from], whole[to], column[from]; \
            REAL *out = planes + c; \
            _Pragma("GCC unroll 6") \
            for (int j = 0; j < from; j++) { \
                const REAL *at = tile + j * pixel + c; \
                _Pragma("GCC unroll 6") \
                for (int i = 0; i < from; i++) { \
                    column[i] = NAME(load)(at); \
                    STEP(at, row); \
                } \
                NAME(TRANSFORM)(column, whole); \
                _Pragma("GCC unroll 6") \
                for (int i = 0; i < to; i++) \
                    half[i][j] = whole[i]; \
            } \
            _Pragma("GCC unroll 6") \
            for (int i = 0; i < to; i++) { \
                NAME(TRANSFORM)(half[i], whole); \
                _Pragma("GCC unroll 6") \
                for (int j = 0; j < to; j++) { \
                    NAME(store)(out, whole[j]); \
                    STEP(out, plane); \
                } \
            } \
        } \
    }

/* Of an image, of an output's gradient, of a filter: all are read in whole vectors. */
DEFINE_TILE(image_tile, 6, 6, at_points)
DEFINE_TILE(gradient_tile, 4, 6, gradient_at_points)
DEFINE_TILE(filter_tile, 3, 6, filter_at_points)
#undef DEFINE_TILE

/* Writes the outputs of a tile, rows x columns of them, with bias (or NULL), of which a whole vector is read, and ReLU. */
static inline void NAME(output_tile)(
    ptrdiff_t filters, const REAL *planes, ptrdiff_t plane, const REAL *bias, int relu,
    REAL *y, ptrdiff_t row, ptrdiff_t pixel, int rows, int columns)
{
    const V zero = {0};
    for (ptrdiff_t f = 0; f < filters; f += WIDTH) {
        const V start = bias ? NAME(load)(bias + f) : zero;
        V half[4][6], out[4], column[6];
#pragma GCC unroll 6
        for (int j = 0; j < 6; j++) {
            const REAL *at = planes + j * plane + f;
#pragma GCC unroll 6
            for (int i = 0; i < 6; i++) {
                column[i] = NAME(load)(at);
                STEP(at, 6 * plane);
            }
            NAME(from_points)(column, out);
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++)
                half[i][j] = out[i];
        }
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            if (i >= rows)
                break;
            NAME(from_points)(half[i], out);
            REAL *to = y + i * row + f;
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++) {
                V number = out[j] + start;
                if (relu)
                    number = NAME(select)(NAME(not_less_equal)(number, zero), number, zero);
                if (j >= columns)
                    break;
                NAME(store_some)(to + j * pixel, number, filters - f);
            }
        }
    }
}

/* Adds G^T t G of planes (6, 6) to the nine taps of `filters` filters; all is read in whole vectors. */
static inline void NAME(add_filter_gradient)(
    ptrdiff_t filters, const REAL *planes, ptrdiff_t plane, REAL *taps, ptrdiff_t tap)
{
    for (ptrdiff_t f = 0; f < filters; f += WIDTH) {
        V half[3][6], out[3], column[6];
        for (int j = 0; j < 6; j++) {
            for (int i = 0; i < 6; i++)
                column[i] = NAME(load)(planes + (i * 6 + j) * plane + f);
            NAME(filter_from_points)(column, out);
            for (int i = 0; i < 3; i++)
                half[i][j] = out[i];
        }
        for (int i = 0; i < 3; i++) {
            NAME(filter_from_points)(half[i], out);
            for (int j = 0; j < 3; j++) {
                REAL *to = taps + (i * 3 + j) * tap + f;
                NAME(store)(to, NAME(load)(to) + out[j]);
            }
        }
    }
}

#undef STEP
#undef V
#endif
