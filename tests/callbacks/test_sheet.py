"""Images beside each other in frames."""

import numpy as np
import pytest

from cnnx.callbacks.sheet import GAP, RIGHT, WRONG, sheet


@pytest.mark.parametrize('channels', [1, 3])
def test_each_image_stands_in_its_frame(channels):
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 6, channels)).astype(np.uint8)
    frames = [RIGHT, WRONG, RIGHT, RIGHT, WRONG]
    whole = sheet(images, frames, columns=3)
    high, wide = 4 + 2 * GAP, 6 + 2 * GAP
    assert whole.shape == (2 * high, 3 * wide, 3)
    for place, (image, frame) in enumerate(zip(images, frames, strict=True)):
        row, column = divmod(place, 3)
        part = whole[row * high : (row + 1) * high, column * wide : (column + 1) * wide]
        assert (part[GAP - 1 : GAP + 3, GAP - 1 : GAP + 5] == image).all()
        assert tuple(part[0, 0]) == frame
    assert (whole[high:, 2 * wide :] == 255).all()


def test_fewer_images_than_columns_make_a_narrow_sheet():
    assert sheet(np.zeros((2, 4, 4, 1), np.uint8), [RIGHT, WRONG]).shape == (4 + 2 * GAP, 2 * (4 + 2 * GAP), 3)
