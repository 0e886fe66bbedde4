"""Line charts as SVG, for a page that has the classes of page.css."""

import math
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 50, 12, 10, 34
MOST_MARKERS = 40


@dataclass
class Series:
    """One line of a chart.

    Attributes:
        name: what the legend calls it.
        x, y: numbers; a y that is not finite leaves a gap.
    """

    name: str
    x: list
    y: list


def line_chart(title, series, x_title):
    """Return a figure with a legend and the lines, in the colours that page.css has for the first and the second.

    Args:
        title: what the y axis shows.
        series: `Series` objects, two at most, drawn where they have finite points.
        x_title: what the x axis shows.
    """
    points = [[(x, y) for x, y in zip(one.x, one.y, strict=True) if math.isfinite(y)] for one in series]
    legend = ''.join(
        f'<span class="key line{number}"><i></i>{escape(one.name)} <b>{_last(found)}</b></span>'
        for number, (one, found) in enumerate(zip(series, points, strict=True))
    )
    head = f'<figcaption><h3>{escape(title)}</h3><span class="legend">{legend}</span></figcaption>'
    everything = [point for found in points for point in found]
    if not everything:
        return f'<figure class="chart">{head}<p class="none">no numbers yet</p></figure>'
    label = escape('; '.join(_in_words(one.name, found) for one, found in zip(series, points, strict=True)))
    first, last = _ends(x for x, _ in everything)
    x_ticks, y_ticks = whole_ticks(first, last), ticks(*_ends(y for _, y in everything))
    place = _Scale(first, last, LEFT, WIDTH - RIGHT), _Scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP)
    parts = [_grid(x_ticks, y_ticks, *place, x_title)]
    parts += [_line(number, one, *place) for number, one in enumerate(series)]
    svg = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}: {label}">{"".join(parts)}</svg>'
    return f'<figure class="chart">{head}{svg}</figure>'


def ticks(low, high):
    """Return about five round numbers, of which the first is at most `low` and the last at least `high`."""
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        margin = abs(low) / 10 or 1.0
        low, high = low - margin, high + margin
    step = _round_step((high - low) / 4)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def whole_ticks(low, high):
    """Return about five round whole numbers from `low` to `high`, themselves whole numbers."""
    step = max(round(_round_step((high - low) / 4)), 1) if high > low else 1
    return list(range(-(-low // step) * step, high + 1, step))


def number(value):
    """Return a number with the four digits that matter, as short as can be."""
    return '-' if value is None or not math.isfinite(value) else f'{value:.4g}'


class _Scale:
    """From numbers to pixels: `low` lies at `start`, `high` at `end`, and a single number in the middle."""

    def __init__(self, low, high, start, end):
        if low == high:
            low, high = low - 1, high + 1
        self._low, self._start = low, start
        self._factor = (end - start) / (high - low)

    def __call__(self, value):
        return round(self._start + (value - self._low) * self._factor, 1)


def _round_step(rough):
    """Return 1, 2 or 5 times a power of ten, the first that is not smaller."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))


def _ends(numbers):
    numbers = list(numbers)
    return min(numbers), max(numbers)


def _last(points):
    return number(points[-1][1]) if points else '-'


def _in_words(name, points):
    if not points:
        return f'{name}: no numbers yet'
    return f'{name} from {number(points[0][1])} to {number(points[-1][1])}'


def _grid(x_ticks, y_ticks, place_x, place_y, x_title):
    lines = []
    for value in y_ticks:
        y = place_y(value)
        lines.append(f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>')
        lines.append(f'<text class="y" x="{LEFT - 8}" y="{y + 4}">{value:.6g}</text>')
    for value in x_ticks:
        lines.append(f'<text class="x" x="{place_x(value)}" y="{HEIGHT - BOTTOM + 16}">{value:,}</text>')
    lines.append(f'<text class="x title" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 2}">{escape(x_title)}</text>')
    return ''.join(lines)


def _line(number_of_line, series, place_x, place_y):
    """Return a path with gaps where y is not finite, and markers that show their numbers where there are few."""
    path, markers, drawing = [], [], False
    for x, y in zip(series.x, series.y, strict=True):
        if not math.isfinite(y):
            drawing = False
            continue
        left, top = place_x(x), place_y(y)
        path.append(f'{"L" if drawing else "M"}{left} {top}')
        markers.append(f'<circle cx="{left}" cy="{top}" r="3"><title>{x:,}: {number(y)}</title></circle>')
        drawing = True
    markers = ''.join(markers) if len(markers) <= MOST_MARKERS else ''
    return f'<g class="line{number_of_line}"><path d="{"".join(path)}"/>{markers}</g>'
