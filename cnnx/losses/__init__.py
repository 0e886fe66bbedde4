"""Losses: categorical and binary cross-entropy, errors of quantities, and the base class of your own."""

from cnnx.losses.base import Loss, sample_weights, value_and_gradient, weigh
from cnnx.losses.binary import BinaryCrossEntropy
from cnnx.losses.categorical import CategoricalCrossEntropy, class_labels
from cnnx.losses.divergence import KLDivergence
from cnnx.losses.regression import Huber, MeanAbsoluteError, MeanSquaredError

__all__ = [
    'BinaryCrossEntropy',
    'CategoricalCrossEntropy',
    'Huber',
    'KLDivergence',
    'Loss',
    'MeanAbsoluteError',
    'MeanSquaredError',
    'class_labels',
    'sample_weights',
    'value_and_gradient',
    'weigh',
]
LOSSES = {
    kind.__name__: kind
    for kind in (
        BinaryCrossEntropy,
        CategoricalCrossEntropy,
        Huber,
        KLDivergence,
        MeanAbsoluteError,
        MeanSquaredError,
    )
}
