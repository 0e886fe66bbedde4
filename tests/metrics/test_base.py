"""What holds for all metrics: names, and that each is reset."""

import numpy as np
import pytest

from cnnx.metrics import METRICS, Metric, get_metric, get_metrics
from cnnx.metrics.base import ratio


@pytest.mark.parametrize('name', METRICS)
def test_a_reset_forgets_the_samples(name):
    metric, y = get_metric('top_2' if name == 'top_k' else name), np.eye(3)[[0, 1, 2]]
    metric.update(y, y)
    first = np.copy(metric.result())
    metric.update(y[::-1], y)
    assert not np.array_equal(metric.result(), first) or name == 'top_k'
    metric.reset()
    metric.update(y, y)
    np.testing.assert_array_equal(metric.result(), first)


def test_every_metric_has_its_name():
    assert all(issubclass(kind, Metric) for kind in METRICS.values())
    names = ['f1', 'r2', 'top_3', 'mean_iou']
    assert [metric.name for metric in get_metrics(names)] == names


def test_0_by_0_is_0():
    assert ratio([1, 0, 0], [2, 5, 0]).tolist() == [0.5, 0, 0]
