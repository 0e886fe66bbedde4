/* What the threads of a run share: tasks to claim, and a barrier.
 *
 * At the barrier of OpenMP a thread soon sleeps, and takes long to wake; or it looks on for long, and keeps a processor
 * from others, perhaps from the thread that it waits for. Here it looks on, and then lets others run between two looks.
 */
#ifndef CNNX_THREADS_H
#define CNNX_THREADS_H

#ifdef _OPENMP
#include <omp.h>
#define team_size() omp_get_num_threads()
#else
#define team_size() 1
#endif

typedef struct {
    int waiting, turn;
} barrier;

#if defined(_MSC_VER)
#include <intrin.h>
#include <windows.h>
#define claim(taken) (_InterlockedExchange8(taken, 1) == 0)
#define ARRIVE(count) (_InterlockedIncrement((volatile long *)(count)))
#define LOOK(turn) (_InterlockedOr((volatile long *)(turn), 0))
#define NEXT(turn) (_InterlockedIncrement((volatile long *)(turn)))
#define LET_OTHERS_RUN() SwitchToThread()
#else
#include <sched.h>
#define claim(taken) (__atomic_exchange_n(taken, 1, __ATOMIC_RELAXED) == 0)
#define ARRIVE(count) (__atomic_add_fetch(count, 1, __ATOMIC_ACQ_REL))
#define LOOK(turn) (__atomic_load_n(turn, __ATOMIC_ACQUIRE))
#define NEXT(turn) (__atomic_add_fetch(turn, 1, __ATOMIC_RELEASE))
#define LET_OTHERS_RUN() sched_yield()
#endif

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#define PAUSE() _mm_pause()
#elif defined(__aarch64__) && !defined(_MSC_VER)
#define PAUSE() __asm__ __volatile__("yield")
#else
#define PAUSE()
#endif

#define LOOKS 1000

/* Return when so many threads have called this; what each wrote before is seen by all. */
static void wait_for_all(barrier *b, int threads)
{
    const int turn = LOOK(&b->turn);
    int looks = 0;
    if (ARRIVE(&b->waiting) == threads) {
        b->waiting = 0;
        NEXT(&b->turn);
        return;
    }
    while (LOOK(&b->turn) == turn) {
        if (++looks < LOOKS)
            PAUSE();
        else
            LET_OTHERS_RUN();
    }
}

#endif
