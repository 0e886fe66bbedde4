"""The script train_mnist.py: what it prints and writes, how it is stopped and resumed, how well it reads digits."""

import importlib.util
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from models import bits

import cnnx
from cnnx import (
    SGD,
    BackendError,
    CategoricalCrossEntropy,
    Convolutional,
    Dense,
    Flatten,
    Network,
    Softmax,
    checkpoint,
    models,
    use_backend,
)
from cnnx.checkpoint.state import describe

REPOSITORY = Path(__file__).parents[1]
SCRIPT = REPOSITORY / 'train_mnist.py'
FULL_DATA = os.environ.get('CNNX_DATA_DIR')
SMALL = ('--train-samples', '96', '--test-samples', '40')
QUICK = (*SMALL, '--epochs', '2')
LONG_EPOCHS = 40
LONG = ('--train-samples', '64', '--test-samples', '20', '--epochs', str(LONG_EPOCHS))
TIMEOUT = 120


def environment(**changes):
    """One thread unless a test asks for more: two that wait for each other are slow on a busy machine."""
    settings = {'PYTHONPATH': str(REPOSITORY), 'PYTHONWARNINGS': 'error', 'CNNX_NUM_THREADS': '1'}
    return {**os.environ, **settings, **changes}


def run_as_user(*options, cwd):
    """Run the script in a process of its own, and return what it printed."""
    result = subprocess.run(
        [sys.executable, str(SCRIPT), *options],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result


@pytest.fixture(scope='module')
def script():
    spec = importlib.util.spec_from_file_location('train_mnist', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(script, tmp_path, monkeypatch, capsys, _one_thread):
    """Return a function that runs the script in this process, in tmp_path, and returns what it printed."""

    def run(*options, status=0):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr('sys.argv', ['train_mnist.py', *options])
        found, message = 0, ''
        try:
            script.main()
        except SystemExit as exit:
            found, message = (exit.code, '') if isinstance(exit.code, int) else (1, f'{exit.code}\n')
        printed = capsys.readouterr()
        assert found == status, printed.out + printed.err + message
        return SimpleNamespace(stdout=printed.out, stderr=printed.err + message)

    return run


@pytest.fixture
def _one_thread():
    before = cnnx.num_threads()
    cnnx.set_num_threads(1)
    yield
    cnnx.set_num_threads(before)


def checkpoint_names(folder, prefix='model_subset'):
    return sorted(path.name for path in folder.glob(f'{prefix}_epoch_*.npz'))


def load(path):
    """Return a checkpoint's arrays and its description, without what may differ between equal runs."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    description = json.loads(arrays.pop('description').tobytes())
    del description['run']
    return arrays, description


def assert_equal_checkpoints(path, other):
    arrays, description = load(path)
    other_arrays, other_description = load(other)
    assert arrays.keys() == other_arrays.keys()
    assert {'weights_0', 'bias_11', 'velocity_weights_0', 'velocity_bias_11'} <= arrays.keys()
    for name, array in arrays.items():
        assert array.dtype == other_arrays[name].dtype
        assert array.tobytes() == other_arrays[name].tobytes(), name
    assert description == other_description


@pytest.fixture(scope='module')
def quick(tmp_path_factory):
    """Return the folder and the output of one quick run; tests read them and change nothing."""
    folder = tmp_path_factory.mktemp('quick')
    return folder, run_as_user(*QUICK, cwd=folder)


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory):
    """Return the last checkpoint of a long run that nothing interrupts."""
    folder = tmp_path_factory.mktemp('uninterrupted')
    run_as_user(*LONG, cwd=folder)
    return folder / 'checkpoints' / f'model_subset_epoch_{LONG_EPOCHS}.npz'


# What a run prints and writes


def test_prints_each_epochs_loss_and_the_test_accuracy(quick):
    _, result = quick
    assert result.stderr == ''
    epochs = re.findall(
        r'^epoch (\d)/2: loss (\d\.\d{4}), accuracy (\d\.\d{4}), val_loss (\d\.\d{4}), val_accuracy (\d\.\d{4})',
        result.stdout,
        re.MULTILINE,
    )
    assert [number for number, *_ in epochs] == ['1', '2']
    accuracy, loss = re.search(
        r'^test accuracy: (\d+\.\d\d)% of 40 images \(loss (\d\.\d{4})\)$', result.stdout, re.MULTILINE
    ).groups()
    assert float(accuracy) / 100 == pytest.approx(float(epochs[-1][4]))
    assert loss == epochs[-1][3]
    assert result.stdout.splitlines()[-1].startswith('test accuracy')


def test_prints_predictions_beside_true_digits(quick):
    lines = quick[1].stdout.splitlines()
    predicted, true = (next(line for line in lines if line.startswith(start)) for start in ('predicted', 'true digit'))
    assert re.findall(r'\d', true)[:10] == list('7210414959')
    assert len(re.findall(r'\d', predicted)) == len(re.findall(r'\d', true))


def test_prints_the_network(quick):
    for part in ('Convolutional', '(28, 28, 6)', '(10, 10, 16)', '48,120', '61,706', '416,520'):
        assert part in quick[1].stdout


def test_writes_checkpoints_with_the_documented_names_and_arrays(quick):
    folder, _ = quick
    assert sorted(path.name for path in folder.iterdir()) == ['checkpoints']
    names = ['model_subset_epoch_1.npz', 'model_subset_epoch_2.npz']
    assert sorted(path.name for path in (folder / 'checkpoints').iterdir()) == ['.model_subset.lock', *names]
    arrays, description = load(folder / 'checkpoints' / names[1])
    parameters = {f'{name}_{layer}' for name in ('weights', 'bias') for layer in (0, 3, 7, 9, 11)}
    assert arrays.keys() == parameters | {f'velocity_{name}' for name in parameters}
    assert arrays['weights_0'].shape == (5, 5, 1, 6)
    assert arrays['weights_7'].shape == (400, 120)
    assert description['epoch'] == 2
    assert {key: len(values) for key, values in description['history'].items()} == dict.fromkeys(
        ('loss', 'accuracy', 'val_loss', 'val_accuracy', 'learning_rate'), 2
    )
    assert description['settings']['learning_rate'] == 0.01
    assert description['settings']['batch_size'] == 32
    assert {'kind': 'SGD', 'momentum': 0.9, 'weight_decay': 0.0}.items() <= description['optimizer'].items()


def test_the_same_command_gives_the_same_weights(run, quick, tmp_path):
    run(*QUICK)
    name = Path('checkpoints', 'model_subset_epoch_2.npz')
    assert_equal_checkpoints(tmp_path / name, quick[0] / name)


def test_another_seed_gives_other_weights(run, quick, tmp_path):
    run(*QUICK, '--seed', '1')
    name = Path('checkpoints', 'model_subset_epoch_1.npz')
    assert (load(tmp_path / name)[0]['weights_0'] != load(quick[0] / name)[0]['weights_0']).any()


def test_checkpoint_dir_and_prefix(run, tmp_path):
    run(*QUICK, '--checkpoint-dir', 'deep/er', '--checkpoint-prefix', 'mine')
    assert not (tmp_path / 'checkpoints').exists()
    assert checkpoint_names(tmp_path / 'deep' / 'er', 'mine') == ['mine_epoch_1.npz', 'mine_epoch_2.npz']


def test_settings_arrive_at_the_training(run, tmp_path):
    run(*SMALL, '--learning-rate', '0.05', '--batch-size', '7', '--momentum', '0.5', '--epochs', '1')
    _, description = load(tmp_path / 'checkpoints' / 'model_subset_epoch_1.npz')
    expected = {'learning_rate': 0.05, 'batch_size': 7, 'shuffle': True, 'samples': 96}
    assert expected.items() <= description['settings'].items()
    assert {'kind': 'SGD', 'momentum': 0.5}.items() <= description['optimizer'].items()


def test_the_network_that_is_spelled_out_is_lenet5(script):
    ours, theirs = script.make_network(script.parse_settings(['--seed', '7'])), models.lenet5(seed=7)
    assert bits(ours) == bits(theirs)
    assert describe(ours) == describe(theirs)


@pytest.mark.parametrize('recipe', models.RECIPES)
def test_a_recipe_is_settings_that_options_replace(script, recipe):
    settings = script.parse_settings(['--recipe', recipe])
    assert settings.full
    assert settings.checkpoint_prefix == f'model_{recipe}'
    assert models.RECIPES[recipe].items() <= vars(settings).items()
    net, theirs = script.make_network(settings), models.RECIPES[recipe]['network'](seed=0)
    assert bits(net) == bits(theirs)
    assert net.optimizer.weight_decay == settings.weight_decay > 0
    options = ['--epochs', '3', '--learning-rate', '0.2', '--batch-size', '7', '--momentum', '0.5']
    expected = {'epochs': 3, 'learning_rate': 0.2, 'batch_size': 7, 'momentum': 0.5}
    assert expected.items() <= vars(script.parse_settings(['--recipe', recipe, *options])).items()


def test_the_learning_rate_follows_a_cosine_on_the_full_data_alone(script):
    assert script.parse_settings([]).schedule is cnnx.schedules.Constant
    assert script.parse_settings(['--full']).schedule is cnnx.schedules.Cosine


@pytest.mark.skipif(not FULL_DATA, reason='CNNX_DATA_DIR does not name a folder with the full MNIST')
@pytest.mark.parametrize('recipe', models.RECIPES)
def test_a_recipe_runs(run, tmp_path, recipe):
    result = run('--recipe', recipe, *QUICK)
    assert 'test accuracy' in result.stdout
    assert ('averaged over shifts by up to 1: ' in result.stdout) == (recipe == 'accurate')
    _, description = load(tmp_path / 'checkpoints' / f'model_{recipe}_epoch_2.npz')
    assert [given['kind'] for given in description['settings']['augment']][-1] == 'Elastic'


def test_the_help_lists_all_options_with_their_defaults(run, tmp_path):
    text = run('--help').stdout
    options = ['full', 'data-dir', 'train-samples', 'test-samples', 'epochs', 'learning-rate', 'batch-size', 'momentum']
    options += ['seed', 'threads', 'backend', 'resume', 'checkpoint-dir', 'checkpoint-prefix', 'plot', 'recipe']
    options += ['watch']
    assert re.findall(r'^  --([a-z-]+)', text, re.MULTILINE) == sorted([*options, 'compare'], key=text.index)
    flat = ' '.join(text.split())
    for default in ('(1000', '(200', '(10)', '(0.01)', '(32)', '(0.9)', '(checkpoints)', '(model_subset'):
        assert default in flat
    assert not list(tmp_path.iterdir())


# Stopping and resuming


@pytest.fixture
def _interruptible():
    """Let children start with the usual effect of signals, even where these tests run in the background or by nohup."""
    before = {signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler)}
    if hasattr(signal, 'SIGHUP'):
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def interrupt(number, *options, cwd, after_epoch):
    """Start the script, send it a signal once it has written an epoch's checkpoint, and return how it ended."""
    with open(cwd / 'output', 'w+') as output:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), *options], cwd=cwd, env=environment(), stdout=output, stderr=output
        )
        try:
            awaited = cwd / 'checkpoints' / f'model_subset_epoch_{after_epoch}.npz'
            deadline = time.monotonic() + TIMEOUT
            while not awaited.exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.001)
            process.send_signal(number)
            status = process.wait(TIMEOUT)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        output.seek(0)
        text = output.read()
    written = len(checkpoint_names(cwd / 'checkpoints'))
    assert after_epoch <= written < LONG_EPOCHS, f'the run was over before it could be interrupted: {status}, {text}'
    return status, text


