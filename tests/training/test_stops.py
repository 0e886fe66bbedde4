"""Runs that end where they wait for data, where an epoch ends, or with what they are given changed."""

import contextlib
import errno
import functools
import itertools
import os
import queue
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import filelock
import numpy as np
import pytest
from models import bits, small_data, small_network

import cnnx
from cnnx import DivergenceError, checkpoint
from cnnx.callbacks import BestCheckpoint, CSVLogger, EarlyStopping, LambdaCallback
from cnnx.layers.parameter import Parameter
from cnnx.schedules import Constant, Schedule

pytestmark = pytest.mark.usefixtures('default_handlers')

EPOCHS, BATCHES = 3, 4
POSIX = pytest.mark.skipif(os.name != 'posix', reason='sends POSIX signals')
SIGNALS = pytest.mark.parametrize(
    ('number', 'error'), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)], ids=['INT', 'TERM']
)


def batches(epoch=1):
    x, y = small_data(8 * BATCHES, seed=epoch)
    return [(x[first : first + 8], y[first : first + 8]) for first in range(0, len(x), 8)]


def train(net, data=batches, **options):
    return net.train(data, **({'epochs': EPOCHS, 'learning_rate': 0.05, 'verbose': 0} | options))


@contextlib.contextmanager
def on_alarm(handler):
    """A context in which SIGALRM has a handler of the user's."""
    before = signal.signal(signal.SIGALRM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before)


def names(folder):
    return sorted(path.name for path in folder.glob('*.npz'))


def stalled(epoch, number, at):
    """Give the batches of an epoch; in the second one, a signal comes while one is waited for that never comes."""
    for place, batch in enumerate(batches(epoch)):
        if (epoch, place) == (2, at):
            signal.raise_signal(number)
            queue.Queue().get(timeout=20)
        yield batch


@pytest.fixture(scope='module')
def whole():
    net = small_network()
    return train(net, validation_data=small_data(9)), bits(net)


def assert_resumes(folder, whole, **options):
    """Resume a run in a folder, and see that it ends as one that was not stopped."""
    net, (history, weights) = small_network(seed=9), whole
    options = {'validation_data': small_data(9)} | options
    assert train(net, checkpoint_dir=folder, resume_from_checkpoint=True, **options).history == history.history
    assert bits(net) == weights


# Signals while a batch is waited for


@POSIX
@SIGNALS
@pytest.mark.parametrize('at', range(BATCHES))
def test_a_signal_ends_the_wait_for_a_batch(tmp_path, whole, number, error, at):
    data = functools.partial(stalled, number=number, at=at)
    began = time.monotonic()
    with pytest.raises(error):
        train(small_network(), data, checkpoint_dir=tmp_path, validation_data=small_data(9))
    assert time.monotonic() - began < 10
    assert names(tmp_path) == ['model_epoch_1.npz', *([f'model_epoch_2_batch_{at}.npz'] if at else [])]
    assert_resumes(tmp_path, whole)


@POSIX
@SIGNALS
def test_a_signal_ends_the_wait_for_a_batch_to_validate_with(tmp_path, number, error):
    with pytest.raises(error):
        train(
            small_network(),
            checkpoint_dir=tmp_path,
            validation_data=functools.partial(stalled, number=number, at=1),
        )
    assert names(tmp_path) == ['model_epoch_1.npz', f'model_epoch_2_batch_{BATCHES}.npz']
    net = small_network()
    whole = train(net, validation_data=batches), bits(net)
    assert_resumes(tmp_path, whole, validation_data=batches)


@POSIX
@SIGNALS
def test_a_signal_ends_the_passing_over_of_batches_that_are_done(tmp_path, number, error):
    def cycle():
        return itertools.cycle(batches())

    def slow():
        for place, batch in enumerate(cycle()):
            if place == 1:
                signal.raise_signal(number)
            yield batch

    options = {'steps_per_epoch': BATCHES, 'checkpoint_dir': tmp_path}
    train(small_network(), cycle(), epochs=2, **options)
    with pytest.raises(error):
        train(small_network(), slow(), resume_from_checkpoint=True, **options)
    assert names(tmp_path) == ['model_epoch_1.npz', 'model_epoch_2.npz']


@POSIX
def test_what_the_end_of_other_processes_raises_is_held_back(tmp_path, whole):
    """PyTorch's DataLoader raises where a worker ends, as it does by the Ctrl-C that the training gets as well."""

    def died(number, frame):
        raise RuntimeError('worker exited unexpectedly')

    before = signal.signal(signal.SIGCHLD, died)
    try:
        net, calls = small_network(), []
        learn = net.plan.learn

        def interrupted(*arguments):
            calls.append(None)
            if len(calls) == BATCHES + 2:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGCHLD)
            return learn(*arguments)

        net.plan.learn = interrupted
        with pytest.raises(KeyboardInterrupt):
            train(net, checkpoint_dir=tmp_path, validation_data=small_data(9))
        assert signal.getsignal(signal.SIGCHLD) is died
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert names(tmp_path) == ['model_epoch_1.npz', 'model_epoch_2_batch_2.npz']
    assert_resumes(tmp_path, whole)


