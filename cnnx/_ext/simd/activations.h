/* ReLU, leaky ReLU, sigmoid, tanh, ELU, softplus, SiLU, GELU and hard swish of whole vectors, forward and backward.
 *
 * What is left after the last whole vector goes through one that is filled up: a number's bits depend neither
 * on its place nor on how many there are. Arrays may be the same.
 */
#if !defined(REAL) && !defined(CNNX_ACTIVATIONS_H)
#define CNNX_ACTIVATIONS_H

#include <math.h>

#include "vectors.h"

enum activation { RELU, LEAKY_RELU, SIGMOID, TANH, ELU, SOFTPLUS, SILU, GELU, HARD_SWISH };

#define EACH_ACTIVATION(DO) \
    DO(RELU) DO(LEAKY_RELU) DO(SIGMOID) DO(TANH) DO(ELU) DO(SOFTPLUS) DO(SILU) DO(GELU) DO(HARD_SWISH)

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

/* log(1 + x) for 0 <= x <= 1: with z = x / (2 + x), it is 2 (z + z^3 / 3 + z^5 / 5 + ...). */
static ALWAYS_INLINE vector_float log_of_one_more_float(vector_float x)
{
    const vector_float none = {0}, z = x / (2.0f + x), square = z * z;
    vector_float p = none + 1.0f / 15;
    p = p * square + 1.0f / 13;
    p = p * square + 1.0f / 11;
    p = p * square + 1.0f / 9;
    p = p * square + 1.0f / 7;
    p = p * square + 1.0f / 5;
    p = p * square + 1.0f / 3;
    return 2.0f * z + 2.0f * z * square * p;
}

/* The distribution function of a normal number at x: (1 + erf(x / sqrt(2))) / 2, of which the smaller side comes first.
 *
 * At -a it is exp(-a^2 / 2) t p(t), t = 1 / (1 + 0.35 a). The polynomial is fitted to that for 0 <= a <= 15, within 4e-8
 * of the value.
 */
