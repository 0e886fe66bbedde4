/* Lets exactly one thread have a task. */
#ifndef CNNX_CLAIM_H
#define CNNX_CLAIM_H

#if defined(_MSC_VER)
#include <intrin.h>
#endif

/* Whether the caller is the first to ask for this task. What tasks write is waited for by other means. */
static inline int claim(char *taken)
{
#if defined(_MSC_VER)
    return _InterlockedExchange8(taken, 1) == 0;
#else
    return __atomic_exchange_n(taken, 1, __ATOMIC_RELAXED) == 0;
#endif
}

#endif
