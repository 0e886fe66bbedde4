"""Parameter: an array that training changes, with its gradient."""

import numpy as np

from cnnx._util.arrays import array_with_slack, as_numbers, copy_with_slack


class ParametersByName(dict):
    """Parameters by name, what `Network.parameters` returns."""

    def __call__(self):
        raise TypeError('parameters: a dict, without parentheses: net.parameters.values(); compile takes no parameters')


class Parameter:
    """An array that training changes, with its gradient.

    `value` and `grad` stay the same two arrays for the parameter's life, since kernels are handed them unchecked:
    assigning copies into them, and a wrong shape is a ValueError.

    Attributes:
        name: which of its layer's parameters it is: 'weights', 'bias', ...
        value: the numbers; optimizers change them in place.
        grad: the gradient of the mean loss by `value`, of the same shape and dtype, written by `backward`.
        state: what the optimizer keeps of the parameter between steps: arrays of the same shape, by name.
        updates: how many steps an optimizer has taken with it since `state` was new.
        trainable: False freezes it.
        layer: the layer that it belongs to, or None.
    """

    def __init__(self, name, value, trainable=True, layer=None):
        self.name = name
        self.layer = layer
        self.state = {}
        self.updates = 0
        self._trainable = trainable
        self._value = copy_with_slack(np.asarray(value))
        self._grad = array_with_slack(self._value.shape, self._value.dtype)

    def __setstate__(self, state):
        vars(self).update(state)
        self._value, self._grad = copy_with_slack(self._value), copy_with_slack(self._grad)
        # joblib may have mapped the arrays from a file, to be read only.
        self.state = {name: np.array(array) for name, array in self.state.items()}

    def __repr__(self):
        return f'Parameter({self.name!r}, shape={self.value.shape}, dtype={self.value.dtype})'

    @property
    def trainable(self):
        return self._trainable

    @trainable.setter
    def trainable(self, trainable):
        changed = trainable != self._trainable
        self._trainable = trainable
        if changed and self.layer is not None:
            self.layer.report_change()

    def _no_requires_grad(self, *value):
        raise AttributeError('Parameter.requires_grad: here trainable, of a parameter or of a layer')

    requires_grad = property(_no_requires_grad, _no_requires_grad)

    @property
    def learns(self):
        """Whether optimizers change it: neither it nor its layer is frozen."""
        return self._trainable and (self.layer is None or self.layer.trainable)

    @property
    def value(self):
        return self._value

    @value.setter
    def value(self, numbers):
        self._copy(numbers, self._value)

    @property
    def grad(self):
        return self._grad

    @grad.setter
    def grad(self, numbers):
        self._copy(numbers, self._grad)

    def convert(self, dtype):
        """Turn value and gradient into arrays of another dtype, and forget the optimizer's state."""
        self._value = copy_with_slack(self._value.astype(dtype))
        self._grad = array_with_slack(self._value.shape, dtype)
        self.state, self.updates = {}, 0

    def _copy(self, numbers, target):
        numbers = as_numbers(numbers, self.name)
        if numbers.shape != target.shape:
            raise ValueError(f'expected {self.name} of shape {target.shape}, got {numbers.shape}')
        target[...] = numbers
