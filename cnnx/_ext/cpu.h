/* Which instructions the processor has, and which compiler was used. */
#ifndef CNNX_CPU_H
#define CNNX_CPU_H

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#elif defined(_MSC_VER)
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
#define COMPILER "MSVC " TEXT(_MSC_VER)
#else
#define COMPILER "unknown"
#endif

#if defined(_OPENMP)
#define HAS_OPENMP 1
#else
#define HAS_OPENMP 0
#endif

#if defined(__GNUC__) && defined(__x86_64__)
/* Each tier is all that the x86-64 psABI puts into it and gcc's -march=x86-64-vN may use,
 * as far as __builtin_cpu_supports can tell; it includes that the system saves the registers. */
static int cpu_has_v2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
}
static int cpu_has_v3(void)
{
    return cpu_has_v2() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}
static int cpu_has_v4(void)
{
    return cpu_has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#else
static int cpu_has_v2(void) { return 0; }
static int cpu_has_v3(void) { return 0; }
static int cpu_has_v4(void) { return 0; }
#endif

#endif
