"""Metrics: accuracy, confusion matrix, F1 and the like of classes; mean absolute error, R^2 and the like of numbers."""

import re

from cnnx.metrics.base import Metric
from cnnx.metrics.classes import (
    F1,
    Accuracy,
    ClassMetric,
    ConfusionMatrix,
    MeanIoU,
    Precision,
    Recall,
    TopK,
    class_scores,
)
from cnnx.metrics.numbers import R2, BinaryAccuracy, MeanAbsoluteError, NumberMetric

__all__ = [
    'F1',
    'R2',
    'Accuracy',
    'BinaryAccuracy',
    'ClassMetric',
    'ConfusionMatrix',
    'MeanAbsoluteError',
    'MeanIoU',
    'Metric',
    'NumberMetric',
    'Precision',
    'Recall',
    'TopK',
    'class_scores',
    'get_metric',
    'get_metrics',
]

METRICS = {
    'accuracy': Accuracy,
    'top_k': TopK,
    'confusion_matrix': ConfusionMatrix,
    'precision': Precision,
    'recall': Recall,
    'f1': F1,
    'mean_iou': MeanIoU,
    'binary_accuracy': BinaryAccuracy,
    'mean_absolute_error': MeanAbsoluteError,
    'r2': R2,
}


def get_metric(metric):
    """Return the metric of a name, such as 'accuracy' or 'top_3'; 'top_k' is TopK(). A `Metric` is returned as it is.

    Raises:
        ValueError: it is neither the name of a metric nor a `Metric`.
    """
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        if metric in METRICS:
            return METRICS[metric]()
        if re.fullmatch('top_[0-9]{1,9}', metric):
            return TopK(int(metric.removeprefix('top_')))
    known = ', '.join(METRICS).replace('top_k', 'top_k (such as top_3)')
    raise ValueError(f'metrics: expected one of {known}, or an object such as TopK(3), got {metric!r}')


def get_metrics(metrics):
    """Return a list of metrics from names and objects.

    Raises:
        ValueError: one is neither the name of a metric nor a `Metric`, two have one name, or one is named 'loss'.
    """
    if not isinstance(metrics, (list, tuple)):
        raise ValueError(f"metrics: expected a list such as ['precision', 'top_3'], got {metrics!r}")
    found = [get_metric(metric) for metric in metrics]
    names = [metric.name for metric in found]
    for name in names:
        if names.count(name) > 1 or name == 'loss':
            raise ValueError(f'metrics: expected each name once beside the loss, got {", ".join(names)}')
    return found
