"""Figures of matplotlib."""

import sys

import pytest

from cnnx._util.figures import drawn, new_figure


def test_a_figure_has_the_size_asked_for_and_belongs_to_no_window():
    matplotlib = pytest.importorskip('matplotlib')
    figure = new_figure(figsize=(6, 3))
    assert figure.get_size_inches().tolist() == [6, 3]
    assert figure.canvas.manager is None
    assert isinstance(figure, matplotlib.figure.Figure)


def test_a_figure_goes_into_a_file_or_is_returned_as_a_notebook_shows_it(tmp_path):
    pytest.importorskip('matplotlib')
    assert drawn(new_figure(), tmp_path / 'figure.png') is None
    assert (tmp_path / 'figure.png').stat().st_size > 0
    figure = new_figure()
    assert drawn(figure, None) is figure
    assert figure._repr_png_().startswith(b'\x89PNG')


def test_what_to_install_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, 'matplotlib.figure', None)
    with pytest.raises(ImportError, match='plot needs matplotlib: pip install matplotlib'):
        new_figure()
