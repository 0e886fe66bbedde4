"""Convolutional: filters that slide over an image; grouped, depthwise and dilated ones too."""

import numpy as np

from cnnx import kernels
from cnnx._util.foreign_names import LAYER_KEYWORDS
from cnnx._util.hints import explained
from cnnx._util.validation import checked_size
from cnnx._util.windows import as_images, check_image, checked_padding, pair, window_over
from cnnx.layers.weighted import WeightedLayer

ALGORITHMS = ('auto', 'direct', 'winograd')
# Of channels and filters, from which on Winograd's method is faster; with max-pooling after it, a block that computes
# directly visits only the largest numbers on its way back.
LEAST_CHANNELS, LEAST_POOLED_CHANNELS = 8, 24


class Convolutional(WeightedLayer):
    """Slide filters over an image: y[p, q, f] = sum over r, s, c of x[p + r, q + s, c] weights[r, s, c, f] + bias[f].

    (This is cross-correlation, which deep learning calls convolution: the filter is not flipped.)

    Shape: (N, H, W, C) -> (N, P, Q, num_filters), with P, Q after `cnnx._util.windows.window_over`.
    weights: (kernel_height, kernel_width, C / groups, num_filters); bias: (num_filters,).
    Gradient: dweights[r, s, c, f] = sum of x[p + r, q + s, c] dy[p, q, f]; dbias = sum of dy; dx adds
    weights times dy back to every pixel that a window covered.

    With groups, channels and filters are cut into so many parts, and each part of the filters sees its part of the
    channels alone. With as many groups as channels, this is a depthwise convolution (Howard et al., "MobileNets",
    2017), which has kernels of its own.

    Args:
        num_filters: how many filters, and so channels of the output.
        kernel_size, stride: a whole number, or a pair (height, width), in pixels.
        padding: 'valid', 'same', or a number of pixels, or a pair (height, width), on both sides.
        input_shape: (H, W, C); needed where it cannot be inferred from the layer before.
        kernel_initializer: 'he_normal', 'he_uniform', 'glorot_normal', 'glorot_uniform', 'lecun_normal',
            'normal', 'uniform', 'zeros', 'orthogonal', or a function of (rng, shape, dtype).
        l2: this, times the sum of the squares of the weights, is added to the loss in training.
        dilation: a whole number, or a pair: how far apart, in pixels, those that a filter reads are (Yu and Koltun,
            "Multi-scale context aggregation by dilated convolutions", 2016).
        groups: a whole number that divides C and num_filters.
        use_bias: whether a bias is added. Before a BatchNormalization it has no effect.
        algorithm: 'direct'; 'winograd' for filters of 3 x 3 with stride 1, which takes a quarter of the multiplications
            and rounds less exactly (docs/performance.md); or 'auto', which takes Winograd's method where it is faster:
            on the fast path, in float32, from 8 channels and filters on (from 24 before a max-pooling).

    Raises:
        ValueError: an argument is none of these; or the kernel is larger than the input.

    Source: LeCun et al., "Gradient-based learning applied to document recognition", 1998, section II.A.
    """

    adjustable = (*WeightedLayer.adjustable, 'algorithm')
    planned = (*WeightedLayer.planned, 'algorithm')

    @explained(LAYER_KEYWORDS, 'the number of input channels is left out: it follows from the layer before')
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
        algorithm='auto',
    ):
        super().__init__(kernel_initializer, input_shape, l2, use_bias)
        self.num_filters = checked_size(num_filters, 'num_filters')
        self.kernel_size = pair(kernel_size, 'kernel_size')
        self.stride = pair(stride, 'stride')
        self.padding = checked_padding(padding, numbers=True)
        pair(dilation, 'dilation')
        self.dilation = tuple(dilation) if isinstance(dilation, list) else dilation
        self.groups = checked_size(groups, 'groups')
        if self.num_filters % self.groups:
            raise ValueError(f'groups: expected a divisor of num_filters, {num_filters}, got {groups}')
        if algorithm not in ALGORITHMS:
            raise ValueError(f'algorithm: expected one of {", ".join(ALGORITHMS)}, got {algorithm!r}')
        if algorithm == 'winograd' and not self._suits_winograd:
            raise ValueError(
                "algorithm: 'winograd' needs kernel_size 3, stride 1, dilation 1 and groups 1, got "
                f'{self.kernel_size}, {self.stride}, {dilation} and {groups}; "auto" takes it where it can'
            )
        self.algorithm = algorithm

    @property
    def _suits_winograd(self):
        return self.kernel_size == (3, 3) and self.stride == (1, 1) and self._is_whole

    def fast_algorithm(self, pooled):
        """Return how blocks compute it, 'direct' or 'winograd'; `pooled` says whether max-pooling comes after it."""
        if self.algorithm != 'auto':
            return self.algorithm
        least = LEAST_POOLED_CHANNELS if pooled else LEAST_CHANNELS
        wide = min(self.input_shape[-1], self.num_filters) >= least
        return 'winograd' if wide and self._suits_winograd and self.dtype == np.float32 else 'direct'

    @property
    def is_plain(self):
        """Whether blocks compute it: it is neither grouped nor dilated, or has one filter for each channel."""
        return self._is_whole or (self.is_depthwise and self.num_filters == self.groups)

    @property
    def _is_whole(self):
        """Whether it is neither grouped nor dilated."""
        return self.groups == 1 and pair(self.dilation, 'dilation') == (1, 1)

    @property
    def is_depthwise(self):
        """Whether each filter sees one channel alone."""
        return self.groups == self.input_shape[-1] > 1

    def output_shape(self, input_shape):
        check_image(input_shape)
        if input_shape[2] % self.groups:
            raise ValueError(f'groups: expected a divisor of the {input_shape[2]} channels, got {self.groups}')
        return (*self._window(input_shape)[1], self.num_filters)

    def build(self, input_shape):
        self.window, _ = self._window(input_shape)
        shape = (*self.kernel_size, input_shape[2] // self.groups, self.num_filters)
        self.add_parameter('weights', shape, self.kernel_initializer)
        self.add_bias(self.num_filters)

    def forward(self, x, training=False):
        x = self.check_input(x)
        y = self.empty('y', (len(x), *self.shape))
        self._saved = (x,)
        arrays = self.weights, self.bias_arrays()[0], as_images(y), self.window, self._threads(x)
        if self.is_depthwise:
            kernels.current().depthwise_forward(self._channel_of_each_filter(x), *arrays)
        else:
            self._kernel('forward')(as_images(x), *arrays)
        return y

    def backward(self, dy):
        dy = self.check_gradient(dy)
        (x,) = self._saved
        weights, (_, dbias) = self.parameters[0], self.bias_arrays()
        dx, images = self.empty('dx', x.shape), as_images(dy)
        how = self.window, self._threads(x)
        if self.is_depthwise:
            if self.trainable:
                channels = self._channel_of_each_filter(x)
                kernels.current().depthwise_backward_weights(channels, images, weights.grad, dbias, *how)
            count = self.num_filters // self.groups
            of_filters = dx if count == 1 else self.empty('dx_of_filters', (*x.shape[:-1], self.num_filters))
            kernels.current().depthwise_backward_input(weights.value, images, as_images(of_filters), *how)
            if count > 1:
                dx[...] = of_filters[..., ::count]
                for i in range(1, count):
                    dx += of_filters[..., i::count]
        else:
            if self.trainable:
                self._kernel('backward_weights')(as_images(x), images, weights.grad, dbias, *how)
            self._kernel('backward_input')(weights.value, images, as_images(dx), *how)
        return dx

    def _kernel(self, of):
        """Return the kernel of a pass on the plain path."""
        return getattr(kernels.current(), f'{"winograd" if self.algorithm == "winograd" else "convolution"}_{of}')

    def _channel_of_each_filter(self, x):
        """Return images (N, H, W, num_filters) with the channel that each filter of a depthwise convolution sees."""
        count = self.num_filters // self.groups
        return as_images(x) if count == 1 else np.repeat(as_images(x), count, axis=-1)

    def _window(self, input_shape):
        dilation = pair(self.dilation, 'dilation')
        return window_over(input_shape[:2], self.kernel_size, self.stride, self.padding, dilation)

    def _threads(self, x):
        return kernels.threads_for(len(x) * self.multiply_adds)
