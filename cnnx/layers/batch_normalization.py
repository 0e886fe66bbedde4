import math

import numpy as np

from cnnx import kernels
from cnnx._util.validation import non_negative, positive
from cnnx.layers.base import Layer
from cnnx.layers.parameter import Parameter


class BatchNormalization(Layer):
    """Bring each channel to mean 0 and variance 1, then to a scale and place that are learned.

    y = gamma (x - mean) / sqrt(variance + epsilon) + beta, channel by channel. In training, mean and variance
    are those of the batch, over samples and pixels (the variance divides by their number), and the running ones
    follow: running = momentum running + (1 - momentum) batch, where the batch's variance divides by their
    number less one, as in PyTorch. Otherwise, and where the layer is not trainable, they are the running ones.
    A batch of one row says nothing of the variance, and leaves the running one as it is.

    Shape: (N, C) -> (N, C), or (N, H, W, C) -> (N, H, W, C). gamma, beta, running_mean and running_variance:
    (C,); the two last are no parameters to optimizers. Gradient, with s = gamma / sqrt(variance + epsilon) and
    n for the normalized x: dgamma = sum of dy n; dbeta = sum of dy; in training dx = s (dy - mean of dy - n
    times the mean of dy n), else dx = s dy.

    Source: Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal
    covariate shift", 2015, algorithm 1.

    Args:
        momentum: how much of the running mean and variance stays in a step, at least 0 and less than 1.
            (PyTorch calls the rest momentum: its 0.1 is 0.9 here.)
        epsilon: what is added to a variance, more than 0.
        input_shape: (C,) or (H, W, C); needed where it cannot be inferred from the layer before.

    Raises:
        ValueError: an argument is none of these.
    """

    parameter_names = ('gamma', 'beta', 'running_mean', 'running_variance')
    adjustable = ('momentum', 'epsilon')
    planned = ('epsilon',)

    def __init__(self, momentum=0.9, epsilon=1e-5, input_shape=None):
        super().__init__(input_shape)
        self.momentum = non_negative(momentum, 'momentum', below=1)
        self.epsilon = positive(epsilon, 'epsilon')  # so that a channel of equal numbers stays finite

    def settings(self):
        return {'momentum': self.momentum, 'epsilon': self.epsilon}

    def _output_shape(self, input_shape):
        if len(input_shape) not in (1, 3):
            raise ValueError(f'expected input (size,) or (height, width, channels), got {input_shape}')
        return input_shape

    def _parameter_shapes(self):
        return [self.input_shape[-1:]] * 4

    def _new_parameters(self, rng):
        starts = zip(self.parameter_names, (1, 0, 0, 1), (True, True, False, False), strict=True)
        return [
            Parameter(name, np.full(self.input_shape[-1], start, self.dtype), trainable)
            for name, start, trainable in starts
        ]

    def compute(self, x, training, empty):
        gamma, beta, mean, variance = (parameter.value for parameter in self.parameters)
        of_batch, before = training and self.trainable, None
        if of_batch:
            before = mean.copy(), variance.copy()
            mean, variance = empty('mean', mean.shape, self.dtype), empty('variance', mean.shape, self.dtype)
            self._run('statistics', x, mean, variance)
            self._follow(mean, variance, x.size // len(mean))
        y = empty('y', x.shape, self.dtype)
        self._saved = (x, mean, variance, of_batch, before)
        self._run('forward', x, mean, variance, gamma, beta, y, self.epsilon)
        return y

    def compute_gradient(self, dy, empty, input_gradient=True):
        x, mean, variance, of_batch, _ = self._saved
        gamma, beta = self.parameters[:2]
        if self.trainable:
            self._run('backward_parameters', x, mean, variance, dy, gamma.grad, beta.grad, self.epsilon)
        if not input_gradient:
            return None
        dx = empty('dx', x.shape, self.dtype)
        passed = (x, mean, variance, gamma.value, dy, gamma.grad, beta.grad, dx)
        self._run('backward_input', *passed, self.epsilon, of_batch)
        return dx

    def take_back(self):
        """Undo the step of the running mean and variance in the latest training pass."""
        *_, before = self._saved or (None,)
        if before is not None:
            self._parameters[2].value, self._parameters[3].value = before

    def _follow(self, mean, variance, rows):
        running_mean, running_variance = (parameter.value for parameter in self._parameters[2:])
        pairs = [(running_mean, mean)] if rows > 0 else []
        if rows > 1:
            pairs.append((running_variance, variance * (rows / (rows - 1))))
        for running, batch in pairs:
            running *= self.momentum
            running += (1 - self.momentum) * batch

    def _run(self, name, x, *arguments):
        """Call a kernel, which takes rows of channels."""
        rows = [
            a.reshape(math.prod(a.shape[:-1]), a.shape[-1]) if isinstance(a, np.ndarray) and a.ndim == x.ndim > 1 else a
            for a in (x, *arguments)
        ]
        getattr(kernels.current(), f'batchnorm_{name}')(*rows, kernels.threads_for(x.size))
