"""Bars on sevens, flags and bases on ones: where they are drawn, and that other digits stay as they are."""

import numpy as np
import pytest
from augmentation_cases import changed

from cnnx.augmentation import DigitShapes
from cnnx.augmentation.pipeline import Pipeline
from cnnx.data import preprocess_mnist_data

MIDDLE = 0.5


def a_one():
    x = np.zeros((1, 28, 28, 1), np.float32)
    x[0, 4:24, 13:16] = 1
    return x


def drawn(x, label, *numbers):
    """Return what is drawn with these random numbers, the first after the decision, and the middle of the others."""
    y, numbers = x.copy(), [0, *numbers, *[MIDDLE] * (6 - len(numbers))]
    DigitShapes(1).change(y, np.array(numbers, float)[:, None], np.array([label]))
    return (y - x)[0, ..., 0]


def test_a_seven_gets_a_bar_across_its_middle():
    bar = drawn(a_one(), 7)
    rows, columns = np.nonzero(bar > 0.5)
    assert 12 <= rows.min() <= rows.max() <= 18
    assert columns.min() <= 10
    assert columns.max() >= 18
    assert 2 <= len(np.unique(rows)) <= 4


@pytest.mark.parametrize(('which', 'has_base', 'has_flag'), [(0.1, True, False), (0.5, False, True), (0.9, True, True)])
def test_a_one_gets_a_base_a_flag_or_both(which, has_base, has_flag):
    strokes = drawn(a_one(), 1, *[MIDDLE] * 5, which) > 0.5
    base, flag = strokes[21:26], strokes[4:13]
    assert base[:, :12].any() == base[:, 17:].any() == has_base
    assert flag[:, :12].any() == has_flag
    assert not strokes[:20, 17:].any()


def test_some_ones_and_sevens_are_changed_and_nothing_else():
    (x, y), _ = preprocess_mnist_data()
    x, y, labels = x[:2000], y[:2000], y[:2000].argmax(axis=1)
    found = []
    for targets in (y, labels):
        z = x.copy()
        Pipeline([DigitShapes(0.25)], x.shape[1:], x.dtype).change(z, np.random.default_rng(0), targets)
        found.append(z)
    np.testing.assert_array_equal(*found)
    assert (z >= x).all()
    assert z.max() <= 1
    differs = (z != x).any(axis=(1, 2, 3))
    assert not differs[~np.isin(labels, (1, 7))].any()
    for label in (1, 7):
        assert differs[labels == label].mean() == pytest.approx(0.25, abs=0.07)


@pytest.mark.parametrize('x', [np.zeros((9, 28, 28, 1)), np.ones((9, 5, 4, 3)), np.zeros((0, 28, 28, 1))])
def test_images_without_a_digit_are_no_problem(x):
    y = x.copy()
    DigitShapes(1).change(y, np.random.default_rng(0).random((7, len(x))), np.arange(len(x)))
    assert np.isfinite(y).all()


def test_it_needs_labels():
    with pytest.raises(ValueError, match='DigitShapes: expected labels beside the images'):
        changed(a_one(), [DigitShapes()])
