"""Add, Multiply and Concatenate: several arrays in, one out, and a gradient for each."""

import numpy as np
import pytest

from cnnx import Add, Concatenate, Multiply

CASES = {
    'Add': (Add, [(2, 3), (2, 3)]),
    'Add, three': (Add, [(2, 3, 2)] * 3),
    'Multiply': (Multiply, [(4,), (4,)]),
    'Multiply, three': (Multiply, [(2, 2)] * 3),
    'Concatenate': (Concatenate, [(2, 3, 1), (2, 3, 4), (2, 3, 2)]),
    'Concatenate rows': (lambda: Concatenate(axis=0), [(2, 3), (1, 3)]),
    'Concatenate columns': (lambda: Concatenate(axis=-2), [(2, 3, 2), (2, 1, 2)]),
}
REFERENCE = {
    Add: lambda arrays, layer: sum(arrays),
    Multiply: lambda arrays, layer: np.prod(arrays, axis=0),
    Concatenate: lambda arrays, layer: np.concatenate(arrays, axis=layer.axis + 1 if layer.axis >= 0 else layer.axis),
}
cases = pytest.mark.parametrize('name', CASES)


def made(name, n=3, dtype='float64'):
    make, shapes = CASES[name]
    layer, rng = make(), np.random.default_rng(0)
    layer.set_up(shapes, dtype=dtype)
    return layer, [rng.normal(size=(n, *shape)).astype(dtype) for shape in shapes]


@cases
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_what_they_compute(name, dtype):
    layer, x = made(name, dtype=dtype)
    y = layer.forward(x)
    assert y.dtype == dtype
    assert y.shape == (3, *layer.shape)
    np.testing.assert_allclose(y, REFERENCE[type(layer)](x, layer), rtol=1e-6)


@cases
def test_gradients_are_those_of_the_forward_pass(name):
    layer, x = made(name)
    dy = np.random.default_rng(1).normal(size=layer.forward(x).shape)
    for array, dx in zip(x, [dx.copy() for dx in layer.backward(dy)], strict=True):
        for place in np.ndindex(array.shape):
            value, ends = array[place], []
            for change in (1e-6, -1e-6):
                array[place] = value + change
                ends.append((layer.forward(x) * dy).sum())
            array[place] = value
            assert dx[place] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6, abs=1e-8)


@cases
def test_an_empty_batch_passes_through(name):
    layer, x = made(name, n=0)
    y = layer.forward(x)
    assert y.shape == (0, *layer.shape)
    assert [dx.shape for dx in layer.backward(y)] == [array.shape for array in x]


@cases
def test_what_came_stays_as_it_is(name):
    layer, x = made(name)
    kept = [array.copy() for array in x]
    layer.backward(layer.forward(x))
    assert all((array == before).all() for array, before in zip(x, kept, strict=True))


@cases
def test_wrong_input_is_refused(name):
    layer, x = made(name)
    with pytest.raises(ValueError, match='expected a list of at least two arrays, got ndarray'):
        layer.forward(x[0])
    with pytest.raises(ValueError, match=f'expected {len(x)} arrays|at least two arrays, got 1'):
        layer.forward(x[1:])
    with pytest.raises(ValueError, match='as many samples'):
        layer.forward([x[0][1:], *x[1:]])
    with pytest.raises(ValueError, match='expected input'):
        layer.forward([array[..., np.newaxis] for array in x])
    with pytest.raises(ValueError, match='at least two arrays, got 0 of them'):
        layer.forward([])


def test_shapes_have_to_fit():
    with pytest.raises(ValueError, match=r'differ along axis -1 alone, got \(2, 3\) and \(3, 3\)'):
        Concatenate().set_up([(2, 3), (3, 3)])
    with pytest.raises(ValueError, match=r'axis: expected an axis of \(2, 3\), got 2'):
        Concatenate(2).set_up([(2, 3), (2, 3)])
    with pytest.raises(ValueError, match='axis: expected a whole number'):
        Concatenate('a')
    with pytest.raises(ValueError, match=r'expected equal shapes, got \(2,\) and \(3,\)'):
        Multiply().set_up([(2,), (3,)])
