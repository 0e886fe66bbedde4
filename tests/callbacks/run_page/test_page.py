"""The page of a run: what it says, that it is whole in itself, and that names cannot change it."""

import math
from html.parser import HTMLParser

import numpy as np
import pytest
from run_views import report, view

from cnnx.callbacks.examined import Comparison, Picture
from cnnx.callbacks.run_page.page import as_page, duration

EVIL = '</script><script>alert(1)</script>\'"&<img src=x onerror=alert(1)>'
VOID = {'meta', 'img'}


class Reader(HTMLParser):
    """Notes elements, attributes and text, and that each element ends where it should."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text, self._open = [], [], [], []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def words(page):
    return ' '.join(' '.join(Reader(page).text).split())


def test_a_run_that_goes_on_says_how_far_it_is():
    text = words(as_page(view()))
    for line in ('epoch 2 of 4', 'batch 3 of 10', '1 min 2 s so far', 'about 2 min 10 s left', 'running'):
        assert line in text
    assert 'cat 90%' in text
    assert 'cat 80% is dog' in text
    assert 'validation top 3 0.5' in text
    assert 'batch size 32 shuffle yes augment none' in text
    assert 'class weight' not in text
    assert 'Confusion matrix' not in text


def test_the_report_has_matrix_errors_and_command():
    page = as_page(report())
    text = words(page)
    for line in (
        '12 of 15 validation samples are right, 80.00%',
        'dog cat 2 cat dog 1',
        'dog 70% is cat',
        'cnnx train',
    ):
        assert line in text
    assert 'button' not in Reader(page).tags


def test_the_page_is_one_file_without_links():
    for page in (as_page(view()), as_page(report())):
        reader = Reader(page)
        assert {'link', 'iframe', 'object', 'base', 'a'}.isdisjoint(reader.tags)
        sources = [value for name, value in reader.attributes if name in ('src', 'href', 'srcset', 'action')]
        assert sources
        assert all(source.startswith('data:image/png;base64,') for source in sources)
        assert 'http://' not in page
        assert 'https://' not in page
        assert "default-src 'none'" in page


def test_names_are_shown_as_text():
    image = np.zeros((2, 2, 1), np.uint8)
    comparison = Comparison([EVIL, 'b'], np.array([[1, 2], [0, 3]]), 0, [Picture(image, EVIL, 'b', 0.5)])
    page = as_page(
        report(
            name=EVIL,
            network=EVIL,
            reason=EVIL,
            command=EVIL,
            history={EVIL: [1.0, 2.0], f'val_{EVIL}': [1.0, 2.0]},
            pictures=[Picture(image, EVIL, EVIL, 0.5), Picture(image, EVIL, 'c')],
            comparison=comparison,
            about={EVIL: {EVIL: EVIL, 'b': [EVIL]}},
        )
    )
    plain, reader = Reader(as_page(report())), Reader(page)
    assert reader.tags.count('script') == plain.tags.count('script') == 1
    assert not [name for name, _ in reader.attributes if name.startswith('on')]
    assert all(value.startswith('data:') for name, value in reader.attributes if name == 'src')
    assert EVIL in ''.join(reader.text)


@pytest.mark.parametrize('state', ['running', 'stopped', 'finished'])
def test_there_is_a_page_where_nothing_is_known(state):
    page = as_page(
        view(state=state, history={}, batches=[], pictures=[], left=None, about={}, command='', fraction=0.0)
    )
    assert 'The first numbers come soon' in words(page)


def test_numbers_that_are_not_finite_are_shown():
    history = {'loss': [1.0, math.nan], 'val_loss': [math.inf, math.nan], 'learning_rate': [0.1, 0.1]}
    picture = Picture(np.zeros((2, 2, 1), np.uint8), 'a', 'b', math.nan)
    text = words(as_page(view(history=history, batches=[math.nan, 1.0], pictures=[picture])))
    assert 'a NaN is b' in text


def test_many_classes_have_no_table_but_the_pairs():
    matrix = np.eye(100, dtype=np.int64)
    matrix[3, 5] = 9
    comparison = Comparison([f'class {i}' for i in range(100)], matrix, 2, [])
    page = as_page(report(comparison=comparison))
    assert 'class="matrix' not in page
    assert 'class 3 class 5 9' in words(page)
    assert '2 have NaN outputs' in words(page)


@pytest.mark.parametrize(
    ('seconds', 'expected'),
    [
        (0, '0 s'),
        (0.2, '1 s'),
        (59.9, '1 min'),
        (185, '3 min 5 s'),
        (3600, '1 h'),
        (7799, '2 h 9 min'),
        (273600, '3 d 4 h'),
    ],
)
def test_durations_in_words(seconds, expected):
    assert duration(seconds) == expected
