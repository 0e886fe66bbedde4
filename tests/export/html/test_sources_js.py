"""Which numbers a number is computed from: others can change without changing it."""

import base64

import numpy as np
import pytest
from layer_cases import KINDS, example
from page_scripts import run_scripts

import cnnx
from cnnx import Add, Concatenate, Input, Multiply
from cnnx.export.html.description import describe

SOURCES = """
return given.map(({ description, content, x }) => {
  readParameters(description, content);
  const layer = description.layers[1];
  const outputs = forward(description, Float32Array.from(x));
  const arrays = layer.reads.map((place) => (place < 0 ? Float32Array.from(x) : outputs[place]));
  const compute = (inputs) => LAYERS[layer.kind](inputs.length > 1 ? inputs : inputs[0], layer);
  const y = compute(arrays);
  const found = [];
  for (let index = 0; index < y.length; index += 3) {
    const sources = sourcesOf(layer, unitOf(layer.shape, index));
    const places = new Set(sources.map(([k, [row, column, channel]]) => {
      const [, W, C] = [1, 1, 1, ...layer.inputs[k]].slice(-3);
      return `${k} ${(row * W + column) * C + channel}`;
    }));
    const changed = (isChanged) => arrays.map((x, k) =>
      x.map((value, i) => (isChanged(`${k} ${i}`) ? value + 1 + (i % 5) : value)),
    );
    const others = compute(changed((place) => !places.has(place)))[index];
    const own = compute(changed((place) => places.has(place)))[index];
    found.push([y[index], others, own, places.size]);
  }
  return found;
});
"""
MERGING = {
    'add': Add,
    'multiply': Multiply,
    'channels': Concatenate,
    'rows': lambda: Concatenate(axis=0),
    'columns': lambda: Concatenate(axis=1),
}


def given(net):
    description, content = describe(net)
    x = np.random.default_rng(0).normal(size=int(np.prod(net.input_shape))).astype(np.float32)
    return {'description': description, 'content': base64.b64encode(content).decode(), 'x': x.tolist()}


def of_kind(kind):
    layer, shape = example(kind)
    return cnnx.Network([cnnx.Reshape(shape, input_shape=(int(np.prod(shape)), 1, 1)), layer, cnnx.Flatten()], seed=0)


def of_merging(merging):
    x = Input((3, 4, 3))
    h = cnnx.Convolutional(3, 1)(x)
    return cnnx.Network(inputs=x, outputs=merging()([x, h]), seed=0)


@pytest.fixture(scope='module')
def sources():
    """Return what Node finds of the second layer of each network, for all in one run, by kind or name."""
    nets = {kind: of_kind(kind) for kind in KINDS} | {name: of_merging(merging) for name, merging in MERGING.items()}
    found = run_scripts(['layers', 'network', 'sources'], SOURCES, [given(net) for net in nets.values()])
    return dict(zip(nets, found, strict=True))


def check(found):
    assert all(value == others for value, others, _, _ in found)
    assert any(value != own for value, _, own, size in found if size)


@pytest.mark.parametrize('kind', sorted(set(KINDS) - {'Softmax', 'LogSoftmax'}))
def test_others_do_not_matter(kind, sources):
    check(sources[kind])


@pytest.mark.parametrize('name', MERGING)
def test_of_layers_that_merge(name, sources):
    check(sources[name])
