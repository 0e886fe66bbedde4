"""Network: layers, compile, train, evaluate, predict."""

import copy
import os
import pickle
import signal
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from models import bits, lenet5, small_data, small_network

import cnnx
from cnnx import (
    SGD,
    CategoricalCrossEntropy,
    Convolutional,
    Dense,
    Flatten,
    MaxPooling,
    MeanSquaredError,
    Network,
    ReLU,
    Sigmoid,
    Softmax,
)


def test_layers_infer_their_input():
    net = Network(seed=0)
    net.add(Convolutional(4, (3, 2), stride=(2, 1), input_shape=(9, 8, 3)))
    net.add(MaxPooling(2))
    net.add(Flatten())
    net.add(Dense(output_size=5))
    assert [layer.shape for layer in net.layers] == [(4, 7, 4), (2, 3, 4), (24,), (5,)]


def test_a_layer_that_does_not_fit_is_refused_with_both_shapes():
    net = lenet5()
    with pytest.raises(ValueError, match=r'layer 13 \(Convolutional\).*\(height, width, channels\).*\(10,\)'):
        net.add(Convolutional(4, 3))
    net = Network()
    net.add(Convolutional(6, 5, input_shape=(28, 28, 1)))
    with pytest.raises(ValueError, match=r'layer 1 \(Convolutional\): expected input \(14, 14, 6\), got \(24, 24, 6\)'):
        net.add(Convolutional(16, 5, input_shape=(14, 14, 6)))
    with pytest.raises(ValueError, match=r'layer 1 \(Dense\).*put a Flatten before it'):
        net.add(Dense(output_size=5))
    net.add(ReLU())
    assert [layer.index for layer in net.layers] == [0, 1]


@pytest.mark.parametrize('layer', [ReLU(), Flatten(), Dense(output_size=3), Convolutional(2, 3), MaxPooling(2)])
def test_a_first_layer_needs_its_input_shape(layer):
    with pytest.raises(ValueError, match=r'layer 0 .*give it an input_shape'):
        Network().add(layer)


def test_only_layers_are_added_and_each_once():
    net, layer = Network(), Dense(2, 2)
    net.add(layer)
    with pytest.raises(ValueError, match='is in a network already'):
        net.add(layer)
    for wrong in (ReLU, 'relu', None):
        with pytest.raises(TypeError, match='add: expected a layer'):
            net.add(wrong)


def test_weights_set_before_adding_are_kept():
    layer = Dense(2, 1)
    layer.weights = [[1], [2]]
    net = Network(dtype='float64')
    net.add(layer)
    assert net.predict([[3, 4]]).tolist() == [[11]]
    assert layer.weights.dtype == 'float64'
    with pytest.raises(ValueError, match=r'expected weights of shape \(2, 1\), got \(1, 2\)'):
        layer.weights = [[1, 2]]


def test_one_seed_gives_one_network():
    assert bits(lenet5(seed=3)) == bits(lenet5(seed=3)) != bits(lenet5(seed=4))
    assert bits(lenet5(seed=None)) != bits(lenet5(seed=None))


@pytest.mark.parametrize('dtype', ['float16', 'int32', 'complex128', 'real', 7, None])
def test_an_unknown_dtype_is_refused(dtype):
    with pytest.raises(ValueError, match='dtype: expected one of float32, float64'):
        Network(dtype=dtype)


@pytest.mark.parametrize('seed', [-1, 1.5, 'one', True, np.random.default_rng(0)])
def test_a_wrong_seed_is_refused(seed):
    with pytest.raises(ValueError, match='seed: expected a whole number of at least 0, or None'):
        Network(seed=seed)


def test_gradients_through_a_whole_network():
    net = small_network(dtype='float64', activation=Sigmoid)
    x, y = small_data(4)

    def loss():
        return net.loss.value_and_gradient(net.forward(x, training=True), y)[0]

    net.backward(net.loss.value_and_gradient(net.forward(x, training=True), y)[1])
    analytic = {name: parameter.grad.copy() for name, parameter in net.parameters.items()}
    for name, parameter in net.parameters.items():
        for index in list(np.ndindex(parameter.value.shape))[::5]:
            value = parameter.value[index]
            ends = []
            for step in (1e-6, -1e-6):
                parameter.value[index] = value + step
                ends.append(loss())
            parameter.value[index] = value
            assert analytic[name][index] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-3, abs=1e-7)


