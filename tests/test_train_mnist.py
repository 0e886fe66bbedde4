import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

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
    use_backend,
)
from cnnx.augmentation.test_time import predict_shifted
from cnnx.data import preprocess_mnist_data

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


def run(*options, cwd, status=0, **changes):
    """Run the script as a user does, and return what it printed; a traceback is never right."""
    result = subprocess.run(
        [sys.executable, str(SCRIPT), *options],
        cwd=cwd,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert 'Traceback' not in result.stderr, result.stderr
    assert result.returncode == status, result.stdout + result.stderr
    return result


@pytest.fixture(scope='module')
def script():
    spec = importlib.util.spec_from_file_location('train_mnist', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
def compiled():
    try:
        with use_backend('cython'):
            pass
    except BackendError as error:
        pytest.skip(f'needs the compiled kernels: {error}')


@pytest.fixture(scope='module')
def quick(tmp_path_factory):
    """Return the folder and the output of one quick run; tests read them and change nothing."""
    folder = tmp_path_factory.mktemp('quick')
    return folder, run(*QUICK, cwd=folder)


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory):
    """Return the last checkpoint of a long run that nothing interrupts."""
    folder = tmp_path_factory.mktemp('uninterrupted')
    run(*LONG, cwd=folder)
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
        ('loss', 'accuracy', 'val_loss', 'val_accuracy'), 2
    )
    assert description['settings']['learning_rate'] == 0.01
    assert description['settings']['batch_size'] == 32
    assert {'kind': 'SGD', 'momentum': 0.9, 'weight_decay': 0.0}.items() <= description['optimizer'].items()


def test_the_same_command_gives_the_same_weights(quick, tmp_path):
    run(*QUICK, cwd=tmp_path)
    name = Path('checkpoints', 'model_subset_epoch_2.npz')
    assert_equal_checkpoints(tmp_path / name, quick[0] / name)


def test_another_seed_gives_other_weights(quick, tmp_path):
    run(*QUICK, '--seed', '1', cwd=tmp_path)
    name = Path('checkpoints', 'model_subset_epoch_1.npz')
    assert (load(tmp_path / name)[0]['weights_0'] != load(quick[0] / name)[0]['weights_0']).any()


def test_checkpoint_dir_and_prefix(tmp_path):
    run(*QUICK, '--checkpoint-dir', 'deep/er', '--checkpoint-prefix', 'mine', cwd=tmp_path)
    assert not (tmp_path / 'checkpoints').exists()
    assert checkpoint_names(tmp_path / 'deep' / 'er', 'mine') == ['mine_epoch_1.npz', 'mine_epoch_2.npz']


def test_settings_arrive_at_the_training(tmp_path):
    options = ('--learning-rate', '0.05', '--batch-size', '7', '--momentum', '0.5', '--epochs', '1')
    run(*SMALL, *options, cwd=tmp_path)
    _, description = load(tmp_path / 'checkpoints' / 'model_subset_epoch_1.npz')
    expected = {'learning_rate': 0.05, 'batch_size': 7, 'shuffle': True, 'samples': 96}
    assert expected.items() <= description['settings'].items()
    assert {'kind': 'SGD', 'momentum': 0.5}.items() <= description['optimizer'].items()


@pytest.mark.parametrize(
    ('options', 'optimizer', 'rate'),
    [
        (('adam',), {'kind': 'Adam', 'beta_1': 0.9}, 0.001),
        (('rmsprop', '--momentum', '0.5', '--learning-rate', '0.002'), {'kind': 'RMSprop', 'momentum': 0.5}, 0.002),
        (('adagrad',), {'kind': 'Adagrad'}, 0.01),
    ],
)
def test_the_optimizer_is_the_one_asked_for_at_its_own_rate(tmp_path, options, optimizer, rate):
    run(*SMALL, '--epochs', '1', '--optimizer', *options, cwd=tmp_path)
    _, description = load(tmp_path / 'checkpoints' / 'model_subset_epoch_1.npz')
    assert optimizer.items() <= description['optimizer'].items()
    assert description['settings']['learning_rate'] == rate


