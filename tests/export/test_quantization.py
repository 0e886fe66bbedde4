"""Post-training quantisation: what it costs, and what it needs."""

import os

import export_cases
import numpy as np
import pytest

import cnnx
from cnnx.data import preprocess_mnist_data
from cnnx.export.quantization import fixed_point
from cnnx.models import pretrained


def accuracies(net, calibrate, x, y):
    labels = y.argmax(axis=1)
    return [(network.predict_classes(x) == labels).mean() for network in (net, net.quantize(calibrate))]


def test_lenet_keeps_its_accuracy():
    (x, _), (x_test, y_test) = preprocess_mnist_data()
    before, after = accuracies(pretrained('lenet5-mnist'), x[:200], x_test, y_test)
    assert after >= before - 0.002


@pytest.mark.slow
def test_lenet_loses_at_most_a_tenth_of_a_point_on_all_test_images():
    if not os.environ.get('CNNX_DATA_DIR'):
        pytest.skip('needs all of MNIST; CNNX_DATA_DIR is not set')
    (x, _), (x_test, y_test) = preprocess_mnist_data(full=True)
    before, after = accuracies(pretrained('lenet5-mnist'), x[:500], x_test, y_test)
    assert after >= before - 0.001


@pytest.mark.parametrize('name', export_cases.IN_INTEGERS)
def test_outputs_are_near_those_in_floats(name):
    net = export_cases.network(name)
    x = export_cases.samples(net, 40)
    expected, outputs = net.predict(x), net.quantize(x).predict(x)
    assert outputs.shape == expected.shape
    extent = max(expected.max(), 0) - min(expected.min(), 0)
    assert np.abs(outputs - expected).mean() <= 0.02 * extent


def test_the_network_stays_as_it_is():
    net = cnnx.Network([cnnx.Dense(3, 4), cnnx.ReLU(), cnnx.Dense(2)], seed=0)
    x, dy = np.random.default_rng(0).normal(size=(6, 3)), np.ones((2, 2))
    net.compile(cnnx.MeanSquaredError())
    net.forward(x[:2], training=True)
    net.quantize(x)
    net.backward(dy)  # of the forward pass above
    assert len(net.forward(x[:2])) == 2


def test_a_copy_that_later_training_does_not_change():
    net = cnnx.Network([cnnx.Dense(3, 2)], seed=0)
    x = np.random.default_rng(0).normal(size=(6, 3))
    quantized = net.quantize(x)
    before = quantized.predict(x)
    net.layers[0].weights[...] = 7
    assert (quantized.predict(x) == before).all()


def test_errors_say_what_is_wrong():
    net = export_cases.network('dense')
    x = export_cases.samples(net)
    for calibrate in (x[:0], x[:, :3], 'x'):
        with pytest.raises(ValueError, match='expected calibrate|calibrate: expected'):
            net.quantize(calibrate)
    with pytest.raises(ValueError, match='expected finite numbers, got NaN or infinity in x'):
        net.quantize(np.full_like(x, np.inf))
    quantized = net.quantize(x)
    with pytest.raises(ValueError, match='expected numbers of int8, as quantize_input gives them, got float64'):
        quantized.predict_int8(x)
    with pytest.raises(ValueError, match=r'expected x \(N, 7, 8, 2\)'):
        quantized.predict(x[:, :3])
    with pytest.raises(ValueError, match='batch_size'):
        quantized.predict(x, batch_size=0)


def test_what_has_no_form_in_integers():
    for kind in ('Softmax', 'LogSoftmax'):
        between = cnnx.Network([cnnx.Dense(3, 4), cnnx.layers.LAYERS[kind](), cnnx.Dense(2)])
        with pytest.raises(ValueError, match=rf'layer 1 \({kind}\): int8: expected {kind} as the last layer'):
            between.quantize(np.zeros((1, 3)))
    wide = cnnx.Network([cnnx.Dense(60000, 1)])
    with pytest.raises(ValueError, match=r'layer 0 \(Dense\): int8: a sum of 60000 products may not fit'):
        wide.quantize(np.zeros((1, 60000)))
    x = cnnx.Input((2,))
    net = cnnx.Network(inputs=x, outputs=cnnx.Multiply()([x, x, x, x]))
    with pytest.raises(ValueError, match='expected at most 3 factors, got 4'):
        net.quantize(np.zeros((1, 2)))


def test_numbers_that_are_all_zero():
    net = cnnx.Network([cnnx.Dense(3, 2), cnnx.Softmax()])
    net.layers[0].weights[...] = 0
    net.layers[0].bias[...] = [1, -1]
    quantized = net.quantize(np.zeros((2, 3)))
    assert np.abs(quantized.predict(np.ones((1, 3))) - net.predict(np.ones((1, 3)))).max() < 0.01


def test_fixed_point_is_exact_to_31_bits():
    for ratios in ([0.3, 0.001], [7.0], [1e-9], [-0.5, 0.25]):
        multipliers, shift = fixed_point(ratios)
        assert np.abs(multipliers / 2.0**shift - ratios).max() <= 2.0**-30 * np.abs(ratios).max()
    assert fixed_point([0.0]).multipliers.tolist() == [0]