@POSIX
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_worker_processes_that_the_signal_ends_too_do_not_keep_a_run_from_stopping(tmp_path, number):
    script = textwrap.dedent("""
        import os, sys, time
        from multiprocessing import Pool
        import numpy as np
        import cnnx

        def make(number):
            time.sleep(0.02)
            rng = np.random.default_rng(number)
            return rng.random((8, 4), np.float32), rng.integers(0, 3, 8)

        if __name__ == '__main__':
            net = cnnx.Network(seed=0)
            for layer in (cnnx.Dense(4, 3), cnnx.Softmax()):
                net.add(layer)
            net.compile(cnnx.CategoricalCrossEntropy())
            pool = Pool(2)
            tell = cnnx.callbacks.LambdaCallback(on_batch_end=lambda batch, figures: print(batch, flush=True))
            options = {'epochs': 1, 'verbose': 0, 'callbacks': [tell], 'checkpoint_dir': sys.argv[1]}
            try:
                net.train(lambda epoch: pool.imap(make, range(10**4)), **options)
            except (KeyboardInterrupt, SystemExit):
                # Not by way of the pool: it waits for locks that a worker has died with.
                os._exit(9)
    """)
    command = [sys.executable, '-W', 'error', '-c', script, str(tmp_path)]
    environment = {**os.environ, 'CNNX_NUM_THREADS': '1', 'PYTHONPATH': str(Path(__file__).parents[2])}
    quiet = {'stdout': subprocess.PIPE, 'stderr': subprocess.DEVNULL}
    with subprocess.Popen(command, start_new_session=True, env=environment, **quiet) as process:
        try:
            while process.stdout.readline() not in (b'3\n', b''):
                pass
            os.killpg(process.pid, number)
            try:
                process.wait(timeout=3)
            except subprocess.TimeoutExpired:  # it came in the instant before a wait, which Python does not notice
                process.send_signal(number)
                process.wait(timeout=20)
        finally:
            with contextlib.suppress(ProcessLookupError):  # none of the group is left
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 9
    assert len(names(tmp_path)) == 1
    assert 'model_epoch_1_batch_' in names(tmp_path)[0]


@POSIX
@SIGNALS
@pytest.mark.parametrize('part', ['training', 'validation'])
def test_batches_that_a_signal_ends_are_not_taken_for_all(tmp_path, whole, number, error, part):
    def ended(epoch):
        try:
            yield from stalled(epoch, number, 2)
        except (KeyboardInterrupt, SystemExit):
            return

    data, validation = (ended, small_data(9)) if part == 'training' else (batches, ended)
    with pytest.raises(error):
        train(small_network(), data, checkpoint_dir=tmp_path, validation_data=validation)
    done = 2 if part == 'training' else BATCHES
    assert names(tmp_path) == ['model_epoch_1.npz', f'model_epoch_2_batch_{done}.npz']


@POSIX
@SIGNALS
def test_a_run_is_saved_before_those_who_make_batches_clean_up(tmp_path, number, error):
    seen = []

    def slow_to_end(epoch):
        try:
            yield from stalled(epoch, number, 2)
        finally:
            seen.append(names(tmp_path))

    with pytest.raises(error):
        train(small_network(), slow_to_end, checkpoint_dir=tmp_path)
    assert 'model_epoch_2_batch_2.npz' in seen[-1]


@POSIX
def test_each_signal_ends_the_wait_that_goes_on(tmp_path):
    def stubborn(epoch):
        yield from batches(epoch)[:2]
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            signal.raise_signal(signal.SIGTERM)
        queue.Queue().get(timeout=20)

    with pytest.raises(KeyboardInterrupt):
        train(small_network(), stubborn, checkpoint_dir=tmp_path)
    assert names(tmp_path) == ['model_epoch_1_batch_2.npz']


@POSIX
@SIGNALS
def test_a_run_within_a_run_stops_and_so_does_the_outer_one(tmp_path, number, error):
    def nested(epoch):
        for place, batch in enumerate(batches(epoch)):
            if (epoch, place) == (2, 2):
                inner = functools.partial(stalled, number=number, at=3)
                train(small_network(), inner, checkpoint_dir=tmp_path / 'inner')
            yield batch

    with pytest.raises(error):
        train(small_network(), nested, checkpoint_dir=tmp_path / 'outer')
    for folder, done in (('inner', 3), ('outer', 2)):
        assert f'model_epoch_2_batch_{done}.npz' in names(tmp_path / folder)


@POSIX
def test_runs_within_runs_all_stop_whosoever_handler_they_found(tmp_path):
    def nested(depth):
        def of_epoch(epoch):
            for place, batch in enumerate(batches(epoch)):
                if place == 2 and depth == 0:
                    signal.raise_signal(signal.SIGTERM)
                elif place == 2:
                    signal.signal(signal.SIGINT, signal.default_int_handler)
                    train(small_network(), nested(depth - 1), checkpoint_dir=tmp_path / str(depth - 1))
                yield batch

        return of_epoch

    with pytest.raises(SystemExit):
        train(small_network(), nested(2), checkpoint_dir=tmp_path / '2')
    for depth in '012':
        assert names(tmp_path / depth) == ['model_epoch_1_batch_2.npz']


