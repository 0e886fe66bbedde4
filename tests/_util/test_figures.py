"""Figures of matplotlib."""

import sys

import pytest

from cnnx._util.figures import new_figure


def test_a_figure_has_the_size_asked_for_and_belongs_to_no_window():
    matplotlib = pytest.importorskip('matplotlib')
    figure = new_figure(figsize=(6, 3))
    assert figure.get_size_inches().tolist() == [6, 3]
    assert figure.canvas.manager is None
    assert isinstance(figure, matplotlib.figure.Figure)


def test_what_to_install_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, 'matplotlib.figure', None)
    with pytest.raises(ImportError, match='plot needs matplotlib: pip install matplotlib'):
        new_figure()
