"""`evaluate`: loss, accuracy and metrics over samples."""

import numpy as np
import pytest
from models import small_data, small_network

from cnnx import CategoricalCrossEntropy, Convolutional, Dense, MeanSquaredError, Network, Softmax
from cnnx.metrics import F1, ConfusionMatrix, Precision, Recall

# True classes 0, 0, 0, 1, 1, 2; predicted 0, 0, 1, 1, 0, 0: nothing is predicted as class 2.
LABELS = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 0, 0])
SCORES = np.eye(3)[PREDICTED]


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
            found = net.evaluate(x, y, batch_size=batch_size, metrics=['confusion_matrix', 'top_2', Precision()])
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
    monkeypatch.setattr(type(net.plan), 'evaluate', lambda *_: pytest.fail('ran'))
    wanted = [kept, *metrics] if isinstance(metrics, list) else metrics
    with pytest.raises(ValueError, match=message):
        net.evaluate(x, y, metrics=wanted)
    assert kept.result().sum() == 6


def test_recall_of_an_object_is_there_after_evaluate():
    net, (x, labels) = small_network(), small_data(50)
    recall = Recall()
    found = net.evaluate(x, labels, metrics=[recall])
    assert recall.result().tolist() == found['recall'].tolist()


def maps(ignore_label=None):
    net = Network(seed=0)
    net.add(Convolutional(3, 3, padding='same', input_shape=(4, 5, 1)))
    net.add(Softmax())
    net.compile(CategoricalCrossEntropy(ignore_label=ignore_label))
    rng = np.random.default_rng(0)
    return net, rng.normal(size=(20, 4, 5, 1)), rng.integers(0, 3, (20, 4, 5))


@pytest.mark.parametrize('ignored', [None, 0, 9])
def test_metrics_of_maps_leave_out_what_is_ignored(ignored):
    net, x, labels = maps(ignored)
    kept = labels != ignored
    if ignored == 9:
        kept = np.random.default_rng(1).random(labels.shape) < 0.7
        labels[~kept] = 9
    expected = np.zeros((3, 3), int)
    np.add.at(expected, (labels[kept], net.predict_classes(x)[kept]), 1)
    iou = expected.diagonal() / np.maximum(expected.sum(axis=0) + expected.sum(axis=1) - expected.diagonal(), 1)
    present = (expected.sum(axis=0) + expected.sum(axis=1)) > 0
    for given in ((x, labels), ([(x[:7], labels[:7]), (x[7:], labels[7:])],)):
        found = net.evaluate(*given, batch_size=6, metrics=['confusion_matrix', 'mean_iou'])
        np.testing.assert_array_equal(found['confusion_matrix'], expected)
        assert found['mean_iou'] == pytest.approx(iou[present].mean())
        assert found['accuracy'] == pytest.approx(np.trace(expected) / kept.sum())


def test_metrics_of_numbers():
    net, x, y = regression()
    x = np.random.default_rng(0).normal(size=x.shape)
    found = net.evaluate(x, y, batch_size=2, metrics=['mean_absolute_error', 'r2'])
    difference = net.predict(x)[:, 0] - y
    assert found['mean_absolute_error'] == pytest.approx(np.abs(difference).mean(), rel=1e-5)
    assert found['r2'] == pytest.approx(1 - np.square(difference).sum() / (5 * y.var()), rel=1e-5)
    net, x, y = image_to_image()
    assert net.evaluate(x, y, metrics=['mean_absolute_error'])['mean_absolute_error'] > 0


def test_metrics_of_numbers_need_targets_of_the_outputs_shape():
    net, x, labels = classes()
    with pytest.raises(
        ValueError, match=r'metrics: r2: expected targets of the shape of outputs, \(N, 3\), got \(2,\)'
    ):
        net.evaluate(x, labels, metrics=['r2'])
