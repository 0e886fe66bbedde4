"""Command line of the benchmarks, and the list of their rows."""

import argparse
import collections
import dataclasses
import fnmatch
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks import machine, models, peer, reports, rows, table, to_accuracy
from benchmarks.data import mnist
from benchmarks.measure import Result
from benchmarks.worker import Worker
from cnnx.data import DataError

# More processors than this used by other processes make the times unreliable.
BUSY = 0.2
RESULTS = Path(__file__).with_name('results.json')


class Row(NamedTuple):
    """A row: a function of settings and name, its other arguments, and whether it needs MNIST and PyTorch."""

    measure: Callable
    arguments: dict
    mnist: bool = True
    torch: bool = True


def _lenet5(**arguments):
    return Row(rows.lenet5_training, arguments)


def _random(**arguments):
    return Row(rows.random_training, arguments, mnist=False)


def _inference(build, title, *, count, **arguments):
    arguments |= {'build': build, 'title': title, 'source': max(count, 64), 'count': count}
    return Row(rows.inference, arguments, mnist=False, torch=False)


def _by_threads(count):
    return Row(reports.predictor_threads, {'count': count, 'target': 1.6}, mnist=False, torch=False)


VGG = '3-32-32-pool-64-64-pool-256-10'
VGG_BN = f'{VGG} with batch normalization'
ROWS = {
    'train-64': _lenet5(batch_size=64, samples=6400, target=7),
    'train-32': _lenet5(batch_size=32, samples=6400, target=8),
    'train-512': _lenet5(batch_size=512, samples=10_240, target=6),
    'train-1': _lenet5(batch_size=1, samples=600, target=20),
    'train-64-one-thread': _lenet5(batch_size=64, samples=6400, target=8, threads=1),
    'infer-1': _inference(models.lenet5, 'LeNet-5', count=1, target=1.8),
    'infer-1-predict': _inference(models.lenet5, 'LeNet-5', count=1, target=1.4, by_predictor=False),
    'infer-10000': _inference(models.lenet5, 'LeNet-5', count=10_000, target=2.5, batches=(256, 1000, 10_000)),
    'infer-vgg-bn-1': _inference(models.vgg_bn, VGG_BN, count=1, target=1.0),
    'infer-vgg-bn-256': _inference(models.vgg_bn, VGG_BN, count=256, target=1.3, batches=(64, 256)),
    'predictor-threads-1': _by_threads(1),
    'predictor-threads-64': _by_threads(64),
    'vgg': _random(build=models.vgg, title=VGG, samples=640, target=2),
    'vgg-bn': _random(build=models.vgg_bn, title=VGG_BN, samples=640, target=2.2),
    'accurate': _random(build=models.accurate, title="the recipe accurate's network", samples=1280, target=2.3),
    'dense': _random(build=models.dense, title='dense layers 4096-256-10', samples=3200, target=1),
    'stride-2': _random(build=models.strided, title='7x7 convolution of stride 2', samples=640, target=1.2),
    'overlapping-pools': _random(
        build=models.overlapping, title='3x3 pooling of stride 2', samples=640, target=1.2
    ),
    'resnet': _random(build=models.resnet, title='ResNet of three stages, 28 x 28', samples=640, target=2),
    'mobilenet': _random(build=models.mobilenet, title='MobileNet, 28 x 28', samples=640, target=1.5),
    'unet': _random(build=models.unet, title='U-Net, 96 x 96', samples=32, batch_size=8, target=1.7),
    'numpy-kernels': Row(reports.numpy_kernels, {}, torch=False),
    'loops': Row(reports.loops, {'target': 20}, torch=False),
    'scaling': Row(reports.scaling, {}, torch=False),
    'late-steps': Row(reports.late_steps, {'limit': 1.05}, torch=False),
    'augmentation': Row(reports.augmentation, {'target': 0.75}, torch=False),
    'batch-sizes': Row(reports.batch_sizes, {}, torch=False),
    'activations': Row(reports.activations, {}, torch=False),
    'busy-processors': Row(reports.busy_processors, {}, torch=False),
    'to-accuracy': Row(to_accuracy.to_accuracy, {}),
    'memory': Row(reports.memory, {'limit': 350}, torch=False),
    'mapped-file': Row(reports.mapped_file, {'samples': 1_000_000, 'limit': 40}, mnist=False, torch=False),
    'import': Row(reports.import_time, {}, mnist=False, torch=False),
}  # fmt: skip


