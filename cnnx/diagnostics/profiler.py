"""Where the time of a step goes, block by block, and what share of the processor's speed that is."""

import copy
import time
from typing import NamedTuple

import numpy as np

from cnnx import kernels
from cnnx._util.validation import positive_int
from cnnx.training.array_data import ArrayData

PEAK_MULTIPLY_ADDS = 200_000_000


class Row(NamedTuple):
    """What a block, or a layer, takes of a step.

    Attributes:
        name: which layers.
        forward, backward: seconds, the medians of several passes.
        multiply_adds: of both passes over the batch, counted as if nothing were zero.
    """

    name: str
    forward: float
    backward: float
    multiply_adds: int

    @property
    def flops(self):
        """Floating-point operations per second; a multiply-add counts as two."""
        return 2 * self.multiply_adds / (self.forward + self.backward)


def measure_peak(threads=None):
    """Return how many floating-point operations per second the processor does at best, in float32.

    Measured with multiply-adds in registers; the best of five runs.

    Args:
        threads: how many; as many as kernels use by default.
    """
    threads = kernels.num_threads() if threads is None else positive_int(threads, 'threads')
    best = 0
    for _ in range(5):
        began = time.perf_counter()
        done = kernels.current().multiply_adds(PEAK_MULTIPLY_ADDS, threads)
        best = max(best, 2 * done / (time.perf_counter() - began))
    return best


def profile(network, x, y, batch_size=64, repeats=30):
    """Time the parts of a training step, print them, and return them; the network stays as it is.

    The parts are timed one by one, on one thread; the whole step as it runs, on all. Multiply-adds are counted
    as if every position carried gradient: a backward pass that visits only those that do can look faster than
    the processor.

    Args:
        network: a compiled `cnnx.Network`.
        x, y: samples to take a batch from.
        batch_size: samples to a step; all there are, if they are fewer.
        repeats: how often to time; medians are taken.

    Returns:
        (rows, step): a `Row` for each block, or layer where there are no blocks, and the seconds of a
        whole step.
    """
    network.needs_loss('profile')
    network = copy.deepcopy(network)  # a step moves more than weights: running means, the generator
    samples = ArrayData(network, x, y)
    index = np.arange(min(positive_int(batch_size, 'batch_size'), len(samples)))
    repeats = positive_int(repeats, 'repeats')
    plan = network.plan
    update = network.optimizer.prepare(network.trainable_parameters)
    steps, updates, times = [], [], []
    with plan.lock:
        plan.learn(samples, index)
        for _ in range(repeats):
            steps.append(_seconds(lambda: plan.learn(samples, index)))
            updates.append(_seconds(lambda: update(0.0)))
            times.append(plan.times(samples, index))
        names, multiply_adds = plan.timed_parts(len(index))
    seconds = np.median(times, axis=0)
    rows = [Row(name, *pair, count) for name, pair, count in zip(names, seconds, multiply_adds, strict=True)]
    rows.append(Row(type(network.optimizer).__name__, 0.0, float(np.median(updates)), 0))
    step = float(np.median(steps) + np.median(updates))
    _print(rows, step, len(index))
    return rows, step


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
        f'a step of {samples} samples as it runs, on {kernels.num_threads()} threads: {1e3 * step:.3f} ms, '
        f'{1e6 * step / samples:.2f} us a sample'
    )
    print(
        f'{total:,} multiply-adds, as if nothing were zero: {2e-9 * total / step:.1f} GFLOP/s, '
        f'{2 * total / step / peak:.0%} of the {peak / 1e9:.0f} GFLOP/s that is the peak'
    )
