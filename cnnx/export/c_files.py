"""A C source and its header as text: the functions that they offer, sizes, class names, and a self-test."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnnx._util.arrays import as_numbers
from cnnx._util.windows import batch_shape
from cnnx._version import __version__
from cnnx.export.c_text import array, identifier, string

SAMPLES = 5  # of the self-test
TOLERANCE = '1e-5f'  # of it, times the largest output
# Names that a header must not have.
STANDARD_HEADERS = """
assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdarg stdbool stddef stdint
stdio stdlib string tgmath time wchar wctype
"""


@dataclass
class Contents:
    """What the two files hold.

    Attributes:
        notes: lines of the comment at the top.
        macros: lines for the header.
        constants, memory: how many bytes constants and the static memory take.
        definitions: functions and constants that are not offered.
        functions: those that are: (declaration, lines of the body).
        samples, outputs: of the self-test, and `logits`, where they are integers.
    """

    notes: list
    macros: list
    constants: int
    memory: int
    definitions: list
    functions: list
    samples: Any
    outputs: Any
    logits: Any = None


def name_of(path):
    """Return the name in C that a network gets from the name of its file.

    Raises:
        ValueError: its header would have the name of a standard one.
    """
    stem = Path(path).stem
    if stem.lower() in STANDARD_HEADERS.split():
        raise ValueError(f'export: {stem}.h is the name of a standard header; choose another name')
    return identifier(stem)


def samples_for_test(network, samples):
    """Return the samples of the self-test in float32: the first that are given, or random ones.

    Raises:
        ValueError: there are none, they do not fit the network, or are not finite.
    """
    if samples is None:
        # Few digits, so that the source stays short.
        shape = SAMPLES, *network.input_shape
        return (np.random.default_rng(0).integers(0, 1000, shape) / 1000).astype(np.float32)
    samples = as_numbers(samples, 'samples')
    if samples.shape[1:] != network.input_shape or not len(samples):
        raise ValueError(f'samples: expected at least one, {batch_shape(network.input_shape)}, got {samples.shape}')
    with np.errstate(over='ignore'):
        samples = samples[:SAMPLES].astype(np.float32)
    if not np.isfinite(samples).all():
        raise ValueError('samples: expected finite numbers, got NaN or infinity among the first of them')
    return samples


def write_files(network, path, contents):
    """Write source and header."""
    path, name = Path(path), name_of(path)
    # A header's name stands between quotes.
    header = path.with_name(f'{path.stem if re.fullmatch("[A-Za-z0-9_. +-]+", path.stem) else name}.h')
    about = _about(network, name, contents)
    source = about + _source(network, name, header.name, contents)
    path.write_text(source, encoding='ascii', newline='\n')
    header.write_text(about + _header(network, name, contents), encoding='ascii', newline='\n')


def _about(network, name, contents):
    lines = [
        f'{name}: a network exported by cnnx {__version__}.',
        f'in: {math.prod(network.input_shape)} numbers, {network.input_shape}, the last axis fastest; '
        f'out: {math.prod(network.layers[-1].shape)} numbers, {network.layers[-1].shape}.',
        *contents.notes,
        f'Constants (flash): {contents.constants} bytes, and the code. Static memory (RAM): {contents.memory} bytes.',
        f'Multiply-adds of a call: {network.multiply_adds}. One call at a time: the memory is shared.',
    ]
    return '/* ' + '\n * '.join(lines) + '\n */\n'


def _header(network, name, contents):
    upper, classes = name.upper(), network.class_names
    sizes = {'INPUTS': math.prod(network.input_shape), 'OUTPUTS': math.prod(network.layers[-1].shape)}
    if classes:
        sizes['CLASSES'] = len(classes)
    declarations = [declaration for declaration, _ in contents.functions]
    if classes:
        declarations.insert(0, f'extern const char *const {name}_classes[{len(classes)}]')
    lines = [
        f'#ifndef {upper}_H',
        f'#define {upper}_H',
        '#include <stdint.h>',
        '',
        *(f'#define {upper}_{size} {value}' for size, value in sizes.items()),
        *contents.macros,
        '',
        '#ifdef __cplusplus',
        'extern "C" {',
        '#endif',
        *(f'{declaration};' for declaration in declarations),
        f'#ifdef {upper}_TEST',
        f'int {name}_test(void); /* how many of {len(contents.samples)} samples have other outputs than in Python */',
        '#endif',
        '#ifdef __cplusplus',
        '}',
        '#endif',
        f'#endif /* {upper}_H */',
    ]
    return '\n'.join(lines) + '\n'


def _source(network, name, header, contents):
    lines = [f'#include "{header}"', '#include <math.h>', '']
    if network.class_names:
        strings = ',\n'.join(f'    {string(each)}' for each in network.class_names)
        lines.append(f'const char *const {name}_classes[{len(network.class_names)}] = {{\n{strings},\n}};\n')
    lines += contents.definitions
    for declaration, body in contents.functions:
        lines += [declaration, '{', *(f'    {line}' for line in body), '}', '']
    return '\n'.join([*lines, _self_test(name, contents)])


def _self_test(name, contents):
    samples, logits = contents.samples, contents.logits
    with np.errstate(over='ignore'):
        outputs = contents.outputs.astype(np.float32)
    if not np.isfinite(outputs).all():
        raise ValueError('samples: the network gives NaN or infinity for the first of them')
    inputs, count = samples[0].size, outputs[0].size
    arrays = [array('float', 'test_inputs', samples), array('float', 'test_outputs', outputs)]
    storage = compare_logits = ''
    if logits is not None:
        arrays.append(array('int8_t', 'test_logits', logits))
        storage = f'\n    static int8_t test_memory[{inputs}], logits[{count}];'
        compare_logits = f"""
        {name}_quantize(in, test_memory);
        {name}_predict_int8(test_memory, logits);
        for (int k = 0; k < {count}; k++) differs = differs || logits[k] != test_logits[{count} * i + k];"""
    definitions = '\n'.join(arrays)
    return f"""#ifdef {name.upper()}_TEST
#include <stdio.h>

{definitions}
int {name}_test(void)
{{
    static float out[{count}];{storage}
    int wrong = 0;
    for (int i = 0; i < {len(samples)}; i++) {{
        const float *in = test_inputs + {inputs} * i, *expected = test_outputs + {count} * i;
        float largest = 0.0f, difference = 0.0f;
        int differs = 0;{compare_logits}
        {name}_predict(in, out);
        for (int k = 0; k < {count}; k++) {{
            largest = fmaxf(largest, fabsf(expected[k]));
            difference = fmaxf(difference, fabsf(out[k] - expected[k]));
            differs = differs || out[k] != out[k];
        }}
        wrong += differs || difference > {TOLERANCE} * largest;
    }}
    return wrong;
}}

int main(void)
{{
    const int wrong = {name}_test();
    printf("{name}: %d of {len(samples)} samples are wrong\\n", wrong);
    return wrong != 0;
}}
#endif
"""
