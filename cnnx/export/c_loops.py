"""The loops of each step in C. What the numbers are, floats or 8-bit integers, is left to an arithmetic.

An arithmetic (`c_float.Floats`, `c_int8.Integers`) names the types of C, defines a step's arrays of constants, and
gives the expressions that differ.

Letters: H, W, C rows, columns and channels of the input; P, Q rows and columns of the output; R, S those of a window;
F filters. In C, x is the input of a step, y its output, (p, q) a position of the output, (i, j) one of the sums before
pooling, (r, s) one in a window, w weights, a sums.
"""

import contextlib
import math
import re
from typing import Any, NamedTuple

import numpy as np

from cnnx.export import steps as kinds
from cnnx.export.c_text import Code, in_brackets, total


def write_function(step, name, arithmetic):
    """Return the C function of a step, name(x, y), with a comment and its constants before it."""
    code = Code()
    layers = ', '.join(type(layer).__name__ for layer in step.layers) or 'Copy'
    code(f'/* {layers}: {" and ".join(map(str, step.input_shapes))} to {step.shape} */')
    code.lines += arithmetic.constants(step)
    inputs = ', '.join(f'const {arithmetic.data} *{x}' for x in inputs_of(step))
    with code.block(f'static void {name}({inputs}, {arithmetic.data} *y)'):
        LOOPS[type(step)](code, step, arithmetic)
    return code.text()


def inputs_of(step):
    """Return the names of a function's inputs."""
    return [f'x{i}' for i in range(len(step.reads))] if len(step.reads) > 1 else ['x']


def _size(step):
    return math.prod(step.shape)


# Products: convolutions, transposed ones, dense layers.


