"""Post-training quantisation: a network in 8-bit integers, with ranges that are measured on typical samples.

A number q of a value stands for scale (q - zero), with one scale and zero for a value; weights have zero 0 and a scale
for each filter, the bias is a 32-bit integer at the scale of the sums. Sums are brought to the scale of the output by a
multiplication and a shift. Source: Jacob et al., "Quantization and training of neural networks for efficient
integer-arithmetic-only inference", 2018, section 2; a scale for each filter as in Krishnamoorthi, "Quantizing deep
convolutional networks for efficient inference: a whitepaper", 2018, section 3.
"""

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnnx._numpy import activations
from cnnx._util.arrays import as_kernels_read
from cnnx._util.validation import positive_int
from cnnx.export import integers
from cnnx.export import steps as kinds
from cnnx.export.integers import FINE, UNIT_BITS

OTHER_ACTIVATIONS = {  # that have no kernel
    kinds.UP_TO: lambda x, most: np.clip(x, 0, most),
    'selu': lambda x, alpha, scale: scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
    'hard_sigmoid': lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
}
MOST_PIXELS = 2**15  # of a window whose mean is taken, so that FINE times its total fits into 32 bits
MOST_NORMALIZED = 2**20  # numbers that are normalized together
MOST_FACTORS = 3  # of Multiply, whose product has to fit into 32 bits
BATCH = 64


class Scale(NamedTuple):
    """How integers stand for numbers: scale (q - zero)."""

    scale: float
    zero: int


class Rescaling(NamedTuple):
    """How sums become numbers at another scale: times multiplier / 2^shift."""

    multipliers: Any
    shift: int


@dataclass
class Constants:
    """What a step of integers needs beside its input.

    Attributes:
        inputs, output: the `Scale` of each value that it reads, and of the one that it gives.
        weights, bias: of a product, int8 and int32; the bias of a normalization is int64.
        rescaling: of its sums to `sums`.
        sums, activated: the `Scale` of a product's sums before its activation, and before its pooling.
        table: the 256 outputs of an activation, or None; `tables`, those for each value that Concatenate reads.
        mean: the `Rescaling` of a window's mean, in FINE parts.
        positive: of PReLU, the multiplier of numbers over 0.
        epsilon: of a normalization, at the scale of its sums.
    """

    inputs: tuple
    output: Scale
    weights: Any = None
    bias: Any = None
    rescaling: Any = None
    sums: Any = None
    activated: Any = None
    table: Any = None
    tables: tuple = ()
    mean: Any = None
    positive: Any = None
    epsilon: int = 0


