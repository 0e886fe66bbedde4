"""Networks that run in blocks: against their layers one by one."""

import itertools

import numpy as np
import pytest
from fused_networks import NETWORKS, data, network
from models import bits, small_data, small_network

import cnnx
from cnnx import CategoricalCrossEntropy, Convolutional, Dense
from cnnx.execution.program import Sweep
from cnnx.training.array_data import ArrayData


def in_one_sweep(net):
    """Whether all layers run as one program, the Softmax at the end included."""
    stages = net.plan._route('predict').stages
    return len(stages) == 1 and isinstance(stages[0], Sweep)


def test_a_network_that_branches_runs_in_one_sweep(each_backend):
    x = cnnx.Input((8, 8, 2))
    s = cnnx.ReLU()(cnnx.BatchNormalization()(Convolutional(4, 3, padding='same')(x)))
    h = Convolutional(4, 3, padding='same', groups=4)(cnnx.MaxPooling(2)(s))
    enlarged = cnnx.UpSampling(2)(Convolutional(3, 1)(h))
    h = cnnx.Concatenate()([s, cnnx.TransposedConvolutional(4, 2, stride=2)(h)])
    y = cnnx.Softmax()(cnnx.Add()([Convolutional(3, 1)(h), enlarged]))
    net = cnnx.Network(inputs=x, outputs=y, seed=0)
    net.compile(CategoricalCrossEntropy())
    assert in_one_sweep(net)
    assert [type(stage) for stage in net.plan._route('learn').stages] == [Sweep]


def gradients(net):
    return {name: parameter.grad.copy() for name, parameter in net.parameters.items()}


@pytest.mark.parametrize('backend', ['cython', 'numpy'])
@pytest.mark.parametrize('name', NETWORKS)
def test_blocks_compute_what_layers_do(name, backend, compiled_kernels):
    with cnnx.use_backend(backend):
        fused, plain = network(name), network(name)
        assert in_one_sweep(fused) == NETWORKS[name]()[2]
        plain.fused = False
        x, y = data(fused, 11)
        for index in (np.arange(9), np.array([10, 2, 2, 0]), np.array([5]), np.arange(11)):
            found = []
            for net in (fused, plain):
                samples = ArrayData(net, x, y)
                found.append(
                    (net.plan.forward_and_backward(samples, index), gradients(net), net.plan.evaluate(samples, index))
                )
            assert found[0][0] == pytest.approx(found[1][0], rel=1e-12)
            assert found[0][2] == pytest.approx(found[1][2], rel=1e-12)
            for parameter, gradient in found[1][1].items():
                np.testing.assert_allclose(found[0][1][parameter], gradient, rtol=1e-9, atol=1e-12)
        assert fused.generator.bit_generator.state == plain.generator.bit_generator.state
        np.testing.assert_allclose(fused.predict(x, 4), plain.predict(x, 4), rtol=1e-11, atol=1e-12)
        assert fused.evaluate(x, y, batch_size=4) == pytest.approx(plain.evaluate(x, y, batch_size=4), rel=1e-12)


def learned(net):
    """Learn a batch; return the gradients of what is learned, and see that nothing else was written."""
    x, y = data(net, 6)
    for parameter in net.parameters.values():
        parameter.grad = np.full(parameter.grad.shape, np.nan)
    found = net.plan.forward_and_backward(ArrayData(net, x, y), np.array([4, 0, 1, 5]))
    for layer in net.layers:
        for p in layer.parameters:
            assert np.isfinite(p.grad).all() if layer.trainable and p.trainable else np.isnan(p.grad).all()
    return found, [parameter.grad.copy() for parameter in net.trainable_parameters]


