"""The most confident errors."""

import numpy as np
import pytest
from visual_networks import classifier, figure, images, texts

from cnnx.visual import confident_errors, plot_confident_errors


def test_they_are_the_wrong_ones_with_the_largest_outputs():
    net, x = classifier(), images(30)
    y = np.random.default_rng(0).integers(0, 3, 30)
    outputs = net.predict(x)
    predicted = outputs.argmax(axis=1)
    wrong = [i for i in np.argsort(-outputs.max(axis=1), kind='stable') if predicted[i] != y[i]]
    found = confident_errors(net, x, y, 4)
    assert [error.index for error in found] == wrong[:4]
    for error in found:
        assert (error.true, error.predicted) == (y[error.index], predicted[error.index])
        assert error.output == outputs[error.index].max()
    with pytest.raises(ValueError, match='count: expected a whole number of at least 1'):
        confident_errors(net, x, y, 0)


def test_the_picture_names_both_classes():
    net, x = classifier(), images(6)
    net.class_names = 'cat', 'dog', 'fox'
    y = (net.predict_classes(x) + 1) % 3
    first = confident_errors(net, x, y)[0]
    drawn = figure(plot_confident_errors, net, x, y, count=2)
    predicted, true = (net.class_names[label] for label in (first.predicted, first.true))
    assert f'predicted {predicted} ({first.output:.2f})\ntrue {true}' in texts(drawn)
    assert len(drawn.axes) == 2


def test_a_network_without_errors_has_a_picture_that_says_so():
    net, x = classifier(), images(3)
    drawn = figure(plot_confident_errors, net, x, net.predict_classes(x))
    assert 'No errors in 3 images' in texts(drawn)
