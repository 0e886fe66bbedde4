/* ReLU, leaky ReLU, sigmoid and tanh of whole vectors, forward and backward.
 *
 * What is left after the last whole vector goes through one that is filled up: a number's bits depend neither
 * on its place nor on how many there are. Arrays may be the same.
 *
 * One body serves float and double: for_float_and_double.h includes this file again for each.
 */
#ifndef REAL

#ifndef CNNX_ACTIVATIONS_H
#define CNNX_ACTIVATIONS_H

#include <math.h>

#include "vectors.h"

enum activation { RELU, LEAKY_RELU, SIGMOID, TANH };

/* exp(x) for x <= 0, within 1.1 ulp; a NaN stays one.
 *
 * x = n log 2 + r, |r| <= log(2) / 2, and exp(x) = 2^n exp(r): a polynomial. The power comes in two halves, since a
 * single one would fall short of the least results, which are denormal.
 *
 * Source: expf.c of Moshier's Cephes Math Library, for the polynomial and the two parts of log 2.
 */
static ALWAYS_INLINE vector_float exponential_float(vector_float x)
{
    /* Added to n, it leaves n in the last bits. */
    const float rounder = 12582912.0f;
    const vector_float none = {0}, least = none - 104.0f;
    vector_float n, r, p, shifted;
    mask_float power, half;
    x = select_float(greater_float(least, x), least, x);
    shifted = x * 1.44269504088896341f + rounder;
    n = shifted - rounder;
    r = x - n * 0.693359375f - n * -2.12194440e-4f;
    p = none + 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    /* -150 <= power <= 0; of a NaN, any number. */
    power = bits_of_float(shifted) - bits_of_float(none + rounder);
    half = power >> 1;
    p *= of_bits_float(((half + 127) & 127) << 23);
    return p * of_bits_float(((power - half + 127) & 127) << 23);
}

/* tanh(x), within 2 ulp: a polynomial near 0, and elsewhere 1 - 2 / (exp(2 |x|) + 1), written so that it cannot
 * overflow.
 *
 * Source: tanhf.c of Moshier's Cephes Math Library.
 */
static ALWAYS_INLINE vector_float hyperbolic_tangent_float(vector_float x)
{
    const vector_float none = {0};
    const mask_float sign = bits_of_float(x) & INT32_MIN;
    const vector_float size = of_bits_float(bits_of_float(x) ^ sign), square = size * size;
    const vector_float small = exponential_float(-2.0f * size);
    vector_float p = none - 5.70498872745e-3f;
    p = p * square + 2.06390887954e-2f;
    p = p * square - 5.37397155531e-2f;
    p = p * square + 1.33314422036e-1f;
    p = p * square - 3.33332819422e-1f;
    p = p * square * size + size;
    p = select_float(greater_float(none + 0.625f, size), p, 1.0f - 2.0f * small / (1.0f + small));
    return of_bits_float(bits_of_float(p) | sign);
}

/* Doubles go through the C library, one by one. */
static ALWAYS_INLINE vector_double each_double(double (*function)(double), vector_double x)
{
    double lanes[VECTOR_LANES(double)];
    memcpy(lanes, &x, sizeof x);
    for (int i = 0; i < VECTOR_LANES(double); i++)
        lanes[i] = function(lanes[i]);
    memcpy(&x, lanes, sizeof x);
    return x;
}

static ALWAYS_INLINE vector_double exponential_double(vector_double x) { return each_double(exp, x); }
static ALWAYS_INLINE vector_double hyperbolic_tangent_double(vector_double x) { return each_double(tanh, x); }

#define BODY "activations.h"
#include "for_float_and_double.h"
#undef BODY

#endif

#else

#define WIDTH VECTOR_LANES(REAL)

