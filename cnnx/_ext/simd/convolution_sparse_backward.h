/* Convolution with max-pooling and ReLU, backward: visits only the positions that carry gradient.
 *
 * After max-pooling and ReLU, few positions of a convolution's output have a gradient. For each of them,
 * and for the one filter that it belongs to, the patch of the image under that filter
 *     is added, times the gradient, to the filter's weight gradient (add_patches), and
 *     has the filter added to it, times the gradient, in the image's gradient (spread_patches).
 * A patch is up to MAX_PATCH_VECTORS vectors, which start at[0], at[1], ... after its first pixel. The
 * vectors may reach over the ends of the patch's rows: there, sums are to be ignored and filters are zero.
 * (So a gradient that is NaN or infinite also reaches the pixels beside its patch, as NaN.)
 *
 * Vectors come whole and half, for patches with short rows: OF_PATCH(stem) names the functions and types of one of them.
 */
#if !defined(REAL) && !defined(CNNX_CONVOLUTION_SPARSE_BACKWARD_H)
#define CNNX_CONVOLUTION_SPARSE_BACKWARD_H

#include "vectors.h"

#if REGISTERS == 32
#define MAX_PATCH_VECTORS 20
#else
#define MAX_PATCH_VECTORS 10
#endif

#define BODY "convolution_sparse_backward.h"
#define OF_PATCH(stem) NAME(stem)
#include "for_float_and_double.h"
#undef OF_PATCH

#if VECTOR_EXTENSIONS && VECTOR_BYTES > 16
#define HALF_VECTORS 1
typedef float half_vector_float __attribute__((vector_size(VECTOR_BYTES / 2)));
typedef double half_vector_double __attribute__((vector_size(VECTOR_BYTES / 2)));
#define BODY "convolution_sparse_backward.h"
#define OF_PATCH(stem) NAME(half_##stem)
#include "for_float_and_double.h"
#undef OF_PATCH
#define BY_WIDTH(half, name, numbers) ((half) ? BY_KIND(half_##name, numbers) : BY_KIND(name, numbers))
#else
#define HALF_VECTORS 0
#define BY_WIDTH(half, name, numbers) BY_KIND(name, numbers)
#endif

#define add_patches(half, vectors, count, origins, gradients, ...) \
    BY_WIDTH(half, add_patches, gradients)(vectors, count, origins, gradients, __VA_ARGS__)
#define spread_patches(half, vectors, count, origins, first, gradients, ...) \
    BY_WIDTH(half, spread_patches, gradients)(vectors, count, origins, first, gradients, __VA_ARGS__)

#elif defined(REAL)

/* Numbers to a vector of a patch; STEP of them are computed at once, which is one without vector extensions. */
#define PATCH (VECTOR_EXTENSIONS ? STEP : LANES)
#define STEP ((int)(sizeof(OF_PATCH(vector)) / sizeof(REAL)))

static ALWAYS_INLINE OF_PATCH(vector) OF_PATCH(patch_load)(const REAL *from)
{
    OF_PATCH(vector) vector;
    memcpy(&vector, from, sizeof vector);
    return vector;
}

/* For the STEP numbers from `lane` on of each vector. `vectors` is a constant wherever this is inlined, so that the
 * loops over it unroll. */
static ALWAYS_INLINE void OF_PATCH(add_patches_of)(
    const int vectors, int lane, ptrdiff_t count, const int32_t *origins, const REAL *gradients, const REAL *image,
    ptrdiff_t channels, const ptrdiff_t *at, REAL *sums)
{
    /* Few sums would wait for each other: odd and even patches then have their own. */
    const int chains = vectors <= 6 ? 2 : 1;
    OF_PATCH(vector) sum[2][MAX_PATCH_VECTORS];
    ptrdiff_t offset[MAX_PATCH_VECTORS];
#pragma GCC unroll 20
    for (int v = 0; v < vectors; v++) {
        sum[0][v] = OF_PATCH(patch_load)(sums + v * PATCH + lane);
        sum[1][v] = (OF_PATCH(vector)){0};
        offset[v] = at[v] + lane;
    }
    ptrdiff_t i = 0;
    for (; i + chains <= count; i += chains)
#pragma GCC unroll 2
        for (int c = 0; c < chains; c++) {
            const REAL *patch = image + origins[i + c] * channels;
            const REAL gradient = gradients[i + c];
#pragma GCC unroll 20
            for (int v = 0; v < vectors; v++)
                sum[c][v] += gradient * OF_PATCH(patch_load)(patch + offset[v]);
        }
    for (; i < count; i++)
#pragma GCC unroll 20
        for (int v = 0; v < vectors; v++)
            sum[0][v] += gradients[i] * OF_PATCH(patch_load)(image + origins[i] * channels + offset[v]);
#pragma GCC unroll 20
    for (int v = 0; v < vectors; v++) {
        if (chains == 2)
            sum[0][v] += sum[1][v];
        memcpy(sums + v * PATCH + lane, &sum[0][v], sizeof(OF_PATCH(vector)));
    }
}

