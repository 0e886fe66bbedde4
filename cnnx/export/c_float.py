"""The arithmetic of floats in C: constants and expressions for the loops of c_loops.py."""

import re

from cnnx.export import steps as kinds
from cnnx.export.c_loops import in_blocks
from cnnx.export.c_text import array, number, total

# Of each activation: its function in C, and those that this one calls.
FUNCTIONS = {
    'relu': ('static float relu(float x) { return x < 0.0f ? 0.0f : x; }', ()),
    'relu_up_to': (
        'static float relu_up_to(float x, float most) { return x < 0.0f ? 0.0f : x > most ? most : x; }',
        (),
    ),
    'leaky_relu': ('static float leaky_relu(float x, float slope) { return x > 0.0f ? x : slope * x; }', ()),
    'sigmoid': (
        'static float sigmoid(float x)\n{\n    const float e = expf(-fabsf(x)); /* cannot overflow */\n'
        '    return (x > 0.0f ? 1.0f : e) / (1.0f + e);\n}',
        (),
    ),
    'elu': ('static float elu(float x, float alpha) { return x > 0.0f ? x : alpha * expm1f(x); }', ()),
    'selu': (
        'static float selu(float x, float alpha, float scale) { return scale * (x > 0.0f ? x : alpha * expm1f(x)); }',
        (),
    ),
    'hard_sigmoid': (
        'static float hard_sigmoid(float x, float alpha, float beta)\n{\n    const float y = alpha * x + beta;\n'
        '    return y < 0.0f ? 0.0f : y > 1.0f ? 1.0f : y;\n}',
        (),
    ),
    'softplus': (
        'static float softplus(float x) { return (x > 0.0f ? x : 0.0f) + log1pf(expf(-fabsf(x))); }',
        (),
    ),
    'silu': ('static float silu(float x) { return x * sigmoid(x); }', ('sigmoid',)),
    'gelu': ('static float gelu(float x) { return 0.5f * x * erfcf(-0.70710678f * x); }', ()),
    'hard_swish': (
        'static float hard_swish(float x)\n{\n    const float six = x < -3.0f ? 0.0f : x > 3.0f ? 6.0f : x + 3.0f;\n'
        '    return x * six / 6.0f;\n}',
        (),
    ),
}


def functions(definitions):
    """Return the C functions of the activations that definitions call, and those that these call."""
    called = {name for name in FUNCTIONS if any(re.search(rf'\b{name}\(', text) for text in definitions)}
    called |= {other for name in called for other in FUNCTIONS[name][1]}
    return [function for name, (function, _) in FUNCTIONS.items() if name in called]


class Floats:
    """Floats: what a step reads, sums and writes."""

    data = sum = 'float'
    nothing = '0.0f'
    least = '-INFINITY'
    next_input = '*x++'
    zero_parameter = ''
    most_filters = 16  # sums that compilers hold in registers

    def constants(self, step):
        """Return the definitions of a step's constants."""
        return [array('float', f'{name}_{step.value}', values) for name, values in self._arrays(step).items()]

    def count_constants(self, step):
        """Return how many numbers a step's constants are."""
        return sum(values.size for values in self._arrays(step).values())

    def _arrays(self, step):
        pooling = getattr(step, 'pooling', None)
        counts = {} if pooling is None else pooling.uneven_counts()
        if isinstance(step, kinds.Product):
            weights = in_blocks(step.weights, step.groups, self.most_filters)
            return {'weights': weights, 'bias': step.bias, **counts}
        if isinstance(step, kinds.Slopes):
            return {'slopes': step.slopes}
        if isinstance(step, kinds.Normalize):
            return {'gamma': step.gamma, 'beta': step.beta}
        return counts

    def zero(self, step):
        return '0.0f'

    def zeros(self, step):
        return []

    def above_zero(self, step, value, read=0):
        return value

    def least_sum(self, step):
        return '0.0f' if self._starts_at_zero(step) else '-INFINITY'

    def _starts_at_zero(self, step):
        return step.activation is not None and step.activation.name == 'relu'

    def keep_larger(self, most, value):
        # A NaN is kept.
        return f'if ({value} > {most} || {value} != {value}) {most} = {value};'

    def of_sum(self, step, a, f):
        return _call(step.activation, a)

    def activated(self, step, value):
        return value

    def of_pooled(self, step, m, f, count):
        if not step.pooling.is_maximum:
            return self.mean(step, m, count)
        return _call(step.activation, m) if kinds.pools_sums(step) and not self._starts_at_zero(step) else m

    def mean(self, step, total_, count):
        return f'{total_} / {number(count)}' if isinstance(count, int) else f'{total_} / (float)({count})'

    def mapped(self, step, value):
        return _call(step.activation, value)

    def sloped(self, step, value, c):
        return f'{value} < 0.0f ? slopes_{step.value}[{c}] * {value} : {value}'

    def merged(self, step, values):
        return (' + ' if step.adds else ' * ').join(values)

    def joined(self, step, value, read):
        return value

    def weighted(self, step, value, weight):
        return f'(float)({weight}) * {value}'

    def divided(self, step, value, count):
        return f'{value} / {number(count)}'

    def normalize(self, code, step):
        P, G, C = step.positions, step.groups, step.shape[-1]
        K = C // G
        with code.loop('i', step.parts) as i, code.loop('g', G) as g:
            first = total((i, P * C), (g, K))
            code('float mean = 0.0f, variance = 0.0f;')
            for result, value in (('mean', 'x[{0}]'), ('variance', '(x[{0}] - mean) * (x[{0}] - mean)')):
                with code.loop('p', P) as p:
                    code(f'float {result}_here = 0.0f;')
                    with code.loop('k', K) as k:
                        code(f'{result}_here += {value.format(total(first, (p, C), k))};')
                    code(f'{result} += {result}_here;')
                code(f'{result} /= {number(P * K)};')
            code(f'const float scale = 1.0f / sqrtf(variance + {number(step.epsilon)});')
            with code.loop('p', P) as p, code.loop('k', K) as k:
                at, channel = total(first, (p, C), k), total((g, K), k)
                gamma, beta = f'gamma_{step.value}[{channel}]', f'beta_{step.value}[{channel}]'
                code(f'y[{at}] = (x[{at}] - mean) * scale * {gamma} + {beta};')


def _call(activation, value):
    if activation is None:
        return value
    arguments = ', '.join([value, *map(number, activation.parameters)])
    return f'{"tanhf" if activation.name == "tanh" else activation.name}({arguments})'
