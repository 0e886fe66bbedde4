"""`Network.train`: its arguments, and what a run does."""

import tracemalloc

import numpy as np
import pytest
from models import bits, lenet5, small_data, small_network

import cnnx
from cnnx import MeanSquaredError, Network
from cnnx.schedules import Constant, Cosine, Schedule


def train(net, epochs=4, n=50, **options):
    x, y = small_data(n)
    return net.train(x, y, epochs=epochs, batch_size=8, **({'learning_rate': 0.05, 'verbose': 0} | options))


def test_one_seed_gives_one_result_whatever_the_threads_and_the_form_of_the_data(threads):
    x, y = small_data()
    results = []
    for count, data in [
        (1, (x, y)),
        (2, (x, y)),
        (3, (x.tolist(), y.tolist())),
        (8, (np.asfortranarray(x.astype('f8')), np.eye(3)[y])),
        (64, (x.astype('>f4'), y.astype('uint8'))),
    ]:
        threads(count)
        net = small_network()
        net.train(*data, epochs=2, batch_size=8, verbose=0)
        results.append(bits(net))
    assert all(result == results[0] for result in results)


def test_bytes_are_trained_on_as_they_come():
    x, y = small_data()
    pixels = (100 * x).astype(np.uint8)
    results = []
    for data in (pixels, pixels.astype('float32')):
        net = small_network()
        net.train(data, y, epochs=1, learning_rate=1e-4, verbose=0)
        results.append(bits(net))
    assert results[0] == results[1]


def test_regression_has_no_accuracy():
    net = Network(seed=0)
    net.add(cnnx.Dense(3, 1))
    net.compile(MeanSquaredError(), cnnx.SGD())
    x = np.random.default_rng(0).normal(size=(40, 3))
    history = net.train(x, x @ [1, -2, 3], epochs=30, learning_rate=0.1, verbose=0)
    assert history.history.keys() == {'loss', 'learning_rate'}
    assert history['loss'][-1] < 1e-4
    assert net.evaluate(x, x @ [1, -2, 3]).keys() == {'loss'}


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'epochs': 0}, 'epochs: expected a whole number of at least 1, got 0'),
        ({'batch_size': 2.5}, 'batch_size: expected'),
        ({'learning_rate': -1}, 'learning_rate: expected a finite number of at least 0, got -1'),
        ({'learning_rate': float('nan')}, 'learning_rate'),
        ({'learning_rate': '0.1'}, 'learning_rate'),
        ({'validation_data': 3}, r'validation_data: expected arrays x and y, or .* batches \(x, y\), got 3'),
        ({'validation_data': small_data(0)}, 'validation_data: expected at least one sample'),
        ({'resume_from_checkpoint': True}, 'give the checkpoint_dir'),
        ({'epochs': 10**400, 'learning_rate': Cosine(0.1)}, 'epochs: expected at most'),
        ({'checkpoint_dir': __file__}, 'checkpoint_dir: expected a folder, .* is a file'),
        ({'checkpoint_dir': '.', 'checkpoint_prefix': '../x'}, 'checkpoint_prefix: expected'),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_trained(options, message):
    net, (x, y) = small_network(), small_data()
    before = bits(net)
    with pytest.raises(ValueError, match=message):
        net.train(x, y, **options)
    assert bits(net) == before


def test_x_and_y_of_different_lengths():
    with pytest.raises(ValueError, match='as many samples as targets, got 3 and 2'):
        small_network().train(np.zeros((3, 6, 6, 1)), [0, 1])


def test_a_batch_larger_than_the_data_and_a_last_batch_of_one():
    for n, batch_size in ((5, 1000), (9, 8), (3, 1)):
        x, y = small_data(n)
        history = small_network().train(x, y, epochs=2, batch_size=batch_size, verbose=0)
        assert np.isfinite(history['loss']).all()


@pytest.mark.parametrize('rate', [float('nan'), float('inf'), -1e-3, np.float32('nan'), -np.inf])
def test_a_schedule_that_gives_no_rate_is_refused_before_the_update(rate):
    class Own(Constant):
        def __call__(self, step, steps, epochs):
            return 0.05 if step < 9 else rate

    expected, net = small_network(), small_network()
    train(expected, epochs=1, n=72)
    with pytest.raises(ValueError, match='step 9: expected a finite rate of at least 0 from the schedule Own, got'):
        train(net, n=72, learning_rate=Own(0.05))
    assert bits(net) == bits(expected)


@pytest.mark.usefixtures('compiled_kernels')
def test_layers_allocate_nothing_after_the_first_batch():
    net = lenet5()
    x, labels = np.zeros((256, 28, 28, 1), np.float32), np.arange(256) % 10
    net.train(x, labels, epochs=1, batch_size=64, verbose=0)
    largest_activation = 64 * 28 * 28 * 6 * 4
    tracemalloc.start()
    net.train(x, labels, epochs=1, batch_size=64, verbose=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < largest_activation


@pytest.mark.parametrize('options', [{'shuffle': 'no'}, {'shuffle': 1}, {'verbose': 'auto'}, {'verbose': -1}])
def test_what_is_neither_on_nor_off_is_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        train(small_network(), **options)


def test_freezing_a_network_freezes_its_layers_and_nothing_is_left_to_train():
    net = small_network()
    net.trainable = False
    assert not any(layer.trainable for layer in net.layers)
    with pytest.raises(ValueError, match='no layer learns: set layer.trainable'):
        train(net)
    net.layers[-2].trainable = True
    assert net.trainable
    train(net)
    for wrong in ('False', None):
        with pytest.raises(ValueError, match='trainable: expected True or False'):
            net.layers[0].trainable = wrong


def test_rates_that_are_no_numbers_are_refused():
    class Wrong(Schedule):
        def __call__(self, step, steps, epochs):
            return 'x'

    with pytest.raises(ValueError, match="expected a finite rate of at least 0 from the schedule Wrong, got 'x'"):
        train(small_network(), learning_rate=Wrong())
    with pytest.raises(ValueError, match=r'expected a function of \(step, steps\), got one of \(epoch\)'):
        train(small_network(), learning_rate=lambda epoch: 0.1)


def test_a_file_of_a_layer_of_ones_own_says_how_to_read_it(tmp_path):
    class Double(cnnx.Layer):
        def forward(self, x, training=False):
            return 2 * x

        def backward(self, dy):
            return 2 * dy

    def build():
        net = cnnx.Network(seed=0)
        for layer in (Double(input_shape=(4,)), cnnx.Dense(output_size=2)):
            net.add(layer)
        return net

    net = build()
    with pytest.warns(UserWarning, match='custom_objects'):
        net.save(tmp_path / 'own.npz')
    with pytest.raises(cnnx.CheckpointError, match=r"a Double, which is not of cnnx; give custom_objects=\{'Double'"):
        cnnx.Network.load(tmp_path / 'own.npz')
    again = build()
    again.load_weights(tmp_path / 'own.npz')
    np.testing.assert_array_equal(again.predict(np.ones((3, 4))), net.predict(np.ones((3, 4))))