posix_only = pytest.mark.skipif(os.name != 'posix', reason='sends POSIX signals')


@posix_only
def test_a_pipe_that_is_closed_ends_the_script_quietly(tmp_path, quick):
    command = ['sh', '-c', '"$0" "$@" | head -1', sys.executable, str(SCRIPT), *QUICK]
    result = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=TIMEOUT)
    assert (result.stderr, result.stdout.splitlines()) == ('', quick[1].stdout.splitlines()[:1])


@posix_only
@pytest.mark.usefixtures('_interruptible')
def test_ctrl_c_after_the_reader_of_the_output_has_ended_gives_its_status(tmp_path):
    reading, writing = os.pipe()
    command = [sys.executable, str(SCRIPT), *SMALL, '--epochs', '100000']
    output = {'stdout': writing, 'stderr': subprocess.PIPE, 'text': True}
    with subprocess.Popen(command, cwd=tmp_path, env=environment(PYTHONUNBUFFERED=''), **output) as process:
        try:
            os.close(writing)
            with open(reading, 'rb') as lines:
                next(line for line in lines if line.startswith(b'epoch 1/'))
            process.send_signal(signal.SIGINT)
            error = process.communicate(timeout=TIMEOUT)[1]
        finally:
            process.kill()
    assert process.returncode == 130
    assert [line.split()[0] for line in error.splitlines()] == ['interrupted;', sys.executable]


