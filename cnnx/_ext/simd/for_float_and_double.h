/* Includes BODY twice, for float and for double: REAL is the kind of number, WIDTH how many of them a vector holds, LANES
 * how many kernels lay side by side, and NAME(stem) the name of that kind, such as vector_float.
 */
#define WIDTH VECTOR_LANES(REAL)

#define REAL float
#define LANES LANES_FLOAT
#define NAME(stem) stem##_float
#include BODY
#undef REAL
#undef LANES
#undef NAME

#define REAL double
#define LANES LANES_DOUBLE
#define NAME(stem) stem##_double
#include BODY
#undef REAL
#undef LANES
#undef NAME

#undef WIDTH
#undef BODY
