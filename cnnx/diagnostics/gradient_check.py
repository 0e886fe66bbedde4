"""Gradient check: gradients from backpropagation compared with central differences of the loss."""

import copy
import math
from types import FunctionType
from typing import NamedTuple

import numpy as np

from cnnx._util.representation import html_table
from cnnx._util.validation import non_negative, positive_int, whole_number
from cnnx.execution import graph
from cnnx.execution.fusion import fuses_loss
from cnnx.layers.parameter import Parameter
from cnnx.losses import value_and_gradient
from cnnx.training.array_data import ArrayData

# Step sizes h. The truncation error grows with h squared, the rounding error with 1 / h: in float64, both are small at
# the first one. The smaller ones are for kinks nearby.
STEPS = (1e-5, 1e-6, 1e-7)
# The error of gradients smaller than this is relative to it, not to their own size, because of rounding.
FLOOR = 1e-4
# A kink can explain a disagreement only if the analytic gradient changes within the step by this fraction of it.
KINK = 0.1
# How many entries may be tried for each one that is to be compared, since some lie on a kink.
TRIES = 4
NOT_RESTORED = ('_parameters', '_saved', 'network_changes')
HEADER = ('layer', 'gradient of', 'error', 'at', 'analytic', 'numeric', 'checked', 'skipped', '')


class Row(NamedTuple):
    """The result for one array of gradients.

    Attributes:
        layer: index and class of the layer; the loss comes last.
        array: 'input', or the name of the parameter.
        error: the largest relative error; NaN if no entry could be compared.
        place: the index of the entry with that error, or None.
        analytic, numeric: the gradient from backpropagation and the central difference at that entry.
        checked, skipped: the number of entries that were compared, and of those skipped since they lie on a kink.
        ok: True if at least one entry was compared, and all agree.
    """

    layer: str
    array: str
    error: float
    place: tuple | None
    analytic: float
    numeric: float
    checked: int
    skipped: int
    ok: bool


class GradientCheck:
    """The result of `check_gradients`: true if all gradients agree; prints as a table.

    Attributes:
        rows: a `Row` for the input of each layer and for each of its parameters, from the first layer to the loss.
    """

    def __init__(self, rows):
        self.rows = rows

    def __bool__(self):
        return all(row.ok for row in self.rows)

    def _repr_html_(self):
        return html_table(HEADER, map(_cells, self.rows), self._conclusion())

    def __repr__(self):
        cells = [HEADER, *map(_cells, self.rows)]
        widths = [max(len(line[column]) for line in cells) for column in range(len(HEADER))]
        lines = []
        for line in cells:
            parts = [f'{cell:{"<" if i in (0, 1, 3) else ">"}{widths[i]}}' for i, cell in enumerate(line[:-1])]
            lines.append('  '.join([*parts, line[-1]]))
        return '\n'.join([*lines, self._conclusion()])

    def _conclusion(self):
        wrong = [row for row in self.rows if row.checked and not row.ok]
        if wrong:
            last = wrong[-1]
            return (
                f'WRONG: {len(wrong)} of {len(self.rows)}. Gradients go from the loss to the first layer: look at '
                f'{last.layer}, {last.array}, first'
            )
        unknown = [f'{row.layer}, {row.array}' for row in self.rows if not row.checked]
        if unknown:
            return f'not known, since all entries that were tried lie on a kink: {"; ".join(unknown)}'
        return f'all {len(self.rows)} agree'


def check_gradients(network, x, y, *, samples_per_parameter=20, tolerance=1e-5, seed=0):
    """Compare the gradients of a network with central differences of its loss.

    For each entry v of a parameter or an input, the gradient a that backpropagation gives is compared with the central
    difference n = (L(v + h) - L(v - h)) / 2h, with h = 1e-5 max(1, |v|). The relative error,
    |a - n| / max(|a|, |n|, 1e-4), must be at most `tolerance`. Checked are the parameters that training changes, the
    input of each layer, and the input of the loss.

    How to read the result: print it. A layer that returns a wrong gradient makes those of all layers before it wrong
    too, so look at the last wrong row first. A Softmax or Sigmoid that is trained in one step with cross-entropy counts
    as part of the loss.

    How it is computed: in float64, on a copy, so the network stays as it is. The loss is that of training, with l2
    penalties, over all of x as one batch, and layers run one by one. State of layers, such as random generators, is
    restored before each pass, so that all passes draw the same random numbers.

    Limits:

    - Gradients below about 1e-9 are not checked: the 1e-4 in the divisor keeps rounding errors from counting. It grows
      with losses and outputs larger than 1, and with smaller h. Check a network before it is fully trained.
    - At a kink, as ReLU and max-pooling have, a central difference is meaningless. A kink is recognised by a itself,
      which is computed at v + h and v - h too: across a kink it jumps. If it changes by less than a tenth of the
      disagreement, the gradient is wrong. Otherwise the one-sided differences are compared in the same way, which
      helps where v itself is on the kink, as for a bias of 0 before a ReLU; then h is divided by 10, twice. An entry
      that is still undecided is skipped, and another one drawn, up to 4 for each one to compare. An array without any
      compared entry is not ok.

    Args:
        network: a compiled `cnnx.Network`.
        x, y: a few samples and their targets; more samples have more kinks.
        samples_per_parameter: the number of entries of each array to compare, drawn at random; None for all.
        tolerance: the largest relative error of a gradient that counts as right.
        seed: for drawing the entries.

    Returns:
        A `GradientCheck`.

    Raises:
        ValueError: an argument is wrong, x and y do not fit the network or each other, the loss is not finite, or a
            layer returns a gradient whose shape is not that of its input.

    Source: "Gradient checks" in the notes of Stanford's CS231n, cs231n.github.io/neural-networks-3.
    """
    network.needs_loss('check_gradients')
    if samples_per_parameter is not None:
        samples_per_parameter = positive_int(samples_per_parameter, 'samples_per_parameter')
    tolerance = non_negative(tolerance, 'tolerance')
    rng = np.random.default_rng(whole_number(seed, 'seed'))
    with np.errstate(all='ignore'):
        passes = _Passes(network, x, y)
        return GradientCheck([_check(passes, array, samples_per_parameter, tolerance, rng) for array in passes.arrays])