@posix_only
def test_kill_and_resume_ends_with_the_weights_of_an_uninterrupted_run(run, tmp_path, uninterrupted):
    status, _ = interrupt(signal.SIGKILL, *LONG, cwd=tmp_path, after_epoch=2)
    assert status == -signal.SIGKILL
    result = run(*LONG, '--resume')
    assert re.search(r'resumed from .*model_subset_epoch_\d+\.npz', result.stdout)
    assert f'epoch {LONG_EPOCHS}/{LONG_EPOCHS}' in result.stdout
    assert 'epoch 1/' not in result.stdout
    assert_equal_checkpoints(tmp_path / 'checkpoints' / uninterrupted.name, uninterrupted)


@posix_only
@pytest.mark.slow
def test_killed_twice(run, tmp_path, uninterrupted):
    interrupt(signal.SIGKILL, *LONG, cwd=tmp_path, after_epoch=2)
    second = len(checkpoint_names(tmp_path / 'checkpoints')) + 3
    interrupt(signal.SIGKILL, *LONG, '--resume', cwd=tmp_path, after_epoch=second)
    run(*LONG, '--resume')
    assert_equal_checkpoints(tmp_path / 'checkpoints' / uninterrupted.name, uninterrupted)


@posix_only
@pytest.mark.usefixtures('_interruptible')
@pytest.mark.parametrize(
    ('number', 'expected'),
    [('SIGINT', 130), *(pytest.param(*row, marks=pytest.mark.slow) for row in (('SIGTERM', 143), ('SIGHUP', 129)))],
)
def test_the_command_that_an_interrupted_run_prints_continues_it_exactly(tmp_path, uninterrupted, number, expected):
    folder = tmp_path / 'a folder'
    folder.mkdir()
    options = (*LONG, '--checkpoint-dir', f'{folder}/checkpoints')
    status, text = interrupt(getattr(signal, number), *options, cwd=folder, after_epoch=2)
    assert status == expected
    assert 'Traceback' not in text
    assert [path.name for path in (folder / 'checkpoints').glob('.*')] == ['.model_subset.lock']
    command = shlex.split(text.splitlines()[-1])
    assert command == [sys.executable, str(SCRIPT), *options, '--resume']
    subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, check=True, timeout=TIMEOUT)
    assert_equal_checkpoints(folder / 'checkpoints' / uninterrupted.name, uninterrupted)


