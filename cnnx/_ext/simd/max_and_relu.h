/* Max-pooling and ReLU of vectors, which keep where each maximum came from (its origin). */
#ifndef REAL

#ifndef CNNX_MAX_AND_RELU_H
#define CNNX_MAX_AND_RELU_H

#include "vectors.h"

#define BODY "max_and_relu.h"
#include "for_float_and_double.h"

#endif

#else

static ALWAYS_INLINE NAME(mask) NAME(select_integers)(NAME(mask) mask, NAME(mask) a, NAME(mask) b)
{
    return (mask & a) | (~mask & b);
}

/* Where the value is larger than the largest so far, it takes that one's place, and its origin the winner's.
 * A NaN is larger than every number, and the first NaN stays. */
static ALWAYS_INLINE void NAME(contend)(
    NAME(vector) value, int32_t origin, NAME(vector) *largest, NAME(mask) *winner)
{
    const NAME(mask) wins = NAME(not_less_equal)(value, *largest) & NAME(equal)(*largest, *largest);
    *largest = NAME(select)(wins, value, *largest);
    *winner = NAME(select_integers)(wins, (NAME(mask)){0} + origin, *winner);
}

/* values = max(0, values), NaN staying NaN; origins become DEAD where that made a zero. */
static ALWAYS_INLINE void NAME(rectify)(NAME(vector) *values, NAME(mask) *origins)
{
    const NAME(vector) zero = {0};
    *origins = NAME(select_integers)(NAME(greater)(*values, zero), *origins, (NAME(mask)){0} + DEAD);
    *values = NAME(select)(NAME(not_less_equal)(*values, zero), *values, zero);
}

#endif
