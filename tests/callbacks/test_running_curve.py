"""RunningCurve: means of values in a row, of limited number."""

import numpy as np
import pytest

from cnnx.callbacks.running_curve import MOST_POINTS, RunningCurve


@pytest.mark.parametrize('count', [0, 1, MOST_POINTS - 1, MOST_POINTS, 3 * MOST_POINTS + 7])
def test_points_are_means_of_neighbours(count):
    values, curve = np.random.default_rng(0).random(count), RunningCurve({}, {})
    for value in values:
        curve.add(value)
    assert len(curve.points) < MOST_POINTS
    whole = values[: len(curve.points) * curve.width].reshape(-1, curve.width)
    assert count - whole.size < curve.width
    assert curve.points == pytest.approx(whole.mean(axis=1).tolist() if count else [])


def test_it_goes_on_from_its_state():
    values, whole = np.random.default_rng(0).random(900), RunningCurve({}, {})
    first = RunningCurve({}, {})
    for value in values:
        whole.add(value)
    for value in values[:555]:
        first.add(value)
    second = RunningCurve(first.state(), first.arrays())
    for value in values[555:]:
        second.add(value)
    assert (second.points, second.state()) == (whole.points, whole.state())
