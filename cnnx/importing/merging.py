"""Steps of a draft that become one: GELU, SiLU and HardSwish out of their parts, numbers that a layer can take."""

import math
from collections import Counter

import numpy as np

from cnnx.importing.draft import Step
from cnnx.layers import (
    GELU,
    BatchNormalization,
    Convolutional,
    Dense,
    GroupNormalization,
    HardSigmoid,
    HardSwish,
    Layer,
    LayerNormalization,
    Multiply,
    ReLU,
    Rescaling,
    Sigmoid,
    SiLU,
    TransposedConvolutional,
)


class Erf(Layer):
    """The error function, a part of GELU; no network has it."""


def merge_steps(draft, output):
    """Merge steps of a draft where that does not change what they compute; return the place of the output.

    Raises:
        ValueError: an `Erf` is left, which is no part of a GELU.
    """
    readers = _readers(draft, output)
    for place in sorted(place for place in readers if place >= 0):
        _make_gelu(draft, place, readers)
        _make_gated(draft, place, readers)
    output = _move_rescalings(draft, output, _take)
    output = _move_rescalings(draft, output, lambda step, rescaling: False)
    if any(place >= 0 and type(draft.steps[place].layer) is Erf for place in _readers(draft, output)):
        raise ValueError('Erf is supported as a part of Gelu alone')
    return output


def _move_rescalings(draft, output, take):
    """Drop each Rescaling that changes nothing, or that the step before it takes; return the place of the output."""
    readers, moved = _readers(draft, output), {}
    for place in sorted(place for place in readers if place >= 0):
        step = draft.steps[place]
        step.reads = tuple(moved.get(read, read) for read in step.reads)
        before = step.reads[0]
        if type(step.layer) is Rescaling and before >= 0:
            taken = readers[before] == 1 and take(draft.steps[before], step.layer)
            if taken or _changes_nothing(step.layer):
                moved[place] = before
                readers[before] += readers[place] - 1
    return moved.get(output, output)


def _readers(draft, output):
    """Return how often each place that leads to an output is read, by place."""
    readers, waiting = Counter({output: 1}), [output]
    while waiting:
        place = waiting.pop()
        for read in draft.steps[place].reads if place >= 0 else ():
            if read not in readers:
                waiting.append(read)
            readers[read] += 1
    return readers


def _changes_nothing(layer):
    return bool(np.all(np.equal(layer.scale, 1)) and np.all(np.equal(layer.offset, 0)))


def _take(step, rescaling):
    """Have a step rescale its output, too; return whether it can."""
    layer, arrays = step.layer, step.arrays
    scale, offset = np.asarray(rescaling.scale), np.asarray(rescaling.offset)
    if type(layer) is Rescaling:
        both = scale * layer.scale, scale * layer.offset + offset
        step.layer = Rescaling(*(each if np.ndim(each) else float(each) for each in both))
    elif type(layer) in (BatchNormalization, GroupNormalization, LayerNormalization):
        arrays['gamma'] = arrays['gamma'] * scale
        arrays['beta'] = arrays['beta'] * scale + offset
    elif type(layer) in (Convolutional, Dense, TransposedConvolutional):
        weights, filters_last = arrays['weights'], type(layer) is not TransposedConvolutional
        filters = weights.shape[-1 if filters_last else -2]
        scale, offset = (np.broadcast_to(each, (filters,)) for each in (scale, offset))
        arrays['weights'] = (weights * (scale if filters_last else scale[:, np.newaxis])).astype(weights.dtype)
        if layer.use_bias or rescaling.offset != 0:
            arrays['bias'] = (np.asarray(arrays.get('bias', 0)) * scale + offset).astype(weights.dtype)
            layer.use_bias = True
    else:
        return False
    return True


def _make_gelu(draft, place, readers):
    """Make GELU of x (1 + erf(x / sqrt(2))), if that is the product at this place; x or the sum may be halved."""
    step = draft.steps[place]
    if type(step.layer) is not Multiply or len(step.reads) != 2:
        return
    for one, other in (step.reads, step.reads[::-1]):
        inner, scale, offset = _multiple(draft, one)
        x, factor, shift = _multiple(draft, other)
        erf = draft.steps[inner] if inner >= 0 else None
        if erf is None or type(erf.layer) is not Erf or readers[inner] != 1 or shift or scale != offset:
            continue
        argument, root, zero = _multiple(draft, erf.reads[0])
        if argument == x and not zero and math.isclose(root, math.sqrt(0.5), rel_tol=1e-5):
            draft.steps[inner] = Step(GELU(), (x,))
            draft.steps[place] = Step(Rescaling(2 * scale * factor), (inner,))
            return


def _make_gated(draft, place, readers):
    """Make SiLU of x sigmoid(x), HardSwish of x hardsigmoid(x) or x relu6(x + 3), if that is the product here."""
    step = draft.steps[place]
    if type(step.layer) is not Multiply or len(step.reads) != 2:
        return
    for x, gate in (step.reads, step.reads[::-1]):
        inner = draft.steps[gate] if gate >= 0 else None
        kind = None if inner is None else type(inner.layer)
        if kind in (Sigmoid, HardSigmoid) and inner.reads == (x,):
            slope = math.isclose(getattr(inner.layer, 'alpha', 0), 1 / 6, rel_tol=1e-5)
            if kind is Sigmoid or (slope and inner.layer.beta == 0.5):
                draft.steps[place] = Step(SiLU() if kind is Sigmoid else HardSwish(), (x,))
        elif kind is ReLU and inner.layer.max_value == 6 and readers[gate] == 1:
            shifted = _multiple(draft, inner.reads[0])
            if shifted == (x, 1, 3):
                draft.steps[gate] = Step(HardSwish(), (x,))
                draft.steps[place] = Step(Rescaling(6.0), (gate,))


def _multiple(draft, place):
    """Return (place, scale, offset) of a value that is a multiple of another plus a number."""
    scale, offset = 1.0, 0.0
    while place >= 0:
        step = draft.steps[place]
        layer = step.layer
        if type(layer) is not Rescaling or np.ndim(layer.scale) or np.ndim(layer.offset):
            break
        place, scale, offset = step.reads[0], scale * layer.scale, scale * layer.offset + offset
    return place, scale, offset
