"""Callbacks: when their hooks are called, what they do, and that a resumed run restores their state."""

import copy
import itertools
import os
import time

import numpy as np
import pytest
from callback_runs import BATCH, BATCHES, N, Recorder, Scripted, train
from models import bits, small_network

import cnnx
from cnnx import CheckpointError, callbacks, checkpoint
from cnnx.callbacks import BestCheckpoint, Callback, CSVLogger, EarlyStopping, LambdaCallback, TensorBoard, Watch
from cnnx.schedules import Cosine


def test_hooks_are_called_in_order():
    recorder = Recorder()
    history = train(small_network(), callbacks=[recorder], epochs=2)
    batches = [(f'on_batch_{end}', batch) for batch in range(1, BATCHES + 1) for end in ('begin', 'end')]
    epochs = [[('on_epoch_begin', epoch), *batches, ('on_epoch_end', epoch)] for epoch in (1, 2)]
    assert [call[:2] for call in recorder.calls] == [('on_train_begin',), *epochs[0], *epochs[1], ('on_train_end',)]
    ends = [call[2] for call in recorder.calls if call[0] == 'on_epoch_end']
    assert ends == [{key: values[i] for key, values in history.history.items()} for i in range(2)]
    of_batches = [call[2] for call in recorder.calls if call[0] == 'on_batch_end'][:BATCHES]
    for metric in ('loss', 'accuracy'):
        mean = np.average([metrics[metric] for metrics in of_batches], weights=[BATCH, BATCH, N - 2 * BATCH])
        assert mean == pytest.approx(ends[0][metric])


def test_functions_serve_as_hooks():
    losses = []
    train(
        small_network(), callbacks=[LambdaCallback(on_epoch_end=lambda epoch, metrics: losses.append(metrics['loss']))]
    )
    assert len(losses) == 3


def test_a_callback_can_end_the_run_after_a_batch():
    net, recorder = small_network(), Recorder()
    stopper = LambdaCallback(on_batch_end=lambda batch, metrics: batch == 2 and stopper.stop())
    history = train(net, callbacks=[stopper, recorder])
    assert [name for name, *_ in recorder.calls].count('on_batch_end') == 2
    assert [name for name, *_ in recorder.calls][-2:] == ['on_epoch_end', 'on_train_end']
    assert len(history['loss']) == len(history['val_loss']) == 1


def test_an_error_is_given_to_callbacks_in_place_of_the_end():
    def fail(batch, metrics):
        raise cnnx.DivergenceError('the loss is nan')

    recorder = Recorder()
    with pytest.raises(cnnx.DivergenceError) as caught:
        train(small_network(), callbacks=[recorder, LambdaCallback(on_batch_end=fail)])
    assert recorder.calls[-1] == ('on_train_error', caught.value)
    assert 'on_train_end' not in [name for name, *_ in recorder.calls]


def test_what_a_callback_says_comes_after_the_line_of_its_epoch(capsys):
    class Talking(Callback):
        def on_train_begin(self):
            self.say('begins')

        def on_batch_end(self, batch, metrics):
            self.say(f'batch {batch}')

        def on_train_end(self):
            self.say('ends')

    train(small_network(), epochs=1, callbacks=[Talking()], verbose=1)
    said = [line.split(':')[0] for line in capsys.readouterr().out.splitlines()]
    assert said == ['begins', 'epoch 1/1', 'batch 1', 'batch 2', 'batch 3', 'ends']
    Talking().say('in no run')
    assert capsys.readouterr().out == ''


def test_a_callback_can_be_copied_after_a_run(monkeypatch):
    monkeypatch.setattr('sys.stdout.isatty', lambda: True, raising=False)
    stopping = EarlyStopping('loss')
    train(small_network(), callbacks=[stopping], verbose=1)
    copied = copy.deepcopy(stopping)
    assert copied.best == stopping.best
    assert stopping._run.epochs == 3
    assert copied._run is None  # it is in no run, and has no copy of the data


@pytest.mark.parametrize('learns', [True, False])
def test_a_layer_that_a_callback_freezes_or_sets_free_is_so_from_the_next_batch_on(learns):
    net, weights = small_network(), []
    net.layers[0].trainable = learns

    def turn(batch, metrics):
        weights.append(net.layers[0].weights.copy())
        if batch == 1:
            net.layers[0].trainable = not learns

    train(net, epochs=1, callbacks=[LambdaCallback(on_batch_end=turn)])
    assert [(a == b).all() for a, b in itertools.pairwise(weights)] == [learns] * 2


def test_a_callback_serves_one_run_after_another():
    stopping = EarlyStopping(patience=2, monitor='loss')
    for _ in range(2):
        losses = train(small_network(), callbacks=[stopping])['loss']
        assert stopping.best_epoch == 1 + np.argmin(losses)


# Resume

