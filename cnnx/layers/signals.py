"""Convolution and pooling of signals, (N, L, C): Convolutional1D, MaxPooling1D and AveragePooling1D."""

from cnnx._util.foreign_names import LAYER_KEYWORDS
from cnnx._util.hints import explained
from cnnx._util.validation import checked_size
from cnnx.layers.convolutional import Convolutional
from cnnx.layers.pooling import AveragePooling, MaxPooling


class OverSignals:
    """What a layer over images becomes one over signals by: a signal (L, C) is an image of one row, (1, L, C).

    It keeps sizes as pairs, such as a kernel_size of (1, 5), and returns what it was given as settings.
    """

    def output_shape(self, input_shape):
        if len(input_shape) != 2:
            raise ValueError(f'expected input (length, channels), got {input_shape}')
        return super().output_shape((1, *input_shape))[1:]

    def build(self, input_shape):
        super().build((1, *input_shape))

    def settings(self):
        return {name: pair[1] if isinstance(pair, tuple) else pair for name, pair in super().settings().items()}


class Convolutional1D(OverSignals, Convolutional):
    """Slide filters along a signal: y[p, f] = sum over s, c of x[p + s, c] weights[0, s, c, f] + bias[f].

    Shape: (N, L, C) -> (N, P, num_filters), with P as for the columns of `Convolutional`.
    weights: (1, kernel_size, C / groups, num_filters); bias: (num_filters,). Gradient: as for `Convolutional`.

    Args:
        num_filters: how many filters, and so channels of the output.
        kernel_size, stride, dilation: whole numbers.
        padding: 'valid', 'same', or a whole number, on both sides.
        input_shape: (L, C); needed where it cannot be inferred from the layer before.
        kernel_initializer, l2, groups, use_bias: as for `Convolutional`.

    Raises:
        ValueError: an argument is none of these; or the kernel is larger than the input.

    Source: Waibel et al., "Phoneme recognition using time-delay neural networks", 1989.
    """

    @explained(LAYER_KEYWORDS)
    def __init__(
        self,
        num_filters,
        kernel_size,
        *,
        stride=1,
        padding='valid',
        input_shape=None,
        kernel_initializer='he_normal',
        l2=0.0,
        dilation=1,
        groups=1,
        use_bias=True,
    ):
        super().__init__(
            num_filters,
            _row(kernel_size, 'kernel_size'),
            stride=_row(stride, 'stride'),
            padding=padding if isinstance(padding, str) else (0, padding),
            input_shape=input_shape,
            kernel_initializer=kernel_initializer,
            l2=l2,
            dilation=_row(dilation, 'dilation'),
            groups=groups,
            use_bias=use_bias,
        )


class MaxPooling1D(OverSignals, MaxPooling):
    """Keep the largest number of each window of a signal, channel by channel.

    Shape: (N, L, C) -> (N, P, C), with P as for the columns of `MaxPooling`. Gradient: as for `MaxPooling`.

    Args:
        pool_size: a whole number.
        stride: likewise; by default the pool size, so that windows touch and do not overlap.
        padding: 'valid', 'same', or a whole number less than the pool size, on both sides.
        input_shape: (L, C); needed where it cannot be inferred from the layer before.

    Raises:
        ValueError: an argument is none of these; or the window is larger than the input and padding is 'valid'.
    """

    @explained(LAYER_KEYWORDS)
    def __init__(self, pool_size, *, stride=None, padding='valid', input_shape=None):
        stride = None if stride is None else _row(stride, 'stride')
        padding = padding if isinstance(padding, str) else (0, padding)
        super().__init__(_row(pool_size, 'pool_size'), stride=stride, padding=padding, input_shape=input_shape)


class AveragePooling1D(OverSignals, AveragePooling):
    """Take the mean of each window of a signal, channel by channel.

    Shape: (N, L, C) -> (N, P, C), with P as for the columns of `AveragePooling`. Gradient: as for `AveragePooling`.

    Args:
        pool_size, stride, padding, input_shape: as for `MaxPooling1D`.

    Raises:
        ValueError: as for `MaxPooling1D`.
    """

    @explained(LAYER_KEYWORDS)
    def __init__(self, pool_size, *, stride=None, padding='valid', input_shape=None):
        stride = None if stride is None else _row(stride, 'stride')
        padding = padding if isinstance(padding, str) else (0, padding)
        super().__init__(_row(pool_size, 'pool_size'), stride=stride, padding=padding, input_shape=input_shape)


def _row(size, name):
    return 1, checked_size(size, name)
