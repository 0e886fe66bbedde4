"""Layer normalization in its parts."""

import numpy as np
import pytest

import cnnx

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
from onnx_models import IMAGE, check, draw, kinds, load, model, node


def parts(axis, square):
    nodes = [node('ReduceMean', 'x', 'm', axes=[axis]), node('Sub', 'x m', 'c'), node(*square, 'q')]
    nodes += [node('ReduceMean', 'q', 'v', axes=[axis]), node('Add', 'v e', 'w'), node('Sqrt', 'w', 's')]
    return [*nodes, node('Div', 'c s', 'd'), node('Mul', 'd g', 'h'), node('Add', 'h b')]


CONSTANTS = {'e': np.float32(1e-3), 'two': np.float32(2)}


@pytest.mark.parametrize('square', [('Mul', 'c c'), ('Pow', 'c two')])
def test_channels_are_normalized(path, square):
    constants = {**CONSTANTS, 'g': draw(3, 1, 1), 'b': draw(1, 3, 1, 1)}
    net = check(path, model(parts(1, square), IMAGE, constants), IMAGE)
    assert kinds(net) == ['LayerNormalization']
    assert net.layers[0].epsilon == pytest.approx(1e-3)


def test_the_last_axis_is_normalized_as_pytorch_does(path):
    constants = {**CONSTANTS, 'g': draw(7), 'b': draw(7)}
    assert 'LayerNormalization' in kinds(check(path, model(parts(-1, ('Pow', 'c two')), IMAGE, constants), IMAGE))


def test_what_only_looks_so_is_refused(path):
    nodes = parts(1, ('Pow', 'c three'))
    constants = {**CONSTANTS, 'three': np.float32(3), 'g': draw(3, 1, 1), 'b': draw(3, 1, 1)}
    with pytest.raises(cnnx.CheckpointError, match='ReduceMean'):
        load(path, model(nodes, IMAGE, constants))
