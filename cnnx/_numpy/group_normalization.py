"""Normalization of each sample by itself, in groups of channels: forward pass and gradients.

Letters: N samples; P positions, such as pixels; G groups of K channels, C = G K in all.
"""

import numpy as np


def groupnorm_forward(x, gamma, beta, mean, scale, y, epsilon, num_threads):
    """Compute y = gamma (x - mean) scale + beta, and mean and scale (N, G) = 1 / sqrt(variance + epsilon).

    Mean and (biased) variance are those of each group of each sample.
    """
    if x.size == 0:
        return
    mean[...] = x.mean(axis=(1, 3), dtype=np.float64)
    scale[...] = 1 / np.sqrt(x.var(axis=(1, 3), dtype=np.float64) + epsilon)
    y[...] = _normalized(x, mean, scale) * gamma.reshape(x.shape[2:]) + beta.reshape(x.shape[2:])


def groupnorm_backward(x, mean, scale, gamma, dy, dgamma, dbeta, dx, num_threads):
    """Compute dgamma = sum of dy z; dbeta = sum of dy; dx = scale (g - mean of g - z mean of g z).

    z = (x - mean) scale, g = gamma dy; the means are those of each group of each sample.
    """
    z, g = _normalized(x, mean, scale), dy * gamma.reshape(x.shape[2:])
    dgamma[...] = np.sum(dy * z, axis=(0, 1), dtype=np.float64).reshape(-1)
    dbeta[...] = np.sum(dy, axis=(0, 1), dtype=np.float64).reshape(-1)
    if x.size == 0:
        return
    means = {'axis': (1, 3), 'keepdims': True, 'dtype': np.float64}
    dx[...] = scale[:, np.newaxis, :, np.newaxis] * (g - g.mean(**means) - z * (g * z).mean(**means))


def _normalized(x, mean, scale):
    return (x - mean[:, np.newaxis, :, np.newaxis]) * scale[:, np.newaxis, :, np.newaxis]
