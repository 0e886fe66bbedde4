/* Lists the positions whose gradient is not zero after max-pooling and ReLU. */
#ifndef CNNX_NONZERO_GRADIENTS_H
#define CNNX_NONZERO_GRADIENTS_H

#include "vectors.h"

/* How far beyond their ends the lists are written. */
#define LIST_SLACK 16

/* Write those of `count` origins that are not DEAD, with their gradients, and return how many they are. */
#define DEFINE_LIST_LIVE(name, kind) \
    static inline ptrdiff_t name( \
        ptrdiff_t count, const int32_t *origins, const kind *gradients, int32_t *live, kind *live_gradients) \
    { \
        ptrdiff_t found = 0; \
        for (ptrdiff_t i = 0; i < count; i++) { \
            live[found] = origins[i]; \
            live_gradients[found] = gradients[i]; \
            found += origins[i] != DEAD; \
        } \
        return found; \
    }

DEFINE_LIST_LIVE(list_live_double, double)

#if VECTOR_EXTENSIONS && defined(__AVX512F__) && defined(__AVX512VL__)
#include <immintrin.h>

static inline ptrdiff_t list_live_float(
    ptrdiff_t count, const int32_t *origins, const float *gradients, int32_t *live, float *live_gradients)
{
    ptrdiff_t found = 0;
    for (ptrdiff_t i = 0; i < count; i += 16) {
        __mmask16 some = count - i < 16 ? (__mmask16)((1u << (count - i)) - 1) : (__mmask16)-1;
        __m512i places = _mm512_maskz_loadu_epi32(some, origins + i);
        __mmask16 alive = _mm512_mask_cmpneq_epi32_mask(some, places, _mm512_set1_epi32(DEAD));
        __m512 values = _mm512_maskz_loadu_ps(some, gradients + i);
        _mm512_storeu_si512(live + found, _mm512_maskz_compress_epi32(alive, places));
        _mm512_storeu_ps(live_gradients + found, _mm512_maskz_compress_ps(alive, values));
        found += __builtin_popcount(alive);
    }
    return found;
}

#else

DEFINE_LIST_LIVE(list_live_float, float)

#endif

#define list_live(count, origins, gradients, ...) BY_KIND(list_live, gradients)(count, origins, gradients, __VA_ARGS__)

#endif
