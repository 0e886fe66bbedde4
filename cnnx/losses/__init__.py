"""Losses: categorical and binary cross-entropy, errors of quantities, and the base class of your own."""

from cnnx._util.foreign_names import LOSSES as FOREIGN_LOSSES
from cnnx._util.hints import explain_names, public_names
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
    'as_loss',
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
# Names that `as_loss` knows.
NAMES = {
    'bce': BinaryCrossEntropy,
    'binary_crossentropy': BinaryCrossEntropy,
    'categorical_crossentropy': CategoricalCrossEntropy,
    'sparse_categorical_crossentropy': CategoricalCrossEntropy,
    'cross_entropy': CategoricalCrossEntropy,
    'kl_divergence': KLDivergence,
    'mean_absolute_error': MeanAbsoluteError,
    'mae': MeanAbsoluteError,
    'mean_squared_error': MeanSquaredError,
    'mse': MeanSquaredError,
    **{name.lower(): kind for name, kind in LOSSES.items()},
}


def as_loss(loss):
    """Return a `Loss` as it is; for a name such as 'categorical_crossentropy' or 'mse', a new one with its defaults.

    Raises:
        TypeError: it is neither a loss nor a name.
        ValueError: no loss has that name.
    """
    if isinstance(loss, str):
        if loss.lower() in FOREIGN_LOSSES:
            raise ValueError(f'loss: {loss!r} is here {FOREIGN_LOSSES[loss.lower()]}')
        if loss.lower() not in NAMES:
            raise ValueError(f'loss: expected one of {", ".join(map(repr, NAMES))}, got {loss!r}')
        return NAMES[loss.lower()]()
    if isinstance(loss, type) and issubclass(loss, Loss):
        raise TypeError(f'loss: {loss.__name__} is a class; call it: {loss.__name__}()')
    if not isinstance(loss, Loss):
        raise TypeError(f"loss: expected a cnnx.Loss such as CategoricalCrossEntropy(), or 'mse', got {loss!r}")
    return loss


__getattr__, __dir__ = explain_names(__name__), public_names(__name__)