class QuantizedNetwork:
    """A network in 8-bit integers; it predicts, and exports itself to C, where the same integers result.

    Integers lead from the input to the logits: a last Softmax, LogSoftmax or Sigmoid is computed of them in floats.

    Args:
        network: a `cnnx.Network`. Its weights become integers here: training it further does not change this one.
        calibrate: typical samples (N, ...), from which the range of each layer's output follows.

    Raises:
        ValueError: the samples do not fit or give infinite outputs, or a layer has no form in integers.

    Attributes:
        network: that was quantised.
        input_scale, output_scale: the `Scale` of input and logits.
    """

    def __init__(self, network, calibrate):
        self.network = network
        self.steps = kinds.steps_of(network, apart=kinds.HEADS)
        calibrate = network.check_samples(calibrate, 'calibrate')
        if not len(calibrate):
            raise ValueError('calibrate: expected at least one sample, got none')
        head = isinstance(self.steps[-1], (kinds.Softmax, kinds.Map)) and len(self.steps) > 1
        self.head = self.steps.pop() if head and type(network.layers[-1]) in kinds.HEADS else None
        self.scales = _scales(self.steps, _ranges(network, calibrate))
        self.constants = {step.value: _constants(step, self.scales) for step in self.steps}
        self.input_scale, self.output_scale = self.scales[kinds.INPUT], self.scales[self.steps[-1].value]

    def __repr__(self):
        return f'<QuantizedNetwork of {self.network!r}>'

    def predict(self, x, batch_size=256):
        """Return the output for samples, (N, ...) float32: the logits are those of `predict_int8`.

        Raises:
            ValueError: x does not fit the network.
        """
        logits = self.predict_int8(self.quantize_input(x), batch_size)
        outputs = (logits.astype(np.float32) - self.output_scale.zero) * np.float32(self.output_scale.scale)
        if isinstance(self.head, kinds.Softmax):
            outputs -= outputs.max(axis=-1, keepdims=True)
            total = np.exp(outputs).sum(axis=-1, keepdims=True)
            outputs = outputs - np.log(total) if self.head.logarithm else np.exp(outputs) / total
        elif self.head is not None:
            activations.sigmoid_forward(outputs, outputs, 1)
        return outputs

    def predict_classes(self, x, batch_size=256):
        """Return the most probable class of each sample, as `Network.predict_classes` does."""
        outputs = self.predict(x, batch_size)
        return (outputs[..., 0] > 0.5).astype(np.intp) if outputs.shape[-1] == 1 else outputs.argmax(axis=-1)

    def quantize_input(self, x):
        """Return samples as int8: rounded to the nearest, halves to even, and cut off at both ends."""
        x = self.network.check_samples(x, 'x').astype(np.float32)
        scale, zero = self.input_scale
        with np.errstate(over='ignore', invalid='ignore'):
            scaled = x * np.float32(1 / scale)
        least, most = np.float32(-128 - zero), np.float32(127 - zero)
        scaled = np.where(scaled > least, np.minimum(scaled, most), least)  # a NaN becomes the least
        return (np.rint(scaled) + zero).astype(np.int8)

    def predict_int8(self, x, batch_size=256):
        """Return the logits for samples of int8, (N, ...) int8."""
        x = np.asarray(x)
        if x.dtype != np.int8:
            raise ValueError(f'predict_int8: expected numbers of int8, as quantize_input gives them, got {x.dtype}')
        x = self.network.check_samples(x, 'x')
        outputs = np.empty((len(x), *self.network.layers[-1].shape), np.int8)
        batch_size = positive_int(batch_size, 'batch_size')
        for first in range(0, len(x), batch_size):
            values = {kinds.INPUT: x[first : first + batch_size]}
            for step in self.steps:
                inputs = [
                    values[value].reshape(-1, *shape)
                    for value, shape in zip(step.reads, step.input_shapes, strict=True)
                ]
                values[step.value] = integers.run_step(step, self.constants[step.value], inputs)
            logits = values[self.steps[-1].value]
            outputs[first : first + batch_size] = logits.reshape(-1, *outputs.shape[1:])
        return outputs

    def export(self, path, samples=None):
        """Write a C source and its header; `samples` as for `Network.export('digits.c')`.

        Raises:
            OSError: a file cannot be written.
            ValueError: the name does not end in .c.
        """
        from cnnx.export import c_int8

        if Path(path).suffix.lower() != '.c':
            raise ValueError(f'export: a quantised network is written as C: expected a name ending in .c, got {path!r}')
        c_int8.write(self, path, samples)


def _ranges(network, x):
    """Return the least and the largest number of each layer's output, and of the input, 0 among them."""
    layers = [copy.copy(layer) for layer in network.layers]  # what the layers keep for `backward` stays
    ranges = dict.fromkeys(range(-1, len(layers)), (0.0, 0.0))
    for first in range(0, len(x), BATCH):
        values = {kinds.INPUT: as_kernels_read(x[first : first + BATCH], network.dtype)}
        for place, (layer, reads) in enumerate(zip(layers, network.reads, strict=True)):
            inputs = [values[read] for read in reads]
            values[place] = layer.forward(inputs if layer.merges else inputs[0], False)
        for place, value in values.items():
            least, most = ranges[place]
            ranges[place] = min(least, float(value.min())), max(most, float(value.max()))
            if not all(map(math.isfinite, (value.min(), value.max()))):
                where = 'x' if place < 0 else f'the output of {layers[place].where}'
                raise ValueError(f'calibrate: expected finite numbers, got NaN or infinity in {where}')
    return ranges


def _scale_of(least, most):
    """Return the `Scale` of numbers from `least` to `most`, 0 among them."""
    scale = (most - least) / 255 or 1.0
    return Scale(scale, int(np.clip(np.rint(-128 - least / scale), -128, 127)))


def _scales(steps, ranges):
    """Return the `Scale` of each value, those within steps too."""
    scales = {place: _scale_of(*extent) for place, extent in ranges.items()}
    for step in steps:
        largest = isinstance(step, kinds.Pool) and step.pooling.is_maximum
        if largest or isinstance(step, (kinds.Order, kinds.Frame, kinds.Enlarge, kinds.Copy)):
            scales[step.value] = scales[step.reads[0]]
    return scales


def _constants(step, scales):
    constants = Constants(tuple(scales[value] for value in step.reads), scales[step.value])
    if type(step) in MAKE:
        try:
            MAKE[type(step)](step, constants, scales)
        except ValueError as error:
            raise ValueError(f'{step.layers[0].where}: {error}') from None
    return constants


def fixed_point(ratios, bits=31, most=62):
    """Return a `Rescaling` by ratios: whole multipliers of at most `bits` bits, and a shift of at most `most`."""
    ratios = np.asarray(ratios, np.float64)
    largest = np.abs(ratios).max()
    shift = int(np.clip(bits - math.frexp(largest)[1], 1, most)) if largest > 0 else 1
    limit = 2**bits - 1
    return Rescaling(np.clip(np.rint(ratios * 2.0**shift), -limit, limit).astype(np.int64), shift)


