"""The page of a run as text: what it shows, and the HTML of each section."""

import base64
import json
import math
from dataclasses import dataclass, field
from html import escape
from importlib import resources

import numpy as np

from cnnx._util.png import as_png
from cnnx._util.representation import html_table
from cnnx.callbacks.run_page.charts import Series, line_chart, number

LEGIBLE_CLASSES = 26
NAMED_PAIRS = 10
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"


@dataclass
class RunView:
    """What the page shows of a run.

    Attributes:
        name: what the window's title says.
        network: a line about the network.
        state: 'running', 'finished' or 'stopped'.
        reason: why it stopped.
        epoch: the number of the epoch in training, or of the last one.
        epochs: how many there are to be.
        batch: how many batches of it are done.
        batches_in_epoch: how many it has, or None where that is not known.
        fraction: how much of the run is done, from 0 to 1.
        seconds: what the run has taken.
        left: how many seconds it still takes; None where that is not known.
        reload: after how many seconds the page loads itself again.
        written: the time of writing, in seconds since 1970.
        history: lists of metrics by name, a number an epoch.
        batches: the means of the losses of batches.
        batches_to_point: how many batches make up one of them.
        pictures: `Picture` objects.
        comparison: a `Comparison`, or None.
        comparison_missing: why there is none, where the run is over.
        layers: the table of the network's layers, as HTML.
        about: tables by their titles: dicts of values by name.
        command: what started the run.
    """

    name: str
    network: str
    state: str
    epoch: int
    epochs: int
    batch: int
    batches_in_epoch: int | None
    fraction: float
    seconds: float
    left: float | None
    reload: float
    written: float
    reason: str = ''
    history: dict = field(default_factory=dict)
    batches: list = field(default_factory=list)
    batches_to_point: int = 1
    pictures: list = field(default_factory=list)
    comparison: object = None
    comparison_missing: str = ''
    layers: str = ''
    about: dict = field(default_factory=dict)
    command: str = ''


def as_page(view):
    """Return the page of a `RunView`."""
    title = f'{view.fraction:.0%} {view.name}' if view.state == 'running' else f'{view.name}: {view.state}'
    files = resources.files(__package__)
    style, script = ((files / f'page.{kind}').read_text(encoding='utf-8') for kind in ('css', 'js'))
    sections = _head(view), _tiles(view), _charts(view), _pictures(view), _comparison(view), _about(view)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body data-state="{view.state}" data-reload="{view.reload:g}" data-written="{view.written:.0f}">
<main>
{''.join(sections)}
</main>
<script>{script}</script>
</body>
</html>
"""


def duration(seconds):
    """Return a time in words: '42 s', '3 min 5 s', '2 h 10 min', '3 d 4 h'."""
    seconds = math.ceil(seconds)
    for size, unit, smaller, small_unit in ((86400, 'd', 3600, 'h'), (3600, 'h', 60, 'min'), (60, 'min', 1, 's')):
        if seconds >= size:
            rest = seconds % size // smaller
            return f'{seconds // size} {unit} {rest} {small_unit}' if rest else f'{seconds // size} {unit}'
    return f'{seconds} s'


def _head(view):
    percent, running = f'{100 * view.fraction:.1f}', view.state == 'running'
    lines = [f'epoch <b>{view.epoch}</b> of {view.epochs}']
    if view.batch and view.state != 'finished':
        of = f' of {view.batches_in_epoch:,}' if view.batches_in_epoch else ''
        lines.append(f'batch <b>{view.batch:,}</b>{of}')
    lines.append(f'<b>{duration(view.seconds)}</b> {"so far" if running else "in all"}')
    if running:
        lines.append('time left: not known yet' if view.left is None else f'about <b>{duration(view.left)}</b> left')
    items = ''.join(f'<li>{line}</li>' for line in lines)
    reason = f'<p class="reason">{escape(view.reason)}</p>' if view.reason else ''
    pause = '<button type="button" id="pause" aria-pressed="false">Pause this page</button>' if running else ''
    return f"""<header>
