/* Includes BODY twice: with REAL, LANES and NAME(stem) for float, and again for double. */
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