@POSIX
def test_a_signal_that_comes_as_handlers_are_put_back_is_acted_upon(tmp_path, monkeypatch):
    """With a handler of SIGCHLD, whose own is put back as well."""
    before, real = signal.signal(signal.SIGCHLD, lambda number, frame: None), signal.signal

    def interrupted(number, handler):
        real(number, handler)
        if (number, handler) == (signal.SIGINT, signal.default_int_handler):
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(signal, 'signal', interrupted)
    try:
        with pytest.raises(SystemExit):
            train(small_network(), epochs=1)
    finally:
        monkeypatch.undo()
        signal.signal(signal.SIGCHLD, before)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


# Where an epoch ends


@pytest.mark.parametrize('failure', [OSError('no such image'), SystemExit('no such image')], ids=repr)
@pytest.mark.parametrize('at', range(1, BATCHES + 1))
def test_what_fails_as_a_batch_is_made_does_not_cost_those_before_it(tmp_path, whole, at, failure):
    def broken(epoch):
        for place, batch in enumerate([*batches(epoch), None]):
            if (epoch, place) == (2, at):
                raise failure
            if batch is not None:
                yield batch

    options = {'checkpoint_dir': tmp_path, 'validation_data': small_data(9)}
    with pytest.raises(type(failure), match='no such image'):
        train(small_network(), broken, **options)
    assert names(tmp_path) == ['model_epoch_1.npz', f'model_epoch_2_batch_{at}.npz']
    assert_resumes(tmp_path, whole)


def test_what_fails_in_validation_does_not_cost_the_epoch(tmp_path, whole):
    def broken(epoch):
        yield small_data(9)
        if epoch == 2:
            raise OSError('no such image')

    with pytest.raises(OSError, match='no such image'):
        train(small_network(), checkpoint_dir=tmp_path, validation_data=broken)
    assert names(tmp_path) == ['model_epoch_1.npz', f'model_epoch_2_batch_{BATCHES}.npz']
    assert_resumes(tmp_path, whole)


