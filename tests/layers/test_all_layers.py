"""What every kind of layer must do, over the kinds and shapes of layer_cases.py."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layer_cases import KINDS, MERGING, distinct, example

import cnnx
from cnnx.layers import LAYERS

STEP = 1e-6
kinds = pytest.mark.parametrize('kind', KINDS)
seeds = st.integers(0, 2**32 - 1)
batches = st.integers(1, 4)


def numeric_gradient(function, array):
    """The gradient of a scalar function by central differences; `array` is restored."""
    gradient = np.empty_like(array)
    for index in np.ndindex(array.shape):
        value = array[index]
        array[index] = value + STEP
        above = function()
        array[index] = value - STEP
        below = function()
        array[index] = value
        gradient[index] = (above - below) / (2 * STEP)
    return gradient


def both_backends_of(layer, x, dy, training):
    """Return (y, dx, gradients, parameters) of each backend that is there."""
    results, state = [], layer.generator.bit_generator.state
    before = [parameter.value.copy() for parameter in layer.parameters]
    for backend in ('cython', 'numpy'):
        layer.generator.bit_generator.state = state
        for parameter, value in zip(layer.parameters, before, strict=True):
            parameter.value = value
        try:
            with cnnx.use_backend(backend):
                y = layer.forward(x, training)
                dx = layer.backward(dy)
        except cnnx.BackendError:
            pytest.skip('the compiled kernels are not there')
        results.append([y, dx, *(array.copy() for p in layer.parameters for array in (p.grad, p.value))])
    return results


def test_every_kind_has_a_row():
    assert KINDS.keys() == LAYERS.keys() - MERGING


@kinds
@given(data=st.data(), n=batches, seed=seeds, training=st.booleans())
def test_gradients_are_those_of_the_forward_pass(kind, data, n, seed, training):
    layer, shape = data.draw(KINDS[kind])
    layer.set_up(shape, rng=seed, dtype='float64')
    rng = np.random.default_rng(seed)
    x = distinct((n, *shape), seed)
    dy = rng.normal(size=(n, *layer.shape))
    trained = [parameter for parameter in layer.parameters if parameter.trainable]
    for parameter in layer.parameters:
        shape = parameter.value.shape
        parameter.value[...] = rng.normal(size=shape) if parameter in trained else rng.uniform(0.5, 2, shape)
    state = layer.generator.bit_generator.state

    def forward():
        layer.generator.bit_generator.state = state
        return layer.forward(x, training)

    forward()
    dx = layer.backward(dy)
    analytic = [dx, *(parameter.grad.copy() for parameter in trained)]
    numeric = [
        numeric_gradient(lambda: float((forward() * dy).sum()), array) for array in (x, *(p.value for p in trained))
    ]
    for ours, expected in zip(analytic, numeric, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-5)


@kinds
@given(data=st.data(), dtype=st.sampled_from(['float32', 'float64']), n=batches, seed=seeds, training=st.booleans())
def test_backends_agree(kind, data, dtype, n, seed, training):
    layer, shape = data.draw(KINDS[kind])
    layer.set_up(shape, rng=seed, dtype=dtype)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, *shape)).astype(dtype)
    dy = rng.normal(size=(n, *layer.shape)).astype(dtype)
    tolerance = {'float32': {'rtol': 2e-5, 'atol': 2e-5}, 'float64': {'rtol': 1e-12, 'atol': 1e-12}}[dtype]
    for compiled, reference in zip(*both_backends_of(layer, x, dy, training), strict=True):
        assert compiled.dtype == reference.dtype == dtype
        np.testing.assert_allclose(compiled, reference, **tolerance)


@kinds
@given(data=st.data(), seed=seeds, training=st.booleans())
def test_an_empty_batch_passes_through(kind, data, seed, training):
    layer, shape = data.draw(KINDS[kind])
    layer.set_up(shape, rng=seed)
    before = [parameter.value.copy() for parameter in layer.parameters]
    y = layer.forward(np.empty((0, *shape), np.float32), training)
    assert y.shape == (0, *layer.shape)
    assert layer.backward(y).shape == (0, *shape)
    assert all((parameter.grad == 0).all() for parameter in layer.parameters)
    assert all((p.value == value).all() for p, value in zip(layer.parameters, before, strict=True))


@kinds
@given(data=st.data(), seed=seeds)
def test_what_came_and_what_was_returned_stay_as_they_are(kind, data, seed):
    layer, shape = data.draw(KINDS[kind])
    layer.set_up(shape, rng=seed)
    x = distinct((2, *shape), seed, np.float32)
    kept = x.copy()
    y = layer.forward(x)
    first = y.copy()
    dy = np.ones_like(y)
    layer.backward(dy)
    layer.forward(x + 1)
    assert (x == kept).all()
    assert (y == first).all()
    assert (dy == 1).all()


@kinds
@given(data=st.data(), seed=seeds)
def test_any_memory_layout_gives_the_same_bits(kind, data, seed):
    layer, shape = data.draw(KINDS[kind])
    layer.set_up(shape, rng=seed)
    x = distinct((3, *shape), seed, np.float32)
    expected = layer.forward(x)
    readonly = x.copy()
    readonly.flags.writeable = False
    strided = np.repeat(x, 2, axis=0)[::2]
    for variant in (np.asfortranarray(x), x.astype('>f4'), readonly, strided, x.tolist()):
        assert (layer.forward(variant) == expected).all()


@kinds
@given(data=st.data())
def test_settings_make_the_layer_again(kind, data):
    layer, shape = data.draw(KINDS[kind])
    layer.set_up(shape)
    twin = LAYERS[kind](input_shape=shape, **layer.settings()).set_up(shape)
    assert twin.shape == layer.shape
    assert twin.settings() == layer.settings()
    assert repr(twin) == repr(layer)


@kinds
def test_wrong_input_is_refused_with_both_shapes(kind):
    layer, shape = example(kind)
    layer.set_up(shape)
    with pytest.raises(ValueError, match=rf'{kind}: expected input \(N, .*got \(2, 3, 9, 9, 9\)'):
        layer.forward(np.zeros((2, 3, 9, 9, 9)))
    with pytest.raises(ValueError, match='expected numbers'):
        layer.forward(np.full((1, *shape), 'a'))
    layer.forward(np.zeros((2, *shape)))
    with pytest.raises(ValueError, match='gradient of 2 samples'):
        layer.backward(np.zeros((3, *layer.shape)))


@kinds
def test_backward_needs_a_forward_pass(kind):
    layer, shape = example(kind)
    layer.set_up(shape)
    with pytest.raises(RuntimeError, match='forward'):
        layer.backward(np.zeros((1, *layer.shape)))


@pytest.mark.parametrize('several', [2, 3, 4, 8])
def test_bits_do_not_depend_on_the_number_of_threads(several, threads):
    results = []
    for count in (1, several):
        threads(count)
        layers = [
            cnnx.Convolutional(7, (3, 5), padding='same'),
            cnnx.BatchNormalization(),
            cnnx.LeakyReLU(),
            cnnx.TransposedConvolutional(6, 3, stride=2, padding='same'),
            cnnx.GroupNormalization(3),
            cnnx.GELU(),
            cnnx.MaxPooling(3, stride=2),
            cnnx.UpSampling(2),
            cnnx.AveragePooling(2, stride=1, padding='same'),
            cnnx.Dropout(0.3),
            cnnx.Tanh(),
            cnnx.Flatten(),
            cnnx.Dense(output_size=33),
            cnnx.BatchNormalization(),
        ]
        x, passes = distinct((37, 12, 11, 3), 1, np.float32), []
        for layer in layers:
            x = layer.forward(x, training=True)
            passes.append(x)
        dy = distinct(x.shape, 2, np.float32)
        for layer in reversed(layers):
            dy = layer.backward(dy)
            passes += [dy, *(array for p in layer.parameters for array in (p.grad, p.value))]
        results.append([array.tobytes() for array in passes])
    assert results[0] == results[1]