static ALWAYS_INLINE NAME(vector) NAME(activation)(const enum activation kind, NAME(vector) x, REAL slope)
{
    const NAME(vector) none = {0};
    const NAME(mask) positive = NAME(greater)(x, none);
    NAME(vector) small;
    switch (kind) {
    case RELU:
        return NAME(select)(NAME(not_less_equal)(x, none), x, none);
    case LEAKY_RELU:
        return NAME(select)(positive, x, slope * x);
    case SIGMOID:
        /* By way of exp(-|x|), which cannot overflow. */
        small = NAME(exponential)(NAME(select)(positive, -x, x));
        return NAME(select)(positive, none + 1, small) / (1 + small);
    default:
        return NAME(hyperbolic_tangent)(x);
    }
}

/* The gradient of x, of y = activation(x). */
static ALWAYS_INLINE NAME(vector) NAME(activation_gradient)(
    const enum activation kind, NAME(vector) y, NAME(vector) dy, REAL slope)
{
    const NAME(vector) none = {0};
    switch (kind) {
    case RELU:
        return NAME(select)(NAME(greater)(y, none), dy, none);
    case LEAKY_RELU:
        return NAME(select)(NAME(greater)(y, none), dy, slope * dy);
    case SIGMOID:
        return dy * y * (1 - y);
    default:
        return dy * (1 - y) * (1 + y);
    }
}

/* `kind` is a constant wherever this is inlined. */
static ALWAYS_INLINE void NAME(activate_as)(
    const enum activation kind, ptrdiff_t size, const REAL *x, REAL *y, REAL slope)
{
    ptrdiff_t i = 0;
    for (; i + WIDTH <= size; i += WIDTH)
        NAME(store)(y + i, NAME(activation)(kind, NAME(load)(x + i), slope));
    if (i < size) {
        NAME(vector) rest = {0};
        memcpy(&rest, x + i, (size - i) * sizeof(REAL));
        rest = NAME(activation)(kind, rest, slope);
        memcpy(y + i, &rest, (size - i) * sizeof(REAL));
    }
}

static ALWAYS_INLINE void NAME(activate_backward_as)(
    const enum activation kind, ptrdiff_t size, const REAL *y, const REAL *dy, REAL *dx, REAL slope)
{
    ptrdiff_t i = 0;
    for (; i + WIDTH <= size; i += WIDTH)
        NAME(store)(dx + i, NAME(activation_gradient)(kind, NAME(load)(y + i), NAME(load)(dy + i), slope));
    if (i < size) {
        NAME(vector) rest = {0}, gradient = {0};
        memcpy(&rest, y + i, (size - i) * sizeof(REAL));
        memcpy(&gradient, dy + i, (size - i) * sizeof(REAL));
        gradient = NAME(activation_gradient)(kind, rest, gradient, slope);
        memcpy(dx + i, &gradient, (size - i) * sizeof(REAL));
    }
}

/* y = the activation of x; `slope` is that of LEAKY_RELU. */
static inline void NAME(activate)(enum activation kind, ptrdiff_t size, const REAL *x, REAL *y, REAL slope)
{
    switch (kind) {
    case RELU:
        NAME(activate_as)(RELU, size, x, y, slope);
        break;
    case LEAKY_RELU:
        NAME(activate_as)(LEAKY_RELU, size, x, y, slope);
        break;
    case SIGMOID:
        NAME(activate_as)(SIGMOID, size, x, y, slope);
        break;
    default:
        NAME(activate_as)(TANH, size, x, y, slope);
    }
}

/* dx from dy, and from what `activate` gave. */
static inline void NAME(activate_backward)(
    enum activation kind, ptrdiff_t size, const REAL *y, const REAL *dy, REAL *dx, REAL slope)
{
    switch (kind) {
    case RELU:
        NAME(activate_backward_as)(RELU, size, y, dy, dx, slope);
        break;
    case LEAKY_RELU:
        NAME(activate_backward_as)(LEAKY_RELU, size, y, dy, dx, slope);
        break;
    case SIGMOID:
        NAME(activate_backward_as)(SIGMOID, size, y, dy, dx, slope);
        break;
    default:
        NAME(activate_backward_as)(TANH, size, y, dy, dx, slope);
    }
}

#undef WIDTH

#endif
