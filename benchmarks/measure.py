"""How times are taken, and what a measurement comes to."""

import contextlib
import importlib.util
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import cnnx

# Threads of the contestant before spin for a while when their work is over; this long, they are asleep.
PAUSE = 0.02


class DifferentWorkError(RuntimeError):
    """The contestants of a row do not compute the same."""


class Contestant(NamedTuple):
    """One side of a row.

    Attributes:
        name: the column that it stands in: 'ours', or the peer's. Of several with one name, the fastest counts.
        run: does the work of a turn, whose number it takes, from 0, and returns the seconds that it took.
        prelude: some of that work, before each turn, not timed: it wakes threads and fills caches.
    """

    name: str
    run: Callable
    prelude: Callable = lambda: None


@dataclass
class Result:
    """What a row came to; times in its unit.

    Attributes:
        ours: the median of our times, or whatever number the row is about.
        peers: the peers' medians, by name.
        target: what `ratio` should reach.
        limit: what `ours` should not exceed.
        gflops: multiply-adds of dense arithmetic in our time, at 2 floating point operations each.
        share: gflops over the measured peak of as many threads.
        times: every time taken, by contestant.
        details: further numbers.
        lines: text to show below the table.
        skipped: why the row was not measured.
    """

    name: str
    title: str = ''
    unit: str = ''
    ours: float | None = None
    peers: dict = field(default_factory=dict)
    target: float | None = None
    limit: float | None = None
    threads: int | None = None
    gflops: float | None = None
    share: float | None = None
    times: dict = field(default_factory=dict)
    details: dict = field(default_factory=dict)
    lines: list = field(default_factory=list)
    skipped: str | None = None

    @property
    def ratio(self):
        """The fastest peer's time over ours, or None without a peer."""
        return min(self.peers.values()) / self.ours if self.peers else None

    @property
    def met(self):
        """Whether the row is where it should be; None where nothing is asked of it."""
        if self.skipped is None and self.target is not None and self.peers:
            return self.ratio >= self.target
        if self.skipped is None and self.limit is not None:
            return self.ours <= self.limit
        return None


def interleave(contestants, repeats, pause=time.sleep):
    """Let contestants take turns: a, b, c, a, b, c, ...

    Returns:
        A list of `repeats` times for each contestant, in seconds.
    """
    times = [[] for _ in contestants]
    for turn in range(repeats):
        for contestant, taken in zip(contestants, times, strict=True):
            pause(PAUSE)
            contestant.prelude()
            taken.append(contestant.run(turn))
    return times


def timed(work, clock=time.perf_counter):
    """Return a `run` that calls `work` and times it."""

    def run(turn):
        began = clock()
        work()
        return clock() - began

    return run


def race(contestants, repeats, scale, **about):
    """Interleave contestants and return a `Result`.

    Args:
        contestants: of which one is named 'ours'.
        repeats: turns of each.
        scale: from a turn's seconds to the result's unit.
        about: further fields of the result.
    """
    times, medians = {}, {}
    for contestant, taken in zip(contestants, interleave(contestants, repeats), strict=True):
        taken = [seconds * scale for seconds in taken]
        median = statistics.median(taken)
        if median < medians.get(contestant.name, float('inf')):
            times[contestant.name], medians[contestant.name] = taken, median
    return Result(ours=medians.pop('ours'), peers=medians, times=times, **about)


@contextlib.contextmanager
def threads(count):
    """Let cnnx and NumPy's BLAS use so many threads in this process, inside a `with` block."""
    before = cnnx.num_threads()
    cnnx.set_num_threads(count)
    try:
        with _blas_threads(count):
            yield
    finally:
        cnnx.set_num_threads(before)


def _blas_threads(count):
    if importlib.util.find_spec('threadpoolctl') is None:
        return contextlib.nullcontext()
    from threadpoolctl import threadpool_limits

    return threadpool_limits(count, user_api='blas')