<div class="name"><h1>{escape(view.name)}</h1><span class="state {view.state}">{view.state}</span>{pause}</div>
<p class="network">{escape(view.network)}</p>
<div class="progress" role="progressbar" aria-label="the run" aria-valuemin="0" aria-valuemax="100"
 aria-valuenow="{percent}"><i style="width:{percent}%"></i></div>
<ul class="facts">{items}</ul>
{reason}<p id="stale" class="reason" hidden></p>
</header>
"""


def _tiles(view):
    """Return the newest number of each metric, and the best one of those with validation data."""
    tiles = []
    for name, values in view.history.items():
        known = [value for value in values if math.isfinite(value)]
        best = ''
        if known and name not in ('learning_rate', 'loss', 'accuracy') and len(values) > 1:
            value = min(known) if _falls(name) else max(known)
            best = f'<small>best {number(value)}, epoch {values.index(value) + 1}</small>'
        tiles.append(f'<li><span>{escape(_words(name))}</span><b>{number(values[-1])}</b>{best}</li>')
    return f'<ul class="tiles">{"".join(tiles)}</ul>\n' if tiles else ''


def _charts(view):
    history, charts = view.history, []
    names = dict.fromkeys(name.removeprefix('val_') for name in history if name != 'learning_rate')
    for name in names:
        series = []
        for key, label in ((name, 'training'), (f'val_{name}', 'validation')):
            if key in history:
                series.append(Series(label, list(range(1, len(history[key]) + 1)), history[key]))
        charts.append(line_chart(_words(name), series, 'epoch'))
    if view.batches:
        width = view.batches_to_point
        label = 'each batch' if width == 1 else f'mean of {width:,} batches'
        places = [width * (place + 1) for place in range(len(view.batches))]
        charts.append(line_chart('loss while training', [Series(label, places, view.batches)], 'batches done'))
    rates = history.get('learning_rate', [])
    if rates:
        series = Series('after each epoch', list(range(1, len(rates) + 1)), rates)
        charts.append(line_chart('learning rate', [series], 'epoch'))
    if not charts:
        return '<p class="none">The first numbers come soon.</p>\n'
    return f'<section><h2>Curves</h2><div class="charts">{"".join(charts)}</div></section>\n'


def _pictures(view):
    if not view.pictures:
        return ''
    figures = ''.join(_figure(picture) for picture in view.pictures)
    note = 'Some of the validation data, and what the network says of them'
    note += ' now.' if view.state == 'running' else '.'
    return f'<section><h2>Samples</h2><p>{note}</p><div class="pictures">{figures}</div></section>\n'


def _figure(picture):
    predicted, true = escape(picture.predicted), escape(picture.true)
    source = f'data:image/png;base64,{base64.b64encode(as_png(picture.image)).decode()}'
    if picture.confidence is None:
        text, kind = f'<b>{predicted}</b><small>true {true}</small>', 'value'
    else:
        right = picture.predicted == picture.true
        kind = 'right' if right else 'wrong'
        sure = f'{picture.confidence:.0%}' if math.isfinite(picture.confidence) else 'NaN'
        text = f'<b>{predicted}</b> {sure}' + ('' if right else f'<small>is {true}</small>')
    alternative = f'{true}, predicted {predicted}'
    return f'<figure class="{kind}"><img src="{source}" alt="{alternative}"><figcaption>{text}</figcaption></figure>'


def _comparison(view):
    if view.state == 'running':
        return ''
    found = view.comparison
    if found is None:
        why = escape(view.comparison_missing)
        return f'<section><h2>Confusion matrix</h2><p class="none">{why}</p></section>\n' if why else ''
    total = int(found.matrix.sum()) + found.undecided
    right = int(found.matrix.trace())
    line = f'{right:,} of {total:,} validation samples are right, {right / total:.2%}.'
    if found.undecided:
        line += f' {found.undecided:,} have NaN outputs, so no predicted class.'
    matrix = _matrix(found) if len(found.names) <= LEGIBLE_CLASSES else ''
    tables = f'<div class="beside">{matrix}<div>{_pairs(found)}</div></div>'
    sections = [f'<section><h2>Confusion matrix</h2><p>{line}</p>{tables}</section>\n']
    if found.mistakes:
        figures = ''.join(_figure(picture) for picture in found.mistakes)
        note = 'The network is wrong, and most sure of it. Some may have a wrong label.'
        pictures = f'<div class="pictures">{figures}</div>'
        sections.append(f'<section><h2>Most confident errors</h2><p>{note}</p>{pictures}</section>\n')
    return ''.join(sections)


def _matrix(found):
    """Return the table; right ones are shaded by their fraction of the row, wrong ones by their number."""
    matrix, names = found.matrix, [escape(name) for name in found.names]
    rows = np.maximum(matrix.sum(axis=1), 1)
    most_wrong = max(int((matrix - np.diag(matrix.diagonal())).max()), 1)
    lines = []
    for i, name in enumerate(names):
        cells = []
        for j, count in enumerate(matrix[i].tolist()):
            kind = 'right' if i == j else 'wrong'
            shade = count / rows[i] if i == j else 0.2 + 0.8 * count / most_wrong
            title = f'{count:,} of class {name} predicted as {names[j]}'
            style = f' class="{kind}" style="--shade:{shade:.2f}"' if count else ''
            cells.append(f'<td{style} title="{title}">{f"{count:,}" if count else ""}</td>')
        lines.append(f'<tr><th scope="row">{name}</th>{"".join(cells)}</tr>')
    head = ''.join(f'<th scope="col"><span>{name}</span></th>' for name in names)
    long = ' long' if max(map(len, found.names)) > 3 else ''
    return (
        f'<div class="wide" tabindex="0"><table class="matrix{long}">'
        '<caption>rows: true class; columns: predicted class</caption>'
        f'<thead><tr><td></td>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
    )


def _pairs(found):
    matrix = found.matrix - np.diag(found.matrix.diagonal())
    places = np.argsort(-matrix, axis=None, kind='stable')[:NAMED_PAIRS]
    rows = [
        (found.names[true], found.names[predicted], f'{matrix[true, predicted]:,}')
        for true, predicted in zip(*np.unravel_index(places, matrix.shape), strict=True)
        if matrix[true, predicted]
    ]
    if not rows:
        return '<p>No classes are confused.</p>'
    return f'<h3>Most confused</h3>{html_table(("true", "predicted", "samples"), rows)}'


def _about(view):
    tables = [f'<div><h3>{escape(title)}</h3>{_table(values)}</div>' for title, values in view.about.items()]
    tables.append(f'<div class="wide layers" tabindex="0"><h3>Network</h3>{view.layers}</div>')
    command = f'<h3>Command</h3><pre>{escape(view.command)}</pre>' if view.command else ''
    return f'<section><h2>About this run</h2>{command}<div class="beside">{"".join(tables)}</div></section>\n'


def _table(values):
    rows = ((name.replace('_', ' '), _value(value)) for name, value in values.items() if value is not None)
    lines = (f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows)
    return f'<table>{"".join(lines)}</table>'


def _value(value):
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, float):
        return f'{value:.6g}'
    if isinstance(value, (str, int)):
        return str(value)
    return json.dumps(value, default=str) if value else 'none'


def _falls(name):
    """Whether a metric is better when it is smaller."""
    return any(word in name for word in ('loss', 'error'))


def _words(name):
    """Return a metric's name in words: 'val_top_3' is 'validation top 3'."""
    words = f'validation {name.removeprefix("val_")}' if name.startswith('val_') else name
    return words.replace('_', ' ')
