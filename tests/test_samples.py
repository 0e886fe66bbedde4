"""What `train`, `evaluate` and `predict` take: arrays, weights, parts for validation, and batches as they come."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from models import bits, small_data, small_network

from cnnx import MeanSquaredError
from cnnx.schedules import Cosine


def cut(x, y, *weights, size=8):
    return [tuple(array[first : first + size] for array in (x, y, *weights)) for first in range(0, len(x), size)]


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
        ({'validation_split': 1.5}, 'validation_split: expected a number between 0 and 1, got 1.5'),
        ({'validation_split': True}, 'validation_split: expected a number'),
        ({'validation_split': 1e-20}, 'validation_split: 1e-20 of 30 samples leaves nothing to validate with'),
        ({'validation_split': 0.999}, 'leaves nothing to train on'),
        ({'validation_split': 0.2, 'validation_data': small_data(3)}, 'validation_split: goes with'),
        ({'steps_per_epoch': 3}, 'steps_per_epoch: goes with batches'),
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


# Validation


def test_a_validation_split_is_the_last_samples():
    x, y = small_data(30)
    split, given = small_network(), small_network()
    history = train(split, x, y, validation_split=0.2, sample_weight=np.arange(1, 31))
    weights = np.arange(1, 31)
    other = train(given, x[:24], y[:24], validation_data=(x[24:], y[24:], weights[24:]), sample_weight=weights[:24])
    assert history.history == other.history
    assert bits(split) == bits(given)


# Batches


@pytest.mark.parametrize('weighted', [False, True])
def test_batches_train_like_the_arrays_that_they_are_cut_from(weighted):
    x, y = small_data(30)
    weights = (np.linspace(0, 2, 30),) if weighted else ()
    arrays, batches, functions = small_network(), small_network(), small_network()
    expected = train(
        arrays, x, y, shuffle=False, sample_weight=weights[0] if weighted else None, validation_data=(x, y)
    )
    found = train(batches, cut(x, y, *weights), validation_data=Unsized(cut(x, y)))
    train(functions, lambda epoch: iter(cut(x, y, *weights)))
    assert found.history == expected.history
    assert bits(batches) == bits(functions) == bits(arrays)
    assert batches.evaluate(cut(x, y)) == arrays.evaluate(x, y, batch_size=8)
    metrics = ['confusion_matrix', 'top_2']
    for mine, other in zip(
        batches.evaluate(iter(cut(x, y)), metrics=metrics).values(),
        arrays.evaluate(x, y, metrics=metrics).values(),
        strict=True,
    ):
        np.testing.assert_allclose(mine, other, rtol=1e-6)


class Unsized:
    """An iterable that is no sequence and does not tell its length."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


def test_an_iterator_gives_each_epoch_its_steps():
    x, y = small_data(32)
    whole, endless = small_network(), small_network()
    train(whole, lambda epoch: cut(x, y)[:2] if epoch == 1 else cut(x, y)[2:])
    train(endless, itertools.cycle(cut(x, y)), steps_per_epoch=2)
    assert bits(whole) == bits(endless)


def test_functions_are_told_the_epoch():
    x, y = small_data(16)
    epochs = []
    train(small_network(), lambda epoch: epochs.append(epoch) or cut(x, y), epochs=3)
    assert epochs == [1, 2, 3]


def test_a_schedule_over_batches_of_unknown_number_goes_by_epochs():
    x, y = small_data(16)
    known, unknown = small_network(), small_network()
    rates = []

    class Told(Cosine):
        def __call__(self, *arguments):
            rates.append(super().__call__(*arguments))
            return rates[-1]

    train(known, cut(x, y), learning_rate=Told(0.1))
    train(unknown, Unsized(cut(x, y)), learning_rate=Told(0.1))
    assert rates[:4] == pytest.approx([0.1, 0.0853553, 0.05, 0.0146447], rel=1e-5)
    assert rates[4:] == pytest.approx([0.1, 0.1, 0.05, 0.05])


