"""The benchmarks' machinery, without PyTorch where there is none. How fast anything is, is not tested."""

import importlib.util
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from models import small_network

import cnnx
from benchmarks import command, engines, examples, machine, measure, peer, table
from benchmarks.loops import LoopNetwork
from benchmarks.measure import Contestant, Result, interleave, race, timed
from benchmarks.models import (
    Ours,
    dense,
    lenet5,
    make_ours,
    mobilenet,
    overlapping,
    resnet,
    strided,
    training_work,
    unet,
    vgg,
    vgg_bn,
)
from benchmarks.reports import ROOT, cliffs
from benchmarks.rows import RANDOM_RATE
from benchmarks.worker import Side, Worker, WorkerError

needs_torch = pytest.mark.skipif(importlib.util.find_spec('torch') is None, reason='PyTorch is not installed')


@pytest.fixture
def worker():
    worker = Worker()
    yield worker
    worker.close()


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """Return a function that runs the command on rows that take no time, and reads what it wrote."""
    monkeypatch.setattr(command.machine, 'busy_processors', lambda: None)
    rows = {
        'fast': command.Row(lambda settings, name: Result(name, 'a row', 's', 2.0, {'A': 6.0}), {}, False, False),
        'against-torch': command.Row(lambda settings, name: Result(name, 'another', 's', 1.0), {}, False, True),
    }
    monkeypatch.setattr(command, 'ROWS', rows)

    def run(*arguments):
        command.main(['--json', str(tmp_path / 'results.json'), *arguments])
        return json.loads((tmp_path / 'results.json').read_text())

    return run


def network_like_lenet5():
    net = cnnx.Network(seed=3, dtype='float64')
    net.add(cnnx.Convolutional(2, 5, padding='same', input_shape=(9, 9, 1)))
    net.add(cnnx.ReLU())
    net.add(cnnx.MaxPooling(2))
    net.add(cnnx.Convolutional(3, 3))
    net.add(cnnx.ReLU())
    net.add(cnnx.Flatten())
    net.add(cnnx.Dense(output_size=4))
    net.add(cnnx.Softmax())
    net.compile(cnnx.CategoricalCrossEntropy(), cnnx.SGD(momentum=0.9))
    return net


