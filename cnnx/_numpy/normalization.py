"""Batch normalization of each channel: kernels, and blocks for prediction and for training.

Letters: N samples; P positions of each, such as pixels; C channels.
"""

import numpy as np

from cnnx._numpy.program import Block


def batchnorm_statistics(x, mean, variance, num_threads):
    """Compute mean and (biased) variance of each channel of x (N, P, C); zeros where there are no rows."""
    mean[...] = x.mean(axis=(0, 1), dtype=np.float64) if x.size else 0
    variance[...] = x.var(axis=(0, 1), dtype=np.float64) if x.size else 0


def batchnorm_forward(x, mean, variance, gamma, beta, y, epsilon, num_threads):
    """Compute y = gamma (x - mean) / sqrt(variance + epsilon) + beta."""
    scale = (gamma / np.sqrt(variance.astype(np.float64) + epsilon)).astype(x.dtype)
    y[...] = (x - mean) * scale + beta


def batchnorm_backward(x, mean, variance, gamma, dy, dgamma, dbeta, dx, epsilon, of_batch, num_threads):
    """Compute dgamma = sum of dy z, z = (x - mean) / sqrt(variance + epsilon); dbeta = sum of dy.

    And dx = gamma / sqrt(variance + epsilon) (dy - dbeta / (N P) - z dgamma / (N P)); the last two terms are added only
    where mean and variance are those of the batch: `of_batch`.
    """
    root = np.sqrt(variance.astype(np.float64) + epsilon)
    scale = (gamma / root).astype(x.dtype)
    dgamma[...] = np.sum(dy * (x - mean.astype(np.float64)), axis=(0, 1)) / root
    dbeta[...] = dy.sum(axis=(0, 1), dtype=np.float64)
    if of_batch:
        rows = max(x.shape[0] * x.shape[1], 1)
        factor = (dgamma / root / rows).astype(x.dtype)
        dx[...] = scale * (dy - dbeta / rows - (x - mean) * factor)
    else:
        dx[...] = scale * dy


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

    def __init__(
        self, x, y, gamma, beta, mean, variance, epsilon, dy=None, dx=None, dgamma=None, dbeta=None, moves=True
    ):
        self.x, self.y, self.dy, self.dx = (
            None if array is None else array.reshape(len(array), -1, len(mean)) for array in (x, y, dy, dx)
        )
        self.gamma, self.beta, self.statistics, self.epsilon = gamma, beta, (mean, variance), epsilon
        self.gradients, self.moves = (dgamma, dbeta), moves

    def forward(self, samples, training):
        x, y = self.x[:samples], self.y[:samples]
        batchnorm_statistics(x, *self.statistics, 1)
        batchnorm_forward(x, *self.statistics, self.gamma, self.beta, y, self.epsilon, 1)

    def backward(self, samples):
        if self.dy is None:
            return
        x, dy = self.x[:samples], self.dy[:samples]
        dx = np.empty_like(dy) if self.dx is None else self.dx[:samples]
        batchnorm_backward(x, *self.statistics, self.gamma, dy, *self.gradients, dx, self.epsilon, self.moves, 1)