@pytest.mark.parametrize('recipe', ['lenet', 'accurate'])
def test_a_recipe_is_settings_that_others_replace(script, recipe):
    settings = script.parse_settings(['--recipe', recipe])
    assert settings.full
    assert settings.checkpoint_prefix == f'model_{recipe}'
    assert settings.schedule == 'one-cycle'
    assert settings.epochs > 10
    assert len(settings.augment) > 2
    assert script.make_network(settings).optimizer.weight_decay == settings.weight_decay > 0
    options = ['--epochs', '3', '--learning-rate', '0.2', '--schedule', 'step', '--weight-decay', '0']
    options += ['--batch-size', '7', '--augment', 'erase', '--momentum', '0.5', '--dataset', 'fashion']
    other = vars(script.parse_settings(['--recipe', recipe, *options]))
    expected = {'epochs': 3, 'learning_rate': 0.2, 'schedule': 'step', 'weight_decay': 0, 'batch_size': 7}
    assert {**expected, 'momentum': 0.5, 'checkpoint_prefix': f'model_fashion_{recipe}'}.items() <= other.items()
    assert repr(other['augment']) == repr([script.AUGMENTATIONS['erase']])


def test_the_recipe_lenet_is_for_lenet5_as_it_is(script):
    plain, recipe = (script.make_network(script.parse_settings(given)) for given in ([], ['--recipe', 'lenet']))
    assert recipe.describe()['architecture'] == plain.describe()['architecture']


@pytest.mark.skipif(not FULL_DATA, reason='CNNX_DATA_DIR does not name a folder with the full MNIST')
@pytest.mark.parametrize('recipe', ['lenet', 'accurate'])
def test_a_recipe_runs(tmp_path, recipe):
    result = run('--recipe', recipe, *QUICK, cwd=tmp_path)
    assert 'test accuracy' in result.stdout
    assert ('averaged over shifts by up to 1: ' in result.stdout) == (recipe == 'accurate')
    _, description = load(tmp_path / 'checkpoints' / f'model_{recipe}_epoch_2.npz')
    assert [given['kind'] for given in description['settings']['augment']][-1] == 'Elastic'


def test_the_accuracy_over_shifts_is_that_of_the_means(tmp_path, script):
    result = run(*QUICK, '--average-shifts', '2', cwd=tmp_path)
    net = Network.load(tmp_path / 'checkpoints' / 'model_subset_epoch_2.npz')
    _, (x, y) = script.load_data(script.parse_settings(QUICK))
    right = predict_shifted(net.predict, x, 2).argmax(axis=1) == y.argmax(axis=1)
    assert result.stdout.endswith(f'averaged over shifts by up to 2: {right.mean():.2%}\n')


def test_held_out_images_are_tested_on_and_not_trained_on(script, tmp_path):
    given = ['--hold-out', '40', '--train-samples', '4960', '--epochs', '1']
    (x, y), (x_held, y_held) = script.load_data(script.parse_settings(given))
    whole, _ = preprocess_mnist_data()
    np.testing.assert_array_equal(np.concatenate([x, x_held]), whole[0])
    np.testing.assert_array_equal(np.concatenate([y, y_held]), whole[1])
    result = run('--hold-out', '40', '--train-samples', '96', '--epochs', '1', cwd=tmp_path)
    assert 'held-out accuracy: ' in result.stdout
    assert 'of 40 images' in result.stdout


def test_defaults_are_those_of_the_help(tmp_path):
    text = run('--help', cwd=tmp_path).stdout
    options = ['full', 'data-dir', 'train-samples', 'test-samples', 'epochs', 'learning-rate', 'batch-size', 'momentum']
    options += ['seed', 'threads', 'backend', 'resume', 'checkpoint-dir', 'checkpoint-prefix', 'plot', 'compare']
    options += ['optimizer', 'schedule', 'find-learning-rate', 'report', 'dataset', 'data', 'prepare', 'augment']
    options += ['doctor', 'recipe', 'hold-out', 'weight-decay', 'average-shifts']
    for option in options:
        assert re.search(rf'^  --{option}\b', text, re.MULTILINE), option
    flat = ' '.join(text.split())
    for default in (
        '(1000',
        '(200',
        '(10)',
        '(sgd)',
        'adagrad: 0.01;',
        '(32)',
        '(sgd: 0.9',
        '(checkpoints)',
        '(model_subset',
    ):
        assert default in flat
    assert not list(tmp_path.iterdir())


# Going on after an interruption


