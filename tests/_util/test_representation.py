"""How objects are printed, and described as JSON."""

import json

import numpy as np
import pytest

import cnnx
from cnnx._util.representation import as_json, html_table
from cnnx.schedules import Cosine


@pytest.mark.parametrize(
    ('thing', 'shown'),
    [
        (cnnx.SGD(momentum=0.9), 'SGD(momentum=0.9, nesterov=False, weight_decay=0.0, clip_norm=None)'),
        (Cosine(0.1, warmup=2), 'Cosine(initial=0.1, final=0.0, warmup=2.0)'),
        (cnnx.callbacks.CSVLogger('log.csv'), "CSVLogger(path='log.csv')"),
        (cnnx.Huber(0.5), 'Huber(delta=0.5)'),
        (cnnx.metrics.TopK(3), 'TopK(k=3)'),
    ],
    ids=lambda thing: type(thing).__name__,
)  # fmt: skip
def test_things_are_shown_as_they_were_made(thing, shown):
    assert repr(thing) == shown


def test_json_gets_its_own_types_whatever_numpy_holds():
    settings = {'rate': np.float32(0.5), 'pool': (np.int64(2), 3), 'counts': np.arange(2), 'name': None}
    found = json.loads(json.dumps(as_json(settings, 'settings')))
    assert found == {'rate': 0.5, 'pool': [2, 3], 'counts': [0, 1], 'name': None}


@pytest.mark.parametrize('value', [object(), {1: 2}, 1j, [b'bytes'], {'a': {'b': {3}}}])
def test_what_json_cannot_hold_is_refused_with_its_place(value):
    with pytest.raises(TypeError, match='schedule: .*expected what JSON can hold'):
        as_json({'schedule': value}, 'settings')


def test_a_table_in_html_escapes_what_it_shows():
    table = html_table(('a', 'b'), [(1, '<b>'), (None, '&')], 'x < y')
    assert table == (
        '<table><caption>x &lt; y</caption><tr><th>a</th><th>b</th></tr>'
        '<tr><td>1</td><td>&lt;b&gt;</td></tr><tr><td></td><td>&amp;</td></tr></table>'
    )
