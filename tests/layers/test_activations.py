"""Activations: by their formulas, by PyTorch's, and at their ends."""

import math

import numpy as np
import pytest

from cnnx import ELU, GELU, SELU, HardSigmoid, HardSwish, LeakyReLU, PReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh

NAN, INF = np.nan, np.inf
BY_FORMULA = {
    'ReLU': (ReLU(), lambda x: max(x, 0)),
    'ReLU6': (ReLU(max_value=6), lambda x: min(max(x, 0), 6)),
    'SELU': (SELU(), lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x))),
    'Hardsigmoid': (HardSigmoid(), lambda x: min(max(x / 6 + 0.5, 0), 1)),
    'LeakyReLU': (LeakyReLU(0.2), lambda x: x if x > 0 else 0.2 * x),
    'Sigmoid': (Sigmoid(), lambda x: 1 / (1 + math.exp(-x))),
    'Tanh': (Tanh(), math.tanh),
    'ELU': (ELU(0.5), lambda x: x if x > 0 else 0.5 * math.expm1(x)),
    'Softplus': (Softplus(), lambda x: max(x, 0) + math.log1p(math.exp(-abs(x)))),
    'SiLU': (SiLU(), lambda x: x / (1 + math.exp(-x))),
    'GELU': (GELU(), lambda x: x * math.erfc(-x / math.sqrt(2)) / 2),
    'HardSwish': (HardSwish(), lambda x: x * min(max(x + 3, 0), 6) / 6),
    'PReLU': (PReLU(0.5), lambda x: x if x > 0 else 0.5 * x),
}


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('name', BY_FORMULA)
def test_each_number_is_that_of_the_formula(name, dtype):
    layer, formula = BY_FORMULA[name]
    x = np.linspace(-9, 9, 1001).reshape(7, 11, 13).astype(dtype)
    expected = [formula(number) for number in x.reshape(-1).tolist()]
    y = type(layer)(**layer.settings()).forward(x)
    assert (y.shape, y.dtype) == (x.shape, dtype)
    # Far below 0, the last bit of x is worth x^2 such bits of GELU.
    least = {'float32': 1e-6, 'float64': 1e-14}[dtype] * (10 if name == 'GELU' else 1)
    np.testing.assert_allclose(y.reshape(-1), expected, rtol=least, atol=least * (name == 'Hardsigmoid'))


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('name', BY_FORMULA)
def test_outputs_and_gradients_are_those_of_pytorch(name):
    torch = pytest.importorskip('torch')
    theirs = {
        'LeakyReLU': torch.nn.LeakyReLU(0.2),
        'ELU': torch.nn.ELU(0.5),
        'HardSwish': torch.nn.Hardswish(),
        'PReLU': torch.nn.PReLU(13, init=0.5, dtype=torch.float64),
    }.get(name) or getattr(torch.nn, name)()
    layer = BY_FORMULA[name][0]
    layer = type(layer)(**layer.settings())
    rng = np.random.default_rng(0)
    x, dy = 3 * rng.normal(size=(21, 13)), rng.normal(size=(21, 13))
    inputs = torch.from_numpy(x).requires_grad_()
    expected = theirs(inputs)
    expected.backward(torch.from_numpy(dy))
    # PyTorch has the 1/6 of its Hardsigmoid in float32.
    tolerance = {'rtol': 1e-7 if name == 'Hardsigmoid' else 1e-12, 'atol': 1e-14}
    np.testing.assert_allclose(layer.forward(x), expected.detach().numpy(), **tolerance)
    np.testing.assert_allclose(layer.backward(dy), inputs.grad.numpy(), **tolerance)
    for ours, other in zip(layer.parameters, theirs.parameters(), strict=True):
        np.testing.assert_allclose(ours.grad, other.grad.numpy(), rtol=1e-12)


