"""Connected parts of a mask."""

import numpy as np
import pytest

pytest.importorskip('PIL')
from cnnx.data.connected_components import connected_components


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def test_parts_are_those_of_a_flood_fill(rng):
    for density in (0.2, 0.4, 0.6, 0.9):
        mask = rng.random((40, 50)) < density
        expected = np.zeros(mask.shape, int)
        for start in zip(*np.nonzero(mask), strict=True):
            if expected[start]:
                continue
            number, waiting = expected.max() + 1, [start]
            expected[start] = number
            while waiting:
                i, j = waiting.pop()
                for near in ((i + di, j + dj) for di in (-1, 0, 1) for dj in (-1, 0, 1)):
                    if 0 <= near[0] < 40 and 0 <= near[1] < 50 and mask[near] and not expected[near]:
                        expected[near] = number
                        waiting.append(near)
        found = connected_components(mask)
        assert len(np.unique(np.stack([found, expected]).reshape(2, -1), axis=1).T) == expected.max() + 1
        assert ((found > 0) == mask).all()
        assert found.max() == expected.max()


@pytest.mark.parametrize('mask', [np.zeros((3, 4), bool), np.ones((3, 4), bool), np.ones((1, 1), bool)])
def test_parts_of_nothing_and_of_everything(mask):
    np.testing.assert_array_equal(connected_components(mask), mask.astype(int))
