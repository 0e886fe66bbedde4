"""Charts as SVG: round ticks, lines with gaps, and what is said of them in words."""

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from cnnx.callbacks.run_page.charts import HEIGHT, WIDTH, Series, line_chart, number, ticks, whole_ticks


@pytest.mark.parametrize('scale', [1e-9, 1e-3, 1, 7, 1e6])
def test_ticks_are_few_and_round_and_hold_all_numbers(scale):
    rng = np.random.default_rng(0)
    for low, high in np.sort(rng.normal(size=(200, 2)), axis=1) * scale:
        found = ticks(low, high)
        assert 3 <= len(found) <= 7
        assert found[0] <= low + 1e-8 * (high - low)
        assert found[-1] >= high - 1e-8 * (high - low)
        step = (found[-1] - found[0]) / (len(found) - 1)
        assert float(f'{step:.0e}') == pytest.approx(step)


@pytest.mark.parametrize('value', [0.0, 0.01, -3.0, 1e-30, 1e30])
def test_a_single_value_stands_between_two_ticks(value):
    found = ticks(value, value)
    assert found[0] < value < found[-1]


def test_whole_ticks_are_whole_and_within():
    for high in [*range(1, 60), 1000, 123456]:
        found = whole_ticks(1, high)
        assert all(type(tick) is int and 1 <= tick <= high for tick in found)
        assert 1 <= len(found) <= 6
        assert len(set(np.diff(found))) <= 1


def svg_of(text):
    return ElementTree.fromstring(re.search('<svg.*</svg>', text)[0])


def test_a_line_has_gaps_where_numbers_are_not_finite():
    chart = line_chart('loss', [Series('training', [1, 2, 3, 4, 5], [3.0, math.nan, 2.0, 1.0, math.inf])], 'epoch')
    svg = svg_of(chart)
    path = svg.find("./g[@class='line0']/path").get('d')
    assert re.findall('[ML]', path) == ['M', 'M', 'L']
    assert [circle.find('title').text for circle in svg.iter('circle')] == ['1: 3', '3: 2', '4: 1']
    assert svg.get('aria-label') == 'loss: training from 3 to 1'
    places = [(float(x), float(y)) for x, y in re.findall(r'([\d.]+) ([\d.]+)', path)]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert [y for _, y in places] == sorted(y for _, y in places)  # y goes down where values fall


def test_without_finite_numbers_there_is_a_line_of_text():
    chart = line_chart('loss', [Series('training', [1], [math.nan])], 'epoch')
    assert 'no numbers yet' in chart
    assert '<svg' not in chart


def test_names_are_escaped():
    chart = line_chart('<b>&"', [Series('"><script>', [1, 2], [1.0, 2.0])], '</svg>')
    assert '<script>' not in chart
    assert svg_of(chart).get('aria-label').startswith('<b>&"')


def test_numbers_have_four_digits():
    assert [number(x) for x in (0.123456, 12, 1e-7, math.nan, None)] == ['0.1235', '12', '1e-07', '-', '-']