def blocks(filters, most):
    """Return how `filters` filters are cut into blocks that are summed together: a list of (first, width, count).

    All are equally wide where a width from 4 to `most` divides the filters: the largest one, or a multiple of 4, as
    many numbers as a vector holds, that is not much smaller.
    """
    widths = [width for width in range(1, min(most, filters) + 1) if filters % width == 0]
    best = max(widths)
    in_fours = [width for width in widths if width % 4 == 0 and 4 * width >= 3 * best]
    best = max(in_fours, default=best)
    if best >= min(4, filters):
        return [(0, best, filters // best)]
    width = min(most, filters) // 4 * 4
    rest = filters % width
    return [(0, width, filters // width), (filters - rest, rest, 1)]


def in_blocks(weights, groups, most):
    """Return weights (R, S, C / groups, F) in the order in which they are read: group, block, r, s, channel, filter."""
    per_group = weights.shape[3] // groups
    parts = []
    for group in range(groups):
        for first, width, count in blocks(per_group, most):
            start = group * per_group + first
            for begin in range(start, start + width * count, width):
                parts.append(weights[..., begin : begin + width].reshape(-1))
    return np.concatenate(parts)


def product(code, step, arithmetic):
    R, S, depth, F = step.weights.shape
    P, Q = step.positions if step.pooling is None else step.pooling.positions
    per_group, taps = F // step.groups, R * S * depth
    parts = blocks(per_group, arithmetic.most_filters)
    with code.loop('p', P) as p, code.loop('q', Q) as q, code.loop('g', step.groups) as g:
        for first, width, count in parts:
            with code.block('') if len(parts) > 1 else contextlib.nullcontext(), code.loop('b', count) as b:
                filters = total((g, per_group), (b, width), first)
                block = _Block(step, width, filters, total((g, per_group * taps), first * taps, (b, width * taps)), g)
                if step.pooling is None:
                    _sums(code, block, arithmetic, p, q)
                else:
                    _pooled_sums(code, block, arithmetic, p, q)
                with code.loop('k', width) as k:
                    f = total(filters, k)
                    if step.pooling is None:
                        result = arithmetic.of_sum(step, f'a[{k}]', f)
                    else:
                        result = arithmetic.of_pooled(step, f'm[{k}]', f, _count(step, p, q))
                    code(f'y[{total((p, Q * F), (q, F), f)}] = {result};')


class _Block(NamedTuple):
    """Filters of a product that are summed together: how many, the first, where their weights are, and their group."""

    step: Any
    width: int
    first: Any
    weights: Any
    group: Any


def _pooled_sums(code, block, arithmetic, p, q):
    """Write m[k]: of the positions in a window, the largest sums, or the total of what they become."""
    step, width = block.step, block.width
    is_maximum, on_sums = step.pooling.is_maximum, kinds.pools_sums(step)
    kind = arithmetic.sum if on_sums or not is_maximum else arithmetic.data
    code(f'{kind} m[{width}];')
    with code.loop('k', width) as k:
        least = arithmetic.least_sum(step) if on_sums else arithmetic.least
        code(f'm[{k}] = {least if is_maximum else arithmetic.nothing};')
    with _window(code, step.pooling, p, q) as (i, j):
        _sums(code, block, arithmetic, i, j)
        with code.loop('k', width) as k:
            result = arithmetic.of_sum(step, f'a[{k}]', total(block.first, k))
            if not is_maximum:
                code(f'm[{k}] += {arithmetic.activated(step, result)};')
            elif on_sums:
                code(arithmetic.keep_larger(f'm[{k}]', f'a[{k}]'))
            else:
                code(f'const {arithmetic.data} v = {result};', arithmetic.keep_larger(f'm[{k}]', 'v'))


def _sums(code, block, arithmetic, i, j):
    """Write a[k]: the weighted sums at (i, j)."""
    step, window = block.step, block.step.window
    (H, W, C), (_, J), (R, S, depth, _), width = step.image, step.positions, step.weights.shape, block.width
    code(f'{arithmetic.sum} a[{width}];')
    with code.loop('k', width) as k:
        code(f'a[{k}] = bias_{step.value}[{total(block.first, k)}];')
    if step.transposed:
        with (
            _inverse_stride(code, 'r', R, total(i, window.pad_top), window.stride_height, H) as (r, row),
            _inverse_stride(code, 's', S, total(j, window.pad_left), window.stride_width, W) as (s, column),
        ):
            at = total(block.weights, (r, S * C * width), (s, C * width))
            _add_products(code, block, arithmetic, total((row, W * C), (column, C)), at, C)
        return
    top = total((i, window.stride_height), -window.pad_top)
    left = total((j, window.stride_width), -window.pad_left)
    padded_rows, padded_columns = _pads(step)
    if step.groups > 1 or window.dilation_width > 1:
        with (
            code.loop('r', R) as r,
            _inside(code, 'row', total(top, (r, window.dilation_height)), H, padded_rows) as row,
            code.loop('s', S) as s,
            _inside(code, 'column', total(left, (s, window.dilation_width)), W, padded_columns) as column,
        ):
            pixel = total((row, W * C), (column, C), (block.group, depth))
            at = total(block.weights, (r, S * depth * width), (s, depth * width))
            _add_products(code, block, arithmetic, pixel, at, depth)
        return
    # The pixels that a row of the window covers lie side by side.
    first, column, taps, guard = 0, left, S * C, contextlib.nullcontext()
    if padded_columns:
        code(f'const int left = {left}, first = left < 0 ? -left : 0;')
        code(f'const int end = {W} - left < {S} ? {W} - left : {S};')
        first, column, taps = 'first', 'left + first', total(('end - first', C))
        if window.pad_left >= S or (J - 1) * window.stride_width - window.pad_left >= W:
            guard = code.block('if (first < end)')
    with (
        guard,
        code.loop('r', R) as r,
        _inside(code, 'row', total(top, (r, window.dilation_height)), H, padded_rows) as row,
    ):
        at = total(block.weights, (r, S * C * width), (first, C * width))
        _add_products(code, block, arithmetic, total((row, W * C), (column, C)), at, taps)


def _pads(step):
    """Return whether windows reach beyond the image, along rows and along columns."""
    window, sizes = step.window, (*step.positions, *step.weights.shape[:2], *step.image[:2])
    beyond = []
    for axis in range(2):
        count, size, length = sizes[axis::2]
        stride, pad, apart = window[2 + axis], window[4 + axis], window[6 + axis]
        beyond.append(pad > 0 or (count - 1) * stride + apart * (size - 1) + 1 > length)
    return beyond


@contextlib.contextmanager
def _inside(code, name, place, size, padded):
    """Skip what is written within where a place is outside of 0 ... size - 1; give an expression for it."""
    if not padded:
        yield place
        return
    code(f'const int {name} = {place};')
    with code.block(f'if ({name} >= 0 && {name} < {size})'):
        yield name


@contextlib.contextmanager
def _inverse_stride(code, name, taps, place, stride, size):
    """Write a loop over the taps of a transposed convolution that reach a place; give tap and place in the input."""
    start = place if stride == 1 else f'{in_brackets(place)} % {stride}'
    with code.block(f'for (int {name} = {0 if stride == 1 else start}; {name} < {taps}; {name} += {stride})'):
        code(f'const int {name}_from = {total(place)} - {name};')
        with code.block(f'if ({name}_from >= 0 && {name}_from < {stride * size})'):
            yield name, f'{name}_from' if stride == 1 else f'({name}_from / {stride})'


def _add_products(code, block, arithmetic, pixel, weights, count):
    """Write the sum of `count` numbers from x[pixel] on times the weights of each filter of the block."""
    step, width = block.step, block.width
    x, w = total('x', pixel), total(f'weights_{step.value}', weights)
    if count == 1:
        with code.loop('k', width) as k:
            x = arithmetic.above_zero(step, f'x[{pixel}]')
            code(f'a[{k}] += {in_brackets(x)} * weights_{step.value}[{total(weights, k)}];')
    else:
        code(f'add_products_{width}({x}, {w}, {count}, {", ".join([*arithmetic.zeros(step), "a"])});')


def helpers(definitions, arithmetic):
    """Return the functions `add_products_...` that definitions call: for blocks of so many filters each."""
    called = sorted({int(width) for text in definitions for width in re.findall(r'add_products_(\d+)\(', text)})
    return [_helper(width, arithmetic) for width in called]


def _helper(width, arithmetic):
    code = Code()
    code(f'/* Add count numbers x, times their weights w, to {width} sums; w has {width} weights for each number. */')
    parameters = f'const {arithmetic.data} *x, const {arithmetic.data} *w, int count'
    with code.block(
        f'static void add_products_{width}({parameters}, {arithmetic.zero_parameter}{arithmetic.sum} sums[{width}])'
    ):
        for first in range(0, width, 4):
            names = range(first, min(first + 4, width))
            code(f'{arithmetic.sum} {", ".join(f"a{k} = sums[{k}]" for k in names)};')
        with code.block('for (; count > 0; count--)'):
            code(f'const {arithmetic.sum} u = {arithmetic.next_input};')
            with code.block(f'if (u != {arithmetic.nothing})'):
                code(*(f'a{k} += u * w[{k}];' for k in range(width)))
            code(f'w += {width};')
        code(*(f'sums[{k}] = a{k};' for k in range(width)))
    return code.text()


@contextlib.contextmanager
def _window(code, pooling, p, q):
    """Write the loops over the pixels of the pooling window at (p, q); give their position."""
    rows, columns = zip(kinds.axes_of(pooling.window), pooling.image, pooling.positions, strict=True)
    with _along(code, 'i', p, *rows) as i, _along(code, 'j', q, *columns) as j:
        yield i, j


@contextlib.contextmanager
def _along(code, name, p, axis, size, positions):
    """Write the loop over the pixels along an axis, cut off at the edges of the image; give their position."""
    reads, stride, pad, dilation = axis
    first, extent = total((p, stride), -pad), kinds.extent(reads, dilation)
    over_end = (positions - 1) * stride - pad + extent > size
    if dilation > 1:
        with (
            code.loop(f'{name}_tap', reads) as tap,
            _inside(code, name, total(first, (tap, dilation)), size, pad > 0 or over_end) as place,
        ):
            yield place
        return
    end = total((p, stride), extent - pad)
    if pad > 0:
        first = max(first, 0) if isinstance(first, int) else f'({first} > 0 ? {first} : 0)'
    if over_end:
        end = min(end, size) if isinstance(end, int) else f'({end} < {size} ? {end} : {size})'
    if extent == 1:
        yield first
    else:
        with code.block(f'for (int {name} = {first}; {name} < {end}; {name}++)'):
            yield name


def _count(step, p, q):
    """Return what the total of the window at (p, q) is divided by for the mean, an expression or an int."""
    uneven, counts = step.pooling.uneven_counts(), []
    for name, place, along in zip(('rows', 'columns'), (p, q), step.pooling.counts, strict=False):
        counts.append(f'{name}_{step.value}[{place}]' if name in uneven else along[0])
    return math.prod(counts) if not uneven else ' * '.join(map(str, counts))


# The other steps.


def pool(code, step, arithmetic):
    pooling, C = step.pooling, kinds.as_image(step.shape)[2]
    (P, Q), W = pooling.positions, pooling.image[1]
    with code.loop('p', P) as p, code.loop('q', Q) as q, code.loop('c', C) as c:
        if pooling.is_maximum:
            code(f'{arithmetic.data} m = {arithmetic.least};')
        else:
            code(f'{arithmetic.sum} m = {arithmetic.nothing};')
        with _window(code, pooling, p, q) as (i, j):
            value = f'x[{total((i, W * C), (j, C), c)}]'
            if pooling.is_maximum:
                code(arithmetic.keep_larger('m', value))
            else:
                code(f'm += {arithmetic.above_zero(step, value)};')
        result = 'm' if pooling.is_maximum else arithmetic.mean(step, 'm', _count(step, p, q))
        code(f'y[{total((p, Q * C), (q, C), c)}] = {result};')


def elementwise(code, step, arithmetic):
    with code.loop('i', _size(step)) as i:
        code(f'y[{i}] = {arithmetic.mapped(step, f"x[{i}]")};')


def slopes(code, step, arithmetic):
    C = step.shape[-1]
    with code.loop('i', _size(step) // C) as i, code.loop('c', C) as c:
        at = total((i, C), c)
        code(f'const {arithmetic.sum} v = {arithmetic.above_zero(step, f"x[{at}]")};')
        code(f'y[{at}] = {arithmetic.sloped(step, "v", c)};')


def merge(code, step, arithmetic):
    with code.loop('i', _size(step)) as i:
        values = [arithmetic.above_zero(step, f'{x}[{i}]', k) for k, x in enumerate(inputs_of(step))]
        code(f'y[{i}] = {arithmetic.merged(step, values)};')


def join(code, step, arithmetic):
    width = sum(step.widths)
    with code.loop('i', step.rows) as i:
        first = 0
        for k, (x, size) in enumerate(zip(inputs_of(step), step.widths, strict=True)):
            with code.loop('k', size) as n:
                value = arithmetic.joined(step, f'{x}[{total((i, size), n)}]', k)
                code(f'y[{total((i, width), first, n)}] = {value};')
            first += size


def order(code, step, arithmetic):
    reads = [math.prod(step.input_shapes[0][axis + 1 :]) for axis in step.axes]
    writes = [math.prod(step.shape[axis + 1 :]) for axis in range(len(step.axes))]
    with contextlib.ExitStack() as loops:
        places = [loops.enter_context(code.loop(f'i{axis}', size)) for axis, size in enumerate(step.shape)]
        source, target = (total(*zip(places, strides, strict=True)) for strides in (reads, writes))
        code(f'y[{target}] = x[{source}];')


def frame(code, step, arithmetic):
    (H, W, C), (P, Q, _) = step.input_shapes[0], step.shape
    with code.loop('p', P) as p, code.loop('q', Q) as q, code.loop('c', C) as c:
        row, column = total(p, -step.top), total(q, -step.left)
        value = f'x[{total((row, W * C), (column, C), c)}]'
        tests = []
        for place, offset, size, count in ((row, step.top, H, P), (column, step.left, W, Q)):
            tests += [f'{place} >= 0'] * (offset > 0) + [f'{place} < {size}'] * (count - offset > size)
        if tests:
            value = f'{" && ".join(tests)} ? {value} : {arithmetic.zero(step)}'
        code(f'y[{total((p, Q * C), (q, C), c)}] = {value};')


def enlarge(code, step, arithmetic):
    (H, W, C), (P, Q, _), (height, width) = step.input_shapes[0], step.shape, step.size
    with code.loop('p', P) as p, code.loop('q', Q) as q:
        if not step.bilinear:
            row, column = f'{p} / {height}', f'{q} / {width}'
            with code.loop('c', C) as c:
                code(f'y[{total((p, Q * C), (q, C), c)}] = x[{total((row, W * C), (column, C), c)}];')
            return
        # Output p lies (2 p + 1 - height) / (2 height) rows below the first row.
        for axis, place, factor, size in (('row', p, height, H), ('column', q, width, W)):
            code(f'int {axis} = {total((place, 2), 1 - factor)};')
            code(f'{axis} = {axis} < 0 ? 0 : {axis} > {2 * factor * (size - 1)} ? {2 * factor * (size - 1)} : {axis};')
            code(f'const int {axis}_part = {axis} % {2 * factor}, {axis}_0 = {axis} / {2 * factor};')
            code(f'const int {axis}_1 = {axis}_part > 0 ? {axis}_0 + 1 : {axis}_0;')
        with code.loop('c', C) as c:
            terms = []
            for r, of_row in ((0, f'({2 * height} - row_part)'), (1, 'row_part')):
                for s, of_column in ((0, f'({2 * width} - column_part)'), (1, 'column_part')):
                    value = f'x[{total((f"row_{r}", W * C), (f"column_{s}", C), c)}]'
                    terms.append(arithmetic.weighted(step, value, f'{of_row} * {of_column}'))
            code(f'{arithmetic.sum} sum = {terms[0]};', *(f'sum += {term};' for term in terms[1:]))
            code(f'y[{total((p, Q * C), (q, C), c)}] = {arithmetic.divided(step, "sum", 4 * height * width)};')


def copy(code, step, arithmetic):
    with code.loop('i', _size(step)) as i:
        code(f'y[{i}] = x[{i}];')


def softmax(code, step, arithmetic):
    C = step.shape[-1]
    with code.loop('i', _size(step) // C) as i:
        code(f'float most = x[{total((i, C))}], sum = 0.0f;')
        with code.block(f'for (int c = 1; c < {C}; c++)'):
            code(arithmetic.keep_larger('most', f'x[{total((i, C), "c")}]'))
        with code.loop('c', C) as c:
            at = total((i, C), c)
            code(f'const float v = x[{at}] - most;')
            if step.logarithm:
                code(f'y[{at}] = v;', 'sum += expf(v);')
            else:
                code('const float e = expf(v);', f'y[{at}] = e;', 'sum += e;')
        if step.logarithm:
            code('sum = logf(sum);')
        with code.loop('c', C) as c:
            code(f'y[{total((i, C), c)}] {"-=" if step.logarithm else "/="} sum;')


def normalize(code, step, arithmetic):
    arithmetic.normalize(code, step)


LOOPS = {
    kinds.Product: product,
    kinds.Pool: pool,
    kinds.Map: elementwise,
    kinds.Slopes: slopes,
    kinds.Softmax: softmax,
    kinds.Normalize: normalize,
    kinds.Merge: merge,
    kinds.Join: join,
    kinds.Order: order,
    kinds.Frame: frame,
    kinds.Enlarge: enlarge,
    kinds.Copy: copy,
}
