"""Data that look wrong: what train warns of, once and by name, and what it says nothing about."""

import warnings

import numpy as np
import pytest
from models import small_data, small_network

from cnnx import BatchNormalization, CategoricalCrossEntropy, Dense, DivergenceError, Flatten, Layer, Network, Softmax
from cnnx.data import DataWarning, split
from cnnx.training.data_checks import (
    MOST_SAMPLES,
    find_missing_classes,
    find_unvalidated_classes,
    look_like_bytes,
    spread_over,
)


class Scaled(Layer):
    """Scales pixels itself."""

    def forward(self, x, training=False):
        return x / 255

    def backward(self, dy):
        return dy / 255


def dense(classes, *first, shape=(6, 6, 1)):
    net = Network(seed=0)
    for layer in first or (Flatten(input_shape=shape),):
        net.add(layer)
    if first:
        net.add(Flatten())
    for layer in (Dense(output_size=classes), Softmax()):
        net.add(layer)
    net.compile(CategoricalCrossEntropy())
    return net


def warned(net, x, y, **options):
    """Return what a run of two epochs warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        net.train(x, y, **{'epochs': 2, 'batch_size': 32, 'learning_rate': 1e-6, 'verbose': 0} | options)
    assert all(warning.category is DataWarning and warning.filename == __file__ for warning in caught)
    return [str(warning.message) for warning in caught]


@pytest.fixture
def images():
    """Return 120 images of bytes and their labels, each of six classes equally often, mixed."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (120, 6, 6, 1)).astype(np.uint8), rng.permutation(np.arange(120) % 6)


# Pixels


@pytest.mark.parametrize('dtype', ['uint8', 'int64', 'float32', 'float64'])
def test_pixels_of_0_to_255_are_warned_of_once_and_left_as_they_are(images, dtype):
    x, y = images[0].astype(dtype), images[1]
    before = x.copy()
    (message,) = warned(dense(6), x, y)
    assert message.startswith('x goes up to 25')
    assert 'These look like pixels of 0 to 255: x / 255.' in message
    np.testing.assert_array_equal(x, before)
    assert x.dtype == dtype


def test_validation_images_that_were_not_scaled(images):
    x, y = images
    (message,) = warned(dense(6), x / 255, y, validation_data=(x, y))
    assert message.startswith('validation_data: x goes up to 255. These look like pixels')
    assert len(warned(dense(6), x, y, validation_data=(x, y))) == 1


@pytest.mark.parametrize(
    'change',
    [
        lambda x: x / 255,
        lambda x: x / 127.5 - 1,
        lambda x: (x - x.mean()) / x.std(),
        lambda x: x - 128.0,
        lambda x: x * 257.0,
    ],
    ids=['0 to 1', '-1 to 1', 'mean 0', 'from -128', 'to 65535'],
)
def test_other_numbers_are_none(images, change):
    assert warned(dense(6), change(images[0].astype(float)), images[1]) == []


@pytest.mark.parametrize(
    'first', [lambda: BatchNormalization(input_shape=(6, 6, 1)), lambda: Scaled(input_shape=(6, 6, 1))]
)
def test_a_network_may_scale_its_input_itself(images, first):
    assert warned(dense(6, first()), *images) == []


def test_few_samples_of_a_large_array_are_looked_at(images):
    class Watched(np.ndarray):
        def __getitem__(self, key):
            found = super().__getitem__(key)
            if isinstance(key, np.ndarray):
                taken.append(found.size)
            return found

    taken = []
    x = np.repeat(images[0].astype(np.float32), 100, axis=0).view(Watched)
    assert look_like_bytes(x[spread_over(x)])
    assert taken == [MOST_SAMPLES * 36]


def test_a_run_that_diverges_names_the_pixels(images):
    net = dense(6)
    with pytest.raises(DivergenceError) as caught, pytest.warns(DataWarning, match='These look like pixels'):
        net.train(images[0], images[1], epochs=200, learning_rate=1e35, verbose=0)
    assert 'These look like pixels of 0 to 255: x / 255.' in str(caught.value)
    with pytest.raises(DivergenceError, match='try a smaller one, or look at the data'):
        dense(6).train(images[0] / 255, images[1], epochs=200, learning_rate=1e38, verbose=0)


