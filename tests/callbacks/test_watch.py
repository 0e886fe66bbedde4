"""Watch: the page while a run goes on, after it, and that a run is the same with it, whatever happens to the page."""

import errno
import html
import os
import re
import shutil
import time

import pytest
from callback_runs import BATCHES, train
from models import bits, cut, small_data, small_network

import cnnx
from cnnx import callbacks
from cnnx.callbacks import EarlyStopping, LambdaCallback, Watch
from cnnx.callbacks.watch import command, reason_of


@pytest.fixture(autouse=True)
def _after_each_batch(monkeypatch):
    """Write the page as often as `every` says, even where that takes most of the time."""
    monkeypatch.setattr(callbacks.watch, 'MOST_OF_THE_TIME', 1e9)


def text_of(path):
    """Return the words of a page, without markup, style and script."""
    page = re.sub(r'<(style|script)>.*?</\1>', ' ', path.read_text(encoding='utf-8'), flags=re.DOTALL)
    return ' '.join(html.unescape(re.sub('<[^>]*>', ' ', page)).split())


def test_the_page_follows_the_run_and_is_its_report(tmp_path, capsys):
    path, seen = tmp_path / 'run.html', []
    net = small_network()
    net.class_names = ('top', 'middle', 'bottom')
    look = LambdaCallback(on_batch_end=lambda batch, metrics: seen.append(text_of(path)))
    history = train(net, callbacks=[Watch(path, every=1e-9), look], epochs=2, verbose=2)
    assert f'Watch: {path} shows the run' in capsys.readouterr().out
    assert 'epoch 1 of 2 batch 1 of 3' in seen[0]
    assert 'running' in seen[0]
    left = re.search('batch 2 of 3 .*? so far (.*?) left', seen[BATCHES + 1])
    assert re.fullmatch(r'about \d+ s', left[1])
    assert f'{history["val_loss"][0]:.4g}' in seen[-1]
    report = text_of(path)
    for word in ('finished', 'Confusion matrix', 'Settings', 'Versions', cnnx.__version__, 'momentum 0.9', command()):
        assert word in report
    right = round(net.evaluate(*small_data(10, seed=1))['accuracy'] * 10)
    assert f'{right} of 10 validation samples are right' in report


def test_training_gives_the_same_bits_with_it(tmp_path):
    plain, watched = small_network(), small_network()
    history = train(plain)
    assert train(watched, callbacks=[Watch(tmp_path / 'run.html', every=1e-9)]).history == history.history
    assert bits(watched) == bits(plain)


