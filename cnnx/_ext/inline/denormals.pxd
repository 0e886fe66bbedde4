"""Denormals count as 0 between these two calls, in the thread that makes them."""

cdef extern from "denormals.h" nogil:
    ctypedef unsigned long long FpMode
    FpMode flush_to_zero()
    void restore_mode(FpMode before)
