import sys

import pytest

from cnnx import History


def test_loss_and_accuracy_are_drawn_each_with_its_validation(tmp_path):
    pytest.importorskip('matplotlib')
    epochs = {'loss': [2.0, 1.0], 'accuracy': [0.5, 0.75], 'val_loss': [2.5, 1.5], 'val_accuracy': [0.4, 0.6]}
    History(epochs).plot(tmp_path / 'both.svg')
    drawn = (tmp_path / 'both.svg').read_text()
    assert [drawn.count(f'<!-- {text} -->') for text in ('training', 'validation', 'loss', 'accuracy')] == [2, 2, 1, 1]
    History({'loss': [2.0]}).plot(tmp_path / 'loss.svg')
    drawn = (tmp_path / 'loss.svg').read_text()
    assert [drawn.count(f'<!-- {text} -->') for text in ('training', 'validation', 'loss', 'accuracy')] == [1, 0, 1, 0]


def test_a_history_is_drawn_as_large_as_a_page_shows_it(tmp_path):
    pytest.importorskip('matplotlib')
    History({'loss': [2.0, 1.0], 'accuracy': [0.5, 0.75]}).plot(tmp_path / 'history.png')
    content = (tmp_path / 'history.png').read_bytes()
    assert content.startswith(b'\x89PNG\r\n\x1a\n')
    width, height = (int.from_bytes(content[start : start + 4], 'big') for start in (16, 20))
    assert width > 2 * height > 400


def test_what_cannot_be_drawn_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match='at least one epoch'):
        History().plot(tmp_path / 'history.png')
    with pytest.raises(ValueError, match='expected the path of a file'):
        History({'loss': [1.0]}).plot(None)
    monkeypatch.setitem(sys.modules, 'matplotlib.figure', None)
    with pytest.raises(ImportError, match='pip install matplotlib'):
        History({'loss': [1.0]}).plot(tmp_path / 'history.png')
    assert not list(tmp_path.iterdir())
