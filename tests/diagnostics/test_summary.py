"""The summary of a network."""

from models import lenet5


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
