"""Batch normalization of each channel: statistics, forward pass, gradients.

Letters: M rows, one for each sample, or for each pixel of each sample; C channels.
"""

import numpy as np


def batchnorm_statistics(x, mean, variance, num_threads):
    """Compute mean and (biased) variance of each channel; zeros where there are no rows."""
    mean[...] = x.mean(axis=0, dtype=np.float64) if len(x) else 0
    variance[...] = x.var(axis=0, dtype=np.float64) if len(x) else 0


def batchnorm_forward(x, mean, variance, gamma, beta, y, epsilon, num_threads):
    """Compute y = gamma (x - mean) / sqrt(variance + epsilon) + beta."""
    scale = (gamma / np.sqrt(variance.astype(np.float64) + epsilon)).astype(x.dtype)
    y[...] = (x - mean) * scale + beta


def batchnorm_backward_parameters(x, mean, variance, dy, dgamma, dbeta, epsilon, num_threads):
    """Compute dgamma = sum of dy (x - mean) / sqrt(variance + epsilon); dbeta = sum of dy."""
    product = np.sum(dy * (x - mean.astype(np.float64)), axis=0)
    dgamma[...] = product / np.sqrt(variance.astype(np.float64) + epsilon)
    dbeta[...] = dy.sum(axis=0, dtype=np.float64)


def batchnorm_backward_input(x, mean, variance, gamma, dy, dgamma, dbeta, dx, epsilon, of_batch, num_threads):
    """Compute dx = gamma / sqrt(variance + epsilon) (dy - dbeta / M - normalized x dgamma / M).

    The last two terms are added only where mean and variance are those of the batch: `of_batch`.
    """
    root = np.sqrt(variance.astype(np.float64) + epsilon)
    scale = (gamma / root).astype(x.dtype)
    if not of_batch:
        dx[...] = scale * dy
        return
    rows = max(len(x), 1)
    factor = (dgamma / root / rows).astype(x.dtype)
    dx[...] = scale * (dy - dbeta / rows - (x - mean) * factor)
