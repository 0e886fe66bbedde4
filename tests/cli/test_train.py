"""cnnx train: what a run prints and writes, and how an interrupted one is continued."""

import json
import re
import shlex
import shutil

import numpy as np
import pytest

import cnnx
from cnnx import Network
from cnnx.augmentation import predict_with_shifts
from cnnx.cli.main import main
from cnnx.data import preprocess_mnist_data

SMALL = ('--train-samples', '96', '--test-samples', '40')
QUICK = (*SMALL, '--epochs', '2')


def described(path):
    with np.load(path, allow_pickle=False) as file:
        return json.loads(file['description'].tobytes())


def weights(path):
    return {name: p.value.tobytes() for name, p in Network.load(path).parameters.items()}


def test_trains_prints_and_saves(tmp_path, capsys):
    assert main(['train', *QUICK]) == 0
    out, err = capsys.readouterr()
    assert err == ''
    assert re.findall(r'^epoch (\d)/2: loss \d\.\d{4}', out, re.MULTILINE) == ['1', '2']
    assert 'training on 96 images, testing on 40' in out
    assert re.search(r'^true class 7 2 1 0 4 1 4 9 5 9', out, re.MULTILINE)
    assert re.search(r'^test accuracy: \d+\.\d\d% of 40 images \(loss \d\.\d{4}\)$', out.splitlines()[-1])
    names = sorted(path.name for path in (tmp_path / 'checkpoints').glob('*.npz'))
    assert names == ['model_subset_epoch_1.npz', 'model_subset_epoch_2.npz']


@pytest.mark.parametrize(
    ('options', 'optimizer', 'rate'),
    [
        (('adam',), {'kind': 'Adam', 'beta_1': 0.9}, 0.001),
        (('rmsprop', '--momentum', '0.5', '--learning-rate', '0.002'), {'kind': 'RMSprop', 'momentum': 0.5}, 0.002),
        (('adagrad', '--weight-decay', '0.1'), {'kind': 'Adagrad', 'weight_decay': 0.1}, 0.01),
    ],
)
def test_the_optimizer_is_the_one_asked_for_at_its_own_rate(tmp_path, options, optimizer, rate):
    assert main(['train', *SMALL, '--epochs', '1', '--optimizer', *options]) == 0
    description = described(tmp_path / 'checkpoints' / 'model_subset_epoch_1.npz')
    assert optimizer.items() <= description['optimizer'].items()
    assert description['settings']['learning_rate'] == rate


@pytest.mark.parametrize('name', ['step', 'exponential', 'one-cycle', 'plateau'])
def test_schedules_start_from_the_learning_rate_that_is_given(tmp_path, name):
    assert main(['train', *SMALL, '--epochs', '1', '--schedule', name, '--learning-rate', '0.02']) == 0
    settings = described(tmp_path / 'checkpoints' / 'model_subset_epoch_1.npz')['settings']
    assert settings['maximum' if name == 'one-cycle' else 'initial'] == 0.02


def test_images_are_augmented(tmp_path):
    assert main(['train', *SMALL, '--epochs', '1', '--augment', 'shift', 'erase']) == 0
    settings = described(tmp_path / 'checkpoints' / 'model_subset_epoch_1.npz')['settings']
    assert [given['kind'] for given in settings['augment']] == ['Shift', 'Erase']


def test_checkpoints_are_saved_where_and_as_often_as_asked(tmp_path):
    saving = ['--checkpoint-dir', 'deep/er', '--checkpoint-prefix', 'mine', '--keep', '1', '--checkpoint-every', '2']
    assert main(['train', *QUICK, *saving]) == 0
    assert [path.name for path in (tmp_path / 'deep' / 'er').glob('*.npz')] == ['mine_epoch_2.npz']


