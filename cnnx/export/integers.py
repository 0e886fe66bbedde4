"""The steps of a quantised network on arrays of 8-bit integers, with the same results, bit for bit, as in C.

A number q of a value stands for scale (q - zero). Sums are exact: they fit into 32 bits in C, and into the 53 of the
floats that they are computed in here. Letters: N samples; the rest as in c_loops.py.
"""

import numpy as np

from cnnx._numpy import convolution, pooling
from cnnx.export import steps as kinds
from cnnx.layers.pooling import Spread

FINE = 256  # steps between two integers in the mean of a window, before it is rescaled
UNIT_BITS = 15  # binary places of normalized numbers, before they are scaled


def run_step(step, constants, inputs):
    """Return a step's output, (N, *shape) int8.

    Args:
        step: of `steps_of`.
        constants: its `Constants`.
        inputs: arrays (N, ...) int8 of the values that it reads.
    """
    output = RUN[type(step)](step, constants, *inputs)
    return output.reshape(len(output), *step.shape)


def rescaled(sums, rescaling, zero):
    """Return sums times multiplier / 2^shift, rounded to the nearest, plus zero, as int8."""
    multipliers, shift = rescaling
    half = 1 << (shift - 1)
    return as_int8(((sums.astype(np.int64) * multipliers.astype(np.int64) + half) >> shift) + zero)


def as_int8(numbers):
    return np.clip(numbers, -128, 127).astype(np.int8)


