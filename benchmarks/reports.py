"""Rows that measure cnnx alone, or against something other than PyTorch."""

import itertools
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import cnnx
from benchmarks import machine, models
from benchmarks.data import mnist, samples_for
from benchmarks.loops import LoopNetwork
from benchmarks.measure import Contestant, Result, interleave, race, threads, timed
from benchmarks.models import MOMENTUM, Ours
from benchmarks.rows import EPOCH, LENET_RATE
from benchmarks.table import format_table, number
from cnnx import SGD, AveragePooling, CategoricalCrossEntropy, LeakyReLU, Sigmoid, Tanh
from cnnx.augmentation import Elastic, Erase, Rotate, Scale, Shear, Shift
from cnnx.optimizers import OPTIMIZERS

ROOT = Path(__file__).parents[1]
SIZES = tuple(2**power for power in range(11))
# Variants of LeNet-5: other activations and pooling, dropout, batch normalization.
VARIANTS = {
    'ReLU': {},
    'LeakyReLU': {'activation': LeakyReLU},
    'Tanh': {'activation': Tanh},
    'Sigmoid': {'activation': Sigmoid},
    'average pooling': {'pooling': AveragePooling},
    'Tanh, average pooling': {'activation': Tanh, 'pooling': AveragePooling},
    'dropout 0.5': {'dropout': 0.5},
    'batch normalization': {'normalized': True},
}
CLIFF = 1.25  # the rise of the time per sample, from one batch size to the next, that the table marks
AFFINE = [Shift(2), Rotate(10), Scale(0.1), Shear(10)]
AUGMENTATIONS = {
    'none': [],
    'shift': AFFINE[:1],
    'shift, rotate, scale, shear': AFFINE,
    'erase': [Erase(0.5, 0.1)],
    'elastic': [Elastic(34, 4)],
    'all of them': [*AFFINE, Elastic(34, 4), Erase(0.5, 0.1)],
}
IMPORT = """
import time, numpy
began = time.perf_counter()
import cnnx
imported = time.perf_counter()
cnnx.kernels.current()
print(imported - began, time.perf_counter() - imported)
"""


def numpy_kernels(settings, name):
    """Measure training LeNet-5 on the compiled kernels against the NumPy ones."""
    (x, y), _ = mnist()
    samples = settings.samples(1280, 64)
    ours, numpy_side = (Ours(models.lenet5(), x, y, 64, LENET_RATE) for _ in range(2))

    def train(count):
        with cnnx.use_backend('numpy'):
            numpy_side.train(0, count)

    contestants = [
        Contestant('ours', timed(lambda: ours.train(0, samples)), lambda: ours.train(0, 128)),
        Contestant('NumPy', timed(lambda: train(samples)), lambda: train(128)),
    ]
    title = 'LeNet-5, training, batch 64, compiled kernels against the NumPy ones'
    with threads(settings.threads):
        return race(
            contestants, settings.repeats, EPOCH / samples, name=name, title=title, unit='s/epoch',
            threads=settings.threads,
        )  # fmt: skip


def loops(settings, name, *, target):
    """Measure the NumPy kernels against a network that loops in Python."""
    (x, y), _ = mnist()
    x, y = x[:32], y[:32]
    ours = Ours(models.lenet5(), x, y, len(x), LENET_RATE)
    looping = LoopNetwork(ours.net, LENET_RATE, MOMENTUM)
    contestants = [
        Contestant('ours', timed(lambda: ours.train(0, len(x))), lambda: ours.train(0, len(x))),
        Contestant('loops', timed(lambda: looping.step(x, y))),
    ]
    title = 'LeNet-5, training step, batch 32, the NumPy kernels against Python loops'
    with threads(settings.threads), cnnx.use_backend('numpy'):
        return race(
            contestants, settings.repeats, 1e3, name=name, title=title, unit='ms/step', target=target,
            threads=settings.threads,
        )  # fmt: skip


