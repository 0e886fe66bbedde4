"""Images beside each other, as one image."""

import numpy as np

GAP = 3
RIGHT, WRONG, NEITHER = (46, 160, 67), (218, 54, 51), (255, 255, 255)


def sheet(images, frames, columns=10):
    """Return images in rows, each in a frame, as one image (H, W, 3) uint8.

    Args:
        images: a sequence of (H, W, 1) or (H, W, 3) uint8, of one shape.
        frames: a colour (red, green, blue) for each.
        columns: how many make up a row.
    """
    height, width, _ = images[0].shape
    columns = min(columns, len(images))
    high, wide = height + 2 * GAP, width + 2 * GAP
    whole = np.full((-(-len(images) // columns) * high, columns * wide, 3), 255, np.uint8)
    for place, (image, colour) in enumerate(zip(images, frames, strict=True)):
        top, left = place // columns * high, place % columns * wide
        whole[top : top + high - 1, left : left + wide - 1] = colour
        whole[top + GAP - 1 : top + GAP - 1 + height, left + GAP - 1 : left + GAP - 1 + width] = image
    return whole
