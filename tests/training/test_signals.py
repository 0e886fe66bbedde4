"""Ctrl-C, SIGTERM and SIGHUP: the batch is finished, the run saved, and ended as the signal asks."""

import contextlib
import functools
import itertools
import os
import queue
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import filelock
import pytest
from interrupted_runs import BATCHES, EPOCHS, StopError, assert_resumes, batches, fork, names, signal_at, whole_run
from interrupted_runs import train_on_batches as train
from models import bits, small_data, small_network

from cnnx import DivergenceError, checkpoint
from cnnx.callbacks import LambdaCallback
from cnnx.training.signals import DEFAULTS

pytestmark = [
    pytest.mark.usefixtures('default_handlers'),
    pytest.mark.skipif(os.name != 'posix', reason='sends POSIX signals'),
]

SIGHUP = getattr(signal, 'SIGHUP', None)  # Windows has none
SIGNALS = pytest.mark.parametrize(
    ('number', 'error'), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)], ids=['INT', 'TERM']
)


@pytest.fixture(scope='module')
def whole():
    return whole_run()


def handlers():
    return [signal.getsignal(number) for number in DEFAULTS]


def stalled(epoch, number, at):
    """Give the batches of an epoch; in the second one, a signal comes while one is waited for that never comes."""
    for place, batch in enumerate(batches(epoch)):
        if (epoch, place) == (2, at):
            signal.raise_signal(number)
            queue.Queue().get(timeout=20)
        yield batch


# Between batches


@pytest.mark.parametrize(
    ('number', 'error', 'status'),
    [(signal.SIGINT, KeyboardInterrupt, None), (signal.SIGTERM, SystemExit, 143), (SIGHUP, SystemExit, 129)],
)
def test_a_signal_finishes_the_batch_saves_and_leaves(tmp_path, capsys, number, error, status):
    before, net = handlers(), small_network()
    signal_at(net, 5, number)
    with pytest.raises(error) as caught:
        train(net, checkpoint_dir=tmp_path, verbose=1)
    assert status is None or caught.value.code == status
    assert names(tmp_path) == ['model_epoch_1.npz', 'model_epoch_2_batch_1.npz']
    path = tmp_path / 'model_epoch_2_batch_1.npz'
    assert f'{number.name}: stopped, saved in {path}' in capsys.readouterr().out
    assert handlers() == before


def test_a_second_signal_does_no_harm(tmp_path, monkeypatch):
    write = checkpoint.write

    def write_through_signals(*arguments):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        write(*arguments)

    monkeypatch.setattr(checkpoint, 'write', write_through_signals)
    net = small_network()
    signal_at(net, 2)
    with pytest.raises(KeyboardInterrupt):
        train(net, checkpoint_dir=tmp_path)
    checkpoint.read(tmp_path / 'model_epoch_1_batch_2.npz')


def test_a_signal_without_checkpoints_finishes_the_batch():
    expected, net = small_network(), small_network()
    train(expected, epochs=1)
    signal_at(net, BATCHES)
    with pytest.raises(KeyboardInterrupt):
        train(net)
    assert bits(net) == bits(expected)


@pytest.mark.parametrize(
    ('saving', 'way'), [(False, 'call train again'), (True, 'resume_from_checkpoint=True continues exactly')]
)
def test_ctrl_c_says_what_it_leaves_and_how_to_go_on(tmp_path, saving, way):
    net = small_network()
    signal_at(net, BATCHES + 2)
    with pytest.raises(KeyboardInterrupt, match=f'training stopped in epoch 2, after 2 batches; .*{way}') as caught:
        train(net, checkpoint_dir=tmp_path if saving else None)
    assert len(net.history['loss']) == 1
    assert caught.value._render_traceback_() == [f'KeyboardInterrupt: {caught.value}']  # what a notebook shows


def test_the_message_of_an_interrupt_of_ones_own_stays():
    def interrupt(batch, metrics):
        raise KeyboardInterrupt('enough')

    with pytest.raises(KeyboardInterrupt, match='^enough$'):
        train(small_network(), callbacks=[LambdaCallback(on_batch_end=interrupt)])


def test_handlers_of_the_user_stay():
    noted = []
    signal.signal(signal.SIGTERM, lambda number, frame: noted.append(number))
    net, before = small_network(), handlers()
    signal_at(net, 2, signal.SIGTERM)
    history = train(net)
    assert noted == [signal.SIGTERM]
    assert len(history['loss']) == EPOCHS
    assert handlers() == before


def test_a_run_under_nohup_outlives_its_terminal():
    signal.signal(SIGHUP, signal.SIG_IGN)
    net = small_network()
    signal_at(net, 2, SIGHUP)
    assert len(train(net)['loss']) == EPOCHS
    assert signal.getsignal(SIGHUP) is signal.SIG_IGN


def test_handlers_are_left_alone_off_the_main_thread():
    before, during = handlers(), []
    net = small_network()
    evaluate = net.plan.evaluate
    net.plan.evaluate = lambda *arguments: (during.append(handlers()), evaluate(*arguments))[1]
    thread = threading.Thread(target=train, args=(net,), kwargs={'validation_data': small_data(9)})
    thread.start()
    thread.join()
    assert during
    assert all(found == before for found in during)