static ALWAYS_INLINE vector_float normal_distribution_float(vector_float x)
{
    const vector_float none = {0};
    const mask_float positive = greater_float(x, none);
    const vector_float size = select_float(positive, x, -x), t = 1.0f / (1.0f + 0.35f * size);
    vector_float p = none - 0.029164277f;
    p = p * t + 0.1440625f;
    p = p * t - 0.25590533f;
    p = p * t + 0.15939680f;
    p = p * t - 0.023266464f;
    p = p * t + 0.10557589f;
    p = p * t + 0.11981523f;
    p = p * t + 0.13986437f;
    p = p * t + 0.13962126f;
    p = p * t * exponential_float(-0.5f * x * x);
    return select_float(positive, 1.0f - p, p);
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
static ALWAYS_INLINE vector_double log_of_one_more_double(vector_double x) { return each_double(log1p, x); }
static ALWAYS_INLINE vector_double normal_distribution_double(vector_double x)
{
    return 0.5 * each_double(erfc, -0.70710678118654752 * x);
}

#define BODY "activations.h"
#include "for_float_and_double.h"

#define activate(kind, size, x, ...) BY_KIND(activate, x)(kind, size, x, __VA_ARGS__)
#define activate_backward(kind, size, known, ...) BY_KIND(activate_backward, known)(kind, size, known, __VA_ARGS__)

#elif defined(REAL)

/* 1 / (1 + exp(-x)), by way of exp(-|x|), which cannot overflow. */
static ALWAYS_INLINE NAME(vector) NAME(logistic)(NAME(vector) x)
{
    const NAME(vector) none = {0};
    const NAME(mask) positive = NAME(greater)(x, none);
    const NAME(vector) small = NAME(exponential)(NAME(select)(positive, -x, x));
    return NAME(select)(positive, none + 1, small) / (1 + small);
}

static ALWAYS_INLINE NAME(vector) NAME(activation)(const enum activation kind, NAME(vector) x, REAL slope)
{
    const NAME(vector) none = {0};
    const NAME(mask) positive = NAME(greater)(x, none);
    NAME(vector) part;
    switch (kind) {
    case RELU:
        return NAME(select)(NAME(not_less_equal)(x, none), x, none);
    case LEAKY_RELU:
        return NAME(select)(positive, x, slope * x);
    case SIGMOID:
        return NAME(logistic)(x);
    case TANH:
        return NAME(hyperbolic_tangent)(x);
    case ELU:
        /* exp(x) - 1 = 2 tanh(x / 2) / (1 - tanh(x / 2)), which loses nothing near 0. */
        part = NAME(hyperbolic_tangent)(NAME(select)(positive, none, x) / 2);
        return NAME(select)(positive, x, slope * (2 * part / (1 - part)));
    case SOFTPLUS:
        part = NAME(exponential)(NAME(select)(positive, -x, x));
        return NAME(select)(NAME(not_less_equal)(x, none), x, none) + NAME(log_of_one_more)(part);
    case SILU:
        return x * NAME(logistic)(x);
    case GELU:
        return x * NAME(normal_distribution)(x);
    default: /* HARD_SWISH */
        part = NAME(select)(NAME(greater)(none, x + 3), none, x + 3);
        return x * (NAME(select)(NAME(greater)(part, none + 6), none + 6, part) / 6);
    }
}

/* The gradient of x. `known` is y, the activation of x, up to ELU, and x itself from SOFTPLUS on. */
static ALWAYS_INLINE NAME(vector) NAME(activation_gradient)(
    const enum activation kind, NAME(vector) known, NAME(vector) dy, REAL slope)
{
    const NAME(vector) none = {0};
    NAME(vector) part;
    switch (kind) {
    case RELU:
        return NAME(select)(NAME(greater)(known, none), dy, none);
    case LEAKY_RELU:
        return NAME(select)(NAME(greater)(known, none), dy, slope * dy);
    case SIGMOID:
        return dy * known * (1 - known);
    case TANH:
        return dy * (1 - known) * (1 + known);
    case ELU:
        return NAME(select)(NAME(greater)(known, none), dy, dy * (known + slope));
    case SOFTPLUS:
        return dy * NAME(logistic)(known);
    case SILU:
        part = NAME(logistic)(known);
        return dy * (part * (1 + known * (1 - part)));
    case GELU:
        /* 1 / sqrt(2 pi) exp(-x^2 / 2) is the derivative of the distribution function. */
        part = (REAL)0.39894228040143268 * NAME(exponential)((REAL)-0.5 * known * known);
        return dy * (NAME(normal_distribution)(known) + known * part);
    default: /* HARD_SWISH */
        part = NAME(select)(NAME(greater)(known, none + 3), dy, dy * ((2 * known + 3) / 6));
        return NAME(select)(NAME(greater)(none - 3, known), none, part);
    }
}

/* `kind` is a constant wherever this is inlined. */
static ALWAYS_INLINE void NAME(activate_as)(
    const enum activation kind, ptrdiff_t size, const REAL *x, REAL *y, REAL slope)
{
    ptrdiff_t i = 0;
    for (; i + WIDTH <= size; i += WIDTH)
        NAME(store)(y + i, NAME(activation)(kind, NAME(load)(x + i), slope));
    if (i < size)
        NAME(store_some)(y + i, NAME(activation)(kind, NAME(load_some)(x + i, size - i), slope), size - i);
}

static ALWAYS_INLINE void NAME(activate_backward_as)(
    const enum activation kind, ptrdiff_t size, const REAL *known, const REAL *dy, REAL *dx, REAL slope)
{
    ptrdiff_t i = 0;
    for (; i + WIDTH <= size; i += WIDTH)
        NAME(store)(dx + i, NAME(activation_gradient)(kind, NAME(load)(known + i), NAME(load)(dy + i), slope));
    if (i < size) {
        const NAME(vector) rest = NAME(load_some)(known + i, size - i), gradient = NAME(load_some)(dy + i, size - i);
        NAME(store_some)(dx + i, NAME(activation_gradient)(kind, rest, gradient, slope), size - i);
    }
}

/* y = the activation of x; `slope` is that of LEAKY_RELU, and what ELU goes down to, negated. */
static inline void NAME(activate)(enum activation kind, ptrdiff_t size, const REAL *x, REAL *y, REAL slope)
{
    switch (kind) {
#define DO(KIND) \
    case KIND: \
        NAME(activate_as)(KIND, size, x, y, slope); \
        break;
        EACH_ACTIVATION(DO)
#undef DO
    }
}

/* dx from dy, and from `known`: see `activation_gradient`. */
static inline void NAME(activate_backward)(
    enum activation kind, ptrdiff_t size, const REAL *known, const REAL *dy, REAL *dx, REAL slope)
{
    switch (kind) {
#define DO(KIND) \
    case KIND: \
        NAME(activate_backward_as)(KIND, size, known, dy, dx, slope); \
        break;
        EACH_ACTIVATION(DO)
#undef DO
    }
}

#endif