def test_a_resumed_run_that_is_interrupted_prints_the_same_command(script, monkeypatch, capsys):
    given = ['python', 'train_mnist.py', '--resume', '--epochs', '3']
    monkeypatch.setattr('sys.orig_argv', given)

    class Interrupted:
        def train(self, *arguments, **options):
            raise SystemExit(143)

    with pytest.raises(SystemExit):
        script.train(Interrupted(), (None, None), None, script.parse_settings(given[2:]))
    assert capsys.readouterr().err.splitlines()[-1].strip() == 'python train_mnist.py --resume --epochs 3'


def test_more_epochs_after_a_finished_run(run, tmp_path, quick):
    run(*SMALL, '--epochs', '1')
    run(*QUICK, '--resume')
    name = Path('checkpoints', 'model_subset_epoch_2.npz')
    assert_equal_checkpoints(tmp_path / name, quick[0] / name)


def test_resume_when_all_epochs_are_done(run, tmp_path):
    first = run(*QUICK)
    before = {path: path.read_bytes() for path in (tmp_path / 'checkpoints').iterdir()}
    result = run(*QUICK, '--resume')
    assert re.search(r'2 epochs are done already', result.stdout)
    assert 'epoch 2/2' not in result.stdout
    assert result.stdout.splitlines()[-1] == first.stdout.splitlines()[-1]
    assert {path: path.read_bytes() for path in (tmp_path / 'checkpoints').iterdir()} == before


