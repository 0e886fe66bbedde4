"""Findings of the doctor, and the report that holds them."""

import html
import math
import textwrap
from dataclasses import dataclass, field

from cnnx._util.representation import html_table

SEVERITIES = ('error', 'warning', 'note')
WIDTH = 110


@dataclass(frozen=True)
class Finding:
    """A problem with a training set-up, or something worth knowing.

    Attributes:
        name: an identifier: 'input_scale', 'rate_too_high', ...
        severity: 'error' if training cannot work, 'warning' if it is likely to suffer, else 'note'.
        layer: the index of the layer that it is about, or None.
        message: what is wrong.
        advice: what to do about it.
        values: measured values, by name.
    """

    name: str
    severity: str
    layer: int | None
    message: str
    advice: str
    values: dict = field(default_factory=dict)

    def __str__(self):
        lines = textwrap.wrap(f'{self.severity}: {self.message}', WIDTH, subsequent_indent='    ')
        return '\n'.join([*lines, *textwrap.wrap(self.advice, WIDTH, initial_indent='  > ', subsequent_indent='    ')])


@dataclass
class Row:
    """Measurements of a layer; None where they do not apply, NaN, printed as -, where they could not be made.

    Attributes:
        layer: index and class of the layer.
        spread: the standard deviation of its outputs over samples: root of the mean variance of units.
        idle: the fraction of units that are 0 for all samples (ReLU), or of outputs that are saturated (Sigmoid, Tanh).
        gradient: the norm of the gradient of the loss by its output.
        idle_later: `idle` after some training steps.
        update: the median of ||change of the weights|| / ||weights|| in a step.
    """

    layer: str
    spread: float | None = None
    idle: float | None = None
    gradient: float | None = None
    idle_later: float | None = None
    update: float | None = None

    def cells(self):
        numbers = [(n, '.2g') for n in (self.spread, self.gradient)]
        numbers += [(self.idle, '.0%'), (self.idle_later, '.0%'), (self.update, '.2g')]
        return [self.layer, *('' if n is None else '-' if math.isnan(n) else format(n, form) for n, form in numbers)]


class Diagnosis:
    """The result of `Network.doctor`: true if there are no errors or warnings; prints as a report.

    Attributes:
        findings: a list of `Finding`, errors first, then warnings, then notes.
        layers: a `Row` for each layer up to the loss.
        settings: the number of samples, batch size and learning rate that were examined, as text.
    """

    def __init__(self, findings, layers, settings):
        self.findings = sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
        self.layers = layers
        self.settings = settings

    def __bool__(self):
        return all(finding.severity == 'note' for finding in self.findings)

    def __repr__(self):
        parts = [*map(str, self.findings), self._table(), self._conclusion()]
        return '\n\n'.join(part for part in parts if part)

    def _repr_html_(self):
        findings = [(finding.severity, finding.message, finding.advice) for finding in self.findings]
        table = html_table(('severity', 'finding', 'advice'), findings, self._conclusion())
        return f'{table}<pre>{html.escape(self._table())}</pre>'

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
        healthy = 'no problems found' if self else ''
        return textwrap.fill(f'{"; ".join(filter(None, [healthy, ", ".join(found)]))} ({self.settings})', WIDTH)
