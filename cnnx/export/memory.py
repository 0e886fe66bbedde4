"""Where the values of a network are stored: places in one array, used again as soon as a value is read no more."""

import random
from typing import NamedTuple

from cnnx.export.steps import INPUT, Map, Merge, Normalize, Slopes, Softmax

# Steps that can write over what they read.
OVERWRITING = (Map, Merge, Normalize, Slopes, Softmax)
ORDERS = 200


class Buffer(NamedTuple):
    """A part of the array, of `size` numbers, that is in use from step `first` to step `last`."""

    size: int
    first: int
    last: int


def plan(steps, sizes, store_input=False):
    """Return where values are stored: their offsets in one array, by value, and the size of the array.

    Without an offset are values that are stored where the output is, and, unless it is to be stored, the input.

    Args:
        steps: of `steps_of`, in order; the value of the last one is the output.
        sizes: of the values, by value, in numbers.
        store_input: whether the input is stored in the array, too.
    """
    last_read = {value: i for i, step in enumerate(steps) for value in step.reads}
    holder = {}  # value: the one in whose buffer it is; the last of those that are written over each other
    for i, step in reversed([*enumerate(steps)]):
        own = holder.setdefault(step.value, step.value)
        over = [value for value in step.reads if value != INPUT and last_read[value] == i]
        if isinstance(step, OVERWRITING) and over:
            holder[over[0]] = own
    holder[INPUT] = INPUT
    lives = {INPUT: [0, 0]}
    for i, step in enumerate(steps):
        for value in (step.value, *step.reads):
            lives.setdefault(holder[value], [i, i])[1] = i
    for value in (steps[-1].value, *([] if store_input else [INPUT])):
        del lives[value]
    offsets, size = place({value: Buffer(sizes[value], *life) for value, life in lives.items()})
    return {value: offsets[own] for value, own in holder.items() if own in offsets}, size


def place(buffers):
    """Return the offset of each buffer, and how much they take together: as little as is found.

    The least that is possible is the most that is in use at one time. Buffers are placed one by one, each as low as
    possible; several orders are tried, since one may leave gaps.
    """
    if not buffers:
        return {}, 0
    in_use = [sum(b.size for b in buffers.values() if b.first <= each.first <= b.last) for each in buffers.values()]
    names, rng = list(buffers), random.Random(0)
    orders = [sorted(names, key=lambda name: -buffers[name].size), names]
    best = None
    for attempt in range(ORDERS):
        order = orders[attempt] if attempt < len(orders) else rng.sample(names, len(names))
        offsets, size = _place_in_order(buffers, order)
        if best is None or size < best[1]:
            best = offsets, size
        if size == max(in_use):
            break
    return best


def _place_in_order(buffers, order):
    offsets = {}
    for name in order:
        buffer, offset = buffers[name], 0
        at_that_time = [other for other in offsets if _meet(buffers[other], buffer)]
        for other in sorted(at_that_time, key=offsets.get):
            if offsets[other] - offset >= buffer.size:
                break
            offset = max(offset, offsets[other] + buffers[other].size)
        offsets[name] = offset
    return offsets, max(offsets[name] + buffers[name].size for name in offsets)


def _meet(one, other):
    return one.first <= other.last and other.first <= one.last
