"""Layers that merge branches: Add, Multiply and Concatenate."""

import numpy as np

from cnnx._util.arrays import as_kernels_read, as_numbers
from cnnx._util.validation import is_whole
from cnnx.layers.base import Layer


class Merging(Layer):
    """Base class of layers that read several outputs: x and dx are lists of arrays, `input_shape` is one of shapes."""

    merges = True

    def __init__(self):
        super().__init__()

    def check_input(self, x):
        if not isinstance(x, (list, tuple)) or len(x) < 2:
            got = f'{len(x)} of them' if isinstance(x, (list, tuple)) else type(x).__name__
            raise ValueError(f'{self.where}: expected a list of at least two arrays, got {got}')
        arrays = [as_numbers(each, f'{self.where} input') for each in x]
        if self.shape is None:
            dtype = 'float64' if any(each.dtype == np.float64 for each in arrays) else 'float32'
            self.set_up([each.shape[1:] for each in arrays], dtype=dtype)
        if len(arrays) != len(self.input_shape):
            raise ValueError(f'{self.where}: expected {len(self.input_shape)} arrays, got {len(arrays)}')
        for array, shape in zip(arrays, self.input_shape, strict=True):
            self.check_shape(array, shape, 'input')
        if len({len(array) for array in arrays}) > 1:
            raise ValueError(f'{self.where}: expected as many samples in each array, got {[len(a) for a in arrays]}')
        return [as_kernels_read(array, self.dtype) for array in arrays]


class Add(Merging):
    """Add the outputs of several layers, number by number: y = x_1 + x_2 + ...

    Shape: [(N, ...), (N, ...), ...], all equal -> (N, ...). Gradient: each of them gets dy.

    Source: He et al., "Deep residual learning for image recognition", 2016, section 3.2.
    """

    def output_shape(self, input_shape):
        return _equal(input_shape)

    def forward(self, x, training=False):
        x = self.check_input(x)
        y = self.empty('y', x[0].shape)
        np.add(x[0], x[1], out=y)
        for other in x[2:]:
            y += other
        self._saved = (y,)
        return y

    def backward(self, dy):
        return [self.check_gradient(dy)] * len(self.input_shape)


class Multiply(Merging):
    """Multiply the outputs of several layers, number by number: y = x_1 x_2 ...

    Shape: [(N, ...), (N, ...), ...], all equal -> (N, ...). Gradient: each of them gets dy times the others.

    Source: Hu et al., "Squeeze-and-excitation networks", 2018, equation 4, which scales channels so.
    """

    def output_shape(self, input_shape):
        return _equal(input_shape)

    def forward(self, x, training=False):
        x = self.check_input(x)
        y = self.empty('y', x[0].shape)
        np.multiply(x[0], x[1], out=y)
        for other in x[2:]:
            y *= other
        self._saved = tuple(x)
        return y

    def backward(self, dy):
        dy = self.check_gradient(dy)
        gradients = []
        for i in range(len(self._saved)):
            dx = self.empty(f'dx_{i}', dy.shape)
            dx[...] = dy
            for other in (*self._saved[:i], *self._saved[i + 1 :]):
                dx *= other
            gradients.append(dx)
        return gradients


class Concatenate(Merging):
    """Put the outputs of several layers one after the other along an axis, such as the channels.

    Shape: [(N, H, W, C_1), (N, H, W, C_2), ...] -> (N, H, W, C_1 + C_2 + ...); likewise along another axis, and for
    other shapes. Gradient: each of them gets its part of dy.

    Source: Szegedy et al., "Going deeper with convolutions", 2015, section 4.

    Args:
        axis: of a sample, from 0; negative ones count from the end, and -1 is that of the channels.

    Raises:
        ValueError: there is no such axis, or the shapes differ along another one.
    """

    def __init__(self, axis=-1):
        super().__init__()
        if not is_whole(axis):
            raise ValueError(f'axis: expected a whole number, got {axis!r}')
        self.axis = int(axis)

    def output_shape(self, input_shape):
        first = input_shape[0]
        if not -len(first) <= self.axis < len(first):
            raise ValueError(f'axis: expected an axis of {first}, got {self.axis}')
        axis = self.axis % len(first)
        rests = {(*shape[:axis], *shape[axis + 1 :]) if len(shape) == len(first) else shape for shape in input_shape}
        if len(rests) > 1:
            raise ValueError(f'expected shapes that differ along axis {self.axis} alone, got {_listed(input_shape)}')
        return (*first[:axis], sum(shape[axis] for shape in input_shape), *first[axis + 1 :])

    def forward(self, x, training=False):
        x = self.check_input(x)
        y = self.empty('y', (len(x[0]), *self.shape))
        np.concatenate(x, axis=self.axis_of_batch, out=y)
        self._saved = (y,)
        return y

    def backward(self, dy):
        dy, axis = self.check_gradient(dy), self.axis_of_batch
        gradients, first = [], 0
        for i, shape in enumerate(self.input_shape):
            dx = self.empty(f'dx_{i}', (len(dy), *shape))
            last = first + dx.shape[axis]
            dx[...] = dy[(slice(None),) * axis + (slice(first, last),)]
            gradients.append(dx)
            first = last
        return gradients

    @property
    def axis_of_batch(self):
        """The axis as one of a batch, from 1 on."""
        return self.axis % len(self.shape) + 1


def _equal(shapes):
    """Return the shape that all have, or raise a ValueError."""
    if len(set(shapes)) > 1:
        raise ValueError(f'expected equal shapes, got {_listed(shapes)}')
    return shapes[0]


def _listed(shapes):
    return ' and '.join(map(str, shapes))
