"""The onnx package's own node tests of the operators that cnnx reads; run as a script, it prints a table."""

import importlib
import pkgutil
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test.case.node as node_tests
from onnx import numpy_helper

import cnnx
from cnnx.importing.onnx_operators import OPERATORS


def cases():
    """Return [(name, kind of operator, model, inputs, outputs), ...] of one operator each, in float32."""
    found, kinds = [], {kind.lower() for kind in OPERATORS}
    for module in pkgutil.iter_modules(node_tests.__path__):
        if module.name.replace('_', '') in kinds:  # all others would take seconds
            with warnings.catch_warnings(action='ignore'):
                importlib.import_module(f'{node_tests.__name__}.{module.name}')
    for case in node_tests._NodeTestCases:
        nodes, (inputs, outputs) = case.model.graph.node, case.data_sets[0]
        if len(nodes) != 1 or nodes[0].op_type not in OPERATORS or not inputs:
            continue
        if isinstance(inputs[0], np.ndarray) and inputs[0].dtype == np.float32:
            found.append((case.name, nodes[0].op_type, case.model, inputs, outputs))
    return found


def with_constants(model, inputs):
    """Return the bytes of a model with its first output alone, whose inputs but for the first are constants."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    names = [value.name for value in model.graph.input]
    for name, array in zip(names[1:], inputs[1:], strict=True):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    del model.graph.output[1:]
    return model.SerializeToString()


def result(path, model, inputs, outputs):
    """Return 'passed', 'failed', or the reason why a model is refused."""
    path.write_bytes(with_constants(model, inputs))
    try:
        net = cnnx.Network.load(path)
    except cnnx.CheckpointError as error:
        return str(error).removeprefix(f'{path}: ')
    x, expected = (channels_last(array) for array in (inputs[0], outputs[0]))
    # Where a Transpose comes first, or a reshaping last, the order is that of the file.
    y = net.predict(x if x.shape[1:] == net.input_shape else inputs[0])
    return 'passed' if any(agree(y, each) for each in (expected, outputs[0])) else 'failed'


def channels_last(array):
    return np.ascontiguousarray(np.moveaxis(array, 1, -1)) if array.ndim > 2 else array


def agree(y, expected):
    return y.shape == expected.shape and np.allclose(y, expected, rtol=1e-3, atol=1e-5)


def main():
    counts, refused = Counter(), Counter()
    with tempfile.TemporaryDirectory() as folder:
        for name, kind, *case in cases():
            found = result(Path(folder) / 'model.onnx', *case)
            what = found if found in ('passed', 'failed') else 'refused'
            counts[kind, what] += 1
            if what == 'failed' or '-v' in sys.argv:
                print(f'{name}: {found}')
            refused[found] += what == 'refused'
    print(f'{"operator":24} passed refused failed')
    for kind in sorted({kind for kind, _ in counts}):
        print(f'{kind:24}', *(f'{counts[kind, what]:6}' for what in ('passed', 'refused', 'failed')))
    print(
        f'{"all":24}',
        *(f'{sum(n for (_, w), n in counts.items() if w == what):6}' for what in ('passed', 'refused', 'failed')),
    )


if __name__ == '__main__':
    main()
