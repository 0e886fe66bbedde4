/* Vectors as wide as the tier's registers, through the compiler's vector extensions.
 *
 * Where for_float_and_double.h includes a file, REAL is float or double, and NAME(stem) names the function or type of
 * that kind, such as vector_float.
 */
#ifndef CNNX_VECTORS_H
#define CNNX_VECTORS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define REGISTERS 32
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#define REGISTERS 16
#elif defined(__aarch64__)
#define VECTOR_BYTES 16
#define REGISTERS 32
#else
#define VECTOR_BYTES 16
#define REGISTERS 16
#endif

/* Whether the compiler knows vectors. CNNX_PLAIN builds without them, as MSVC does, to test that. */
#if defined(__GNUC__) && !defined(CNNX_PLAIN)
#define VECTOR_EXTENSIONS 1
#else
#define VECTOR_EXTENSIONS 0
#endif

/* How many numbers kernels lay side by side. */
#define LANES_FLOAT (VECTOR_BYTES / (int)sizeof(float))
#define LANES_DOUBLE (VECTOR_BYTES / (int)sizeof(double))

#if VECTOR_EXTENSIONS
/* Makes the compiler work out multiples of a distance where they are used, as part of an address. It would
 * do so ahead of the loop, and then lack registers to keep them in. */
