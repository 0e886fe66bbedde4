"""C of a quantised network: constants and expressions for the loops of c_loops.py, and the file around them.

What it computes stands in integers.py, too, for arrays.
"""

import math

import numpy as np

from cnnx.export import c, c_float, memory
from cnnx.export import steps as kinds
from cnnx.export.c_files import Contents, name_of, samples_for_test, write_files
from cnnx.export.c_loops import helpers, in_blocks
from cnnx.export.c_text import array, in_brackets, number, total
from cnnx.export.integers import FINE, UNIT_BITS

# What steps call, and what each calls.
FUNCTIONS = {
    'rescaled': """/* sum * multiplier / 2^shift, rounded to the nearest, plus zero; >> rounds down. */
static int8_t rescaled(int32_t sum, int32_t multiplier, int shift, int zero)
{
    const int64_t half = (int64_t)1 << (shift - 1);
    const int64_t y = (((int64_t)sum * multiplier + half) >> shift) + zero;
    return (int8_t)(y < -128 ? -128 : y > 127 ? 127 : y);
}
""",
    'rounded': """/* total / count, rounded to the nearest. */
static int32_t rounded(int32_t total, int32_t count)
{
    return (total < 0 ? total - count / 2 : total + count / 2) / count;
}
""",
    'square_root': """/* The whole part of the root. */
static int64_t square_root(int64_t x)
{
    int64_t root = 0;
    for (int64_t bit = (int64_t)1 << 30; bit > 0; bit >>= 1) {
        if ((root + bit) * (root + bit) <= x) root += bit;
    }
    return root;
}
""",
}


def write(quantized, path, samples):
    """Write a `QuantizedNetwork` as a C source and its header; see `c.export`."""
    network, steps, head = quantized.network, quantized.steps, quantized.head
    name, integers = name_of(path), Integers(quantized.constants)
    offsets, size = memory.plan(steps, c.sizes_of(network, steps), store_input=True)
    definitions = c.functions_of(steps, integers)
    of_head = c.functions_of([head] if head else [], c_float.Floats())
    called = [text for function, text in FUNCTIONS.items() if any(f'{function}(' in each for each in definitions)]
    source = offsets.pop(kinds.INPUT)  # where `predict` stores it; `predict_int8` gets it from elsewhere
    samples = samples_for_test(network, samples)
    scales = {'INPUT': quantized.input_scale, 'OUTPUT': quantized.output_scale}
    contents = Contents(
        notes=['A number q of int8 stands for SCALE * (q - ZERO), with the macros for input and output (the logits).'],
        macros=[
            f'#define {name.upper()}_{what} {text}'
            for end, (scale, zero) in scales.items()
            for what, text in ((f'{end}_SCALE', number(scale)), (f'{end}_ZERO', f'({zero})'))
        ],
        constants=sum(integers.count_bytes(step) for step in steps),
        memory=size,
        definitions=[
            *called,
            *helpers(definitions, integers),
            *definitions,
            *c_float.functions(of_head),
            *of_head,
            f'static int8_t memory[{size}];\n',
        ],
        functions=[
            _quantize(name, network, quantized.input_scale),
            (c.declaration(f'{name}_predict_int8', 'int8_t', network), c.calls(steps, offsets)),
            _predict(name, network, quantized, source),
        ],
        samples=samples,
        outputs=quantized.predict(samples),
        logits=quantized.predict_int8(quantized.quantize_input(samples)),
    )
    write_files(network, path, contents)


def _quantize(name, network, scale):
    """Return the function that brings inputs to 8 bits, as `QuantizedNetwork.quantize_input` does."""
    inputs, least, most = math.prod(network.input_shape), number(-128 - scale.zero), number(127 - scale.zero)
    body = [
        f'for (int i = 0; i < {inputs}; i++) {{',
        f'    float x = in[i] * {number(1 / scale.scale)};',
        f'    x = x > {least} ? x : {least};',
        f'    x = x < {most} ? x : {most};',
        f'    out[i] = (int8_t)({total("lrintf(x)", scale.zero)});',
        '}',
    ]
    return f'void {name}_quantize(const float in[{inputs}], int8_t out[{inputs}])', body


def _predict(name, network, quantized, source):
    """Return the function from floats to floats; the input in 8 bits is stored at `source`."""
    count, (scale, zero) = math.prod(network.layers[-1].shape), quantized.output_scale
    body = [
        f'int8_t *const logits = (int8_t *)out; /* the first {count} bytes of out */',
        f'{name}_quantize(in, memory + {source});',
        f'{name}_predict_int8(memory + {source}, logits);',
        f'for (int i = {count - 1}; i >= 0; i--) out[i] = (float)({total("logits[i]", -zero)}) * {number(scale)};',
    ]
    if quantized.head:
        body.append(f'step_{quantized.head.value}(out, out);')
    return c.declaration(f'{name}_predict', 'float', network), body