@pytest.mark.parametrize('backend', ['cython', 'numpy'])
@pytest.mark.parametrize(
    'name',
    [
        *(
            'two convolutions',
            'dense layers alone',
            'Sigmoid',
            'images come out',
            'average pooling',
            'activations twice',
        ),
        *('dropout after dense layers', 'dropout before activations', 'dropout first', 'an activation first'),
    ],
)
def test_frozen_layers_get_no_gradient_and_others_the_same_one(name, backend, compiled_kernels):
    layers = [layer.index for layer in network(name).layers if layer.parameters]
    with cnnx.use_backend(backend):
        for frozen in itertools.chain.from_iterable(itertools.combinations(layers, n) for n in range(len(layers) + 1)):
            nets = [network(name), network(name), network(name)]
            for net in nets[:2]:
                for index in frozen:
                    net.layers[index].trainable = False
            nets[1].fused = False
            (found, ours), (plain_found, plain), _ = map(learned, nets)
            whole = [p.grad for layer in nets[2].layers if layer.index not in frozen for p in layer.parameters]
            assert found == pytest.approx(plain_found, rel=1e-12)
            for mine, other, expected in zip(ours, plain, whole, strict=True):
                np.testing.assert_allclose(mine, expected, rtol=1e-9, atol=1e-12)
                np.testing.assert_allclose(other, expected, rtol=1e-9, atol=1e-12)


def test_a_layer_frozen_between_epochs_stays_from_then_on():
    net = network('two convolutions', 'float32')
    x, y = data(net, 20)
    net.train(x, y, epochs=1, verbose=0)
    net.layers[0].trainable = False
    before = bits(net)
    net.train(x, y, epochs=1, verbose=0)
    changed = {name for name, value in bits(net).items() if value != before[name]}
    assert changed == set(net.parameters) - {'weights_0', 'bias_0'}


def weigh_and_smooth(net):
    if isinstance(net.loss, CategoricalCrossEntropy):
        net.loss.label_smoothing = 0.2
    for layer in net.layers:
        if isinstance(layer, (Convolutional, Dense)):
            layer.l2 = 0.01


@pytest.mark.parametrize('change', [lambda net: None, weigh_and_smooth], ids=['plain', 'weighted'])
@pytest.mark.parametrize('name', NETWORKS)
def test_gradients_are_those_of_the_loss(name, change):
    net = network(name)
    change(net)
    x, y = data(net, 5)
    weights = np.array([0.5, 2, 0, 1, 3]) if change is weigh_and_smooth else None
    samples, index = ArrayData(net, x, y, weights), np.arange(5)
    state = net.generator.bit_generator.state

    def learn():
        net.generator.bit_generator.state = state
        loss, _, count = net.plan.forward_and_backward(samples, index)
        return loss / count

    learn()
    analytic = gradients(net)
    for parameter_name, parameter in net.parameters.items():
        flat = parameter.value.reshape(-1)
        for place in np.random.default_rng(0).integers(0, flat.size, 4):
            value, ends = flat[place], []
            for step in (1e-6, -1e-6):
                flat[place] = value + step
                ends.append(learn())
            flat[place] = value
            expected = (ends[0] - ends[1]) / 2e-6
            assert analytic[parameter_name].flat[place] == pytest.approx(expected, rel=1e-3, abs=1e-7)


def test_a_plan_follows_what_changes():
    """The program that a plan keeps sees new weights, larger batches, and another backend."""
    net, twin = small_network(dtype='float64'), small_network(dtype='float64')
    twin.fused = False
    x, y = small_data(30)
    for n, backend in ((4, 'auto'), (30, 'auto'), (7, 'numpy'), (9, 'auto'), (5, 'auto'), (4, 'auto')):
        with cnnx.use_backend(backend):
            for network_ in (net, twin):
                network_.train(x[:n], y[:n], epochs=1, batch_size=n, learning_rate=0.1, verbose=0)
            np.testing.assert_allclose(net.predict(x), twin.predict(x), rtol=1e-8)
        for network_ in (net, twin):
            network_.layers[0].weights = network_.layers[0].weights * 1.01
