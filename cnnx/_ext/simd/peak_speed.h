/* Peak speed: multiply-adds in registers, as many as they allow, and nothing else. */
#ifndef CNNX_PEAK_SPEED_H
#define CNNX_PEAK_SPEED_H

#include "vectors.h"

/* Enough independent sums to hide the latency of a multiply-add. */
#define SUMS (REGISTERS * 3 / 4)

/* Do `rounds` times SUMS vector multiply-adds; the result only keeps the compiler from leaving them out. */
static inline float multiply_add(ptrdiff_t rounds, float start)
{
    vector_float sum[SUMS], factor = (vector_float){0} + start, term = (vector_float){0} + start;
    for (int i = 0; i < SUMS; i++)
        sum[i] = (vector_float){0} + (float)i;
    for (ptrdiff_t n = 0; n < rounds; n++) {
#pragma GCC unroll 24
        for (int i = 0; i < SUMS; i++)
            sum[i] += factor * term;
#if defined(__x86_64__)
        __asm__ volatile("" : "+x"(factor), "+x"(term));
#elif defined(__aarch64__)
        __asm__ volatile("" : "+w"(factor), "+w"(term));
#endif
    }
    for (int i = 1; i < SUMS; i++)
        sum[0] += sum[i];
    float lanes[LANES_FLOAT];
    store_float(lanes, sum[0]);
    return lanes[0];
}

#endif
