"""docs/reading.md and docs/one_step.md: what they name is there, and numbers of lines are right within 10 %."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / 'docs' / 'reading.md'
# An entry of a list: a link to a file, how many lines to read, and the functions and classes if that is not the whole.
ENTRY = re.compile(r'^- \[`([^`]+)`\]\(\.\./([^)]+)\), (\d+) lines((?:[^\n]|\n  )*)$', re.MULTILINE)

pytestmark = pytest.mark.skipif(not (ROOT / 'cnnx').exists(), reason='needs the source, which a wheel does not have')


def entries():
    """Return (file, names of functions and classes, or [] for the whole file, number of lines) of all entries."""
    found = ENTRY.findall(PAGE.read_text(encoding='utf-8'))
    return [(path, re.findall(r'`(\w+)`', what), int(lines)) for _, path, lines, what in found]


def length(lines, name):
    """Return how many lines the definition of a function or class has, in Python or Cython."""
    begins = [n for n, line in enumerate(lines) if re.match(rf'\s*(def |class |cdef [^=(]*)\b{name}[(:]', line)]
    assert len(begins) == 1, f'{name}: expected one definition, found {len(begins)}'
    begin = end = begins[0]
    indent = len(lines[begin]) - len(lines[begin].lstrip())
    for n, line in enumerate(lines[begin + 1 :], begin + 1):
        text = line.lstrip()
        if text and len(line) - len(text) <= indent and not text.startswith(')'):
            break
        end = n if text else end
    return end + 1 - begin


def counted(path, names):
    lines = (ROOT / path).read_text(encoding='utf-8').splitlines()
    return sum(length(lines, name) for name in names) if names else len(lines)


@pytest.mark.parametrize('entry', entries(), ids=lambda entry: entry[0])
def test_numbers_of_lines(entry):
    path, names, lines = entry
    assert counted(path, names) == pytest.approx(lines, rel=0.1)


def test_links_lead_to_what_they_show():
    text = PAGE.read_text(encoding='utf-8')
    for shown, link in re.findall(r'\[`?([^\]`]+)`?\]\(\.\./([^)]+)\)', text):
        assert link.endswith(shown)
        assert (ROOT / link).exists(), link
    # Every Python or Cython file is an entry, whose lines are counted.
    links = re.findall(r'\]\(\.\./([^)]+\.(?:py|pyx|pxd))\)', text)
    assert links == [path for path, *_ in entries()]


def test_the_short_walk_names_functions_that_are_there():
    walk = (ROOT / 'docs' / 'one_step.md').read_text(encoding='utf-8').partition('## The same step')[0]
    rows = re.findall(r'^ {4,}([\w., ]+?)(?: \(.*?\))? +([\w/]+\.py)', walk, re.MULTILINE)
    assert len(rows) > 15
    for names, path in rows:
        text = (ROOT / path if (ROOT / path).exists() else ROOT / 'cnnx' / path).read_text(encoding='utf-8')
        for name in names.split(', '):
            assert re.search(rf'def {name.rpartition(".")[2]}\(', text), (name, path)


def test_the_sum_of_the_lines():
    total = int(re.search(r'([\d,]+) lines', PAGE.read_text(encoding='utf-8'))[1].replace(',', ''))
    assert sum(lines for *_, lines in entries()) == pytest.approx(total, rel=0.1)


def test_every_exercise_has_its_answer():
    text = PAGE.read_text(encoding='utf-8')
    exercises = re.findall(r'\(#answer-(\d+)\)', text)
    assert exercises == re.findall(r'^### Answer (\d+)$', text, re.MULTILINE) != []
