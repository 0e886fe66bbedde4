"""Arrays as data: dtypes, weights of samples and classes, and validation splits."""

import itertools

import numpy as np
import pytest
from models import Unsized, bits, cut, small_data, small_network

from cnnx import MeanSquaredError
from cnnx.callbacks import LambdaCallback


def train(net, *data, **options):
    return net.train(*data, **({'epochs': 2, 'batch_size': 8, 'verbose': 0, 'learning_rate': 0.05} | options))


# Weights


def test_weights_count_like_repeated_samples():
    x, y = small_data(24)
    counts = np.random.default_rng(0).integers(0, 4, 24)
    weighed, repeated = small_network(dtype='float64'), small_network(dtype='float64')
    train(weighed, x, y, sample_weight=counts, batch_size=24, epochs=1, learning_rate=0.1 * 24 / counts.sum())
    train(repeated, np.repeat(x, counts, 0), np.repeat(y, counts), batch_size=counts.sum(), epochs=1, learning_rate=0.1)
    for name, parameter in weighed.parameters.items():
        np.testing.assert_allclose(parameter.value, repeated.parameters[name].value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize('backend', ['cython', 'numpy'])
@pytest.mark.parametrize('loss', [None, MeanSquaredError])
def test_the_weighted_loss_is_the_sum_over_the_number_of_samples(loss, backend, compiled_kernels):
    import cnnx

    with cnnx.use_backend(backend):
        net, (x, y) = small_network(loss=loss and loss()), small_data(10)
        weights = np.array([0, 0.5, 2, 1, 1, 0, 3, 1, 1, 0.25])
        each = [net.evaluate(x[i : i + 1], y[i : i + 1])['loss'] for i in range(10)]
        found = net.evaluate(x, y, batch_size=4, sample_weight=weights)
        assert found['loss'] == pytest.approx(np.dot(each, weights) / 10, rel=1e-5)
        assert found['accuracy'] == net.evaluate(x, y)['accuracy']


def test_class_weights_multiply_sample_weights():
    x, y = small_data(30)
    weights = np.arange(1, 31) / 4
    both, by_hand = small_network(), small_network()
    train(both, x, y, sample_weight=weights, class_weight={0: 3.0, 2: 0})
    train(by_hand, x, y, sample_weight=weights * np.where(y == 0, 3, np.where(y == 2, 0, 1)))
    assert bits(both) == bits(by_hand)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'sample_weight': np.ones(29)}, r'sample_weight: expected shape \(30,\), one a sample, got \(29,\)'),
        ({'sample_weight': np.zeros(30)}, 'sample_weight: all samples weigh 0'),
        ({'sample_weight': [-1.0] + [1.0] * 29}, 'sample_weight: .* at least 0, got -1.0 at position 0'),
        ({'sample_weight': [np.nan] * 30}, 'sample_weight: expected finite numbers'),
        ({'sample_weight': ['a'] * 30}, 'sample_weight: expected'),
        ({'class_weight': [1, 2, 3]}, 'class_weight: expected a dict'),
        ({'class_weight': {0: -1}}, r'class_weight\[0\]: expected a finite number'),
        ({'class_weight': {'0': 1}}, 'class_weight: expected classes as whole numbers'),
        ({'class_weight': {0: 0, 1: 0, 2: 0}}, 'class_weight: all samples would weigh 0'),
        ({'class_weight': {0: 1e300}}, 'class_weight: samples would weigh more than float32 can hold'),
        ({'class_weight': {2: 1, 3: 2.0}}, 'class_weight: no class 3; there are classes 0 to 2'),
        ({'class_weight': {99: 2.0}}, 'class_weight: no class 99; there are classes 0 to 2'),
        ({'sample_weight': np.full(30, 1e-50)}, 'sample_weight: all samples weigh 0 in float32'),
        ({'sample_weight': np.full(30, 1e300)}, r'finite numbers of float32, .* got 1e\+300 at position 0'),
        (
            {'sample_weight': np.arange(30) // 24, 'validation_split': 0.2},
            'sample_weight: all samples that validation_split leaves to train on weigh 0',
        ),
        (
            {'sample_weight': 1 - np.arange(30) // 24, 'validation_split': 0.2},
            'sample_weight: all samples that validation_split takes to validate with weigh 0',
        ),
        ({'validation_split': 1.5}, 'validation_split: expected a number between 0 and 1, got 1.5'),
        ({'validation_split': True}, 'validation_split: expected a number'),
        ({'validation_split': 1e-20}, 'validation_split: 1e-20 of 30 samples leaves nothing to validate with'),
        ({'validation_split': 0.999}, 'leaves nothing to train on'),
        ({'validation_split': 0.2, 'validation_data': small_data(3)}, 'validation_split: goes with'),
        ({'steps_per_epoch': 3}, 'steps_per_epoch: goes with batches'),
        ({'validation_steps': 3}, 'validation_steps: goes with batches as validation_data'),
        ({'validation_steps': 3, 'validation_split': 0.5}, 'validation_steps: goes with batches as validation_data'),
        ({'max_seconds': 0}, 'max_seconds: expected'),
        ({'max_seconds': '1m'}, 'max_seconds: expected'),
    ],
    ids=repr,
)
def test_wrong_data_settings_are_refused_before_anything_is_trained(options, message):
    net, (x, y) = small_network(), small_data(30)
    before = bits(net)
    with pytest.raises(ValueError, match=message):
        train(net, x, y, **options)
    assert bits(net) == before