def scaling(settings, name):
    """Measure training LeNet-5 on 1, 2, 4, 8, 16 threads, as far as there are processors."""
    (x, y), _ = mnist()
    samples = settings.samples(6400, 64)
    ours = Ours(models.lenet5(), x, y, 64, LENET_RATE)
    counts = [count for count in (1, 2, 4, 8, 16) if count <= machine.processors()]

    def train(count, samples):
        with threads(count):
            ours.train(0, samples)

    contestants = [
        Contestant(str(count), timed(lambda count=count: train(count, samples)), lambda count=count: train(count, 128))
        for count in counts
    ]
    times = [[taken * EPOCH / samples for taken in times] for times in interleave(contestants, settings.repeats)]
    medians = list(map(statistics.median, times))
    rows = [(count, number(median), number(medians[0] / median)) for count, median in zip(counts, medians, strict=True)]
    return Result(
        name,
        'LeNet-5, training, batch 64, by threads',
        's/epoch',
        ours=medians[-1],
        threads=counts[-1],
        times=dict(zip(map(str, counts), times, strict=True)),
        details={'seconds': dict(zip(map(str, counts), medians, strict=True))},
        lines=format_table(('threads', 's/epoch', 'speed-up'), rows),
    )


def predictor_threads(settings, name, *, count, target):
    """Measure one predictor of LeNet-5 called by two threads at once, so many images a call, against one thread."""
    if machine.processors() < 2:
        return Result(name, skipped='it takes two processors')
    net, calls = models.lenet5(), max(10, (4000 if settings.quick else 20_000) // count)
    predictor, (x, _) = net.predictor(), samples_for(net, count)

    def call(times):
        for _ in range(times):
            predictor(x)

    with threads(1), ThreadPoolExecutor(2) as pool:
        contestants = [
            Contestant('ours', timed(lambda: list(pool.map(call, [calls // 2] * 2))), lambda: call(5)),
            Contestant('one thread', timed(lambda: call(calls // 2 * 2)), lambda: call(5)),
        ]
        return race(
            contestants, settings.repeats, 1e6 / (calls // 2 * 2 * count), name=name,
            title=f'LeNet-5, one predictor called by two threads, {count} images a call', unit='us/image',
            target=target, threads=1,
        )  # fmt: skip


def late_steps(settings, name, *, limit):
    """Measure whether steps take as long late in a run as at its beginning, with each optimizer, on one thread.

    Optimizer state that decays to denormal numbers makes them slower on some processors; these are counted too.
    """
    (x, y), _ = mnist()
    steps, pairs = (100, 3) if settings.quick else (1000, 5)
    rows, ratios = [], {}
    for kind, batch_size in itertools.product(OPTIMIZERS.values(), (1, 64)):
        times = []
        for _ in range(pairs):
            ours = Ours(models.lenet5(), x, y, batch_size, LENET_RATE / 10)
            ours.net.compile(CategoricalCrossEntropy(), kind(momentum=MOMENTUM) if kind is SGD else kind())
            with threads(1):
                ours.train(0, 2 * batch_size)
                train = timed(lambda side=ours: [side.train(0, steps // 2 * side.batch_size) for _ in range(2)])
                times.append([train(turn) for turn in range(6)])
        ratio = statistics.median(last / first for first, *_, last in times)
        ratios[f'{kind.__name__}, batch {batch_size}'] = ratio
        rows.append((kind.__name__, batch_size, number(ratio), _denormals(ours.net)))
    return Result(
        name,
        f'LeNet-5, steps {5 * steps:,} to {6 * steps:,} in parts of the first {steps:,}, the slowest optimizer',
        'times',
        ours=max(ratios.values()),
        limit=limit,
        threads=1,
        details={'ratios': ratios},
        lines=format_table(('optimizer', 'batch', 'late / early', 'denormals in its state'), rows),
    )


def _denormals(net):
    """Return how many numbers of the optimizer's state are too small for their full precision."""
    arrays = [array for layer in net.layers for parameter in layer.parameters for array in parameter.state.values()]
    return sum(int(((array != 0) & (np.abs(array) < np.finfo(array.dtype).tiny)).sum()) for array in arrays)


def augmentation(settings, name, *, target):
    """Measure training LeNet-5 with and without augmentation; the row counts the four affine ones together."""
    (x, y), _ = mnist()
    samples = settings.samples(6400, 64)
    sides = [Ours(models.lenet5(), x, y, 64, LENET_RATE, augment) for augment in AUGMENTATIONS.values()]
    contestants = [
        Contestant(kind, timed(lambda side=side: side.train(0, samples)), lambda side=side: side.train(0, 128))
        for kind, side in zip(AUGMENTATIONS, sides, strict=True)
    ]
    with threads(settings.threads):
        taken = interleave(contestants, settings.repeats)
    times = {kind: [t * EPOCH / samples for t in times] for kind, times in zip(AUGMENTATIONS, taken, strict=True)}
    medians = {kind: statistics.median(times) for kind, times in times.items()}
    rows = [(kind, number(median), number(median / medians['none'])) for kind, median in medians.items()]
    return Result(
        name,
        'LeNet-5, training, batch 64, with shift, rotate, scale and shear',
        's/epoch',
        ours=medians['shift, rotate, scale, shear'],
        peers={'none': medians['none']},
        target=target,
        threads=settings.threads,
        times=times,
        details={'seconds': medians},
        lines=format_table(('augmentation', 's/epoch', 'times as long'), rows),
    )


def batch_sizes(settings, name):
    """Measure training steps of LeNet-5 with different batch sizes, in microseconds per sample."""
    (x, y), _ = mnist()
    least = 512 if settings.quick else 2048
    contestants, scales = [], []
    for size in SIZES:
        samples = max(2 * size, min(least, 128 * size))
        side = Ours(models.lenet5(), x, y, size, LENET_RATE)
        contestants.append(
            Contestant(
                str(size),
                timed(lambda side=side, n=samples: side.train(0, n)),
                lambda side=side, n=size: side.train(0, n),
            )
        )
        scales.append(1e6 / samples)
    with threads(settings.threads):
        taken = interleave(contestants, settings.repeats)
    times = [[seconds * scale for seconds in times] for times, scale in zip(taken, scales, strict=True)]
    medians, least_times = list(map(statistics.median, times)), list(map(min, times))
    rises = cliffs(SIZES, least_times)
    rows = [
        (size, number(median), number(least_time), f'cliff: {rises[size]:.2f} times' if size in rises else '')
        for size, median, least_time in zip(SIZES, medians, least_times, strict=True)
    ]
    return Result(
        name,
        'LeNet-5, training step, by batch size',
        'us/sample',
        ours=medians[SIZES.index(64)],
        threads=settings.threads,
        times=dict(zip(map(str, SIZES), times, strict=True)),
        details={'microseconds': dict(zip(map(str, SIZES), medians, strict=True)), 'cliffs': rises},
        lines=format_table(('batch', 'us/sample', 'least', ''), rows),
    )


def cliffs(sizes, times):
    """Return {size: factor} for the batch sizes at which a sample takes much longer than at the previous size.

    Pass the shortest measured times: they are least affected by other processes.
    """
    factors = {size: after / before for size, before, after in zip(sizes[1:], times, times[1:], strict=False)}
    return {size: factor for size, factor in factors.items() if factor > CLIFF}


def busy_processors(settings, name):
    """Measure a training step of LeNet-5 while other processes keep 0, 1, 2 processors busy, in milliseconds."""
    (x, y), _ = mnist()
    samples = settings.samples(6400, 64)
    ours = Ours(models.lenet5(), x, y, 64, LENET_RATE)
    counts = range(min(2, machine.processors()) + 1)

    def run(turn, busy):
        with machine.keep_busy(busy):
            ours.train(0, 640)
            return timed(lambda: ours.train(0, samples))(turn)

    contestants = [Contestant(str(busy), lambda turn, busy=busy: run(turn, busy)) for busy in counts]
    with threads(settings.threads):
        taken = interleave(contestants, settings.repeats)
    times = [[1e3 * seconds * 64 / samples for seconds in times] for times in taken]
    medians = list(map(statistics.median, times))
    rows = [(busy, number(median), number(median / medians[0])) for busy, median in zip(counts, medians, strict=True)]
    return Result(
        name,
        'LeNet-5, training step, batch 64, with busy processors',
        'ms/step',
        ours=medians[0],
        threads=settings.threads,
        times=dict(zip(map(str, counts), times, strict=True)),
        details={'milliseconds': dict(zip(map(str, counts), medians, strict=True))},
        lines=format_table(('busy', 'ms/step', 'times as long'), rows),
    )


def activations(settings, name):
    """Measure training steps of variants of LeNet-5 with other layers, in milliseconds."""
    (x, y), _ = mnist()
    samples = settings.samples(1280, 64)
    sides = {kind: Ours(models.variant(**options), x, y, 64, LENET_RATE) for kind, options in VARIANTS.items()}
    contestants = [
        Contestant(kind, timed(lambda side=side: side.train(0, samples)), lambda side=side: side.train(0, 128))
        for kind, side in sides.items()
    ]
    with threads(settings.threads):
        taken = interleave(contestants, settings.repeats)
    times = [[1e3 * seconds * 64 / samples for seconds in times] for times in taken]
    medians, least_times = list(map(statistics.median, times)), list(map(min, times))
    rows = [
        (kind, number(median), number(least_time), number(least_time / least_times[0]))
        for kind, median, least_time in zip(VARIANTS, medians, least_times, strict=True)
    ]
    return Result(
        name,
        'LeNet-5, training step, batch 64, with other layers',
        'ms/step',
        ours=medians[0],
        threads=settings.threads,
        times=dict(zip(VARIANTS, times, strict=True)),
        details={'milliseconds': dict(zip(VARIANTS, least_times, strict=True))},
        lines=format_table(('layers', 'ms/step', 'least', 'times as long'), rows),
    )


def import_time(settings, name):
    """Measure the time of `import cnnx` after NumPy is imported, in new processes, in milliseconds."""
    both = [tuple(map(float, _run('-c', IMPORT).split())) for _ in range(max(5, settings.repeats))]
    imports, kernels = ([1e3 * seconds for seconds in column] for column in zip(*both, strict=True))
    return Result(
        name,
        'import cnnx, beyond import numpy',
        'ms',
        ours=statistics.median(imports),
        times={'ours': imports, 'kernels': kernels},
        details={'kernels': statistics.median(kernels)},
        lines=[f'loading the kernels, at their first use: {number(statistics.median(kernels))} ms more'],
    )


def memory(settings, name, *, limit):
    """Measure the peak memory of `train_mnist.py --full --epochs 1`, in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        script = [sys.executable, str(ROOT / 'train_mnist.py'), '--full', '--epochs', '1', '--checkpoint-dir', folder]
        peak = float(_run('-m', 'benchmarks.child_memory', *script, '--threads', str(settings.threads)))
    title = 'peak memory of train_mnist.py --full --epochs 1'
    return Result(name, title, 'MiB', ours=peak, limit=limit, threads=settings.threads)


def mapped_file(settings, name, *, samples, limit):
    """Measure the memory of training, evaluation and prediction from a mapped file, in MiB."""
    title = f'memory without the mapped file of {samples:,} KiB'
    if not sys.platform.startswith('linux'):
        return Result(name, title, skipped='only Linux reports the memory of mapped files separately')
    grown = float(_run('-m', 'benchmarks.mapped', str(samples // 4 if settings.quick else samples)))
    return Result(name, title, 'MiB', ours=grown, limit=limit, threads=1)


def _run(*arguments):
    """Run Python in a new process and return what it prints."""
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    finished = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return finished.stdout
