/* Depthwise convolutions: neighbouring pixels, or the gradient of a weight, of all channels, which lie side by side. */
#if !defined(REAL) && !defined(CNNX_DEPTHWISE_H)
#define CNNX_DEPTHWISE_H

#include "vectors.h"

/* So many pixels at once share what is loaded of the weights; so many vectors of channels, whose sums do not wait for
 * each other, share a weight's gradient. */
#define PIXELS 4
#define SUMS 4

/* How far apart numbers lie: those of rows and columns of a window, and those of neighbouring pixels. */
typedef struct {
    ptrdiff_t row, column, pixel;
} distances;

#define BODY "depthwise.h"
#include "for_float_and_double.h"

#define depthwise_pixels(pixels, rows, columns, channels, in, ...) \
    BY_KIND(depthwise_pixels, in)(pixels, rows, columns, channels, in, __VA_ARGS__)
#define add_products(rows, columns, channels, x, ...) BY_KIND(add_products, x)(rows, columns, channels, x, __VA_ARGS__)

#elif defined(REAL)

static ALWAYS_INLINE void NAME(pixels_of)(
    const int pixels, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t channels, const REAL *in, const distances *from,
    const REAL *weights, const distances *of_weights, const REAL *bias, REAL *out, ptrdiff_t out_pixel)
{
    ptrdiff_t c = 0;
    for (; c + WIDTH <= channels; c += WIDTH) {
        const NAME(vector) start = bias ? NAME(load)(bias + c) : (NAME(vector)){0};
        NAME(vector) sum[PIXELS];
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++)
            sum[i] = start;
        for (ptrdiff_t r = 0; r < rows; r++)
            for (ptrdiff_t s = 0; s < columns; s++) {
                const NAME(vector) weight = NAME(load)(weights + r * of_weights->row + s * of_weights->column + c);
                const REAL *under = in + r * from->row + s * from->column + c;
#pragma GCC unroll 4
                for (int i = 0; i < pixels; i++)
                    sum[i] += NAME(load)(under + i * from->pixel) * weight;
            }
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++)
            NAME(store)(out + i * out_pixel + c, sum[i]);
    }
    for (; c < channels; c++)
        for (int i = 0; i < pixels; i++) {
            REAL sum = bias ? bias[c] : 0;
            for (ptrdiff_t r = 0; r < rows; r++)
                for (ptrdiff_t s = 0; s < columns; s++)
                    sum += in[r * from->row + s * from->column + i * from->pixel + c]
                        * weights[r * of_weights->row + s * of_weights->column + c];
            out[i * out_pixel + c] = sum;
        }
}

/* out = bias + the sum over a window's rows and columns of in times weights, for 1 pixel or PIXELS. bias may be NULL. */
static inline void NAME(depthwise_pixels)(
    int pixels, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t channels, const REAL *in, const distances *from,
    const REAL *weights, const distances *of_weights, const REAL *bias, REAL *out, ptrdiff_t out_pixel)
{
    if (pixels == PIXELS)
        NAME(pixels_of)(PIXELS, rows, columns, channels, in, from, weights, of_weights, bias, out, out_pixel);
    else
        NAME(pixels_of)(1, rows, columns, channels, in, from, weights, of_weights, bias, out, out_pixel);
}

static ALWAYS_INLINE void NAME(add_products_of)(
    const int vectors, ptrdiff_t rows, ptrdiff_t columns, const REAL *x, const distances *of_x, const REAL *dy,
    const distances *of_dy, REAL *to)
{
    NAME(vector) sum[SUMS];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        sum[v] = NAME(load)(to + v * WIDTH);
    for (ptrdiff_t p = 0; p < rows; p++)
        for (ptrdiff_t q = 0; q < columns; q++)
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                sum[v] += NAME(load)(x + p * of_x->row + q * of_x->pixel + v * WIDTH)
                    * NAME(load)(dy + p * of_dy->row + q * of_dy->pixel + v * WIDTH);
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        NAME(store)(to + v * WIDTH, sum[v]);
}

/* to[c] += the sum over rows and columns of pixels of x[c] dy[c]. */
static inline void NAME(add_products)(
    ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t channels, const REAL *x, const distances *of_x, const REAL *dy,
    const distances *of_dy, REAL *to)
{
    ptrdiff_t c = 0;
    for (; c + SUMS * WIDTH <= channels; c += SUMS * WIDTH)
        NAME(add_products_of)(SUMS, rows, columns, x + c, of_x, dy + c, of_dy, to + c);
    for (; c + 2 * WIDTH <= channels; c += 2 * WIDTH)
        NAME(add_products_of)(2, rows, columns, x + c, of_x, dy + c, of_dy, to + c);
    for (; c + WIDTH <= channels; c += WIDTH)
        NAME(add_products_of)(1, rows, columns, x + c, of_x, dy + c, of_dy, to + c);
    for (; c < channels; c++)
        for (ptrdiff_t p = 0; p < rows; p++)
            for (ptrdiff_t q = 0; q < columns; q++)
                to[c] += x[p * of_x->row + q * of_x->pixel + c] * dy[p * of_dy->row + q * of_dy->pixel + c];
}

#endif
