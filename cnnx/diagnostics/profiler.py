"""Profiler: time and speed of a training step, block by block, as a fraction of the processor's peak."""

import copy
import time
from typing import NamedTuple

import numpy as np

from cnnx import kernels
from cnnx._util.validation import positive_int
from cnnx.training.array_data import ArrayData

PEAK_MULTIPLY_ADDS = 200_000_000


class Row(NamedTuple):
    """Time of a block, a layer, or the optimizer in a training step.

    Attributes:
        name: the layers in it.
        forward, backward: seconds, medians of several passes.
        multiply_adds: of both passes over the batch, dense: zeros count too.
    """

    name: str
    forward: float
    backward: float
    multiply_adds: int

    @property
    def flops(self):
        """Floating-point operations per second (FLOP/s); a multiply-add counts as two."""
        return 2 * self.multiply_adds / (self.forward + self.backward)


class Profile(NamedTuple):
    """What `Network.profile` has measured.

    Attributes:
        rows: a `Row` for each block (or layer that runs alone) and one for the optimizer.
        step: the seconds of a whole step.
    """

    rows: list
    step: float

    def __repr__(self):
        return f'<Profile: {len(self.rows)} rows, a step of {1e3 * self.step:.3f} ms>'


def measure_peak(threads=None):
    """Measure the peak speed of the processor in float32, in floating-point operations per second (FLOP/s).

    It is the best of five runs of multiply-adds in registers.

    Args:
        threads: the number of threads; None takes as many as kernels use.
    """
    threads = kernels.num_threads() if threads is None else positive_int(threads, 'threads')
    best = 0
    for _ in range(5):
        began = time.perf_counter()
        done = kernels.current().multiply_adds(PEAK_MULTIPLY_ADDS, threads)
        best = max(best, 2 * done / (time.perf_counter() - began))
    return best


def profile(network, x, y, *, batch_size=64, repeats=30):
    """Time the parts of a training step, print a table, and return it; the network stays as it is.

    Each block is timed alone, on one thread; the whole step on all threads, as it runs in training. Multiply-adds are
    counted as dense: a backward pass that skips zero gradients can seem faster than the peak.

    Args:
        network: a compiled `cnnx.Network`.
        x, y: samples and targets, of which the first ones are the batch.
        batch_size: the number of samples in the batch; all, if there are fewer.
        repeats: the number of measurements, whose median is taken.

    Returns:
        A `Profile`, (rows, step).

    Raises:
        ValueError: an argument is wrong, or x and y do not fit the network or each other.
    """
    network.needs_loss('profile')
    network = copy.deepcopy(network)  # a step changes running means and the generator too
    data = ArrayData(network, x, y)
    index = np.arange(min(positive_int(batch_size, 'batch_size'), len(data)))
    repeats = positive_int(repeats, 'repeats')
    plan = network.plan
    update = network.optimizer.prepare(network.trainable_parameters)
    steps, updates, times = [], [], []
    with plan.lock:
        plan.forward_and_backward(data, index)
        for _ in range(repeats):
            steps.append(_seconds(lambda: plan.forward_and_backward(data, index)))
            updates.append(_seconds(lambda: update(0.0)))
            times.append(plan.times(data, index))
        names, multiply_adds = plan.timed_parts(len(index))
    seconds = np.median(times, axis=0)
    rows = [Row(name, *pair, count) for name, pair, count in zip(names, seconds, multiply_adds, strict=True)]
    rows.append(Row(type(network.optimizer).__name__, 0.0, float(np.median(updates)), 0))
    step = float(np.median(steps) + np.median(updates))
    _print(rows, step, len(index))
    return Profile(rows, step)


def _seconds(function):
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def _print(rows, step, samples):
    peak, peak_of_one = measure_peak(), measure_peak(1)
    width = max(len('on one thread'), *(len(row.name) for row in rows))
    print(f'{"on one thread":{width}}  forward ms  backward ms  multiply-adds  GFLOP/s  of peak')
    for row in rows:
        line = f'{row.name:{width}}  {1e3 * row.forward:10.4f}  {1e3 * row.backward:11.4f}'
        if row.multiply_adds:
            line += f'  {row.multiply_adds:13,}  {row.flops / 1e9:7.1f}  {row.flops / peak_of_one:7.0%}'
        print(line)
    total = sum(row.multiply_adds for row in rows)
    print(
        f'a step of {samples} samples on {kernels.num_threads()} threads: {1e3 * step:.3f} ms, '
        f'{1e6 * step / samples:.2f} us per sample'
    )
    print(
        f'{total:,} multiply-adds, dense: {2e-9 * total / step:.1f} GFLOP/s, '
        f'{2 * total / step / peak:.0%} of the peak of {peak / 1e9:.0f} GFLOP/s'
    )