class Integers:
    """8-bit integers, and 32 bits for their sums.

    Args:
        constants: the `quantization.Constants` of each step, by its value.
    """

    data = 'int8_t'
    sum = 'int32_t'
    nothing = '0'
    least = '-128'
    next_input = '*x++ - zero'
    zero_parameter = 'int zero, '
    most_filters = 8  # sums that the registers of a Cortex-M hold

    def __init__(self, constants):
        self._constants = constants

    def constants(self, step):
        """Return the definitions of a step's constants."""
        return [array(kind, f'{name}_{step.value}', values) for name, (kind, _, values) in self._arrays(step).items()]

    def count_bytes(self, step):
        """Return how many bytes a step's constants take."""
        return sum(size * np.size(values) for _, size, values in self._arrays(step).values())

    def _arrays(self, step):
        """Return (type in C, bytes of a number, numbers) of a step's constants, by name."""
        own, arrays = self._constants[step.value], {}
        if own.weights is not None:
            arrays['weights'] = 'int8_t', 1, in_blocks(own.weights, step.groups, self.most_filters)
        if own.bias is not None:
            arrays['bias'] = *(('int32_t', 4) if own.bias.dtype == np.int32 else ('int64_t', 8)), own.bias
        if own.rescaling is not None:
            arrays['multipliers'] = 'int32_t', 4, own.rescaling.multipliers
        if isinstance(step, kinds.Merge):
            arrays = {}  # these few stand in the code
        if own.table is not None:
            arrays['table'] = 'int8_t', 1, own.table
        if own.mean is not None:
            arrays |= {name: ('int32_t', 4, counts) for name, counts in step.pooling.uneven_counts().items()}
        for i, table in enumerate(own.tables):
            if table is not None:
                arrays[f'table{i}'] = 'int8_t', 1, table
        return arrays

    def zero(self, step):
        return str(self._constants[step.value].output.zero)

    def zeros(self, step):
        return [str(self._constants[step.value].inputs[0].zero)]

    def above_zero(self, step, value, read=0):
        return total(value, -self._constants[step.value].inputs[read].zero)

    def least_sum(self, step):
        return 'INT32_MIN'

    def keep_larger(self, most, value):
        return f'if ({value} > {most}) {most} = {value};'

    def of_sum(self, step, a, f):
        own = self._constants[step.value]
        return self._looked_up(step, _rescaled(a, f'multipliers_{step.value}[{f}]', own.rescaling, own.sums.zero))

    def _looked_up(self, step, value):
        return value if self._constants[step.value].table is None else f'table_{step.value}[{value} + 128]'

    def activated(self, step, value):
        return total(value, -self._constants[step.value].activated.zero)

    def of_pooled(self, step, m, f, count):
        if not step.pooling.is_maximum:
            return self.mean(step, m, count)
        return self.of_sum(step, m, f) if kinds.pools_sums(step) else m

    def mean(self, step, total_, count):
        own = self._constants[step.value]
        fine = f'rounded({FINE} * {total_}, {count})'
        return _rescaled(fine, own.mean.multipliers, own.mean, own.output.zero)

    def mapped(self, step, value):
        return self._looked_up(step, value)

    def sloped(self, step, value, channel):
        own = self._constants[step.value]
        multiplier = f'{value} < 0 ? multipliers_{step.value}[{channel}] : {own.positive}'
        return _rescaled(value, multiplier, own.rescaling, own.output.zero)

    def merged(self, step, values):
        own = self._constants[step.value]
        values = [in_brackets(value) for value in values]
        if not step.adds:
            return _rescaled(' * '.join(values), own.rescaling.multipliers, own.rescaling, own.output.zero)
        terms = [f'{factor} * {value}' for factor, value in zip(own.rescaling.multipliers, values, strict=True)]
        return _rescaled(' + '.join(terms), 1, own.rescaling, own.output.zero)

    def joined(self, step, value, read):
        table = self._constants[step.value].tables[read]
        return value if table is None else f'table{read}_{step.value}[{value} + 128]'

    def weighted(self, step, value, weight):
        return f'{weight} * {in_brackets(self.above_zero(step, value))}'

    def divided(self, step, value, count):
        return f'(int8_t)({total(f"rounded({value}, {count})", self._constants[step.value].output.zero)})'

    def normalize(self, code, step):
        own = self._constants[step.value]
        P, G, C = step.positions, step.groups, step.shape[-1]
        K, shift = C // G, own.rescaling.shift
        half = 1 << (shift - 1)
        with code.loop('i', step.parts) as i, code.loop('g', G) as g:
            first = total((i, P * C), (g, K))
            code('int32_t sum = 0;', 'int64_t squares = 0;', 'int bits = 0;')
            with code.loop('p', P) as p, code.loop('k', K) as k:
                code(f'const int32_t u = {self.above_zero(step, f"x[{total(first, (p, C), k)}]")};')
                code('sum += u;', 'squares += u * u;')
            code(f'int64_t spread = {P * K} * squares - (int64_t)sum * sum + {own.epsilon};')
            with code.block('while (spread < (int64_t)1 << 60)'):
                code('spread *= 4;', 'bits++;')
            code('const int64_t root = square_root(spread);')
            with code.loop('p', P) as p, code.loop('k', K) as k:
                at, channel = total(first, (p, C), k), total((g, K), k)
                above = in_brackets(self.above_zero(step, f'x[{at}]'))
                code(
                    f'const int64_t difference = (int64_t){P * K} * {above} - sum;',
                    f'const int64_t unit = difference * ((int64_t)1 << (bits + {UNIT_BITS})) / root;',
                    f'int64_t v = unit * multipliers_{step.value}[{channel}] + bias_{step.value}[{channel}];',
                    f'v = {total(f"((v + {half}) >> {shift})", own.output.zero)};',
                    f'y[{at}] = (int8_t)(v < -128 ? -128 : v > 127 ? 127 : v);',
                )


def _rescaled(value, multiplier, rescaling, zero):
    return f'rescaled({value}, {multiplier}, {rescaling.shift}, {zero})'
