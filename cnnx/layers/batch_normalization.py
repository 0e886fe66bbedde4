"""BatchNormalization: channels of mean 0 and variance 1."""

import math

import numpy as np

from cnnx import kernels
from cnnx._util.foreign_names import LAYER_KEYWORDS
from cnnx._util.hints import explained
from cnnx._util.validation import non_negative, positive
from cnnx.layers.base import Layer


class BatchNormalization(Layer):
    """Bring each channel to mean 0 and variance 1, then to a scale and place that are learned.

    y = gamma (x - mean) / sqrt(variance + epsilon) + beta, channel by channel. In training, mean and variance
    are those of the batch, over samples and pixels (the variance divides by their number), and the running ones
    follow: running = momentum running + (1 - momentum) batch, where the batch's variance divides by their
    number less one, as in PyTorch. Otherwise, and where the layer is not trainable, they are the running ones.
    A batch of one row says nothing of the variance, and leaves the running one as it is.

    Shape: (N, ..., C) -> (N, ..., C), such as (N, C) or (N, H, W, C). gamma, beta, running_mean and running_variance:
    (C,); the two last are no parameters to optimizers. Gradient, with s = gamma / sqrt(variance + epsilon) and
    n for the normalized x: dgamma = sum of dy n; dbeta = sum of dy; in training dx = s (dy - mean of dy - n
    times the mean of dy n), else dx = s dy.

    Source: Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal
    covariate shift", 2015, algorithm 1.

    Args:
        momentum: how much of the running mean and variance stays in a step, at least 0 and less than 1.
            (PyTorch calls the rest momentum: its 0.1 is 0.9 here.)
        epsilon: what is added to a variance, more than 0.
        input_shape: such as (C,) or (H, W, C); needed where it cannot be inferred from the layer before.

    Raises:
        ValueError: an argument is none of these.
    """

    adjustable = ('momentum', 'epsilon')
    planned = (*Layer.planned, 'epsilon')

    @explained(LAYER_KEYWORDS, 'the number of channels is left out: it follows from the layer before')
    def __init__(self, *, momentum=0.9, epsilon=1e-5, input_shape=None):
        super().__init__(input_shape)
        self.momentum = non_negative(momentum, 'momentum', below=1)
        self.epsilon = positive(epsilon, 'epsilon')  # so that a channel of equal numbers stays finite
        self._before = ()  # the running mean and variance before the latest batch

    def build(self, input_shape):
        channels = input_shape[-1:]
        self.add_parameter('gamma', channels, 'ones')
        self.add_parameter('beta', channels, 'zeros')
        self.add_parameter('running_mean', channels, 'zeros', trainable=False)
        self.add_parameter('running_variance', channels, 'ones', trainable=False)

    def forward(self, x, training=False):
        x = self.check_input(x)
        gamma, beta, mean, variance = (parameter.value for parameter in self.parameters)
        positions, threads = _positions(x), kernels.threads_for(x.size)
        of_batch = training and self.trainable
        if of_batch:
            mean, variance = self.empty('mean', mean.shape), self.empty('variance', mean.shape)
            kernels.current().batchnorm_statistics(positions, mean, variance, threads)
            self.follow(mean, variance, math.prod(positions.shape[:2]))
        y = self.empty('y', x.shape)
        self._saved = (x, mean, variance, of_batch)
        passed = (positions, mean, variance, gamma, beta, _positions(y))
        kernels.current().batchnorm_forward(*passed, self.epsilon, threads)
        return y

    def backward(self, dy):
        dy = self.check_gradient(dy)
        x, mean, variance, of_batch = self._saved
        gamma, beta = self.parameters[:2]
        # Of a layer that is frozen, nobody needs the gradients.
        dgamma, dbeta = (
            parameter.grad if self.trainable else self.empty(f'd{parameter.name}', parameter.value.shape)
            for parameter in (gamma, beta)
        )
        dx = self.empty('dx', x.shape)
        passed = (_positions(x), mean, variance, gamma.value, _positions(dy), dgamma, dbeta, _positions(dx))
        kernels.current().batchnorm_backward(*passed, self.epsilon, of_batch, kernels.threads_for(x.size))
        return dx

    def scale_and_shift(self):
        """Return what the layer computes in prediction, y = scale x + shift: two float64 arrays (C,)."""
        gamma, beta, mean, variance = (parameter.value.astype(np.float64) for parameter in self.parameters)
        scale = gamma / np.sqrt(variance + self.epsilon)
        return scale, beta - mean * scale

    def undo(self):
        """Undo the step of the running mean and variance in the latest training pass."""
        if self.trainable:
            for parameter, before in zip(self._parameters[2:], self._before, strict=False):
                parameter.value = before

    def follow(self, mean, variance, rows):
        """Move the running mean and variance towards those of a batch of so many rows."""
        running_mean, running_variance = (parameter.value for parameter in self._parameters[2:])
        self._before = running_mean.copy(), running_variance.copy()
        pairs = [(running_mean, mean)] if rows > 0 else []
        if rows > 1:
            pairs.append((running_variance, variance * (rows / (rows - 1))))
        for running, batch in pairs:
            running *= self.momentum
            running += (1 - self.momentum) * batch


def _positions(array):
    """Return (N, ..., C) as (N, positions, C), which kernels take."""
    return array.reshape(len(array), math.prod(array.shape[1:-1]), array.shape[-1])
