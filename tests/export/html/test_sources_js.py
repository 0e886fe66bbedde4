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
readParameters(given.description, given.content);
const layer = given.description.layers[given.place];
const outputs = forward(given.description, Float32Array.from(given.x));
const arrays = layer.reads.map((place) => (place < 0 ? Float32Array.from(given.x) : outputs[place]));
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
"""


def sources(net, place):
    description, content = describe(net)
    x = np.random.default_rng(0).normal(size=int(np.prod(net.input_shape))).astype(np.float32)
    given = {'description': description, 'content': base64.b64encode(content).decode(), 'x': x.tolist(), 'place': place}
    return run_scripts(['layers', 'network', 'sources'], SOURCES, given)


def check(net, place):
    found = sources(net, place)
    assert all(value == others for value, others, _, _ in found)
    assert any(value != own for value, _, own, size in found if size)


@pytest.mark.parametrize('kind', sorted(set(KINDS) - {'Softmax', 'LogSoftmax'}))
def test_others_do_not_matter(kind):
    layer, shape = example(kind)
    net = cnnx.Network([cnnx.Reshape(shape, input_shape=(int(np.prod(shape)), 1, 1)), layer, cnnx.Flatten()], seed=0)
    check(net, 1)


@pytest.mark.parametrize('merging', [Add(), Multiply(), Concatenate(), Concatenate(axis=0), Concatenate(axis=1)])
def test_of_layers_that_merge(merging):
    x = Input((3, 4, 3))
    h = cnnx.Convolutional(3, 1)(x)
    check(cnnx.Network(inputs=x, outputs=merging([x, h]), seed=0), 1)