@dataclasses.dataclass
class Settings:
    """The settings of a run, and what its rows use together."""

    quick: bool
    threads: int
    repeats: int
    names: list
    json: Path
    busy: float | None = None
    peaks: dict = dataclasses.field(default_factory=dict)
    workers: dict = dataclasses.field(default_factory=lambda: collections.defaultdict(Worker))  # one for each library

    def samples(self, full, batch_size):
        """Return the number of samples in a turn: at least two whole batches; with --quick, a quarter."""
        return max(2, (full // 4 if self.quick else full) // batch_size) * batch_size

    def with_rate(self, result, multiply_adds, seconds):
        """Add the speed of so much work to a result, and the fraction of the peak that it is."""
        result.gflops = 2e-9 * multiply_adds / seconds
        if result.threads in self.peaks:
            result.peak_fraction = 1e9 * result.gflops / self.peaks[result.threads]
        return result


def parse(arguments=None):
    """Return the settings from a command line; exit with a message if it is wrong."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks',
        description='Measure cnnx and its peers in turns; print a table and write it as JSON.',
        epilog=f'Rows: {", ".join(ROWS)}. Full MNIST is read from CNNX_DATA_DIR, or downloaded.',
    )
    parser.add_argument('--quick', action='store_true', help='less work in a turn and fewer turns: less accurate')
    parser.add_argument('--rows', default='*', metavar='PATTERN', help="rows to measure, such as 'train-*' (all)")
    parser.add_argument(
        '--threads', type=at_least_1, metavar='N', help='of each side (2, or one per processor if fewer)'
    )
    parser.add_argument('--repeats', type=at_least_1, metavar='N', help='turns of each side (7; --quick: 3)')
    parser.add_argument('--json', type=Path, default=RESULTS, metavar='FILE', help='output (benchmarks/results.json)')
    given = parser.parse_args(arguments)
    names = fnmatch.filter(ROWS, given.rows)
    if not names:
        parser.error(f'--rows {given.rows}: matches none of {", ".join(ROWS)}')
    if not given.json.parent.is_dir() or given.json.is_dir():
        parser.error(f'--json {given.json}: expected a file in a folder that exists')
    if given.threads and given.threads > machine.processors():
        parser.error(f'--threads {given.threads}: there are {machine.processors()} processors')
    return Settings(
        given.quick,
        given.threads or min(2, machine.processors()),
        given.repeats or (3 if given.quick else 7),
        names,
        given.json,
    )


def at_least_1(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'expected a whole number of at least 1, got {text!r}')
    return int(text)


def measure(settings, name):
    """Return the result of a row; if it cannot be measured, the result says why."""
    row = ROWS[name]
    try:
        if row.torch and (reason := peer.missing()):
            return Result(name, skipped=reason)
        if row.mnist:
            mnist()
    except DataError as error:
        return Result(name, skipped=f'no MNIST: {error}')
    return row.measure(settings, name, **row.arguments)


def write(settings, results, peaks_missing):
    document = {
        'machine': {**machine.describe(), 'busy_processors': settings.busy},
        'settings': {'quick': settings.quick, 'threads': settings.threads, 'repeats': settings.repeats},
        'time': time.strftime('%Y-%m-%dT%H:%M:%S%z'),
        'peak_gflops': {str(count): peak / 1e9 for count, peak in settings.peaks.items()},
        'peak_missing': peaks_missing,
        'rows': [{**dataclasses.asdict(result), 'ratio': result.ratio, 'met': result.met} for result in results],
    }
    settings.json.write_text(json.dumps(document, indent=1) + '\n', encoding='utf-8')


def main(arguments=None):
    settings = parse(arguments)
    began = time.perf_counter()
    settings.busy = machine.busy_processors()
    if settings.busy is not None and settings.busy > BUSY:
        print(f'{settings.busy:.1f} processors are busy with other processes: these times are not reliable')
    settings.peaks, peaks_missing = machine.measure_peaks((1, settings.threads))
    results = []
    for name in settings.names:
        results.append(measure(settings, name))
        print(table.describe(results[-1]), flush=True)
        write(settings, results, peaks_missing)
    print('', *table.format_results(results), '', sep='\n')
    print(peaks_missing or ', '.join(f'peak of {n} threads: {p / 1e9:.0f} GFLOP/s' for n, p in settings.peaks.items()))
    print(f'{settings.threads} threads, {time.perf_counter() - began:.0f} s; written to {settings.json}')
    if all(result.skipped is not None for result in results):
        sys.exit('python -m benchmarks: nothing could be measured')
