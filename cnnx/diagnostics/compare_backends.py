"""Comparison of the NumPy and the compiled backend: numerical differences and speed, layer by layer."""

import time
from typing import NamedTuple

import numpy as np

from cnnx.execution import graph
from cnnx.kernels import use_backend
from cnnx.training.array_data import ArrayData

BACKENDS = ('numpy', 'cython')
SAMPLES_COMPARED = 1000
BATCH_COMPARED = 100


class Comparison(NamedTuple):
    """What `compare_backends` has measured.

    Attributes:
        rows: a dict for each layer: 'layer', 'forward', 'backward', 'numpy', 'cython'.
        results: for each backend a dict of 'history', 'test', and 'milliseconds' of a training step in blocks.
    """

    rows: list
    results: dict

    def __repr__(self):
        return f'<Comparison: {len(self.rows)} rows, results of {" and ".join(self.results)}>'


def compare_backends(make_network, train_data, test_data, *, epochs=10, batch_size=32, **train_options):
    """Train a network on each backend, with the same seed and batches, and print times and differences.

    Times of layers are milliseconds for a batch, forward and backward, in a training run layer by layer. A second run,
    in blocks, gives the time of a whole training step.

    The difference of a layer is measured with the same input, gradient and weights on both backends, over the first
    1,000 samples, once with the initial weights and once with those of the trained compiled network; the larger one
    counts. The backward difference is the largest one of the gradients by the layer's input and parameters.

    Args:
        make_network: a function that returns a new compiled network, from the same seed each time.
        train_data, test_data: pairs (x, y).
        epochs, batch_size, train_options: passed on to `Network.train`.

    Returns:
        A `Comparison`, (rows, results).

    Raises:
        BackendError: the compiled kernels cannot be used.
    """
    train_options |= {'epochs': epochs, 'batch_size': batch_size, 'verbose': 0}
    steps = epochs * -(-len(train_data[0]) // batch_size)
    networks, milliseconds, results = {}, {}, {}
    for backend in reversed(BACKENDS):  # the compiled one first, since it may be missing
        with use_backend(backend):
            network = networks[backend] = make_network()
            network.fused = False
            timers = _attach_timers(network)
            history = network.train(*train_data, **train_options)
            milliseconds[backend] = [timer.milliseconds for timer in timers]
            _detach_timers(network)
            results[backend] = {
                'history': history.history,
                'test': network.evaluate(*test_data),
                'milliseconds': _milliseconds(make_network(), train_data, train_options) / steps,
            }
    differences = [_largest_differences(network, train_data) for network in (make_network(), networks['cython'])]
    rows = [
        {
            'layer': name,
            'forward': max(pair[step, 0] for pair in differences),
            'backward': max(pair[step, 1] for pair in differences),
            **{backend: milliseconds[backend][step] for backend in BACKENDS},
        }
        for step, name in enumerate(_names(networks['cython']))
    ]
    _print_layers(rows)
    _print_speeds('steps in blocks, update included', *(results[backend]['milliseconds'] for backend in BACKENDS))
    print()
    _print_results(results)
    return Comparison(rows, results)


def _milliseconds(network, data, train_options):
    began = time.perf_counter()
    network.train(*data, **train_options)
    return 1000 * (time.perf_counter() - began)


class StepTimer:
    """Measure the total time of some methods of an object, by replacing them with timed ones."""

    def __init__(self, owner, *methods):
        self.seconds = 0.0
        self.batches = 0
        for method in methods:
            setattr(owner, method, self._timed(getattr(owner, method), batches=int(method != 'backward')))

    def _timed(self, method, batches):
        def timed(*arguments, **options):
            began = time.perf_counter()
            result = method(*arguments, **options)
            self.seconds += time.perf_counter() - began
            self.batches += batches
            return result

        return timed

    @property
    def milliseconds(self):
        """The time of the methods for one batch."""
        return 1000 * self.seconds / max(self.batches, 1)


def _attach_timers(network):
    timers = [StepTimer(layer, 'forward', 'backward') for layer in network.layers]
    return [*timers, StepTimer(network.loss, 'value_and_gradient')]


def _detach_timers(network):
    for layer in network.layers:
        del layer.forward, layer.backward
    del network.loss.value_and_gradient


def _names(network):
    return [*(f'{layer.index} {type(layer).__name__}' for layer in network.layers), type(network.loss).__name__]


def _largest_differences(network, train_data):
    """Return the largest (forward, backward) differences of each layer, the loss last, (layers + 1, 2)."""
    x, y = (array[:SAMPLES_COMPARED] for array in train_data)
    data = ArrayData(network, x, y)
    largest = np.zeros((len(network.layers) + 1, 2))
    for first in range(0, len(data), BATCH_COMPARED):
        found = _differences(network, *data.batch(slice(first, first + BATCH_COMPARED)))
        largest = np.maximum(largest, found)
    return largest


def _differences(network, x, targets):
    layers, found, losses = network.layers, np.zeros((len(network.layers) + 1, 2)), []

    def forward(i, x):
        found[i, 0], (y, *_) = _on_both(lambda: [layers[i].forward(x, True)], network.generator)
        return y

    *_, y = graph.forward(network.reads, x, forward)

    def gradient_of_loss():
        loss, gradient = network.loss.value_and_gradient(y, targets)
        losses.append(loss)
        return [gradient]

    found[-1, 1], (gradient,) = _on_both(gradient_of_loss)
    found[-1, 0] = abs(losses[0] - losses[1])

    def backward(i, dy):
        def compute():
            dx = layers[i].backward(dy)
            return [*(dx if layers[i].merges else [dx]), *(p.grad for p in layers[i].parameters)]

        found[i, 1], arrays = _on_both(compute)
        return arrays[: len(network.reads[i])] if layers[i].merges else arrays[0]

    graph.backward(network.reads, gradient, backward)
    return found


def _on_both(compute, generator=None):
    """Compute arrays on both backends with the same random numbers; return the largest difference and NumPy's."""
    arrays, state = {}, generator and generator.bit_generator.state
    for backend in BACKENDS:
        if generator is not None:
            generator.bit_generator.state = state
        with use_backend(backend):
            arrays[backend] = [np.copy(array) for array in compute() if array is not None]
    pairs = list(zip(arrays['numpy'], arrays['cython'], strict=True))
    return max(np.abs(ours - theirs).max() for ours, theirs in pairs), arrays['numpy']


def _print_layers(rows):
    print('                          largest difference     ms per batch, forward and backward')
    print('layer                     forward   backward      NumPy  compiled  speed-up')
    for row in rows:
        print(
            f'{row["layer"]:24} {row["forward"]:8.1e}   {row["backward"]:8.1e}'
            f'  {row["numpy"]:9.3f} {row["cython"]:9.3f} {row["numpy"] / row["cython"]:8.1f}x'
        )
    numpy, compiled = (sum(row[backend] for row in rows) for backend in BACKENDS)
    _print_speeds('all', numpy, compiled)


def _print_speeds(name, numpy, compiled):
    print(f'{name:45}  {numpy:9.3f} {compiled:9.3f} {numpy / compiled:8.1f}x')


def _print_results(results):
    numpy, compiled = (results[backend] for backend in BACKENDS)
    print('                   NumPy   compiled')
    for epoch, losses in enumerate(zip(numpy['history']['loss'], compiled['history']['loss'], strict=True), 1):
        print(f'{f"epoch {epoch}: loss":15} {losses[0]:8.4f}   {losses[1]:8.4f}')
    for key in compiled['test']:
        print(f'{f"test {key}":15} {numpy["test"][key]:8.4f}   {compiled["test"][key]:8.4f}')