CALLBACKS = {
    'EarlyStopping': lambda folder: [Scripted([3, 1, 2, 2, 2], patience=2)],
    'BestCheckpoint': lambda folder: [BestCheckpoint(folder / 'best.npz', 'loss')],
    'CSVLogger': lambda folder: [CSVLogger(folder / 'log.csv')],
    'LambdaCallback': lambda folder: [LambdaCallback()],
    'TensorBoard': lambda folder: [TensorBoard(folder / 'board')],
    'Watch': lambda folder: [Watch(folder / 'run.html')],
}


def test_the_matrix_is_complete():
    kinds = [kind for kind in vars(callbacks).values() if isinstance(kind, type) and issubclass(kind, Callback)]
    assert CALLBACKS.keys() == {kind.__name__ for kind in kinds} - {'Callback', 'BestCallback'}


class PowerError(Exception):
    pass


def failing_at(stop):
    taken = []

    def on_batch_end(batch, metrics):
        taken.append(batch)
        if len(taken) == stop:
            raise PowerError

    return on_batch_end


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == '.csv'} | {
        path.name: bits(cnnx.Network.load(path)) for path in folder.glob('best*')
    }


@pytest.mark.parametrize('name', CALLBACKS)
def test_a_run_stopped_at_any_batch_ends_as_if_it_had_not_been(tmp_path, name):
    if name == 'TensorBoard':
        pytest.importorskip('tensorboardX', reason='needs tensorboardX: pip install tensorboardX')

    def callbacks_of(folder, stop=None):
        folder.mkdir(exist_ok=True)
        return [*CALLBACKS[name](folder), LambdaCallback(**({'on_batch_end': failing_at(stop)} if stop else {}))]

    options = {'epochs': 5, 'checkpoint_every': 1}
    whole = small_network()
    expected = train(whole, callbacks=callbacks_of(tmp_path / 'whole'), **options, checkpoint_dir=tmp_path / 'w')
    for stop in range(1, BATCHES * len(expected['loss']) + 1, BATCHES + 1):  # each batch of an epoch in turn
        folder, net = tmp_path / str(stop), small_network()
        with pytest.raises(PowerError):
            train(small_network(), callbacks=callbacks_of(folder, stop), checkpoint_dir=folder, **options)
        resumed = callbacks_of(folder)
        history = train(net, callbacks=resumed, checkpoint_dir=folder, resume_from_checkpoint=True, **options)
        assert history.history == expected.history
        assert bits(net) == bits(whole)
        assert files(folder) == files(tmp_path / 'whole')
        before = bits(net)
        again = small_network()
        train(again, callbacks=callbacks_of(folder), checkpoint_dir=folder, resume_from_checkpoint=True, **options)
        assert bits(again) == before


def test_what_a_callback_sets_up_too_late_is_named(tmp_path):
    class Late(Callback):
        def on_train_begin(self):
            self.count = 0

        def state(self):
            return {'count': self.count}

    with pytest.raises(ValueError, match="Late: its state.. or arrays.. fails before the run begins .*'count'"):
        train(small_network(), callbacks=[Late()], checkpoint_dir=tmp_path)


@pytest.mark.parametrize('state', [{'times': 1}, {'best': 1}, [1], 'x'])
def test_a_state_that_a_callback_cannot_restore_names_the_file_and_the_callback(tmp_path, state):
    class Counting(Callback):
        times = 0

        def state(self):
            return {'count': self.times}

        def restore(self, state, arrays):
            self.times = state['count'] if state else 0

    train(small_network(), callbacks=[Counting()], checkpoint_dir=tmp_path, epochs=1)
    path = tmp_path / 'model_epoch_1.npz'
    arrays, description = checkpoint.read(path)
    description['callbacks'][0]['state'] = state
    checkpoint.write(path, arrays, description)
    message = r'model_epoch_1\.npz: not a checkpoint of a training run .Counting cannot restore its state'
    with pytest.raises(CheckpointError, match=message):
        train(small_network(), callbacks=[Counting()], checkpoint_dir=tmp_path, resume_from_checkpoint=True)


def test_a_resume_that_a_callback_ends_at_once_says_so(tmp_path, capsys):
    options = {'checkpoint_dir': tmp_path, 'learning_rate': 0.0, 'resume_from_checkpoint': True, 'verbose': 1}
    train(small_network(), epochs=9, callbacks=[EarlyStopping('loss', patience=1)], **options)
    train(small_network(), epochs=20, callbacks=[EarlyStopping('loss', patience=1)], **options)
    assert 'a callback has stopped the run: nothing to train' in capsys.readouterr().out