def test_resume_with_nothing_there_starts_at_epoch_1(run, tmp_path, quick):
    result = run(*QUICK, '--resume')
    assert 'no checkpoint named model_subset' in result.stdout
    assert 'epoch 1/2' in result.stdout
    name = Path('checkpoints', 'model_subset_epoch_2.npz')
    assert_equal_checkpoints(tmp_path / name, quick[0] / name)


def test_resume_with_another_prefix_starts_at_epoch_1(run, tmp_path):
    run(*QUICK)
    result = run(*QUICK, '--resume', '--checkpoint-prefix', 'model')
    assert 'no checkpoint named model ' in result.stdout
    assert 'epoch 1/2' in result.stdout
    assert len(checkpoint_names(tmp_path / 'checkpoints', 'model')) == 2


def test_resume_continues_the_run_that_was_started_last(run, tmp_path, quick):
    run(*SMALL, '--epochs', '4', '--seed', '7')
    run(*SMALL, '--epochs', '1')
    result = run(*QUICK, '--resume')
    assert 'model_subset_epoch_1.npz' in result.stdout
    name = Path('checkpoints', 'model_subset_epoch_2.npz')
    assert_equal_checkpoints(tmp_path / name, quick[0] / name)


def test_resume_skips_a_damaged_checkpoint(run, tmp_path, quick):
    run(*QUICK)
    damaged = tmp_path / 'checkpoints' / 'model_subset_epoch_2.npz'
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    result = run(*QUICK, '--resume')
    assert re.search(r'skipped .*model_subset_epoch_2\.npz', result.stdout)
    assert_equal_checkpoints(damaged, quick[0] / 'checkpoints' / damaged.name)


def test_resume_with_damaged_checkpoints_only(run, tmp_path):
    folder = tmp_path / 'checkpoints'
    folder.mkdir()
    (folder / 'model_subset_epoch_1.npz').write_bytes(b'')
    result = run(*QUICK, '--resume', status=1)
    assert 'model_subset_epoch_1.npz' in result.stderr
    assert 'without resuming' in result.stderr


def test_resume_without_the_optimizers_state_is_refused(run, tmp_path):
    """A checkpoint that lost a velocity would go on to other weights than those of an uninterrupted run."""
    run(*SMALL, '--epochs', '1')
    path = tmp_path / 'checkpoints' / 'model_subset_epoch_1.npz'
    arrays, description = checkpoint.read(path)
    del arrays['velocity_weights_3']
    checkpoint.write(path, arrays, description)
    result = run(*QUICK, '--resume', status=1)
    assert 'velocity_weights_3' in result.stderr


def save_other_network(folder, layers):
    net = Network(seed=0)
    for layer in layers:
        net.add(layer)
    net.compile(CategoricalCrossEntropy(), optimizer=SGD(momentum=0.9))
    x, y = np.zeros((4, 28, 28, 1), np.float32), np.arange(4)
    net.train(x, y, epochs=1, checkpoint_dir=folder, checkpoint_prefix='model_subset', verbose=0)