@pytest.mark.parametrize(
    ('x', 'hint'),
    [
        (np.zeros((6, 6, 1)), r'got \(6, 6, 1\); add a batch axis'),
        (np.zeros((2, 6, 6)), r'got \(2, 6, 6\); add a channel axis'),
        (np.zeros((2, 5, 6, 1)), r'expected x \(N, 6, 6, 1\), got \(2, 5, 6, 1\)'),
        (np.float32(1), r'got \(\)'),
        (np.array(['a']), 'expected numbers'),
        ([[1], [1, 2]], 'expected an array of numbers'),
        (np.zeros((1, 6, 6, 1), complex), 'expected numbers'),
        (None, 'expected numbers'),
        (np.ma.masked_less(np.eye(36).reshape(-1, 6, 6, 1), 1), 'expected plain numbers, got a masked array'),
    ],
)
def test_wrong_samples_are_refused_with_a_hint(x, hint):
    net = small_network()
    with pytest.raises(ValueError, match=hint):
        net.predict(x)
    with pytest.raises(ValueError, match=hint):
        net.train(x, [0, 1])


def test_what_needs_a_loss_or_layers_says_so():
    net = Network()
    with pytest.raises(RuntimeError, match='no layers'):
        net.predict([[1]])
    with pytest.raises(RuntimeError, match='no layers'):
        net.compile(MeanSquaredError())
    net.add(Dense(1, 1))
    for use in (net.train, net.evaluate):
        with pytest.raises(RuntimeError, match='compile'):
            use([[1]], [[1]])


@pytest.mark.parametrize(
    ('last', 'loss', 'message'),
    [
        (Softmax, CategoricalCrossEntropy(from_logits=True), 'softmax twice'),
        (ReLU, CategoricalCrossEntropy(), 'add Softmax'),
        (Flatten, CategoricalCrossEntropy(), 'add Softmax'),
    ],
)
def test_a_loss_that_does_not_fit_the_last_layer_is_refused(last, loss, message):
    net = Network()
    net.add(Dense(4, 3))
    net.add(last())
    with pytest.raises(ValueError, match=message):
        net.compile(loss)


def test_one_class_has_no_cross_entropy():
    net = Network()
    net.add(Convolutional(1, 1, input_shape=(3, 3, 1)))
    with pytest.raises(ValueError, match='at least 2 classes'):
        net.compile(CategoricalCrossEntropy(from_logits=True))


def test_xor_is_learned():
    net = Network(seed=0)
    net.add(Dense(2, 8))
    net.add(Sigmoid())
    net.add(Dense(8, 1))
    net.add(Sigmoid())
    net.compile(MeanSquaredError(), SGD(momentum=0.9))
    x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    history = net.train(x, y, epochs=1000, learning_rate=0.5, batch_size=4, verbose=0)
    assert history['loss'][-1] < 0.01
    assert history['accuracy'][-1] == 1
    assert net.predict_classes(x).tolist() == y


def test_a_network_is_used_from_several_threads():
    net = small_network()
    inputs = [small_data(20, seed)[0] for seed in range(8)]
    expected = [net.predict(x).tobytes() for x in inputs]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert [y.tobytes() for y in pool.map(net.predict, inputs)] == expected


def test_a_network_is_copied_and_sent_to_other_processes():
    net, (x, y) = small_network(), small_data()
    net.train(x, y, epochs=1, verbose=0)
    twins = [copy.deepcopy(net), pickle.loads(pickle.dumps(net))]
    assert bits(twins[0]) == bits(twins[1]) == bits(net)
    for network in (net, *twins):
        network.train(x, y, epochs=1, verbose=0)
    assert bits(twins[0]) == bits(twins[1]) == bits(net)


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='this system has no fork')
def test_a_child_forked_while_a_lock_is_held_does_not_hang():
    net, (x, _) = small_network(), small_data(3)
    expected = net.predict(x).tobytes()
    held, release = threading.Event(), threading.Event()

    def hold():
        with net.plan.lock:
            held.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)  # Python 3.12 and newer advise against such a fork
        child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if net.predict(x).tobytes() == expected else 3)
    release.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_softmax_before_mean_squared_error_trains_as_two_steps():
    net = small_network()
    net.compile(MeanSquaredError())
    x, y = small_data()
    losses = net.train(x, np.eye(3)[y], epochs=5, learning_rate=0.5, verbose=0)['loss']
    assert losses[-1] < losses[0]


def test_public_names():
    namespace = {}
    exec('from cnnx import *', namespace)
    assert set(cnnx.__all__) <= namespace.keys()


# What was changed by hand, or is shared


