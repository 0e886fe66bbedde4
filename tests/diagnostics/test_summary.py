"""The summary of a network."""

import html.parser

from models import lenet5

import cnnx


def test_summary_of_lenet5(capsys):
    lenet5().summary()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ['layer', 'output', 'shape', 'parameters', 'multiply-adds']
    assert lines[4].split() == ['3', 'Convolutional', '(10,', '10,', '16)', '2,416', '240,000']
    assert lines[14].split() == ['total', '61,706', '416,520']
    assert lines[15] == 'layers 0-2 Convolutional, ReLU, MaxPooling run as one block'
    assert lines[-1] == 'layer 12 (Softmax) and CategoricalCrossEntropy train as one step'


def test_summary_says_what_is_frozen(capsys):
    net = lenet5()
    net.layers[0].trainable = net.layers[1].trainable = net.layers[3].trainable = False
    net.summary()
    lines = capsys.readouterr().out.splitlines()
    assert lines[15] == 'frozen: 0 Convolutional, 3 Convolutional, 2,572 of the parameters'


def test_a_network_shows_itself_in_one_line():
    assert repr(lenet5()) == (
        '<Network: 13 layers, (28, 28, 1) to (10,), 61,706 parameters; CategoricalCrossEntropy and SGD>'
    )
    assert repr(cnnx.Network([cnnx.Dense(3, 2)])) == '<Network: 1 layer, (3,) to (2,), 8 parameters; not compiled>'
    assert repr(cnnx.Network()) == '<Network without layers>'


def test_a_notebook_shows_its_layers():
    found = []
    parser = html.parser.HTMLParser()
    parser.handle_data = found.append
    parser.feed(lenet5()._repr_html_())
    assert found[0].startswith('Network: 13 layers')
    assert found[6:11] == ['0 Convolutional', '(28, 28, 6)', '156', '117,600', 'input']
    assert found[-3:] == ['total', '61,706', '416,520']
    assert 'without layers' in cnnx.Network()._repr_html_()


def test_no_blocks_are_named_on_the_plain_path(capsys, monkeypatch):
    monkeypatch.setenv('CNNX_FUSED', '0')
    lenet5(seed=0).summary()
    assert 'block' not in capsys.readouterr().out
