"""Evaluation: loss, accuracy and metrics of a network over samples."""

import numpy as np

from cnnx._util.foreign_names import EVALUATE_KEYWORDS
from cnnx._util.hints import explained
from cnnx._util.validation import positive_int
from cnnx._util.windows import batch_shape
from cnnx.losses import class_labels
from cnnx.metrics import ClassMetric, get_metrics
from cnnx.training.batch_data import as_data
from cnnx.training.history import Mean


@explained(EVALUATE_KEYWORDS)
def evaluate(network, x, y=None, *, batch_size=256, sample_weight=None, metrics=None, steps=None):
    """Return {'loss': ..., 'accuracy': ...} over samples, and metrics by their names.

    Args:
        network: a compiled `cnnx.Network`.
        x, y, sample_weight: as `train` takes them.
        batch_size: samples to a pass.
        metrics: names or objects of `cnnx.metrics`, such as ['precision', 'top_3']; None for those of `compile`.
        steps: how many batches to take, where x gives batches; by default all, which must come to an end.

    Returns:
        A dict; 'accuracy' is missing where the loss has none.

    Raises:
        ValueError: there are no samples, x and y do not fit the network or each other, or a metric is unknown or
            does not fit the targets; nothing is computed then.
    """
    network.needs_loss('evaluate')
    data = as_data(network, x, y, sample_weight, steps, steps_name='steps')
    metrics = network.metrics or None if metrics is None else metrics
    measurement = None if metrics is None else Measurement(network, data, metrics)
    batches = data.batches(positive_int(batch_size, 'batch_size'))
    return evaluate_batches(network, batches, Mean(data.measures_accuracy), measurement)


class Results(dict):
    """Numbers by name, of `evaluate`."""

    def __missing__(self, key):
        raise KeyError(f'{key!r}: evaluate returns a dict with {", ".join(self)}')


def evaluate_batches(network, batches, mean, measurement=None):
    """Return {'loss': ..., 'accuracy': ...} of batches, (samples, index), and what a `Measurement` counts."""
    plan = network.plan
    for samples, index in batches:
        with plan.lock:
            totals = plan.evaluate(samples, index)
        mean.add(*totals)
        if measurement is not None:
            measurement.update(samples, index)
    return Results(mean.metrics() | (measurement.results() if measurement else {}))


class Measurement:
    """Metrics of a network's outputs for batches of samples; they are reset, and count these samples alone.

    Args:
        network: a `cnnx.Network`.
        data: where its samples come from, an `ArrayData` or a `BatchData`.
        metrics: names and objects.

    Raises:
        ValueError: a metric is none, or does not fit outputs and targets; none is reset then.
    """

    def __init__(self, network, data, metrics):
        self._network, self._metrics = network, get_metrics(metrics)
        *positions, outputs = shape = network.layers[-1].shape
        of_classes = [metric for metric in self._metrics if isinstance(metric, ClassMetric)]
        of_numbers = [metric for metric in self._metrics if not isinstance(metric, ClassMetric)]
        targets, classes = None if data.size is None else data.targets, max(outputs, 2)
        if of_classes and not data.measures_accuracy:
            loss = type(network.loss).__name__
            raise ValueError(
                f'metrics: {of_classes[0].name}: expected outputs (N, classes) and targets that are classes, '
                f'got outputs {batch_shape(shape)} and targets of {loss} that have no accuracy'
            )
        if of_classes and targets is not None:
            class_labels(targets, classes, 'y', positions, ignore_label=self._ignored)
        if of_numbers and targets is not None and targets.shape[1:] != shape:
            raise ValueError(
                f'metrics: {of_numbers[0].name}: expected targets of the shape of outputs, {batch_shape(shape)}, '
                f'got {targets.shape}'
            )
        for metric in of_classes:
            metric.check_classes(classes)
        for metric in of_classes:
            metric.reset(classes)
        for metric in of_numbers:
            metric.reset()

    @property
    def _ignored(self):
        """The label of targets that count in nothing, or None."""
        return getattr(self._network.loss, 'ignore_label', None)

    def update(self, samples, index):
        """Count a batch in, by a forward pass of its own.

        Args:
            samples: a `cnnx.training.array_data.ArrayData`.
            index: which of them make up the batch.
        """
        x, targets, *_ = samples.batch(index)
        plan = self._network.plan
        with plan.lock:
            outputs = np.array(plan.predict(x))
        outputs = self._network.loss.as_scores(outputs)
        if self._ignored is not None:
            kept = targets >= 0
            outputs, targets = outputs[kept], targets[kept]
        for metric in self._metrics:
            metric.update(outputs, targets)

    def results(self):
        """Return {name: result}."""
        return {metric.name: metric.result() for metric in self._metrics}
