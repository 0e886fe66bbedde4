"""Progress of training on standard output: lines, bars, and output that fails."""

import errno
import gc
import io
import os
import re
import sys
import threading
import time
import warnings
from types import SimpleNamespace

import pytest
import tqdm
from models import bits, small_data, small_network

from cnnx.callbacks import Callback
from cnnx.training import progress


def train(net, epochs=4, n=50, **options):
    x, y = small_data(n)
    return net.train(x, y, epochs=epochs, batch_size=8, **({'learning_rate': 0.05, 'verbose': 0} | options))


class Terminal(io.StringIO):
    """A terminal whose methods fail once they were called some times."""

    def __init__(self, failing='', error=None, calls=0):
        super().__init__()
        self.failing, self.error, self.calls = failing, error, calls

    def isatty(self):
        return self.fails('isatty') or True

    def write(self, text):
        self.fails('write')
        return super().write(text)

    def flush(self):
        self.fails('flush')

    def fails(self, name):
        if name == self.failing:
            self.calls -= 1
            if self.calls < 0:
                raise self.error


class Pipe(Terminal):
    def isatty(self):
        return self.fails('isatty') or False


BROKEN = [
    BrokenPipeError(errno.EPIPE, 'Broken pipe'),
    OSError(errno.ENOSPC, 'No space left'),
    ValueError('closed file'),
]


def test_the_seconds_of_an_epoch_are_shown(capsys):
    class Slow(Callback):
        def on_batch_end(self, batch, metrics):
            time.sleep(0.02)

    train(small_network(), epochs=2, verbose=1, callbacks=[Slow()])
    seconds = [float(found) for found in re.findall(r'\(([0-9.]+) s\)', capsys.readouterr().out)]
    assert len(seconds) == 2
    assert all(0.02 <= each < 20 for each in seconds)


def test_a_line_an_epoch_where_there_is_no_terminal(capsys):
    train(small_network(), epochs=2, learning_rate=0.01, verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(',')[0][:15] for line in lines] == ['epoch 1/2: loss', 'epoch 2/2: loss']
    train(small_network(), epochs=2)
    assert capsys.readouterr().out == ''


def test_a_bar_an_epoch_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, 'stdout', terminal)
    train(small_network(), epochs=2, verbose=1)
    shown = terminal.getvalue()
    assert 'epoch 1/2:   0%' in shown
    assert 'epoch 2/2:   0%' in shown
    assert re.findall(r'epoch (\d)/2: loss .*\(.* s\)\n', shown) == ['1', '2']


