"""PNG files: Pillow reads the same pixels."""

import io

import numpy as np
import pytest

from cnnx._util.png import as_bytes, as_png


@pytest.mark.parametrize('shape', [(1, 1, 1), (5, 3, 1), (4, 7, 3)])
def test_pillow_reads_the_pixels_back(shape):
    image = pytest.importorskip('PIL.Image', reason='needs Pillow: pip install pillow')
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    with image.open(io.BytesIO(as_png(pixels))) as opened:
        assert opened.mode == ('L' if shape[2] == 1 else 'RGB')
        assert (np.asarray(opened).reshape(shape) == pixels).all()


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        ([0, 0.2, 1], [0, 51, 255]),
        ([-1, 0, 1], [0, 128, 255]),
        ([0, 128, 255], [0, 128, 255]),
        ([0.1, np.nan, np.inf], [26, 0, 0]),
    ],
)
def test_values_become_grey_levels(values, expected):
    images = np.array(values, np.float32).reshape(1, 1, 3, 1)
    assert as_bytes(images).ravel().tolist() == expected


def test_large_images_are_thinned_out():
    assert as_bytes(np.zeros((2, 300, 100, 3)), longest=112).shape == (2, 100, 34, 3)
    assert as_bytes(np.zeros((2, 28, 28, 1)), longest=112).shape == (2, 28, 28, 1)
