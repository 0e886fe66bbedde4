"""C99 files of a network: a source and its header, without dependencies, for computers and microcontrollers."""

import math
import re
from pathlib import Path

import numpy as np

from cnnx._util.arrays import as_numbers
from cnnx._util.windows import batch_shape
from cnnx._version import __version__
from cnnx.export import c_float, memory
from cnnx.export.c_loops import helpers, write_function
from cnnx.export.c_text import array, identifier, string
from cnnx.export.steps import INPUT, steps_of

PRECISIONS = ('float32', 'int8')
SAMPLES = 5  # of the self-test
# Names that a header must not have.
STANDARD_HEADERS = """
assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdarg stdbool stddef stdint
stdio stdlib string tgmath time wchar wctype
"""
TOLERANCE = '1e-5f'  # times the largest output


def write(network, path, *, precision='float32', calibrate=None, samples=None):
    """Write a network as a C source and, beside it, its header.

    For `digits.c` they have `void digits_predict(const float in[], float out[])`, sizes as macros, names of classes,
    and, where DIGITS_TEST is defined, a self-test with a `main`.

    Args:
        network: a `cnnx.Network`; one of float64 is written in float32.
        path: the file of the source; names in C are made from its name.
        precision: 'float32', or 'int8' for a network that is quantised first (`Network.quantize`).
        calibrate: for 'int8', typical samples (N, ...).
        samples: for the self-test, at least one; the first five are used. By default those of `calibrate`, or random
            ones.

    Raises:
        OSError: a file cannot be written.
        ValueError: a layer is one of your own, a weight is not finite, or an argument is none of these.
    """
    if precision not in PRECISIONS:
        raise ValueError(f'precision: expected one of {", ".join(PRECISIONS)}, got {precision!r}')
    if precision == 'int8':
        if calibrate is None:
            raise ValueError("precision='int8' needs calibrate=x, typical samples: some hundred of the training data")
        network.quantize(calibrate).export(path, samples=samples)
        return
    if calibrate is not None:
        raise ValueError("calibrate: is for precision='int8'")
    steps = steps_of(network)
    samples = samples_for_test(network, samples)
    sizes = {INPUT: math.prod(network.input_shape), **{step.value: math.prod(step.shape) for step in steps}}
    offsets, size = memory.plan(steps, sizes)
    floats = c_float.Floats()
    definitions = functions_of(steps, floats)
    write_files(
        network,
        path,
        notes=['All numbers are floats.'],
        constants=4 * sum(floats.count_constants(step) for step in steps),
        memory=4 * size,
        definitions=[*c_float.functions(definitions), *helpers(definitions, floats), *definitions],
        storage=[f'static float memory[{size}];'] if size else [],
        predict=calls(steps, offsets),
        samples=samples,
        outputs=network.predict(samples),
    )


def samples_for_test(network, samples):
    """Return the samples of the self-test in float32."""
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


def functions_of(steps, arithmetic):
    """Return the C functions of steps, each with its constants before it."""
    return [write_function(step, f'step_{step.value}', arithmetic) for step in steps]


def calls(steps, offsets):
    """Return the calls of the steps' functions: values are in `memory`, the input in `in`, the output in `out`."""

    def pointer(value):
        return f'memory + {offsets[value]}' if value in offsets else 'in' if value == INPUT else 'out'

    return [f'step_{step.value}({", ".join(map(pointer, (*step.reads, step.value)))});' for step in steps]