def test_files_of_callbacks_stay_where_they_were_when_the_run_began(tmp_path, monkeypatch):
    (tmp_path / 'elsewhere').mkdir()
    monkeypatch.chdir(tmp_path)
    moving = LambdaCallback(on_epoch_begin=lambda epoch: os.chdir(tmp_path / 'elsewhere'))
    train(small_network(), callbacks=[BestCheckpoint('best.npz', 'loss'), CSVLogger('log.csv'), moving])
    assert sorted(path.name for path in tmp_path.iterdir()) == ['best.npz', 'elsewhere', 'log.csv']
    assert not list((tmp_path / 'elsewhere').iterdir())


@pytest.mark.parametrize('number', [float, np.float32, int])
def test_what_a_callback_adds_to_the_history_is_saved(tmp_path, number):
    class Counting(LambdaCallback):
        def on_epoch_end(self, epoch, metrics):
            self.history.history['count'] = [number(place) for place in range(epoch)]

    net = small_network()
    train(net, epochs=2, callbacks=[Counting()], checkpoint_dir=tmp_path)
    found = train(net, callbacks=[Counting()], checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    assert found['count'] == [0, 1, 2]


def test_what_json_cannot_hold_in_the_history_is_refused_as_it_is_saved(tmp_path):
    class Clock(LambdaCallback):
        def on_epoch_end(self, epoch, metrics):
            self.history.history['when'] = [time.gmtime, 'noon'][:epoch]

    with pytest.raises(TypeError, match='history: when: expected what JSON can hold, got <built-in function gmtime>'):
        train(small_network(), callbacks=[Clock()], checkpoint_dir=tmp_path)
    assert list(tmp_path.glob('*.npz')) == []


# Time


def test_a_run_ends_when_its_time_is_up_and_its_schedule_with_it(tmp_path):
    rates = []

    class Told(Cosine):
        def __call__(self, *arguments):
            rates.append(super().__call__(*arguments))
            return rates[-1]

    slow = LambdaCallback(on_batch_end=lambda batch, metrics: time.sleep(0.02))
    net = small_network()
    options = {'callbacks': [slow], 'epochs': 1000, 'learning_rate': Told(0.1), 'checkpoint_dir': tmp_path}
    began = time.monotonic()
    history = train(net, max_seconds=0.5, **options)
    assert 0.5 <= time.monotonic() - began < 20
    assert 1 <= len(history['loss']) <= 10
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.07
    before = bits(net)
    again = small_network()
    train(again, max_seconds=0.5, resume_from_checkpoint=True, **options)
    assert bits(again) == before
    one_batch = LambdaCallback(on_batch_end=lambda batch, metrics: one_batch.stop())
    train(again, max_seconds=3600, resume_from_checkpoint=True, **(options | {'callbacks': [one_batch]}))
    assert bits(again) != before


# Wrong arguments


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: EarlyStopping(patience=0), 'patience: expected a whole number of at least 1, got 0'),
        (lambda: EarlyStopping(min_delta=-1), 'min_delta: expected'),
        (lambda: EarlyStopping(monitor=None), 'monitor: expected the name of a metric'),
        (lambda: LambdaCallback(on_fire=print), 'expected hooks on_train_begin, .*, got on_fire'),
        (
            lambda: LambdaCallback(on_epoch_end=lambda epoch: None),
            r'expected a function of \(epoch, metrics\), got one of \(epoch\)',
        ),
        (lambda: EarlyStopping(restore_best='no'), 'restore_best: expected True or False'),
        (lambda: BestCheckpoint(None), 'path: expected the path of a file, got None'),
        (lambda: CSVLogger(''), 'path: expected the path of a file'),
        (
            lambda: train(small_network(), callbacks=[CSVLogger('.')]),
            r'path: expected the path of a file, \. is a folder',
        ),
        (
            lambda: train(small_network(), callbacks=[CSVLogger('nowhere/log.csv')]),
            'there is no folder .*nowhere; make it',
        ),
        (
            lambda: train(small_network(), callbacks=[BestCheckpoint('nowhere/best.npz', 'loss')]),
            'there is no folder .*nowhere; make it',
        ),
        (lambda: LambdaCallback(on_epoch_end=3), r'on_epoch_end: expected a function of \(epoch, metrics\), got 3'),
        (lambda: train(small_network(), callbacks=EarlyStopping()), 'callbacks: expected a list'),
        (lambda: train(small_network(), callbacks=[print]), 'callbacks: expected objects'),
        (lambda: train(small_network(), callbacks=[EarlyStopping]), 'callbacks: expected objects'),
        (lambda: train(small_network(), callbacks=[EarlyStopping('top_5')]), 'monitor: expected one of loss, accuracy'),
        (
            lambda: train(small_network(), callbacks=[EarlyStopping()], validation_data=None),
            "monitor: expected one of loss, accuracy, or give validation_data, got 'val_loss'",
        ),
    ],
)
def test_wrong_callbacks_are_refused_before_anything_is_trained(make, message):
    with pytest.raises(ValueError, match=message):
        make()
