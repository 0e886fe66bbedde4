"""Metrics: accuracy, confusion matrix, F1 and the like of classes; mean absolute error, R^2 and the like of numbers."""

import re

from cnnx._util.hints import explain_names, public_names
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
    confident_mistakes,
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
    'confident_mistakes',
    'get_metric',
    'get_metrics',
]

__getattr__, __dir__ = explain_names(__name__), public_names(__name__)

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


# Names that Keras and scikit-learn have for them.
OTHER_NAMES = {
    'acc': 'accuracy',
    'categorical_accuracy': 'accuracy',
    'sparse_categorical_accuracy': 'accuracy',
    'top_k_categorical_accuracy': 'top_k',
    'sparse_top_k_categorical_accuracy': 'top_k',
    'f1_score': 'f1',
    'mae': 'mean_absolute_error',
    'r2_score': 'r2',
}


def get_metric(metric):
    """Return the metric of a name, such as 'accuracy', 'top_3' or 'top_3_accuracy'; 'top_k' is TopK().

    Names are read in capitals or not; some of Keras and scikit-learn are known. A `Metric` is returned as it is.

    Raises:
        ValueError: it is neither the name of a metric nor a `Metric`.
    """
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        name = OTHER_NAMES.get(metric.lower(), metric.lower())
        if name in METRICS:
            return METRICS[name]()
        if found := re.fullmatch('top_([0-9]{1,9})(_accuracy)?', name):
            return TopK(int(found[1]))
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
