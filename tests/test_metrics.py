import re

import numpy as np
import pytest
from models import small_data, small_network

from cnnx import CategoricalCrossEntropy, Convolutional, Dense, MeanSquaredError, Network, Softmax
from cnnx.diagnostics.classification_report import ClassificationReport
from cnnx.metrics import F1, METRICS, Accuracy, ConfusionMatrix, Precision, Recall, TopK, get_metric

NAN = float('nan')
# True classes 0, 0, 0, 1, 1, 2; predicted 0, 0, 1, 1, 0, 0: nothing is taken for class 2.
LABELS = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 0, 0])
SCORES = np.eye(3)[PREDICTED]


def result(metric, predictions, labels):
    metric = get_metric(metric)
    metric.update(np.asarray(predictions), labels)
    return metric.result()


# Figures by hand


def test_accuracy():
    assert result('accuracy', SCORES, LABELS) == 3 / 6


def test_confusion_matrix_has_true_classes_in_rows():
    """As in scikit-learn: confusion_matrix(true, predicted)[i, j] counts class i taken for class j."""
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
def test_figures_over_batches_are_those_of_all_samples_one_by_one(seed):
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


@pytest.mark.parametrize('name', METRICS)
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
    for wrong in ('f2', 'top_', 'top_three', 'Accuracy', 'top_-1', '', None, Accuracy, 3):
        with pytest.raises(ValueError, match='accuracy, top_k .*, confusion_matrix, precision, recall, f1'):
            get_metric(wrong)
    assert get_metric('top_12').k == 12
    assert get_metric('top_k').name == 'top_5'


# In networks


def test_evaluate_adds_metrics_and_leaves_the_rest():
    net, (x, labels) = small_network(), small_data(50)
    net.train(x, labels, epochs=3, verbose=0)
    plain = net.evaluate(x, labels)
    assert list(plain) == ['loss', 'accuracy']
    predicted = net.predict_classes(x)
    expected = np.zeros((3, 3), int)
    np.add.at(expected, (labels, predicted), 1)
    for y in (labels, np.eye(3)[labels]):
        for batch_size in (7, 256):
            found = net.evaluate(x, y, batch_size, metrics=['confusion_matrix', 'top_2', Precision()])
            assert list(found) == ['loss', 'accuracy', 'confusion_matrix', 'top_2', 'precision']
            assert found['loss'] == pytest.approx(plain['loss'])
            assert found['accuracy'] == plain['accuracy']
            np.testing.assert_array_equal(found['confusion_matrix'], expected)
    assert net.evaluate(x, labels, metrics=['accuracy']) == plain
    assert net.evaluate(x, labels, metrics=[]) == plain


def test_evaluate_resets_the_metrics_it_is_given():
    net, (x, labels) = small_network(), small_data(50)
    metric = ConfusionMatrix()
    for n in (50, 20):
        assert net.evaluate(x[:n], labels[:n], metrics=[metric])['confusion_matrix'].sum() == n
        assert metric.result().sum() == n


@pytest.mark.parametrize('loss', [CategoricalCrossEntropy(from_logits=True), MeanSquaredError()])
def test_evaluate_with_outputs_that_are_no_probabilities(loss):
    net = Network(seed=0)
    net.add(Dense(4, 3))
    net.compile(loss)
    x, labels = np.random.default_rng(0).normal(size=(40, 4)), np.arange(40) % 3
    found = net.evaluate(x, labels, metrics=['confusion_matrix', 'recall'])
    assert np.trace(found['confusion_matrix']) / 40 == pytest.approx(found['accuracy'])


@pytest.mark.parametrize('column', [True, False])
def test_evaluate_of_a_single_output(column):
    net = Network(seed=0)
    net.add(Dense(4, 1))
    net.compile(MeanSquaredError())
    x, labels = np.random.default_rng(0).normal(size=(40, 4)), np.arange(40) % 2
    found = net.evaluate(x, labels[:, np.newaxis] if column else labels, metrics=['confusion_matrix'])
    expected = np.zeros((2, 2), int)
    np.add.at(expected, (labels, net.predict_classes(x)), 1)
    np.testing.assert_array_equal(found['confusion_matrix'], expected)


def regression():
    net = Network(seed=0)
    net.add(Dense(4, 1))
    net.compile(MeanSquaredError())
    return net, np.ones((5, 4)), np.linspace(0, 1, 5)


def image_to_image():
    net = Network(seed=0)
    net.add(Convolutional(1, 3, padding='same', input_shape=(4, 4, 1)))
    net.compile(MeanSquaredError())
    return net, np.ones((5, 4, 4, 1)), np.zeros((5, 4, 4, 1))


def several_hot():
    net = Network(seed=0)
    net.add(Dense(4, 3))
    net.compile(MeanSquaredError())
    return net, np.ones((2, 4)), np.array([[1, 0, 0], [1, 1, 0]])


def classes():
    net = Network(seed=0)
    net.add(Dense(4, 3))
    net.add(Softmax())
    net.compile(CategoricalCrossEntropy())
    return net, np.ones((2, 4)), [0, 1]


