"""The page as a file: its options, what it holds, and what is refused."""

import base64
import json
import re

import numpy as np
import pytest

import cnnx
from cnnx.export.html.page import to_bytes


def network(classes=2, shape=(6, 6, 1)):
    net = cnnx.Network([cnnx.Flatten(input_shape=shape), cnnx.Dense(classes), cnnx.Softmax()], seed=0)
    net.compile(cnnx.CategoricalCrossEntropy())
    return net


def described(net, **options):
    text = re.search(r'<script type="application/json" id="network">(.*?)</script>', to_bytes(net, **options).decode())
    return json.loads(text.group(1))


def test_lenet_is_small_and_loads_nothing(tmp_path):
    cnnx.models.pretrained('lenet5-mnist').export(tmp_path / 'digits.html')
    text = (tmp_path / 'digits.html').read_text(encoding='utf-8')
    assert len(text.encode()) < 500_000
    assert not re.search(r'(src|href)="|@import|url\(|\bfetch\(|XMLHttpRequest|\bimport\(', text)
    assert "default-src 'none'" in text
    assert "'unsafe-inline'" not in text
    assert to_bytes(cnnx.models.pretrained('lenet5-mnist'), precision='float16').count(b'\n') > 0
    assert len(to_bytes(cnnx.models.pretrained('lenet5-mnist'), precision='float16')) < 350_000


def test_names_cannot_be_markup():
    net = network()
    net.class_names = ['</script><script>alert(1)</script>', '<!--<script>']
    text = to_bytes(net, title='</title><script>alert(2)</script>').decode()
    assert 'alert(1)</script>' not in text
    assert '<script>alert(2)' not in text
    assert described(net)['names'] == list(net.class_names)


def test_marks_of_the_template_in_names_stay_as_they_are():
    net = network()
    net.class_names = ['{{parameters}}', '\0title\0']
    assert described(net, title='{{style}}')['names'] == ['{{parameters}}', '\0title\0']
    assert '<h1>{{style}}</h1>' in to_bytes(net, title='{{style}}').decode()


def test_drawings_are_prepared_as_by_the_command_predict():
    net = network()
    assert described(net)['prepare'] == 'digit'
    assert described(net, prepare='scale')['prepare'] == 'scale'
    net.class_names = ['cat', 'dog']
    assert described(net)['prepare'] == 'scale'
    assert described(network(shape=(6, 5, 1)))['prepare'] == 'scale'
    with pytest.raises(ValueError, match="prepare: 'digit' needs a network that takes grey squares"):
        to_bytes(network(shape=(6, 5, 1)), prepare='digit')


def test_two_digits_of_each_class_and_two_that_it_misreads_are_the_samples_of_a_network_of_digits():
    net = cnnx.models.pretrained('lenet5-mnist')
    samples = described(net)['samples']
    pixels = np.frombuffer(base64.b64decode(samples['pixels']), np.uint8).reshape(-1, 28, 28, 1)
    assert samples['labels'][:20] == [digit for digit in range(10) for _ in range(2)]
    right = net.predict_classes(pixels / np.float32(255)) == samples['labels']
    assert right.tolist() == [True] * 20 + [False] * 2
    assert samples['attribution'].startswith('The network misreads the last 2. ')
    assert 'CC BY-SA 3.0' in samples['attribution']
    assert described(network())['samples'] is None


@pytest.mark.parametrize('kind', ['bytes', 'numbers'])
def test_samples_keep_their_numbers(kind):
    x = np.random.default_rng(0).integers(0, 256, (3, 6, 6, 1)) / np.float32(255)
    x = x.astype(np.float32) if kind == 'bytes' else x * 3 - 1
    samples = described(network(), samples=(x, np.eye(2)[[0, 1, 1]]))['samples']
    raw = base64.b64decode(samples['pixels'])
    assert samples['type'] == kind
    assert samples['labels'] == [0, 1, 1]
    found = np.frombuffer(raw, np.uint8) / np.float32(255) if kind == 'bytes' else np.frombuffer(raw, '<f4')
    np.testing.assert_allclose(found.reshape(x.shape), x, atol=1e-7)


def test_samples_without_labels():
    x = np.zeros((2, 6, 6, 1))
    assert described(network(), samples=(x, None))['samples']['labels'] == [None, None]
    assert described(network(), samples=(x, np.zeros((2, 2))))['samples']['labels'] == [None, None]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'title': 3}, 'title: expected a text, got 3'),
        ({'prepare': 'crop'}, "prepare: expected one of digit, scale, or None, got 'crop'"),
        ({'pixels': (1, 1)}, r'pixels: expected two numbers, .* got \(1, 1\)'),
        ({'pixels': 255}, 'pixels: expected two numbers'),
        ({'samples': 3}, r'samples: expected a pair \(x, y\), got 3'),
        ({'samples': (np.zeros((2, 5, 5, 1)), None)}, r'expected samples \(N, 6, 6, 1\), got \(2, 5, 5, 1\)'),
        ({'samples': (np.zeros((0, 6, 6, 1)), None)}, 'samples: expected 1 to 200 images'),
        ({'samples': (np.full((1, 6, 6, 1), np.nan), None)}, 'samples: expected 1 to 200 images of finite numbers'),
        ({'samples': (np.zeros((2, 6, 6, 1)), [1, 2])}, r'samples: expected labels from 0 to 1, got \[1, 2\]'),
        ({'samples': (np.zeros((2, 6, 6, 1)), [1])}, 'samples: expected as many labels as images, 2, got 1'),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        to_bytes(network(), **options)


def test_diverged_networks_are_refused():
    net = network()
    net.layers[1].weights = np.full((36, 2), np.inf)
    with pytest.raises(ValueError, match=r'layer 1 \(Dense\): weights: expected finite numbers'):
        to_bytes(net)
