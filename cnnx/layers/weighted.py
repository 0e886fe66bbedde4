"""WeightedLayer: what layers with weights and a bias share."""

import math

import numpy as np

from cnnx._util.arrays import array_with_slack
from cnnx._util.validation import true_or_false
from cnnx.initializers import describe_initializer, get_initializer
from cnnx.layers.base import Layer


class WeightedLayer(Layer):
    """A layer with weights and a bias, or without one: what Convolutional and Dense share."""

    def __init__(self, kernel_initializer, input_shape, l2, use_bias):
        super().__init__(input_shape)
        self.l2 = l2
        self.use_bias = true_or_false(use_bias, 'use_bias')
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
        """The bias, an array to read and to write; assigning copies into it. None without one."""
        return self._parameter(1).value if self.use_bias else None

    @bias.setter
    def bias(self, value):
        self._assign(1, value)

    def add_bias(self, size):
        if self.use_bias:
            self.add_parameter('bias', (size,))

    def bias_arrays(self):
        """Return the bias and its gradient; without a bias zeros, and an array that nothing reads."""
        if self.use_bias:
            return self._parameter(1).value, self._parameter(1).grad
        size = self.shape[-1]
        return array_with_slack((size,), self.dtype), np.empty(size, self.dtype)

    @property
    def multiply_adds(self):
        """One for each weight and each output position that it takes part in."""
        return math.prod(self.shape[:-1]) * self.parameters[0].value.size

    def settings(self):
        settings = super().settings()
        if 'kernel_initializer' in settings:
            settings['kernel_initializer'] = describe_initializer(self.kernel_initializer)
        for name in ('padding', 'dilation'):
            if isinstance(settings.get(name), int):  # files compare pairs
                settings[name] = settings[name], settings[name]
        return settings

    def _parameter(self, position):
        if self.shape is None:
            self.set_up()
        return self._parameters[position]

    def _assign(self, position, value):
        parameter = self._parameter(position)
        try:
            parameter.value = value
        except ValueError as error:
            raise ValueError(f'{self.where}: {error}') from None
