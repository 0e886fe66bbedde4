"""Classification reports: in words, and drawn."""

import re

import numpy as np
import pytest
from models import small_data, small_network

import cnnx
from cnnx.diagnostics.classification_report import ClassificationReport

NAN = float('nan')
# True classes 0, 0, 0, 1, 1, 2; predicted 0, 0, 1, 1, 0, 0: nothing is predicted as class 2.
LABELS = np.array([0, 0, 0, 1, 1, 2])


class Fixed:
    """A network that gives the outputs that it is made with."""

    loss = None
    class_names = None

    def __init__(self, outputs):
        self.outputs = np.array(outputs)

    def predict(self, x, batch_size):
        return self.outputs


OUTPUTS = [[0.9, 0.1, 0], [0.5, 0.4, 0.1], [0.2, 0.8, 0], [0.1, 0.6, 0.3], [0.7, 0.2, 0.1], [0.99, 0.01, 0]]


def test_a_report_in_words():
    lines = str(ClassificationReport(Fixed(OUTPUTS), np.zeros((6, 2, 2, 1)), LABELS)).splitlines()
    assert lines == [
        'true \\ predicted  0  1  2',
        '               0  2  1  0',
        '               1  1  1  0',
        '               2  1  0  0',
        '',
        'class  samples  precision  recall      f1',
        '    0        3     0.5000  0.6667  0.5714',
        '    1        2     0.5000  0.5000  0.5000',
        '    2        1     0.0000  0.0000  0.0000',
        '',
        'most confused',
        '0 predicted as 1: 1 time',
        '1 predicted as 0: 1 time',
        '2 predicted as 0: 1 time',
    ]


def test_a_report_shows_itself_and_a_notebook_its_tables():
    report = ClassificationReport(Fixed(OUTPUTS), np.zeros((6, 2, 2, 1)), LABELS, classes=['<a>', 'b', 'c'])
    assert repr(report) == str(report)
    html = report._repr_html_()
    assert '<tr><td>&lt;a&gt;</td><td>2</td><td>1</td><td>0</td></tr>' in html
    assert '<tr><td>b</td><td>2</td><td>0.5000</td><td>0.5000</td><td>0.5000</td></tr>' in html
    assert '&lt;a&gt; predicted as b: 1 time<br>' in html


def test_a_report_names_the_most_frequent_pairs_and_the_surest_mistakes():
    outputs, labels = Fixed(OUTPUTS * 2 + [[0, 1, 0]]), [*LABELS, *LABELS, 0]
    report = ClassificationReport(outputs, np.zeros((13, 2)), labels, examples=3)
    assert report.pairs == [(0, 1, 3), (1, 0, 2), (2, 0, 2)]
    assert report.mistakes == [(12, 0, 1, 1.0), (5, 2, 0, 0.99), (11, 2, 0, 0.99)]
    assert '0 predicted as 1: 3 times' in str(report)


def test_a_report_without_mistakes_and_one_with_nan():
    assert str(ClassificationReport(Fixed(np.eye(3)), np.zeros((3, 2)), [0, 1, 2])).endswith('no classes are confused')
    text = str(ClassificationReport(Fixed([[0.1], [NAN]]), np.zeros((2, 2)), [0, 1]))
    assert '1 more have NaN outputs, so no predicted class' in text


@pytest.mark.parametrize('shape', [(6, 5, 4, 1), (6, 5, 4, 3), (6, 5, 4, 2), (6, 7)])
def test_a_report_is_drawn(shape, tmp_path):
    pytest.importorskip('matplotlib')
    ClassificationReport(Fixed(OUTPUTS), np.zeros(shape), LABELS).plot(tmp_path / 'report.png')
    assert (tmp_path / 'report.png').read_bytes().startswith(b'\x89PNG')


def test_without_a_path_the_drawing_is_returned():
    pytest.importorskip('matplotlib')
    figure = ClassificationReport(Fixed(OUTPUTS), np.zeros((6, 7)), LABELS).plot()
    assert figure._repr_png_().startswith(b'\x89PNG')


def test_a_report_of_many_classes_is_drawn_without_numbers(tmp_path):
    pytest.importorskip('matplotlib')
    ClassificationReport(Fixed(np.eye(60)), np.zeros((60, 2)), np.arange(60)).plot(tmp_path / 'report.svg')
    assert (tmp_path / 'report.svg').stat().st_size > 0


def test_a_report_needs_labels_that_fit():
    with pytest.raises(ValueError, match='3 at position 0 is not a class'):
        ClassificationReport(small_network(), small_data(2)[0], [3, 0])


def test_a_report_takes_the_names_that_the_network_has():
    net = Fixed(OUTPUTS)
    net.class_names = ('cat', 'dog', 'bee')
    x = np.zeros((6, 2, 2, 1))
    assert 'bee' in str(ClassificationReport(net, x, LABELS))
    assert 'bee' not in str(ClassificationReport(net, x, LABELS, classes=['x', 'y', 'z']))


def test_a_report_names_the_classes():
    names = ['cat', 'very long dog', 'bee']
    text = str(ClassificationReport(Fixed(OUTPUTS), np.zeros((6, 2, 2, 1)), LABELS, classes=names))
    numbered = str(ClassificationReport(Fixed(OUTPUTS), np.zeros((6, 2, 2, 1)), LABELS))
    assert text.splitlines()[0].split('  ')[-1].strip() == 'bee'
    by_name = re.sub(r'\b(cat|very long dog|bee)\b', lambda found: str(names.index(found[1])), text)
    assert by_name.split() == numbered.split()
    assert len({len(line) for line in text.splitlines()[:4]}) == 1, 'aligned'
    with pytest.raises(ValueError, match='classes: expected 3 names, one for each class, got .*long'):
        ClassificationReport(Fixed(OUTPUTS), np.zeros((6, 2, 2, 1)), LABELS, classes=names[:2])


def test_logits_of_a_binary_classifier_are_read_as_probabilities():
    net = cnnx.Network([cnnx.Dense(4, 1)], seed=0)
    net.compile(cnnx.BinaryCrossEntropy(from_logits=True))
    x = np.random.default_rng(0).normal(size=(40, 4))
    y = (net.predict(x)[:, 0] > 0).astype(int)
    assert 0 < y.sum() < 40
    assert ClassificationReport(net, x, y).pairs == []


def test_a_report_of_maps_is_refused():
    net = cnnx.Network([cnnx.Convolutional(2, 1, input_shape=(3, 3, 1))], seed=0)
    with pytest.raises(ValueError, match=r'expected a class a sample, the network gives \(2, 3, 3, 2\)'):
        ClassificationReport(net, np.zeros((2, 3, 3, 1)), np.zeros((2, 3, 3)))
