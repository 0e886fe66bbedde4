"""Batches as data: what `train`, `evaluate` and `predict` take them from."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from models import Unsized, bits, cut, small_data, small_network

from cnnx.schedules import Cosine


def train(net, *data, **options):
    return net.train(*data, **({'epochs': 2, 'batch_size': 8, 'verbose': 0, 'learning_rate': 0.05} | options))


@pytest.mark.parametrize('count', [1, 2, 3, 5])
def test_validation_batches_can_be_a_list(count):
    x, y = small_data(30)
    batches = cut(x, y, size=-(-30 // count))
    assert len(batches) == count
    history = train(small_network(), x, y, validation_data=batches)
    expected = train(small_network(), x, y, validation_data=Unsized(batches))
    assert history.history == expected.history


def test_validation_batches_have_steps_too():
    x, y = small_data(32)
    batches = cut(x, y)
    given = [batches[:3], [*batches[3:], *batches[:2]]]
    expected = train(small_network(), x, y, validation_data=lambda epoch: given[epoch - 1])
    found = train(small_network(), x, y, validation_data=itertools.cycle(batches), validation_steps=3)
    endless = train(
        small_network(), x, y, validation_data=lambda epoch: itertools.cycle(given[epoch - 1]), validation_steps=3
    )
    assert found.history == endless.history == expected.history
    first = train(small_network(), x, y, validation_data=batches, validation_steps=3)
    assert first.history == train(small_network(), x, y, validation_data=batches[:3]).history


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


def test_an_iterator_gives_each_epoch_its_steps():
    x, y = small_data(32)
    whole, endless = small_network(), small_network()
    train(whole, lambda epoch: cut(x, y)[:2] if epoch == 1 else cut(x, y)[2:])
    train(endless, itertools.cycle(cut(x, y)), steps_per_epoch=2)
    assert bits(whole) == bits(endless)


def test_functions_are_given_the_epoch():
    x, y = small_data(16)
    epochs = []
    train(small_network(), lambda epoch: epochs.append(epoch) or cut(x, y), epochs=3)
    assert epochs == [1, 2, 3]


def test_a_schedule_over_batches_of_unknown_number_goes_by_epochs():
    x, y = small_data(16)
    known, unknown = small_network(), small_network()
    rates = []

    class Recorded(Cosine):
        def __call__(self, *arguments):
            rates.append(super().__call__(*arguments))
            return rates[-1]

    train(known, cut(x, y), learning_rate=Recorded(0.1))
    train(unknown, Unsized(cut(x, y)), learning_rate=Recorded(0.1))
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
        (lambda x, y: Unsized([(x,)]), {}, r'batch 1 of epoch 1: expected \(x, y\)'),
        (lambda x, y: Unsized([x]), {}, r'batch 1 of epoch 1: expected \(x, y\) .*, got ndarray'),
        (lambda x, y: Unsized([(x, y), (x[:, 1:], y)]), {}, r'expected batch 2 of epoch 1: x \(N, 6, 6, 1\)'),
        (lambda x, y: [(x, y[:5])], {}, 'batch 1: expected as many samples as targets'),
        (lambda x, y: [(x[:0], y[:0])], {}, 'batch 1: expected at least one sample'),
        (lambda x, y: [(x, y, y[:3])], {}, 'batch 1: sample_weight: expected shape'),
        (lambda x, y: 3, {}, r'expected arrays x and y, or an iterable of batches \(x, y\), got 3'),
        (lambda x, y: None, {}, 'expected arrays x and y, .*, got None'),
        (lambda x, y: x, {}, 'y: expected targets beside the array x, got None'),
        (lambda x, y: cut(x, y), {'sample_weight': np.ones(30)}, 'sample_weight: goes with arrays'),
        (lambda x, y: cut(x, y), {'class_weight': {0: 1.0}}, 'class_weight: goes with arrays'),
        (lambda x, y: cut(x, y), {'validation_split': 0.5}, 'validation_split: goes with arrays'),
        (lambda x, y: cut(x, y), {'steps_per_epoch': 0}, 'steps_per_epoch: expected a whole number of at least 1'),
        (lambda x, y: cut(x, y), {'validation_data': 'x'}, 'validation_data: expected'),
        (
            lambda x, y: cut(x, y),
            {'validation_data': (*small_data(3), np.zeros(3))},
            'validation_data: sample_weight: all samples weigh 0',
        ),
        (
            lambda x, y: cut(x, y),
            {'validation_data': small_data(3), 'validation_steps': 3},
            'validation_steps: goes with batches, not with',
        ),
        (
            lambda x, y: cut(x, y),
            {'validation_data': [np.ones(2)] * 4},
            r'validation_data: batch 1: expected \(x, y\) or \(x, y, sample_weight\), got ndarray',
        ),
        (
            lambda x, y: cut(x, y),
            {'validation_data': iter([]), 'epochs': 2},
            'validation_data: x: .* an iterator; .*, or validation_steps',
        ),
    ],
)
def test_wrong_batches_are_refused_with_their_place(batches, options, message):
    with pytest.raises(ValueError, match=message):
        train(small_network(), batches(*small_data(30)), **options)


@pytest.mark.parametrize(
    ('batches', 'options', 'message'),
    [
        (lambda x, y: cut(x, y), {'steps_per_epoch': 9}, 'steps_per_epoch: expected at most 4, .*, got 9'),
        (lambda x, y: Indexed(cut(x, y)), {'steps_per_epoch': 5}, 'steps_per_epoch: expected at most 4, .*, got 5'),
        (
            lambda x, y: cut(x, y),
            {'validation_data': cut(*small_data(16)), 'validation_steps': 3},
            'validation_steps: expected at most 2, .*, got 3',
        ),
        (lambda x, y: [(x, y), (x, y), (x[:, 1:], y)], {}, r'expected batch 3: x \(N, 6, 6, 1\)'),
        (lambda x, y: ((x, y), (x, y + 1)), {}, 'batch 2: y: 3 at position'),
        (lambda x, y: [(x, y), (x,)], {}, r'batch 2: expected \(x, y\) or \(x, y, sample_weight\), got tuple'),
    ],
)
def test_what_is_known_of_batches_is_checked_before_anything_is_trained(batches, options, message):
    net = small_network()
    before = bits(net)
    with pytest.raises(ValueError, match=message):
        train(net, batches(*small_data(30)), **options)
    assert bits(net) == before


class Indexed:
    """What has a length and is indexed, and need not end by itself."""

    def __init__(self, batches):
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, place):
        return self.batches[place % len(self)]


def test_batches_that_are_not_among_the_steps_are_not_seen():
    x, y = small_data(30)
    some, first = small_network(), small_network()
    train(some, [*cut(x, y)[:2], 'nobody looks at this'], steps_per_epoch=2)
    train(first, cut(x, y)[:2])
    assert bits(some) == bits(first)
    net = small_network()
    assert net.evaluate(itertools.cycle(cut(x, y)), steps=2) == net.evaluate(x[:16], y[:16], batch_size=8)
    assert net.evaluate(Indexed(cut(x, y))) == net.evaluate(x, y, batch_size=8)


def test_a_batch_may_weigh_nothing():
    x, y = small_data(30)
    weights = np.where(np.arange(30) // 8 == 1, 0.0, 1.0)
    arrays, batches = small_network(), small_network()
    expected = train(arrays, x, y, sample_weight=weights, shuffle=False)
    assert train(batches, Unsized(cut(x, y, weights))).history == expected.history
    assert bits(arrays) == bits(batches)


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
    for form in (Unsized, Indexed):
        np.testing.assert_array_equal(net.predict(form(cut(x, y))), expected)
        np.testing.assert_array_equal(net.predict(form([batch for batch, _ in cut(x, y)])), expected)
    with pytest.raises(ValueError, match=r'expected batch 2: x \(N, 6, 6, 1\)'):
        net.predict(iter([x, x[:, 1:]]))
    with pytest.raises(ValueError, match=r'x: expected samples \(N, ...\) or an iterable of batches, got a function'):
        net.predict(lambda epoch: cut(x, y))


def test_predict_takes_samples_in_lists():
    net, (x, _) = small_network(), small_data(3)
    expected = net.predict(x)
    for samples in (list(x), tuple(x), x.tolist(), [list(image) for image in x]):
        np.testing.assert_array_equal(net.predict(samples), expected)


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='reads /proc')
def test_mapped_files_and_batches_take_bounded_memory():
    """Of 78 MiB of samples, far less is taken: the process's own memory, files that are mapped not counted."""
    command = [sys.executable, '-m', 'benchmarks.mapped', '80000']
    root = Path(__file__).parents[2]
    environment = {**os.environ, 'PYTHONPATH': str(root)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 40


def test_functions_that_give_no_batches_are_refused():
    with pytest.raises(ValueError, match=r'x: expected a function of \(epoch\), got one of \(\)'):
        small_network().train(lambda: [], epochs=1, verbose=0)
    with pytest.raises(ValueError, match='epoch 1: expected batches from the function, got None'):
        small_network().train(lambda epoch: None, epochs=1, verbose=0)
