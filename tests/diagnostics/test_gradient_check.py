"""Gradient checks: planted mistakes are found, and every layer passes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import KINDS, distinct
from models import bits, lenet5, small_data, small_network

from cnnx import CategoricalCrossEntropy, Dense, Flatten, Layer, MeanSquaredError, Network, ReLU, Sigmoid, Softmax
from cnnx.diagnostics import gradient_check


class Affine(Layer):
    """y = x W + b in plain NumPy, as many outputs as inputs; what the layers with mistakes below differ from."""

    def build(self, input_shape):
        self.add_parameter('weights', input_shape * 2, lambda rng, shape, dtype: rng.normal(size=shape))
        self.add_parameter('bias', input_shape)

    def forward(self, x, training=False):
        self.x = x
        weights, bias = self.parameters
        return x @ weights.value + bias.value

    def backward(self, dy):
        weights, bias = self.parameters
        weights.grad = self.weights_gradient(self.x, dy)
        bias.grad = self.bias_gradient(dy)
        return self.input_gradient(weights.value, dy)

    def weights_gradient(self, x, dy):
        return x.T @ dy

    def bias_gradient(self, dy):
        return dy.sum(axis=0)

    def input_gradient(self, weights, dy):
        return dy @ weights.T


class WrongSign(Affine):
    def input_gradient(self, weights, dy):
        return -super().input_gradient(weights, dy)


class ForgottenFactor(Affine):
    def bias_gradient(self, dy):
        return dy.mean(axis=0)


class Transposed(Affine):
    def weights_gradient(self, x, dy):
        return dy.T @ x


class OneIndexOff(Affine):
    """Takes the input beside the right one, for a single weight."""

    def weights_gradient(self, x, dy):
        gradient = super().weights_gradient(x, dy)
        gradient[2, 1] = x[:, 3] @ dy[:, 1]
        return gradient


class NeverWritten(Affine):
    def backward(self, dy):
        self.parameters[0].grad = self.weights_gradient(self.x, dy)
        return self.input_gradient(self.parameters[0].value, dy)


class AddedUp(Affine):
    """Adds to what the last pass wrote."""

    def backward(self, dy):
        before = self.parameters[1].grad.copy()
        dx = super().backward(dy)
        self.parameters[1].grad += before
        return dx


class Halved(Affine):
    """Slightly wrong: a part in a thousand."""

    def input_gradient(self, weights, dy):
        return 1.001 * super().input_gradient(weights, dy)


class Leaking(ReLU):
    """Forward a ReLU, backward none."""

    def backward(self, dy):
        return dy


def chain(*layers, loss=None, inputs=4, seed=0, dtype='float32'):
    """A network with a layer or more between others."""
    net = Network(seed=seed, dtype=dtype)
    net.add(Dense(inputs, 5))
    net.add(Sigmoid())
    for layer in layers:
        net.add(layer)
    net.add(Dense(output_size=3))
    net.add(Softmax())
    net.compile(loss or CategoricalCrossEntropy())
    return net


def some_data(n=6, inputs=4):
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, inputs)), rng.integers(0, 3, n)


def wrong_rows(check):
    return [f'{row.layer}, {row.array}' for row in check.rows if not row.ok]


BEFORE = ['0 Dense, input', '0 Dense, weights', '0 Dense, bias', '1 Sigmoid, input']


# Mistakes


@pytest.mark.parametrize(
    ('kind', 'expected'),
    [
        (WrongSign, [*BEFORE, '2 WrongSign, input']),
        (Halved, [*BEFORE, '2 Halved, input']),
        (Leaking, [*BEFORE, '2 Leaking, input']),
        (ForgottenFactor, ['2 ForgottenFactor, bias']),
        (Transposed, ['2 Transposed, weights']),
        (OneIndexOff, ['2 OneIndexOff, weights']),
        (NeverWritten, ['2 NeverWritten, bias']),
        (AddedUp, ['2 AddedUp, bias']),
    ],
)
@pytest.mark.parametrize('dtype', ['float32', pytest.param('float64', marks=pytest.mark.slow)])
def test_a_planted_mistake_is_found_where_it_is(kind, expected, dtype):
    layers = [Dense(output_size=5), kind()] if kind is Leaking else [kind()]
    if kind is Leaking:
        expected = [*BEFORE, '2 Dense, input', '2 Dense, weights', '2 Dense, bias', '3 Leaking, input']
    net = chain(*layers, dtype=dtype)
    check = net.check_gradients(*some_data(), samples_per_parameter=None)
    assert not check
    assert wrong_rows(check) == expected
    assert f'look at {expected[-1]}, first' in repr(check).splitlines()[-1]
    assert repr(check).count('  WRONG') == len(expected)
    assert check._repr_html_().count('<td>WRONG</td>') == len(expected)


def test_the_worst_entry_is_shown_with_both_gradients():
    data = some_data()
    (row,) = (row for row in chain(OneIndexOff()).check_gradients(*data, samples_per_parameter=None).rows if not row.ok)
    assert row.place == (2, 1)
    assert (row.checked, row.skipped) == (25, 0)
    assert row.error == pytest.approx(abs(row.analytic - row.numeric) / max(abs(row.analytic), abs(row.numeric)))
    right, wrong = chain(Affine(), dtype='float64'), chain(OneIndexOff(), dtype='float64')
    gradients = []
    for net in (right, wrong):
        for name, parameter in chain(Affine()).parameters.items():
            net.parameters[name].value = parameter.value
        net.backward(net.loss.value_and_gradient(net.forward(data[0], training=True), data[1])[1])
        gradients.append(net.layers[2].parameters[0].grad[2, 1])
    assert row.numeric == pytest.approx(gradients[0], rel=1e-6)
    assert row.analytic == pytest.approx(gradients[1])


class HalvedError(MeanSquaredError):
    def value_and_gradient(self, y, targets, sample_weight=None):
        loss, gradient = super().value_and_gradient(y, targets, sample_weight)
        return loss, gradient / 2


def test_a_wrong_loss_is_found():
    check = chain(loss=HalvedError()).check_gradients(*some_data())
    assert all(not row.ok for row in check.rows)
    assert 'look at HalvedError, input, first' in repr(check)


class NoGradient(Affine):
    def input_gradient(self, weights, dy):
        return None


class ShortGradient(Affine):
    def input_gradient(self, weights, dy):
        return dy[:, 1:]


@pytest.mark.parametrize(('kind', 'got'), [(NoGradient, 'None'), (ShortGradient, r'\(6, 4\)')])
def test_a_gradient_of_another_shape_is_reported(kind, got):
    with pytest.raises(ValueError, match=rf'layer 2 \({kind.__name__}\).*its input, \(6, 5\), got {got}'):
        chain(kind()).check_gradients(*some_data())


# Clean bills


def test_lenet5_passes_on_images_with_blank_borders():
    rng = np.random.default_rng(0)
    x = np.zeros((3, 28, 28, 1))
    x[:, 8:20, 8:20] = rng.random((3, 12, 12, 1)).round(1)
    check = lenet5(0).check_gradients(x, [0, 1, 2], samples_per_parameter=10)
    assert check, check
    assert [row.array for row in check.rows[:4]] == ['input', 'weights', 'bias', 'input']
    assert [row.layer for row in check.rows[-2:]] == ['11 Dense', 'CategoricalCrossEntropy']
    assert all(row.checked == 10 or row.array in ('input', 'bias') for row in check.rows)


@pytest.mark.parametrize('kind', KINDS)
@settings(max_examples=4)
@given(data=st.data())
def test_every_kind_of_layer_passes(kind, data):
    layer, shape = data.draw(KINDS[kind])
    net = Network(seed=0)
    net.add(layer.set_up(shape))
    net.add(Flatten())
    net.add(Dense(output_size=3))
    net.compile(MeanSquaredError())
    check = net.check_gradients(distinct((2, *shape), 3), [0, 2], samples_per_parameter=10)
    assert check, check


@pytest.mark.parametrize('loss', [CategoricalCrossEntropy(), MeanSquaredError()])
def test_softmax_is_checked_by_itself_unless_it_runs_with_the_loss(loss):
    check = small_network(loss=loss).check_gradients(*small_data(4))
    assert check, check
    assert ('5 Softmax' in {row.layer for row in check.rows}) == isinstance(loss, MeanSquaredError)


def test_a_gradient_by_hand():
    """L = (w x - t)^2 with w = 3, x = 2, t = 5: dL/dw = 2 (6 - 5) 2, dL/dx = 2 (6 - 5) 3."""
    layer = Dense(1, 1)
    layer.weights = [[3]]
    net = Network()
    net.add(layer)
    net.compile(MeanSquaredError())
    rows = net.check_gradients([[2]], [5]).rows
    assert [(row.array, row.analytic) for row in rows] == [('input', 6), ('weights', 4), ('bias', 2), ('input', 2)]
    for row in rows:
        assert row.numeric == pytest.approx(row.analytic, rel=1e-8)
        assert (row.checked, row.skipped) == (1, 0)


@pytest.mark.parametrize('scale', [1e-3, 1e3, 1e6])
def test_large_and_small_numbers_pass(scale):
    net = Network(seed=0)
    net.add(Dense(4, 5))
    net.add(Sigmoid())
    net.add(Dense(5, 2))
    net.compile(MeanSquaredError())
    x, _ = some_data()
    check = net.check_gradients(x / scale, scale * np.ones((6, 2)), samples_per_parameter=None)
    assert check, check


# Kinks


class Rounded(Affine):
    """Passes numbers on with the last digits wrong, as long sums have them."""

    def build(self, input_shape):
        pass

    def forward(self, x, training=False):
        return x + 2e-15 * np.sign(np.sin(1e15 * x))

    def backward(self, dy):
        return dy


def at_a_point(first, second, x=0.0, bias=None, relu=ReLU, after=()):
    """L = (relu(first x + bias) . second - 1)^2 of a single number x."""
    net = Network()
    into, out = Dense(1, len(first)), Dense(len(first), 1)
    into.weights, out.weights = [first], [[weight] for weight in second]
    if bias is not None:
        into.bias = bias
    for layer in (into, relu(), out, *after):
        net.add(layer)
    net.compile(MeanSquaredError())
    return net.check_gradients([[x]], [1])


def test_a_kink_with_a_smooth_side_is_checked_on_that_side():
    check = at_a_point([1], [2])
    assert check, check
    assert [row.skipped for row in check.rows] == [0] * len(check.rows)


def test_a_kink_on_both_sides_is_skipped_and_nothing_but_skipped_is_not_ok():
    check = at_a_point([1, -1], [2, 3])
    assert not check
    row = check.rows[0]
    assert (row.array, row.checked, row.skipped, row.ok) == ('input', 0, 1, False)
    assert math.isnan(row.error)
    assert row.place is None
    assert 'not known' in repr(check).splitlines()[1]
    assert repr(check).endswith('not known, since all entries that were tried lie on a kink: 0 Dense, input')


def test_a_kink_that_the_quotients_do_not_show_is_not_taken_for_a_mistake():
    """relu(x) - relu(-x) is x: at 0 the layers give 0 and the derivative is 1, on both sides."""
    row = at_a_point([1, -1], [1, -1]).rows[0]
    assert (row.checked, row.skipped) == (0, 1)


@pytest.mark.parametrize('distance', [3e-6, 3e-7])
def test_a_smaller_step_leaves_kinks_aside(distance):
    row = at_a_point([1, -1], [2, 3], bias=[distance, distance]).rows[0]
    assert (row.checked, row.skipped, row.ok) == (1, 0, True)
    assert row.numeric == pytest.approx(row.analytic, rel=1e-6)


def test_the_rounding_of_a_smaller_step_is_not_taken_for_a_mistake():
    """The derivative between the two kinks is nearly 0, so that the quotient there is rounding alone."""
    for distance in np.random.default_rng(0).uniform(2e-7, 6e-7, 20):
        check = at_a_point([1, -1], [1, 0.999999], bias=[distance, 1.5 * distance], after=[Rounded()])
        assert check.rows[0].ok, check


@pytest.mark.parametrize('distance', [0, 3e-7, 3e-6, 1e-4])
def test_a_mistake_near_a_kink_is_found(distance):
    check = at_a_point([1, -1], [2, 3], bias=[-distance, -distance], relu=Leaking)
    row = check.rows[0]
    assert (row.checked, row.ok) == (1, False), check


def test_others_are_drawn_for_those_that_are_skipped():
    """Half of the inputs are 0 and lie on a kink: the others are enough."""
    net = Network(seed=0)
    net.add(Flatten(input_shape=(1, 1)))
    into = Dense(output_size=2)
    net.add(into)
    into.weights = [[1, -1]]
    net.add(ReLU())
    net.add(Dense(output_size=1))
    net.compile(MeanSquaredError())
    x = np.where(np.arange(40) % 2, 1.0, 0.0).reshape(40, 1, 1)
    row = net.check_gradients(x, np.ones(40), samples_per_parameter=10).rows[0]
    assert row.ok
    assert row.checked == 10
    assert 0 < row.skipped <= 20


# The same numbers in every pass, and nothing changed


class Dropped(Layer):
    """Half of the inputs, drawn again from a generator in each training pass."""

    def build(self, input_shape):
        self.drawn_from = self.generator

    def forward(self, x, training=False):
        self.kept = self.drawn_from.integers(0, 2, x.shape) if training else np.ones(x.shape)
        return (x * self.kept).astype(self.dtype)

    def backward(self, dy):
        return (dy * self.kept).astype(self.dtype)


class Counted(Layer):
    """Weakens with each training pass, and holds a running mean."""

    def __init__(self):
        super().__init__()
        self.passes, self.mean = 0, np.zeros(1)

    def forward(self, x, training=False):
        self.passes += training
        self.mean += x.mean()
        return x / (1 + self.passes)

    def backward(self, dy):
        return dy / (1 + self.passes)


def test_randomness_and_state_are_the_same_in_every_pass(monkeypatch):
    net = chain(Dropped(), Counted(), Dropped())
    assert net.layers[2].drawn_from is net.layers[4].drawn_from is net.generator
    check = net.check_gradients(*some_data(), samples_per_parameter=None)
    assert check, check
    monkeypatch.setattr(gradient_check._Passes, '_restore', lambda passes: None)
    assert not net.check_gradients(*some_data()), 'passes that differ would not agree'


def everything(net):
    states = {name: {k: v.tobytes() for k, v in p.state.items()} for name, p in net.parameters.items()}
    grads = {name: p.grad.tobytes() for name, p in net.parameters.items()}
    kept = [(layer.passes, layer.mean.tobytes()) for layer in net.layers if isinstance(layer, Counted)]
    return bits(net), grads, states, net.generator.bit_generator.state, net.dtype, kept


def test_the_network_stays_as_it_is():
    x, labels = some_data(30)
    nets = [chain(Dropped(), Counted()) for _ in range(2)]
    for net in nets:
        net.optimizer.momentum = 0.9
        net.train(x, labels, epochs=2, verbose=0)
    before, x_before = everything(nets[0]), x.copy()
    assert nets[0].check_gradients(x, labels)
    assert everything(nets[0]) == before
    assert (x == x_before).all()
    for net in nets:
        net.train(x, labels, epochs=1, verbose=0)
    assert everything(nets[0]) == everything(nets[1])


def test_parameters_that_are_not_trainable_are_left_out():
    net = chain(Affine())
    net.layers[2].parameters[0].trainable = False
    rows = net.check_gradients(*some_data()).rows
    assert [row.array for row in rows if row.layer == '2 Affine'] == ['input', 'bias']


def test_frozen_layers_are_left_out_and_passed_through():
    net = chain(Affine())
    net.layers[0].trainable = net.layers[2].trainable = False
    check = net.check_gradients(*some_data())
    assert check, check
    assert [row.array for row in check.rows if row.layer in ('0 Dense', '2 Affine')] == ['input', 'input']


def test_penalties_of_weights_and_smoothed_labels_are_part_of_the_loss():
    net = Network(seed=0)
    net.add(Dense(4, 5, l2=0.1))
    net.add(Sigmoid())
    net.add(Dense(output_size=3))
    net.add(Softmax())
    net.compile(CategoricalCrossEntropy(label_smoothing=0.2))
    check = net.check_gradients(*some_data(), samples_per_parameter=None)
    assert check, check
    net.layers[0].add_penalty_gradient = lambda: None
    assert wrong_rows(net.check_gradients(*some_data())) == ['0 Dense, weights']


# Arguments


def test_how_many_are_compared():
    net, data = small_network(), small_data(3)
    sizes = {name: parameter.value.size for name, parameter in net.parameters.items()}
    for samples in (3, None):
        for row in net.check_gradients(*data, samples_per_parameter=samples).rows:
            if row.array != 'input':
                size = sizes[f'{row.array}_{row.layer.split()[0]}']
                assert row.checked + row.skipped == size if samples is None else row.checked == 3


def test_one_seed_gives_one_draw():
    net, data = small_network(), small_data(3)
    first, same, other = (repr(net.check_gradients(*data, seed=seed)) for seed in (1, 1, 2))
    assert first == same != other


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'samples_per_parameter': 0}, 'samples_per_parameter: expected a whole number of at least 1'),
        ({'samples_per_parameter': 2.5}, 'samples_per_parameter'),
        ({'tolerance': -1}, 'tolerance: expected a finite number of at least 0'),
        ({'tolerance': math.nan}, 'tolerance'),
        ({'seed': -1}, 'seed: expected a whole number of at least 0'),
        ({'seed': None}, 'seed'),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        small_network().check_gradients(*small_data(3), **options)


@pytest.mark.parametrize('action', ['train', 'check_gradients'])
def test_wrong_samples_are_refused_as_by_train(action):
    net, (x, labels) = small_network(), small_data(3)
    for wrong_x, wrong_y, message in (
        (x[:, 1:], labels, r'layer 0 \(Convolutional\): expected x \(N, 6, 6, 1\)'),
        (x, labels + 3, 'y: . at position 0 is not a class'),
        (x, labels[:2], 'expected as many samples as targets, got 3 and 2'),
        (x[:0], labels[:0], 'expected at least one sample'),
        (x.astype(str), labels, 'x: expected numbers'),
    ):
        with pytest.raises(ValueError, match=message):
            getattr(net, action)(wrong_x, wrong_y)
    with pytest.raises(RuntimeError, match=f'{action} needs a loss'):
        getattr(Network(), action)(x, labels)


def test_samples_without_a_finite_loss_are_refused():
    x, labels = small_data(3)
    x[1] = math.nan
    with pytest.raises(ValueError, match='check_gradients: expected samples with a finite loss, got nan'):
        small_network().check_gradients(x, labels)
