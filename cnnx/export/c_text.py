"""C as text: names, strings, arrays of numbers, index expressions, and lines that are indented by blocks."""

import contextlib
import re

import numpy as np

LINE = 118
LONGEST_STRING = 4095  # that C99 promises


def identifier(text):
    """Return a name made of text: its ASCII letters, digits and underscores, the rest as underscores."""
    name = re.sub(r'[^A-Za-z0-9]+', '_', text).strip('_')
    return name if name[:1].isalpha() else f'net_{name}'.rstrip('_')


def string(text):
    """Return text as a C string in UTF-8; what could end it, or start a comment or a trigraph, is escaped."""
    data = text.encode('utf-8', 'surrogatepass')
    if len(data) > LONGEST_STRING:
        raise ValueError(f'class_names: expected at most {LONGEST_STRING} bytes in a name, got {len(data)}')
    plain = set(range(32, 127)) - set(b'"\\?*/')
    return '"' + ''.join(chr(byte) if byte in plain else f'\\{byte:03o}' for byte in data) + '"'


def number(value):
    """Return a number as a float of C, or raise a ValueError if it is too large for one."""
    return _float(_as_float32(value))


def numbers(values):
    """Return an array's numbers in lines of C, without the braces."""
    values = np.asarray(values).reshape(-1)
    texts = map(_float, _as_float32(values)) if values.dtype.kind == 'f' else map(str, values.tolist())
    lines, line = [], '   '
    for text in texts:
        if len(line) + len(text) + 2 > LINE:
            lines.append(line)
            line = '   '
        line += f' {text},'
    return '\n'.join([*lines, line])


def _as_float32(values):
    with np.errstate(over='ignore'):
        values = np.asarray(values, np.float64).astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError('export: expected numbers that fit into float32, got one that is too large')
    # Compilers warn of some denormals.
    return np.where(np.abs(values) < np.finfo(np.float32).tiny, np.float32(0), values)[()]


def _float(value):
    return f'{float(str(value))!r}f'


def array(kind, name, values):
    """Return the definition of an array of constants."""
    return f'static const {kind} {name}[{np.size(values)}] = {{\n{numbers(values)}\n}};\n'


def total(*terms):
    """Return a sum as an expression, or as an int: of whole numbers, expressions, and pairs of either and a factor."""
    constant, texts = 0, []
    for term in terms:
        term, factor = term if isinstance(term, tuple) else (term, 1)
        if isinstance(term, int):
            constant += term * factor
        elif factor:
            texts.append(term if factor == 1 else f'{factor} * {in_brackets(term)}')
    if not texts:
        return constant
    sign = '-' if constant < 0 else '+'
    return ' + '.join(texts) + (f' {sign} {abs(constant)}' if constant else '')


def in_brackets(expression):
    return f'({expression})' if ' ' in str(expression) else expression


class Code:
    """Lines of C."""

    def __init__(self):
        self.lines = []
        self._depth = 0

    def __call__(self, *lines):
        self.lines += ['    ' * self._depth + line for line in lines]

    @contextlib.contextmanager
    def block(self, head):
        """Write `head { ... }` around what is written within."""
        self(f'{head} {{'.lstrip())
        self._depth += 1
        yield
        self._depth -= 1
        self('}')

    @contextlib.contextmanager
    def loop(self, name, count):
        """Write a loop of `name` from 0 to `count` - 1 around what is written within; give its name, or 0."""
        if count == 1:
            yield 0
        else:
            with self.block(f'for (int {name} = 0; {name} < {count}; {name}++)'):
                yield name

    def text(self):
        return '\n'.join(self.lines) + '\n'