def other_filters():
    first = Convolutional(input_shape=(28, 28, 1), num_filters=4, kernel_size=(5, 5), padding='same')
    return [first, Flatten(), Dense(output_size=10), Softmax()]


def other_layers():
    return [Flatten(input_shape=(28, 28, 1)), Dense(output_size=10), Softmax()]


@pytest.mark.parametrize(
    ('make_layers', 'named'),
    [
        (other_filters, ['layer 0 (Convolutional)', '6', '4']),
        (other_layers, ['layer 0', 'Convolutional', 'Flatten']),
    ],
)
def test_resume_from_another_architecture_is_refused(run, tmp_path, make_layers, named):
    save_other_network(tmp_path / 'checkpoints', make_layers())
    before = {path: path.read_bytes() for path in (tmp_path / 'checkpoints').iterdir()}
    message = run(*QUICK, '--resume', status=1).stderr
    assert len(message.splitlines()) == 1
    assert 'model_subset_epoch_1.npz' in message
    for part in named:
        assert part in message
    assert {path: path.read_bytes() for path in (tmp_path / 'checkpoints').iterdir()} == before


def other_kernel_and_filters():
    first = Convolutional(input_shape=(28, 28, 1), num_filters=4, kernel_size=(3, 3), padding='same')
    return [first, Flatten(), Dense(output_size=10), Softmax()]


@pytest.mark.slow
def test_another_architecture_is_refused_with_the_same_words_every_time(tmp_path):
    save_other_network(tmp_path / 'checkpoints', other_kernel_and_filters())
    command = [sys.executable, str(SCRIPT), *QUICK, '--resume']
    options = {'cwd': tmp_path, 'capture_output': True, 'text': True}
    errors = [subprocess.run(command, env=environment(PYTHONHASHSEED=seed), **options).stderr for seed in '0257']
    assert len(set(errors)) == 1
    assert len(errors[0].splitlines()) == 1


# Options that cannot be


@pytest.mark.parametrize(
    'options',
    [
        ('--epochs', '0'),
        ('--epochs', '-3'),
        ('--epochs', 'two'),
        ('--epochs', '1.5'),
        ('--batch-size', '0'),
        ('--train-samples', '0'),
        ('--train-samples', '5001'),
        ('--test-samples', '1001'),
        ('--learning-rate', 'nan'),
        ('--learning-rate', 'inf'),
        ('--learning-rate', '-1'),
        ('--learning-rate', 'fast'),
        ('--momentum', '1'),
        ('--momentum', 'nan'),
        ('--momentum', '-0.1'),
        ('--seed', '-1'),
        ('--seed', 'x'),
        ('--threads', '0'),
        ('--threads', '1000000'),
        ('--backend', 'cuda'),
        ('--checkpoint-prefix', 'a/b'),
        ('--data-dir', 'somewhere'),
        ('--recipe', 'huge'),
        ('--recipe', 'lenet', '--compare'),
        ('--compare', '--resume'),
        ('--compare', '--backend', 'numpy'),
        ('--compare', '--plot', 'loss.png'),
        ('--compare', '--watch', 'run.html'),
        ('--watch', 'run.png'),
        ('--plot', 'nowhere/loss.png'),
        ('--plot', 'loss.surprise'),
        ('--surprise',),
    ],
    ids=' '.join,
)
def test_bad_options_are_refused_in_a_line(run, tmp_path, options):
    """The line names the option, whatever part of the program finds it bad, and nothing is written."""
    at_once = ('--train-samples 5001', '--test-samples 1001', '--threads 1000000', '--checkpoint-prefix a/b')
    late = ' '.join(options) in at_once or (options[0] in ('--learning-rate', '--momentum', '--seed'))
    status = 1 if late and options[1] not in ('fast', 'x') else 2
    result = run(*QUICK, *options, status=status)
    lines = result.stderr.splitlines()
    assert lines[-1].startswith('train_mnist.py: ')
    assert status == 2 or len(lines) == 1
    assert options[0].strip('-').replace('-', '_') in lines[-1].replace('-', '_')
    assert 'epoch 1/' not in result.stdout
    assert not checkpoint_names(tmp_path / 'checkpoints')


