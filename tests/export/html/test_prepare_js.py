"""The page's preparing of drawings against `cnnx.data.prepare_digit`."""

import numpy as np
import pytest
from drawings import drawing, photograph
from page_scripts import run_scripts

from cnnx.data import DataError, prepare_digit, preprocess_mnist_data

PREPARE = """
return given.map(({ size, grey }) => {
  const rows = grey.length;
  return prepareDigit(picture(rows, grey[0].length, Float32Array.from(grey.flat())), size);
});
"""
SCRIPTS = ['resize', 'ink', 'parts', 'prepare']


def prepared(pictures, size=28):
    """Return (pixels, notes) as the page prepares each picture, None where it sees no digit."""
    found = run_scripts(SCRIPTS, PREPARE, [{'size': size, 'grey': grey.tolist()} for grey in pictures])
    return [
        each and (np.array(list(each['pixels'].values()), np.float32).reshape(size, size), each['notes'])
        for each in found
    ]


def check(pictures, size=28):
    pytest.importorskip('PIL', reason='Pillow is not installed')
    for grey, found in zip(pictures, prepared(pictures, size), strict=True):
        try:
            expected = prepare_digit(grey, size)
        except DataError:
            assert found is None
        else:
            np.testing.assert_allclose(found[0], expected.pixels[..., 0], atol=2e-3)
            assert found[1] == expected.notes


@pytest.mark.parametrize('count', [20, pytest.param(200, marks=pytest.mark.slow)])
def test_drawings(count):
    rng = np.random.default_rng(0)
    check([drawing(number % 10, rng, side=120 + number % 40) for number in range(count)])


def test_photographs_light_on_dark_and_small_ones():
    rng = np.random.default_rng(1)
    pictures = [photograph(drawing(number % 10, rng, side=125), rng) for number in range(10)]
    pictures += [drawing(number, rng, side=36) for number in range(10)]
    pictures += [drawing(number, rng, side=14) for number in range(10)]
    check(pictures)


def test_what_touches_the_edge_has_a_frame_or_is_empty():
    rng = np.random.default_rng(2)
    one = drawing(3, rng, side=130)
    rows, columns = np.nonzero(one < 0.5)
    cut_out = one[rows.min() : rows.max(), columns.min() : columns.max()]
    framed = one.copy()
    framed[5:8], framed[:, 5:8], framed[-8:-5], framed[:, -8:-5] = 0, 0, 0, 0
    two = np.hstack([one, drawing(7, rng, side=130)])
    check([cut_out, framed, two, np.ones((130, 130), np.float32), np.eye(130, dtype=np.float32)])


def test_images_of_mnist_stay_as_they_are():
    (x, _), _ = preprocess_mnist_data()
    check([*x[:20, ..., 0], *(1 - x[:10, ..., 0])])
