"""Windows of convolution and pooling: output sizes and padding."""

from typing import NamedTuple

from cnnx._util.validation import MAX_SIZE, checked_size, is_whole, shown

PADDINGS = ('valid', 'same')


class Window(NamedTuple):
    """A window of `height` x `width` pixels that moves over an image, with its stride, padding and dilation.

    Output position (p, q) covers the `height` rows from `p * stride_height - pad_top` on, `dilation_height` apart, and
    the `width` columns from `q * stride_width - pad_left` on, `dilation_width` apart. Outside the image is padding.
    """

    height: int
    width: int
    stride_height: int = 1
    stride_width: int = 1
    pad_top: int = 0
    pad_left: int = 0
    dilation_height: int = 1
    dilation_width: int = 1


def pair(value, name):
    """Return an int or a pair of ints as (height, width), each from 1 to MAX_SIZE."""
    if is_whole(value):
        value = (value, value)
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f'{name}: expected a whole number or a pair (height, width), got {shown(value)}')
    return checked_size(value[0], name), checked_size(value[1], name)


def checked_padding(padding, numbers=False):
    """Return a padding as it is: 'valid' or 'same', or, if allowed, a number of pixels or a pair of them.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(padding, str) and padding in PADDINGS:
        return padding
    expected = ', '.join(map(repr, PADDINGS))
    if not numbers:
        raise ValueError(f'padding: expected one of {expected}, got {padding!r}')
    sizes = () if isinstance(padding, str) else on_sides(padding)
    if len(sizes) != 2 or not all(is_whole(size) and 0 <= size <= MAX_SIZE for size in sizes):
        raise ValueError(
            f'padding: expected {expected}, or a whole number of at least 0, or a pair of them, got {padding!r}'
        )
    return tuple(int(size) for size in sizes) if isinstance(padding, (tuple, list)) else int(padding)


def checked_sides(padding):
    """Return a padding as it is: what `checked_padding` allows, or ((top, bottom), (left, right)).

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(padding, (tuple, list)) and any(isinstance(side, (tuple, list)) for side in padding):
        sides = [side if isinstance(side, (tuple, list)) else () for side in padding]
        fits = all(is_whole(size) and 0 <= size <= MAX_SIZE for side in sides for size in side)
        if [len(side) for side in sides] != [2, 2] or not fits:
            raise ValueError(f'padding: expected ((top, bottom), (left, right)) of whole numbers, got {shown(padding)}')
        return tuple(tuple(int(size) for size in side) for side in sides)
    return checked_padding(padding, numbers=True)


def on_sides(padding):
    """Return how many rows and columns a padding puts on both sides; (0, 0) for 'valid' and 'same'."""
    if isinstance(padding, str):
        return 0, 0
    return padding if isinstance(padding, (tuple, list)) else (padding, padding)


def check_image(input_shape):
    """Raise a ValueError unless a sample's shape is (H, W, C)."""
    if len(input_shape) != 3:
        raise ValueError(f'expected input (height, width, channels), got {input_shape}')


def as_images(batch):
    """Return images as they are, signals (N, L, C) as (N, 1, L, C), and rows (N, C) as (N, 1, 1, C)."""
    return batch if batch.ndim == 4 else batch.reshape(len(batch), *(1,) * (4 - batch.ndim), *batch.shape[1:])


def shape_of_sample(value, name):
    """Return the shape of one sample, without the batch axis, as a tuple of ints from 1 to MAX_SIZE."""
    if is_whole(value):
        value = (value,)
    if not isinstance(value, (tuple, list)) or not value:
        raise ValueError(f'{name}: expected a shape such as (28, 28, 1), got {shown(value)}')
    return tuple(checked_size(size, name) for size in value)


def batch_shape(sample_shape):
    """Return the shape of a batch of samples as text for error messages: '(N, 28, 28, 1)'."""
    return f'({", ".join(["N", *map(str, sample_shape)])})'


def window_over(input_size, kernel, stride, padding='valid', dilation=(1, 1), ceil_mode=False):
    """Compute padding and output size of a window that moves over an image.

    Args:
        input_size: (height, width) of the image.
        kernel: (height, width) of the window, in pixels that it reads.
        stride: (height, width) of its steps.
        padding: 'valid' keeps the window inside the image: output = floor((input - extent) / stride) + 1, where
            extent = dilation (kernel - 1) + 1. 'same' pads with zeros so that output = ceil(input / stride); where the
            total padding is odd, the extra row or column goes to the end. A pair (height, width) pads so much on
            both sides, ((top, bottom), (left, right)) on each side.
        dilation: (height, width) from one pixel of the window to the next.
        ceil_mode: whether a last window may reach beyond the padding, if it begins before it: ceil in place of floor.

    Returns:
        A `Window` and the output's (height, width).

    Raises:
        ValueError: the window is larger than the padded image.
    """
    before, output = [], []
    for size, reads, step, apart, pad in zip(input_size, kernel, stride, dilation, on_sides(padding), strict=True):
        extent = apart * (reads - 1) + 1
        pad, after = pad if isinstance(pad, tuple) else (pad, pad)
        if padding == 'same':
            count = -(-size // step)
            pad = max((count - 1) * step + extent - size, 0) // 2
        elif extent > pad + size + after:
            padded = f', padded by {pad if pad == after else (pad, after)}' if pad + after else ''
            raise ValueError(
                f'a window of {kernel[0]} x {kernel[1]} does not fit into an input of '
                f'{input_size[0]} x {input_size[1]}{padded}; use a smaller window or a larger input'
            )
        else:
            beyond = pad + size + after - extent
            count = beyond // step + 1
            if ceil_mode and beyond % step and count * step < pad + size:
                count += 1
        before.append(pad)
        output.append(count)
    return Window(*kernel, *stride, *before, *dilation), tuple(output)