def write_files(
    network,
    path,
    *,
    notes,
    constants,
    memory,
    definitions,
    storage,
    predict,
    samples,
    outputs,
    extra=(),
    macros=(),
    logits=None,
):
    """Write source and header.

    Args:
        network, path: as for `write`.
        notes: lines of the comment at the top.
        constants, memory: how many bytes constants and the static memory take.
        definitions: functions and constants.
        storage: definitions of the static memory.
        predict: the lines of the function of that name.
        samples, outputs: of the self-test.
        extra: (declaration, lines of the body) of further public functions, which stand before `predict`.
        macros: lines for the header.
        logits: of the self-test, where they are integers.
    """
    path = Path(path)
    name = identifier(path.stem)
    if path.stem.lower() in STANDARD_HEADERS.split():
        raise ValueError(f'export: {path.stem}.h is the name of a standard header; choose another name')
    # A header's name stands between quotes.
    header = path.with_name(f'{path.stem if re.fullmatch("[A-Za-z0-9_. +-]+", path.stem) else name}.h')
    shape = network.layers[-1].shape
    inputs, count = math.prod(network.input_shape), math.prod(shape)
    classes = network.class_names
    upper = name.upper()
    about = [
        f'/* {name}: a network exported by cnnx {__version__}.',
        f' * in: {inputs} numbers, {network.input_shape}, the last axis fastest; out: {count} numbers, {shape}.',
        *(f' * {note}' for note in notes),
        f' * Constants (flash): {constants} bytes, and the code. Static memory (RAM): {memory} bytes.',
        f' * Multiply-adds of a call: {network.multiply_adds}. One call at a time: the memory is shared.',
        ' */',
    ]
    signature = f'void {name}_predict(const float in[{inputs}], float out[{count}])'
    names = [f'extern const char *const {name}_classes[{len(classes)}];'] if classes else []
    head = [
        *about,
        f'#ifndef {upper}_H',
        f'#define {upper}_H',
        '#include <stdint.h>',
        '',
        f'#define {upper}_INPUTS {inputs}',
        f'#define {upper}_OUTPUTS {count}',
        *([f'#define {upper}_CLASSES {len(classes)}'] if classes else []),
        *(macro.format(NAME=upper) for macro in macros),
        '',
        '#ifdef __cplusplus',
        'extern "C" {',
        '#endif',
        *names,
        *(f'{declaration.format(name=name)};' for declaration, _ in extra),
        f'{signature};',
        f'#ifdef {upper}_TEST',
        f'int {name}_test(void); /* returns how many of {len(samples)} samples have other outputs than in Python */',
        '#endif',
        '#ifdef __cplusplus',
        '}',
        '#endif',
        f'#endif /* {upper}_H */',
        '',
    ]
    strings = ',\n'.join(f'    {string(each)}' for each in classes or ())
    source = [
        *about,
        f'#include "{header.name}"',
        '#include <math.h>',
        '',
        *([f'const char *const {name}_classes[{len(classes)}] = {{\n{strings},\n}};\n'] if classes else []),
        *definitions,
        *storage,
        '',
        *(_function(declaration.format(name=name), body) for declaration, body in extra),
        _function(signature, [line.format(name=name) for line in predict]),
        _self_test(name, samples, outputs, logits),
    ]
    path.write_text('\n'.join(source), encoding='ascii', newline='\n')
    header.write_text('\n'.join(head), encoding='ascii', newline='\n')


def _function(declaration, body):
    return '\n'.join([declaration, '{', *(f'    {line}' for line in body), '}', ''])


def _self_test(name, samples, outputs, logits):
    inputs, count = samples[0].size, outputs[0].size
    arrays = [array('float', 'test_inputs', samples), array('float', 'test_outputs', outputs.astype(np.float32))]
    storage = compare_logits = ''
    if logits is not None:
        arrays.append(array('int8_t', 'test_logits', logits))
        storage = f'\n    static int8_t test_memory[{inputs}], logits[{count}];'
        compare_logits = f"""
        {name}_quantize(in, test_memory);
        {name}_predict_int8(test_memory, logits);
        for (int k = 0; k < {count}; k++) differs = differs || logits[k] != test_logits[{count} * i + k];"""
    return f"""#ifdef {name.upper()}_TEST
#include <stdio.h>

{chr(10).join(arrays)}
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
