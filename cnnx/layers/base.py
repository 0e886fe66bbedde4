"""Layer: the base class of all layers, and of your own."""

import math

import numpy as np

from cnnx._util.arrays import as_kernels_read, as_numbers
from cnnx._util.foreign_names import LAYER_KEYWORDS, OF_LAYER
from cnnx._util.hints import Hinted, explained
from cnnx._util.representation import arguments_of
from cnnx._util.validation import check_dtype, is_whole, non_negative, true_or_false
from cnnx._util.windows import batch_shape, shape_of_sample
from cnnx.initializers import get_initializer
from cnnx.layers import wiring
from cnnx.layers.parameter import Parameter


class Layer(Hinted):
    """One step of a network: y = f(x) forward, dx from dy backward.

    A layer of your own is a subclass. It defines

        forward(self, x, training)       return y, (N, *output shape), for a batch x, (N, *input shape)
        backward(self, dy)               return dx, of x's shape, and write the gradients of the parameters

    and may define

        output_shape(self, input_shape)  the shape of one output sample; by default that of the input
        build(self, input_shape)         add the parameters: self.add_parameter(name, shape, initializer)

    What backward needs, forward keeps in attributes of self. Arrays are of the network's dtype, `self.dtype`, and those
    returned have to be. Call `super().__init__()`; keep the constructor's arguments in attributes of their names, and
    files can hold the layer.

    Attributes:
        input_shape: of one input sample, without the batch axis; None until it is known.
        shape: of one output sample; None until then.
        dtype: of parameters and computation; None until then.
        index: its place in its network, or None.
        trainable: False freezes it: training leaves its parameters as they are.
        generator: where its random numbers come from: its network's `numpy.random.Generator`, or its own.
        l2: how much the squares of its parameter 'weights' add to the loss.
        only_in_training: whether it returns its input unchanged, except in training.
        merges: whether x and dx are lists of arrays, from several layers (`cnnx.layers.merging`).
        adjustable: the settings that may be changed before a run is resumed.
        planned: the settings that a network's plan depends on; it is rebuilt when one of them changes.
    """

    _elsewhere = OF_LAYER
    only_in_training = False
    merges = False
    called = False  # on a value, such as Input(shape)
    l2 = 0.0
    adjustable = ('l2',)
    planned = ('trainable', 'l2')
    network_changes = None  # the network's flag that its plan is out of date

    @explained(LAYER_KEYWORDS)
    def __init__(self, input_shape=None):
        self.input_shape = None if input_shape is None else shape_of_sample(input_shape, 'input_shape')
        self.shape = None
        self.dtype = None
        self.index = None
        self.trainable = True
        self.generator = None
        self.buffers = None  # arrays that `empty` returns, set by a plan during a pass
        self._parameters = []
        self._is_set_up = False
        self._weights_of_file = None  # values for `add_parameter`, set by `set_up`
        self._saved = None  # what `backward` needs of the latest forward pass; its first entry has N rows

    def __setattr__(self, name, value):
        if name in self._elsewhere and type(self).__module__.startswith('cnnx.'):  # else it is one of the user's own
            raise AttributeError(f'{type(self).__name__}.{name}: here {self._elsewhere[name]}')
        if name == 'trainable':
            value = true_or_false(value, 'trainable')
        elif name == 'l2':
            value = non_negative(value, 'l2')
        changed = name in self.planned and vars(self).get(name) != value
        super().__setattr__(name, value)
        if changed:
            self.report_change()

    def check_constructed(self):
        """Raise a TypeError if a constructor of the user's own has not called that of this class."""
        if '_parameters' not in vars(self):
            raise TypeError(f'{type(self).__name__}.__init__: call super().__init__() first')

    def __call__(self, x, training=False):
        """Return what the layer gives: for arrays as `forward` does, for an `Input` or another value a value."""
        self.check_constructed()
        return wiring.connect(self, x) if wiring.holds_values(x) else self.forward(x, training)

    def __getstate__(self):
        return {**vars(self), '_saved': None, 'buffers': None}

    def __repr__(self):
        arguments = {'input_shape': self.input_shape, **self.settings()}
        return f'{type(self).__name__}({", ".join(f"{key}={value!r}" for key, value in arguments.items())})'

    # What a kind of layer defines.

    def forward(self, x, training=False):
        """Return y, (N, *shape), for a batch x, (N, *input_shape).

        A layer alone takes its shapes, and its dtype if that is float64, from the first x.

        Raises:
            ValueError: x has another shape, or does not hold numbers.
        """
        raise NotImplementedError(f'{type(self).__name__}.forward: define forward(self, x, training), which returns y')

    def backward(self, dy):
        """Return dx for dy, both of the latest forward pass, and write the gradients of the parameters.

        Raises:
            RuntimeError: there was no forward pass.
            ValueError: dy has another shape than y had.
        """
        raise NotImplementedError(f'{type(self).__name__}.backward: define backward(self, dy), which returns dx')

    def output_shape(self, input_shape):
        """Return the shape of one output sample, or raise a ValueError if the input does not fit."""
        return input_shape

    def build(self, input_shape):
        """Add the parameters, by `add_parameter`."""

    def checked_input_shape(self, input_shape):
        """Return the shape of one input sample as a tuple of whole numbers, or, if it merges, such shapes."""
        if self.merges:
            return tuple(shape_of_sample(shape, 'input_shape') for shape in input_shape)
        return shape_of_sample(input_shape, 'input_shape')

    def settings(self):
        """Return the constructor's arguments, but for `input_shape`, as JSON can hold them."""
        return {name: value for name, value in arguments_of(self).items() if name != 'input_shape'}

    @property
    def multiply_adds(self):
        """Multiply-adds of one sample's forward pass; 0 for layers that only compare, move or scale."""
        return 0

    def undo(self):
        """Undo what the latest training pass changed beside gradients: nothing, in most layers."""

    # What layers are written with.

    def add_parameter(self, name, shape, initializer='zeros', trainable=True):
        """Add a parameter and return it; to be called by `build`.

        Args:
            name: a name that none of the layer's others has.
            shape: of its array, a tuple or a whole number.
            initializer: the name of one of `cnnx.initializers`, or a function of (rng, shape, dtype).
            trainable: False for numbers that the layer keeps and training does not change.

        Raises:
            RuntimeError: it is called elsewhere.
            ValueError: the name is taken, or the initializer is none, or does not give finite floats of the shape.
        """
        self.check_constructed()
        if self.dtype is None:
            raise RuntimeError(f'{type(self).__name__}: call add_parameter in build, where shapes and dtype are known')
        if any(parameter.name == name for parameter in self._parameters):
            raise ValueError(f'expected parameters of different names, got {name} twice')
        shape = (shape,) if is_whole(shape) else tuple(shape)
        if self._weights_of_file is not None:
            value = self._weights_of_file(name, shape)
        else:
            value = np.asarray(get_initializer(initializer)(self.generator, shape, self.dtype))
        if value.shape != shape or value.dtype.kind != 'f':
            raise ValueError(
                f'initializer of {name}: expected an array of floats of shape {shape}, '
                f'got {value.dtype} of shape {value.shape}'
            )
        if self._weights_of_file is None and not np.isfinite(value).all():
            raise ValueError(f'initializer of {name}: expected finite numbers, got NaN or infinity among them')
        self._parameters.append(Parameter(name, value.astype(self.dtype), trainable, self))
        return self._parameters[-1]

    def empty(self, name, shape, dtype=None):
        """Return an array to write a result into, by default of the layer's dtype.

        In a network, it is the one of this name from the batch before, where that is large enough.
        """
        dtype = self.dtype if dtype is None else dtype
        return np.empty(shape, dtype) if self.buffers is None else self.buffers.empty(name, shape, dtype)

    def check_input(self, x):
        """Return a batch as kernels read it; a layer that has no shapes yet takes them from it."""
        x = as_numbers(x, f'{self.where} input')
        if self.shape is None:
            if x.ndim < 2:
                raise ValueError(f'{self.where}: expected input (N, ...), got {x.shape}; add a batch axis')
            self.set_up(x.shape[1:], dtype='float64' if x.dtype == np.float64 else 'float32')
        self.check_shape(x, self.input_shape, 'input')
        return as_kernels_read(x, self.dtype)

    def check_gradient(self, dy):
        """Return the gradient of the latest forward pass's y as kernels read it."""
        if self._saved is None:
            raise RuntimeError(f'{self.where}: backward needs a forward pass before it; call forward(x)')
        dy, samples = as_numbers(dy, f'{self.where} output gradient'), len(self._saved[0])
        self.check_shape(dy, self.shape, 'output gradient')
        if len(dy) != samples:
            raise ValueError(
                f'{self.where}: expected the gradient of {samples} samples, as in the latest forward pass, '
                f'got {len(dy)}'
            )
        return as_kernels_read(dy, self.dtype)

    # What networks call.

    def set_up(self, input_shape=None, rng=None, dtype='float32', weights=None):
        """Settle shapes and dtype, and draw the weights; does nothing to a layer that is set up so already.

        Args:
            input_shape: of one sample; may be left out where the layer was given one.
            rng: a `numpy.random.Generator` for `generator`, or a seed for one; by default 0.
            dtype: 'float32' or 'float64'.
            weights: a function of a parameter's name and shape that returns its value, in place of drawing it.

        Returns:
            The layer itself.

        Raises:
            ValueError: no input shape is known, or the layer cannot take this one.
        """
        shape = self.input_shape if input_shape is None else self.checked_input_shape(input_shape)
        if shape is None:
            raise ValueError(f'{self.where}: the shape of its input is not known; give it an input_shape')
        if self.input_shape not in (None, shape):
            raise ValueError(f'{self.where}: expected input {self.input_shape}, got {shape}')
        dtype = check_dtype(dtype)
        if self.shape is not None and self.dtype == dtype:
            return self
        before = {**vars(self), '_parameters': list(self._parameters)}
        self.input_shape, self.dtype, self._weights_of_file = shape, dtype, weights
        try:
            if rng is not None or self.generator is None:
                self.generator = np.random.default_rng(0 if rng is None else rng)
            if self.shape is None:
                self.shape = shape_of_sample(self.output_shape(shape), f'{type(self).__name__}.output_shape')
                self.build(shape)
            for parameter in self._parameters:
                if parameter.value.dtype != dtype:
                    parameter.convert(dtype)
        except BaseException as error:
            vars(self).update(before)
            if type(error) in (ValueError, MemoryError):
                raise type(error)(f'{self.where}: {error}') from None
            raise
        self._weights_of_file, self._is_set_up = None, True
        return self

    def report_change(self):
        """Have the network rebuild its plan: something that it depends on has changed."""
        if self.network_changes is not None:
            self.network_changes.any = True

    def penalty(self):
        """Return l2 times the sum of the squares of the weights."""
        weights = (p.value for p in self.parameters if p.name == 'weights')
        return self.l2 * sum(float(np.square(value).sum(dtype=np.float64)) for value in weights)

    def add_penalty_gradient(self):
        """Add the penalty's gradient to that of the weights."""
        for parameter in self.parameters:
            if parameter.name == 'weights' and parameter.learns:
                parameter.grad += 2 * self.l2 * parameter.value

    @property
    def where(self):
        """How errors name this layer."""
        return type(self).__name__ if self.index is None else f'layer {self.index} ({type(self).__name__})'

    @property
    def learns(self):
        """Whether training changes a parameter of the layer."""
        return any(parameter.learns for parameter in self.parameters)

    @property
    def frozen(self):
        """Whether it has parameters and training changes none."""
        return bool(self.parameters) and not self.learns

    @property
    def parameters(self):
        """Its `Parameter` objects, weights first; a layer whose input shape is known is set up for them."""
        if self.shape is None and self.input_shape is not None:
            self.set_up()
        return self._parameters

    @property
    def parameter_count(self):
        """How many numbers the layer has in its parameters."""
        return sum(parameter.value.size for parameter in self.parameters)

    def check_shape(self, array, sample_shape, what):
        """Raise a ValueError unless the array is a batch of samples of that shape."""
        if array.shape[1:] != sample_shape or array.ndim == 0:
            hint = self._hint(array.shape, sample_shape)
            raise ValueError(f'{self.where}: expected {what} {batch_shape(sample_shape)}, got {array.shape}{hint}')

    def _hint(self, shape, sample_shape):
        if shape == sample_shape:
            return '; add a batch axis: x[np.newaxis]'
        if (*shape[1:], 1) == sample_shape:
            return '; add a channel axis: x[..., np.newaxis]'
        if (*shape, 1) == sample_shape:
            return '; add batch and channel axes: x[np.newaxis, ..., np.newaxis]'
        if len(shape) == 4 and (*shape[2:], shape[1]) == sample_shape:
            return '; move the channels to the end: x.transpose(0, 2, 3, 1)'
        if (len(shape) == 2 or len(sample_shape) == 1) and math.prod(shape[1:]) == math.prod(sample_shape):
            return f'; reshape it: x.reshape({", ".join(map(str, (-1, *sample_shape)))})'
        return f'; check what layer {self.index - 1} gives' if self.index else ''