def test_a_page_is_not_rewritten_more_often_than_asked_for(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(callbacks.watch, 'write_whole', lambda path, content: written.append(content))
    train(small_network(), callbacks=[Watch(tmp_path / 'run.html', every=1000)])
    assert len(written) == 2
    # Where writing takes long, there are fewer pages.
    monkeypatch.setattr(callbacks.watch, 'MOST_OF_THE_TIME', 0.01)
    monkeypatch.setattr(callbacks.watch, 'write_whole', lambda path, content: (written.append(0), time.sleep(0.05)))
    written.clear()
    train(small_network(), epochs=20, callbacks=[Watch(tmp_path / 'run.html', every=1e-9)])
    assert len(written) == 2


def test_a_resumed_run_goes_on_in_the_page(tmp_path):
    whole, resumed = Watch(tmp_path / 'whole.html', every=1e-9), Watch(tmp_path / 'run.html', every=1e-9)
    train(small_network(), callbacks=[whole], epochs=4)
    options = {'checkpoint_dir': tmp_path / 'runs', 'checkpoint_every': 1}
    stopped, count = Watch(tmp_path / 'run.html', every=1e-9), []

    def stop(batch, metrics):
        count.append(batch)
        if len(count) == 2 * BATCHES + 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(small_network(), callbacks=[stopped, LambdaCallback(on_batch_end=stop)], epochs=4, **options)
    text = text_of(tmp_path / 'run.html')
    assert 'stopped' in text
    assert 'epoch 3 of 4 batch 2 of 3' in text
    assert 'Ctrl-C stopped it.' in text
    first = []
    look = LambdaCallback(on_batch_end=lambda batch, metrics: first.append(text_of(tmp_path / 'run.html')))
    train(small_network(), callbacks=[resumed, look], epochs=4, resume_from_checkpoint=True, **options)
    assert 'epoch 3 of 4 batch 2 of 3' in first[0]  # the stop was before that batch was saved
    assert resumed._curve.points == whole._curve.points
    assert resumed._since > resumed._began  # the time before the stop counts
    assert 'finished' in text_of(tmp_path / 'run.html')


@pytest.mark.parametrize('verbose', [0, 2])
def test_a_folder_that_is_removed_ends_no_run(tmp_path, verbose):
    folder, net, plain = tmp_path / 'deep', small_network(), small_network()
    folder.mkdir()
    remove = LambdaCallback(on_batch_end=lambda batch, metrics: shutil.rmtree(folder, ignore_errors=True))
    with pytest.warns(
        RuntimeWarning, match='Watch: the page is not written, the run goes on: .*No such file'
    ) as caught:
        history = train(net, callbacks=[Watch(folder / 'run.html', every=1e-9), remove], verbose=verbose)
    assert len(caught) == 1
    assert history.history == train(plain).history


def test_a_full_disk_ends_no_run_and_the_page_stays_whole(tmp_path, monkeypatch):
    write, path = os.write, tmp_path / 'run.html'

    def full(descriptor, content):
        write(descriptor, content[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill(batch, metrics):
        monkeypatch.setattr(os, 'write', full)

    with pytest.warns(RuntimeWarning, match='No space left') as caught:
        train(small_network(), callbacks=[Watch(path, every=1e-9), LambdaCallback(on_batch_end=fill)])
    monkeypatch.undo()
    assert len(caught) == 1
    assert path.read_text().endswith('</html>\n')
    assert os.listdir(tmp_path) == ['run.html']


def test_a_page_that_can_be_written_again_is(tmp_path):
    folder, away, count = tmp_path / 'deep', tmp_path / 'away', []
    folder.mkdir()

    def move(batch, metrics):
        count.append(batch)
        if len(count) == 1:
            folder.rename(away)
        elif len(count) == 4:
            away.rename(folder)

    with pytest.warns(RuntimeWarning, match='Watch: the page is not written') as caught:
        train(small_network(), callbacks=[Watch(folder / 'run.html', every=1e-9), LambdaCallback(on_batch_end=move)])
    assert len(caught) == 1
    assert 'finished' in text_of(folder / 'run.html')


def test_a_run_that_diverges_leaves_a_page_that_says_so(tmp_path):
    def fail(batch, metrics):
        raise cnnx.DivergenceError('the loss is <nan>')

    callbacks = [Watch(tmp_path / 'run.html'), LambdaCallback(on_batch_end=fail)]
    with pytest.raises(cnnx.DivergenceError):
        train(small_network(), callbacks=callbacks)
    assert 'DivergenceError: the loss is <nan>' in text_of(tmp_path / 'run.html')


def test_an_error_of_another_callback_at_the_beginning_is_the_one_raised(tmp_path):
    def fail():
        raise OSError('no such device')

    with pytest.raises(OSError, match='no such device'):
        train(small_network(), callbacks=[LambdaCallback(on_train_begin=fail), Watch(tmp_path / 'run.html')])
    assert 'OSError: no such device' in text_of(tmp_path / 'run.html')


def test_the_report_is_of_the_weights_that_stay(tmp_path):
    net = small_network()
    train(net, callbacks=[EarlyStopping('loss', patience=1), Watch(tmp_path / 'run.html')], epochs=30)
    right = round(net.evaluate(*small_data(10, seed=1))['accuracy'] * 10)
    assert f'{right} of 10 validation samples are right' in text_of(tmp_path / 'run.html')


@pytest.mark.parametrize(
    ('options', 'why'),
    [
        ({'validation_data': None}, 'The run has no validation data.'),
        ({'validation_data': cut(*small_data(10))}, 'The validation data come as batches'),
    ],
)
def test_what_cannot_be_shown_has_its_reason(tmp_path, options, why):
    train(small_network(), callbacks=[Watch(tmp_path / 'run.html')], **options)
    assert why in text_of(tmp_path / 'run.html')


def test_batches_of_unknown_number_are_counted(tmp_path):
    seen, path = [], tmp_path / 'run.html'
    look = LambdaCallback(on_batch_end=lambda batch, metrics: seen.append(text_of(path)))

    def batches(epoch):
        return iter(cut(*small_data(22)))

    small_network().train(batches, epochs=2, callbacks=[Watch(path, every=1e-9), look], verbose=0)
    assert 'epoch 1 of 2 batch 2' in seen[1]
    assert 'time left: not known yet' in seen[1]
    assert 'left' in seen[-1]


def test_the_time_left_is_no_more_than_the_budget(tmp_path):
    seen, path = [], tmp_path / 'run.html'
    look = LambdaCallback(on_batch_end=lambda batch, metrics: seen.append(text_of(path)))
    train(small_network(), callbacks=[Watch(path, every=1e-9), look], epochs=10**6, max_seconds=0.2)
    assert all('about 1 s left' in text for text in seen[:-1])


def test_a_schedule_that_does_not_say_its_settings_has_a_page(tmp_path):
    class Odd(cnnx.schedules.Schedule):
        def __init__(self, odd):
            self._kept = odd

        def __call__(self, step, steps, epochs=1):
            return 0.01

        def settings(self):
            raise TypeError('keep the argument odd')

    train(small_network(), callbacks=[Watch(tmp_path / 'run.html')], learning_rate=Odd(1))
    assert 'keep the argument odd' in text_of(tmp_path / 'run.html')


@pytest.mark.parametrize(
    ('error', 'reason'),
    [
        (KeyboardInterrupt('long'), 'Ctrl-C stopped it.'),
        (SystemExit(143), 'A signal, or a call of exit, stopped it (status 143).'),
        (ValueError('x: bad'), 'ValueError: x: bad'),
    ],
)
def test_what_ended_a_run_is_said_in_words(error, reason):
    assert reason_of(error) == reason


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ((3,), 'path: expected the path of a file'),
        (('',), 'path: expected the path of a file'),
        (('run.html', 0), 'every: expected a finite number of more than 0'),
        (('run.html', '2'), 'every: expected a finite number'),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Watch(*arguments)


def test_a_folder_that_is_not_there_is_refused_before_training(tmp_path):
    net = small_network()
    before = bits(net)
    with pytest.raises(ValueError, match='there is no folder'):
        train(net, callbacks=[Watch(tmp_path / 'none' / 'run.html')])
    assert bits(net) == before