def test_a_run_is_resumed_to_the_same_weights(tmp_path, capsys):
    main(['train', *QUICK, '--checkpoint-dir', 'whole'])
    main(['train', *SMALL, '--epochs', '1'])
    assert main(['train', *QUICK, '--resume']) == 0
    assert 'epoch 1/2' not in capsys.readouterr().out.split('resumed from')[1]
    name = 'model_subset_epoch_2.npz'
    assert weights(tmp_path / 'checkpoints' / name) == weights(tmp_path / 'whole' / name)


@pytest.mark.parametrize(('given', 'name'), [([], 'run.html'), (['mine.html'], 'mine.html')])
def test_a_run_is_watched_in_a_page(tmp_path, capsys, given, name):
    assert main(['train', *QUICK, '--watch', *given]) == 0
    assert f'Watch: {name} shows the run' in capsys.readouterr().out
    page = (tmp_path / name).read_text(encoding='utf-8')
    assert 'finished' in page
    assert 'of 40 validation samples are right' in page


class Interrupted:
    def train(self, *arguments, **options):
        raise KeyboardInterrupt


@pytest.mark.parametrize('resume', [[], ['--resume']])
@pytest.mark.parametrize('prog', ['cnnx', 'python -m cnnx'])
def test_an_interrupted_run_prints_the_command_that_continues_it(resume, prog, monkeypatch, capsys):
    monkeypatch.setattr(Network, 'train', Interrupted.train)
    options = ['train', *resume, *QUICK, '--checkpoint-dir', 'a folder', '--augment', 'shift', 'erase']
    assert main(options, prog=prog) == 130
    command = capsys.readouterr().err.splitlines()[-1].strip()
    assert "'a folder'" in command
    assert shlex.split(command) == [*prog.split(), *options, *([] if resume else ['--resume'])]


def test_a_run_that_diverges_says_so(capsys):
    assert main(['train', *QUICK, '--learning-rate', '1e30']) == 2
    assert capsys.readouterr().err.startswith('cnnx train: ')


def test_the_accuracy_over_shifts_is_that_of_the_means(tmp_path, capsys):
    assert main(['train', *QUICK, '--average-shifts', '2']) == 0
    net = Network.load(tmp_path / 'checkpoints' / 'model_subset_epoch_2.npz')
    _, (x, y) = preprocess_mnist_data()
    right = predict_with_shifts(net.predict, x[:40], 2).argmax(axis=1) == y[:40].argmax(axis=1)
    assert capsys.readouterr().out.endswith(f'averaged over shifts by up to 2: {right.mean():.2%}\n')