def test_checkpoint_dir_that_is_a_file(run, tmp_path):
    (tmp_path / 'taken').write_text('')
    result = run(*QUICK, '--checkpoint-dir', 'taken', status=1)
    assert len(result.stderr.splitlines()) == 1
    assert 'taken' in result.stderr


# Full data


def test_full_with_a_data_dir_that_lacks_files(run, tmp_path):
    (tmp_path / 'mnist').mkdir()
    (tmp_path / 'mnist' / 'train-images-idx3-ubyte.gz').write_bytes(b'')
    result = run('--full', '--data-dir', 'mnist', status=1)
    assert 't10k-labels-idx1-ubyte.gz' in result.stderr
    assert 'train-images-idx3-ubyte.gz' not in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_full_with_a_folder_that_is_not_there(run, tmp_path, monkeypatch):
    monkeypatch.setenv('CNNX_DATA_DIR', str(tmp_path / 'nowhere'))
    result = run('--full', status=1)
    assert 'nowhere' in result.stderr
    assert not (tmp_path / 'checkpoints').exists()


@pytest.mark.skipif(not FULL_DATA, reason='CNNX_DATA_DIR does not name a folder with the full MNIST')
@pytest.mark.parametrize('way', ['option', 'environment'])
def test_full(run, tmp_path, way, monkeypatch):
    options = ('--data-dir', FULL_DATA) if way == 'option' else ()
    if way == 'option':
        monkeypatch.setenv('CNNX_DATA_DIR', str(tmp_path / 'nowhere'))
    result = run('--full', *options, '--train-samples', '6000', '--test-samples', '2000', '--epochs', '1')
    assert 'of 2000 images' in result.stdout
    assert checkpoint_names(tmp_path / 'checkpoints', 'model_full') == ['model_full_epoch_1.npz']
    assert load(tmp_path / 'checkpoints' / 'model_full_epoch_1.npz')[1]['settings']['samples'] == 6000


# Plots, backends, threads


def test_plot(run, tmp_path):
    pytest.importorskip('matplotlib')
    result = run(*QUICK, '--plot', 'loss.png')
    assert result.stdout.splitlines()[-1] == 'drew loss.png'
    assert (tmp_path / 'loss.png').read_bytes().startswith(b'\x89PNG\r\n\x1a\n')


def test_the_page_of_a_run_has_its_command(tmp_path):
    run_as_user(*QUICK, '--watch', 'run.html', cwd=tmp_path)
    page = (tmp_path / 'run.html').read_text(encoding='utf-8')
    assert 'train_mnist.py' in page
    assert '--watch run.html' in page


WITHOUT_MATPLOTLIB = """
import runpy, sys
sys.modules['matplotlib'] = None
script = sys.argv[1]
sys.argv = sys.argv[1:]
runpy.run_path(script, run_name='__main__')
"""


def test_without_matplotlib(tmp_path):
    command = [sys.executable, '-c', WITHOUT_MATPLOTLIB, str(SCRIPT), *QUICK]
    options = {'cwd': tmp_path, 'env': environment(), 'capture_output': True, 'text': True, 'timeout': TIMEOUT}
    refused = subprocess.run([*command, '--plot', 'loss.png'], **options)
    assert refused.returncode == 2
    assert 'Traceback' not in refused.stderr
    assert refused.stderr.splitlines()[-1].endswith('--plot: needs matplotlib: pip install matplotlib')
    assert not list(tmp_path.iterdir()), 'it says so before it trains'
    assert subprocess.run(command, **options).returncode == 0, 'nothing but --plot needs it'


