"""Training on augmented images: `train(augment=...)`."""

import numpy as np
import pytest
from augmentation_cases import ALL
from models import bits, small_data, small_network

import cnnx
from cnnx import checkpoint
from cnnx.augmentation import Erase, Rotate, Scale, Shear, Shift
from cnnx.augmentation.pipeline import Pipeline
from cnnx.data import preprocess_mnist_data


def weights_after(x, y, augmentations=ALL, seed=0, dtype='float32', **options):
    net = small_network(seed, dtype)
    net.train(x, y, **({'epochs': 2, 'batch_size': 8, 'verbose': 0, 'augment': augmentations} | options))
    return bits(net)


@pytest.mark.usefixtures('each_backend')
def test_training_sees_what_the_pipeline_makes_of_each_batch():
    x, y = small_data(20)
    expected = small_network()
    generator = np.random.default_rng()
    generator.bit_generator.state = expected.generator.bit_generator.state
    batches, pipeline = [], Pipeline(ALL, x.shape[1:], x.dtype)
    for first in range(0, 20, 8):
        batch = x[first : first + 8].copy()
        pipeline.change(batch, generator)
        batches.append((batch, y[first : first + 8]))
    expected.train(batches, epochs=1, learning_rate=0.1, verbose=0)
    assert bits(expected) == weights_after(x, y, epochs=1, learning_rate=0.1, shuffle=False)
    assert bits(expected) != weights_after(x, y, None, epochs=1, learning_rate=0.1, shuffle=False)


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('kind', ['uint8', 'float64', '>f4', 'fortran', 'strided', 'mapped', 'misaligned'])
def test_images_of_any_kind_are_converted_batch_by_batch_and_left_alone(tmp_path, kind, dtype):
    x, y = small_data(20)
    x = (x * 100).astype(np.uint8)
    plain = x.astype(dtype)
    if kind == 'mapped':
        np.save(tmp_path / 'x.npy', x)
        given = np.load(tmp_path / 'x.npy', mmap_mode='r')
    elif kind == 'misaligned':
        given = np.ndarray(x.shape, 'f8', np.zeros(8 * x.size + 1, np.uint8), 1)
        given[...] = x
    elif kind in ('fortran', 'strided'):
        given = np.asfortranarray(x) if kind == 'fortran' else np.repeat(x, 2, axis=2)[:, :, ::2]
    else:
        given = x.astype(kind)
    before = given.tobytes()
    if kind != 'mapped':
        given.flags.writeable = False
    options = {'learning_rate': 1e-4, 'dtype': dtype}
    assert weights_after(given, y, **options) == weights_after(plain, y, **options)
    assert given.tobytes() == before


@pytest.mark.usefixtures('each_backend')
def test_validation_and_evaluation_see_the_images_as_they_are():
    x, y = small_data(30)
    net = small_network()
    history = net.train(x, y, epochs=1, verbose=0, augment=[Erase(1, 1)], validation_data=(x, y))
    assert history['val_loss'][0] == net.evaluate(x, y)['loss']
    assert history['loss'][0] != history['val_loss'][0]


def test_weights_and_targets_go_with_their_images(compiled_kernels):
    x, y = small_data(24)
    weights = np.linspace(0, 2, 24)
    options = {'sample_weight': weights, 'class_weight': {1: 2.0}, 'validation_split': 0.25, 'shuffle': False}
    unchanged = [Shift(0)]
    assert weights_after(x, y, unchanged, **options) == weights_after(x, y, None, **options)
    assert weights_after(x, y, **options) != weights_after(x, y, unchanged, **options)


def test_batch_data_is_augmented(compiled_kernels):
    x, y = small_data(24)
    batches = [(x[i : i + 8], y[i : i + 8]) for i in range(0, 24, 8)]
    assert weights_after(batches, None) == weights_after(x, y, shuffle=False)


def test_a_sample_that_is_not_finite_is_named_by_its_number():
    x, y = small_data(50)
    x[21, 3, 3] = np.nan
    with pytest.raises(cnnx.DivergenceError, match='sample 21 of x holds a number that is not finite'):
        small_network().train(x, y, epochs=1, batch_size=8, verbose=0, augment=[Shift(0.5)])