def test_class_weights_need_classes():
    net, (x, y) = small_network(loss=MeanSquaredError()), small_data(30)
    with pytest.raises(ValueError, match='class_weight: expected a CategoricalCrossEntropy'):
        train(net, x, y, class_weight={0: 2.0})


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'sample_weight': np.zeros(30)}, 'sample_weight: all samples weigh 0'),
        ({'steps': 3}, 'steps: goes with batches, not with arrays'),
    ],
)
def test_wrong_data_settings_are_refused_before_anything_is_measured(options, message):
    with pytest.raises(ValueError, match=message):
        small_network().evaluate(*small_data(30), **options)


# Validation


def test_a_validation_split_is_the_last_samples():
    x, y = small_data(30)
    split, given = small_network(), small_network()
    history = train(split, x, y, validation_split=0.2, sample_weight=np.arange(1, 31))
    weights = np.arange(1, 31)
    other = train(given, x[:24], y[:24], validation_data=(x[24:], y[24:], weights[24:]), sample_weight=weights[:24])
    assert history.history == other.history
    assert bits(split) == bits(given)


@pytest.mark.parametrize(('samples', 'fraction', 'kept'), [(10, 0.9, 1), (1000, 0.8, 200), (30, 0.25, 22), (8, 0.5, 4)])
def test_a_validation_split_is_rounded_as_it_is_written(samples, fraction, kept):
    x, y = small_data(samples)
    split, given = small_network(), small_network()
    options = {'epochs': 1, 'batch_size': samples, 'shuffle': False}
    history = train(split, x, y, validation_split=fraction, **options)
    other = train(given, x[:kept], y[:kept], validation_data=(x[kept:], y[kept:]), **options)
    assert history.history == other.history


@pytest.mark.parametrize('count', [2, 3])
def test_validation_samples_can_be_lists(count):
    x, y = small_data(30)
    expected = train(small_network(), x, y, validation_data=(x[:count], y[:count])).history
    for targets in (list(y[:count]), y[:count].tolist(), list(np.eye(3)[y[:count]])):
        for samples in (list(x[:count]), x[:count].tolist()):
            assert train(small_network(), x, y, validation_data=(samples, targets)).history == expected


def test_a_resumed_run_goes_on_in_the_validation_batches_of_an_iterator(tmp_path):
    x, y = small_data(30)
    weights = np.random.default_rng(0).random((30, 6, 6, 1))

    def data():
        return {'validation_data': itertools.cycle(cut(x * weights, y)), 'validation_steps': 3}

    expected = train(small_network(), x, y, epochs=3, **data())
    net = small_network()
    train(net, x, y, epochs=3, checkpoint_dir=tmp_path, callbacks=[stop_after(2)], **data())
    history = train(small_network(), x, y, epochs=3, checkpoint_dir=tmp_path, resume_from_checkpoint=True, **data())
    assert history.history == expected.history


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('kind', ['uint8', 'int64', '>f8', 'float16', 'bool'])
def test_targets_of_any_dtype_are_read_like_those_of_the_network(kind, dtype):
    x, _ = small_data(30)
    y = (7 * np.random.default_rng(0).random((30, 3))).astype(kind)
    found = []
    for targets in (y, y.astype(dtype), Unsized(cut(x, y)), Unsized(cut(x, y.astype(dtype)))):
        net = small_network(loss=MeanSquaredError(), dtype=dtype)
        data = (targets,) if isinstance(targets, Unsized) else (x, targets)
        found.append((train(net, *data, shuffle=False)['loss'], net.evaluate(*data, batch_size=8)['loss'], bits(net)))
    assert all(one == found[0] for one in found)


def stop_after(epoch):
    def stop(done, metrics):
        if done == epoch:
            callback.stop()

    callback = LambdaCallback(on_epoch_end=stop)
    return callback