def test_held_out_images_are_named_so(capsys):
    assert main(['train', '--hold-out', '40', '--train-samples', '96', '--epochs', '1']) == 0
    assert re.search(r'^held-out accuracy: .* of 40 images', capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize('options', [('pictures',), ('pictures', '--prepare'), ('data.npz',)], ids=' '.join)
def test_trains_on_images_of_ones_own(own, tmp_path, options, capsys):
    assert main(['train', '--data', str(own / options[0]), *options[1:], '--epochs', '8', '--report']) == 0
    out = capsys.readouterr().out
    assert 'training on 120 images, testing on 30' in out
    assert float(re.search(r'test accuracy: (\d+\.\d\d)% of 30 images', out)[1]) >= 80
    assert re.search(r'^true class( (zero|one |two ) ?){5}', out, re.MULTILINE)
    assert re.search(r'^true .* zero +one +two$|^true .* one +two +zero$', out, re.MULTILINE)
    assert len(list((tmp_path / 'checkpoints').glob('model_own_*.npz'))) == 8
    net = Network.load(tmp_path / 'checkpoints' / 'model_own_epoch_8.npz')
    assert net.layers[-1].shape == (3,)


def test_report_prints_the_confusion_matrix_and_metrics_of_the_test_images(tmp_path, capsys):
    assert main(['train', *QUICK, '--report']) == 0
    lines = capsys.readouterr().out.splitlines()
    _, (x, y) = preprocess_mnist_data()
    true = y[:40].argmax(axis=1)
    net = Network.load(tmp_path / 'checkpoints' / 'model_subset_epoch_2.npz')
    predicted = net.predict_classes(x[:40])
    matrix = np.array([[((true == i) & (predicted == j)).sum() for j in range(10)] for i in range(10)])
    head = next(i for i, line in enumerate(lines) if line.startswith('true \\ predicted'))
    assert lines[head].split()[3:] == [str(digit) for digit in range(10)]
    rows = lines[head + 1 : head + 11]
    assert [[int(cell) for cell in row.split()] for row in rows] == [[i, *matrix[i]] for i in range(10)]
    assert len({len(line) for line in lines[head : head + 11]}) == 1, 'aligned'
    assert lines[head + 12].split() == ['class', 'samples', 'precision', 'recall', 'f1']
    for digit, line in enumerate(lines[head + 13 : head + 23]):
        right, taken, there = matrix[digit, digit], (predicted == digit).sum(), (true == digit).sum()
        metrics = (right / max(taken, 1), right / max(there, 1), 2 * right / max(taken + there, 1))
        assert line.split() == [str(digit), str(there), *(f'{metric:.4f}' for metric in metrics)]
    assert lines[head + 24] == 'most confused'
    pairs = [tuple(map(int, re.findall(r'\d+', line))) for line in lines[head + 25 :]]
    assert len(pairs) == 5
    assert [count for *_, count in pairs] == sorted(matrix[~np.eye(10, dtype=bool)], reverse=True)[:5]
    assert all(matrix[i, j] == count > 0 and i != j for i, j, count in pairs)


def test_plot_draws_the_curves_and_the_report(tmp_path, capsys):
    pytest.importorskip('matplotlib')
    assert main(['train', *QUICK, '--report', '--plot', 'loss.png']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert 'drew loss.png' in lines
    assert lines[-1] == 'drew loss_report.png'
    for name in ('loss.png', 'loss_report.png'):
        assert (tmp_path / name).read_bytes().startswith(b'\x89PNG\r\n\x1a\n')


def test_the_backend_is_the_one_asked_for(tmp_path):
    assert main(['train', *QUICK, '--backend', 'numpy']) == 0
    assert described(tmp_path / 'checkpoints' / 'model_subset_epoch_2.npz')['settings']['backend'] == 'numpy'
    assert cnnx.num_threads() == 1


def test_names_of_classes_are_saved(own, tmp_path):
    assert main(['train', '--data', str(own / 'pictures'), '--epochs', '1']) == 0
    assert Network.load(tmp_path / 'checkpoints' / 'model_own_epoch_1.npz').class_names == ('one', 'two', 'zero')


@pytest.mark.filterwarnings('default')
def test_data_that_look_wrong_are_warned_of_in_a_line(own, tmp_path, capsys):
    with np.load(own / 'data.npz') as data:
        np.savez(tmp_path / 'data.npz', x=255 * data['x'], y=data['y'] + 1)
    assert main(['train', '--data', 'data.npz', '--epochs', '1', '--learning-rate', '0.0001']) == 0
    pixels, labels = capsys.readouterr().err.splitlines()
    assert pixels.startswith('cnnx train: x goes up to 255. These look like pixels of 0 to 255: x / 255.')
    assert labels.startswith('cnnx train: No sample has label 0')


@pytest.mark.filterwarnings('default')
def test_pictures_that_cannot_be_read_may_be_left_out(own, tmp_path, capsys):
    shutil.copytree(own / 'pictures', tmp_path / 'pictures')
    (tmp_path / 'pictures' / 'one' / 'bad.png').write_bytes(b'')
    assert main(['train', '--data', 'pictures', '--epochs', '1']) == 2
    assert 'bad.png: expected a PNG, JPEG' in capsys.readouterr().err
    assert main(['train', '--data', 'pictures', '--epochs', '1', '--on-error', 'skip']) == 0
    assert capsys.readouterr().err == (
        'cnnx train: pictures: left out 1 of 151 pictures, which cannot be read: one/bad.png\n'
    )
