"""Augmented data: array data or batch data whose images are changed at random before each step."""

from cnnx.augmentation.geometric import Affine, Elastic
from cnnx.augmentation.pipeline import Pipeline
from cnnx.training.array_data import ArrayData


class AugmentedData:
    """Samples, or batches as they come, that are augmented before they are learned from.

    Args:
        source: a `cnnx.training.array_data.ArrayData` or `cnnx.training.batch_data.BatchData`.
        augmentations: as `train` takes them.
        network: that learns, and whose generator is drawn from.

    Raises:
        ValueError: pixels would be moved, and targets are maps, which stay as they are.
    """

    def __init__(self, source, augmentations, network):
        if len(network.layers[-1].shape) == 3 and any(isinstance(one, (Affine, Elastic)) for one in augmentations):
            raise ValueError(
                'augment: would move the pixels of x, and not those of y, whose targets are maps; '
                'move both, and give train batches of them'
            )
        self.size = source.size
        self.measures_accuracy = source.measures_accuracy
        self._source = source
        self._network = network
        self._pipeline = Pipeline(augmentations, network.input_shape, network.dtype)

    def steps(self, batch_size):
        """Return how many batches make up an epoch, or None where that is not known before it is over."""
        return self._source.steps(batch_size)

    def batches(self, *arguments):
        """Yield (data, index) for each batch of an epoch that is not done, as the source does."""
        for samples, index in self._source.batches(*arguments):
            yield _AugmentedBatch(samples, self._pipeline, self._network), index


class _AugmentedBatch(ArrayData):
    """Samples for one batch, which is augmented when it is asked for first: until then, nothing is drawn for it."""

    def __init__(self, samples, pipeline, network):
        vars(self).update(vars(samples))
        self.direct = False
        self._augmented = None
        self._pipeline, self._network = pipeline, network

    def batch(self, index):
        if self._augmented is None:
            self._augmented = self._pipeline.batch(self, index, self._network.generator)
        return self._augmented
