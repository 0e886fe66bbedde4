"""Receptive fields, by hand and against what changes when a pixel does."""

import numpy as np
import pytest

import cnnx
from cnnx.models import lenet5
from cnnx.visual.receptive_field import receptive_field


def test_of_lenet_5():
    net = lenet5(0)
    assert receptive_field(net, 0, 10, 12) == (8, 13, 10, 15)
    assert receptive_field(net, 0, 0, 27) == (0, 3, 25, 28)  # cut off at the edges
    assert receptive_field(net, 2, 5, 5) == (8, 14, 8, 14)
    assert receptive_field(net, 4, 3, 4) == (4, 18, 6, 20)  # 5 + 1 + 4 * 2 = 14 pixels
    assert receptive_field(net, 8, 0, 0) == (0, 28, 0, 28)


def chain():
    return cnnx.Network(
        [
            cnnx.Convolutional(3, (3, 2), stride=(1, 2), padding='same', input_shape=(14, 13, 2)),
            cnnx.BatchNormalization(),
            cnnx.Tanh(),
            cnnx.AveragePooling((2, 3), stride=(2, 1)),
            cnnx.Convolutional(2, 2, dilation=2, padding=1),
        ],
        seed=0,
        dtype='float64',
    )


def branches():
    x = cnnx.Input((14, 13, 2))
    h = cnnx.Convolutional(3, 3, padding='same')(x)
    y = cnnx.Add()([cnnx.Tanh()(h), cnnx.Convolutional(3, 5, padding='same')(cnnx.Tanh()(h))])
    return cnnx.Network(inputs=x, outputs=cnnx.AveragePooling(2)(y), seed=0, dtype='float64')


@pytest.mark.parametrize('make', [chain, branches])
def test_a_position_depends_on_its_field_and_on_nothing_else(make):
    net, rng = make(), np.random.default_rng(0)
    x = rng.normal(size=(1, 14, 13, 2))
    height, width, _ = net.layers[-1].shape
    for row, column in ((0, 0), (height // 2, width // 2), (height - 1, width - 1)):
        rows, columns = [], []
        for i, j in np.ndindex(14, 13):
            changed = x.copy()
            changed[0, i, j] += 1
            if abs(net.predict(changed) - net.predict(x))[0, row, column].max() > 1e-12:
                rows.append(i)
                columns.append(j)
        top, bottom, left, right = receptive_field(net, len(net.layers) - 1, row, column)
        # With a dilation, the outermost pixels may be padding: the field is the smallest frame or larger.
        assert top <= min(rows)
        assert bottom > max(rows)
        assert left <= min(columns)
        assert right > max(columns)
        if make is branches:
            assert (top, bottom, left, right) == (min(rows), max(rows) + 1, min(columns), max(columns) + 1)
