"""Network.check_against: agreement with the network of origin, and the usual reasons where there is none."""

import numpy as np
import pytest

import cnnx


@pytest.fixture(scope='module')
def net():
    layers = [cnnx.Convolutional(4, 3, input_shape=(6, 6, 3)), cnnx.Tanh(), cnnx.Flatten(), cnnx.Dense(5)]
    return cnnx.Network([*layers, cnnx.Softmax()], seed=0)


X = np.random.default_rng(0).random((20, 6, 6, 3))


def test_the_same_outputs_agree(net):
    found = net.check_against(X, net.predict(X))
    assert found
    assert found.difference < 1e-6
    assert str(found).startswith('the outputs agree: they differ by at most')


MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
REASONS = {
    'x is divided by 255': (X * 255, X),
    'x is multiplied by 255': (X, X * 255),
    'x is inverted, 1 - x': (X, 1 - X),
    'x is inverted, 255 - x': (X * 255, 255 - X * 255),
    'x goes from -1 to 1, 2 x - 1': (X, 2 * X - 1),
    'the channels of x come in reverse order': (X, X[..., ::-1]),
    'height and width of x are exchanged': (X, X.swapaxes(1, 2)),
    'the channels of x are moved to the end': (np.moveaxis(X, -1, 1), X),
    'x has the mean of ImageNet': (X, (X - MEAN) / DEVIATION),
    'x is divided by 255, then x has the mean of ImageNet': (X * 255, (X - MEAN) / DEVIATION),
    'x is multiplied by the deviation of ImageNet': ((X - MEAN) / DEVIATION, X),
    'the channels of x come in reverse order and x is divided by 255': (X[..., ::-1] * 255, X),
}


@pytest.mark.parametrize('reason', REASONS)
def test_reasons_in_the_input_are_found(net, reason):
    given, taken = REASONS[reason]
    found = net.check_against(given, net.predict(taken))
    assert not found
    assert found.reasons[0].startswith(reason)
    assert f'they agree if {reason}' in str(found)


OUTPUTS = {
    'outputs are logits, and the network gives probabilities': lambda y: np.log(y) + 3,
    'outputs are logarithms of probabilities': np.log,
    'classes are counted from 1': lambda y: y.argmax(axis=1) + 1,
    'classes are counted from 1, 0 being none': lambda y: np.pad(y, ((0, 0), (1, 0))),
}


@pytest.mark.parametrize('reason', OUTPUTS)
def test_reasons_in_the_outputs_are_found(net, reason):
    found = net.check_against(X, OUTPUTS[reason](net.predict(X)))
    assert not found
    assert reason in found.reasons


def test_probabilities_against_logits(net):
    other = cnnx.Network(seed=0)
    for layer in [cnnx.Dense(3, 4), cnnx.Tanh()]:
        other.add(layer)
    x = np.random.default_rng(0).random((9, 3))
    exponentials = np.exp(other.predict(x))
    found = other.check_against(x, exponentials / exponentials.sum(axis=1, keepdims=True))
    assert found.reasons == ('outputs go through a softmax: the network gives logits',)


def test_labels_agree_with_the_classes(net):
    assert net.check_against(X, net.predict_classes(X))


def test_two_reasons_at_once(net):
    found = net.check_against(X * 255, np.log(net.predict(X)) + 3)
    assert found.reasons == ('x is divided by 255', 'outputs are logits, and the network gives probabilities')


def test_where_nothing_fits_it_says_so(net):
    found = net.check_against(X, np.random.default_rng(1).random((20, 5)))
    assert not found.reasons
    assert str(found).endswith('no usual reason fits')


def test_wrong_arrays_are_refused(net):
    with pytest.raises(ValueError, match='expected as many outputs as samples'):
        net.check_against(X, np.zeros((3, 5)))
    with pytest.raises(ValueError, match='tolerance: expected a finite number of more than 0'):
        net.check_against(X, np.zeros((20, 5)), tolerance=0)
