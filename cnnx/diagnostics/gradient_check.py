"""Whether the gradients that layers compute are those of the loss: central differences beside them."""

import copy
import math
from typing import NamedTuple

import numpy as np

from cnnx._util.validation import non_negative, positive_int, whole_number
from cnnx.execution.fusion import fuses_loss
from cnnx.layers.parameter import Parameter
from cnnx.losses import value_and_gradient
from cnnx.training.array_data import ArrayData

# Truncation falls with the square of a step, rounding rises with its inverse: the first step is where float64
# has little of both, the others are for kinks nearby.
STEPS = (1e-5, 1e-6, 1e-7)
# Gradients below this are held to it, and not to their own size, since rounding covers their last digits.
FLOOR = 1e-4
# How much of a disagreement the bend of the slope may be before the disagreement says nothing.
BEND = 0.1
# Entries tried for each that is to be compared, where some have to be skipped.
TRIES = 4


class Row(NamedTuple):
    """What was found of one array of gradients.

    Attributes:
        layer: index and kind; the loss stands last.
        array: 'input', or the parameter's name.
        error: the largest relative error; NaN where nothing could be compared.
        place: the index at which it is, or None.
        analytic, numeric: the two gradients there.
        checked, skipped: how many entries were compared, and how many lie on a kink.
        ok: whether some were compared, and all agree.
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
    """What `check_gradients` found: true if all gradients agree, and a table when printed.

    Attributes:
        rows: a `Row` for each layer's input and for each of its parameters, from the first layer to the loss.
    """

    def __init__(self, rows):
        self.rows = rows

    def __bool__(self):
        return all(row.ok for row in self.rows)

    def __repr__(self):
        header = ('layer', 'gradient of', 'error', 'at', 'analytic', 'numeric', 'checked', 'skipped', '')
        cells = [header, *map(_cells, self.rows)]
        widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
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
                f'WRONG: {len(wrong)} of {len(self.rows)}. Gradients run from the loss to the first layer: look at '
                f'{last.layer}, {last.array}, first'
            )
        unknown = [f'{row.layer}, {row.array}' for row in self.rows if not row.checked]
        if unknown:
            return f'not known, since all that was tried lies on a kink: {"; ".join(unknown)}'
        return f'all {len(self.rows)} agree'


def check_gradients(network, x, y, *, samples_per_parameter=20, tolerance=1e-5, seed=0):
    """Compare the gradients of a network with central differences of its loss.

    All is computed in float64, on a copy: weights, gradients, optimizer memory, generator and dtype of the network
    stay as they are. The loss is that of training, penalties of weights included, all of x being one batch; the
    layers run one by one. What a layer keeps beside its parameters, a generator above all, is set back before each
    pass, so that all passes draw the same numbers. Compared are the gradients by the parameters that training
    changes, and by the input of each layer and of the loss: a layer that passes back a wrong gradient makes all those
    before it wrong. A Softmax that trains as one step with cross-entropy counts as part of the loss.

    With a for what `backward` gives, and n = (L(v + h) - L(v - h)) / 2h for what is measured, the relative
    error is |a - n| / max(|a|, |n|, floor). The floor keeps the rounding of L from counting as an error of what is
    nearly 0: 1e-4 at h = 1e-5, it grows with loss and outputs over 1, and with 1 / h. So gradients below about 1e-9
    go unchecked: check a network before it is trained to the end.

    A quotient across a kink, of ReLU or max-pooling for instance, is meaningless. Kinks show in a itself, whatever
    layer they are in: over a smooth stretch, a at v + h and v - h is nearly what it is at v, and across a kink it
    jumps. So where a and n differ, a is computed at both ends too. If it changes by less than a tenth of the
    difference, no kink explains it, and a is wrong. Else the quotients to one side, of v + h and v and of v and
    v - h, are judged in the same way, since a kink at v itself leaves one side smooth (a bias of 0 before a ReLU,
    where pixels are blank). Else h is made ten times smaller, twice. What is undecided then is skipped, and another
    entry drawn, up to four for each that is to be compared. An array without a single one compared is not ok.

    Args:
        network: a compiled `cnnx.Network`.
        x, y: a few samples and their targets; more samples have more kinks.
        samples_per_parameter: how many entries of each array to compare, drawn at random; None for all.
        tolerance: the largest relative error that is right.
        seed: of the draw.

    Returns:
        A `GradientCheck`.

    Raises:
        ValueError: an argument is wrong, x and y do not fit the network or each other, their loss is not finite, or
            a layer gives no gradient of the shape of its input.

    Source: "Gradient checks" in the notes of Stanford's CS231n, cs231n.github.io/neural-networks-3, for the relative
    error, the sizes of steps, kinks, and few samples.
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
    """What gradients are compared of: a parameter, or, where that is None, the input of the step at a position."""

    layer: str
    position: int
    parameter: Parameter | None
    gradient: np.ndarray
    values: np.ndarray


