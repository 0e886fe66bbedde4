import numpy as np
import pytest
from graph_networks import random_graph

import cnnx
from cnnx import BatchNormalization, Convolutional, Dense, Dropout, Flatten, Input, ReLU, Softmax
from cnnx.execution.folding import copies, for_inference

SHAPE = (6, 5, 2)


def with_statistics(net):
    """Give the batch normalizations of a network numbers as after training, and return it."""
    rng = np.random.default_rng(0)
    for name, parameter in net.parameters.items():
        if name.startswith(('gamma', 'beta', 'running_mean')):
            parameter.value = rng.normal(size=parameter.value.shape)
        elif name.startswith('running_variance'):
            parameter.value = rng.uniform(0.1, 3, parameter.value.shape)
    return net


def kinds(layers):
    return [type(layer).__name__ for layer in layers]


def predicted(layers, reads, x):
    """Return what layers predict, one by one."""
    values = [x]
    for layer, places in zip(layers, reads, strict=True):
        inputs = [values[place + 1] for place in places]
        values.append(layer.forward(inputs if layer.merges else inputs[0]))
    return values[-1]


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize(
    'layer',
    [
        lambda: Convolutional(4, 3, padding='same'),
        lambda: Convolutional(4, (2, 3), stride=2, use_bias=False),
        lambda: Convolutional(4, 3, padding=2, dilation=2, groups=2),
        lambda: Convolutional(4, 3, groups=2, use_bias=False),
        lambda: cnnx.TransposedConvolutional(3, 2, stride=2),
        lambda: cnnx.TransposedConvolutional(2, 3, use_bias=False),
    ],
)
def test_convolutions_take_in_the_normalization_after_them(layer, dtype):
    net = cnnx.Network([layer_of(layer, SHAPE), BatchNormalization(), ReLU()], seed=0, dtype=dtype)
    layers, reads = for_inference(with_statistics(net).layers, net.reads)
    assert kinds(layers) == [type(net.layers[0]).__name__, 'ReLU']
    x = np.random.default_rng(1).normal(size=(3, *SHAPE)).astype(dtype)
    tolerance = 1e-5 if dtype == 'float32' else 1e-13
    np.testing.assert_allclose(predicted(layers, reads, x), net.predict(x), rtol=tolerance, atol=tolerance)


def layer_of(layer, shape):
    made = layer()
    made.input_shape = shape
    return made


def test_dense_layers_and_signals_do_so_too():
    layers = [cnnx.Convolutional1D(4, 3, use_bias=False, input_shape=(9, 2)), BatchNormalization(), Flatten()]
    layers += [Dense(output_size=5), BatchNormalization(epsilon=0.1), BatchNormalization(), Dropout(0.5), Softmax()]
    net = with_statistics(cnnx.Network(layers, seed=0, dtype='float64'))
    found, reads = for_inference(net.layers, net.reads)
    assert kinds(found) == ['Convolutional1D', 'Flatten', 'Dense', 'Softmax']
    x = np.random.default_rng(1).normal(size=(3, 9, 2))
    np.testing.assert_allclose(predicted(found, reads, x), net.predict(x), rtol=1e-12)


def test_dropout_does_not_stand_between():
    net = cnnx.Network([Dense(3, 4), Dropout(0.5), BatchNormalization(), Softmax()], seed=0)
    assert kinds(for_inference(net.layers, net.reads)[0]) == ['Dense', 'Softmax']


def test_what_another_layer_reads_too_is_not_changed():
    x = Input(SHAPE)
    h = Convolutional(2, 3, padding='same')(x)
    normalized = BatchNormalization()(h)
    net = cnnx.Network(inputs=x, outputs=cnnx.Add()([h, normalized]), seed=0)
    assert kinds(for_inference(net.layers, net.reads)[0]) == ['Convolutional', 'BatchNormalization', 'Add']
    x = Input(SHAPE)
    h = BatchNormalization()(Convolutional(2, 3, padding='same')(x))
    net = cnnx.Network(inputs=x, outputs=cnnx.Add()([h, BatchNormalization()(h)]), seed=0)
    assert kinds(for_inference(net.layers, net.reads)[0]) == ['Convolutional', 'BatchNormalization', 'Add']


def test_a_normalization_after_something_else_stays():
    first = [BatchNormalization(input_shape=SHAPE), ReLU(), BatchNormalization(), Flatten(), Dense(output_size=2)]
    net = cnnx.Network(first, seed=0)
    assert kinds(for_inference(net.layers, net.reads)[0]) == kinds(net.layers)


def test_a_layer_of_the_users_own_that_is_a_convolution_is_left_alone():
    class Doubled(Convolutional):
        def forward(self, x, training=False):
            return 2 * super().forward(x, training)

    net = with_statistics(cnnx.Network([Doubled(2, 3, input_shape=SHAPE), BatchNormalization()], seed=0))
    layers, reads = for_inference(net.layers, net.reads)
    assert kinds(layers) == ['Doubled', 'BatchNormalization']
    x = np.random.default_rng(1).normal(size=(3, *SHAPE)).astype(np.float32)
    np.testing.assert_allclose(predicted(layers, reads, x), net.predict(x), rtol=1e-5, atol=1e-5)


def test_extreme_statistics_raise_no_warning():
    net = cnnx.Network([Dense(3, 4), BatchNormalization()], seed=0)
    net.layers[1].parameters[3].value = [np.nan, np.inf, -1, 0]
    net.layers[1].parameters[0].value = [1, 1, 1, 3e38]
    (dense,), _ = for_inference(net.layers, net.reads)
    assert np.isnan(dense.weights[:, [0, 2]]).all()
    assert (dense.weights[:, 1] == 0).all()


@pytest.mark.parametrize('seed', range(12))
def test_random_graphs_predict_the_same(seed):
    net = with_statistics(random_graph(seed))
    before = [parameter.value.copy() for parameter in net.parameters.values()]
    layers, reads = for_inference(net.layers, net.reads)
    assert [layer.index for layer in layers] == list(range(len(layers)))
    x = np.random.default_rng(1).normal(size=(4, *net.input_shape))
    np.testing.assert_allclose(predicted(layers, reads, x), net.predict(x), rtol=1e-9, atol=1e-12)
    for layer in layers:
        for parameter in layer.parameters:
            parameter.value[...] = 0
    for parameter, value in zip(net.parameters.values(), before, strict=True):
        np.testing.assert_array_equal(parameter.value, value)


def test_copies_share_their_parameters_alone():
    net = cnnx.Network([Dense(3, 4), Softmax()], seed=0)
    (dense, softmax) = copies(list(net.layers))
    assert dense.weights is net.layers[0].weights
    assert dense is not net.layers[0]
    assert dense.generator is not net.generator
    assert dense.network_changes is not net.layers[0].network_changes
    assert softmax.shape == (4,)