@pytest.mark.usefixtures('compiled_kernels')
def test_compare(run, tmp_path):
    result = run(*QUICK, '--compare')
    assert result.stderr == ''
    rows = re.findall(
        r'^(\d+ \w+|CategoricalCrossEntropy) +(\d\.\de[+-]\d\d) +(\d\.\de[+-]\d\d) +\d+\.\d+ +\d+\.\d+ +\d+\.\dx$',
        result.stdout,
        re.MULTILINE,
    )
    names = [name for name, _, _ in rows]
    assert names[:4] == ['0 Convolutional', '1 ReLU', '2 MaxPooling', '3 Convolutional']
    assert names[-3:] == ['11 Dense', '12 Softmax', 'CategoricalCrossEntropy']
    for _, forward, backward in rows:
        assert max(float(forward), float(backward)) < 1e-3
    assert any(float(forward) > 0 for _, forward, _ in rows), 'two backends that never differ are one backend'
    for start in ('epoch 1: loss', 'epoch 2: loss', 'test loss', 'test accuracy'):
        numpy, compiled = re.search(rf'^{start} +(\d\.\d{{4}}) +(\d\.\d{{4}})$', result.stdout, re.MULTILINE).groups()
        assert float(numpy) == pytest.approx(float(compiled), abs=0.01)
    assert not list(tmp_path.iterdir())


def test_backend_numpy(run, tmp_path, quick):
    result = run(*QUICK, '--backend', 'numpy')
    name = Path('checkpoints', 'model_subset_epoch_2.npz')
    arrays, description = load(tmp_path / name)
    assert description['settings']['backend'] == 'numpy'
    assert result.stderr == ''
    for key, array in load(quick[0] / name)[0].items():
        np.testing.assert_allclose(arrays[key], array, atol=1e-4, err_msg=key)


@pytest.mark.usefixtures('compiled_kernels')
def test_backend_cython(run, tmp_path):
    with use_backend('numpy'):
        run(*QUICK, '--backend', 'cython')
    _, description = load(tmp_path / 'checkpoints' / 'model_subset_epoch_2.npz')
    assert description['settings']['backend'] == 'cython'


def test_threads_do_not_change_the_weights(run, tmp_path):
    for threads in '13':
        run(*QUICK, '--threads', threads, '--checkpoint-dir', threads)
        assert cnnx.num_threads() == int(threads)
    name = 'model_subset_epoch_2.npz'
    assert_equal_checkpoints(tmp_path / '1' / name, tmp_path / '3' / name)


# How well it reads digits


def fastest_backend():
    try:
        with use_backend('cython'):
            return 'cython'
    except BackendError:
        return 'numpy'


@pytest.mark.usefixtures('_one_thread')
@pytest.mark.parametrize('seeds', [2, pytest.param(5, marks=pytest.mark.slow)])
def test_mean_accuracy_of_the_default_run_over_seeds(script, seeds):
    accuracies = []
    for seed in range(seeds):
        settings = script.parse_settings(['--seed', str(seed)])
        settings.checkpoint_dir = None
        train_data, (x_test, y_test) = script.load_data(settings)
        assert (len(train_data[0]), len(x_test)) == (1000, 200)
        net = script.make_network(settings)
        with use_backend(fastest_backend()):
            script.train(net, train_data, (x_test, y_test), settings)
        accuracies.append(np.mean(net.predict_classes(x_test) == y_test.argmax(axis=1)))
    print(f'test accuracy of seeds 0 to {seeds - 1}: {", ".join(f"{value:.1%}" for value in accuracies)}')
    print(f'mean: {np.mean(accuracies):.2%}')
    assert np.mean(accuracies) >= 0.95


@pytest.mark.slow
@pytest.mark.skipif(not FULL_DATA, reason='CNNX_DATA_DIR does not name a folder with the full MNIST')
def test_the_full_mnist_is_learned_to_98_9_percent(tmp_path):
    result = subprocess.run(
        [sys.executable, str(SCRIPT), '--full'], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    print(result.stdout)
    accuracy = re.search(r'test accuracy: ([\d.]+)% of 10000 images', result.stdout)
    assert float(accuracy[1]) >= 98.9