#define HIDE(distance) __asm__("" : "+r"(distance))
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define DEFINE_VECTOR(kind, integer) \
    typedef kind vector_##kind __attribute__((vector_size(VECTOR_BYTES))); \
    typedef integer mask_##kind __attribute__((vector_size(VECTOR_BYTES))); \
    /* Where a <= b fails, which a NaN in either makes it do. */ \
    static ALWAYS_INLINE mask_##kind not_less_equal_##kind(vector_##kind a, vector_##kind b) { return ~(a <= b); } \
    static ALWAYS_INLINE mask_##kind equal_##kind(vector_##kind a, vector_##kind b) { return a == b; } \
    static ALWAYS_INLINE mask_##kind greater_##kind(vector_##kind a, vector_##kind b) { return a > b; } \
    static ALWAYS_INLINE vector_##kind select_##kind(mask_##kind mask, vector_##kind a, vector_##kind b) \
    { \
        return (vector_##kind)((mask & (mask_##kind)a) | (~mask & (mask_##kind)b)); \
    } \
    static ALWAYS_INLINE void store_integers_##kind(int32_t *to, mask_##kind numbers) \
    { \
        typedef int32_t narrow __attribute__((vector_size(VECTOR_BYTES / sizeof(kind) * 4))); \
        narrow vector = __builtin_convertvector(numbers, narrow); \
        memcpy(to, &vector, sizeof vector); \
    } \
    static ALWAYS_INLINE mask_##kind load_integers_##kind(const int32_t *from) \
    { \
        typedef int32_t narrow __attribute__((vector_size(VECTOR_BYTES / sizeof(kind) * 4))); \
        narrow vector; \
        memcpy(&vector, from, sizeof vector); \
        return __builtin_convertvector(vector, mask_##kind); \
    }
/* How many numbers a vector holds. */
#define VECTOR_LANES(kind) ((int)(VECTOR_BYTES / sizeof(kind)))
#else
/* No vector extensions: a vector is one number, and the compiler is left to group them. */
#define HIDE(distance)
#if defined(_MSC_VER)
#define ALWAYS_INLINE __forceinline
#else
#define ALWAYS_INLINE inline
#endif
#define DEFINE_VECTOR(kind, integer) \
    typedef kind vector_##kind; \
    typedef integer mask_##kind; \
    static ALWAYS_INLINE mask_##kind not_less_equal_##kind(kind a, kind b) { return a <= b ? 0 : -1; } \
    static ALWAYS_INLINE mask_##kind equal_##kind(kind a, kind b) { return a == b ? -1 : 0; } \
    static ALWAYS_INLINE mask_##kind greater_##kind(kind a, kind b) { return a > b ? -1 : 0; } \
    static ALWAYS_INLINE kind select_##kind(integer mask, kind a, kind b) { return mask ? a : b; } \
    static ALWAYS_INLINE void store_integers_##kind(int32_t *to, integer number) { *to = (int32_t)number; } \
    static ALWAYS_INLINE integer load_integers_##kind(const int32_t *from) { return *from; }
#define VECTOR_LANES(kind) 1
#endif

static const int32_t LANE_NUMBERS[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

#define DEFINE_MOVES(kind) \
    static ALWAYS_INLINE vector_##kind load_##kind(const kind *from) \
    { \
        vector_##kind vector; \
        memcpy(&vector, from, sizeof vector); \
        return vector; \
    } \
    static ALWAYS_INLINE void store_##kind(kind *to, vector_##kind vector) { memcpy(to, &vector, sizeof vector); } \
    /* The first `there` lanes at most: the others are zero, or not written. */ \
    static ALWAYS_INLINE vector_##kind load_some_##kind(const kind *from, ptrdiff_t there) \
    { \
        vector_##kind vector = {0}; \
        if (there >= VECTOR_LANES(kind)) \
            return load_##kind(from); \
        memcpy(&vector, from, there * sizeof(kind)); \
        return vector; \
    } \
    static ALWAYS_INLINE void store_some_##kind(kind *to, vector_##kind vector, ptrdiff_t room) \
    { \
        if (room >= VECTOR_LANES(kind)) \
            store_##kind(to, vector); \
        else \
            memcpy(to, &vector, room * sizeof(kind)); \
    } \
    static ALWAYS_INLINE void store_some_integers_##kind(int32_t *to, mask_##kind numbers, ptrdiff_t room) \
    { \
        int32_t all[VECTOR_LANES(kind)]; \
        if (room >= VECTOR_LANES(kind)) { \
            store_integers_##kind(to, numbers); \
        } else { \
            store_integers_##kind(all, numbers); \
            memcpy(to, all, room * sizeof(int32_t)); \
        } \
    } \
    /* Zero from lane `count` on, and before lane `first`. */ \
    static ALWAYS_INLINE vector_##kind first_lanes_##kind(vector_##kind numbers, ptrdiff_t count) \
    { \
        if (count >= VECTOR_LANES(kind)) \
            return numbers; \
        return select_##kind(load_integers_##kind(LANE_NUMBERS) < (int32_t)count, numbers, (vector_##kind){0}); \
    } \
    static ALWAYS_INLINE vector_##kind lanes_from_##kind(int first, vector_##kind numbers) \
    { \
        return select_##kind(load_integers_##kind(LANE_NUMBERS) >= first, numbers, (vector_##kind){0}); \
    } \
    static ALWAYS_INLINE mask_##kind bits_of_##kind(vector_##kind numbers) \
    { \
        mask_##kind bits; \
        memcpy(&bits, &numbers, sizeof bits); \
        return bits; \
    } \
    static ALWAYS_INLINE vector_##kind of_bits_##kind(mask_##kind bits) \
    { \
        vector_##kind numbers; \
        memcpy(&numbers, &bits, sizeof numbers); \
        return numbers; \
    }

#if defined(__clang__)
/* clang's own shuffle takes constants alone; it makes one of this loop where `places` is known. */
#define DEFINE_SHUFFLE(kind) \
    static ALWAYS_INLINE vector_##kind shuffle_##kind(vector_##kind a, vector_##kind b, mask_##kind places) \
    { \
        vector_##kind shuffled; \
        for (int i = 0; i < VECTOR_LANES(kind); i++) { \
            const int place = (int)places[i] & (2 * VECTOR_LANES(kind) - 1); \
            shuffled[i] = place < VECTOR_LANES(kind) ? a[place] : b[place - VECTOR_LANES(kind)]; \
        } \
        return shuffled; \
    }
#else
#define DEFINE_SHUFFLE(kind) \
    static ALWAYS_INLINE vector_##kind shuffle_##kind(vector_##kind a, vector_##kind b, mask_##kind places) \
    { \
        return __builtin_shuffle(a, b, places); \
    }
#endif

/* name_float or name_double, by what a pointer points to. */
#define BY_KIND(name, numbers) \
    _Generic((numbers), float *: name##_float, const float *: name##_float, \
        double *: name##_double, const double *: name##_double)

/* The origin of a maximum that ReLU made zero. */
#define DEAD -1

DEFINE_VECTOR(float, int32_t)
DEFINE_VECTOR(double, int64_t)
DEFINE_MOVES(float)
DEFINE_MOVES(double)
#if VECTOR_EXTENSIONS
/* Lane i is number places[i] of a and b, one after the other. */
DEFINE_SHUFFLE(float)
DEFINE_SHUFFLE(double)
#endif

#endif
