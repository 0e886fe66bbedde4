"""Options that commands share: what goes together, what they stand for, and which images they load."""

import numpy as np
import pytest

from cnnx.cli import options as shared
from cnnx.cli.main import main, parse
from cnnx.cli.options import AUGMENTATIONS, KINDS, load_data, make_network
from cnnx.data import preprocess_mnist_data
from cnnx.models import RECIPES
from cnnx.optimizers import OPTIMIZERS
from cnnx.schedules import Constant, Cosine, StepDecay


def test_defaults():
    options = parse(['train'])
    expected = {'epochs': 10, 'learning_rate': 0.01, 'schedule': Constant, 'batch_size': 32, 'augment': []}
    expected |= {'momentum': 0.9, 'train_samples': 1000, 'test_samples': 200, 'checkpoint_prefix': 'model_subset'}
    assert expected.items() <= vars(options).items()
    full = vars(parse(['train', '--full']))
    expected = {'schedule': Cosine, 'train_samples': None, 'test_samples': None, 'checkpoint_prefix': 'model_full'}
    assert expected.items() <= full.items()


@pytest.mark.parametrize(
    ('options', 'prefix'),
    [
        (['--full', '--dataset', 'kmnist'], 'model_kmnist'),
        (['--recipe', 'lenet', '--dataset', 'fashion'], 'model_fashion_lenet'),
        (['--recipe', 'accurate'], 'model_accurate'),
        (['--data', 'data.npz'], 'model_own'),
        (['--checkpoint-prefix', 'mine'], 'mine'),
    ],
)
def test_checkpoints_are_named_after_the_data(options, prefix):
    assert parse(['train', *options]).checkpoint_prefix == prefix


@pytest.mark.parametrize('recipe', RECIPES)
def test_a_recipe_is_settings_that_options_replace(recipe):
    options = parse(['train', '--recipe', recipe])
    assert options.full
    assert RECIPES[recipe].items() <= vars(options).items()
    assert make_network(options).optimizer.weight_decay == options.weight_decay > 0
    given = ['--epochs', '3', '--learning-rate', '0.2', '--schedule', 'step', '--weight-decay', '0']
    given += ['--batch-size', '7', '--augment', 'erase', '--momentum', '0.5', '--average-shifts', '2']
    expected = {'epochs': 3, 'learning_rate': 0.2, 'schedule': StepDecay, 'weight_decay': 0, 'batch_size': 7}
    expected |= {'augment': [AUGMENTATIONS['erase']], 'momentum': 0.5, 'average_shifts': 2}
    assert expected.items() <= vars(parse(['train', '--recipe', recipe, *given])).items()


def test_each_optimizer_is_offered_and_made():
    assert set(KINDS.values()) == set(OPTIMIZERS.values())
    for name, kind in KINDS.items():
        options = parse(['train', '--optimizer', name, '--weight-decay', '0.5'])
        optimizer = make_network(options, classes=3).optimizer
        assert (type(optimizer), optimizer.weight_decay) == (kind, 0.5)
        assert options.learning_rate == kind.usual_learning_rate


