"""ZeroPadding and Cropping: rows and columns added around an image, or cut off."""

from cnnx._util.validation import MAX_SIZE, is_whole
from cnnx._util.windows import check_image
from cnnx.layers.base import Layer


class Framed(Layer):
    """Base class of layers between an image and a larger one that has it inside.

    `inside` are the slices of the larger images, (N, H, W, C), that hold the smaller ones.
    """

    def _pad(self, name, images, shape):
        larger = self.empty(name, (len(images), *shape))
        larger[...] = 0
        larger[self.inside] = images
        return larger

    def _crop(self, name, images, shape):
        smaller = self.empty(name, (len(images), *shape))
        smaller[...] = images[self.inside]
        return smaller


class ZeroPadding(Framed):
    """Put rows and columns of zeros around an image.

    Shape: (N, H, W, C) -> (N, top + H + bottom, left + W + right, C). Gradient: dy without these rows and columns.

    Args:
        padding: a whole number of pixels on all sides, a pair (height, width), or ((top, bottom), (left, right)).
        input_shape: (H, W, C); needed where it cannot be inferred from the layer before.

    Raises:
        ValueError: padding is none of these.
    """

    def __init__(self, padding=1, *, input_shape=None):
        super().__init__(input_shape)
        self.padding = _sides(padding, 'padding')

    def output_shape(self, input_shape):
        check_image(input_shape)
        (top, bottom), (left, right) = self.padding
        return (top + input_shape[0] + bottom, left + input_shape[1] + right, input_shape[2])

    def build(self, input_shape):
        self.inside = _slices(self.padding, input_shape)

    def forward(self, x, training=False):
        x = self.check_input(x)
        self._saved = (x,)
        return self._pad('y', x, self.shape)

    def backward(self, dy):
        return self._crop('dx', self.check_gradient(dy), self.input_shape)


class Cropping(Framed):
    """Cut rows and columns off an image.

    Shape: (N, H, W, C) -> (N, H - top - bottom, W - left - right, C). Gradient: dy, and 0 where they were cut off.

    Args:
        cropping: a whole number of pixels on all sides, a pair (height, width), or ((top, bottom), (left, right)).
        input_shape: (H, W, C); needed where it cannot be inferred from the layer before.

    Raises:
        ValueError: cropping is none of these, or leaves nothing of the image.
    """

    def __init__(self, cropping=1, *, input_shape=None):
        super().__init__(input_shape)
        self.cropping = _sides(cropping, 'cropping')

    def output_shape(self, input_shape):
        check_image(input_shape)
        height, width = (size - sum(sides) for size, sides in zip(input_shape, self.cropping, strict=False))
        if height < 1 or width < 1:
            raise ValueError(f'cropping: {self.cropping} leaves nothing of {input_shape[0]} x {input_shape[1]} pixels')
        return (height, width, input_shape[2])

    def build(self, input_shape):
        self.inside = _slices(self.cropping, self.shape)

    def forward(self, x, training=False):
        x = self.check_input(x)
        self._saved = (x,)
        return self._crop('y', x, self.shape)

    def backward(self, dy):
        return self._pad('dx', self.check_gradient(dy), self.input_shape)


def _sides(value, name):
    """Return a number, a pair or a pair of pairs as ((top, bottom), (left, right)), or raise a ValueError."""
    axes = value if isinstance(value, (tuple, list)) else (value, value)
    sides = tuple(tuple(axis) if isinstance(axis, (tuple, list)) else (axis, axis) for axis in axes)
    sizes = [size for axis in sides for size in axis]
    if [len(axis) for axis in sides] != [2, 2] or not all(is_whole(size) and 0 <= size <= MAX_SIZE for size in sizes):
        raise ValueError(
            f'{name}: expected a whole number of at least 0, a pair (height, width), or ((top, bottom), (left, '
            f'right)), got {value!r}'
        )
    return tuple((int(first), int(second)) for first, second in sides)


def _slices(sides, smaller):
    """Return the slices of larger images that hold those of shape `smaller`."""
    (top, _), (left, _) = sides
    return (slice(None), slice(top, top + smaller[0]), slice(left, left + smaller[1]))