@pytest.mark.parametrize(
    ('make', 'metrics', 'message'),
    [
        (regression, ['accuracy'], r'targets of MeanSquaredError that have no accuracy'),
        (image_to_image, ['accuracy'], r'expected outputs \(N, classes\).*\(N, 4, 4, 1\)'),
        (several_hot, ['accuracy'], 'y: row 1 is not one-hot'),
        (classes, ['accuracy', 'top_4'], 'top_4: expected k of at most 3'),
        (classes, ['f2'], 'expected one of accuracy'),
        (classes, 'precision', r"expected a list such as \['precision', 'top_3'\], got 'precision'"),
        (classes, ['f1', F1()], 'expected each name once'),
    ],
)
def test_what_cannot_be_counted_is_refused_before_anything_runs(make, metrics, message, monkeypatch):
    net, x, y = make()
    kept = ConfusionMatrix()
    kept.update(SCORES, LABELS)
    monkeypatch.setattr(type(net.plan), 'assess', lambda *_: pytest.fail('ran'))
    wanted = [kept, *metrics] if isinstance(metrics, list) else metrics
    with pytest.raises(ValueError, match=message):
        net.evaluate(x, y, metrics=wanted)
    assert kept.result().sum() == 6


def test_recall_of_an_object_is_there_after_evaluate():
    net, (x, labels) = small_network(), small_data(50)
    recall = Recall()
    found = net.evaluate(x, labels, metrics=[recall])
    assert recall.result().tolist() == found['recall'].tolist()


# Reports


class Fixed:
    """A network that predicts what it is told."""

    def __init__(self, outputs):
        self.outputs = np.array(outputs)

    def predict(self, x, batch_size):
        return self.outputs


OUTPUTS = [[0.9, 0.1, 0], [0.5, 0.4, 0.1], [0.2, 0.8, 0], [0.1, 0.6, 0.3], [0.7, 0.2, 0.1], [0.99, 0.01, 0]]


def test_a_report_in_words():
    lines = str(ClassificationReport(Fixed(OUTPUTS), np.zeros((6, 2, 2, 1)), LABELS)).splitlines()
    assert lines == [
        'true \\ predicted  0  1  2',
        '               0  2  1  0',
        '               1  1  1  0',
        '               2  1  0  0',
        '',
        'class  samples  precision  recall      f1',
        '    0        3     0.5000  0.6667  0.5714',
        '    1        2     0.5000  0.5000  0.5000',
        '    2        1     0.0000  0.0000  0.0000',
        '',
        'most confused',
        '0 taken for 1: 1 time',
        '1 taken for 0: 1 time',
        '2 taken for 0: 1 time',
    ]


def test_a_report_names_the_most_frequent_pairs_and_the_surest_mistakes():
    report = ClassificationReport(
        Fixed(OUTPUTS * 2 + [[0, 1, 0]]), np.zeros((13, 2)), [*LABELS, *LABELS, 0], examples=3
    )
    assert report.pairs == [(0, 1, 3), (1, 0, 2), (2, 0, 2)]
    assert report.mistakes == [(12, 0, 1, 1.0), (5, 2, 0, 0.99), (11, 2, 0, 0.99)]
    assert '0 taken for 1: 3 times' in str(report)


def test_a_report_without_mistakes_and_one_with_nan():
    perfect = ClassificationReport(Fixed(np.eye(3)), np.zeros((3, 2)), [0, 1, 2])
    assert str(perfect).endswith('no class was taken for another')
    text = str(ClassificationReport(Fixed([[0.1], [NAN]]), np.zeros((2, 2)), [0, 1]))
    assert '1 more have NaN among their outputs, and no class' in text


@pytest.mark.parametrize('shape', [(6, 5, 4, 1), (6, 5, 4, 3), (6, 5, 4, 2), (6, 7)])
def test_a_report_is_drawn(shape, tmp_path):
    pytest.importorskip('matplotlib')
    ClassificationReport(Fixed(OUTPUTS), np.zeros(shape), LABELS).plot(tmp_path / 'report.png')
    assert (tmp_path / 'report.png').read_bytes().startswith(b'\x89PNG')


def test_a_report_of_many_classes_is_drawn_without_numbers(tmp_path):
    pytest.importorskip('matplotlib')
    ClassificationReport(Fixed(np.eye(60)), np.zeros((60, 2)), np.arange(60)).plot(tmp_path / 'report.svg')
    assert (tmp_path / 'report.svg').stat().st_size > 0


def test_a_report_needs_labels_that_fit():
    with pytest.raises(ValueError, match='3 at position 0 is not a class'):
        ClassificationReport(small_network(), small_data(2)[0], [3, 0])


def test_a_report_names_the_classes():
    names = ['cat', 'very long dog', 'bee']
    text = str(ClassificationReport(Fixed(OUTPUTS), np.zeros((6, 2, 2, 1)), LABELS, classes=names))
    numbered = str(ClassificationReport(Fixed(OUTPUTS), np.zeros((6, 2, 2, 1)), LABELS))
    assert text.splitlines()[0].split('  ')[-1].strip() == 'bee'
    by_name = re.sub(r'\b(cat|very long dog|bee)\b', lambda found: str(names.index(found[1])), text)
    assert by_name.split() == numbered.split()
    assert len({len(line) for line in text.splitlines()[:4]}) == 1, 'aligned'
    with pytest.raises(ValueError, match='classes: expected 3 names, one a class, got .*long'):
        ClassificationReport(Fixed(OUTPUTS), np.zeros((6, 2, 2, 1)), LABELS, classes=names[:2])
