"""Convolutional: filters that slide over an image."""

from cnnx import kernels
from cnnx._util.foreign_names import LAYER_KEYWORDS
from cnnx._util.hints import explained
from cnnx._util.validation import checked_size
from cnnx._util.windows import check_image, checked_padding, pair, window_over
from cnnx.layers.base import WeightedLayer


class Convolutional(WeightedLayer):
    """Slide filters over an image: y[p, q, f] = sum over r, s, c of x[p + r, q + s, c] weights[r, s, c, f] + bias[f].

    (This is cross-correlation, which deep learning calls convolution: the filter is not flipped.)

    Shape: (N, H, W, C) -> (N, P, Q, num_filters), with P, Q after `cnnx._util.windows.window_over`.
    weights: (kernel_height, kernel_width, C, num_filters); bias: (num_filters,).
    Gradient: dweights[r, s, c, f] = sum of x[p + r, q + s, c] dy[p, q, f]; dbias = sum of dy; dx adds
    weights times dy back to every pixel that a window covered.

    Args:
        num_filters: how many filters, and so channels of the output.
        kernel_size, stride: a whole number, or a pair (height, width), in pixels.
        padding: 'valid' or 'same'.
        input_shape: (H, W, C); needed where it cannot be inferred from the layer before.
        kernel_initializer: 'he_normal', 'he_uniform', 'glorot_normal', 'glorot_uniform', 'lecun_normal',
            'normal', 'uniform', 'zeros', 'orthogonal', or a function of (rng, shape, dtype).
        l2: this, times the sum of the squares of the weights, is added to the loss in training.

    Raises:
        ValueError: an argument is none of these; or the kernel is larger than the input.
    """

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
    ):
        super().__init__(kernel_initializer, input_shape, l2)
        self.num_filters = checked_size(num_filters, 'num_filters')
        self.kernel_size = pair(kernel_size, 'kernel_size')
        self.stride = pair(stride, 'stride')
        self.padding = checked_padding(padding)

    def output_shape(self, input_shape):
        check_image(input_shape)
        _, positions = window_over(input_shape[:2], self.kernel_size, self.stride, self.padding)
        return (*positions, self.num_filters)

    def build(self, input_shape):
        self.window, _ = window_over(input_shape[:2], self.kernel_size, self.stride, self.padding)
        self.add_parameter('weights', (*self.kernel_size, input_shape[2], self.num_filters), self.kernel_initializer)
        self.add_parameter('bias', (self.num_filters,))

    def forward(self, x, training=False):
        x = self.check_input(x)
        y = self.empty('y', (len(x), *self.shape))
        self._saved = (x,)
        weights, bias = self.parameters
        kernels.current().convolution_forward(x, weights.value, bias.value, y, self.window, self._threads(x))
        return y

    def backward(self, dy):
        dy = self.check_gradient(dy)
        (x,) = self._saved
        weights, bias = self.parameters
        if self.trainable:
            kernels.current().convolution_backward_weights(
                x, dy, weights.grad, bias.grad, self.window, self._threads(x)
            )
        dx = self.empty('dx', x.shape)
        kernels.current().convolution_backward_input(weights.value, dy, dx, self.window, self._threads(x))
        return dx

    def _threads(self, x):
        return kernels.threads_for(len(x) * self.multiply_adds)
