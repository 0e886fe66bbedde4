/* Convolution without pooling, backward: gradients, masked by the ReLU, in rows of whole vectors; rows added up. */
#ifndef REAL

#ifndef CNNX_CONVOLUTION_GRADIENT_ROWS_H
#define CNNX_CONVOLUTION_GRADIENT_ROWS_H

#include "vectors.h"

#define BODY "convolution_gradient_rows.h"
#include "for_float_and_double.h"

#define mask_rows(rows, filters, y, ...) BY_KIND(mask_rows, y)(rows, filters, y, __VA_ARGS__)
#define add_row(size, from, ...) BY_KIND(add_row, from)(size, from, __VA_ARGS__)

#endif

#else

/* masked[i][f] = dy[i][f] where y[i][f] is positive, or everywhere if y is NULL, and zero after the filters, up to
 * the next multiple of LANES; sums[f] += the sum over i. Both are read in whole vectors. */
static inline void NAME(mask_rows)(
    ptrdiff_t rows, ptrdiff_t filters, const REAL *y, const REAL *dy, REAL *masked, REAL *sums)
{
    const ptrdiff_t wide = (filters + LANES - 1) / LANES * LANES;
    const NAME(vector) none = {0};
    for (ptrdiff_t f = 0; f < wide; f += WIDTH) {
        const ptrdiff_t there = filters - f;
        NAME(vector) sum = NAME(load)(sums + f);
        for (ptrdiff_t i = 0; i < rows; i++) {
            NAME(vector) gradient = none;
            if (there > 0) {
                gradient = NAME(first_lanes)(NAME(load)(dy + i * filters + f), there);
                if (y)
                    gradient = NAME(select)(NAME(greater)(NAME(load)(y + i * filters + f), none), gradient, none);
            }
            NAME(store)(masked + i * wide + f, gradient);
            sum += gradient;
        }
        NAME(store)(sums + f, sum);
    }
}

/* to[k] += from[k], k < size; both are read, and `to` is written, in whole vectors. */
static inline void NAME(add_row)(ptrdiff_t size, const REAL *from, REAL *to)
{
    for (ptrdiff_t k = 0; k < size; k += WIDTH)
        NAME(store)(to + k, NAME(load)(to + k) + NAME(first_lanes)(NAME(load)(from + k), size - k));
}

#endif
