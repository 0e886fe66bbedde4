"""GroupNormalization and LayerNormalization: mean 0 and variance 1 within each sample."""

import math

from cnnx import kernels
from cnnx._util.foreign_names import LAYER_KEYWORDS
from cnnx._util.hints import explained
from cnnx._util.validation import checked_size, positive
from cnnx.layers.base import Layer


class WithinSample(Layer):
    """Base class of layers that normalize parts of a sample, then scale and shift each channel by what is learned."""

    def __init__(self, epsilon, input_shape):
        super().__init__(input_shape)
        self.epsilon = positive(epsilon, 'epsilon')

    def build(self, input_shape):
        self.add_parameter('gamma', input_shape[-1:], 'ones')
        self.add_parameter('beta', input_shape[-1:], 'zeros')

    def forward(self, x, training=False):
        x = self.check_input(x)
        gamma, beta = (parameter.value for parameter in self.parameters)
        parts = self._parts(x)
        mean, scale = (self.empty(name, parts.shape[::2]) for name in ('mean', 'scale'))
        y = self.empty('y', x.shape)
        self._saved = (x, mean, scale)
        kernels.current().groupnorm_forward(
            parts, gamma, beta, mean, scale, self._parts(y), self.epsilon, kernels.threads_for(x.size)
        )
        return y

    def backward(self, dy):
        dy = self.check_gradient(dy)
        x, mean, scale = self._saved
        gamma, beta = self.parameters
        # A frozen layer's gradients are computed too, and not kept.
        gradients = (gamma.grad, beta.grad) if self.trainable else (gamma.grad.copy(), beta.grad.copy())
        dx = self.empty('dx', x.shape)
        arrays = self._parts(x), mean, scale, gamma.value, self._parts(dy), *gradients, self._parts(dx)
        kernels.current().groupnorm_backward(*arrays, kernels.threads_for(x.size))
        return dx

    def _parts(self, array):
        """Return a view (parts to normalize, positions, groups, channels of a group)."""
        raise NotImplementedError


class GroupNormalization(WithinSample):
    """Bring groups of channels of each sample to mean 0 and variance 1, then each channel to a learned scale and place.

    y = gamma (x - mean) / sqrt(variance + epsilon) + beta. Mean and variance are those of a sample's group of
    neighbouring channels, over all pixels (the variance divides by their number), in training as in prediction: a
    sample's output does not depend on its batch. One group is layer normalization of whole images, as many groups as
    channels instance normalization.

    Shape: (N, ..., C) -> (N, ..., C). gamma, beta: (C,). Gradient, with z for the normalized x and g = gamma dy:
    dgamma = sum of dy z; dbeta = sum of dy; dx = (g - mean of g - z times the mean of g z) / sqrt(variance + epsilon).

    Source: Wu and He, "Group normalization", 2018.

    Args:
        groups: a whole number that divides C.
        epsilon: what is added to a variance, more than 0 (as in PyTorch; the default of Keras is 0.001).
        input_shape: such as (H, W, C); needed where it cannot be inferred from the layer before.

    Raises:
        ValueError: an argument is none of these.
    """

    adjustable = ('epsilon',)

    @explained(LAYER_KEYWORDS)
    def __init__(self, groups, *, epsilon=1e-5, input_shape=None):
        super().__init__(epsilon, input_shape)
        self.groups = checked_size(groups, 'groups')

    def output_shape(self, input_shape):
        if input_shape[-1] % self.groups:
            raise ValueError(f'groups: expected a divisor of the {input_shape[-1]} channels, got {self.groups}')
        return input_shape

    def _parts(self, array):
        N, *positions, C = array.shape
        return array.reshape(N, math.prod(positions), self.groups, C // self.groups)


class LayerNormalization(WithinSample):
    """Bring the channels of each pixel to mean 0 and variance 1, then each channel to a learned scale and place.

    y = gamma (x - mean) / sqrt(variance + epsilon) + beta. Mean and variance are those over the last axis (the variance
    divides by its size), in training as in prediction. `GroupNormalization(1)` takes them over whole samples.

    Shape: (N, ..., C) -> (N, ..., C). gamma, beta: (C,). Gradient: as for `GroupNormalization`.

    Source: Ba et al., "Layer normalization", 2016; over the channels of each pixel as in Liu et al., "A ConvNet for the
    2020s", 2022.

    Args:
        epsilon: what is added to a variance, more than 0 (as in PyTorch; the default of Keras is 0.001).
        input_shape: such as (H, W, C); needed where it cannot be inferred from the layer before.

    Raises:
        ValueError: epsilon is no such number.
    """

    adjustable = ('epsilon',)

    @explained(LAYER_KEYWORDS)
    def __init__(self, *, epsilon=1e-5, input_shape=None):
        super().__init__(epsilon, input_shape)

    def _parts(self, array):
        *rows, C = array.shape
        return array.reshape(math.prod(rows), 1, 1, C)
