"""Whether the last layer of a network gives what its loss takes: probabilities, logits, at least two classes."""

from cnnx.layers import Sigmoid, Softmax
from cnnx.losses import BinaryCrossEntropy, CategoricalCrossEntropy, KLDivergence

# Which layers give the probabilities that a loss takes, and which of them to name.
LAYERS_OF_PROBABILITIES = {
    CategoricalCrossEntropy: (Softmax,),
    KLDivergence: (Softmax,),
    BinaryCrossEntropy: (Sigmoid, Softmax),
}


def check_loss_fits(loss, last):
    """Raise a ValueError if the last layer does not give what a loss takes. A loss of the user's own takes anything."""
    name, fitting = type(loss).__name__, LAYERS_OF_PROBABILITIES.get(type(loss))
    if fitting is None:
        return
    if fitting == (Softmax,) and last.shape[-1] < 2:
        raise ValueError(
            f'{name}: expected at least 2 classes, {last.where} gives {last.shape}; '
            'for a single output, use Sigmoid() and BinaryCrossEntropy()'
        )
    from_logits = getattr(loss, 'from_logits', False)
    if from_logits and isinstance(last, fitting):
        raise ValueError(
            f'{name}(from_logits=True) after {last.where} would take the {type(last).__name__.lower()} twice; '
            'leave out one of the two'
        )
    # What a layer of the user's own returns is not known.
    if from_logits or not type(last).__module__.startswith('cnnx.') or isinstance(last, fitting):
        return
    if isinstance(last, Sigmoid):
        raise ValueError(
            f'{name}: expected probabilities of classes, which sum to 1, those of {last.where} do not; '
            'use Softmax(), or BinaryCrossEntropy() for labels that are independent of each other'
        )
    instead = f', or use {name}(from_logits=True)' if hasattr(loss, 'from_logits') else ''
    raise ValueError(
        f'{name}: expected probabilities, {last.where} gives any numbers; add {fitting[0].__name__}(){instead}'
    )
