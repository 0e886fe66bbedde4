"""cnnx predict, and how well a network reads photographs of digits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('PIL')
from PIL import Image

from cnnx import (
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    Convolutional,
    Dense,
    Flatten,
    MeanSquaredError,
    Network,
    Sigmoid,
    Softmax,
)
from cnnx.cli.main import main
from cnnx.data import prepare_digit, preprocess_mnist_data
from cnnx.models import lenet5
from tools.photograph_digits import KINDS, enlarged, on_paper, save_photo
from tools.read_own_digits import labelled_files, made_files, read

PHOTOS = 30
ORIENTATIONS = (1, 3, 6, 8)
# Measured: 99 % of the originals, 99 % prepared, 13 % only scaled, 18 % inverted; with NumPy 98, 100, 15 and 18 %.
LEAST_FRACTION, MOST_UNPREPARED = 0.9, 0.5
EACH, LEAST_MADE, LEAST_OWN = 3, 0.9, 18  # made pictures of each kind
OWN_DIGITS = Path(os.environ.get('CNNX_OWN_DIGITS', Path(__file__).parents[3] / 'shared' / 'data' / 'own-digits'))


@pytest.fixture(scope='module')
def reader():
    """Return a LeNet-5 that was trained quickly on the bundled subset."""
    (x, y), _ = preprocess_mnist_data()
    net = lenet5(seed=0)
    net.train(x, y, epochs=3, learning_rate=0.02, verbose=0)
    return net


@pytest.fixture(scope='module')
def digits():
    _, (x, y) = preprocess_mnist_data()
    return x[:PHOTOS], y[:PHOTOS].argmax(axis=1)


@pytest.fixture(scope='module')
def model(reader, tmp_path_factory):
    path = tmp_path_factory.mktemp('model') / 'digits.npz'
    reader.save(path)
    return str(path)


@pytest.fixture(scope='module')
def photos(digits, tmp_path_factory):
    """Return paths of photographs of the first test digits, taken with the camera held in several ways."""
    folder, rng = tmp_path_factory.mktemp('photos'), np.random.default_rng(1)
    return [
        str(save_photo(folder / f'{i:03}.jpg', on_paper(enlarged(digit), rng), ORIENTATIONS[i % len(ORIENTATIONS)]))
        for i, digit in enumerate(digits[0])
    ]


def right(reader, x, labels):
    return np.mean(reader.predict_classes(np.stack(x)) == labels)


def test_photographs_are_read_nearly_as_well_as_the_originals_and_unprepared_ones_are_not(reader, digits, photos):
    x, labels = digits
    originals = right(reader, x, labels)
    prepared = right(reader, [prepare_digit(path).pixels for path in photos], labels)
    paths = [Path(path) for path in photos]
    scaled = [np.asarray(Image.open(path).convert('L').resize((28, 28)), np.float32)[..., None] / 255 for path in paths]
    unprepared = right(reader, scaled, labels)
    inverted = right(reader, [1 - pixels for pixels in scaled], labels)
    print(f'originals {originals:.0%}, prepared {prepared:.0%}, only scaled {unprepared:.0%}, inverted {inverted:.0%}')
    assert originals > 0.9
    assert prepared >= LEAST_FRACTION * originals
    assert max(unprepared, inverted) < MOST_UNPREPARED


@pytest.mark.parametrize(
    'way',
    [
        {'light_on_dark': True, 'contrast': 0.8},
        {'contrast': 0.25},
        {'shade': 0.7},
        {'noise': 0.06},
        {'size': (300, 300), 'noise': 0},
    ],
    ids=str,
)
def test_photographs_of_other_kinds_are_read_as_well(reader, digits, way):
    x, labels = digits[0][:8], digits[1][:8]
    rng = np.random.default_rng(2)
    prepared = [prepare_digit(on_paper(enlarged(digit), rng, **way)).pixels for digit in x]
    assert right(reader, prepared, labels) >= LEAST_FRACTION * right(reader, x, labels)


@pytest.mark.slow
def test_made_pictures_of_all_kinds_are_read(reader, digits, tmp_path):
    """Measured with this network: see docs/own_images.md for one that was trained longer."""
    files = [file for kind in KINDS for file in made_files(kind, EACH, 0, *digits, tmp_path)]
    rows = read(reader, files)
    fraction = np.mean([label == predicted for label, predicted, _, _ in rows])
    print(f'{fraction:.1%} of {len(rows)} made pictures')
    assert fraction >= LEAST_MADE


@pytest.mark.skipif(not OWN_DIGITS.is_dir(), reason=f'{OWN_DIGITS} is not there; CNNX_OWN_DIGITS names another folder')
def test_digits_that_people_took_are_read(reader):
    rows = read(reader, labelled_files(OWN_DIGITS))
    right = [label == predicted for label, predicted, _, _ in rows]
    print(f'{sum(right)} of {len(rows)} pictures')
    assert sum(right) >= LEAST_OWN


# The command


def test_prints_the_class_and_the_next_two_of_each_image(model, digits, photos, capsys):
    assert main(['predict', model, *photos[:3]]) == 0
    out, err = capsys.readouterr()
    assert err == ''
    for line, path, label in zip(out.splitlines(), photos, digits[1][:3], strict=False):
        assert line.startswith(f'{path}: {label} (')
        assert line.count('%)') == 3
        probabilities = [float(part.split('%')[0]) for part in line.removeprefix(path).split('(')[1:]]
        assert probabilities == sorted(probabilities, reverse=True)
        assert sum(probabilities) < 100.2


def test_without_a_model_the_packaged_network_reads_digits(digits, photos, capsys):
    assert main(['predict', *photos]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines()[0] == 'lenet5-mnist, trained on MNIST: 99.6 % of its test images'
    lines = out.splitlines()
    assert [line.partition(': ')[0] for line in lines] == photos
    read = [line.partition(': ')[2][0] == str(label) for line, label in zip(lines, digits[1], strict=True)]
    assert np.mean(read) >= 0.95
    assert main(['predict', photos[0], '--json']) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found['class'] == str(digits[1][0])


def test_json(model, digits, photos, reader, capsys):
    assert main(['predict', model, photos[0], 'nothing.png', '--json']) == 1
    found, failed = json.loads(capsys.readouterr().out)
    assert found['image'] == photos[0]
    assert found['class'] == str(digits[1][0])
    expected = reader.predict(prepare_digit(photos[0]).pixels[None])[0]
    assert list(found['probabilities']) == list('0123456789')
    np.testing.assert_allclose(list(found['probabilities'].values()), expected, rtol=1e-6)
    assert found['probability'] == max(found['probabilities'].values())
    assert found['notes'] == []
    assert found['doubtful'] is False
    assert failed['image'] == 'nothing.png'
    assert failed['error'] == 'nothing.png: there is no such file'


def test_what_the_network_was_given_can_be_seen(model, photos, tmp_path):
    folder, sheet = tmp_path / 'deep' / 'prepared', tmp_path / 'sheet.png'
    assert main(['predict', model, *photos[:4], '--save-prepared', str(folder), '--show', str(sheet)]) == 0
    assert sorted(path.name for path in folder.iterdir()) == [f'{i + 1:03}_{i:03}.png' for i in range(4)]
    given = np.asarray(Image.open(folder / '001_000.png'))
    assert np.abs(given / 255 - prepare_digit(photos[0]).pixels[..., 0]).max() < 0.003
    with Image.open(sheet) as image:
        assert image.format == 'PNG'
        assert image.width > 3 * 280


def test_names_that_are_saved_with_the_network(reader, photos, tmp_path, capsys):
    named = Network.load(_saved(reader, tmp_path / 'plain.npz'))
    named.class_names = [f'digit {number}' for number in range(10)]
    model = _saved(named, tmp_path / 'named.npz')
    assert main(['predict', model, photos[0]]) == 0
    assert ': digit ' in capsys.readouterr().out
    assert main(['predict', model, photos[0], '--classes', 'a,b,c,d,e,f,g,h,i,j']) == 0
    assert 'digit' not in capsys.readouterr().out, '--classes wins'


def _saved(net, path):
    net.save(path)
    return str(path)


def test_a_bad_image_is_reported_and_the_others_are_predicted(model, photos, tmp_path, capsys):
    white = tmp_path / 'white.png'
    Image.new('L', (99, 99), 255).save(white)
    (tmp_path / 'broken.png').write_bytes(b'')
    assert main(['predict', model, str(white), photos[0], str(tmp_path / 'broken.png')]) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert f'{white}: no digit to be seen' in err
    assert 'broken.png: expected a PNG, JPEG' in err


def test_doubtful_readings_are_marked(model, digits, tmp_path, capsys):
    two = np.concatenate([enlarged(digits[0][0]), enlarged(digits[0][1])], axis=1)
    path = save_photo(tmp_path / 'two.png', on_paper(two, np.random.default_rng(0), size=(440, 700)))
    assert main(['predict', model, str(path)]) == 0
    assert ' ? expected one digit in a picture' in capsys.readouterr().out
    assert main(['predict', model, str(path), '--json']) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found['doubtful'] is True
    assert found['notes'][0].startswith('expected one digit in a picture')


def test_a_low_probability_makes_a_reading_doubtful(photos, tmp_path, capsys):
    network((28, 28, 1), 4, Softmax()).save(tmp_path / 'untrained.npz')
    assert main(['predict', str(tmp_path / 'untrained.npz'), photos[0]]) == 0
    assert capsys.readouterr().out.endswith(' ? the network is not sure\n')


@pytest.mark.parametrize('way', ['data set', 'list', 'folder'])
def test_names_of_classes(model, digits, photos, tmp_path, capsys, way):
    names = ['T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot']
    given = {'data set': 'fashion', 'list': 'a,b,c,d,e,f,g,h,i,j', 'folder': str(tmp_path)}[way]
    if way == 'list':
        names = list('abcdefghij')
    elif way == 'folder':
        names = [f'class {i}' for i in range(10)]
        for name in names:
            (tmp_path / name).mkdir()
    assert main(['predict', model, photos[0], '--classes', given]) == 0
    assert capsys.readouterr().out.startswith(f'{photos[0]}: {names[digits[1][0]]} (')


def network(input_shape, outputs, *last, loss=None):
    net = Network(seed=0)
    net.add(Convolutional(2, (3, 3), stride=2, input_shape=input_shape))
    net.add(Flatten())
    net.add(Dense(output_size=outputs))
    for layer in last:
        net.add(layer)
    if loss:
        net.compile(loss)
    return net


@pytest.mark.parametrize(
    ('net', 'probabilities'),
    [
        (lambda: network((20, 12, 3), 4, Softmax()), 3),
        (lambda: network((32, 32, 1), 3, Softmax()), 3),
        (lambda: network((28, 28, 1), 5, loss=CategoricalCrossEntropy(from_logits=True)), 3),
        (lambda: network((28, 28, 3), 1, Sigmoid(), loss=MeanSquaredError()), 2),
    ],
    ids=['colours', '32x32', 'logits', 'one output'],
)
def test_networks_of_other_shapes(net, probabilities, photos, tmp_path, capsys):
    net().save(tmp_path / 'net.npz')
    assert main(['predict', str(tmp_path / 'net.npz'), *photos[:2]]) == 0
    for line in capsys.readouterr().out.splitlines():
        found = [float(part.split('%')[0]) for part in line.split('(')[1:]]
        assert len(found) == probabilities
        assert all(0 <= percent <= 100 for percent in found)


@pytest.mark.parametrize('from_logits', [False, True])
@pytest.mark.parametrize('labels', [1, 3])
def test_labels_that_are_independent_have_their_own_probabilities(labels, from_logits, photos, tmp_path, capsys):
    net = network((28, 28, 1), labels, *([] if from_logits else [Sigmoid()]), loss=BinaryCrossEntropy(from_logits))
    net.save(tmp_path / 'net.npz')
    assert main(['predict', str(tmp_path / 'net.npz'), photos[0], '--json', '--save-prepared', str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)[0]['probabilities']
    pixels = np.asarray(Image.open(tmp_path / '001_000.png'))[np.newaxis, ..., np.newaxis] / 255
    p = net.predict(pixels)[0].astype('f8')
    p = 1 / (1 + np.exp(-p)) if from_logits else p
    expected = [1 - p[0], p[0]] if labels == 1 else p
    assert list(found.values()) == pytest.approx(list(expected), abs=0.01)


def test_a_checkpoint_is_a_model_too(reader, digits, photos, tmp_path, capsys):
    net = lenet5(seed=0)
    net.train(digits[0][:8], digits[1][:8], epochs=1, verbose=0, checkpoint_dir=tmp_path)
    assert main(['predict', str(tmp_path / 'model_epoch_1.npz'), photos[0]]) == 0


@pytest.mark.parametrize('prepare', ['digit', 'scale'])
def test_a_picture_is_prepared_as_asked(prepare, model, photos, tmp_path):
    assert main(['predict', model, photos[0], '--prepare', prepare, '--save-prepared', str(tmp_path)]) == 0
    given = np.asarray(Image.open(tmp_path / '001_000.png'))
    assert (given.min() == 0 and np.median(given) == 0) == (prepare == 'digit')


def diverged():
    net = network((28, 28, 1), 3, Softmax())
    net.layers[0].weights[:] = np.nan
    return net


@pytest.mark.parametrize(
    ('net', 'options', 'words'),
    [
        (lambda: network((28, 28, 2), 3, Softmax()), (), 'this one takes (28, 28, 2)'),
        (lambda: network((28, 20, 1), 3, Softmax()), ('--prepare', 'digit'), 'grey squares'),
        (lambda: network((28, 28, 1), 3, Softmax()), ('--classes', 'a,b'), 'expected 3 names'),
        (lambda: network((28, 28, 1), 3, Softmax()), ('--show', 'sheet.gif'), 'ending in .png'),
        (diverged, (), 'NaN'),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(net, options, words, photos, tmp_path, capsys):
    net().save(tmp_path / 'net.npz')
    assert main(['predict', str(tmp_path / 'net.npz'), photos[0], *options]) == 2
    out, err = capsys.readouterr()
    assert out == ''
    assert err.startswith('cnnx predict: ')
    assert words in err
    assert len(err.splitlines()) == 1


def test_a_model_that_is_none(photos, tmp_path, capsys):
    (tmp_path / 'x.npz').write_bytes(b'PK')
    assert main(['predict', str(tmp_path / 'x.npz'), photos[0]]) == 2
    assert main(['predict', str(tmp_path / 'nothing.npz'), photos[0]]) == 2
    assert main(['predict', str(tmp_path / 'x.npz')]) == 2
    err = capsys.readouterr().err
    assert err.count('cnnx predict: ') == 3
    assert f'expected pictures after {tmp_path / "x.npz"}' in err


def test_without_pillow_the_command_says_what_to_install(model, photos):
    code = 'import sys; sys.modules["PIL"] = None; from cnnx.cli.main import main; sys.exit(main())'
    command = [sys.executable, '-c', code, 'predict', model, photos[0]]
    result = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert result.returncode == 2
    assert 'pip install pillow' in result.stderr
    assert 'Traceback' not in result.stderr


def test_a_folder_in_place_of_a_picture(model, tmp_path, capsys):
    assert main(['predict', model, str(tmp_path)]) == 1
    assert f'{tmp_path}: a folder; name the pictures in it: {tmp_path}/*.jpg' in capsys.readouterr().err


def test_a_network_of_other_classes_than_digits_gets_pictures_as_they_are(model, photos, tmp_path, capsys):
    net = Network.load(model)
    net.class_names = [f'kind {i}' for i in range(10)]
    net.save(tmp_path / 'kinds.npz')
    main(['predict', str(tmp_path / 'kinds.npz'), photos[0], '--json'])
    by_default = json.loads(capsys.readouterr().out)[0]['probabilities']
    main(['predict', str(tmp_path / 'kinds.npz'), photos[0], '--json', '--prepare', 'scale'])
    assert json.loads(capsys.readouterr().out)[0]['probabilities'] == by_default
