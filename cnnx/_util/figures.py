"""Figures of matplotlib, which is imported where the first one is drawn: into a file, or shown by a notebook."""

import io
import types


def new_figure(**options):
    """Return a `matplotlib.figure.Figure`; it belongs to no window.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('plot needs matplotlib: pip install matplotlib') from error
    return Figure(layout='constrained', **options)


def drawn(figure, path):
    """Write a figure to a file and return None; or, where path is None, return it as notebooks show it.

    Raises:
        OSError, ValueError: the file cannot be written, or its ending is not that of a picture.
    """
    if path is None:
        figure._repr_png_ = types.MethodType(_as_png, figure)  # which a notebook looks for
        return figure
    figure.savefig(path, dpi=120)
    return None


def _as_png(figure):
    png = io.BytesIO()
    figure.savefig(png, format='png', dpi=80)
    return png.getvalue()