def _product(step, constants, scales):
    source = constants.inputs[0].scale
    taps = math.prod(step.weights.shape[:3])
    if taps * 255 * 127 >= 2**31 - 2**29:
        raise ValueError(f'int8: a sum of {taps} products may not fit into 32 bits; use fewer inputs')
    largest = np.abs(step.weights).max(axis=(0, 1, 2)) / 127
    # At a larger scale than the weights need where the bias would not fit into 29 bits.
    scale = np.maximum(largest, np.abs(step.bias) / source / 2**29)
    scale[scale == 0] = 1
    constants.weights = np.rint(step.weights / scale).astype(np.int8)
    constants.bias = np.rint(step.bias / (source * scale)).astype(np.int32)
    averages = step.pooling is not None and not step.pooling.is_maximum
    constants.activated = scales[step.activated] if averages else constants.output
    constants.sums = constants.activated
    # The limits of the output cut off what a ReLU does.
    if step.activation is not None and step.activation.name not in ('relu', kinds.UP_TO):
        constants.sums = scales[step.sums]
        constants.table = _table(step.activation, constants.sums, constants.activated)
    constants.rescaling = fixed_point(source * scale / constants.sums.scale)
    if averages:
        constants.mean = _mean(step.pooling, constants.activated, constants.output)


def _pool(step, constants, scales):
    if not step.pooling.is_maximum:
        constants.mean = _mean(step.pooling, constants.inputs[0], constants.output)


def _mean(pooling, source, target):
    pixels = pooling.window.height * pooling.window.width
    if pixels > MOST_PIXELS:
        raise ValueError(f'int8: expected at most {MOST_PIXELS} pixels in a window that is averaged, got {pixels}')
    return fixed_point(source.scale / target.scale / FINE)


def _map(step, constants, scales):
    constants.table = _table(step.activation, constants.inputs[0], constants.output)


def _table(activation, source, target):
    """Return the outputs (256,) int8 of an activation for all inputs; None for the identity between two scales."""
    x = (np.arange(-128.0, 128.0) - source.zero) * source.scale
    y = x
    if activation is not None:
        if activation.name in OTHER_ACTIVATIONS:
            y = OTHER_ACTIVATIONS[activation.name](x, *activation.parameters)
        else:
            y = np.empty_like(x)
            getattr(activations, f'{activation.name}_forward')(x, y, *activation.parameters, 1)
    return integers.as_int8(np.rint(y / target.scale) + target.zero)


def _slopes(step, constants, scales):
    ratio = constants.inputs[0].scale / constants.output.scale
    multipliers, shift = fixed_point([*(np.asarray(step.slopes, np.float64) * ratio), ratio])
    constants.rescaling, constants.positive = Rescaling(multipliers[:-1], shift), multipliers[-1]


def _merge(step, constants, scales):
    sources = [scale.scale for scale in constants.inputs]
    if step.adds:
        bits = 22 - len(sources).bit_length()  # so that the sum fits into 32
        constants.rescaling = fixed_point([source / constants.output.scale for source in sources], bits)
    elif len(sources) > MOST_FACTORS:
        raise ValueError(
            f'int8: expected at most {MOST_FACTORS} factors, got {len(sources)}; multiply some of them first'
        )
    else:
        constants.rescaling = fixed_point(math.prod(sources) / constants.output.scale)


def _join(step, constants, scales):
    constants.tables = tuple(
        None if source == constants.output else _table(None, source, constants.output) for source in constants.inputs
    )


def _normalize(step, constants, scales):
    count = step.positions * (step.shape[-1] // step.groups)
    if count > MOST_NORMALIZED:
        raise ValueError(f'int8: expected at most {MOST_NORMALIZED} numbers that are normalized together, got {count}')
    constants.epsilon = int(np.clip(np.rint(count**2 * step.epsilon / constants.inputs[0].scale ** 2), 1, 2**59))
    gamma, beta = (np.asarray(values, np.float64) / constants.output.scale for values in (step.gamma, step.beta))
    constants.rescaling = fixed_point(gamma / 2**UNIT_BITS, most=40)
    constants.bias = np.rint(beta * 2.0**constants.rescaling.shift).astype(np.int64)


def _softmax(step, constants, scales):
    kind = 'LogSoftmax' if step.logarithm else 'Softmax'
    raise ValueError(f'int8: expected {kind} as the last layer, after others; elsewhere export in float32')


MAKE = {
    kinds.Product: _product,
    kinds.Pool: _pool,
    kinds.Map: _map,
    kinds.Slopes: _slopes,
    kinds.Softmax: _softmax,
    kinds.Normalize: _normalize,
    kinds.Merge: _merge,
    kinds.Join: _join,
}
