"""Parameter: an array that training changes."""

import numpy as np


class Parameter:
    """An array that training changes, with its gradient beside it.

    Attributes:
        name: 'weights' or 'bias'.
        value: the numbers; optimizers change them in place.
        grad: the gradient of the mean loss by `value`, of the same shape and dtype, written by `backward`.
        trainable: False keeps optimizers away.
    """

    def __init__(self, name, value, trainable=True):
        self.name = name
        self.value = value
        self.grad = np.zeros_like(value)
        self.trainable = trainable

    def __repr__(self):
        return f'Parameter({self.name!r}, shape={self.value.shape}, dtype={self.value.dtype})'
