/* Gaussian smoothing along an axis: weights are the same on both sides. */
#if !defined(REAL) && !defined(CNNX_GAUSSIAN_SMOOTHING_H)
#define CNNX_GAUSSIAN_SMOOTHING_H

#include "vectors.h"

#define BODY "gaussian_smoothing.h"
#include "for_float_and_double.h"

#define smooth(rows, width, from, ...) BY_KIND(smooth, from)(rows, width, from, __VA_ARGS__)

#elif defined(REAL)

/* to[r, i] = weights[0] from[r, i] + the sum over k of weights[k] (from[r, i] k steps back + k steps ahead).
 * Rows are computed in whole vectors: `width` is rounded up to one. */
static void NAME(smooth)(
    ptrdiff_t rows, ptrdiff_t width,
    const REAL *from, ptrdiff_t from_row, ptrdiff_t step,
    const REAL *weights, ptrdiff_t radius,
    REAL *to, ptrdiff_t to_row)
{
    for (ptrdiff_t r = 0; r < rows; r++) {
        for (ptrdiff_t i = 0; i < width; i += VECTOR_LANES(REAL)) {
            const REAL *middle = from + r * from_row + i;
            NAME(vector) sum = weights[0] * NAME(load)(middle);
            for (ptrdiff_t k = 1; k <= radius; k++)
                sum += weights[k] * (NAME(load)(middle - k * step) + NAME(load)(middle + k * step));
            NAME(store)(to + r * to_row + i, sum);
        }
    }
}

#endif
