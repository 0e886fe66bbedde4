"""Steps of a draft that become one."""

import numpy as np
import pytest

import cnnx
from cnnx.importing.draft import Draft
from cnnx.importing.merging import Erf, merge_steps


def built(draft, output):
    return draft.build(cnnx.Network, merge_steps(draft, output), 'float64')


@pytest.mark.parametrize(
    ('layer', 'shape'),
    [
        (cnnx.Convolutional(2, 1, use_bias=False), (1, 1, 3, 2)),
        (cnnx.TransposedConvolutional(2, 1, use_bias=False), (1, 1, 2, 3)),
    ],
)
def test_layers_with_weights_take_what_comes_after(layer, shape):
    draft, weights = Draft((1, 1, 3)), np.ones(shape)
    place = draft.add(layer, -1, weights=weights)
    place = draft.add(cnnx.Rescaling((2.0, 3.0), (0.5, 1.0)), place)
    net = built(draft, place)
    assert len(net.layers) == 1
    assert net.predict(np.ones((1, 1, 1, 3))).tolist() == [[[[6.5, 10]]]]


def test_batch_normalization_takes_it_too():
    draft, ones = Draft((2,)), np.ones(2)
    place = draft.add(
        cnnx.BatchNormalization(), -1, gamma=ones, beta=ones, running_mean=0 * ones, running_variance=ones
    )
    net = built(draft, draft.add(cnnx.Rescaling(2.0, 1.0), place))
    np.testing.assert_allclose(net.predict(np.ones((1, 2))), 5, rtol=1e-4)
    assert len(net.layers) == 1


def test_what_another_layer_reads_too_stays_as_it_is():
    draft = Draft((2,))
    dense = draft.add(cnnx.Dense(2, use_bias=False), -1, weights=np.eye(2))
    scaled = draft.add(cnnx.Rescaling(2.0), dense)
    net = built(draft, draft.add(cnnx.Add(), dense, scaled))
    assert [type(layer) for layer in net.layers] == [cnnx.Dense, cnnx.Rescaling, cnnx.Add]
    assert net.predict(np.ones((1, 2))).tolist() == [[3, 3]]


def test_several_become_one_and_what_changes_nothing_goes():
    draft = Draft((2,))
    place = draft.add(cnnx.ReLU(), -1)
    for layer in (cnnx.Rescaling(4.0), cnnx.Rescaling(0.25, 1.0), cnnx.Rescaling(1.0, -1.0)):
        place = draft.add(layer, place)
    assert [type(layer) for layer in built(draft, place).layers] == [cnnx.ReLU]


@pytest.mark.parametrize(
    ('gate', 'product'),
    [(cnnx.Sigmoid, cnnx.SiLU), (cnnx.HardSigmoid, cnnx.HardSwish), (lambda: cnnx.HardSigmoid(0.2), cnnx.Multiply)],
)
@pytest.mark.parametrize('first', [True, False])
def test_a_value_times_its_gate_is_one_layer(gate, product, first):
    draft = Draft((3,))
    x = draft.add(cnnx.ReLU(), -1)
    gated = draft.add(gate(), x)
    net = built(draft, draft.add(cnnx.Multiply(), *((x, gated) if first else (gated, x))))
    assert type(net.layers[-1]) is product
    expected = np.array([0, 1, 4]) * gate().forward(np.array([[0.0, 1, 4]]))
    np.testing.assert_allclose(net.predict(np.array([[-1.0, 1, 4]])), expected, rtol=1e-5)


def test_hard_swish_out_of_relu6():
    draft = Draft((3,))
    x = draft.add(cnnx.ReLU(), -1)
    gate = draft.add(cnnx.ReLU(max_value=6.0), draft.add(cnnx.Rescaling(1.0, 3.0), x))
    net = built(draft, draft.add(cnnx.Rescaling(1 / 6), draft.add(cnnx.Multiply(), x, gate)))
    assert [type(layer) for layer in net.layers] == [cnnx.ReLU, cnnx.HardSwish]
    np.testing.assert_allclose(net.predict(np.array([[-1.0, 1, 4]])), [[0, 4 / 6, 4]], rtol=1e-6)


def test_the_gate_of_another_value_stays_as_it_is():
    draft = Draft((3,))
    gated = draft.add(cnnx.Sigmoid(), draft.add(cnnx.ReLU(), -1))
    assert type(built(draft, draft.add(cnnx.Multiply(), -1, gated)).layers[-1]) is cnnx.Multiply


def test_an_error_function_alone_is_refused():
    draft = Draft((2,))
    with pytest.raises(ValueError, match='Erf is supported as a part of Gelu alone'):
        merge_steps(draft, draft.add(Erf(), -1))
