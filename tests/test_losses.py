"""Loss functions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnx import CategoricalCrossEntropy, MeanSquaredError, Softmax
from cnnx.losses import class_labels

STEP = 1e-6
NAN, INF = np.nan, np.inf


def numeric_gradient(loss, predictions, targets):
    gradient = np.empty_like(predictions)
    for index in np.ndindex(predictions.shape):
        ends = []
        for step in (STEP, -STEP):
            moved = predictions.copy()
            moved[index] += step
            ends.append(loss.forward(moved, targets))
        gradient[index] = (ends[0] - ends[1]) / (2 * STEP)
    return gradient


@given(n=st.integers(1, 5), classes=st.integers(2, 6), seed=st.integers(0, 2**32 - 1), from_logits=st.booleans())
def test_gradient_of_cross_entropy(n, classes, seed, from_logits):
    rng = np.random.default_rng(seed)
    loss = CategoricalCrossEntropy(from_logits)
    predictions = rng.normal(size=(n, classes)) if from_logits else rng.uniform(0.05, 1, (n, classes))
    labels = rng.integers(0, classes, n)
    loss.forward(predictions, labels)
    np.testing.assert_allclose(loss.backward(), numeric_gradient(loss, predictions, labels), rtol=1e-3, atol=1e-5)


@given(n=st.integers(1, 5), shape=st.lists(st.integers(1, 4), min_size=1, max_size=3), seed=st.integers(0, 2**32 - 1))
def test_gradient_of_mean_squared_error(n, shape, seed):
    rng = np.random.default_rng(seed)
    loss = MeanSquaredError()
    predictions, targets = rng.normal(size=(2, n, *shape))
    assert loss.forward(predictions, targets) == pytest.approx(((predictions - targets) ** 2).mean())
    np.testing.assert_allclose(loss.backward(), numeric_gradient(loss, predictions, targets), rtol=1e-3, atol=1e-5)


def test_cross_entropy_is_minus_the_log_of_the_true_class_in_nats():
    probabilities = np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])
    assert CategoricalCrossEntropy().forward(probabilities, [0, 2]) == pytest.approx(-(np.log(0.5) + np.log(0.8)) / 2)


def test_from_logits_is_softmax_and_cross_entropy_in_one():
    logits = np.random.default_rng(0).normal(size=(4, 3))
    labels = [0, 1, 2, 1]
    softmax, apart, fused = Softmax(), CategoricalCrossEntropy(), CategoricalCrossEntropy(from_logits=True)
    assert fused.forward(logits, labels) == pytest.approx(apart.forward(softmax.forward(logits), labels))
    np.testing.assert_allclose(fused.backward(), softmax.backward(apart.backward()), atol=1e-12)


def test_mean_squared_error_takes_no_silent_broadcast():
    loss = MeanSquaredError()
    assert loss.forward(np.array([[1.0], [2.0]]), [1, 4]) == 2
    with pytest.raises(ValueError, match=r'expected shape \(N, 1\), got \(2, 2\)'):
        loss.forward(np.zeros((2, 1)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match='expected 2, one a prediction, got 3'):
        loss.forward(np.zeros((2, 1)), np.zeros(3))


def test_mean_squared_error_takes_class_indices():
    assert MeanSquaredError().forward(np.array([[0.0, 1.0]]), [1]) == 0


@pytest.mark.parametrize('classes', [3, 300_000])
def test_wrong_targets_are_named_wherever_they_stand(classes):
    labels = np.arange(600_000) % 3
    assert (class_labels(labels, classes) == labels).all()
    labels[500_000] = classes
    with pytest.raises(ValueError, match=f'{classes} at position 500000 is not a class'):
        class_labels(labels, classes)


def test_wrong_rows_are_named_wherever_they_stand():
    rows = np.eye(3, dtype=np.uint8)[np.arange(300_000) % 3]
    assert (class_labels(rows, 3) == np.arange(300_000) % 3).all()
    rows[250_000] = 1
    with pytest.raises(ValueError, match=r'row 250000 is not one-hot: .*, got \[1 1 1\]'):
        class_labels(rows, 3)
    assert not MeanSquaredError().measures_accuracy(2 * rows)
    rows[250_000, 0] = 2
    assert not MeanSquaredError().measures_accuracy(rows)


def test_mean_squared_error_takes_targets_in_the_predictions_dtype():
    predictions = np.random.default_rng(0).random((4, 3), np.float32)
    targets = np.random.default_rng(1).random((4, 3))
    assert MeanSquaredError().forward(predictions, targets) == MeanSquaredError().forward(
        predictions, targets.astype(np.float32)
    )


def test_what_is_no_probability_is_refused():
    with pytest.raises(ValueError, match='use from_logits=True'):
        CategoricalCrossEntropy().forward(np.array([[-5.0, 6.0]]), [0])


def test_backward_needs_a_forward_pass():
    for loss in (CategoricalCrossEntropy(), MeanSquaredError()):
        with pytest.raises(RuntimeError, match='forward'):
            loss.backward()


@pytest.mark.parametrize('predictions', [np.zeros(3), np.zeros((2, 1)), np.zeros((2, 3, 4)), 'text', [[1], [2, 3]]])
def test_predictions_that_are_no_rows_of_classes(predictions):
    with pytest.raises(ValueError, match='predictions'):
        CategoricalCrossEntropy().forward(predictions, [0, 1])


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_logits_far_apart_have_a_finite_loss(dtype):
    loss = CategoricalCrossEntropy(from_logits=True)
    assert loss.forward(np.array([[1e4, 0]], dtype), [1]) == pytest.approx(1e4)
    assert loss.backward().tolist() == [[1, -1]]


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('logit', [INF, NAN])
def test_an_infinite_or_nan_logit_gives_nan(logit):
    assert np.isnan(CategoricalCrossEntropy(from_logits=True).forward(np.array([[logit, 0, 0]]), [1]))
    assert np.isnan(Softmax().forward(np.array([[logit, 0, 0]]))).all()


@pytest.mark.usefixtures('each_backend')
def test_a_probability_of_zero_has_a_finite_loss_and_gradient():
    loss = CategoricalCrossEntropy()
    assert loss.forward(np.array([[0.0, 1.0]]), [0]) == pytest.approx(-np.log(1e-7))
    assert np.isfinite(loss.backward()).all()


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('loss', [CategoricalCrossEntropy(from_logits=True), MeanSquaredError()])
def test_the_loss_of_no_sample_is_refused(loss):
    with pytest.raises(ValueError, match='N at least 1'):
        loss.forward(np.empty((0, 3)), np.empty(0, int))


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('label', [-1, 3, 255, 1.5, NAN, INF])
def test_a_label_that_is_no_class_is_refused(label):
    with pytest.raises(ValueError, match=r'at position 1 is not a class: expected whole numbers from 0 to 2'):
        CategoricalCrossEntropy(from_logits=True).forward(np.zeros((2, 3)), np.array([0, label]))


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('dtype', ['uint8', 'int8', 'int32', 'int64', 'uint64', '>i4', 'float32', 'float64'])
def test_labels_of_every_dtype(dtype):
    loss = CategoricalCrossEntropy(from_logits=True)
    logits = np.array([[0, 1, 2], [3, 2, 2.0]])
    expected = loss.forward(logits, np.array([[0, 0, 1], [0, 1, 0]]))
    assert loss.forward(logits, np.array([2, 1], dtype)) == expected
    assert loss.forward(logits, np.array([[2], [1]], dtype)) == expected
    assert loss.forward(logits, np.eye(3, dtype=dtype)[[2, 1]]) == expected


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('row', [[0, 0, 0], [1, 1, 0], [0.5, 0.5, 0], [0, 2, 0], [NAN, 1, 0], [-1, 1, 1]])
def test_a_target_row_that_is_not_one_hot_is_refused(row):
    with pytest.raises(ValueError, match='row 1 is not one-hot'):
        CategoricalCrossEntropy(from_logits=True).forward(np.zeros((2, 3)), [[0, 1, 0], row])


@pytest.mark.usefixtures('each_backend')
def test_the_wrong_number_or_shape_of_labels():
    loss = CategoricalCrossEntropy(from_logits=True)
    with pytest.raises(ValueError, match='expected 2, one a prediction, got 3'):
        loss.forward(np.zeros((2, 3)), [0, 1, 2])
    with pytest.raises(ValueError, match=r'one-hot rows \(N, 3\), got an array of shape \(2, 4\)'):
        loss.forward(np.zeros((2, 3)), np.zeros((2, 4)))
