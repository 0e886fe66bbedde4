/* Convolution, backward, in rows of whole vectors: gradients, masked by the ReLU; rows added up; and, after pooling, the
 * overlapping patches of a row of the input gradient (overlap-add).
 *
 * The rows of neighbouring windows overlap, at distances that are no multiple of a vector. To add to them
 * where they lie would make each load wait for the store before it. So each window position has a slot of
 * its own, aligned, and the slots of a row are added up at the end.
 */
#if !defined(REAL) && !defined(CNNX_CONVOLUTION_GRADIENT_ROWS_H)
#define CNNX_CONVOLUTION_GRADIENT_ROWS_H

#include "vectors.h"

#define BODY "convolution_gradient_rows.h"
#include "for_float_and_double.h"

#define mask_rows(rows, filters, y, ...) BY_KIND(mask_rows, y)(rows, filters, y, __VA_ARGS__)
#define add_slots(size, count, row, step, slots, ...) \
    BY_KIND(add_slots, slots)(size, count, row, step, slots, __VA_ARGS__)
#define add_row(size, from, ...) BY_KIND(add_row, from)(size, from, __VA_ARGS__)

#elif defined(REAL)

/* The first `there` numbers of a row, then zeros; read in a whole vector where `left` numbers, to the end, allow it. */
static ALWAYS_INLINE NAME(vector) NAME(load_row)(const REAL *from, ptrdiff_t there, ptrdiff_t left)
{
    return left < WIDTH ? NAME(load_some)(from, there) : NAME(first_lanes)(NAME(load)(from), there);
}

/* masked[i][f] = dy[i][f] where y[i][f] is positive, or everywhere if y is NULL, and zero after the filters, up to
 * the next multiple of LANES; sums[f] += the sum over i. */
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
                const ptrdiff_t at = i * filters + f, left = rows * filters - at;
                const NAME(vector) output = y ? NAME(load_row)(y + at, there, left) : none + 1;
                gradient = NAME(load_row)(dy + at, there, left);
                gradient = NAME(select)(NAME(greater)(output, none), gradient, none);
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

/* line[j] += the sum, over slots q, of slots[q * slot + j - q * step], where 0 <= j - q * step < row.
 *
 * Behind its `row` numbers a slot has at least LANES - 1 zeros. The line is written up to the next multiple
 * of LANES.
 */
static inline void NAME(add_slots)(
    ptrdiff_t size, ptrdiff_t count, ptrdiff_t row, ptrdiff_t step, const REAL *slots, ptrdiff_t slot, REAL *line)
{
    ptrdiff_t first = 0, end = 0;
    for (ptrdiff_t j = 0; j < size; j += WIDTH) {
        while (first < count && first * step + row <= j)
            first++;
        while (end < count && end * step < j + WIDTH)
            end++;
        NAME(vector) sum = NAME(load)(line + j);
        for (ptrdiff_t q = first; q < end; q++)
            sum += NAME(load)(slots + q * (slot - step) + j);
        NAME(store)(line + j, sum);
    }
}

#endif
