"""No input crashes the interpreter: layers, losses, optimizers and networks compute it, or refuse it with a message.

tests/torture/test_hostile_input.py runs these for longer, on every tier.
"""

import inspect

import numpy as np
import pytest
from hostile import (
    BACKENDS,
    absurd,
    assert_near,
    each_backend,
    many,
    needs_compiled_kernels,
    quiet,
    samples,
    targets,
)
from hypothesis import given
from hypothesis import strategies as st
from layer_cases import KINDS, example
from loss_cases import CASES

import cnnx
from cnnx._util.validation import MAX_SIZE
from cnnx.layers import LAYERS
from cnnx.optimizers import OPTIMIZERS, SGD


@many
@given(
    data=st.data(),
    kind=st.sampled_from([*LAYERS.values(), *OPTIMIZERS.values(), cnnx.CategoricalCrossEntropy, cnnx.Network]),
)
def test_a_constructor_takes_its_arguments_or_refuses_them(kind, data):
    names = inspect.signature(kind).parameters
    chosen = {name: data.draw(absurd | st.integers(1, 4)) for name in names if data.draw(st.booleans())}
    made, _ = quiet(kind, **chosen)
    if isinstance(made, cnnx.Layer) and all(size < 1000 for size in made.input_shape or ()):
        y, refused = quiet(made.forward, data.draw(samples(made.input_shape or (5, 4, 2))))
        if refused is None:
            quiet(made.backward, y)


@pytest.mark.parametrize(
    'make',
    [
        lambda size: cnnx.Convolutional(1, 1, stride=size, input_shape=(4, 4, 1)),
        lambda size: cnnx.Convolutional(size, 1),
        lambda size: cnnx.Convolutional(1, size),
        lambda size: cnnx.MaxPooling(1, stride=size),
        lambda size: cnnx.Dense(size, 1),
        lambda size: cnnx.Dense(1, size),
        lambda size: cnnx.ReLU(size),
    ],
)
def test_sizes_beyond_what_kernels_count_in_are_refused(make):
    for size in (MAX_SIZE + 1, 2**32, 2**63, 10**30):
        with pytest.raises(ValueError, match=f'expected at most {MAX_SIZE}, got {size}'):
            make(size)


@each_backend
def test_strides_whose_product_is_large_still_compute(backend):
    net = cnnx.Network(seed=0)
    net.add(cnnx.Convolutional(1, 1, stride=MAX_SIZE, padding='same', input_shape=(4, 4, 1)))
    net.add(cnnx.MaxPooling(1, stride=MAX_SIZE))
    x = np.ones((2, 4, 4, 1))
    with cnnx.use_backend(backend):
        np.testing.assert_array_equal(net.predict(x).ravel(), [net.layers[0].weights.item()] * 2)


def test_weights_that_no_memory_holds_are_refused_with_the_layer_that_asks_for_them():
    with pytest.raises((MemoryError, ValueError), match='Dense: '):
        cnnx.Dense(MAX_SIZE, MAX_SIZE).set_up()


@pytest.mark.parametrize('momentum', [np.complex64(0.5), 10**400, np.array([0.5]), np.bool_(True)])
def test_a_momentum_that_is_no_number_from_0_to_1_is_refused(momentum):
    with pytest.raises(ValueError, match='momentum: expected a finite number'):
        SGD(momentum=momentum)


@pytest.mark.parametrize('rate', [10**400, np.complex64(1), 'fast', True])
def test_a_learning_rate_beyond_all_floats_is_refused(rate):
    net, x, y = classifier()
    with pytest.raises(ValueError, match='learning_rate: expected a finite number'):
        net.train(x, y, learning_rate=rate, verbose=0)


def test_arrays_where_words_are_wanted_are_refused_by_name():
    with pytest.raises(ValueError, match='padding: expected'):
        cnnx.Convolutional(1, 1, padding=np.array(['valid', 'same']))
    with pytest.raises(ValueError, match='input_shape: expected a shape'):
        cnnx.Dense(3, 2, input_shape=np.array([3, 4]))
    with pytest.raises(ValueError, match='from_logits: expected True or False'):
        cnnx.CategoricalCrossEntropy('logits')


