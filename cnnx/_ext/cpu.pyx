"""Processor tiers (x86-64 v2, v3, v4) that run here, and the compiler of this build."""

cdef extern from "cpu.h":
    bint cpu_has_v2()
    bint cpu_has_v3()
    bint cpu_has_v4()
    const char* COMPILER
    bint HAS_OPENMP


def supported_tiers() -> tuple[str, ...]:
    """Return the x86-64 tiers that this processor runs, fastest first; none of them elsewhere."""
    tiers = (('v4', cpu_has_v4()), ('v3', cpu_has_v3()), ('v2', cpu_has_v2()))
    return tuple(tier for tier, has in tiers if has)


def build_info() -> dict[str, str | bool]:
    """Return the compiler's name and version, and whether kernels were built to use threads."""
    return {'compiler': COMPILER.decode('ascii', 'replace'), 'openmp': bool(HAS_OPENMP)}
