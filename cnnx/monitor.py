"""Which figure of an epoch is watched, and when one is better than another."""

import math


def checked_monitor(name):
    """Return the name of a figure, or raise a ValueError if it is none."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"monitor: expected the name of a figure, such as 'val_loss', got {name!r}")
    return name


def check_monitored(name, figures):
    """Raise a ValueError if a run whose figures have these names has no such one."""
    if name not in figures:
        validates = any(figure.startswith('val_') for figure in figures)
        missing = ', or give validation_data' if name.startswith('val_') and not validates else ''
        raise ValueError(f'monitor: expected one of {", ".join(figures)}{missing}, got {name!r}')


def is_better(name, figure, best, share=0.0, margin=0.0):
    """Whether a figure beats the best so far: accuracies when larger, all others when smaller, NaN never.

    Args:
        name: the figure's.
        figure, best: numbers; best is None at first.
        share, margin: by more than this share of the best, and more than this.
    """
    if best is None:
        return math.isfinite(figure)
    if 'accuracy' in name:
        return figure > best * (1 + share) + margin
    return figure < best * (1 - share) - margin
