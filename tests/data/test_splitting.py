"""Splitting samples into two parts, class by class."""

import numpy as np
import pytest

from cnnx.data import split


def both(part_x, part_y):
    """Whether the samples, numbered, are still beside their labels, which are their number modulo 3."""
    return (part_x[:, 0] % 3 == part_y).all()


def test_each_class_gives_its_fraction():
    x = np.arange(90).reshape(90, 1)
    y = np.sort(x[:, 0] % 3)
    x = x[np.argsort(x[:, 0] % 3, kind='stable')]
    (x_train, y_train), (x_test, y_test) = split(x, y)
    assert (len(x_train), len(x_test)) == (72, 18)
    assert both(x_train, y_train)
    assert both(x_test, y_test)
    assert np.bincount(y_test).tolist() == [6, 6, 6]
    assert sorted([*x_train[:, 0], *x_test[:, 0]]) == list(range(90))
    assert (np.diff(y_train) < 0).any()
    assert (np.diff(y_test) < 0).any()


@pytest.mark.parametrize('form', ['indices', 'column', 'one-hot', 'floats', 'names', 'list'])
def test_forms_of_labels(form):
    labels = np.repeat([0, 1, 2], [4, 10, 30])
    y = {
        'indices': labels,
        'column': labels.reshape(-1, 1),
        'one-hot': np.eye(3)[labels],
        'floats': labels.astype(float),
        'names': np.array(['a', 'b', 'c'])[labels],
        'list': labels.tolist(),
    }[form]
    (x_train, y_train), (x_test, y_test) = split(np.arange(44), y, fraction=0.25)
    assert np.bincount(labels[x_test]).tolist() == [1, 3, 7], '11 in all'
    for index, part in ((x_train, y_train), (x_test, y_test)):
        np.testing.assert_array_equal(part, np.asarray(y)[index])


def test_small_classes_are_in_both_parts_where_they_can_be():
    y = np.repeat([0, 1, 2, 3], [1, 2, 3, 50])
    (_, y_train), (_, y_test) = split(y, y, fraction=0.1)
    assert np.bincount(y_test).tolist() == [0, 1, 1, 5]
    (_, y_train), _ = split(y, y, fraction=0.9)
    assert np.bincount(y_train).tolist() == [1, 1, 1, 5]


def test_without_classes_the_fraction_is_of_all():
    x, y = np.arange(50), np.random.default_rng(0).normal(size=(50, 2))
    (x_train, y_train), (x_test, y_test) = split(x, y, 0.3, stratify=False)
    assert (len(x_train), len(x_test)) == (35, 15)
    np.testing.assert_array_equal(y_train, y[x_train])
    np.testing.assert_array_equal(y_test, y[x_test])


@pytest.mark.parametrize('stratify', [True, False])
def test_the_seed_says_which_samples(stratify):
    x, y = np.arange(100), np.arange(100) % 2
    first, again, other = (split(x, y, stratify=stratify, seed=seed)[1][0].tolist() for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize(
    ('x', 'y', 'options', 'words'),
    [
        (np.zeros((4, 2)), np.zeros(3, int), {}, r'as many samples as targets, got shapes \(4, 2\) and \(3,\)'),
        (np.zeros(4), np.zeros(4, int), {'fraction': 1}, 'fraction: expected a number between 0 and 1, got 1'),
        (np.zeros(4), np.zeros(4, int), {'fraction': '0.2'}, 'fraction: expected a number between 0 and 1'),
        (np.zeros(4), np.arange(4), {}, 'fraction: 0.2 of 4 samples leaves nothing to test on'),
        (np.zeros(4), np.zeros(4), {'fraction': 0.99, 'stratify': False}, 'leaves nothing to train on'),
        (np.zeros(0), np.zeros(0, int), {}, 'leaves nothing to train on'),
        (np.zeros(4), np.full(4, 0.5), {}, r'y: expected class labels .* got float64 \(4,\).*stratify=False'),
        (np.zeros(4), np.ones((4, 3)), {}, r'y: expected class labels .* got float64 \(4, 3\)'),
    ],
)
def test_what_cannot_be_split(x, y, options, words):
    with pytest.raises(ValueError, match=words):
        split(x, y, **options)
