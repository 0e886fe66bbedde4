"""What the doctor finds in the layers, the loss and the weights."""

import numpy as np
import pytest
from doctor_cases import dense, names, network, the

from cnnx import BatchNormalization, CategoricalCrossEntropy, Dense, Dropout, ReLU, Softmax, Tanh


@pytest.mark.parametrize(
    ('layers', 'loss', 'name', 'severity', 'place'),
    [
        ([Dense(output_size=10), Softmax(), Softmax()], None, 'softmax_twice', 'error', 4),
        ([Dense(output_size=10), ReLU(), Softmax()], None, 'activation_before_softmax', 'warning', 3),
        ([Dense(output_size=10), Tanh()], 'logits', 'activation_before_softmax', 'warning', 3),
        ([Dense(output_size=10), Dropout(0.5), Softmax()], None, 'dropout_last', 'warning', 3),
        (
            [Dropout(0.2), Dense(output_size=20), Dense(output_size=10), Softmax()],
            None,
            'linear_in_a_row',
            'warning',
            4,
        ),
        (
            [Dropout(0.2), BatchNormalization(), Dense(output_size=10), Softmax()],
            None,
            'dropout_before_normalization',
            'note',
            3,
        ),
    ],
)
def test_layers_that_do_not_go_together(flat, layers, loss, name, severity, place):
    loss = CategoricalCrossEntropy(from_logits=True) if loss else None
    layers = [type(layer)(**_settings(layer)) for layer in layers]  # a layer is of one network alone
    report = network(Dense(784, 32), ReLU(), *layers, loss=loss).doctor(*flat)
    finding = the(report, name)
    assert (finding.severity, finding.layer) == (severity, place)
    assert bool(report) == (severity == 'note')


def _settings(layer):
    return {key: value for key, value in layer.settings().items() if key != 'kernel_initializer'}


def test_a_softmax_before_a_loss_from_logits_is_refused_by_the_library():
    with pytest.raises(ValueError, match='would take the softmax twice'):
        network(Dense(784, 10), Softmax(), loss=CategoricalCrossEntropy(from_logits=True))


def test_frozen_layers_and_layers_that_stay_alike(flat):
    net = dense()
    net.layers[0].trainable = False
    report = net.doctor(*flat)
    assert (the(report, 'frozen').severity, the(report, 'frozen').layer, bool(report)) == ('note', 0, True)
    net.layers[2].trainable = False
    assert names(net.doctor(*flat), 'error', 'warning') == {'nothing_learns'}
    net = dense()
    for layer in net.layers[:3:2]:
        layer.parameters[0].trainable = False
    assert 'only_biases_learn' in names(net.doctor(*flat))
    for first in ('zeros', lambda rng, shape, dtype: np.full(shape, 0.01, dtype)):
        report = dense(first=first).doctor(*flat)
        assert names(report, 'error', 'warning') == {'weights_equal'}
        assert the(report, 'weights_equal').layer == 0
    net = dense()
    net.layers[2].weights[3, 3] = np.nan
    assert the(net.doctor(*flat), 'weights_not_finite').layer == 2
