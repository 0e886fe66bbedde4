"""Gradients of class scores, against differences of the scores."""

import numpy as np
import pytest
from visual_networks import classifier, images

import cnnx
from cnnx.visual.class_gradients import class_gradients, targets_of

STEP = 1e-6


def logits(net, x):
    """Return what goes into the last Softmax or Sigmoid."""
    return net.activations(x, [6])[0]


@pytest.mark.parametrize('fused', [True, False])
@pytest.mark.parametrize(('end', 'classes'), [(cnnx.Softmax, 3), (cnnx.LogSoftmax, 3), (None, 3), (cnnx.Sigmoid, 1)])
def test_the_gradient_is_that_of_the_score_before_the_end(end, classes, fused):
    net, x = classifier(end=end, classes=classes, fused=fused), images(2)
    found = class_gradients(net, x, 1)
    places = [*np.ndindex(x.shape)][::5]
    numeric = []
    column = 1 if classes == 3 else 0
    for place in places:
        changed = [x.copy(), x.copy()]
        changed[0][place] += STEP
        changed[1][place] -= STEP
        above, below = (logits(net, each)[place[0], column] for each in changed)
        numeric.append((above - below) / (2 * STEP))
    np.testing.assert_allclose([found.of_input[place] for place in places], numeric, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(found.scores, logits(net, x)[:, column], rtol=1e-12)
    if classes == 1:
        np.testing.assert_allclose(class_gradients(net, x, 0).of_input, -found.of_input)


def test_the_gradient_by_a_layer_inside():
    net, x = classifier(), images(1)
    found = class_gradients(net, x, 2)
    weights = net.layers[6].weights[:, 2]
    np.testing.assert_allclose(found.of_outputs[5], [weights])
    np.testing.assert_allclose(found.of_outputs[4], [(1 - found.outputs[5][0] ** 2) * weights])
    assert found.of_outputs[7] is None
    assert len(found.outputs) == len(found.of_outputs) == 8


def test_each_sample_has_its_class():
    net, x = classifier(), images(3)
    together = class_gradients(net, x, [0, 2, 1]).of_input
    for n, target in enumerate([0, 2, 1]):
        np.testing.assert_allclose(together[n], class_gradients(net, x[n : n + 1], target).of_input[0], rtol=1e-9)


def test_without_a_target_it_is_what_the_network_predicts():
    net, x = classifier(), images(6)
    np.testing.assert_array_equal(targets_of(net, x), net.predict_classes(x))
    single = classifier(end=cnnx.Sigmoid, classes=1)
    np.testing.assert_array_equal(targets_of(single, x), single.predict_classes(x))
    assert targets_of(net, x, 2).tolist() == [2] * 6


@pytest.mark.parametrize('target', [3, -1, 1.0, 'cat', [0, 1], [0, 1, 3], [[0], [1], [2]], True, None])
def test_a_class_that_there_is_not_is_refused(target):
    net, x = classifier(), images(3)
    if target is None:
        net, target = cnnx.Network([cnnx.Convolutional(2, 3, input_shape=(8, 7, 1))], seed=0), 1
        with pytest.raises(ValueError, match='expected a network with one output a class'):
            class_gradients(net, x, target)
        return
    with pytest.raises(ValueError, match='target: expected a class from 0 to 2, or 3 of them'):
        class_gradients(net, x, target)