static ALWAYS_INLINE void OF_PATCH(spread_patches_of)(
    const int vectors, int lane, ptrdiff_t count, const int32_t *origins, ptrdiff_t first, const REAL *gradients,
    const REAL *filter, ptrdiff_t pixel, const ptrdiff_t *at, REAL *image)
{
    OF_PATCH(vector) weights[MAX_PATCH_VECTORS];
    ptrdiff_t offset[MAX_PATCH_VECTORS];
#pragma GCC unroll 20
    for (int v = 0; v < vectors; v++) {
        weights[v] = OF_PATCH(patch_load)(filter + v * PATCH + lane);
        offset[v] = at[v] + lane;
    }
    for (ptrdiff_t i = 0; i < count; i++) {
        REAL *patch = image + (origins[i] - first) * pixel;
        const REAL gradient = gradients[i];
#pragma GCC unroll 20
        for (int v = 0; v < vectors; v++) {
            OF_PATCH(vector) sum = OF_PATCH(patch_load)(patch + offset[v]) + gradient * weights[v];
            memcpy(patch + offset[v], &sum, sizeof sum);
        }
    }
}

#define CASES(function, ...) \
    CASE(1, function, __VA_ARGS__) CASE(2, function, __VA_ARGS__) CASE(3, function, __VA_ARGS__) \
    CASE(4, function, __VA_ARGS__) CASE(5, function, __VA_ARGS__) CASE(6, function, __VA_ARGS__) \
    CASE(7, function, __VA_ARGS__) CASE(8, function, __VA_ARGS__) CASE(9, function, __VA_ARGS__) \
    CASE(10, function, __VA_ARGS__) MORE_CASES(function, __VA_ARGS__)
#if MAX_PATCH_VECTORS == 20
#define MORE_CASES(function, ...) \
    CASE(11, function, __VA_ARGS__) CASE(12, function, __VA_ARGS__) CASE(13, function, __VA_ARGS__) \
    CASE(14, function, __VA_ARGS__) CASE(15, function, __VA_ARGS__) CASE(16, function, __VA_ARGS__) \
    CASE(17, function, __VA_ARGS__) CASE(18, function, __VA_ARGS__) CASE(19, function, __VA_ARGS__) \
    CASE(20, function, __VA_ARGS__)
#else
#define MORE_CASES(function, ...)
#endif
#define CASE(vectors, function, ...) \
    case vectors: \
        for (int lane = 0; lane < PATCH; lane += STEP) \
            function(vectors, lane, __VA_ARGS__); \
        break;

/* sums[v] += sum over i of gradients[i] times the vector at image[origins[i] * channels + at[v]],
 * v < vectors. */
static inline void OF_PATCH(add_patches)(
    int vectors, ptrdiff_t count, const int32_t *origins, const REAL *gradients, const REAL *image,
    ptrdiff_t channels, const ptrdiff_t *at, REAL *sums)
{
    switch (vectors) {
        CASES(OF_PATCH(add_patches_of), count, origins, gradients, image, channels, at, sums)
    }
}

/* The vector at image[(origins[i] - first) * pixel + at[v]] += gradients[i] times vector v of the filter,
 * for each i in turn, v < vectors. */
static inline void OF_PATCH(spread_patches)(
    int vectors, ptrdiff_t count, const int32_t *origins, ptrdiff_t first, const REAL *gradients,
    const REAL *filter, ptrdiff_t pixel, const ptrdiff_t *at, REAL *image)
{
    switch (vectors) {
        CASES(OF_PATCH(spread_patches_of), count, origins, first, gradients, filter, pixel, at, image)
    }
}

#undef CASE
#undef CASES
#undef MORE_CASES
#undef STEP
#undef PATCH

#endif
