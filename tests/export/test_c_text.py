"""C as text."""

import numpy as np
import pytest

from cnnx.export.c_text import Code, array, identifier, number, string, total


@pytest.mark.parametrize(
    ('text', 'name'),
    [('digits', 'digits'), ('a b', 'a_b'), ('3', 'net_3'), ('', 'net'), ('__x__', 'x'), ('é*/', 'net')],
)
def test_identifier(text, name):
    assert identifier(text) == name


def test_string_escapes_what_could_end_it():
    assert string('a b') == '"a b"'
    assert string('"\\') == '"\\042\\134"'
    assert string('*/??/') == '"\\052\\057\\077\\077\\057"'
    assert string('ü\n') == '"\\303\\274\\012"'
    assert string('\ud800') == '"\\355\\240\\200"'


def test_number_is_read_back_as_it_was():
    rng = np.random.default_rng(0)
    values = rng.normal(size=200).astype(np.float32) * np.float32(10) ** rng.integers(-30, 30, 200).astype(np.float32)
    for value in [*values, np.float32(1), np.float32(3.4e38), np.float32(-0.1)]:
        text = number(value)
        assert text.endswith('f')
        assert set('.e') & set(text)
        assert np.float32(text[:-1]) == value
    assert number(1e-42) == '0.0f'


def test_array():
    assert array('int8_t', 'x', np.array([1, -2], np.int8)) == 'static const int8_t x[2] = {\n    1, -2,\n};\n'
    assert array('float', 'x', np.float32([0.5])) == 'static const float x[1] = {\n    0.5f,\n};\n'


def test_total():
    assert total(('p', 3), ('q', 1), 0) == '3 * p + q'
    assert total(('p + 1', 3), -2) == '3 * (p + 1) - 2'
    assert total((2, 3), 4, ('p', 0)) == 10


def test_code():
    code = Code()
    with code.loop('i', 2) as i, code.loop('j', 1) as j:
        code(f'y[{i}] = {j};')
    assert code.text() == 'for (int i = 0; i < 2; i++) {\n    y[i] = 0;\n}\n'
