# float and double, for which every kernel is compiled, and functions of both.

from libc.math cimport exp, expf, log, logf, sqrt, sqrtf

ctypedef fused floating:
    float
    double


cdef inline floating exponential(floating x) noexcept nogil:
    return expf(x) if floating is float else exp(x)


cdef inline floating logarithm(floating x) noexcept nogil:
    return logf(x) if floating is float else log(x)


cdef inline floating square_root(floating x) noexcept nogil:
    return sqrtf(x) if floating is float else sqrt(x)
