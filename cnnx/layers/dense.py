"""Dense: the fully connected layer."""

from cnnx import kernels
from cnnx._util.foreign_names import LAYER_KEYWORDS
from cnnx._util.hints import explained
from cnnx._util.validation import checked_size
from cnnx._util.windows import shape_of_sample
from cnnx.layers.weighted import WeightedLayer


class Dense(WeightedLayer):
    """Connect every input to every output: y = x weights + bias.

    Shape: (N, input_size) -> (N, output_size). weights: (input_size, output_size); bias: (output_size,).
    Gradient: dweights = x^T dy; dbias = sum of dy over the samples; dx = dy weights^T.

    `Dense(400, 120)` gives both sizes; `Dense(120)`, or `Dense(output_size=120)`, takes its input size from the layer
    before.

    Args:
        sizes: the output size, or the input size and the output size.
        input_size, output_size: the same by name: how many numbers a sample has before and after.
        kernel_initializer: as for `Convolutional`.
        input_shape: another way to give the input size: (input_size,).
        l2, use_bias: as for `Convolutional`.

    Raises:
        ValueError: a size is not a whole number of at least 1, or the output size is missing.
    """

    @explained(LAYER_KEYWORDS)
    def __init__(
        self,
        *sizes,
        input_size=None,
        output_size=None,
        kernel_initializer='he_normal',
        input_shape=None,
        l2=0.0,
        use_bias=True,
    ):
        if len(sizes) > 2 or (sizes and (input_size is not None or output_size is not None)):
            raise ValueError('Dense: expected Dense(output_size) or Dense(input_size, output_size); name the others')
        if sizes:
            input_size, output_size = (None, *sizes)[-2:]
        if output_size is None:
            raise ValueError('Dense: give both sizes, Dense(400, 120), or the output size alone, Dense(120)')
        if input_size is not None:
            shape = (checked_size(input_size, 'input_size'),)
            if input_shape is not None and shape_of_sample(input_shape, 'input_shape') != shape:
                raise ValueError(f'Dense: input_size {input_size} and input_shape {input_shape} contradict each other')
            input_shape = shape
        super().__init__(kernel_initializer, input_shape, l2, use_bias)
        self.output_size = checked_size(output_size, 'output_size')

    @property
    def input_size(self):
        return None if self.input_shape is None else self.input_shape[0]

    def output_shape(self, input_shape):
        if len(input_shape) != 1:
            raise ValueError(f'expected input (size,), got {input_shape}; put a Flatten before it')
        return (self.output_size,)

    def build(self, input_shape):
        self.add_parameter('weights', (*input_shape, self.output_size), self.kernel_initializer)
        self.add_bias(self.output_size)

    def forward(self, x, training=False):
        x = self.check_input(x)
        y = self.empty('y', (len(x), self.output_size))
        self._saved = (x,)
        bias, _ = self.bias_arrays()
        kernels.current().dense_forward(x, self.weights, bias, y, self._threads(x))
        return y

    def backward(self, dy):
        dy = self.check_gradient(dy)
        (x,) = self._saved
        weights, (_, dbias) = self.parameters[0], self.bias_arrays()
        if self.trainable:
            kernels.current().dense_backward_weights(x, dy, weights.grad, dbias, self._threads(x))
        dx = self.empty('dx', x.shape)
        kernels.current().dense_backward_input(weights.value, dy, dx, self._threads(x))
        return dx

    def _threads(self, x):
        return kernels.threads_for(len(x) * self.multiply_adds)
