"""Figures of matplotlib, which is imported where the first one is drawn."""


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