class _Array(NamedTuple):
    """An array whose gradients are compared: a parameter, or, if that is None, the input of the step at `position`."""

    layer: str
    position: int
    parameter: Parameter | None
    gradient: np.ndarray
    values: np.ndarray


class _Passes:
    """Training passes of a copy of a network over one batch, with one entry of an array changed.

    Attributes:
        arrays: a list of `_Array`, all that are compared.
        loss: the mean loss with nothing changed.
        scale: the largest of |loss|, |outputs| and 1; rounding errors grow with it.
    """

    def __init__(self, network, x, y):
        self._network = _in_float64(network)
        self._x, self._targets = ArrayData(self._network, x, y).batch(slice(None))
        layers, self._loss = self._network.layers, self._network.loss
        # Softmax, or Sigmoid, and cross-entropy count as one.
        self._fused = layers[-1] if fuses_loss(layers, self._loss) else None
        self._layers = layers if self._fused is None else layers[:-1]
        self._reads = self._network.reads[: len(self._layers)]
        generators = {self._network.generator, *(layer.generator for layer in layers)} - {None}
        self._generators = {generator: generator.bit_generator.state for generator in generators}
        self._state = self._current_state()
        self.loss = self._forward()
        if not math.isfinite(self.loss):
            raise ValueError(f'check_gradients: expected samples with a finite loss, got {self.loss}; look at x and y')
        self.scale = max(1.0, abs(self.loss), float(np.abs(self._outputs[-1]).max()))
        self.arrays = self._make_arrays()

    def loss_at(self, array, place, value):
        """Return the loss with one entry of an array set to a value."""
        return self._with(array, place, value, self._forward)

    def gradient_at(self, array, place, value):
        """Return the gradient by an entry of an array, with that entry set to a value."""

        def run(*change):
            self._forward(*change)
            gradients = self._backward()
            gradient = gradients[array.position] if array.parameter is None else array.parameter.grad
            return float(gradient[place])

        return self._with(array, place, value, run)

    def _with(self, array, place, value, run):
        if array.parameter is None:
            return run(array.position, place, value)
        array.parameter.value[place] = value
        try:
            return run()
        finally:
            array.parameter.value[place] = array.values[place]

    def _make_arrays(self):
        arrays = []
        outputs = [x.copy() for x in self._outputs]
        names = [f'{layer.index} {type(layer).__name__}' for layer in self._layers] + [type(self._loss).__name__]
        for position, gradient in enumerate(self._backward()):
            # What a layer gives is named after the first that reads it.
            reader = next((i for i, places in enumerate(self._reads) if position - 1 in places), -1)
            arrays.append(_Array(names[reader], position, None, gradient, outputs[position]))
            if position < len(self._layers):
                name = names[position]
                for p in self._layers[position].parameters:
                    if p.learns:
                        arrays.append(_Array(name, position, p, p.grad.copy(), p.value.copy()))
        return arrays

    def _forward(self, position=None, place=None, value=None):
        """Return the mean loss, with one entry of the output of the layer before `position` set to a value."""
        self._restore()

        def changed(i, array):
            if i == position:
                array = array.copy()
                array[place] = value
            return array

        x = changed(0, self._x)
        self._outputs = graph.forward(self._reads, x, lambda i, x: changed(i + 1, self._layers[i].forward(x, True)))
        y = self._outputs[-1] if self._fused is None else self._fused.forward(self._outputs[-1], True)
        loss, self._gradient = value_and_gradient(self._loss, y, self._targets)
        return loss + self._network.plan.penalty()

    def _backward(self):
        """Return the gradients by x and by the outputs of the layers, and write those of the parameters."""
        for parameter in self._network.parameters.values():
            parameter.grad[...] = math.nan  # so that a gradient that a layer does not write is noticed
        dy = self._gradient if self._fused is None else self._fused.backward(self._gradient)
        gradients = graph.backward(self._reads, dy, self._backward_of)
        for layer in self._layers:
            if layer.l2 > 0:
                layer.add_penalty_gradient()
        return [gradient.copy() for gradient in gradients]

    def _backward_of(self, i, dy):
        layer = self._layers[i]
        gradient = layer.backward(dy.copy())
        if not layer.merges and np.shape(gradient) != self._outputs[self._reads[i][0] + 1].shape:
            found = 'None' if gradient is None else np.shape(gradient)
            raise ValueError(
                f'{layer.where}: expected {type(layer).__name__}.backward to return a gradient of the shape of its '
                f'input, {self._outputs[self._reads[i][0] + 1].shape}, got {found}'
            )
        return gradient

    def _current_state(self):
        """Return the attributes of each layer, without parameters and what the latest pass saved.

        They are two dicts: those that cannot change, and others, which have to be copied.
        """
        kept = []
        for layer in self._network.layers:
            attributes = {key: value for key, value in vars(layer).items() if key not in NOT_RESTORED}
            fixed = {key: value for key, value in attributes.items() if _is_fixed(value) or key == 'generator'}
            kept.append((fixed, self._copy({key: attributes[key] for key in attributes.keys() - fixed.keys()})))
        return kept

    def _copy(self, attributes):
        """Copy attributes of a layer, but not the network, its parameters and generators."""
        parameters = self._network.parameters.values()
        kept = [self._network, *self._network.layers, *parameters, *self._generators]
        kept += [array for p in parameters for array in (p.value, p.grad)]
        return copy.deepcopy(attributes, {id(thing): thing for thing in kept})

    def _restore(self):
        for generator, state in self._generators.items():
            generator.bit_generator.state = state
        for layer, (fixed, others) in zip(self._network.layers, self._state, strict=True):
            vars(layer).update(fixed)
            if others:
                vars(layer).update(self._copy(others))