def test_a_signal_with_nothing_left_to_train_is_not_lost(tmp_path, monkeypatch):
    train(small_network(), checkpoint_dir=tmp_path)
    read_newest = checkpoint.read_newest
    monkeypatch.setattr(
        checkpoint, 'read_newest', lambda *rest: (signal.raise_signal(signal.SIGTERM), read_newest(*rest))[1]
    )
    with pytest.raises(SystemExit):
        train(small_network(), checkpoint_dir=tmp_path, resume_from_checkpoint=True)


def test_handlers_come_back_after_an_error(tmp_path):
    def fail(batch, metrics):
        raise StopError

    before = handlers()
    with pytest.raises(StopError):
        train(small_network(), callbacks=[LambdaCallback(on_batch_end=fail)], checkpoint_dir=tmp_path)
    assert handlers() == before


def test_a_stop_takes_no_longer_than_a_batch_and_a_save(tmp_path):
    net = small_network()
    signal_at(net, 1, signal.SIGTERM)
    began = time.monotonic()
    with pytest.raises(SystemExit):
        train(net, checkpoint_dir=tmp_path, epochs=10**6)
    assert time.monotonic() - began < 2


@SIGNALS
@pytest.mark.parametrize(
    'failure', [OSError(28, 'No space left'), DivergenceError('the loss is nan'), StopError()], ids=repr
)
def test_a_signal_is_not_lost_when_the_run_fails(tmp_path, monkeypatch, number, error, failure):
    def fail(*arguments):
        signal.raise_signal(number)
        raise failure

    before = handlers()
    monkeypatch.setattr(checkpoint, 'write', fail)
    warning = pytest.warns(RuntimeWarning, match=f'{number.name}: stopped, after {type(failure).__name__}: ')
    with warning as warned, pytest.raises(error) as caught:
        train(small_network(), checkpoint_dir=tmp_path)
    assert str(failure) in str(warned[0].message)
    assert caught.value.__cause__ is failure
    assert error is KeyboardInterrupt or caught.value.code == 143
    assert handlers() == before


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_processes_forked_meanwhile_act_upon_signals(number):
    net, statuses = small_network(), []
    evaluate = net.plan.evaluate

    def forking(*arguments):
        child = fork()
        if child == 0:
            try:
                signal.raise_signal(number)
            except KeyboardInterrupt:
                os._exit(9)
            finally:
                os._exit(1)
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        return evaluate(*arguments)

    net.plan.evaluate = forking
    train(net, epochs=1, validation_data=small_data(9))
    assert set(statuses) == {9 if number == signal.SIGINT else -signal.SIGTERM}


def test_a_signal_that_comes_as_handlers_are_put_back_is_acted_upon(tmp_path, monkeypatch):
    real = signal.signal

    def interrupted(number, handler):
        real(number, handler)
        if (number, handler) == (signal.SIGINT, signal.default_int_handler):
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(signal, 'signal', interrupted)
    with pytest.raises(SystemExit):
        train(small_network(), epochs=1)
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_signal_after_part_of_an_epoch_leaves_the_checkpoint_of_the_part(tmp_path, whole):
    def stop(batch, metrics):
        if callback.history.history and batch == 2:
            callback.stop()

    def interrupt(epoch, metrics):
        if epoch == 2:
            signal.raise_signal(signal.SIGTERM)

    callback = LambdaCallback(on_batch_end=stop, on_epoch_end=interrupt)
    with pytest.raises(SystemExit):
        train(small_network(), checkpoint_dir=tmp_path, callbacks=[callback], validation_data=small_data(9))
    _, description = checkpoint.read(tmp_path / 'model_epoch_2_batch_2.npz')
    assert len(description['history']['loss']) == 1
    assert_resumes(tmp_path, whole)


@contextlib.contextmanager
def on_alarm(handler):
    """A context in which SIGALRM has a handler of the user's."""
    before = signal.signal(signal.SIGALRM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before)


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


@pytest.mark.parametrize('resume', [False, True])
def test_ctrl_c_ends_the_search_among_many_checkpoints(tmp_path, monkeypatch, resume):
    train(small_network(), checkpoint_dir=tmp_path)
    asked, read_description = [], checkpoint.folder.read_description

    def interrupted(path):
        asked.append(path)
        signal.raise_signal(signal.SIGINT)
        return read_description(path)

    monkeypatch.setattr(checkpoint.folder, 'read_description', interrupted)
    net = small_network(seed=5)
    before = bits(net)
    with pytest.raises(KeyboardInterrupt):
        train(net, checkpoint_dir=tmp_path, resume_from_checkpoint=resume)
    assert len(asked) == 1
    assert bits(net) == before
    assert names(tmp_path) == [f'model_epoch_{epoch}.npz' for epoch in (1, 2, 3)]


# While a batch is waited for


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


@SIGNALS
def test_a_signal_ends_the_skipping_of_batches_that_are_done(tmp_path, number, error):
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
            tell = cnnx.callbacks.LambdaCallback(on_batch_end=lambda batch, metrics: print(batch, flush=True))
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
