/* Smoothing along an axis, by weights that are the same on both sides.
 *
 * One body serves float and double: each_kind.h includes this file again for each.
 */
#ifndef REAL

#ifndef CNNX_SMOOTH_H
#define CNNX_SMOOTH_H

#include "vectors.h"

#define BODY "smooth.h"
#include "each_kind.h"
#undef BODY

#endif

#else

/* to[r, i] = weights[0] from[r, i] + the sum over k of weights[k] (from[r, i] k steps back + k steps ahead).
 * Whole vectors are written, as far as `end`: rows of `to` are begun in order, and what one writes beyond its
 * width, the next overwrites. */
static void NAME(smooth)(
    ptrdiff_t rows, ptrdiff_t width,
    const REAL *from, ptrdiff_t from_row, ptrdiff_t step,
    const REAL *weights, ptrdiff_t radius,
    REAL *to, ptrdiff_t to_row, const REAL *end)
{
    const int lanes = VECTOR_LANES(REAL);
    for (ptrdiff_t r = 0; r < rows; r++) {
        for (ptrdiff_t i = 0; i < width; i += lanes) {
            const REAL *middle = from + r * from_row + i;
            REAL *target = to + r * to_row + i;
            NAME(vector) sum = weights[0] * NAME(load)(middle);
            for (ptrdiff_t k = 1; k <= radius; k++)
                sum += weights[k] * (NAME(load)(middle - k * step) + NAME(load)(middle + k * step));
            if (end - target >= lanes)
                NAME(store)(target, sum);
            else
                memcpy(target, &sum, (end - target) * sizeof(REAL));
        }
    }
}

#endif