def test_what_fails_in_computing_validation_does_not_cost_the_epoch(tmp_path, whole):
    net = small_network()
    assess = net.plan.assess
    calls = []

    def failing(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise MemoryError('no room for 256 images')
        return assess(*arguments)

    net.plan.assess = failing
    with pytest.raises(MemoryError, match='no room for 256 images'):
        train(net, checkpoint_dir=tmp_path, validation_data=small_data(9))
    assert names(tmp_path) == ['model_epoch_1.npz', f'model_epoch_2_batch_{BATCHES}.npz']
    assert_resumes(tmp_path, whole)


def test_weights_that_the_last_step_of_an_epoch_spoils_replace_no_best_ones(tmp_path):
    last = 2 * BATCHES - 1
    best = BestCheckpoint(tmp_path / 'best.npz', monitor='loss')
    with pytest.raises(DivergenceError, match='epoch 2, after 4 batches'):
        train(
            small_network(), batches(), learning_rate=lambda step, _: 1e39 if step == last else 0.05, callbacks=[best]
        )
    arrays, _ = checkpoint.read(tmp_path / 'best.npz')
    assert all(np.isfinite(array).all() for array in arrays.values())


@POSIX
def test_a_signal_behind_part_of_an_epoch_leaves_the_checkpoint_of_the_part(tmp_path, whole):
    def stop(batch, figures):
        if callback.history.history and batch == 2:
            callback.stop()

    def interrupt(epoch, figures):
        if epoch == 2:
            signal.raise_signal(signal.SIGTERM)

    callback = LambdaCallback(on_batch_end=stop, on_epoch_end=interrupt)
    with pytest.raises(SystemExit):
        train(small_network(), checkpoint_dir=tmp_path, callbacks=[callback], validation_data=small_data(9))
    _, description = checkpoint.read(tmp_path / 'model_epoch_2_batch_2.npz')
    assert len(description['history']['loss']) == 1
    assert_resumes(tmp_path, whole)


# Where a resume is given other things


@POSIX
@pytest.mark.parametrize(
    'other',
    [
        {'data': lambda epoch: iter(batches(epoch)), 'steps_per_epoch': BATCHES - 2},
        {'data': batches(2)[:2]},
        {'data': [(x[half], y[half]) for x, y in batches(2) for half in (slice(4), slice(4, 8))]},
    ],
    ids=['steps_per_epoch', 'fewer', 'smaller'],
)
def test_an_epoch_of_another_number_of_batches_begins_anew(tmp_path, capsys, other):
    with pytest.raises(SystemExit):
        train(
            small_network(),
            functools.partial(stalled, number=signal.SIGTERM, at=3),
            checkpoint_dir=tmp_path,
            steps_per_epoch=BATCHES,
        )
    assert 'model_epoch_2_batch_3.npz' in names(tmp_path)
    history = train(small_network(), checkpoint_dir=tmp_path, resume_from_checkpoint=True, verbose=1, **other)
    assert 'epoch 2 begins anew, with the weights from after 3 of its batches' in capsys.readouterr().out
    assert len(history['loss']) == EPOCHS


def test_a_schedule_may_have_attributes_named_like_settings(tmp_path):
    class Own(Schedule):
        batch_size = samples = 5

        def __init__(self):
            self.batch_size = 5

        def __call__(self, step, steps, epochs):
            return 0.05

    x, y = small_data(24)
    options = {'epochs': 1, 'learning_rate': Own(), 'verbose': 0, 'checkpoint_dir': tmp_path}
    small_network().train(x, y, batch_size=8, **options)
    assert checkpoint.read(tmp_path / 'model_epoch_1.npz')[1]['settings']['batch_size'] == 8


def test_time_used_is_remembered_by_resumes_without_a_budget(tmp_path):
    options = {'checkpoint_dir': tmp_path, 'resume_from_checkpoint': True}
    train(small_network(), epochs=1, max_seconds=3600, **options)
    used = [
        checkpoint.read(tmp_path / f'model_epoch_{train_one(epoch, options)}.npz')[1]['seconds'] for epoch in (1, 2)
    ]
    assert used[0] == used[1] > 0


def train_one(epoch, options):
    """Train up to an epoch, and return its number."""
    train(small_network(), epochs=epoch, **options)
    return epoch


def test_a_run_that_begins_anew_beside_an_older_one_says_so(tmp_path, capsys):
    train(small_network(), epochs=2, checkpoint_dir=tmp_path)
    train(small_network(), epochs=1, checkpoint_dir=tmp_path, verbose=1)
    assert 'there are checkpoints named model of an older run; this one begins anew' in capsys.readouterr().out


def test_a_budget_that_is_used_up_is_told(tmp_path, capsys):
    options = {'checkpoint_dir': tmp_path, 'verbose': 1, 'max_seconds': 1e-9}
    train(small_network(), **options)
    train(small_network(), resume_from_checkpoint=True, **options)
    assert 'the 1e-09 seconds of max_seconds are used up: nothing to train' in capsys.readouterr().out


def test_settings_that_a_callback_changes_do_not_keep_a_run_from_going_on(tmp_path, capsys):
    def build(rate, momentum, l2, smoothing):
        net = cnnx.Network(seed=0)
        for layer in (
            cnnx.Flatten(input_shape=(6, 6, 1)),
            cnnx.BatchNormalization(momentum=momentum),
            cnnx.Dropout(rate),
            cnnx.Dense(output_size=3, l2=l2),
            cnnx.Softmax(),
        ):
            net.add(layer)
        net.compile(cnnx.CategoricalCrossEntropy(label_smoothing=smoothing))
        return net

    options = {'checkpoint_dir': tmp_path, 'resume_from_checkpoint': True, 'verbose': 1}
    train(build(0.5, 0.9, 0.1, 0.0), epochs=1, **options)
    net = build(0.3, 0.8, 0.0, 0.1)
    train(net, epochs=2, **options)
    said = capsys.readouterr().out
    assert 'layer 1 (BatchNormalization): momentum was 0.9 up to here and is 0.8 from here on' in said
    assert 'layer 2 (Dropout): rate was 0.5 up to here and is 0.3 from here on' in said
    assert 'layer 3 (Dense): l2 was 0.1 up to here and is 0.0 from here on' in said
    assert 'label_smoothing was 0.0 up to here and is 0.1 from here on' in said
    assert net.layers[2].rate == 0.3


class ReLU(cnnx.Layer):
    """A leaky one, called as one of cnnx, with settings that JSON writes and no number equals."""

    def __init__(self, slope=0.3, **more):
        super().__init__()
        self.slope, self.more = slope, more

    def settings(self):
        return {'slope': self.slope, 'nothing': float('nan'), **self.more}

    def _output_shape(self, input_shape):
        return input_shape

    def compute(self, x, training, empty):
        self._saved = (x,)
        return np.where(x > 0, x, np.float32(self.slope) * x)

    def compute_gradient(self, dy, empty, input_gradient=True):
        return np.where(self._saved[0] > 0, dy, np.float32(self.slope) * dy)


def own_network(layer):
    net = cnnx.Network(seed=0)
    for each in (cnnx.Flatten(input_shape=(6, 6, 1)), layer, cnnx.Dense(output_size=3), cnnx.Softmax()):
        net.add(each)
    net.compile(cnnx.CategoricalCrossEntropy())
    return net


def test_a_layer_of_ones_own_that_is_called_as_one_of_cnnx_is_not_taken_for_it(tmp_path):
    whole, net = own_network(ReLU()), own_network(ReLU())
    history = train(whole)
    train(own_network(ReLU()), epochs=2, checkpoint_dir=tmp_path)
    assert train(net, checkpoint_dir=tmp_path, resume_from_checkpoint=True).history == history.history
    assert bits(net) == bits(whole)
    with pytest.raises(cnnx.CheckpointError, match='ReLU is none of cnnx'):
        cnnx.Network.load(tmp_path / 'model_epoch_3.npz')
    for other, message in ((ReLU(0.2), 'expected slope 0.2, got 0.3'), (ReLU(axis=1), 'expected axis 1, got None')):
        with pytest.raises(cnnx.CheckpointError, match=message):
            train(own_network(other), checkpoint_dir=tmp_path, resume_from_checkpoint=True)


def test_parameters_of_one_name_are_refused():
    class Twice(ReLU):
        def _new_parameters(self, rng):
            return [Parameter('weights', np.ones(3, self.dtype)) for _ in range(2)]

    with pytest.raises(ValueError, match='expected parameters of different names, got weights, weights'):
        own_network(Twice())


@pytest.mark.parametrize('what', ['gone', 'cut', "another network's", "another run's"])
def test_a_best_file_that_is_none_any_more_is_written_anew(tmp_path, what):
    options = {'checkpoint_dir': tmp_path, 'validation_data': small_data(9)}
    path = tmp_path / 'best.npz'
    train(small_network(), epochs=1, callbacks=[BestCheckpoint(path, 'val_loss')], **options)
    if what == 'gone':
        path.unlink()
    elif what == 'cut':
        path.write_bytes(path.read_bytes()[:-100])
    else:
        small_network(**({'filters': 5} if what == "another network's" else {'seed': 9})).save(path)
    again, resumed = [BestCheckpoint(path, 'val_loss')], small_network()
    train(resumed, epochs=2, learning_rate=0.0, callbacks=again, resume_from_checkpoint=True, **options)
    assert bits(cnnx.Network.load(path)) == bits(resumed)


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


# What callbacks change while a run goes on


def penalize(net):
    net.layers[4].l2 = 0.3


def smooth(net):
    net.loss.label_smoothing = 0.3


def freeze_a_bias(net):
    net.parameters['bias_4'].trainable = False


def freeze_a_layer(net):
    net.layers[0].trainable = False


def compile_anew(net):
    net.compile(net.loss, net.optimizer)


def compile_otherwise(net):
    net.compile(net.loss, cnnx.SGD(momentum=0.5))


CHANGES = pytest.mark.parametrize(
    'change', [penalize, smooth, freeze_a_bias, freeze_a_layer, compile_anew, compile_otherwise]
)


def changing(change, stop_at=None):
    """Return callbacks that change a network within epoch 2, and stop it behind a batch, (epoch, batch)."""
    epochs = []

    def at_end(batch, figures):
        if (epochs[-1], batch) == (2, 2):
            change(callback.network)
        if (epochs[-1], batch) == stop_at:
            signal.raise_signal(signal.SIGINT)

    callback = LambdaCallback(on_epoch_begin=epochs.append, on_batch_end=at_end)
    return [callback]


@POSIX
@CHANGES
@pytest.mark.filterwarnings('ignore:.* trainable is False, as it was when this was saved')
@pytest.mark.parametrize('stop_at', [(2, 2), (2, 3), (3, 1)])
def test_what_a_callback_changes_holds_from_the_next_batch_on_and_is_resumed_exactly(tmp_path, change, stop_at):
    whole, plain, resumed = small_network(), small_network(), small_network()
    train(whole, callbacks=changing(change))
    train(plain)
    assert bits(whole) != bits(plain)
    with pytest.raises(KeyboardInterrupt):
        train(small_network(), callbacks=changing(change, stop_at), checkpoint_dir=tmp_path)
    if change in (penalize, smooth, compile_otherwise):  # settings, which a resume takes from the code
        change(resumed)
    train(resumed, callbacks=changing(change), checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    assert bits(resumed) == bits(whole)


@CHANGES
def test_what_is_changed_after_a_run_holds_in_the_next(change):
    nets = small_network(), small_network()
    train(nets[0], epochs=1)
    change(nets[0])
    nets[1].generator = np.random.default_rng()
    nets[1].generator.bit_generator.state = nets[0].generator.bit_generator.state
    for name, parameter in nets[0].parameters.items():
        nets[1].parameters[name].value = parameter.value
        nets[1].parameters[name].state = {key: array.copy() for key, array in parameter.state.items()}
    change(nets[1])
    if change is compile_anew:
        assert not any(parameter.state for parameter in nets[0].parameters.values())
    for net in nets:
        train(net)
    assert bits(nets[0]) == bits(nets[1])
    assert nets[0].evaluate(*small_data(9)) == nets[1].evaluate(*small_data(9))


def test_parameters_that_are_frozen_one_by_one_are_kept_in_files(tmp_path):
    net = small_network()
    freeze_a_bias(net)
    net.save(tmp_path / 'net.npz')
    loaded = cnnx.Network.load(tmp_path / 'net.npz')
    assert [name for name, p in loaded.parameters.items() if not p.trainable] == ['bias_4']
    train(net, epochs=1, checkpoint_dir=tmp_path)
    again = small_network()
    with pytest.warns(RuntimeWarning, match='parameter bias_4: trainable is False, as it was when this was saved'):
        train(again, epochs=2, checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    assert not again.layers[4].bias.any()


def test_a_parameter_named_like_an_optimizers_memory_is_refused(tmp_path):
    class Averaging(ReLU):
        def _new_parameters(self, rng):
            return [Parameter(name, np.ones(36, self.dtype)) for name in ('weights', 'velocity_weights')]

    net = own_network(Averaging())
    net.compile(net.loss, cnnx.SGD(momentum=0.9))
    with pytest.raises(
        ValueError, match='parameter velocity_weights_1: SGD saves under this name .* give the parameter'
    ):
        train(net, checkpoint_dir=tmp_path)
    assert names(tmp_path) == []
    train(net, epochs=1)


@pytest.mark.parametrize(
    ('part', 'name', 'value'),
    [
        ('layers.1', 'negative_slope', 0.9),
        ('layers.2', 'epsilon', 1.0),
        ('layers.2', 'momentum', 0.1),
        ('layers.3', 'rate', 0.8),
        ('layers.5', 'l2', 0.5),
        ('loss', 'label_smoothing', 0.5),
        ('loss', 'from_logits', True),
    ],
)
def test_what_is_set_holds_from_there_on_whatever_was_planned_before(part, name, value):
    def build():
        net = cnnx.Network(seed=0)
        for layer in (
            cnnx.Convolutional(3, 3, input_shape=(6, 6, 1)),
            cnnx.LeakyReLU(),
            cnnx.BatchNormalization(),
            cnnx.Dropout(0.3),
            cnnx.Flatten(),
            cnnx.Dense(output_size=3),
        ):
            net.add(layer)
        net.compile(cnnx.CategoricalCrossEntropy(from_logits=True), 'adam')
        return net

    def figures(planned):
        net, (x, y) = small_network() if name == 'from_logits' else build(), small_data(24)
        if planned:
            net.predict(x)
            net.evaluate(x, y)
        setattr(net.loss if part == 'loss' else net.layers[int(part[-1])], name, value)
        if name == 'from_logits':
            with pytest.raises(ValueError, match='would take the softmax twice'):
                net.evaluate(x, y)
            return None
        found = net.predict(x).tobytes(), net.evaluate(x, y)
        train(net, epochs=2)
        return found, net.evaluate(x, y), bits(net)

    assert figures(planned=False) == figures(planned=True)


def test_what_a_callback_changes_of_the_schedule_is_told_by_a_resume(tmp_path, capsys):
    rate = Constant(0.05)
    slower = LambdaCallback(on_epoch_end=lambda epoch, figures: setattr(rate, 'learning_rate', 0.01))
    train(small_network(), learning_rate=rate, callbacks=[slower], checkpoint_dir=tmp_path)
    train(small_network(), epochs=4, checkpoint_dir=tmp_path, resume_from_checkpoint=True, verbose=1)
    assert 'learning_rate was 0.01 up to here and is 0.05 from here on' in capsys.readouterr().out


class Approaching(Schedule):
    """Goes a part of the way to a rate with each step."""

    def __init__(self, rate):
        self.rate = rate
        self.restore({})

    def __call__(self, step, steps, epochs):
        self._now += 0.2 * (self.rate - self._now)
        return self._now

    def state(self):
        return {'now': self._now}

    def restore(self, state):
        self._now = state.get('now', 0.0)


@pytest.mark.parametrize('stop', [2, 2 * BATCHES, 2 * BATCHES + 1])
def test_a_schedule_that_learns_with_each_step_is_resumed_exactly(tmp_path, stop):
    def interrupt(batch, figures):
        if next(steps) == stop:
            signal.raise_signal(signal.SIGINT)

    steps, nets = itertools.count(1), [small_network() for _ in range(2)]
    train(nets[0], learning_rate=Approaching(0.1))
    options = {'learning_rate': Approaching(0.1), 'checkpoint_dir': tmp_path}
    with pytest.raises(KeyboardInterrupt):
        train(nets[1], callbacks=[LambdaCallback(on_batch_end=interrupt)], **options)
    train(nets[1], resume_from_checkpoint=True, **options)
    assert bits(nets[1]) == bits(nets[0])


@pytest.mark.parametrize('number', [float, np.float32, int])
def test_what_a_callback_adds_to_the_history_is_saved(tmp_path, number):
    class Counting(LambdaCallback):
        def on_epoch_end(self, epoch, figures):
            self.history.history['count'] = [number(place) for place in range(epoch)]

    net = small_network()
    train(net, epochs=2, callbacks=[Counting()], checkpoint_dir=tmp_path)
    found = train(net, callbacks=[Counting()], checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    assert found['count'] == [0, 1, 2]


def test_what_is_no_number_in_the_history_is_refused_as_it_is_saved(tmp_path):
    class Clock(LambdaCallback):
        def on_epoch_end(self, epoch, figures):
            self.history.history['when'] = ['noon'] * epoch

    with pytest.raises(TypeError, match=r"history: expected lists of numbers, .* 'when': \['noon'\]"):
        train(small_network(), callbacks=[Clock()], checkpoint_dir=tmp_path)
    assert names(tmp_path) == []


def test_what_a_function_that_gives_batches_freezes_is_frozen_from_the_next_one_on(tmp_path):
    def freezing(net, stop=False):
        for place, batch in enumerate(batches()):
            if place == 2:
                net.layers[4].trainable = False
            if place == 3 and stop:
                raise OSError('the disk of the data is gone')
            yield batch

    nets = [small_network() for _ in range(3)]
    train(nets[0], lambda epoch: freezing(nets[0]))
    train(nets[1], lambda epoch: freezing(nets[1]), callbacks=[LambdaCallback()])
    with pytest.raises(OSError, match='the disk of the data'):
        train(nets[2], lambda epoch: freezing(nets[2], stop=True), checkpoint_dir=tmp_path)
    train(nets[2], lambda epoch: freezing(nets[2]), checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    assert bits(nets[0]) == bits(nets[1]) == bits(nets[2])


def test_batches_that_are_given_within_another_backend_are_learned_with_it():
    def other_backend(epoch):
        with cnnx.use_backend('numpy'):
            yield from batches(epoch)

    net, whole = small_network(), small_network()
    train(net, other_backend)
    with cnnx.use_backend('numpy'):
        train(whole)
    assert bits(net) == bits(whole)


@pytest.mark.parametrize('hook', ['on_epoch_begin', 'on_batch_begin'])
def test_momentum_that_a_callback_brings_in_is_resumed_exactly(tmp_path, hook):
    def ramp(net):
        def bring_in(number):
            if number >= 2:
                net.optimizer.momentum = 0.9

        return LambdaCallback(**{hook: bring_in})

    nets = [small_network() for _ in range(3)]
    for net in nets:
        net.compile(net.loss, cnnx.SGD())
    train(nets[0], callbacks=[ramp(nets[0])])
    assert any('velocity' in parameter.state for parameter in nets[0].parameters.values())
    train(nets[1], epochs=2, callbacks=[ramp(nets[1])], checkpoint_dir=tmp_path)
    if hook == 'on_batch_begin':
        nets[2].optimizer.momentum = 0.9  # as it has been from the second batch on
    train(nets[2], callbacks=[ramp(nets[2])], checkpoint_dir=tmp_path, resume_from_checkpoint=True, verbose=1)
    assert bits(nets[2]) == bits(nets[0])


def test_losses_whose_sum_is_infinite_are_resumed(tmp_path):
    def build():
        net = cnnx.Network(seed=0, dtype='float64')
        net.add(cnnx.Dense(4, 1))
        net.compile(cnnx.MeanSquaredError(), cnnx.SGD())
        return net

    def learn(net, stop=None, **options):
        stopping = LambdaCallback(
            on_batch_end=lambda batch, figures: batch == stop and signal.raise_signal(signal.SIGINT)
        )
        options = {'epochs': 2, 'batch_size': 16, 'learning_rate': 1e-3, 'verbose': 0, **options}
        return net.train(x, y, callbacks=[stopping], **options)

    x, y = np.random.default_rng(0).random((64, 4)), np.full((64, 1), 3e153)
    whole, resumed = build(), build()
    assert learn(whole)['loss'][0] == np.inf
    with pytest.raises(KeyboardInterrupt):
        learn(build(), stop=3, checkpoint_dir=tmp_path)
    learn(resumed, checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    assert bits(resumed) == bits(whole)


def test_a_folder_that_was_moved_under_a_run_is_not_written_into_over_a_later_run(tmp_path):
    folder, moved = tmp_path / 'runs', tmp_path / 'moved'

    def move(epoch):
        if epoch == 2:
            folder.rename(moved)
            train(small_network(), checkpoint_dir=folder)

    with pytest.raises(BlockingIOError, match='a run that began later has saved checkpoints named model here'):
        train(small_network(seed=1), checkpoint_dir=folder, callbacks=[LambdaCallback(on_epoch_begin=move)])
    later = small_network()
    train(later)
    resumed = small_network(seed=2)
    train(resumed, checkpoint_dir=folder, resume_from_checkpoint=True)
    assert bits(resumed) == bits(later)
    assert names(moved) == ['model_epoch_1.npz']


@POSIX
def test_a_link_that_is_made_to_lead_elsewhere_takes_no_run_along(tmp_path):
    link = tmp_path / 'current'
    link.symlink_to(tmp_path / 'one')
    with pytest.raises(ValueError, match='current is a link to what is not there'):
        train(small_network(), checkpoint_dir=link)

    def lead_elsewhere(epoch):
        if epoch == 2:
            link.unlink()
            link.symlink_to(tmp_path / 'two')

    for name in ('one', 'two'):
        (tmp_path / name).mkdir()
    train(small_network(), checkpoint_dir=link, callbacks=[LambdaCallback(on_epoch_begin=lead_elsewhere)])
    assert (len(names(tmp_path / 'one')), names(tmp_path / 'two')) == (EPOCHS, [])


@POSIX
def test_a_file_system_without_locks_refuses_the_run(tmp_path, monkeypatch):
    def flock(descriptor, operation):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr('fcntl.flock', flock)
    with pytest.raises(OSError, match='cannot be locked for one run .* give a checkpoint_dir on another file system'):
        train(small_network(), checkpoint_dir=tmp_path)


@POSIX
@pytest.mark.parametrize('method', ['acquire', 'release'])
def test_ctrl_c_as_the_lock_is_taken_or_given_back_leaves_it_free(tmp_path, monkeypatch, method):
    plain = getattr(filelock.FileLock, method)

    def interrupted(self, *arguments, **options):
        monkeypatch.undo()
        signal.raise_signal(signal.SIGINT)
        return plain(self, *arguments, **options)

    monkeypatch.setattr(filelock.FileLock, method, interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        train(small_network(), checkpoint_dir=tmp_path)
    train(small_network(), checkpoint_dir=tmp_path)
    assert f'model_epoch_{EPOCHS}.npz' in names(tmp_path)
    del caught


# What is raised as checkpoints are read


@pytest.mark.parametrize('number', [errno.EACCES, errno.EMFILE])
def test_a_checkpoint_that_cannot_be_opened_ends_the_resume_and_is_not_passed_over(tmp_path, monkeypatch, number):
    train(small_network(), epochs=2, checkpoint_dir=tmp_path)
    wanted, opened = tmp_path / 'model_epoch_2.npz', os.open

    def refusing(path, *arguments, **options):
        if Path(path) == wanted:
            raise OSError(number, os.strerror(number), path)
        return opened(path, *arguments, **options)

    before = wanted.read_bytes()
    monkeypatch.setattr(os, 'open', refusing)
    with pytest.raises(OSError, match='no checkpoint is passed over for that') as caught:
        train(small_network(), checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    assert (caught.value.errno, caught.value.filename) == (number, str(wanted))
    monkeypatch.undo()
    assert wanted.read_bytes() == before


@POSIX
@pytest.mark.parametrize('kind', [RuntimeError, ValueError, KeyError])
@pytest.mark.parametrize(
    'place',
    [
        'checkpoint.files.hashlib.sha256',
        'checkpoint.files.json.loads',
        'training.resume._described',
        'checkpoint.state.updates_of',
    ],
)
def test_what_a_signal_handler_raises_while_a_checkpoint_is_read_is_no_damage(tmp_path, monkeypatch, kind, place):
    train(small_network(), epochs=2, checkpoint_dir=tmp_path)

    def handler(number, frame):
        raise kind('time is over')

    def interrupted(*arguments):
        monkeypatch.undo()
        signal.raise_signal(signal.SIGALRM)

    monkeypatch.setattr(f'cnnx.{place}', interrupted)
    with on_alarm(handler), pytest.raises(kind, match='time is over'):
        train(small_network(), checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    assert names(tmp_path) == ['model_epoch_1.npz', 'model_epoch_2.npz']


@POSIX
@pytest.mark.parametrize('call', ['predict', 'evaluate'])
@pytest.mark.parametrize('alone', [False, True])
def test_a_signal_handler_that_uses_the_network_in_mid_batch_changes_no_bits(call, alone):
    def build():
        return own_network(ReLU()) if alone else small_network()

    def handler(number, frame):
        x, y = small_data(8)
        said.append(net.predict(x) if call == 'predict' else net.evaluate(x, y))

    net, whole, said = build(), build(), []
    refused = 'the network is in the middle of a batch; have the signal handler set a flag'
    train(whole, epochs=1)
    run = net.plan._run

    def interrupted(*arguments, training):
        found = run(*arguments, training=training)
        if training:
            signal.raise_signal(signal.SIGALRM)
        return found

    net.plan._run = interrupted
    with on_alarm(handler), pytest.raises(RuntimeError, match=refused) if alone else contextlib.nullcontext():
        train(net, epochs=1)
    assert alone or bits(net) == bits(whole)
    assert len(said) == (0 if alone else BATCHES)
    net.predict(small_data(8)[0])


@POSIX
@pytest.mark.parametrize('resume', [False, True])
def test_ctrl_c_ends_the_search_among_many_checkpoints(tmp_path, monkeypatch, resume):
    train(small_network(), checkpoint_dir=tmp_path)
    asked, run_of = [], checkpoint.folder.Readings.run_of

    def interrupted(readings, path):
        asked.append(path)
        signal.raise_signal(signal.SIGINT)
        return run_of(readings, path)

    monkeypatch.setattr(checkpoint.folder.Readings, 'run_of', interrupted)
    net = small_network(seed=5)
    before = bits(net)
    with pytest.raises(KeyboardInterrupt):
        train(net, checkpoint_dir=tmp_path, resume_from_checkpoint=resume)
    assert len(asked) == 1
    assert bits(net) == before
    assert names(tmp_path) == [f'model_epoch_{epoch}.npz' for epoch in (1, 2, 3)]


def test_weights_that_are_not_finite_are_not_saved_as_a_beginning(tmp_path):
    train(small_network(), checkpoint_dir=tmp_path)
    net = small_network()
    net.layers[4].weights[0, 0] = np.nan
    with pytest.raises(DivergenceError, match='before epoch 1: the weights of layer 4 .* are not saved'):
        train(net, checkpoint_dir=tmp_path)
    assert names(tmp_path) == [f'model_epoch_{epoch}.npz' for epoch in (1, 2, 3)]
