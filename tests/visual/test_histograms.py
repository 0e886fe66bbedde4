"""LayerHistograms: histograms of activations and gradients over training."""

import numpy as np
import pytest
from models import bits, small_data, small_network
from visual_networks import figure, texts

from cnnx.callbacks import LambdaCallback
from cnnx.training.array_data import ArrayData
from cnnx.visual import LayerHistograms
from cnnx.visual.histograms import layer_gradients

X, Y = small_data(20)


def train(net, histograms, epochs=3, **options):
    callbacks = [histograms, *options.pop('callbacks', ())]
    return net.train(X, Y, epochs=epochs, batch_size=8, learning_rate=0.05, verbose=0, callbacks=callbacks, **options)


def kept(histograms):
    arrays = {name: array.tobytes() for name, array in histograms.arrays().items()}
    return histograms.epochs, arrays


def test_gradients_are_those_of_the_mean_loss_by_difference():
    net = small_network(dtype='float64')
    outputs, gradients = layer_gradients(net, ArrayData(net, X, Y))
    logits = outputs[4].copy()
    numeric = np.empty_like(logits)
    for place in np.ndindex(logits.shape):
        losses = []
        for sign in (1, -1):
            changed = logits.copy()
            changed[place] += sign * 1e-6
            p = np.exp(changed) / np.exp(changed).sum(axis=1, keepdims=True)
            losses.append(-np.log(p[np.arange(20), Y]).mean())
        numeric[place] = (losses[0] - losses[1]) / 2e-6
    np.testing.assert_allclose(gradients[4], numeric, rtol=1e-4, atol=1e-8)
    expected = (gradients[4] @ net.layers[4].weights.T).reshape(gradients[2].shape)
    np.testing.assert_allclose(gradients[2], expected)


def test_there_is_a_histogram_for_each_layer_and_epoch():
    net, histograms = small_network(), LayerHistograms(X, Y, bins=7)
    train(net, histograms)
    assert histograms.epochs == [0, 1, 2, 3]
    assert histograms.layers == [0, 1, 2, 4]  # neither Flatten, nor Softmax, which is a part of the loss
    outputs, gradients = layer_gradients(net, ArrayData(net, X, Y))
    for kind, arrays in (('activations', outputs), ('gradients', gradients)):
        assert histograms.counts[kind].shape == (4, 4, 7)
        assert histograms.edges[kind].shape == (4, 4, 8)
        for row, i in enumerate(histograms.layers):
            count, edges = np.histogram(arrays[i].astype(float), 7)
            np.testing.assert_array_equal(histograms.counts[kind][-1, row], count)
            np.testing.assert_allclose(histograms.edges[kind][-1, row], edges)


def test_training_is_the_same_with_and_without():
    net, other = small_network(), small_network()
    train(net, LayerHistograms(X, Y))
    train(other, LambdaCallback())
    assert bits(net) == bits(other)


def test_a_resumed_run_ends_with_the_same_histograms(tmp_path):
    whole = LayerHistograms(X, Y)
    train(small_network(), whole, epochs=4)
    train(small_network(), LayerHistograms(X, Y), epochs=2, checkpoint_dir=tmp_path)
    resumed = LayerHistograms(X, Y)
    train(small_network(), resumed, epochs=4, checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    assert kept(resumed) == kept(whole)


def test_numbers_that_are_not_finite_are_left_out():
    from cnnx.visual.histograms import histogram

    counts, _ = histogram(np.array([[1.0, np.inf], [2, np.nan]]), 2)
    assert counts.tolist() == [1, 1]
    assert histogram(np.array([np.nan]), 2)[0].tolist() == [0, 0]


def test_samples_that_do_not_fit_are_refused_before_the_run():
    with pytest.raises(ValueError, match=r'expected LayerHistograms x \(N, 6, 6, 1\), got \(20, 3, 6, 1\)'):
        train(small_network(), LayerHistograms(X[:, :3], Y))
    with pytest.raises(ValueError, match='LayerHistograms expected as many samples as targets, got 20 and 3'):
        train(small_network(), LayerHistograms(X, Y[:3]))
    with pytest.raises(ValueError, match='bins: expected'):
        LayerHistograms(X, Y, bins=0)


def test_the_picture_has_a_row_for_each_layer():
    histograms = LayerHistograms(X, Y)
    train(small_network(), histograms)
    drawn = figure(histograms.plot)
    assert len(drawn.axes) == 2 * 4
    assert 'layer 0 (Convolutional): activations' in texts(drawn)
    assert 'Histograms from epoch 0 (pale, behind) to epoch 3 (in front)' in texts(drawn)
    assert [len(axes.patches) for axes in drawn.axes] == [4] * 8


def test_before_a_run_there_is_no_picture():
    with pytest.raises(RuntimeError, match='give the callback to train first'):
        LayerHistograms(X, Y).plot()