class _Passes:
    """Training passes of a copy of a network over one batch, with one number changed.

    Attributes:
        arrays: all that is compared.
        loss: the mean loss with nothing changed.
        scale: the largest of loss and outputs, and 1: rounding grows with it.
    """

    def __init__(self, network, x, y):
        self._network = _in_float64(network)
        samples = ArrayData(self._network, x, y)
        self._x, self._targets = samples.batch(slice(None))
        layers, self._loss = self._network.layers, self._network.loss
        # Softmax and cross-entropy count as one.
        self._softmax = layers[-1] if fuses_loss(layers, self._loss) else None
        self._layers = layers if self._softmax is None else layers[:-1]
        self._state = self._copy_state(self._current_state())
        self.loss = self._forward()
        if not math.isfinite(self.loss):
            raise ValueError(f'check_gradients: expected samples of a finite loss, got {self.loss}; look at x and y')
        self.scale = max(1.0, abs(self.loss), float(np.abs(self._inputs[-1]).max()))
        self.arrays = self._make_arrays()

    def loss_at(self, array, place, value):
        """Return the loss with one entry of an array set to a value."""
        return self._with(array, place, value, self._forward)

    def gradient_at(self, array, place, value):
        """Return the gradient by an entry of an array that is set to a value."""

        def run(*change):
            self._forward(*change)
            inputs = self._backward()
            gradient = inputs[array.position] if array.parameter is None else array.parameter.grad
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
        inputs = [x.copy() for x in self._inputs]
        names = [f'{layer.index} {type(layer).__name__}' for layer in self._layers] + [type(self._loss).__name__]
        for position, (name, gradient) in enumerate(zip(names, self._backward(), strict=True)):
            arrays.append(_Array(name, position, None, gradient, inputs[position]))
            if position < len(self._layers):
                for p in self._layers[position].parameters:
                    if p.learns:
                        arrays.append(_Array(name, position, p, p.grad.copy(), p.value.copy()))
        return arrays

    def _forward(self, position=None, place=None, value=None):
        """Return the mean loss, with an entry of the input of the layer at a position set to a value."""
        self._restore()
        x, self._inputs = self._x, []
        for i in range(len(self._layers) + 1):
            if i == position:
                x = x.copy()
                x[place] = value
            self._inputs.append(x)
            if i < len(self._layers):
                x = self._layers[i].forward(x, True)
        y = x if self._softmax is None else self._softmax.forward(x, True)
        loss, self._gradient = value_and_gradient(self._loss, y, self._targets)
        return loss + self._network.plan.penalty()

    def _backward(self):
        """Return the gradients by the layers' inputs, the loss's last, and write those of the parameters."""
        for parameter in self._network.parameters.values():
            parameter.grad[...] = math.nan  # what a layer forgets to write
        gradient = self._gradient
        gradients = [gradient if self._softmax is None else self._softmax.backward(gradient)]
        for layer, x in zip(reversed(self._layers), reversed(self._inputs[:-1]), strict=True):
            gradient = layer.backward(gradients[0].copy())
            if np.shape(gradient) != x.shape:
                found = 'None' if gradient is None else np.shape(gradient)
                raise ValueError(
                    f'{layer.where}: expected {type(layer).__name__}.backward to return a gradient of the shape of its '
                    f'input, {x.shape}, got {found}'
                )
            gradients.insert(0, gradient)
        for layer in self._layers:
            if layer.l2 > 0:
                layer.add_penalty_gradient()
        return [gradient.copy() for gradient in gradients]

    def _current_state(self):
        """Return what the layers keep beside parameters and the latest pass, and the generator."""
        kept = [
            {
                key: value
                for key, value in vars(layer).items()
                if key not in ('_parameters', '_saved', 'network_changes')
            }
            for layer in self._network.layers
        ]
        return kept, self._network.generator

    def _copy_state(self, state):
        """Copy a state, with one generator in several layers still one, and parameters still themselves."""
        parameters = self._network.parameters.values()
        same = [self._network, *self._network.layers, *parameters]
        same += [array for p in parameters for array in (p.value, p.grad)]
        return copy.deepcopy(state, {id(thing): thing for thing in same})

    def _restore(self):
        kept, self._network.generator = self._copy_state(self._state)
        for layer, attributes in zip(self._network.layers, kept, strict=True):
            vars(layer).update(attributes)


def _in_float64(network):
    """Return a copy of a network that shares nothing with it and computes in float64."""
    with network.plan.lock:
        twin = copy.deepcopy(network)
    for layer in twin.layers:
        layer.set_up(rng=twin.generator, dtype='float64')
    twin.dtype = np.dtype('float64')
    twin.reset_plan()
    return twin


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
    """Return the relative error of an entry and its numeric gradient, or None where it lies on a kink."""
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
        bends = [abs(passes.gradient_at(array, place, end) - analytic) for end in (low, high)]
        quotients = central, (passes.loss - below) / (value - low), (above - passes.loss) / (high - value)
        for quotient, bend in zip(quotients, (max(bends), *bends), strict=True):
            error = _relative_error(analytic, quotient, floor)
            if error <= tolerance or bend < BEND * abs(analytic - quotient) < math.inf:
                return error, quotient
    return None


def _relative_error(analytic, numeric, floor):
    return abs(analytic - numeric) / max(abs(analytic), abs(numeric), floor)


def _cells(row):
    place = '' if row.place is None else f'({", ".join(map(str, row.place))})'
    verdict = 'ok' if row.ok else 'WRONG' if row.checked else 'not known'
    figures = ('', '', '') if row.place is None else (f'{row.error:.1e}', f'{row.analytic:.6g}', f'{row.numeric:.6g}')
    return (row.layer, row.array, figures[0], place, *figures[1:], str(row.checked), str(row.skipped), verdict)
