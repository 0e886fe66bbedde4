"""Metrics of classes: accuracy, confusion matrix, precision, recall, F1, top-k, intersection over union."""

import numpy as np
import pytest

from cnnx import CategoricalCrossEntropy, Dense, Network, Softmax
from cnnx.metrics import METRICS, Accuracy, ClassMetric, ConfusionMatrix, TopK, get_metric

NAN = float('nan')
# True classes 0, 0, 0, 1, 1, 2; predicted 0, 0, 1, 1, 0, 0: nothing is predicted as class 2.
LABELS = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 0, 0])
SCORES = np.eye(3)[PREDICTED]


def result(metric, predictions, labels):
    metric = get_metric(metric)
    metric.update(np.asarray(predictions), labels)
    return metric.result()


# Metrics by hand


def test_accuracy():
    assert result('accuracy', SCORES, LABELS) == 3 / 6


def test_confusion_matrix_has_true_classes_in_rows():
    """As in scikit-learn: confusion_matrix(true, predicted)[i, j] counts class i predicted as class j."""
    matrix = result('confusion_matrix', SCORES, LABELS)
    assert matrix.tolist() == [[2, 1, 0], [1, 1, 0], [1, 0, 0]]
    assert matrix.dtype == np.int64


def test_precision_recall_and_f1_are_0_where_nothing_is_right():
    """As in scikit-learn with average=None and zero_division=0."""
    np.testing.assert_allclose(result('precision', SCORES, LABELS), [2 / 4, 1 / 2, 0])
    np.testing.assert_allclose(result('recall', SCORES, LABELS), [2 / 3, 1 / 2, 0])
    np.testing.assert_allclose(result('f1', SCORES, LABELS), [4 / 7, 1 / 2, 0])


@pytest.mark.filterwarnings('error')
def test_a_class_that_is_neither_there_nor_predicted_is_0():
    for name in ('precision', 'recall', 'f1'):
        assert result(name, np.eye(4)[[0, 1]], [0, 1]).tolist() == [1, 1, 0, 0]


def test_top_k_by_hand():
    scores = [[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]]
    assert [result(f'top_{k}', scores, [1, 0]) for k in (1, 2, 3, 4)] == [0.5, 0.5, 1, 1]


def test_top_k_counts_all_of_equal_scores_in():
    assert [result(TopK(k), [[1, 1, 2, 0]], [1]) for k in (1, 2, 3)] == [0, 1, 1]
    assert result(TopK(1), [[1, 1]], [1]) == 1
    assert result('accuracy', [[1, 1]], [1]) == 0, 'the first of equal ones is predicted'


def test_a_single_score_is_between_two_classes():
    scores = [[0.2], [0.5], [0.51], [0.9]]
    assert result('confusion_matrix', scores, [0, 1, 1, 0]).tolist() == [[1, 1], [1, 1]]
    assert result('accuracy', scores, [0, 0, 1, 1]) == result('top_1', scores, [0, 0, 1, 1]) == 1


def test_nan_is_wrong_and_in_no_column():
    scores, labels = np.eye(3)[[0, 1, 1]], [0, 1, 1]
    scores[2, 0] = NAN
    assert result('accuracy', scores, labels) == result('top_3', scores, labels) == 2 / 3
    assert result('recall', scores, labels).tolist() == [1, 0.5, 0]
    assert result('precision', scores, labels).tolist() == [1, 1, 0]
    np.testing.assert_allclose(result('f1', scores, labels), [1, 2 / 3, 0])
    matrix = ConfusionMatrix()
    matrix.update(scores, labels)
    assert matrix.result().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert matrix.undecided.tolist() == [0, 1, 0]
    assert result('accuracy', [[NAN], [1.0]], [0, 1]) == 0.5


# Against brute force


@pytest.mark.parametrize('seed', range(5))
def test_metrics_over_batches_are_those_of_all_samples_one_by_one(seed):
    rng = np.random.default_rng(seed)
    classes, n = int(rng.integers(2, 7)), 200
    scores, labels = rng.normal(size=(n, classes)).round(1), rng.integers(0, classes, n)
    matrix = np.zeros((classes, classes), int)
    in_top_2 = 0
    for row, label in zip(scores.tolist(), labels, strict=True):
        matrix[label, row.index(max(row))] += 1
        in_top_2 += sum(score > row[label] for score in row) < 2
    expected = {'accuracy': np.trace(matrix) / n, 'top_2': in_top_2 / n, 'confusion_matrix': matrix}
    right = [matrix[i, i] for i in range(classes)]
    taken, there = matrix.sum(axis=0), matrix.sum(axis=1)
    expected['precision'] = [r / t if t else 0 for r, t in zip(right, taken, strict=True)]
    expected['recall'] = [r / t if t else 0 for r, t in zip(right, there, strict=True)]
    pairs = zip(expected['precision'], expected['recall'], strict=True)
    expected['f1'] = [2 * p * r / (p + r) if p + r else 0 for p, r in pairs]
    for name, figure in expected.items():
        metric = get_metric(name)
        for batch in np.array_split(np.arange(n), [1, 7, 150]):
            metric.update(scores[batch], np.eye(classes)[labels[batch]] if len(batch) > 50 else labels[batch])
        np.testing.assert_allclose(metric.result(), figure, err_msg=name)


