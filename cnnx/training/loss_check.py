"""Whether the output of a network is what its loss takes: probabilities, logits, at least two classes."""

from cnnx.layers import Concatenate, Cropping, Dropout, Flatten, Reshape, Sigmoid, Softmax
from cnnx.losses import BinaryCrossEntropy, CategoricalCrossEntropy, KLDivergence

# Which layers give the probabilities that a loss takes, and which of them to name.
LAYERS_OF_PROBABILITIES = {
    CategoricalCrossEntropy: (Softmax,),
    KLDivergence: (Softmax,),
    BinaryCrossEntropy: (Sigmoid, Softmax),
}
PASSING = (Concatenate, Cropping, Dropout, Flatten, Reshape)  # they give numbers that they read


def check_loss_fits(loss, network):
    """Raise a ValueError if a network does not give what a loss takes. A loss of the user's own takes anything."""
    last = network.layers[-1]
    name, fitting = type(loss).__name__, LAYERS_OF_PROBABILITIES.get(type(loss))
    if fitting is None:
        return
    if fitting == (Softmax,) and last.shape[-1] < 2:
        raise ValueError(
            f'{name}: expected at least 2 classes, {last.where} gives {last.shape}; '
            'for a single output, use Sigmoid() and BinaryCrossEntropy()'
        )
    from_logits = getattr(loss, 'from_logits', False)
    for layer in _layers_that_make(network, len(network.layers) - 1):
        if isinstance(layer, fitting):
            if from_logits:
                raise ValueError(
                    f'{name}(from_logits=True) after {layer.where} would take the {type(layer).__name__.lower()} '
                    'twice; leave out one of the two'
                )
        elif isinstance(layer, Sigmoid):
            raise ValueError(
                f'{name}: expected probabilities of classes, which sum to 1, those of {layer.where} do not; '
                'use Softmax(), or BinaryCrossEntropy() for labels that are independent of each other'
            )
        # What a layer of the user's own returns is not known.
        elif not from_logits and type(layer).__module__.startswith('cnnx.'):
            instead = f', or use {name}(from_logits=True)' if hasattr(loss, 'from_logits') else ''
            raise ValueError(
                f'{name}: expected probabilities, {layer.where} gives any numbers; add {fitting[0].__name__}(){instead}'
            )


def _layers_that_make(network, place):
    """Return the layers that made the numbers that the layer at a place gives: itself, or others that it passes on."""
    layer, reads = network.layers[place], network.reads[place]
    if not isinstance(layer, PASSING) or -1 in reads:
        return [layer]
    return [source for read in reads for source in _layers_that_make(network, read)]
