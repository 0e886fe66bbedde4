/* Convolution, backward: adds up the overlapping patches of a row of the input gradient (overlap-add).
 *
 * The rows of neighbouring windows overlap, at distances that are no multiple of a vector. To add to them
 * where they lie would make each load wait for the store before it. So each window position has a slot of
 * its own, aligned, and the slots of a row are added up at the end.
 */
#ifndef REAL

#ifndef CNNX_CONVOLUTION_OVERLAP_ADD_H
#define CNNX_CONVOLUTION_OVERLAP_ADD_H

#include "vectors.h"

#define BODY "convolution_overlap_add.h"
#include "for_float_and_double.h"

#define add_slots(size, count, row, step, slots, ...) \
    BY_KIND(add_slots, slots)(size, count, row, step, slots, __VA_ARGS__)

#endif

#else

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
