"""`compile` refuses a last layer that does not give what the loss takes."""

import numpy as np
import pytest

import cnnx
from cnnx import (
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    Convolutional,
    Dense,
    KLDivergence,
    Layer,
    Sigmoid,
    Softmax,
)


class Same(Layer):
    """A layer of the user's own that gives what it gets."""

    def forward(self, x, training=False):
        return x

    def backward(self, dy):
        return dy


def compiled(loss, *last, outputs=3, maps=False):
    first = Convolutional(outputs, 3, input_shape=(5, 5, 1)) if maps else Dense(4, outputs)
    net = cnnx.Network([first, *(kind() for kind in last)], seed=0)
    net.compile(loss)
    return net


@pytest.mark.parametrize('maps', [False, True])
@pytest.mark.parametrize(
    ('loss', 'last'),
    [
        (CategoricalCrossEntropy(), [Softmax]),
        (CategoricalCrossEntropy(), [Same]),
        (CategoricalCrossEntropy(from_logits=True), []),
        (KLDivergence(), [Softmax]),
        (BinaryCrossEntropy(), [Sigmoid]),
        (BinaryCrossEntropy(), [Sigmoid, cnnx.Flatten]),
        (BinaryCrossEntropy(), [Softmax]),
        (BinaryCrossEntropy(from_logits=True), []),
        (cnnx.MeanAbsoluteError(), [Softmax]),
        (None, []),
    ],
)
def test_what_fits_is_taken(loss, last, maps):
    assert compiled(loss, *last, maps=maps).loss is loss


@pytest.mark.parametrize('maps', [False, True])
@pytest.mark.parametrize(
    ('loss', 'last', 'message'),
    [
        (
            CategoricalCrossEntropy(),
            [Sigmoid],
            r'sum to 1, those of layer 1 \(Sigmoid\) do not; use Softmax\(\), or Binary',
        ),
        (KLDivergence(), [Sigmoid], 'KLDivergence: .* use Softmax'),
        (
            CategoricalCrossEntropy(),
            [],
            r'gives any numbers; add Softmax\(\), or use Categorical.*\(from_logits=True\)',
        ),
        (KLDivergence(), [cnnx.ReLU], r'KLDivergence: .* \(ReLU\) gives any numbers; add Softmax\(\)$'),
        (
            BinaryCrossEntropy(),
            [],
            r'gives any numbers; add Sigmoid\(\), or use BinaryCrossEntropy\(from_logits=True\)',
        ),
        (CategoricalCrossEntropy(from_logits=True), [Softmax], 'would take the softmax twice; leave out one'),
        (BinaryCrossEntropy(from_logits=True), [Sigmoid], 'would take the sigmoid twice; leave out one'),
        (CategoricalCrossEntropy(from_logits=True), [Sigmoid], r'those of layer 1 \(Sigmoid\) do not; use Softmax'),
        (KLDivergence(), [Sigmoid, lambda: cnnx.Dropout(0.5)], r'those of layer 1 \(Sigmoid\) do not; use Softmax'),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_use(loss, last, message, maps):
    with pytest.raises(ValueError, match=message):
        compiled(loss, *last, maps=maps)


def test_each_head_has_to_fit():
    x = cnnx.Input((4,))
    for second, fits in ((Sigmoid, True), (cnnx.Tanh, False)):
        heads = [Sigmoid()(Dense(output_size=2)(x)), second()(Dense(output_size=3)(x))]
        net = cnnx.Network(inputs=x, outputs=cnnx.Concatenate()(heads), seed=0)
        if fits:
            net.compile(BinaryCrossEntropy())
        else:
            with pytest.raises(ValueError, match=r'layer 3 \(Tanh\) gives any numbers'):
                net.compile(BinaryCrossEntropy())


@pytest.mark.parametrize('loss', [CategoricalCrossEntropy(), KLDivergence()])
def test_one_class_is_too_few(loss):
    with pytest.raises(
        ValueError, match=r'at least 2 classes, .* gives \(1,\); for a single output, use Sigmoid\(\) and'
    ):
        compiled(loss, Softmax, outputs=1)


def test_labels_of_samples_for_outputs_of_positions_are_refused_with_what_to_do():
    net = compiled(CategoricalCrossEntropy(), Softmax, maps=True)
    with pytest.raises(ValueError, match=r'y: expected class indices \(N, 3, 3\) .* put Flatten and Dense before'):
        net.train(np.zeros((2, 5, 5, 1)), [0, 1], verbose=0)
