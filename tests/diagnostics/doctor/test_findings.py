"""The doctor's report."""

import dataclasses

import pytest
from doctor_cases import network

from cnnx import Dense, Softmax


def test_the_report_says_what_and_what_to_do_errors_first(flat):
    report = network(Dense(784, 32), Dense(output_size=10), Softmax(), Softmax()).doctor(*flat)
    assert [f.severity for f in report.findings] == ['error', 'warning', 'note']
    text = repr(report)
    assert text.startswith('error: layer 3 (Softmax) computes the softmax of the probabilities of layer 2 (Softmax)')
    assert '\n  > Remove layer 2 (Softmax).\n' in text
    assert text.endswith('1 error, 1 warning, 1 note (1,000 samples, batch size 32, learning rate 0.01)')
    assert str(report.findings[0]) in text
    assert max(map(len, text.splitlines())) <= 120
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.findings[0].name = ''


def test_a_notebook_shows_findings_and_layers(flat):
    html = network(Dense(784, 32), Dense(output_size=10), Softmax(), Softmax()).doctor(*flat)._repr_html_()
    assert html.startswith('<table><caption>1 error, 1 warning, 1 note')
    assert '<td>Remove layer 2 (Softmax).</td>' in html
    assert '<pre>layer ' in html