def test_what_a_metric_holds_does_not_grow_with_the_samples():
    metric = ConfusionMatrix()
    held = []
    for n in (10, 10_000):
        metric.update(np.random.default_rng(0).random((n, 3)), np.zeros(n, int))
        held.append(sum(np.asarray(value).nbytes for value in vars(metric).values() if value is not None))
    assert held[0] == held[1] < 200


def test_a_result_is_a_copy():
    metric = ConfusionMatrix()
    metric.update(SCORES, LABELS)
    metric.result()[:] = 7
    assert metric.result().sum() == 6


# Refusals


@pytest.mark.parametrize('name', [name for name, kind in METRICS.items() if issubclass(kind, ClassMetric)])
def test_a_refused_update_counts_nothing(name):
    metric = METRICS[name](2) if name == 'top_k' else METRICS[name]()
    with pytest.raises(RuntimeError, match='no samples yet'):
        metric.result()
    metric.update(SCORES, LABELS)
    before = np.copy(metric.result())
    for predictions, labels, message in (
        (SCORES[:, :2], LABELS.clip(0, 1), 'expected predictions of 3 classes, got 2'),
        (SCORES, LABELS[:5], 'expected 6 labels, one a prediction, got 5'),
        (SCORES, LABELS + 1, '3 at position 5 is not a class'),
        (SCORES, -LABELS, '-1 at position 3 is not a class'),
        (PREDICTED, LABELS, r'expected \(N, classes\), got \(6,\)'),
        (SCORES.astype(str), LABELS, 'expected numbers'),
    ):
        with pytest.raises(ValueError, match=f'{metric.name}: .*{message}'):
            metric.update(predictions, labels)
    np.testing.assert_array_equal(metric.result(), before)


def test_more_than_there_are_classes_is_no_top_k():
    metric = TopK(4)
    with pytest.raises(ValueError, match='top_4: expected k of at most 3, the number of classes'):
        metric.update(SCORES, LABELS)
    for k in (0, -1, 2.0, '3', True):
        with pytest.raises(ValueError, match='k: expected a whole number of at least 1'):
            TopK(k)


def test_unknown_names_list_the_known_ones():
    for wrong in ('f2', 'top_', 'top_three', 'accuracies', 'top_-1', '', None, Accuracy, 3):
        with pytest.raises(ValueError, match='accuracy, top_k .*, confusion_matrix, precision, recall, f1'):
            get_metric(wrong)
    assert get_metric('top_12').k == get_metric('top_12_accuracy').k == 12
    assert get_metric('top_k').name == get_metric('top_k_categorical_accuracy').name == 'top_5'
    assert get_metric('acc').name == get_metric('Accuracy').name == 'accuracy'


def classes():
    net = Network(seed=0)
    net.add(Dense(4, 3))
    net.add(Softmax())
    net.compile(CategoricalCrossEntropy())
    return net, np.ones((2, 4)), [0, 1]


# Maps


def test_mean_iou_by_hand():
    """Class 0: 2 / (3 + 4 - 2), class 1: 1 / (2 + 2 - 1), class 2: 0 / (1 + 0)."""
    assert result('mean_iou', SCORES, LABELS) == pytest.approx((2 / 5 + 1 / 3 + 0) / 3)
    assert result('mean_iou', np.eye(4)[[0, 1]], [0, 1]) == 1, 'classes 2 and 3 do not occur'
    scores = np.eye(2)[[0, 0]]
    scores[1] = NAN
    assert result('mean_iou', scores, [0, 0]) == 0.5


@pytest.mark.parametrize('name', ['accuracy', 'top_2', 'confusion_matrix', 'f1', 'mean_iou'])
def test_each_position_of_a_map_counts_as_a_sample(name):
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(3, 4, 5, 3)), rng.integers(0, 3, (3, 4, 5))
    of_rows = result(name, scores.reshape(-1, 3), labels.reshape(-1))
    for given in (labels, labels[..., np.newaxis], np.eye(3)[labels]):
        np.testing.assert_array_equal(result(name, scores, given), of_rows)
    of_one = result(name, scores[..., :1], labels > 1)
    np.testing.assert_array_equal(of_one, result(name, scores[..., :1].reshape(-1, 1), (labels > 1).reshape(-1)))
