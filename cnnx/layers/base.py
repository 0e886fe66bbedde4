"""What all layers share: shapes, checks at the border, parameters."""

import math

import numpy as np

from cnnx import kernels
from cnnx._util.arrays import as_kernels_read, as_numbers, new_array
from cnnx._util.validation import check_dtype, non_negative
from cnnx._util.windows import batch_shape, shape_of_sample
from cnnx.initializers import describe_initializer, get_initializer
from cnnx.layers.parameter import Parameter


class Layer:
    """One step of a network: y = f(x), and dx from dy.

    A layer works alone: `forward`, then `backward`, which differentiates the latest forward pass; keep
    that pass's x and y unchanged in between. In a network, plan.py calls `compute` and
    `compute_gradient`, which trust their arguments, and lends the arrays that they write into.

    A kind of layer defines `_output_shape`, `compute` and `compute_gradient`, and `settings` if its
    constructor takes any. One with parameters names them in `parameter_names`, and defines
    `_parameter_shapes` and `_new_parameters`.

    Attributes:
        input_shape, output_shape: of one sample, without the batch axis; None until the layer is built.
        index: its place in its network, or None.
        trainable: False freezes it: training leaves its parameters as they are, and computes no gradient of them.
        generator: where its random numbers come from, as weights and as it trains: its network's, or its own.
        only_in_training: whether it gives back what it is given, except in training.
        l2: how much the squares of its weights add to the loss.
        adjustable: which of its settings a run may go on with others of.
        planned: which of them a plan takes over as they are.
    """

    parameter_names = ()
    only_in_training = False
    l2 = 0.0
    adjustable = ('l2',)
    planned = ()

    def __init__(self, input_shape=None):
        self.input_shape = None if input_shape is None else shape_of_sample(input_shape, 'input_shape')
        self.output_shape = None
        self.dtype = None
        self.index = None
        self.trainable = True
        self.generator = None
        self._parameters = []
        self._saved = None

    def __getstate__(self):
        return {**vars(self), '_saved': None}

    def __repr__(self):
        arguments = {'input_shape': self.input_shape, **self.settings()}
        return f'{type(self).__name__}({", ".join(f"{key}={value!r}" for key, value in arguments.items())})'

    @property
    def where(self):
        """How errors name this layer."""
        return type(self).__name__ if self.index is None else f'layer {self.index} ({type(self).__name__})'

    @property
    def learns(self):
        """Whether training changes a parameter of the layer."""
        return self.trainable and any(parameter.trainable for parameter in self.parameters)

    @property
    def frozen(self):
        """Whether it has parameters and training changes none."""
        return bool(self.parameters) and not self.learns

    @property
    def parameters(self):
        """Its `Parameter` objects, weights first; a layer whose input shape is known is built for them."""
        if self.output_shape is None and self.input_shape is not None:
            self.build()
        return self._parameters

    @property
    def multiply_adds(self):
        """Multiply-adds of one sample's forward pass; 0 for layers that only compare, move or scale."""
        return 0

    @property
    def parameter_count(self):
        """How many numbers the layer learns."""
        return sum(parameter.value.size for parameter in self.parameters)

    def settings(self):
        """Return the constructor's arguments, but for `input_shape`, as JSON can hold them."""
        return {}

    def parameter_shapes(self):
        """Return {name: shape} of the parameters that `build` makes; takes no memory for them."""
        if self.parameter_names and self.input_shape is None:
            raise ValueError(f'{self.where}: the shape of its input is not known')
        return dict(zip(self.parameter_names, self._parameter_shapes(), strict=True))

    def build(self, input_shape=None, rng=None, dtype='float32'):
        """Settle shapes and dtype and draw the weights; does nothing to a layer that is built so already.

        Args:
            input_shape: of one sample; may be left out where the layer was given one.
            rng: a `numpy.random.Generator` for `generator`, or a seed for one; by default 0.
            dtype: 'float32' or 'float64'.

        Returns:
            The layer itself.

        Raises:
            ValueError: no input shape is known, or the layer cannot take this one.
        """
        shape = self.input_shape if input_shape is None else shape_of_sample(input_shape, 'input_shape')
        if shape is None:
            raise ValueError(f'{self.where}: the shape of its input is not known; give it an input_shape')
        if self.input_shape not in (None, shape):
            raise ValueError(f'{self.where}: expected input {self.input_shape}, got {shape}')
        dtype = check_dtype(dtype)
        if self.output_shape is not None and self.dtype == dtype:
            return self
        before = vars(self).copy()
        self.input_shape, self.dtype = shape, dtype
        try:
            if rng is not None or self.generator is None:
                self.generator = np.random.default_rng(0 if rng is None else rng)
            self.output_shape = self._output_shape(shape)
            self._parameters = self._cast_parameters() or self._new_parameters(self.generator)
            names = [parameter.name for parameter in self._parameters]
            if len(set(names)) < len(names):
                raise ValueError(f'expected parameters of different names, got {", ".join(names)}')
        except BaseException as error:
            vars(self).update(before)
            for kind in (ValueError, MemoryError):
                if isinstance(error, kind):
                    raise kind(f'{self.where}: {error}') from None
            raise
        return self

    def forward(self, x, training=False):
        """Compute y, (N, *output_shape), from x, (N, *input_shape).

        A layer that is not built yet takes its shapes, and its dtype if that is float64, from x.

        Raises:
            ValueError: x has another shape, or does not hold numbers.
        """
        x = as_numbers(x, f'{self.where} input')
        if self.output_shape is None:
            if x.ndim < 2:
                raise ValueError(f'{self.where}: expected input (N, ...), got {x.shape}; add a batch axis')
            self.build(x.shape[1:], dtype='float64' if x.dtype == np.float64 else 'float32')
        self.check_shape(x, self.input_shape, 'input')
        return self.compute(as_kernels_read(x, self.dtype), training, new_array)

    def backward(self, dy):
        """Compute dx from dy, both of the latest forward pass, and write the gradients of the parameters.

        Raises:
            RuntimeError: there was no forward pass.
            ValueError: dy has another shape than the output had.
        """
        if self._saved is None:
            raise RuntimeError(f'{self.where}: backward needs a forward pass before it; call forward(x)')
        dy = as_numbers(dy, f'{self.where} output gradient')
        self.check_shape(dy, self.output_shape, 'output gradient')
        if len(dy) != len(self._saved[0]):
            raise ValueError(
                f'{self.where}: expected the gradient of {len(self._saved[0])} samples, as in the latest '
                f'forward pass, got {len(dy)}'
            )
        return self.compute_gradient(as_kernels_read(dy, self.dtype), new_array)

    def check_shape(self, array, sample_shape, what):
        """Raise a ValueError unless the array is a batch of samples of that shape."""
        if array.shape[1:] == sample_shape and array.ndim > 0:
            return
        hint = ''
        if array.shape == sample_shape:
            hint = '; add a batch axis: x[np.newaxis]'
        elif (*array.shape[1:], 1) == sample_shape:
            hint = '; add a channel axis: x[..., np.newaxis]'
        elif self.index:
            hint = f'; check what layer {self.index - 1} gives'
        raise ValueError(f'{self.where}: expected {what} {batch_shape(sample_shape)}, got {array.shape}{hint}')

    def _output_shape(self, input_shape):
        """Return the shape of one output sample, or raise a ValueError if the input does not fit."""
        raise NotImplementedError

    def _cast_parameters(self):
        return [Parameter(p.name, p.value.astype(self.dtype), p.trainable) for p in self._parameters]

    def _parameter_shapes(self):
        """Return the shapes of the parameters, in the order of their names."""
        return ()

    def _new_parameters(self, rng):
        return []

    def take_back(self):
        """Undo what the latest training pass changed beside gradients: nothing, in most layers."""

    def compute(self, x, training, empty):
        """Return y, written into an array from `empty(name, shape, dtype)`, and keep what backward needs.

        What is kept goes into `_saved`, a tuple whose first item is an array of the batch's length.
        """
        raise NotImplementedError

    def compute_gradient(self, dy, empty, input_gradient=True):
        """Return dx, or None where `input_gradient` is False, and write the parameters' gradients."""
        raise NotImplementedError