@pytest.mark.usefixtures('each_backend')
def test_gradients_by_hand():
    x, dy = np.array([[-1.0, 2.0]]), np.array([[10.0, 100.0]])
    for layer, expected in (
        (ReLU(), [0, 100]),
        (LeakyReLU(0.2), [2, 100]),
        (Sigmoid(), [10 * math.exp(-1) / (1 + math.exp(-1)) ** 2, 100 * math.exp(-2) / (1 + math.exp(-2)) ** 2]),
        (Tanh(), [10 / math.cosh(1) ** 2, 100 / math.cosh(2) ** 2]),
        (ELU(2), [20 * math.exp(-1), 100]),
        (Softplus(), [10 / (1 + math.e), 100 / (1 + math.exp(-2))]),
        (HardSwish(), [10 / 6, 700 / 6]),
        (PReLU(0.5), [5, 100]),
    ):
        layer.forward(x)
        np.testing.assert_allclose(layer.backward(dy), [expected], rtol=1e-12)


@pytest.mark.usefixtures('each_backend')
def test_relu_keeps_nan_and_stops_its_gradient():
    layer = ReLU()
    y = layer.forward(np.array([[NAN, -1, 0, 2, INF, -INF]], np.float32))
    np.testing.assert_array_equal(y, [[NAN, 0, 0, 2, INF, 0]])
    assert layer.backward(np.ones((1, 6))).tolist() == [[0, 0, 0, 1, 1, 0]]


@pytest.mark.usefixtures('each_backend')
def test_sigmoid_does_not_overflow():
    y = Sigmoid().forward(np.array([[-1e4, 0, 1e4, NAN]], np.float32))
    np.testing.assert_array_equal(y, [[0, 0.5, 1, NAN]])


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize(
    ('layer', 'expected'),
    [
        (ELU(), [-1, -1e-6, 1e4, np.nan]),
        (Softplus(), [0, math.log(2), 1e4, np.nan]),
        (SiLU(), [0, -5e-7, 1e4, np.nan]),
        (GELU(), [0, -5e-7, 1e4, np.nan]),
        (HardSwish(), [0, -5e-7, 1e4, np.nan]),
    ],
)
def test_large_and_small_numbers_and_nan(layer, expected):
    y = layer.forward(np.array([[-1e4, -1e-6, 1e4, NAN]], np.float32))
    np.testing.assert_allclose(y, [expected], rtol=1e-5)
    dx = layer.backward(np.ones((1, 4)))
    # Half of the gradient passes at 0; an ELU has no corner there.
    np.testing.assert_allclose(dx, [[0, 1 if type(layer) is ELU else 0.5, 1, NAN]], rtol=1e-5)


def test_an_alpha_is_learned_for_each_channel():
    layer = PReLU().set_up((2, 3), dtype='float64')
    (alpha,) = layer.parameters
    assert alpha.value.tolist() == [0.25, 0.25, 0.25]
    alpha.value[...] = [0, 1, 10]
    x = np.array([[[-1, -2, -3], [4, -5, 6]]])
    assert layer.forward(x).tolist() == [[[0, -2, -30], [4, -5, 6]]]
    assert layer.backward(np.ones((1, 2, 3))).tolist() == [[[0, 1, 10], [1, 1, 1]]]
    assert alpha.grad.tolist() == [-1, -7, -3]
    layer.trainable = False
    layer.backward(np.zeros((1, 2, 3)))
    assert alpha.grad.tolist() == [-1, -7, -3]


@pytest.mark.usefixtures('each_backend')
def test_a_leaky_relu_of_slope_0_is_a_relu_and_one_of_slope_1_changes_nothing():
    x = np.random.default_rng(0).normal(size=(5, 4))
    np.testing.assert_array_equal(LeakyReLU(0).forward(x), ReLU().forward(x))
    np.testing.assert_array_equal(LeakyReLU(1).forward(x), x)


@pytest.mark.parametrize('wrong', [-0.1, NAN, INF, '0.1', None, True])
def test_a_slope_that_is_no_number_of_at_least_0_is_refused(wrong):
    for kind, name in ((LeakyReLU, 'negative_slope'), (ELU, 'alpha'), (PReLU, 'initial_alpha')):
        with pytest.raises(ValueError, match=f'{name}: expected a finite number of at least 0'):
            kind(wrong)