@pytest.mark.parametrize('command', ['train', 'doctor', 'find-learning-rate', 'compare', 'report'])
def test_commands_take_the_same_options_for_data(command):
    given = ['model.npz'] if command == 'report' else []
    options = parse([command, *given, '--full', '--dataset', 'emnist-letters', '--data-dir', 'x', '--hold-out', '7'])
    assert (options.full, options.dataset, options.data_dir, options.hold_out) == (True, 'emnist-letters', 'x', 7)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (('--data-dir', 'somewhere'), '--data-dir goes with --full'),
        (('--dataset', 'emnist-letters'), '--dataset emnist-letters goes with --full; only MNIST has a subset'),
        (('--dataset', 'cifar', '--full'), '--dataset: invalid choice'),
        (('--data', 'nowhere', '--full'), '--data goes without --full'),
        (('--data', 'nowhere', '--recipe', 'lenet'), '--data goes without --recipe'),
        (('--recipe', 'huge'), '--recipe: invalid choice'),
        (('--recipe', 'lenet', '--optimizer', 'adam'), '--recipe lenet goes with --optimizer sgd, not adam'),
        (('--optimizer', 'adam', '--momentum', '0.9'), '--momentum goes with --optimizer sgd or rmsprop, not adam'),
        (('--optimizer', 'lion'), '--optimizer: invalid choice'),
        (('--prepare',), '--prepare goes with --data FOLDER'),
        (('--prepare', '--data', 'nowhere.npz'), '--prepare goes with --data FOLDER'),
        (('--on-error', 'skip', '--data', 'nowhere.npz'), '--on-error goes with --data FOLDER'),
        (('--epochs', '0'), "--epochs: expected a whole number of at least 1, got '0'"),
        (('--epochs', '1.5'), '--epochs: expected'),
        (('--batch-size', 'x'), '--batch-size: expected'),
        (('--learning-rate', 'nan'), "--learning-rate: expected a number of more than 0, got 'nan'"),
        (('--learning-rate', 'inf'), '--learning-rate: expected'),
        (('--learning-rate', '0'), '--learning-rate: expected'),
        (('--learning-rate', 'fast'), '--learning-rate: expected'),
        (('--momentum', '1'), '--momentum: expected a number of at least 0 and less than 1'),
        (('--momentum', 'nan'), '--momentum: expected'),
        (('--weight-decay', '-1'), '--weight-decay: expected a number of at least 0'),
        (('--seed', '-1'), '--seed: expected a whole number of at least 0'),
        (('--threads', '0'), '--threads: expected'),
        (('--backend', 'cuda'), '--backend: invalid choice'),
        (('--hold-out', '0'), '--hold-out: expected'),
        (('--average-shifts', '28'), '--average-shifts: expected a whole number from 1 to 27'),
        (('--schedule', 'linear'), '--schedule: invalid choice'),
        (('--augment', 'blur'), '--augment: invalid choice'),
        (('--plot', 'nowhere/loss.png'), '--plot: expected a file ending in .png, .pdf, .svg, in a folder that exists'),
        (('--plot', 'loss.surprise'), '--plot: expected a file ending in .png'),
    ],
    ids=lambda value: ' '.join(value) if isinstance(value, tuple) else None,
)
def test_options_that_cannot_be_are_refused_before_anything_is_done(options, words, capsys, tmp_path):
    with pytest.raises(SystemExit) as exit:
        main(['train', *options])
    assert exit.value.code == 2
    assert words in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (('--train-samples', '5001'), '--train-samples: expected at most 5000, got 5001; --full has more'),
        (('--test-samples', '1001'), '--test-samples: expected at most 1000, got 1001; --full has more'),
        (('--hold-out', '5000'), '--hold-out: expected less than 5000, the training images, got 5000'),
        (('--checkpoint-prefix', 'a/b'), 'checkpoint_prefix: expected'),
        (('--checkpoint-every', 'often'), 'checkpoint_every: expected'),
        (('--data', 'nowhere'), 'nowhere'),
        (('--data', 'nowhere.npz'), 'nowhere.npz'),
    ],
    ids=lambda value: ' '.join(value) if isinstance(value, tuple) else None,
)
def test_options_that_do_not_fit_the_data_are_refused_in_a_line(options, words, capsys, tmp_path):
    assert main(['train', *options]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith('cnnx train: ')
    assert words in printed.err
    assert len(printed.err.splitlines()) == 1
    assert 'epoch 1/' not in printed.out
    assert not list(tmp_path.glob('*/*.npz'))


def test_matplotlib_and_pillow_are_named_where_they_are_missing(monkeypatch, capsys):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    for options, package in ((['--plot', 'loss.png'], 'matplotlib'), (['--data', 'photos'], 'pillow')):
        with pytest.raises(SystemExit):
            parse(['train', *options])
        assert capsys.readouterr().err.rstrip().endswith(f'pip install {package}')


# Data


def test_held_out_images_are_tested_on_and_not_trained_on():
    data = load_data(parse(['train', '--hold-out', '40', '--train-samples', '4960']))
    whole, _ = preprocess_mnist_data()
    np.testing.assert_array_equal(np.concatenate([data.train[0], data.test[0]]), whole[0])
    np.testing.assert_array_equal(np.concatenate([data.train[1], data.test[1]]), whole[1])
    assert len(data.test[0]) == 40


def test_a_data_set_is_read_from_its_folder(capsys):
    assert main(['doctor', '--full', '--dataset', 'kmnist', '--data-dir', '.']) == 2
    error = capsys.readouterr().err
    assert 'train-images-idx3-ubyte.gz' in error
    assert 'KMNIST' in error
    assert len(error.splitlines()) == 1


def test_the_same_images_of_ones_own_are_set_aside_whatever_the_seed(own):
    first, second = (load_data(parse(['train', '--data', f'{own}/data.npz', '--seed', seed])) for seed in '12')
    np.testing.assert_array_equal(first.test[0], second.test[0])
    assert len(first.train[0]) == 4 * len(first.test[0]) == 120
    assert first.classes == ('zero', 'one', 'two')


def test_pictures_are_scaled_to_what_the_network_takes(own):
    data = load_data(parse(['train', '--data', f'{own}/pictures']), shape=(12, 10, 3))
    assert data.train[0].shape == (120, 12, 10, 3)
    with pytest.raises(ValueError, match=r'--prepare: expected a network that takes grey squares'):
        load_data(parse(['train', '--data', f'{own}/pictures', '--prepare']), shape=(12, 12, 3))


def test_arrays_that_do_not_fit_the_network_are_refused(tmp_path):
    np.savez(tmp_path / 'data.npz', x=np.zeros((9, 8, 8)), y=np.arange(9))
    with pytest.raises(ValueError, match=r'data.npz: the network takes images \(28, 28, 1\), these are \(8, 8, 1\)'):
        load_data(parse(['train', '--data', 'data.npz']))


def test_too_few_images_of_ones_own_are_refused(tmp_path):
    np.savez(tmp_path / 'data.npz', x=np.zeros((1, 28, 28)), y=np.zeros(1, int))
    with pytest.raises(ValueError, match='expected images both to train and to test on, got 1 in all'):
        load_data(parse(['train', '--data', 'data.npz']))


def test_every_shared_option_has_its_help():
    assert all(shared.OPTIONS[name]['help'].strip() for name in shared.OPTIONS)
