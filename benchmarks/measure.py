"""Timing in turns, and the results of measurements."""

import contextlib
import importlib.util
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import cnnx

# The pause between turns, in seconds, after which the threads of the previous contestant have stopped spinning.
PAUSE = 0.02


class DifferentWorkError(RuntimeError):
    """The contestants of a row do not compute the same results."""


class Contestant(NamedTuple):
    """One side of a row.

    Attributes:
        name: the name of its column: 'ours', or that of a peer. Of several with the same name, the fastest counts.
        run: a function that does the work of a turn, given its number from 0, and returns the seconds that it took.
        warm_up: a function that does a part of the work before each turn, not timed, to wake threads and fill caches.
    """

    name: str
    run: Callable
    warm_up: Callable = lambda: None


@dataclass
class Result:
    """The result of a row; times are in its unit.

    Attributes:
        ours: the median of our times, or the number that the row measures.
        peers: the peers' medians, by name.
        target: what `ratio` should reach.
        limit: what `ours` should not exceed.
        gflops: our speed in GFLOP/s: multiply-adds of dense arithmetic count as two operations each.
        peak_fraction: gflops / measured peak with as many threads.
        times: all measured times, by contestant.
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
    peak_fraction: float | None = None
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
        """Whether the target or limit of the row is met; None if it has none."""
        if self.skipped is None and self.target is not None and self.peers:
            return self.ratio >= self.target
        if self.skipped is None and self.limit is not None:
            return self.ours <= self.limit
        return None


def interleave(contestants, repeats, pause=time.sleep):
    """Run contestants in turns: a, b, c, a, b, c, ...

    Returns:
        A list of `repeats` times for each contestant, in seconds.
    """
    times = [[] for _ in contestants]
    for turn in range(repeats):
        for contestant, taken in zip(contestants, times, strict=True):
            pause(PAUSE)
            contestant.warm_up()
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
        contestants: a list of `Contestant`, one of them named 'ours'.
        repeats: the number of turns of each.
        scale: the factor from the seconds of a turn to the unit of the result.
        about: other fields of the result.
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