def rounded(totals, count):
    """Return totals / count, rounded to the nearest, halves away from zero."""
    return np.sign(totals) * ((np.abs(totals) + count // 2) // count)


def look_up(table, x):
    return table[x.astype(np.intp) + 128]


def above_zero(x, scale):
    return x.astype(np.int64) - scale.zero


def product(step, constants, x):
    H, W, C = step.image
    sums = np.empty((len(x), *step.positions, step.weights.shape[3]))
    x = above_zero(x, constants.inputs[0]).astype(np.float64).reshape(len(x), H, W, C)
    weights, bias = constants.weights.astype(np.float64), constants.bias.astype(np.float64)
    if step.transposed:
        convolution.convolution_backward_input(weights.transpose(0, 1, 3, 2), x, sums, step.window, 1)
        sums += bias
    else:
        convolution.convolution_forward(x, weights, bias, sums, step.window, 1)
    sums = sums.astype(np.int64)
    if step.pooling is not None and step.pooling.is_maximum and kinds.pools_sums(step):
        sums = _maximum(sums, step.pooling)
    y = rescaled(sums, constants.rescaling, constants.sums.zero)
    if constants.table is not None:
        y = look_up(constants.table, y)
    if step.pooling is None or (step.pooling.is_maximum and kinds.pools_sums(step)):
        return y
    if step.pooling.is_maximum:
        return _maximum(y, step.pooling)
    return _mean(y, step.pooling, constants.activated, constants)


def pool(step, constants, x):
    x = x.reshape(len(x), *kinds.as_image(step.input_shapes[0]))
    if step.pooling.is_maximum:
        return _maximum(x, step.pooling)
    return _mean(x, step.pooling, constants.inputs[0], constants)


def _maximum(x, pooled):
    y = np.empty((len(x), *pooled.positions, x.shape[3]), x.dtype)
    x, window = _images(x, pooled, np.iinfo(x.dtype).min)
    pooling.maxpool_forward(x, y, np.empty(y.shape, np.int32), window, 1)
    return y


def _mean(x, pooled, scale, constants):
    totals = np.zeros((len(x), *pooled.positions, x.shape[3]), np.int64)
    x, window = _images(above_zero(x, scale), pooled, 0)
    for _, windows, pixels in pooling.places(window, x.shape[1:3], pooled.positions):
        totals[windows] += x[pixels]
    counts = np.outer(*pooled.counts)[..., np.newaxis]
    return rescaled(rounded(FINE * totals, counts), constants.mean, constants.output.zero)


def _images(x, pooled, padding):
    """Return the images to pool and the window over them, which has no dilation."""
    if pooled.window[6:8] == (1, 1):
        return x, pooled.window
    spread = Spread(pooled.image, pooled.window, pooled.positions)
    return spread.forward(x, padding), spread.window


def elementwise(step, constants, x):
    return look_up(constants.table, x)


def slopes(step, constants, x):
    x = above_zero(x, constants.inputs[0])
    multipliers, shift = constants.rescaling
    return rescaled(x, (np.where(x < 0, multipliers, constants.positive), shift), constants.output.zero)


def merge(step, constants, *inputs):
    inputs = [above_zero(x, scale) for x, scale in zip(inputs, constants.inputs, strict=True)]
    multipliers, shift = constants.rescaling
    if step.adds:
        total = sum(x * int(factor) for x, factor in zip(inputs, multipliers, strict=True))
        return rescaled(total, (np.int64(1), shift), constants.output.zero)
    return rescaled(np.prod(inputs, axis=0), constants.rescaling, constants.output.zero)


def join(step, constants, *inputs):
    parts = []
    for x, table, width in zip(inputs, constants.tables, step.widths, strict=True):
        parts.append((x if table is None else look_up(table, x)).reshape(len(x), step.rows, width))
    return np.concatenate(parts, axis=2)


def order(step, constants, x):
    return x.transpose(0, *(axis + 1 for axis in step.axes))


def frame(step, constants, x):
    P, Q, C = step.shape
    y = np.full((len(x), P, Q, C), constants.output.zero, np.int8)
    (top, above), (left, before) = ((max(at, 0), max(-at, 0)) for at in (step.top, step.left))
    inside = x[:, above : above + P, before : before + Q]
    y[:, top : top + inside.shape[1], left : left + inside.shape[2]] = inside
    return y


def enlarge(step, constants, x):
    height, width = step.size
    if not step.bilinear:
        return x.repeat(height, axis=1).repeat(width, axis=2)
    x = above_zero(x, constants.inputs[0])
    for axis, factor in ((1, height), (2, width)):
        size = x.shape[axis]
        place = np.clip(2 * np.arange(size * factor) + 1 - factor, 0, 2 * factor * (size - 1))
        first, part = np.divmod(place, 2 * factor)
        part = part.reshape([-1 if each == axis else 1 for each in range(4)])
        after = np.minimum(first + 1, size - 1)
        x = (2 * factor - part) * x.take(first, axis) + part * x.take(after, axis)
    return as_int8(rounded(x, 4 * height * width) + constants.output.zero)


def copy(step, constants, x):
    return x


def normalize(step, constants, x):
    N, G = len(x), step.groups
    x = above_zero(x, constants.inputs[0]).reshape(N, step.parts, step.positions, G, -1)
    count = step.positions * x.shape[4]
    total, squares = x.sum(axis=(2, 4), keepdims=True), np.square(x).sum(axis=(2, 4), keepdims=True)
    spread = count * squares - total * total + constants.epsilon  # count^2 times the variance
    bits = np.zeros_like(spread)
    while (small := spread < 1 << 60).any():
        spread, bits = np.where(small, spread << 2, spread), bits + small
    root = np.sqrt(spread.astype(np.float64)).astype(np.int64)
    root -= root * root > spread
    root += (root + 1) * (root + 1) <= spread
    difference = (count * x - total) << (bits + UNIT_BITS)
    unit = (np.sign(difference) * (np.abs(difference) // root)).reshape(N, -1, step.shape[-1])
    multipliers, shift = constants.rescaling
    y = (unit * multipliers.astype(np.int64) + constants.bias + (1 << (shift - 1))) >> shift
    return as_int8(y + constants.output.zero)


RUN = {
    kinds.Product: product,
    kinds.Pool: pool,
    kinds.Map: elementwise,
    kinds.Slopes: slopes,
    kinds.Normalize: normalize,
    kinds.Merge: merge,
    kinds.Join: join,
    kinds.Order: order,
    kinds.Frame: frame,
    kinds.Enlarge: enlarge,
    kinds.Copy: copy,
}