@pytest.fixture
def _interruptible():
    """Let children start with the usual effect of Ctrl-C, even where these tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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
@pytest.mark.parametrize('output', ['>&-', '| true', '>/dev/full'])
def test_an_output_that_fails_costs_no_training(tmp_path, quick, output):
    if output == '>/dev/full' and not os.path.exists('/dev/full'):
        pytest.skip('this system has none')
    line = f'{{ "$0" "$@"; echo $? >&2; }} {output}'
    command = ['sh', '-c', line, sys.executable, str(SCRIPT), *QUICK]
    result = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=TIMEOUT)
    assert result.stderr == '0\n'
    for name in checkpoint_names(quick[0] / 'checkpoints'):
        assert_equal_checkpoints(tmp_path / 'checkpoints' / name, quick[0] / 'checkpoints' / name)


@posix_only
@pytest.mark.usefixtures('_interruptible')
def test_a_reader_of_the_output_that_ctrl_c_ends_first_changes_no_status(tmp_path):
    reading, writing = os.pipe()
    output = {'stdout': writing, 'stderr': writing}
    command = [sys.executable, str(SCRIPT), *SMALL, '--epochs', '100000', '--keep', '1']
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), **output) as process:
        try:
            os.close(writing)
            with open(reading, 'rb') as lines:
                next(line for line in lines if line.startswith(b'epoch 1/'))
            process.send_signal(signal.SIGINT)
            assert process.wait(TIMEOUT) == 130
        finally:
            process.kill()


@posix_only
def test_kill_and_resume_ends_with_the_weights_of_an_uninterrupted_run(tmp_path, uninterrupted):
    status, _ = interrupt(signal.SIGKILL, *LONG, cwd=tmp_path, after_epoch=2)
    assert status == -signal.SIGKILL
    result = run(*LONG, '--resume', cwd=tmp_path)
    assert re.search(r'resumed from .*model_subset_epoch_\d+\.npz', result.stdout)
    assert f'epoch {LONG_EPOCHS}/{LONG_EPOCHS}' in result.stdout
    assert 'epoch 1/' not in result.stdout
    assert_equal_checkpoints(tmp_path / 'checkpoints' / uninterrupted.name, uninterrupted)


@posix_only
def test_killed_twice(tmp_path, uninterrupted):
    interrupt(signal.SIGKILL, *LONG, cwd=tmp_path, after_epoch=2)
    second = len(checkpoint_names(tmp_path / 'checkpoints')) + 3
    interrupt(signal.SIGKILL, *LONG, '--resume', cwd=tmp_path, after_epoch=second)
    run(*LONG, '--resume', cwd=tmp_path)
    assert_equal_checkpoints(tmp_path / 'checkpoints' / uninterrupted.name, uninterrupted)


@posix_only
@pytest.mark.usefixtures('_interruptible')
def test_ctrl_c_and_resume_ends_with_the_weights_of_an_uninterrupted_run(tmp_path, uninterrupted):
    status, text = interrupt(signal.SIGINT, *LONG, cwd=tmp_path, after_epoch=2)
    assert status == 130
    assert 'Traceback' not in text
    assert '--resume' in text
    assert [path.name for path in (tmp_path / 'checkpoints').glob('.*')] == ['.model_subset.lock']
    run(*LONG, '--resume', cwd=tmp_path)
    assert_equal_checkpoints(tmp_path / 'checkpoints' / uninterrupted.name, uninterrupted)


def test_more_epochs_after_a_finished_run(tmp_path, quick):
    run(*SMALL, '--epochs', '1', cwd=tmp_path)
    run(*QUICK, '--resume', cwd=tmp_path)
    name = Path('checkpoints', 'model_subset_epoch_2.npz')
    assert_equal_checkpoints(tmp_path / name, quick[0] / name)


def test_resume_when_all_epochs_are_done(tmp_path):
    first = run(*QUICK, cwd=tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / 'checkpoints').iterdir()}
    result = run(*QUICK, '--resume', cwd=tmp_path)
    assert re.search(r'2 epochs are done already', result.stdout)
    assert 'epoch 2/2' not in result.stdout
    assert result.stdout.splitlines()[-1] == first.stdout.splitlines()[-1]
    assert {path: path.read_bytes() for path in (tmp_path / 'checkpoints').iterdir()} == before


def test_resume_with_nothing_there_begins_anew(tmp_path, quick):
    result = run(*QUICK, '--resume', cwd=tmp_path)
    assert 'no checkpoint named model_subset' in result.stdout
    assert 'epoch 1/2' in result.stdout
    name = Path('checkpoints', 'model_subset_epoch_2.npz')
    assert_equal_checkpoints(tmp_path / name, quick[0] / name)


def test_resume_with_another_prefix_begins_anew(tmp_path):
    run(*QUICK, cwd=tmp_path)
    result = run(*QUICK, '--resume', '--checkpoint-prefix', 'model', cwd=tmp_path)
    assert 'no checkpoint named model ' in result.stdout
    assert 'epoch 1/2' in result.stdout
    assert len(checkpoint_names(tmp_path / 'checkpoints', 'model')) == 2


def test_resume_goes_on_from_a_run_that_began_anew(tmp_path, quick):
    run(*SMALL, '--epochs', '4', '--seed', '7', cwd=tmp_path)
    run(*SMALL, '--epochs', '1', cwd=tmp_path)
    result = run(*QUICK, '--resume', cwd=tmp_path)
    assert 'model_subset_epoch_1.npz' in result.stdout
    name = Path('checkpoints', 'model_subset_epoch_2.npz')
    assert_equal_checkpoints(tmp_path / name, quick[0] / name)


def test_resume_passes_over_a_damaged_checkpoint(tmp_path, quick):
    run(*QUICK, cwd=tmp_path)
    damaged = tmp_path / 'checkpoints' / 'model_subset_epoch_2.npz'
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    result = run(*QUICK, '--resume', cwd=tmp_path)
    assert re.search(r'skipped .*model_subset_epoch_2\.npz', result.stdout)
    assert_equal_checkpoints(damaged, quick[0] / 'checkpoints' / damaged.name)


def test_resume_with_damaged_checkpoints_only(tmp_path):
    folder = tmp_path / 'checkpoints'
    folder.mkdir()
    (folder / 'model_subset_epoch_1.npz').write_bytes(b'')
    result = run(*QUICK, '--resume', cwd=tmp_path, status=1)
    assert 'model_subset_epoch_1.npz' in result.stderr
    assert 'without resuming' in result.stderr


def test_resume_without_the_optimizers_state_is_refused(tmp_path):
    """A checkpoint that lost a velocity would go on to other weights than those of an uninterrupted run."""
    run(*SMALL, '--epochs', '1', cwd=tmp_path)
    path = tmp_path / 'checkpoints' / 'model_subset_epoch_1.npz'
    arrays, description = checkpoint.read(path)
    del arrays['velocity_weights_3']
    checkpoint.write(path, arrays, description)
    result = run(*QUICK, '--resume', cwd=tmp_path, status=1)
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
def test_resume_from_another_architecture_is_refused(tmp_path, make_layers, named):
    save_other_network(tmp_path / 'checkpoints', make_layers())
    before = {path: path.read_bytes() for path in (tmp_path / 'checkpoints').iterdir()}
    message = run(*QUICK, '--resume', cwd=tmp_path, status=1).stderr
    assert len(message.splitlines()) == 1
    assert 'model_subset_epoch_1.npz' in message
    for part in named:
        assert part in message
    assert {path: path.read_bytes() for path in (tmp_path / 'checkpoints').iterdir()} == before


def other_kernel_and_filters():
    first = Convolutional(input_shape=(28, 28, 1), num_filters=4, kernel_size=(3, 3), padding='same')
    return [first, Flatten(), Dense(output_size=10), Softmax()]


def test_another_architecture_is_refused_with_the_same_words_every_time(tmp_path):
    save_other_network(tmp_path / 'checkpoints', other_kernel_and_filters())
    assert len({run(*QUICK, '--resume', cwd=tmp_path, status=1, PYTHONHASHSEED=seed).stderr for seed in '0257'}) == 1


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
        ('--weight-decay', '-1'),
        ('--weight-decay', 'nan'),
        ('--optimizer', 'lion'),
        ('--optimizer', 'adam', '--momentum', '0.9'),
        ('--seed', '-1'),
        ('--seed', 'x'),
        ('--threads', '0'),
        ('--threads', '1000000'),
        ('--backend', 'cuda'),
        ('--checkpoint-prefix', 'a/b'),
        ('--data-dir', 'somewhere'),
        ('--dataset', 'fashion'),
        ('--dataset', 'cifar', '--full'),
        ('--data', 'nowhere'),
        ('--data', 'nowhere.npz'),
        ('--data', 'nowhere', '--full'),
        ('--recipe', 'huge'),
        ('--average-shifts', '28'),
        ('--recipe', 'lenet', '--optimizer', 'adam'),
        ('--recipe', 'lenet', '--compare'),
        ('--recipe', 'lenet', '--find-learning-rate'),
        ('--hold-out', '0'),
        ('--hold-out', '5000'),
        ('--prepare',),
        ('--prepare', '--data', 'nowhere.npz'),
        ('--compare', '--resume'),
        ('--compare', '--backend', 'numpy'),
        ('--compare', '--plot', 'loss.png'),
        ('--compare', '--schedule', 'plateau'),
        ('--find-learning-rate', '--resume'),
        ('--find-learning-rate', '--compare'),
        ('--doctor', '--plot', 'loss.png'),
        ('--doctor', '--resume'),
        ('--augment', 'flip'),
        ('--augment', 'shift', '--compare'),
        ('--augment', 'shift', '--find-learning-rate'),
        ('--schedule', 'linear'),
        ('--compare', '--report'),
        ('--surprise',),
    ],
    ids=' '.join,
)
def test_bad_options_are_refused_in_a_line(tmp_path, options):
    """The line names the option, whatever part of the program finds it bad, and nothing is written."""
    result = subprocess.run(
        [sys.executable, str(SCRIPT), *QUICK, *options],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert result.returncode in (1, 2)
    assert 'Traceback' not in result.stderr
    lines = result.stderr.splitlines()
    assert lines[-1].startswith('train_mnist.py: ')
    assert result.returncode == 2 or len(lines) == 1
    named = 'nowhere' if options in (('--data', 'nowhere'), ('--data', 'nowhere.npz')) else options[0].strip('-')
    assert named.replace('-', '_') in lines[-1].replace('-', '_')
    assert 'epoch 1/' not in result.stdout
    assert not checkpoint_names(tmp_path / 'checkpoints')


def test_checkpoint_dir_that_is_a_file(tmp_path):
    (tmp_path / 'taken').write_text('')
    result = run(*QUICK, '--checkpoint-dir', 'taken', cwd=tmp_path, status=1)
    assert len(result.stderr.splitlines()) == 1
    assert 'taken' in result.stderr


# Full data


def test_full_with_a_data_dir_that_lacks_files(tmp_path):
    (tmp_path / 'mnist').mkdir()
    (tmp_path / 'mnist' / 'train-images-idx3-ubyte.gz').write_bytes(b'')
    result = run('--full', '--data-dir', 'mnist', cwd=tmp_path, status=1)
    assert 't10k-labels-idx1-ubyte.gz' in result.stderr
    assert 'train-images-idx3-ubyte.gz' not in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_full_with_a_folder_that_is_not_there(tmp_path):
    result = run('--full', cwd=tmp_path, status=1, CNNX_DATA_DIR=str(tmp_path / 'nowhere'))
    assert 'nowhere' in result.stderr
    assert not (tmp_path / 'checkpoints').exists()


@pytest.mark.skipif(not FULL_DATA, reason='CNNX_DATA_DIR does not name a folder with the full MNIST')
@pytest.mark.parametrize('way', ['option', 'environment'])
def test_full(tmp_path, way):
    options = ('--data-dir', FULL_DATA) if way == 'option' else ()
    nowhere = {'CNNX_DATA_DIR': str(tmp_path / 'nowhere')} if way == 'option' else {}
    samples = ('--train-samples', '6000', '--test-samples', '2000')
    result = run('--full', *options, *samples, '--epochs', '1', cwd=tmp_path, **nowhere)
    assert 'of 2000 images' in result.stdout
    assert checkpoint_names(tmp_path / 'checkpoints', 'model_full') == ['model_full_epoch_1.npz']
    assert load(tmp_path / 'checkpoints' / 'model_full_epoch_1.npz')[1]['settings']['samples'] == 6000


def test_another_data_set_has_its_own_files_and_checkpoints(tmp_path):
    result = run('--full', '--dataset', 'kmnist', '--data-dir', '.', cwd=tmp_path, status=1)
    assert 'train-images-idx3-ubyte.gz' in result.stderr
    assert 'KMNIST' in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_only_mnist_has_a_subset(tmp_path):
    result = run('--dataset', 'emnist-letters', cwd=tmp_path, status=2)
    assert '--dataset emnist-letters goes with --full; only MNIST has a subset' in result.stderr.splitlines()[-1]


# Images of one's own


@pytest.fixture(scope='module')
def own(tmp_path_factory):
    """Return a folder with pictures of three digits by class, and an .npz file of the same."""
    image = pytest.importorskip('PIL.Image')
    folder = tmp_path_factory.mktemp('own')
    (x, y), _ = preprocess_mnist_data()
    labels = y.argmax(axis=1)
    chosen = np.flatnonzero(labels < 3)[:150]
    for i in chosen:
        path = folder / 'pictures' / ('zero', 'one', 'two')[labels[i]] / f'{i:04}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        image.fromarray((x[i, ..., 0] * 255).astype(np.uint8)).save(path)
    np.savez(folder / 'data.npz', x=x[chosen], y=labels[chosen], classes=['zero', 'one', 'two'])
    return folder


@pytest.mark.parametrize('options', [('pictures',), ('pictures', '--prepare'), ('data.npz',)], ids=' '.join)
def test_trains_on_images_of_ones_own(own, tmp_path, options):
    result = run('--data', str(own / options[0]), *options[1:], '--epochs', '8', '--report', cwd=tmp_path)
    assert 'training on 120 images, testing on 30' in result.stdout
    accuracy = re.search(r'test accuracy: (\d+\.\d\d)% of 30 images', result.stdout)
    assert float(accuracy[1]) >= 80
    assert re.search(r'^true class( (zero|one |two ) ?){5}', result.stdout, re.MULTILINE)
    assert re.search(r'^true .* zero +one +two$|^true .* one +two +zero$', result.stdout, re.MULTILINE)
    assert len(checkpoint_names(tmp_path / 'checkpoints', 'model_own')) == 8
    net = Network.load(tmp_path / 'checkpoints' / 'model_own_epoch_8.npz')
    assert net.layers[-1].shape == (3,)


def test_classes_that_the_output_has_no_letters_for_are_escaped(own, tmp_path):
    for name, class_name in (('zero', 'null'), ('one', 'één'), ('two', '二')):
        shutil.copytree(own / 'pictures' / name, tmp_path / 'pictures' / class_name)
    options = ['--data', 'pictures', '--epochs', '1', '--report']
    result = run(*options, cwd=tmp_path, PYTHONIOENCODING='ascii')
    assert r'\u4e8c' in result.stdout
    assert 'test accuracy' in result.stdout


def test_the_same_images_of_ones_own_are_set_aside_whatever_the_seed(own, script):
    options = ['--data', str(own / 'data.npz'), '--seed']
    first, second = (script.load_data(script.parse_settings([*options, seed])) for seed in '12')
    np.testing.assert_array_equal(first[1][0], second[1][0])
    assert len(first[0][0]) == 4 * len(first[1][0])


def test_images_that_do_not_fit_lenet5_are_refused(tmp_path):
    np.savez(tmp_path / 'data.npz', x=np.zeros((9, 8, 8)), y=np.arange(9))
    result = run('--data', 'data.npz', cwd=tmp_path, status=1)
    assert 'data.npz: LeNet-5 takes images (28, 28, 1), these are (8, 8, 1)' in result.stderr


# Plots, backends, threads


def test_plot(tmp_path):
    pytest.importorskip('matplotlib')
    result = run(*QUICK, '--plot', 'loss.png', cwd=tmp_path)
    assert 'loss.png' in result.stdout
    content = (tmp_path / 'loss.png').read_bytes()
    assert content.startswith(b'\x89PNG\r\n\x1a\n')
    assert content.endswith(b'IEND\xaeB`\x82')
    width, height = (int.from_bytes(content[start : start + 4], 'big') for start in (16, 20))
    assert width > 500
    assert height > 200


def test_report_prints_what_the_network_takes_for_what(tmp_path, quick):
    result = run(*QUICK, '--report', cwd=tmp_path)
    assert re.sub(r'\(.*? s\)', '', result.stdout).startswith(re.sub(r'\(.*? s\)', '', quick[1].stdout))
    assert [path.name for path in tmp_path.iterdir()] == ['checkpoints']
    _, (x, y) = preprocess_mnist_data()
    true = y[:40].argmax(axis=1)
    net = Network.load(tmp_path / 'checkpoints' / 'model_subset_epoch_2.npz')
    predicted = net.predict_classes(x[:40])
    matrix = np.array([[((true == i) & (predicted == j)).sum() for j in range(10)] for i in range(10)])
    lines = result.stdout.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith('true \\ predicted'))
    assert lines[head].split()[3:] == [str(digit) for digit in range(10)]
    rows = lines[head + 1 : head + 11]
    assert [[int(cell) for cell in row.split()] for row in rows] == [[i, *matrix[i]] for i in range(10)]
    assert len({len(line) for line in lines[head : head + 11]}) == 1, 'aligned'
    assert lines[head + 12].split() == ['class', 'samples', 'precision', 'recall', 'f1']
    for digit, line in enumerate(lines[head + 13 : head + 23]):
        right, taken, there = matrix[digit, digit], (predicted == digit).sum(), (true == digit).sum()
        figures = (right / max(taken, 1), right / max(there, 1), 2 * right / max(taken + there, 1))
        assert line.split() == [str(digit), str(there), *(f'{figure:.4f}' for figure in figures)]
    assert lines[head + 24] == 'most confused'
    pairs = [tuple(map(int, re.findall(r'\d+', line))) for line in lines[head + 25 :]]
    assert len(pairs) == 5
    assert [count for *_, count in pairs] == sorted(matrix[~np.eye(10, dtype=bool)], reverse=True)[:5]
    assert all(matrix[i, j] == count > 0 and i != j for i, j, count in pairs)


def test_report_and_plot_draw_a_second_file(tmp_path):
    pytest.importorskip('matplotlib')
    result = run(*QUICK, '--report', '--plot', 'loss.png', cwd=tmp_path)
    assert result.stdout.splitlines()[-1] == 'drew loss_report.png'
    assert sorted(path.name for path in tmp_path.glob('*.png')) == ['loss.png', 'loss_report.png']
    content = (tmp_path / 'loss_report.png').read_bytes()
    assert content.startswith(b'\x89PNG\r\n\x1a\n')
    assert content.endswith(b'IEND\xaeB`\x82')


# Learning rates


@pytest.mark.parametrize('name', ['step', 'exponential', 'one-cycle', 'plateau'])
def test_schedules_begin_at_the_learning_rate_that_is_given(tmp_path, name):
    run(*SMALL, '--epochs', '1', '--schedule', name, '--learning-rate', '0.02', cwd=tmp_path)
    settings = load(tmp_path / 'checkpoints' / 'model_subset_epoch_1.npz')[1]['settings']
    assert settings['maximum' if name == 'one-cycle' else 'initial'] == 0.02


def test_a_learning_rate_is_suggested_and_nothing_trained(tmp_path):
    result = run('--find-learning-rate', cwd=tmp_path)
    assert re.match(r'suggested learning rate: 0\.0\d+\nthe loss fell from [\d.]+ to [\d.]+, ', result.stdout)
    assert not list(tmp_path.iterdir())


def test_the_doctor_says_what_speaks_against_a_learning_rate_and_nothing_is_trained(tmp_path):
    assert 'no problems found' in run('--doctor', *SMALL, cwd=tmp_path).stdout
    result = run('--doctor', *SMALL, '--learning-rate', '50', cwd=tmp_path)
    assert result.stdout.startswith('error: The learning rate 50 is too high')
    assert not list(tmp_path.iterdir())


def test_the_losses_at_learning_rates_are_drawn(tmp_path):
    pytest.importorskip('matplotlib')
    result = run('--find-learning-rate', '--batch-size', '96', *SMALL, '--plot', 'rates.svg', cwd=tmp_path)
    assert 'drew rates.svg' in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ['rates.svg']


# Curves that cannot be drawn


@pytest.mark.parametrize('name', ['nowhere/loss.png', 'loss.surprise'])
def test_plot_that_cannot_be_written(tmp_path, name):
    result = run(*QUICK, '--plot', name, cwd=tmp_path, status=2)
    assert result.stdout == '', 'it is refused before anything is trained'
    assert f'--plot {name}: expected a file ending in .png' in result.stderr.splitlines()[-1]


WITHOUT_MATPLOTLIB = """
import runpy, sys
sys.modules['matplotlib'] = None
script = sys.argv[1]
sys.argv = sys.argv[1:]
runpy.run_path(script, run_name='__main__')
"""


def test_plot_without_matplotlib(tmp_path):
    command = [sys.executable, '-c', WITHOUT_MATPLOTLIB, str(SCRIPT), *QUICK]
    options = {'cwd': tmp_path, 'env': environment(), 'capture_output': True, 'text': True, 'timeout': TIMEOUT}
    refused = subprocess.run([*command, '--plot', 'loss.png'], **options)
    assert refused.returncode == 2
    assert 'Traceback' not in refused.stderr
    assert 'matplotlib' in refused.stderr.splitlines()[-1]
    assert 'pip install' in refused.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir()), 'it says so before it trains'
    assert subprocess.run([*command, '--report'], **options).returncode == 0, 'nothing but --plot needs it'


@pytest.mark.usefixtures('compiled')
def test_compare(tmp_path):
    result = run(*QUICK, '--compare', cwd=tmp_path)
    assert result.stderr == ''
    rows = re.findall(
        r'^(\d+ \w+|CategoricalCrossEntropy) +(\d\.\de[+-]\d\d) +(\d\.\de[+-]\d\d) +\d+\.\d+ +\d+\.\d+ +\d+\.\dx$',
        result.stdout,
        re.MULTILINE,
    )
    names = [name for name, _, _ in rows]
    assert names[:4] == ['0 Convolutional', '1 ReLU', '2 MaxPooling', '3 Convolutional']
    assert names[-2:] == ['11 Dense', 'CategoricalCrossEntropy']
    for _, forward, backward in rows:
        assert max(float(forward), float(backward)) < 1e-3
    assert any(float(forward) > 0 for _, forward, _ in rows), 'two backends that never differ are one backend'
    for start in ('epoch 1: loss', 'epoch 2: loss', 'test loss', 'test accuracy'):
        numpy, compiled = re.search(rf'^{start} +(\d\.\d{{4}}) +(\d\.\d{{4}})$', result.stdout, re.MULTILINE).groups()
        assert float(numpy) == pytest.approx(float(compiled), abs=0.01)
    assert not list(tmp_path.iterdir())


def test_backend_numpy(tmp_path, quick):
    result = run(*QUICK, '--backend', 'numpy', cwd=tmp_path, CNNX_BACKEND='auto')
    name = Path('checkpoints', 'model_subset_epoch_2.npz')
    arrays, description = load(tmp_path / name)
    assert description['settings']['backend'] == 'numpy'
    assert result.stderr == ''
    for key, array in load(quick[0] / name)[0].items():
        np.testing.assert_allclose(arrays[key], array, atol=1e-4, err_msg=key)


@pytest.mark.usefixtures('compiled')
def test_backend_cython(tmp_path):
    run(*QUICK, '--backend', 'cython', cwd=tmp_path, CNNX_BACKEND='numpy')
    _, description = load(tmp_path / 'checkpoints' / 'model_subset_epoch_2.npz')
    assert description['settings']['backend'] == 'cython'


def test_threads_do_not_change_the_weights(tmp_path):
    for threads in '13':
        run(*QUICK, '--threads', threads, '--checkpoint-dir', threads, cwd=tmp_path)
    name = 'model_subset_epoch_2.npz'
    assert_equal_checkpoints(tmp_path / '1' / name, tmp_path / '3' / name)


# How well it reads digits


def fastest_backend():
    try:
        with use_backend('cython'):
            return 'cython'
    except BackendError:
        return 'numpy'


@pytest.fixture
def _one_thread():
    before = cnnx.num_threads()
    cnnx.set_num_threads(1)
    yield
    cnnx.set_num_threads(before)


@pytest.mark.usefixtures('_one_thread')
def test_mean_accuracy_of_the_default_run_over_five_seeds(script):
    accuracies = []
    for seed in range(5):
        settings = script.parse_settings(['--seed', str(seed)])
        settings.checkpoint_dir = None
        train_data, (x_test, y_test) = script.load_data(settings)
        assert (len(train_data[0]), len(x_test)) == (1000, 200)
        net = script.make_network(settings)
        with use_backend(fastest_backend()):
            script.train(net, train_data, (x_test, y_test), settings)
        accuracies.append(np.mean(net.predict_classes(x_test) == y_test.argmax(axis=1)))
    print(f'test accuracy of seeds 0 to 4: {", ".join(f"{value:.1%}" for value in accuracies)}')
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
