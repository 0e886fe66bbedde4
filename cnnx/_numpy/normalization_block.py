"""The blocks of batch normalization, for prediction and for training."""

from cnnx._numpy.normalization import (
    batchnorm_backward_input,
    batchnorm_backward_parameters,
    batchnorm_forward,
    batchnorm_statistics,
)
from cnnx._numpy.program import Block


class NormalizationBlock(Block):
    """Compute y = gamma (x - mean) / sqrt(variance + epsilon) + beta, forward only."""

    def __init__(self, x, y, mean, variance, gamma, beta, epsilon):
        self.x, self.y = (array.reshape(len(array), -1, len(mean)) for array in (x, y))
        self.options = mean, variance, gamma, beta
        self.epsilon = epsilon

    def forward(self, samples, training):
        batchnorm_forward(self.x[:samples], *self.options, self.y[:samples], self.epsilon, 1)


class BatchNormalizationBlock(Block):
    """Compute y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with mean and variance of the batch."""

    def __init__(self, x, y, gamma, beta, mean, variance, epsilon, dy=None, dx=None, dgamma=None, dbeta=None):
        self.x, self.y, self.dy, self.dx = (
            None if array is None else array.reshape(len(array), -1, len(mean)) for array in (x, y, dy, dx)
        )
        self.gamma, self.beta, self.mean, self.variance = gamma, beta, mean, variance
        self.epsilon = epsilon
        self.dgamma, self.dbeta = dgamma, dbeta

    def forward(self, samples, training):
        x, y = (array[:samples].reshape(-1, len(self.mean)) for array in (self.x, self.y))
        batchnorm_statistics(x, self.mean, self.variance, 1)
        batchnorm_forward(x, self.mean, self.variance, self.gamma, self.beta, y, self.epsilon, 1)

    def backward(self, samples):
        if self.dy is None:
            return
        x, dy = (array[:samples].reshape(-1, len(self.mean)) for array in (self.x, self.dy))
        statistics = x, self.mean, self.variance
        batchnorm_backward_parameters(*statistics, dy, self.dgamma, self.dbeta, self.epsilon, 1)
        if self.dx is not None:
            dx = self.dx[:samples].reshape(-1, len(self.mean))
            gradients = self.gamma, dy, self.dgamma, self.dbeta
            batchnorm_backward_input(*statistics, *gradients, dx, self.epsilon, True, 1)