@needs_compiled_kernels
@many
@given(data=st.data(), kind=st.sampled_from(sorted(KINDS)))
def test_a_layer_computes_what_its_twin_does_or_refuses(kind, data):
    layer, shape = example(kind)
    layer.set_up(shape)
    x, dy = data.draw(samples(shape)), data.draw(samples(layer.shape))
    passes = []
    for name in BACKENDS:
        with cnnx.use_backend(name):
            y, refused = quiet(layer.forward, x)
            dx, refused_back = quiet(layer.backward, dy) if refused is None else (None, refused)
        passes.append((y, dx, type(refused), type(refused_back)))
    (y, dx, *refusals), (other_y, other_dx, *other_refusals) = passes
    assert refusals == other_refusals
    for ours, expected in ((y, other_y), (dx, other_dx)):
        if expected is not None:
            assert_near(ours, expected)


def classifier():
    net = cnnx.Network(seed=0)
    net.add(cnnx.Convolutional(2, 2, input_shape=(4, 4, 1)))
    for layer in (cnnx.ReLU(), cnnx.MaxPooling(2), cnnx.Flatten(), cnnx.Dense(output_size=3), cnnx.Softmax()):
        net.add(layer)
    net.compile(cnnx.CategoricalCrossEntropy(), SGD(momentum=0.9))
    return net, np.random.default_rng(0).random((6, 4, 4, 1)), np.array([0, 1, 2, 0, 1, 2])


def weights(net):
    return {name: parameter.value.tobytes() for name, parameter in net.parameters.items()}


@each_backend
@given(data=st.data())
def test_a_network_that_refuses_has_changed_no_weight(backend, data):
    with cnnx.use_backend(backend):
        train_and_use(data)


def train_and_use(data):
    net, x, y = classifier()
    before = weights(net)
    x = data.draw(st.just(x) | samples((4, 4, 1)))
    y = data.draw(st.just(y) | targets(3, 3))
    settings = {'batch_size': 2, 'epochs': 1, 'learning_rate': 0.1}
    for name in settings:
        if data.draw(st.integers(0, 9)) == 0:
            wrong = data.draw(absurd)
            # Asked for so many epochs, a network trains so many.
            settings[name] = 0 if name == 'epochs' and isinstance(wrong, int) and wrong > 1 else wrong
    try:
        _, refused = quiet(net.train, x, y, **settings, verbose=0)
    except cnnx.DivergenceError:
        refused = None
    if refused is not None:
        assert weights(net) == before, refused
    for call in (net.evaluate, lambda x, y: net.predict(x), lambda x, y: net.predict_classes(x)):
        now = weights(net)
        quiet(call, x, y)
        assert weights(net) == now


@each_backend
@given(
    data=st.data(),
    n=st.integers(0, 4),
    shape=st.lists(st.integers(1, 3), max_size=2),
    classes=st.integers(1, 5),
    name=st.sampled_from(sorted(CASES)),
)
def test_a_loss_computes_or_refuses(backend, data, n, shape, classes, name):
    loss = CASES[name].loss()
    predictions = data.draw(samples((*shape, classes)))
    with cnnx.use_backend(backend):
        found, refused = quiet(loss.value_and_gradient, predictions, data.draw(targets(classes, n)))
        if refused is None:
            assert isinstance(found[0], float)
            assert found[1].shape == np.shape(predictions)


@each_backend
def test_a_loss_that_is_assigned_to_a_network_in_use_counts_from_then_on(backend):
    with cnnx.use_backend(backend):
        net, x, y = classifier()
        net.train(x, y, epochs=1, verbose=0)
        net.loss = cnnx.MeanSquaredError()
        found = net.evaluate(x, y)
        net.compile(net.loss, net.optimizer)
        assert net.evaluate(x, y) == found


def test_layers_and_dtype_of_a_network_are_not_replaced():
    net, *_ = classifier()
    with pytest.raises(TypeError):
        net.layers[4] = cnnx.Dense(10**6, 3)
    with pytest.raises(AttributeError):
        net.dtype = np.dtype('float64')


@each_backend
def test_an_input_shape_changed_by_hand_lets_nothing_be_read_beyond_its_end(backend):
    with cnnx.use_backend(backend):
        net, x, _ = classifier()
        net.predict(x)
        net.layers[0].input_shape = (2, 2, 1)
        with pytest.raises(ValueError, match='expected|shape'):
            net.predict(x[:, :2, :2])


def test_misaligned_numbers_are_copied_before_kernels_see_them():
    layer, shape = example('Dense')
    x = np.ndarray((2, *shape), np.float32, np.zeros(25, np.uint8), 1)
    x[...] = [[1, 2, 3], [4, 5, 6]]
    y = layer.forward(x)
    assert layer._saved[0].flags.aligned
    np.testing.assert_array_equal(y, layer.forward(x.copy()))
