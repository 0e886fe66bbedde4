"""Mean squared error, mean absolute error, Huber."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loss_cases import gradient, numeric_gradient, value

from cnnx import Huber, MeanAbsoluteError, MeanSquaredError


@given(n=st.integers(1, 5), shape=st.lists(st.integers(1, 4), min_size=1, max_size=3), seed=st.integers(0, 2**32 - 1))
def test_gradient_of_mean_squared_error(n, shape, seed):
    rng = np.random.default_rng(seed)
    loss = MeanSquaredError()
    predictions, targets = rng.normal(size=(2, n, *shape))
    assert value(loss, predictions, targets) == pytest.approx(((predictions - targets) ** 2).mean())
    np.testing.assert_allclose(
        gradient(loss, predictions, targets), numeric_gradient(loss, predictions, targets), rtol=1e-3, atol=1e-5
    )


def test_mean_squared_error_takes_no_silent_broadcast():
    loss = MeanSquaredError()
    assert value(loss, np.array([[1.0], [2.0]]), [1, 4]) == 2
    with pytest.raises(ValueError, match=r'expected shape \(N, 1\), got \(2, 2\)'):
        value(loss, np.zeros((2, 1)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match='expected 2, one a prediction, got 3'):
        value(loss, np.zeros((2, 1)), np.zeros(3))


def test_mean_squared_error_takes_class_indices():
    assert value(MeanSquaredError(), np.array([[0.0, 1.0]]), [1]) == 0


def test_mean_squared_error_takes_targets_in_the_predictions_dtype():
    predictions = np.random.default_rng(0).random((4, 3), np.float32)
    targets = np.random.default_rng(1).random((4, 3))
    assert value(MeanSquaredError(), predictions, targets) == value(
        MeanSquaredError(), predictions, targets.astype(np.float32)
    )


def test_mean_absolute_error_by_hand():
    y, targets = np.array([[1.0, 2.0], [3.0, 5.0]]), [[0, 2], [3.5, 3]]
    assert value(MeanAbsoluteError(), y, targets) == (1 + 0 + 0.5 + 2) / 4
    assert gradient(MeanAbsoluteError(), y, targets).tolist() == [[0.25, 0], [-0.25, 0.25]]


def test_huber_is_square_near_the_target_and_straight_beyond():
    y, targets = np.array([[0.5, -1.0, 3.0, -4.0]]), np.zeros((1, 4))
    assert value(Huber(), y, targets) == (0.125 + 0.5 + 2.5 + 3.5) / 4
    assert gradient(Huber(), y, targets).tolist() == [[0.125, -0.25, 0.25, -0.25]]
    assert value(Huber(2), y, targets) == (0.125 + 0.5 + 4 + 6) / 4
    assert value(Huber(10), y, targets) == value(MeanSquaredError(), y, targets) / 2


@pytest.mark.parametrize('delta', [0, -1, np.inf, np.nan, '1', True])
def test_a_delta_that_is_no_distance_is_refused(delta):
    with pytest.raises(ValueError, match='delta: expected a finite number of more than 0'):
        Huber(delta)


@pytest.mark.parametrize('kind', [MeanSquaredError, MeanAbsoluteError, Huber])
def test_targets_of_a_single_channel_need_no_axis_of_their_own(kind):
    rng = np.random.default_rng(0)
    y, targets = rng.random((3, 4, 5, 1)), rng.random((3, 4, 5))
    assert value(kind(), y, targets) == value(kind(), y, targets[..., np.newaxis])