def _is_fixed(value):
    """Whether a value cannot change, so that it need not be copied."""
    if isinstance(value, tuple):
        return all(map(_is_fixed, value))
    return value is None or isinstance(value, (bool, int, float, str, np.dtype, FunctionType))


def _in_float64(network):
    """Return a deep copy of a network that computes in float64."""
    with network.plan.lock:
        network = copy.deepcopy(network)
    for layer in network.layers:
        layer.set_up(rng=network.generator, dtype='float64')
    network._dtype = np.dtype('float64')
    network.reset_plan()
    return network


def _check(passes, array, samples, tolerance, rng):
    """Compare some entries of an array, and return its `Row`."""
    size = array.gradient.size
    wanted = size if samples is None else samples
    compared, skipped = [], 0
    for flat in rng.choice(size, min(size, TRIES * wanted), replace=False):
        if len(compared) == wanted:
            break
        place = tuple(map(int, np.unravel_index(flat, array.gradient.shape)))
        found = _compare(passes, array, place, tolerance)
        if found is None:
            skipped += 1
        else:
            compared.append((*found, place))
    error, numeric, place = max(compared, default=(math.nan, math.nan, None))
    analytic = math.nan if place is None else float(array.gradient[place])
    name = 'input' if array.parameter is None else array.parameter.name
    return Row(array.layer, name, error, place, analytic, numeric, len(compared), skipped, error <= tolerance)


def _compare(passes, array, place, tolerance):
    """Return the relative error of an entry and its numeric gradient, or None if it lies on a kink."""
    analytic, value = float(array.gradient[place]), float(array.values[place])
    for step in STEPS:
        step *= max(1.0, abs(value))
        low, high = value - step, value + step
        floor = FLOOR * passes.scale * STEPS[0] / step
        below, above = (passes.loss_at(array, place, end) for end in (low, high))
        central = (above - below) / (high - low)
        if not math.isfinite(analytic):
            return math.inf, central
        error = _relative_error(analytic, central, floor)
        if error <= tolerance:
            return error, central
        changes = [abs(passes.gradient_at(array, place, end) - analytic) for end in (low, high)]
        quotients = central, (passes.loss - below) / (value - low), (above - passes.loss) / (high - value)
        for quotient, change in zip(quotients, (max(changes), *changes), strict=True):
            error = _relative_error(analytic, quotient, floor)
            if error <= tolerance or change < KINK * abs(analytic - quotient) < math.inf:
                return error, quotient
    return None


def _relative_error(analytic, numeric, floor):
    return abs(analytic - numeric) / max(abs(analytic), abs(numeric), floor)


def _cells(row):
    place = '' if row.place is None else f'({", ".join(map(str, row.place))})'
    verdict = 'ok' if row.ok else 'WRONG' if row.checked else 'not known'
    numbers = ('', '', '') if row.place is None else (f'{row.error:.1e}', f'{row.analytic:.6g}', f'{row.numeric:.6g}')
    return (row.layer, row.array, numbers[0], place, *numbers[1:], str(row.checked), str(row.skipped), verdict)
