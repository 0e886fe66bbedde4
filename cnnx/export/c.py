"""C99 files of a network: a source and its header, without dependencies, for computers and microcontrollers."""

import math

from cnnx.export import c_float, memory
from cnnx.export.c_files import Contents, name_of, samples_for_test, write_files
from cnnx.export.c_loops import helpers, write_function
from cnnx.export.steps import INPUT, steps_of

PRECISIONS = ('float32', 'int8')


def export(network, path, *, precision='float32', calibrate=None, samples=None):
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
        network.quantize(calibrate).export(path, calibrate if samples is None else samples)
        return
    if calibrate is not None:
        raise ValueError("calibrate: is for precision='int8'")
    steps, name, floats = steps_of(network), name_of(path), c_float.Floats()
    offsets, size = memory.plan(steps, sizes_of(network, steps))
    definitions = functions_of(steps, floats)
    samples = samples_for_test(network, samples)
    contents = Contents(
        notes=['All numbers are floats.'],
        macros=[],
        constants=4 * sum(floats.count_constants(step) for step in steps),
        memory=4 * size,
        definitions=[
            *c_float.functions(definitions),
            *helpers(definitions, floats),
            *definitions,
            f'static float memory[{size}];\n' if size else '',
        ],
        functions=[(declaration(f'{name}_predict', 'float', network), calls(steps, offsets))],
        samples=samples,
        outputs=network.predict(samples),
    )
    write_files(network, path, contents)


def sizes_of(network, steps):
    """Return how many numbers each value has, by value."""
    return {INPUT: math.prod(network.input_shape), **{step.value: math.prod(step.shape) for step in steps}}


def functions_of(steps, arithmetic):
    """Return the C functions of steps, each with its constants before it."""
    return [write_function(step, f'step_{step.value}', arithmetic) for step in steps]


def declaration(name, kind, network):
    """Return the declaration of a function from the network's input to its output, of numbers of a kind."""
    inputs, outputs = math.prod(network.input_shape), math.prod(network.layers[-1].shape)
    return f'void {name}(const {kind} in[{inputs}], {kind} out[{outputs}])'


def calls(steps, offsets):
    """Return the calls of the steps' functions: values are in `memory`, the input in `in`, the output in `out`."""

    def pointer(value):
        return f'memory + {offsets[value]}' if value in offsets else 'in' if value == INPUT else 'out'

    return [f'step_{step.value}({", ".join(map(pointer, (*step.reads, step.value)))});' for step in steps]
