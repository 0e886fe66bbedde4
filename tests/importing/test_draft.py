"""A network in the making: axes move without layers where they can."""

import numpy as np
import pytest

import cnnx
from cnnx.importing.draft import Draft, Value

IMAGE = Value(-1, (3, 4, 5), (1, 2, 0))  # (C, H, W) in the file


def draft():
    return Draft((4, 5, 3))


def layers(draft):
    return [type(step.layer).__name__ for step in draft.steps]


def test_axes_are_arranged_by_the_layers_that_it_takes():
    made = draft()
    assert made.arrange(IMAGE, (1, 2, 0)) is IMAGE
    assert made.shapes[made.arrange(IMAGE, (0, 1, 2)).place] == (3, 4, 5)
    pooled = Value(-1, (3, 1, 1), (0,))
    other = Draft((3,))
    assert other.shapes[other.arrange(pooled, (1, 2, 0)).place] == (1, 1, 3)
    assert (layers(made), layers(other)) == (['Permute'], ['Reshape'])


def test_axes_of_size_1_come_and_go_without_a_layer():
    made = draft()
    value = made.reshape(IMAGE, (3, 1, 4, 5))
    assert made.reshape(value, (3, 4, 5)) == IMAGE
    assert made.steps == []


def test_of_several_reshapes_the_last_one_counts():
    made = draft()
    place = made.add(cnnx.Reshape((60,)), made.add(cnnx.Reshape((5, 12)), -1))
    assert made.steps[place].reads == (-1,)
    assert made.add(cnnx.Reshape((4, 5, 3)), place) == -1


def test_a_flattened_image_knows_its_order():
    made = draft()
    row = made.reshape(IMAGE, (60,))
    assert row.order[:4].tolist() == [0, 20, 40, 1]
    assert made.unflatten(row).flat is None
    assert layers(made) == ['Flatten', 'Permute', 'Flatten']
    assert made.steps[1].reads == (-1,)


def test_what_is_needed_is_built_with_its_weights():
    made = Draft((2,))
    weights = np.array([[1.0, 2.0], [3.0, 4.0]])
    place = made.add(cnnx.Dense(2, use_bias=False), -1, weights=weights)
    made.add(cnnx.ReLU(), place)
    net = made.build(cnnx.Network, place, 'float64')
    assert [type(layer) for layer in net.layers] == [cnnx.Dense]
    assert net.predict(np.array([[1.0, 1.0]])).tolist() == [[4, 6]]


def test_weights_have_to_fit():
    made = Draft((2,))
    place = made.add(cnnx.Dense(2), -1, weights=np.ones((2, 2)))
    with pytest.raises(ValueError, match=r'expected bias of shape \(2,\), got none'):
        made.build(cnnx.Network, place, 'float32')


def test_samples_have_a_largest_size():
    with pytest.raises(ValueError, match='expected at most 67,108,864 numbers in a sample'):
        Draft((4, 5, 3)).add(cnnx.UpSampling(10**6), -1)
