"""What the page computes: the forward pass in JavaScript against that of cnnx, for every kind of layer."""

import base64

import numpy as np
import pytest
from graph_networks import random_graph
from hypothesis import HealthCheck, given, settings
from layer_cases import KINDS
from page_scripts import run_scripts

import cnnx
from cnnx.export.html.description import describe

FORWARD = """
return given.map(({ description, content, x }) => {
  readParameters(description, content);
  return x.map((each) => Array.from(forward(description, Float32Array.from(each)).pop()));
});
"""


def outputs(cases, precision='float32'):
    """Return the outputs of (network, x) pairs as the page computes them, for all in one run of Node."""
    asked = []
    for net, x in cases:
        description, content = describe(net, precision)
        asked.append(
            {
                'description': description,
                'content': base64.b64encode(content).decode(),
                'x': x.reshape(len(x), -1).tolist(),
            }
        )
    return [np.array(y) for y in run_scripts(['layers', 'network'], FORWARD, asked)]


def check(cases):
    for (net, x), y in zip(cases, outputs(cases), strict=True):
        assert_equal(net, x, y)


def assert_equal(net, x, y):
    expected = net.predict(x).reshape(len(x), -1)
    assert np.abs(y - expected).max() <= 1e-5 * max(np.abs(expected).max(), 1e-3), repr(net)


def around(layer, shape, rng):
    """Return a network of a layer that takes this shape, between a Reshape of images and a Flatten."""
    size = int(np.prod(shape))
    net = cnnx.Network([cnnx.Reshape(shape, input_shape=(size, 1, 1)), layer, cnnx.Flatten()], seed=0)
    for parameter in net.parameters.values():
        parameter.value = rng.random(parameter.value.shape) + 0.1
    return net


def drawn_cases(kind):
    """Return (network, x) pairs with five layers of a kind."""
    drawn = []

    @settings(max_examples=5, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(KINDS[kind])
    def collect(case):
        drawn.append(case)

    collect()
    rng = np.random.default_rng(0)
    cases = []
    for layer, shape in drawn:
        if type(layer).__name__ == 'Convolutional':
            layer.algorithm = 'direct' if layer.algorithm == 'winograd' else layer.algorithm
        net = around(layer, shape, rng)
        cases.append((net, rng.normal(size=(2, *net.input_shape)).astype(np.float32)))
    return cases


@pytest.fixture(scope='module')
def cases_and_outputs():
    """Return {kind: [((network, x), y), ...]}, with all y from one run of Node."""
    cases = {kind: drawn_cases(kind) for kind in KINDS}
    found = iter(outputs([case for each in cases.values() for case in each]))
    return {kind: [(case, next(found)) for case in each] for kind, each in cases.items()}


@pytest.mark.parametrize('kind', sorted(KINDS))
def test_each_kind_of_layer(kind, cases_and_outputs):
    for (net, x), y in cases_and_outputs[kind]:
        assert_equal(net, x, y)


def test_networks_that_branch():
    rng = np.random.default_rng(0)
    cases = []
    for seed in range(20):
        net = random_graph(seed, dtype='float32', shape=(7, 6, 3))
        cases.append((net, rng.normal(size=(2, *net.input_shape)).astype(np.float32)))
    check(cases)


def test_half_precision_gives_the_same_classes():
    net = cnnx.models.pretrained('lenet5-mnist')
    _, (x, _) = cnnx.data.preprocess_mnist_data()
    (y,) = outputs([(net, x[:300])], 'float16')
    assert (y.argmax(axis=1) == net.predict_classes(x[:300])).all()


@pytest.mark.parametrize(
    ('layers', 'message'),
    [
        ([cnnx.Dense(3, input_shape=(4,))], r'this network takes \(4,\)'),
        ([cnnx.ReLU(input_shape=(4, 4, 2))], r'this network takes \(4, 4, 2\)'),
        ([cnnx.Reshape((2, 8), input_shape=(4, 4, 1))], r'layer 0 \(Reshape\): a page shows outputs'),
    ],
)
def test_what_cannot_be_drawn_is_refused(layers, message):
    with pytest.raises(ValueError, match=message):
        describe(cnnx.Network(layers, seed=0))


def test_layers_of_ones_own_are_refused():
    class Mine(cnnx.ReLU):
        pass

    with pytest.raises(ValueError, match=r'layer 0 \(Mine\): export knows the layers of cnnx'):
        describe(cnnx.Network([Mine(input_shape=(4, 4, 1))], seed=0))


def test_weights_that_float16_cannot_hold_are_refused():
    net = cnnx.Network([cnnx.Convolutional(1, 1, input_shape=(4, 4, 1))], seed=0)
    net.layers[0].weights = np.full((1, 1, 1, 1), 1e6)
    with pytest.raises(ValueError, match=r"layer 0 \(Convolutional\): weights: .* use precision='float32'"):
        describe(net, 'float16')
    with pytest.raises(ValueError, match='precision: expected one of float32, float16'):
        describe(net, 'int8')
