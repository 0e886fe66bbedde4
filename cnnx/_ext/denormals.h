/* Numbers too small for their full precision (denormals) count as 0 between flush_to_zero() and restore_mode(), in the
 * thread that calls them: Intel's processors compute ten times slower with them. */
#ifndef CNNX_DENORMALS_H
#define CNNX_DENORMALS_H

/* CNNX_KEEP_DENORMALS leaves all as it is. Where indices are checked, an error can leave a parallel region before the
 * mode is restored. */
#if !defined(CNNX_KEEP_DENORMALS) && (defined(__SSE2__) || defined(_M_X64))
#include <xmmintrin.h>
#define FLUSH 0x8040u /* bits of MXCSR: results (FTZ) and operands (DAZ) */
typedef unsigned int FpMode;
static inline FpMode read_mode(void) { return _mm_getcsr(); }
static inline void write_mode(FpMode mode) { _mm_setcsr(mode); }
#elif !defined(CNNX_KEEP_DENORMALS) && defined(__aarch64__) && defined(__GNUC__)
#include <stdint.h>
#define FLUSH (1ull << 24) /* bit FZ of FPCR */
typedef uint64_t FpMode;
static inline FpMode read_mode(void)
{
    FpMode mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
static inline void write_mode(FpMode mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#else
#define FLUSH 0u
typedef unsigned int FpMode;
static inline FpMode read_mode(void) { return 0; }
static inline void write_mode(FpMode mode) { (void)mode; }
#endif

/* Arithmetic on what lies in memory stays on its side of this line. */
#if defined(__GNUC__)
#define FENCE __asm__ volatile("" ::: "memory")
#else
#define FENCE
#endif

static inline FpMode flush_to_zero(void)
{
    FpMode before = read_mode();
    write_mode(before | FLUSH);
    FENCE;
    return before;
}

static inline void restore_mode(FpMode before)
{
    FENCE;
    write_mode(before);
}

#endif