def test_networks_of_other_samples_are_refused_before_anything_is_changed():
    net = cnnx.Network(seed=0)
    net.add(cnnx.Dense(4, 3))
    net.add(cnnx.Softmax())
    net.compile(cnnx.CategoricalCrossEntropy(), cnnx.SGD())
    before, state = bits(net), net.generator.bit_generator.state
    with pytest.raises(ValueError, match=r'augment: expected a network of images .*, its input is \(4,\)'):
        net.train(np.zeros((6, 4)), [0, 1, 2] * 2, augment=[Shift(1)], verbose=0)
    assert (bits(net), net.generator.bit_generator.state) == (before, state)


def test_a_function_of_ones_own_is_called_for_each_batch_and_named_in_checkpoints(tmp_path):
    x, y = small_data(20)
    shapes = []

    def note_shapes(images, generator):
        shapes.append(images.shape)
        return images

    options = {'epochs': 2, 'batch_size': 8, 'checkpoint_dir': tmp_path, 'verbose': 0}
    small_network().train(x, y, augment=[note_shapes], **options)
    assert shapes == [(8, 6, 6, 1), (8, 6, 6, 1), (4, 6, 6, 1)] * 2
    (described,) = checkpoint.read(tmp_path / 'model_epoch_1.npz')[1]['settings']['augment']
    assert described['kind'] == 'Custom'
    assert described['function'].endswith('note_shapes')


def test_a_resume_with_other_augmentation_says_so(tmp_path, capsys):
    x, y = small_data(20)
    options = {'checkpoint_dir': tmp_path, 'verbose': 1, 'resume_from_checkpoint': True}
    small_network().train(x, y, epochs=1, augment=[Shift(1), Erase(1, 0.2, (0, 1))], **options)
    described = checkpoint.read(tmp_path / 'model_epoch_1.npz')[1]['settings']['augment']
    assert described == [
        {'kind': 'Shift', 'pixels': 1.0, 'fill': 0.0},
        {'kind': 'Erase', 'probability': 1.0, 'fraction': 0.2, 'fill': [0.0, 1.0]},
    ]
    small_network().train(x, y, epochs=2, augment=[Shift(1), Erase(1, 0.2, (0, 1))], **options)
    assert 'augment' not in capsys.readouterr().out
    small_network().train(x, y, epochs=3, augment=[Rotate(5)], **options)
    said = capsys.readouterr().out
    assert "augment was [{'kind': 'Shift', 'pixels': 1.0, 'fill': 0.0}" in said
    assert "and is [{'kind': 'Rotate', 'degrees': 5.0, 'fill': 0.0}] from here on" in said


def test_fewer_images_generalize_better_with_augmentation(compiled_kernels):
    (x, y), test = preprocess_mnist_data()
    from models import lenet5

    found = []
    for augmentations in (None, [Shift(2), Rotate(10), Scale(0.1), Shear(10)]):
        net = lenet5()
        net.train(x[:500], y[:500], epochs=12, learning_rate=0.02, verbose=0, augment=augmentations)
        found.append(net.evaluate(*test)['accuracy'])
    assert found[1] > found[0] + 0.005


def test_pixels_are_not_moved_away_from_their_labels():
    net = cnnx.Network([cnnx.Convolutional(3, 3, padding='same', input_shape=(6, 6, 1)), cnnx.Softmax()], seed=0)
    net.compile(cnnx.CategoricalCrossEntropy())
    x, y = small_data()[0], np.random.default_rng(0).integers(0, 3, (50, 6, 6))
    for moves in (Rotate(10), cnnx.augmentation.Elastic(1, 2)):
        with pytest.raises(ValueError, match='augment: would move the pixels of x, and not those of y'):
            net.train(x, y, augment=[Erase(), moves], verbose=0)
    net.train(x, y, epochs=1, augment=[Erase()], verbose=0)