# Labels


def test_labels_from_1(images):
    x, y = images[0] / 255, images[1] + 1
    (message,) = warned(dense(7), x, y)
    assert message.startswith('No sample has label 0, and there are 7 outputs: labels seem to run from 1 to 6.')
    assert 'y - 1, and 6 outputs' in message
    assert warned(dense(7), x, np.eye(7)[y]) == [message]


def test_labels_1_to_10_of_few_samples():
    x, y = np.zeros((22, 6, 6, 1)), np.arange(22) % 10 + 1
    assert 'labels seem to run from 1 to 10' in warned(dense(11), x, y)[0]


def test_classes_without_samples(images):
    x, y = images[0] / 255, images[1]
    (message,) = warned(dense(6), x[(y != 2) & (y != 4)], y[(y != 2) & (y != 4)])
    assert message.startswith('2 of 6 classes have no sample: 2, 4. The network learns never to predict them.')
    assert warned(dense(6), x, y) == []
    assert warned(dense(6), x[:6], y[:6]) == [], 'six samples may miss classes by chance'


@pytest.mark.parametrize('form', [lambda y: y, lambda y: np.eye(6)[y]], ids=['indices', 'one-hot'])
def test_sorted_samples_with_a_validation_split(images, form):
    order = np.argsort(images[1], kind='stable')
    x, y = images[0][order] / 255, form(images[1][order])
    missing, unvalidated = warned(dense(6), x, y, validation_split=1 / 6)
    assert missing.startswith('1 of 6 classes have no sample: 5.')
    assert unvalidated.startswith('All 20 samples of the validation data are of class 5.')
    assert 'cnnx.data.split(x, y)' in unvalidated
    messages = warned(dense(6), x, y, validation_split=1 / 3)
    assert messages[1].startswith('The validation data has no sample of 4 of 6 classes: 0, 1, 2, 3.')
    (x, y), validation = split(x, y)
    assert warned(dense(6), x, y, validation_data=validation) == []


def test_a_class_without_validation_samples(images):
    x, y = images[0] / 255, images[1]
    (message,) = warned(dense(6), x, y, validation_data=(x[y != 3], y[y != 3]))
    assert message.startswith('The validation data has no sample of 1 of 6 classes: 3.')
    assert warned(dense(6), x, y, validation_data=(x[:9], y[:9])) == [], 'nine samples may miss classes by chance'


def test_rare_classes_may_be_missing_by_chance():
    y = np.repeat([0, 1, 2], [400, 397, 3])
    x = np.zeros((800, 6, 6, 1))
    kept = np.flatnonzero(y < 2)[::8]
    assert warned(dense(3), x, y, validation_data=(x[kept], y[kept])) == []


def test_random_parts_of_random_labels_are_hardly_ever_warned_of():
    rng, found = np.random.default_rng(0), 0
    for _ in range(500):
        classes, count = rng.integers(3, 20), rng.integers(10, 500)
        labels, validation = rng.integers(0, classes, 5 * count), rng.integers(0, classes, count)
        found += find_missing_classes(labels, classes) is not None
        found += find_unvalidated_classes(labels, validation, classes) is not None
    assert found <= 10, 'one in a hundred'


def test_targets_of_a_loss_of_ones_own_are_not_looked_at(images):
    class Halves(CategoricalCrossEntropy):
        """Takes labels that count by two."""

        def prepare(self, targets, *arguments):
            return super().prepare(np.asarray(targets) // 2, *arguments)

    net = dense(6)
    net.compile(Halves())
    assert warned(net, images[0] / 255, images[1]) == []


def test_batches_are_not_looked_at():
    x, y = small_data(24)
    assert warned(small_network(), [(255 * abs(x), y)], None) == []