class WeightedLayer(Layer):
    """A layer with weights and a bias; what Convolutional and Dense share.

    A kind of layer names its kernels, `{kernel}_forward`, `{kernel}_backward_weights` and
    `{kernel}_backward_input`, and sets `_kernel_options` to what they take beside arrays.
    """

    kernel = None
    parameter_names = ('weights', 'bias')

    def __init__(self, kernel_initializer, input_shape, l2):
        super().__init__(input_shape)
        self._kernel_options = ()
        self.l2 = non_negative(l2, 'l2')
        self.kernel_initializer = get_initializer(kernel_initializer)

    @property
    def weights(self):
        """The weights, an array to read and to write; assigning copies into it."""
        return self._parameter(0).value

    @weights.setter
    def weights(self, value):
        self._assign(0, value)

    @property
    def bias(self):
        """The bias, an array to read and to write; assigning copies into it."""
        return self._parameter(1).value

    @bias.setter
    def bias(self, value):
        self._assign(1, value)

    @property
    def multiply_adds(self):
        """One for each weight and each output position that it takes part in."""
        return math.prod(self.output_shape[:-1]) * self.weights.size

    def settings(self):
        return {'kernel_initializer': describe_initializer(self.kernel_initializer), 'l2': self.l2}

    def _parameter(self, position):
        if self.output_shape is None:
            self.build()
        return self._parameters[position]

    def _assign(self, position, value):
        parameter = self._parameter(position)
        try:
            parameter.value = value
        except ValueError as error:
            raise ValueError(f'{self.where}: {error}') from None

    def _new_parameters(self, rng):
        shape = self._weights_shape()
        weights = np.asarray(self.kernel_initializer(rng, shape, self.dtype))
        if weights.shape != shape or weights.dtype.kind != 'f':
            raise ValueError(
                f'kernel_initializer: expected an array of floats of shape {shape}, '
                f'got {weights.dtype} of shape {weights.shape}'
            )
        if not np.isfinite(weights).all():
            raise ValueError('kernel_initializer: expected finite numbers, got NaN or infinity among them')
        weights, bias = weights.astype(self.dtype), np.zeros(shape[-1], self.dtype)
        return [Parameter('weights', weights), Parameter('bias', bias)]

    def penalty(self):
        """Return l2 times the sum of the squares of the weights."""
        return self.l2 * float(np.square(self.weights).sum(dtype=np.float64))

    def add_penalty_gradient(self):
        """Add the penalty's gradient to that of the weights."""
        if self.trainable:
            weights, _ = self.parameters
            weights.grad += 2 * self.l2 * weights.value

    def compute(self, x, training, empty):
        y = empty('y', (len(x), *self.output_shape), self.dtype)
        self._saved = (x,)
        self._run('forward', x, self.weights, self.bias, y)
        return y

    def compute_gradient(self, dy, empty, input_gradient=True):
        (x,) = self._saved
        weights, bias = self.parameters
        if self.trainable:
            self._run('backward_weights', x, dy, weights.grad, bias.grad)
        if not input_gradient:
            return None
        dx = empty('dx', x.shape, self.dtype)
        self._run('backward_input', weights.value, dy, dx)
        return dx

    def _run(self, name, *arrays):
        (x,) = self._saved
        kernel = getattr(kernels.current(), f'{self.kernel}_{name}')
        kernel(*arrays, *self._kernel_options, kernels.threads_for(len(x) * self.multiply_adds))

    def _parameter_shapes(self):
        shape = self._weights_shape()
        return shape, shape[-1:]

    def _weights_shape(self):
        raise NotImplementedError
