"""Windows of convolution and pooling: output sizes and padding."""

from typing import NamedTuple

from cnnx._util.validation import checked_size, is_whole, shown

PADDINGS = ('valid', 'same')


class Window(NamedTuple):
    """A window of `height` x `width` pixels that moves over an image, with its stride and padding.

    Output position (p, q) covers rows `p * stride_height - pad_top` to `+ height - 1` and columns
    `q * stride_width - pad_left` to `+ width - 1`. Rows and columns outside the image are padding.
    """

    height: int
    width: int
    stride_height: int = 1
    stride_width: int = 1
    pad_top: int = 0
    pad_left: int = 0


def pair(value, name):
    """Return an int or a pair of ints as (height, width), each from 1 to MAX_SIZE."""
    if is_whole(value):
        value = (value, value)
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f'{name}: expected a whole number or a pair (height, width), got {shown(value)}')
    return checked_size(value[0], name), checked_size(value[1], name)


def checked_padding(padding):
    """Return a padding as it is, or raise a ValueError unless it is 'valid' or 'same'."""
    if not isinstance(padding, str) or padding not in PADDINGS:
        raise ValueError(f'padding: expected one of {", ".join(map(repr, PADDINGS))}, got {padding!r}')
    return padding


def check_image(input_shape):
    """Raise a ValueError unless a sample's shape is (H, W, C)."""
    if len(input_shape) != 3:
        raise ValueError(f'expected input (height, width, channels), got {input_shape}')


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


def window_over(input_size, kernel, stride, padding='valid'):
    """Compute padding and output size of a window that moves over an image.

    Args:
        input_size: (height, width) of the image.
        kernel: (height, width) of the window.
        stride: (height, width) of its steps.
        padding: 'valid' keeps the window inside the image: output = floor((input - kernel) / stride) + 1.
            'same' pads with zeros so that output = ceil(input / stride); where the total padding is
            odd, the extra row or column goes to the end.

    Returns:
        A `Window` and the output's (height, width).

    Raises:
        ValueError: the window is larger than the image and padding is 'valid'.
    """
    checked_padding(padding)
    before, output = [], []
    for size, extent, step in zip(input_size, kernel, stride, strict=True):
        if padding == 'same':
            count = -(-size // step)
            before.append(max((count - 1) * step + extent - size, 0) // 2)
        elif extent > size:
            raise ValueError(
                f'a window of {kernel[0]} x {kernel[1]} does not fit into an input of '
                f'{input_size[0]} x {input_size[1]}; use a smaller window or a larger input'
            )
        else:
            count = (size - extent) // step + 1
            before.append(0)
        output.append(count)
    return Window(*kernel, *stride, *before), tuple(output)
