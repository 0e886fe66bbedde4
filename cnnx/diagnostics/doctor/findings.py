"""What the doctor says: findings, and the report that holds them."""

import textwrap
from dataclasses import dataclass, field

SEVERITIES = ('error', 'warning', 'note')
WIDTH = 110


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Attributes:
        name: what it is called, for programs: 'input_scale', 'rate_too_high', ...
        severity: 'error' where training cannot work, 'warning' where it is likely to suffer, else 'note'.
        layer: the index of the layer that it is about, or None.
        message: what is wrong.
        advice: what to do about it.
        figures: what was measured, by name.
    """

    name: str
    severity: str
    layer: int | None
    message: str
    advice: str
    figures: dict = field(default_factory=dict)

    def __str__(self):
        lines = textwrap.wrap(f'{self.severity}: {self.message}', WIDTH, subsequent_indent='    ')
        return '\n'.join([*lines, *textwrap.wrap(self.advice, WIDTH, initial_indent='  > ', subsequent_indent='    ')])


@dataclass
class Row:
    """What was measured of a layer; None where it was not, or does not apply.

    Attributes:
        layer: index and kind.
        spread: the standard deviation of its output from sample to sample, over all units.
        idle: the share of units that are 0 for all samples (ReLU), or of outputs that are saturated (Sigmoid, Tanh).
        gradient: the norm of the loss's gradient by its output.
        idle_later: `idle` after the steps of training.
        update: the median of ||change of the weights|| / ||weights|| in a step.
    """

    layer: str
    spread: float | None = None
    idle: float | None = None
    gradient: float | None = None
    idle_later: float | None = None
    update: float | None = None

    def cells(self):
        shares = [None if share is None else f'{share:.0%}' for share in (self.idle, self.idle_later)]
        numbers = [None if n is None else f'{n:.2g}' for n in (self.spread, self.gradient, self.update)]
        return [self.layer, *('' if c is None else c for c in (*numbers[:2], *shares, numbers[2]))]


class Diagnosis:
    """What `Network.doctor` found: true where nothing speaks against training, and a report when printed.

    Attributes:
        findings: `Finding` objects, errors first, then warnings, then notes.
        layers: a `Row` for each layer that the first batch came through.
        tried: what the figures were measured with, in words.
    """

    def __init__(self, findings, layers, tried):
        self.findings = sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
        self.layers = layers
        self.tried = tried

    def __bool__(self):
        return all(finding.severity == 'note' for finding in self.findings)

    def __repr__(self):
        parts = [*map(str, self.findings), self._table(), self._conclusion()]
        return '\n\n'.join(part for part in parts if part)

    def _table(self):
        if not self.layers:
            return ''
        header = ('layer', 'spread', 'gradient', 'idle', 'later', 'update / weights')
        cells = [header, *(row.cells() for row in self.layers)]
        widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
        lines = [
            '  '.join([f'{line[0]:{widths[0]}}', *(f'{c:>{w}}' for c, w in zip(line[1:], widths[1:], strict=True))])
            for line in cells
        ]
        return '\n'.join(line.rstrip() for line in lines)

    def _conclusion(self):
        counts = [sum(finding.severity == severity for finding in self.findings) for severity in SEVERITIES]
        found = [f'{n} {name}{"" if n == 1 else "s"}' for n, name in zip(counts, SEVERITIES, strict=True) if n]
        healthy = 'nothing found that speaks against training' if self else ''
        return f'{"; ".join(filter(None, [healthy, ", ".join(found)]))} ({self.tried})'