def test_the_network_of_loops_takes_the_steps_that_the_library_takes():
    rng = np.random.default_rng(0)
    x, labels = rng.random((5, 9, 9, 1)), rng.integers(0, 4, 5)
    net = network_like_lenet5()
    looping = LoopNetwork(net, rate=0.1, momentum=0.9)
    for _ in range(2):
        history = net.train(x, labels, epochs=1, learning_rate=0.1, batch_size=5, shuffle=False, verbose=0)
        assert looping.step(x, labels) == pytest.approx(history['loss'][0])
        values = [value for layer in looping.layers for value in getattr(layer, 'values', ())]
        gradients = [gradient for layer in looping.layers for gradient in getattr(layer, 'gradients', ())]
        for value, gradient, parameter in zip(values, gradients, net.parameters.values(), strict=True):
            np.testing.assert_allclose(gradient, parameter.grad, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(value, parameter.value, rtol=1e-9, atol=1e-12)


def test_contestants_take_turns():
    seen = []
    contestants = [
        Contestant(name, lambda turn, name=name: seen.append((name, turn)) or len(seen), lambda: seen.append('warm-up'))
        for name in ('a', 'b')
    ]
    assert interleave(contestants, 2, pause=lambda seconds: None) == [[2, 6], [4, 8]]
    assert [call for call in seen if call != 'warm-up'] == [('a', 0), ('b', 0), ('a', 1), ('b', 1)]
    assert seen[::2] == ['warm-up'] * 4


def test_timed_returns_the_time_between():
    readings = iter([10.0, 10.5])
    assert timed(lambda: None, clock=lambda: next(readings))(0) == 0.5


def test_a_race_takes_medians_and_of_one_name_the_fastest(monkeypatch):
    monkeypatch.setattr(measure, 'PAUSE', 0)
    contestants = [
        Contestant(name, lambda turn, times=times: times[turn])
        for name, times in (('ours', (1, 9, 2)), ('A', (8, 8, 8)), ('A', (6, 5, 50)), ('B', (7, 7, 7)))
    ]
    result = race(contestants, 3, 10, name='row', target=3)
    assert result.ours == 20
    assert result.peers == {'A': 60, 'B': 70}
    assert result.times == {'ours': [10, 90, 20], 'A': [60, 50, 500], 'B': [70, 70, 70]}
    assert result.ratio == 3
    assert result.met


def test_a_limit_is_met_from_below():
    assert Result('row', ours=3, limit=3).met
    assert not Result('row', ours=4, limit=3).met
    assert Result('row', ours=4).met is None


def test_the_table_has_a_line_a_row_and_reasons_below():
    results = [
        Result('first', 'title', 'ms', 12.345, {'A': 1234.5}, target=10, gflops=99.9, peak_fraction=0.512),
        Result('second', 'other', 'MiB', 4, {'B': 2}, lines=['more']),
        Result('third', skipped='it rains'),
    ]
    assert table.format_results(results) == [
        'row     unit  ours      A  B  ratio  target  GFLOP/s  of peak  met',
        '------  ----  ----  -----  -  -----  ------  -------  -------  ---',
        'first     ms  12.3  1,234       100      10     99.9      51%  yes',
        'second   MiB     4         2    0.5',
        'third: skipped, it rains',
        '',
        'second: other',
        '  more',
    ]
    assert table.describe(results[0]) == 'first: title: ours 12.3 ms, A 1,234, ratio 100'


def test_a_steep_rise_of_the_time_per_sample_is_a_cliff():
    assert cliffs((1, 2, 4), (10.0, 4.0, 6.0)) == {4: 1.5}


def test_work_is_counted_without_the_first_gradient_of_the_input():
    assert training_work(lenet5()) == 1_131_960


@pytest.mark.parametrize(
    ('arguments', 'complaint'),
    [
        (['--threads', '0'], "--threads: expected a whole number of at least 1, got '0'"),
        (['--threads', '100000'], '--threads 100000: there are'),
        (['--repeats', 'x'], "--repeats: expected a whole number of at least 1, got 'x'"),
        (['--rows', 'swim'], '--rows swim: matches none of train-64, train-32'),
        (['--json', 'no/such/folder.json'], '--json no/such/folder.json: expected a file in a folder that exists'),
    ],
)
def test_the_command_line_refuses_nonsense(arguments, complaint, capsys):
    with pytest.raises(SystemExit) as exit_:
        command.parse(arguments)
    assert exit_.value.code == 2
    assert complaint in capsys.readouterr().err


def test_rows_are_chosen_by_pattern():
    assert command.parse(['--rows', 'infer-1*']).names == ['infer-1', 'infer-1-predict', 'infer-10000']
    assert command.parse(['--quick']).repeats < command.parse([]).repeats


def test_the_command_prints_and_writes_what_it_measured(quick, capsys):
    written = quick('--rows', 'fast', '--threads', '1')
    (row,) = written['rows']
    assert (row['name'], row['ours'], row['peers'], row['ratio']) == ('fast', 2.0, {'A': 6.0}, 3.0)
    assert written['settings']['threads'] == 1
    assert {'cpu', 'processors', 'cnnx', 'versions'} <= written['machine'].keys()
    assert 'fast: a row: ours 2 s, A 6, ratio 3' in capsys.readouterr().out


def test_without_torch_its_rows_are_skipped_with_a_reason(quick, capsys, monkeypatch):
    monkeypatch.setattr(peer.importlib.util, 'find_spec', lambda name: None)
    fast, other = quick()['rows']
    assert fast['skipped'] is None
    assert 'pip install -e ".[bench]"' in other['skipped']
    assert 'against-torch: skipped, PyTorch is not installed' in capsys.readouterr().out
    with pytest.raises(SystemExit, match='nothing could be measured'):
        quick('--rows', 'against-torch')


def test_without_mnist_its_rows_are_skipped_with_a_reason(quick, tmp_path, monkeypatch):
    monkeypatch.setenv('CNNX_DATA_DIR', str(tmp_path))
    command.mnist.cache_clear()
    monkeypatch.setitem(command.ROWS, 'fast', command.ROWS['fast']._replace(mnist=True, torch=False))
    with pytest.raises(SystemExit, match='nothing could be measured'):
        quick('--rows', 'fast')
    (row,) = json.loads((tmp_path / 'results.json').read_text())['rows']
    assert row['skipped'].startswith('no MNIST: ')


def test_a_worker_does_what_the_process_itself_would_do(worker):
    side = Side(worker, 'ours', 4, make_ours, lenet5, 16, 4, 0.01, 1)
    here = make_ours(lenet5, 16, 4, 0.01, cnnx.num_threads())
    assert side.train(0, 8, False) > 0
    here.train(0, 8, False)
    np.testing.assert_allclose(side.probabilities(3), here.probabilities(3), atol=1e-5)
    with pytest.raises(WorkerError, match='no_such_method'):
        worker.call('ours', 'no_such_method')


def test_a_loss_that_is_no_number_stops_a_row():
    net = small_network()
    net.layers[-2].bias = np.full(3, np.nan)
    with pytest.raises(cnnx.DivergenceError, match='the loss is nan'):
        Ours(net, np.zeros((4, 6, 6, 1), np.float32), np.zeros(4, int), 2, 0.1).train(0, 4)


@needs_torch
@pytest.mark.parametrize('layout', peer.LAYOUTS)
@pytest.mark.parametrize('build', [lenet5, vgg, vgg_bn, dense, strided, overlapping, resnet, mobilenet, unet])
def test_torch_does_the_same_work(worker, layout, build):
    about = 8, 4, RANDOM_RATE, 1
    ours = Side(worker, 'ours', 4, make_ours, build, *about)
    theirs = Side(worker, layout, 4, peer.make_peer, layout, build, *about)
    peer.check_same_work(ours, [theirs], 4)
    theirs.train(0, 4)
    with pytest.raises(measure.DifferentWorkError, match=layout):
        peer.check_same_work(ours, [theirs], 4)


@pytest.mark.parametrize('build', [lenet5, vgg_bn])
@pytest.mark.parametrize('name', engines.ENGINES)
def test_engines_compute_the_same_outputs(name, build):
    if reason := engines.missing(name):
        pytest.skip(reason)
    ours, theirs = make_ours(build, 5, 1, RANDOM_RATE, 1), engines.make_engine(name, build, 5, 1)
    theirs.name = name
    peer.check_same_outputs(ours, [theirs], 5)
    theirs.infer(5, 2, 2)
    theirs.x = theirs.x + 1
    with pytest.raises(measure.DifferentWorkError, match=name):
        peer.check_same_outputs(ours, [theirs], 5)


def test_without_engines_inference_is_skipped_with_the_reasons(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    settings = command.parse(['--rows', 'infer-1', '--threads', '1'])
    result = command.measure(settings, 'infer-1')
    settings.workers['ours'].close()
    for reason in ('PyTorch is not installed', 'OpenVINO: onnx and openvino not installed', 'tensorflow-cpu'):
        assert reason in result.skipped


@needs_torch
def test_an_example_ends_with_the_same_figure_in_pytorch(capsys):
    figures = []
    for run in (
        examples.main,
        lambda arguments: importlib.import_module(f'examples.{arguments[0]}').main(arguments[1:]),
    ):
        run(['autoencoder', 'vae', '--quick'])
        figures.append(float(re.search(r'test ELBO: (\S+) nats', capsys.readouterr().out)[1]))
    assert -300 < figures[0] < -200
    assert abs(figures[0] - figures[1]) < 0.5


def test_busy_processors_are_kept_busy_and_let_go():
    with machine.keep_busy(1) as processes:
        assert [process.poll() for process in processes] == [None]
    assert processes[0].poll() is not None


@pytest.mark.slow
@pytest.mark.skipif(
    'CNNX_DATA_DIR' not in os.environ, reason='CNNX_DATA_DIR does not name a folder with the full MNIST'
)
def test_a_recipe_is_trained_by_on_each_side_that_is_asked_for():
    sides = ['cnnx'] if importlib.util.find_spec('torch') is None else ['cnnx', 'torch']
    options = ['--epochs', '1', '--train-samples', '128', '--test-samples', '50', '--threads', '1']
    line = [sys.executable, '-m', 'benchmarks.recipe', 'lenet', '--seeds', '0', '1', '--sides', *sides, *options]
    said = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split(':')[0].split(maxsplit=1)[1] for line in said[: 2 * len(sides)]] == [
        name for name in ('seed 0', 'seed 1') for _ in sides
    ]
    assert [line.split(':')[0].split(maxsplit=1)[1] for line in said[2 * len(sides) :]] == ['mean of 2'] * len(sides)
    assert all(re.search(r': (\d+\.\d+%) \(\1 without averaging\), \d+\.\d s$', line) for line in said)