@pytest.mark.parametrize(
    ('config', 'found', 'expected'),
    [({'IPKernelApp': {}}, True, True), ({'IPKernelApp': {}}, False, False), ({}, True, False), (None, True, False)],
)
def test_a_notebook_is_recognised(monkeypatch, config, found, expected):
    shell = None if config is None else SimpleNamespace(config=config)
    monkeypatch.setitem(sys.modules, 'IPython', SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr('importlib.util.find_spec', lambda name: found or None)
    assert progress.in_notebook() == expected


def test_a_notebook_has_one_bar_a_run(monkeypatch):
    bars, described, terminal = [], [], Pipe()

    class Bar(tqdm.tqdm):
        def __init__(self, **options):
            bars.append(self)
            super().__init__(**options)

        def set_description(self, text, **options):
            described.append((text, self.n))
            super().set_description(text, **options)

    monkeypatch.setattr(progress, 'in_notebook', lambda: True)
    monkeypatch.setattr('tqdm.notebook.tqdm', Bar)
    monkeypatch.setattr(sys, 'stdout', terminal)
    train(small_network(), epochs=3, verbose=1)
    assert len(bars) == 1
    assert described == [('epoch 2/3', 50), ('epoch 3/3', 50)]
    assert (bars[0].n, bars[0].disable) == (50, True)  # it is closed
    assert re.findall(r'epoch (\d)/3: loss .*\(.* s\)\n', terminal.getvalue()) == ['1', '2', '3']


NOTEBOOK = """
import os, signal
import cnnx
from cnnx.callbacks import LambdaCallback
from models import small_data, small_network
net = small_network()
interrupt = LambdaCallback(on_epoch_end=lambda epoch, metrics: epoch == 2 and os.kill(os.getpid(), signal.SIGINT))
---
net.train(*small_data(), epochs=9, callbacks=[interrupt])
---
net.history.plot()
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != 'posix', reason='sends a POSIX signal')
def test_bar_interrupt_and_plot_in_a_notebook(tmp_path, monkeypatch):
    reason = 'needs nbclient, ipykernel and ipywidgets: pip install -e ".[notebook]"'
    nbclient, nbformat = (pytest.importorskip(name, reason=reason) for name in ('nbclient', 'nbformat'))
    for name in ('ipykernel', 'ipywidgets', 'matplotlib'):
        pytest.importorskip(name, reason=reason)
    monkeypatch.setenv('IPYTHONDIR', str(tmp_path))
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(sys.path))
    cells = [nbformat.v4.new_code_cell(source) for source in NOTEBOOK.split('---')]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=120, allow_errors=True).execute()
    nothing, (bar, *lines, error), (figure,) = (cell.outputs for cell in cells)
    assert nothing == []
    assert 'application/vnd.jupyter.widget-view+json' in bar['data']
    assert [line['text'].split(':')[0] for line in lines] == ['epoch 1/9', 'epoch 2/9']
    assert error['traceback'] == [f'KeyboardInterrupt: {error["evalue"]}']
    assert error['evalue'].startswith('training stopped in epoch 3, after 0 batches')
    assert 'image/png' in figure['data']


def test_verbose_2_prints_lines_and_no_bar(capsys, monkeypatch):
    monkeypatch.setattr('sys.stdout.isatty', lambda: True, raising=False)
    train(small_network(), epochs=2, learning_rate=0.01, verbose=2)
    assert [line.split(':')[0] for line in capsys.readouterr().out.split('\n')] == ['epoch 1/2', 'epoch 2/2', '']


@pytest.mark.parametrize(('error', 'calls'), list(zip(BROKEN, [0, 2, 5], strict=True)))
@pytest.mark.parametrize('method', ['write', 'flush', 'isatty'])
@pytest.mark.parametrize('kind', [Terminal, pytest.param(Pipe, marks=pytest.mark.slow)])
def test_output_that_fails_ends_no_run_and_is_left_alone(tmp_path, monkeypatch, kind, method, error, calls):
    expected, net = small_network(), small_network()
    train(expected)
    stream = kind(method, error, calls)
    monkeypatch.setattr(sys, 'stdout', stream)
    train(net, verbose=1, checkpoint_dir=tmp_path)
    gc.collect()
    assert bits(net) == bits(expected)
    assert stream.calls >= -1 or kind is Terminal  # tqdm tries once more to leave its line
    # tqdm's own thread takes this lock, and in some versions the process waits for that thread at its end.
    locked = threading.Thread(target=locks_and_releases, daemon=True)
    locked.start()
    locked.join(10)
    assert not locked.is_alive()


def locks_and_releases():
    with tqdm.tqdm.get_lock():
        pass


@pytest.mark.parametrize('stream', [None, SimpleNamespace(write=lambda text: None, flush=lambda: None), 5])
def test_output_that_is_none(monkeypatch, stream):
    monkeypatch.setattr(sys, 'stdout', stream)
    assert len(train(small_network(), verbose=1)['loss']) == 4


def test_what_must_not_go_unnoticed_is_a_warning_where_output_fails(tmp_path, monkeypatch):
    train(small_network(), checkpoint_dir=tmp_path)
    (tmp_path / 'model_epoch_4.npz').write_bytes(b'damaged')
    monkeypatch.setattr(sys, 'stdout', Pipe('flush', BROKEN[1]))
    with pytest.warns(RuntimeWarning, match=r'skipped .*model_epoch_4\.npz'):
        train(small_network(), checkpoint_dir=tmp_path, verbose=1, resume_from_checkpoint=True)


def test_a_warning_that_cannot_be_shown_ends_no_run(tmp_path, monkeypatch):
    closed = io.StringIO()
    closed.close()
    train(small_network(), checkpoint_dir=tmp_path)
    (tmp_path / 'model_epoch_4.npz').write_bytes(b'damaged')
    with warnings.catch_warnings():
        warnings.simplefilter('always')
        monkeypatch.setattr(warnings, 'showwarning', lambda *arguments: closed.write('shown'))
        history = train(small_network(), checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    assert len(history['loss']) == 4


@pytest.mark.skipif(sys.platform != 'linux', reason='elsewhere, names of files are text')
@pytest.mark.parametrize('encoding', ['ascii', 'utf-8', 'cp1252'])
def test_names_that_cannot_be_encoded_are_shown_all_the_same(tmp_path, monkeypatch, encoding):
    folder = tmp_path / 'k\udce4se\u4e2d'
    monkeypatch.setattr(sys, 'stdout', io.TextIOWrapper(io.BytesIO(), encoding))
    train(small_network(), checkpoint_dir=folder)
    train(small_network(), checkpoint_dir=folder, epochs=5, resume_from_checkpoint=True, verbose=1)
    shown = sys.stdout.buffer.getvalue().decode(encoding)
    assert 'k\\udce4se\\u4e2d' in shown
    assert 'epoch 5/5: loss' in shown
