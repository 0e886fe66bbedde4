"""What callbacks show of validation data: samples with predictions, the confusion matrix, confident mistakes."""

import numpy as np
import pytest
from models import small_data, small_network

import cnnx
from cnnx.callbacks.examined import Examined
from cnnx.training.batch_data import as_validation


def examined(net, data, count=5):
    return Examined(net, as_validation(net, data), count)


def flat_network(outputs, loss, *activation, shape=(6, 6, 1)):
    net = cnnx.Network([cnnx.Flatten(input_shape=shape), cnnx.Dense(output_size=outputs), *activation], seed=0)
    net.compile(loss)
    return net


def test_pictures_are_samples_evenly_spaced_with_their_predictions():
    net, (x, y) = small_network(), small_data(21)
    net.class_names = ('top', 'middle', 'bottom')
    pictures, outputs = examined(net, (x, y)).pictures(), net.predict(x)[::5]
    assert [picture.true for picture in pictures] == [net.class_names[label] for label in y[::5]]
    assert [picture.predicted for picture in pictures] == [net.class_names[i] for i in outputs.argmax(axis=1)]
    assert [picture.confidence for picture in pictures] == pytest.approx(outputs.max(axis=1).tolist())
    assert all(picture.image.shape == (6, 6, 1) and picture.image.dtype == np.uint8 for picture in pictures)


def test_the_comparison_is_that_of_all_predictions():
    net, (x, y) = small_network(), small_data(300)
    found, outputs = examined(net, (x, np.eye(3)[y])).compare(4), net.predict(x)
    predicted = outputs.argmax(axis=1)
    expected = [[int(((y == i) & (predicted == j)).sum()) for j in range(3)] for i in range(3)]
    assert found.matrix.tolist() == expected
    wrong = np.sort(outputs.max(axis=1)[predicted != y])[::-1]
    assert [picture.confidence for picture in found.mistakes] == pytest.approx(wrong[:4].tolist())
    assert all(picture.predicted != picture.true for picture in found.mistakes)


def test_logits_are_shown_as_probabilities():
    net = flat_network(3, cnnx.CategoricalCrossEntropy(from_logits=True))
    x, y = small_data(9)
    e = np.exp(net.predict(x))
    expected = (e / e.sum(axis=1, keepdims=True)).max(axis=1)
    assert [p.confidence for p in examined(net, (x, y), 9).pictures()] == pytest.approx(expected.tolist(), rel=1e-5)


@pytest.mark.parametrize('from_logits', [True, False])
def test_a_single_output_is_the_probability_of_class_1(from_logits):
    loss = cnnx.BinaryCrossEntropy(from_logits=from_logits)
    net = flat_network(1, loss, *([] if from_logits else [cnnx.Sigmoid()]))
    x, y = small_data(9)
    found = examined(net, (x, (y == 1)[:, None].astype(np.float32)), 9)
    p = loss.as_scores(net.predict(x))[:, 0]
    pictures = found.pictures()
    assert [picture.predicted for picture in pictures] == [str(int(value > 0.5)) for value in p]
    assert [picture.confidence for picture in pictures] == pytest.approx(np.maximum(p, 1 - p).tolist(), rel=1e-5)
    assert found.compare(0).matrix.sum() == 9


def test_numbers_are_shown_beside_the_true_ones():
    net = flat_network(1, cnnx.MeanSquaredError())
    x, y = small_data(6)
    found = examined(net, (x, y[:, None].astype(np.float32)), 6)
    pictures = found.pictures()
    assert [picture.predicted for picture in pictures] == [f'{value:.3g}' for value in net.predict(x)[:, 0]]
    assert [picture.true for picture in pictures] == [f'{value:.3g}' for value in y]
    assert found.compare(4) is None


def test_samples_that_are_no_pictures_have_a_matrix_alone():
    net = flat_network(3, cnnx.CategoricalCrossEntropy(), cnnx.Softmax(), shape=(6, 6, 2))
    x, y = small_data(9, channels=2)
    found = examined(net, (x, y))
    assert found.pictures() == []
    assert found.compare(4).matrix.sum() == 9
    assert found.compare(4).mistakes == []


def test_there_is_nothing_to_show_of_batches_of_several_labels_or_of_no_data():
    net, (x, y) = small_network(), small_data(9)
    several = flat_network(3, cnnx.BinaryCrossEntropy(), cnnx.Sigmoid())
    for found in (
        examined(net, [(x, y)]),
        Examined(net, None, 5),
        examined(several, (x, np.ones((9, 3), np.float32))),
    ):
        assert found.pictures() == []
        assert found.compare(4) is None
