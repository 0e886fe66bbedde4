"""Shapes of blocks, their arrays between known bytes, and the comparison of a block with its NumPy twin."""

import importlib
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from cnnx import _numpy
from cnnx._util.arrays import SLACK
from cnnx._util.windows import window_over

MODULES = (
    *('program', 'convolution_block', 'winograd', 'dense', 'softmax', 'activations', 'pooling', 'dropout'),
    *('normalization', 'depthwise', 'transposed_convolution', 'interpolation', 'merging'),
)
THREADS = (1, 2, 3, 4, 8)
# Multiply-adds of a case at most, so that NumPy, too, is done in a moment.
MOST_WORK = 2_000_000
BATCHES = (1, 2, 3, 7, 8, 9, 16, 33, 100)


class Convolution(NamedTuple):
    """A shape of a ConvolutionBlock."""

    image: tuple = (8, 8)
    channels: int = 1
    filters: int = 1
    kernel: tuple = (3, 3)
    stride: tuple = (1, 1)
    padding: str = 'valid'
    pool: tuple | None = None
    pool_stride: tuple | None = None
    relu: bool = True
    dx: bool = True
    batch: int = 3
    dtype: str = 'float32'

    @property
    def window(self):
        return window_over(self.image, self.kernel, self.stride, self.padding)

    @property
    def pooling(self):
        """The pooling's window, or None, and what comes out of it."""
        if self.pool is None:
            return None, self.window[1]
        return window_over(self.window[1], self.pool, self.pool_stride or self.pool)

    def fitted(self):
        """Make the image large enough and the batch small enough."""
        least = [1, 1]
        if self.padding == 'valid' or self.pool:
            pool = self.pool or (1, 1)
            least = [(p - 1) * s + k for p, s, k in zip(pool, self.stride, self.kernel, strict=True)]
        case = self._replace(image=tuple(map(max, self.image, least)))
        rows, columns = case.window[1]
        work = rows * columns * np.prod(case.kernel) * case.channels * case.filters
        return case._replace(batch=int(max(1, min(case.batch, MOST_WORK // work))))

    def shapes(self):
        output = (*self.pooling[1], self.filters)
        weights = (*self.kernel, self.channels, self.filters)
        return (*self.image, self.channels), output, weights

    def block(self, backend, a):
        window, positions = self.window
        pooling, _ = self.pooling
        return backend.ConvolutionBlock(
            a.x, a.weights, a.bias, a.y, window, positions, pooling, self.relu,
            a.dy, a.dx if self.dx else None, a.dweights, a.dbias,
        )  # fmt: skip


class Winograd(Convolution):
    """A shape of a WinogradBlock, without a pooling."""

    def block(self, backend, a):
        return backend.WinogradBlock(
            a.x, a.weights, a.bias, a.y, self.window[0], self.relu, a.dy, a.dx if self.dx else None, a.dweights, a.dbias
        )


class Depthwise(NamedTuple):
    """A shape of a DepthwiseBlock."""

    image: tuple
    channels: int
    kernel: tuple
    stride: tuple
    padding: str
    dilation: tuple = (1, 1)
    dx: bool = True
    batch: int = 3
    dtype: str = 'float32'

    @property
    def window(self):
        return window_over(self.image, self.kernel, self.stride, self.padding, self.dilation)

    def shapes(self):
        return (*self.image, self.channels), (*self.window[1], self.channels), (*self.kernel, 1, self.channels)

    def block(self, backend, a):
        dx = a.dx if self.dx else None
        return backend.DepthwiseBlock(a.x, a.weights, a.bias, a.y, self.window[0], a.dy, dx, a.dweights, a.dbias)


class TransposedConvolution(NamedTuple):
    """A shape of a TransposedConvolutionBlock, whose output is larger than its input, `small`."""

    small: tuple
    channels: int
    filters: int
    kernel: tuple
    stride: tuple
    dx: bool = True
    batch: int = 3
    dtype: str = 'float32'

    @property
    def large(self):
        axes = zip(self.small, self.kernel, self.stride, strict=True)
        return tuple((size - 1) * stride + kernel for size, kernel, stride in axes)

    def shapes(self):
        weights = (*self.kernel, self.filters, self.channels)
        return (*self.small, self.channels), (*self.large, self.filters), weights, (self.filters,)

    def block(self, backend, a):
        window, _ = window_over(self.large, self.kernel, self.stride, 'valid')
        dx = a.dx if self.dx else None
        return backend.TransposedConvolutionBlock(a.x, a.weights, a.bias, a.y, window, a.dy, dx, a.dweights, a.dbias)


class Interpolation(NamedTuple):
    """A shape of an InterpolationBlock."""

    image: tuple
    larger: tuple
    channels: int
    dx: bool = True
    batch: int = 3
    dtype: str = 'float32'

    def shapes(self):
        return (*self.image, self.channels), (*self.larger, self.channels), (1, 1)

    def block(self, backend, a):
        rows, columns = (
            np.maximum(0, 1 - np.abs(np.arange(new)[:, np.newaxis] * old / new - np.arange(old)))
            for old, new in zip(self.image, self.larger, strict=True)
        )
        return backend.InterpolationBlock(rows, columns, a.x, a.y, a.dy, a.dx if self.dx else None)


class Dense(NamedTuple):
    """A shape of a DenseBlock."""

    inputs: int
    outputs: int
    relu: bool = True
    dx: bool = True
    batch: int = 3
    dtype: str = 'float32'

    def shapes(self):
        return (self.inputs,), (self.outputs,), (self.inputs, self.outputs)

    def block(self, backend, a):
        return backend.DenseBlock(
            a.x, a.weights, a.bias, a.y, self.relu, a.dy, a.dx if self.dx else None, a.dweights, a.dbias
        )


class Pool(NamedTuple):
    """A shape of a PoolingBlock."""

    image: tuple
    channels: int
    pool: tuple
    stride: tuple
    padding: str
    average: bool
    dx: bool = True
    batch: int = 3
    dtype: str = 'float32'

    @property
    def window(self):
        return window_over(self.image, self.pool, self.stride, self.padding)

    def shapes(self):
        return (*self.image, self.channels), (*self.window[1], self.channels), (1, 1)

    def block(self, backend, a):
        return backend.PoolingBlock(self.average, a.x, a.y, self.window[0], a.dy, a.dx if self.dx else None)


class Elementwise(NamedTuple):
    """A shape of an ActivationBlock or a DropoutBlock."""

    kind: str
    sample: tuple
    dx: bool = True
    batch: int = 3
    dtype: str = 'float32'
    in_place: bool = False

    def shapes(self):
        return self.sample, self.sample, (1, 1)

    def block(self, backend, a):
        y, dx = (a.x, a.dy) if self.in_place else (a.y, a.dx if self.dx else None)
        if self.kind != 'dropout':
            return backend.ActivationBlock(self.kind, 0.3, a.x, y, a.dy, dx)
        block = backend.DropoutBlock(a.x, y, a.dy, dx)
        block.draw(2**63 + 12345, 0.4)
        return block


class Normalization(NamedTuple):
    """A shape of a NormalizationBlock."""

    sample: tuple
    batch: int = 3
    dtype: str = 'float32'

    def shapes(self):
        return self.sample, self.sample, (4, self.sample[-1])

    def block(self, backend, a):
        mean, variance, gamma, beta = a.weights
        variance *= variance
        return backend.NormalizationBlock(a.x, a.y, mean, variance, gamma, beta, 1e-3)


class BatchNormalization(NamedTuple):
    """A shape of a BatchNormalizationBlock; what it writes of channels is in `dweights`."""

    sample: tuple
    batch: int = 3
    dtype: str = 'float32'
    dx: bool = True
    in_place: bool = False

    def shapes(self):
        return self.sample, self.sample, (4, self.sample[-1])

    def block(self, backend, a):
        gamma, beta = a.weights[:2]
        mean, variance, dgamma, dbeta = a.dweights
        dx = a.dy if self.in_place else a.dx if self.dx else None
        return backend.BatchNormalizationBlock(a.x, a.y, gamma, beta, mean, variance, 1e-3, a.dy, dx, dgamma, dbeta)


def compiled(tier):
    """Return the blocks of a tier."""
    names = [f'cnnx._ext.{"" if stem == "program" else f"{tier}."}{stem}' for stem in MODULES]
    return SimpleNamespace(**{k: v for name in names for k, v in vars(importlib.import_module(name)).items()})


def twins():
    modules = [importlib.import_module(f'{_numpy.__name__}.{stem}') for stem in MODULES]
    return SimpleNamespace(**{key: value for module in modules for key, value in vars(module).items()})


class Arrays:
    """The arrays of a block, in memory with known bytes before and after."""

    GUARD = 256
    MARK = 0xFF  # a NaN in every dtype: what is read of it and used shows in the result

    def __init__(self, shapes, capacity, dtype, place=None):
        sample, output, weights, *others = shapes
        bias = others[0] if others else weights[-1:]
        self._memory = {}
        self._place = place or self._guarded
        for name, shape in {
            'x': (capacity, *sample), 'dx': (capacity, *sample), 'y': (capacity, *output), 'dy': (capacity, *output),
            'weights': weights, 'dweights': weights, 'bias': bias, 'dbias': bias,
        }.items():  # fmt: skip
            slack = 0 if name in ('dweights', 'dbias') else SLACK
            setattr(self, name, self._place(name, shape, np.dtype(dtype), slack))

    def _guarded(self, name, shape, dtype, slack):
        size = int(np.prod(shape)) * dtype.itemsize
        memory = np.full(self.GUARD + size + self.GUARD, self.MARK, np.uint8)
        self._memory[name] = memory, size
        return memory[self.GUARD : self.GUARD + size].view(dtype).reshape(shape)

    def check_guards(self):
        for name, (memory, size) in self._memory.items():
            assert (memory[: self.GUARD] == self.MARK).all(), f'written before {name}'
            assert (memory[self.GUARD + size :] == self.MARK).all(), f'written after {name}'

    def fill(self, seed, whole):
        """Draw numbers: with `whole`, so small that float32 holds every sum of them; many are equal then."""
        rng = np.random.default_rng(seed)
        for array in (self.x, self.weights, self.bias, self.dy):
            array[...] = rng.integers(-3, 4, array.shape) if whole else rng.normal(size=array.shape)
        for array in (self.y, self.dx, self.dweights, self.dbias):
            array[...] = 77

    def results(self):
        return {name: getattr(self, name).copy() for name in ('y', 'dx', 'dweights', 'dbias')}


def run(backend, case, arrays, threads, samples=None, capacity=None, passes=(True, True)):
    program = backend.Program([case.block(backend, arrays)], capacity or len(arrays.x))
    program.run(len(arrays.x) if samples is None else samples, True, *passes, threads)
    return program


def check(tier, case, seed=0, threads=THREADS, whole=None, spare=0):
    """Compare a block to its twin: results, what lies around them, and the bits of all numbers of threads."""
    whole = case.dtype == 'float32' if whole is None else whole
    capacity = case.batch + spare
    expected = Arrays(case.shapes(), capacity, case.dtype)
    expected.fill(seed, whole)
    run(twins(), case, expected, 1, case.batch)
    first = None
    for count in threads:
        ours = Arrays(case.shapes(), capacity, case.dtype)
        ours.fill(seed + 1, whole)
        program = run(compiled(tier), case, ours, count)
        ours.fill(seed, whole)
        program.run(case.batch, True, True, True, count)
        ours.check_guards()
        results = ours.results()
        for name, value in expected.results().items():
            scale = max(1, np.abs(value).max())
            tolerance = 0 if whole else scale * {'float32': 1e-4, 'float64': 1e-11}[case.dtype]
            np.testing.assert_allclose(results[name], value, rtol=0, atol=tolerance, err_msg=f'{name} of {case}')
        found = {name: value.tobytes() for name, value in results.items()}
        first = first or found
        assert found == first, f'{count} threads give other bits than {threads[0]}'


LENET = (
    Convolution((28, 28), 1, 6, (5, 5), padding='same', pool=(2, 2), dx=False),
    Convolution((14, 14), 6, 16, (5, 5), pool=(2, 2)),
)
HAND_PICKED = {
    'LeNet-5 1': LENET[0]._replace(batch=100),
    'LeNet-5 2': LENET[1]._replace(batch=33),
    'one pixel': Convolution((1, 1), kernel=(1, 1)),
    'one pixel pooled': Convolution((1, 1), kernel=(1, 1), pool=(1, 1)),
    'one pixel padded': Convolution((1, 1), 2, 5, (7, 7), padding='same'),
    'one pixel comes out': Convolution((7, 7), 3, 17, (7, 7)),
    'one pooled pixel comes out': Convolution((4, 4), 3, 17, (3, 3), pool=(2, 2)),
    'tall': Convolution((300, 3), 1, 2, pool=(3, 1)),
    'wide': Convolution((3, 300), 1, 2, pool=(1, 3)),
    'tall, several bands': Convolution((200, 40), 4, 3, padding='same', pool=(2, 2), batch=2),
    'wide, several bands': Convolution((20, 900), 2, 5, padding='same', pool=(2, 2), batch=2),
    'several bands that overlap': Convolution(
        (120, 50), 6, 17, padding='same', pool=(3, 3), pool_stride=(2, 2), batch=1
    ),
    'rows wider than a band': Convolution((6, 7000), 1, 2, padding='same', pool=(2, 2), batch=1),
    'nothing is covered at the end': Convolution((11, 11), 2, 6, (2, 2), (4, 4), pool=(2, 2)),
    'stride beyond the kernel': Convolution((13, 13), 5, 8, (1, 1), (3, 3)),
    'stride beyond the kernel, padded': Convolution((13, 13), 5, 8, (2, 2), (3, 3), 'same', (2, 2)),
    'patches of many chunks': Convolution((9, 9), 48, 17, (7, 7), padding='same', pool=(2, 2), batch=1),
    'patches that overlap their own rows': Convolution((9, 4), 1, 3, (5, 3), pool=(2, 2)),
    'more places than a block has': Convolution((15, 40), 2, 3, pool=(3, 3)),
    'columns of several vectors': Convolution((6, 101), 3, 7, pool=(2, 2), batch=2),
    'period of several columns': Convolution((9, 99), 3, 5, (3, 3), (2, 3), 'same', (2, 2), (3, 2), batch=2),
    'few filters without pooling': Convolution((9, 33), 2, 3, (3, 3), padding='same'),
    'parts of a row of one column': Convolution((4, 5), 8192, 3, (1, 2), batch=1),
    'windows of a pixel': Convolution((9, 33), 5, 11, (1, 1)),
    'whole vectors of filters': Convolution((9, 9), 16, 64, pool=(2, 2)),
    'nothing to spread': Convolution((9, 9), 3, 64, dx=False),
}
KINDS = ('relu', 'leaky_relu', 'sigmoid', 'tanh', 'dropout')
SAMPLES = ((1,), (7,), (16,), (33,), (3, 5, 6))