def test_a_popped_layer_can_be_added_to_another_network():
    net, other = small_network(), Network(seed=1)
    with pytest.raises(ValueError, match='in a network already'):
        other.add(net.layers[-1])
    head = [net.pop() for _ in range(2)]
    assert [type(layer) for layer in head] == [Softmax, Dense]
    weights = head[1].weights.copy()
    assert net.predict(small_data()[0]).shape == (50, 12)
    for layer in reversed(head):
        other.add(layer)
    np.testing.assert_array_equal(other.layers[0].weights, weights)
    for _ in range(4):
        net.pop()
    with pytest.raises(IndexError, match='no layers'):
        net.pop()


def test_networks_that_share_a_loss_train_side_by_side():
    loss, (x, y) = MeanSquaredError(), small_data()
    nets = [small_network(seed, loss=loss) for seed in (0, 1)]
    expected = [small_network(seed, loss=MeanSquaredError()) for seed in (0, 1)]
    options = {'epochs': 3, 'verbose': 0, 'batch_size': 8}
    for net in expected:
        net.train(x, y, **options)
    threads = [threading.Thread(target=net.train, args=(x, y), kwargs=options) for net in nets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [bits(net) for net in nets] == [bits(net) for net in expected]


def test_files_tell_which_layers_are_frozen(tmp_path):
    net = small_network()
    net.layers[0].trainable = False
    net.save(tmp_path / 'net.npz')
    assert [layer.trainable for layer in Network.load(tmp_path / 'net.npz').layers] == [False] + [True] * 5


def test_a_run_resumes_with_the_layers_frozen_that_were(tmp_path, capsys):
    x, y = small_data()
    options = {'checkpoint_dir': tmp_path, 'learning_rate': 0.1}
    whole, stopped, resumed = (small_network() for _ in range(3))
    for net in (whole, stopped):
        net.layers[0].trainable = False
        net.train(x, y, epochs=1, **(options if net is stopped else options | {'checkpoint_dir': None}))
    whole.train(x, y, epochs=1, verbose=0, learning_rate=0.1)
    resumed.train(x, y, epochs=2, resume_from_checkpoint=True, **options)
    assert bits(resumed) == bits(whole)
    assert 'layer 0 (Convolutional): trainable is False, as it was when this was saved' in capsys.readouterr().out


@pytest.mark.usefixtures('each_backend')
def test_no_image_at_all():
    net = Network(seed=0)
    net.add(Dense(4, 3))
    net.add(Softmax())
    net.compile(CategoricalCrossEntropy())
    assert net.predict(np.empty((0, 4))).shape == (0, 3)
    assert net.predict_classes(np.empty((0, 4))).shape == (0,)
    for use in (net.evaluate, net.train):
        with pytest.raises(ValueError, match='at least one sample'):
            use(np.empty((0, 4)), np.empty(0, int))


# Names of classes


def test_names_of_classes_are_kept_in_files_and_copies(tmp_path):
    net = small_network()
    assert net.class_names is None
    net.class_names = np.array(['cat', 'dog', 'bee'])
    assert net.class_names == ('cat', 'dog', 'bee')
    assert all(type(name) is str for name in net.class_names)
    net.save(tmp_path / 'net.npz')
    assert Network.load(tmp_path / 'net.npz').class_names == copy.deepcopy(net).class_names == net.class_names
    net.class_names = None
    net.save(tmp_path / 'net.npz')
    assert Network.load(tmp_path / 'net.npz').class_names is None


def test_a_resumed_run_has_the_names_of_its_checkpoint_unless_it_has_some(tmp_path):
    x, y = small_data()
    settings = {'checkpoint_dir': tmp_path, 'verbose': 0, 'resume_from_checkpoint': True}
    net = small_network()
    net.class_names = ('cat', 'dog', 'bee')
    net.train(x, y, epochs=1, **settings)
    without, other = small_network(), small_network()
    other.class_names = ('a', 'b', 'c')
    for resumed in (without, other):
        resumed.train(x, y, epochs=1, **settings)
    assert without.class_names == ('cat', 'dog', 'bee')
    assert other.class_names == ('a', 'b', 'c')


def test_a_network_of_one_output_has_two_classes():
    net = Network(seed=0)
    net.class_names = ('no', 'yes', 'maybe')
    net.add(Dense(3, 1))
    with pytest.raises(ValueError, match='class_names: expected 2 names, in the order of the outputs, got 3'):
        net.class_names = ('no', 'yes', 'maybe')
    net.class_names = ('no', 'yes')


@pytest.mark.parametrize('names', ['abc', ('a', 'b', 1), ('a', 'b', 'a'), (), 3])
def test_names_that_are_none(names):
    with pytest.raises(ValueError, match='class_names: expected names that differ'):
        small_network().class_names = names