@pytest.mark.parametrize(
    ('batches', 'options', 'message'),
    [
        (lambda x, y: iter(cut(x, y)), {}, 'x: expected what can be gone through 2 times, got an iterator'),
        (lambda x, y: [], {}, 'expected at least one batch, got none'),
        (lambda x, y: Unsized([]), {}, 'the batches of epoch 1 ended after 0, expected at least one'),
        (lambda x, y: iter(cut(x, y)), {'steps_per_epoch': 3}, 'of epoch 2 ended after 1, expected 3'),
        (lambda x, y: Unsized(cut(x, y)), {'steps_per_epoch': 9}, 'of epoch 1 ended after 4, expected 9'),
        (lambda x, y: [(x,)], {}, r'batch 1 of epoch 1: expected \(x, y\)'),
        (lambda x, y: [x], {}, r'batch 1 of epoch 1: expected \(x, y\) .*, got ndarray'),
        (lambda x, y: [(x, y), (x[:, 1:], y)], {}, r'batch 2 of epoch 1: x: .*expected .*\(N, 6, 6, 1\)|batch 2'),
        (lambda x, y: [(x, y[:5])], {}, 'batch 1 of epoch 1: expected as many samples as targets'),
        (lambda x, y: [(x[:0], y[:0])], {}, 'batch 1 of epoch 1: expected at least one sample'),
        (lambda x, y: [(x, y, y[:3])], {}, 'batch 1 of epoch 1: sample_weight: expected shape'),
        (lambda x, y: 3, {}, 'y: expected targets|expected arrays'),
        (lambda x, y: x, {}, 'y: expected targets beside the array x, got None'),
        (lambda x, y: cut(x, y), {'sample_weight': np.ones(30)}, 'sample_weight: goes with arrays'),
        (lambda x, y: cut(x, y), {'class_weight': {0: 1.0}}, 'class_weight: goes with arrays'),
        (lambda x, y: cut(x, y), {'validation_split': 0.5}, 'validation_split: goes with arrays'),
        (lambda x, y: cut(x, y), {'steps_per_epoch': 0}, 'steps_per_epoch: expected a whole number of at least 1'),
        (lambda x, y: cut(x, y), {'validation_data': 'x'}, 'validation_data: expected'),
    ],
)
def test_wrong_batches_are_refused_with_their_place(batches, options, message):
    with pytest.raises(ValueError, match=message):
        train(small_network(), batches(*small_data(30)), **options)


@pytest.mark.parametrize('form', ['list', 'function', 'iterator'])
def test_a_run_over_batches_resumes_at_any_of_them(tmp_path, form):
    x, y = small_data(30)

    def data():
        if form == 'iterator':
            return itertools.cycle(cut(x, y))
        return cut(x, y) if form == 'list' else lambda epoch: cut(x[::-1] if epoch % 2 else x, y)

    steps = {'steps_per_epoch': 4} if form == 'iterator' else {}
    whole = small_network()
    expected = train(whole, data(), epochs=3, **steps)
    for stop in range(1, 12):
        folder = tmp_path / str(stop)
        stopped, resumed = small_network(), small_network()
        taken = itertools.count()

        def batches(stop=stop, taken=taken):
            for batch in itertools.cycle(data()(1) if form == 'function' else data()):
                if next(taken) == stop:
                    raise RuntimeError('the power fails')
                yield batch

        if form == 'function':
            source = lambda epoch, stop=stop: (  # noqa: E731
                batch if 4 * (epoch - 1) + i < stop else fail() for i, batch in enumerate(data()(epoch))
            )
        else:
            source = batches()
        with pytest.raises(RuntimeError, match='the power fails'):
            train(stopped, source, epochs=3, steps_per_epoch=4, checkpoint_dir=folder, checkpoint_every=1)
        history = train(
            resumed, data(), epochs=3, checkpoint_dir=folder, resume_from_checkpoint=True, steps_per_epoch=4
        )
        assert history.history == expected.history
        assert bits(resumed) == bits(whole)


def fail():
    raise RuntimeError('the power fails')


def test_predict_takes_batches():
    net, (x, y) = small_network(), small_data(30)
    expected = net.predict(x)
    np.testing.assert_array_equal(net.predict(batch for batch, _ in cut(x, y)), expected)
    np.testing.assert_array_equal(net.predict(iter(cut(x, y))), expected)
    assert net.predict(iter([])).shape == (0, 3)
    np.testing.assert_array_equal(net.predict(Unsized([list(batch) for batch in cut(x, y)])), expected)
    with pytest.raises(ValueError, match=r'expected batch 2: x \(N, 6, 6, 1\)'):
        net.predict(iter([x, x[:, 1:]]))


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='reads /proc')
def test_mapped_files_and_batches_take_bounded_memory():
    """Of 156 MiB of samples, far less is taken: the process's own memory, files that are mapped not counted."""
    command = [sys.executable, '-m', 'benchmarks.mapped', '160000']
    root = Path(__file__).parents[1]
    environment = {**os.environ, 'PYTHONPATH': str(root)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 40
