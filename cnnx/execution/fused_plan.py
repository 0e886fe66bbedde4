"""The fast plan of a network: neighbouring layers that blocks can run are one step, and the loss runs with the last.

Which layers these are is in fusion.py, how they run in program.py. Layers that no block runs are steps of their own, as
on the plain path in plan.py.
"""

import itertools
from typing import NamedTuple

from cnnx.execution import graph
from cnnx.execution.fusion import Fusion, fuse
from cnnx.execution.plan import Plan
from cnnx.execution.program import Sweep
from cnnx.layers import Sigmoid, Softmax
from cnnx.losses import BinaryCrossEntropy, CategoricalCrossEntropy


class Route(NamedTuple):
    """How a batch goes through a network for one purpose.

    Attributes:
        reads: which of the steps read which (`cnnx.execution.graph`).
        steps: in order, `LayerRun` and `Sweep` objects.
        loss_sweep: a `Sweep` after them that computes the loss too, and goes back from it; or None.
    """

    reads: list
    steps: list
    loss_sweep: Sweep | None

    def forward(self, x, training, order=None):
        """Return the output of the steps for a batch: x, or, where there is an order, those samples of x."""

        def run(i, x):
            step = self.steps[i]
            return step.forward(x, training, order) if i == 0 and order is not None else step.forward(x, training)

        return graph.forward(self.reads, x, run)[-1]

    @property
    def learning(self):
        """Which steps the backward pass reaches when the network learns."""
        return [step.learns for step in self.steps]

    @property
    def picks_samples(self):
        """Whether the first step can pick the samples of a batch itself: a sweep, which alone reads the input."""
        first = self.steps[0] if self.steps else self.loss_sweep
        return isinstance(first, Sweep) and sum(places.count(-1) for places in self.reads) <= 1


class FusedPlan(Plan):
    """The steps of a network on the fast path, made for each purpose at its first use.

    Args:
        layers, reads, loss, lock: as for `Plan`.
    """

    def __init__(self, layers, reads, loss, lock):
        super().__init__(layers, reads, loss, lock)
        self._routes = {}

    def forward_and_backward(self, data, index):
        route = self._route('learn')
        *totals, dy = self._run_batch(route, data, index, training=True)
        # The sweep with the loss has been back already. In LeNet-5 that is all: there are no other steps.
        self._backward(route.reads, route.steps, dy, route.learning)
        return tuple(totals)

    def evaluate(self, data, index):
        *totals, _ = self._run_batch(self._route('evaluate'), data, index, training=False)
        return tuple(totals)

    def predict(self, x):
        return self._route('predict').forward(x, training=False)

    def forward(self, x, training):
        route = self._route('training' if training else 'inference')
        y = route.forward(x, training)
        self._kept = route.reads, route.steps, len(x)
        return y

    def _run_batch(self, route, data, index, training):
        """Run a batch up to its loss, and, in training, back through the sweep that computes the loss.

        Returns:
            What `forward_and_backward` does, and the gradient of what the last step gave: None where nothing before
            that sweep learns.
        """
        if route.picks_samples and data.direct:
            (x, *others), order = data.arrays, index  # the sweep picks the samples itself
        else:
            (x, *others), order = data.batch(index), None
        if route.steps:
            x = route.forward(x, training, order)
            others, order = [array if order is None else array[order] for array in others], None
        if route.loss_sweep is not None:
            loss, correct, count, dy = route.loss_sweep.run_with_loss((x, *others), order)
        else:
            loss, correct, count, dy = self._loss_of(x, data, *others)
        if self._penalized:
            loss += count * self.penalty()
        return loss, correct, count, dy

    def _route(self, purpose):
        """Return the `Route` to 'learn', 'evaluate', 'predict', or for `forward` in 'training' or 'inference'."""
        self._kept = None
        route = self._routes.get(purpose)
        if route is None:
            training, count = purpose in ('learn', 'training'), len(self._layers)
            # The first layer that the backward pass goes through.
            first = {'learn': self._first, 'evaluate': count, 'predict': count}.get(purpose, 0)
            route = self._routes[purpose] = self._make_route(purpose, training, first)
        return route

    def _make_route(self, purpose, training, first):
        """Return a new route; the backward pass goes through the layers from `first` on."""
        passed = [] if training else [layer.index for layer in self._layers if layer.only_in_training]
        kept, reads = graph.without(self._reads, passed)
        ends, steps, step_reads, loss = {-1: -1}, [], [], None
        chains = graph.chains(reads)
        for chain in chains:
            layers = [self._layers[kept[i]] for i in chain]
            found, loss = self._steps_of(layers, purpose, training, first, last=chain is chains[-1])
            for step in found:
                step_reads.append(
                    tuple(ends[place] for place in reads[chain[0]]) if step is found[0] else (len(steps) - 1,)
                )
                steps.append(step)
            ends[chain[-1]] = len(steps) - 1
        return Route(step_reads, steps, None) if loss is None else Route(step_reads[:-1], steps[:-1], steps[-1])

    def _steps_of(self, layers, purpose, training, first, last):
        """Return the steps of neighbouring layers, and the loss that the last of them computes too, or None."""
        backward = first < len(self._layers)
        # A block writes the gradients of all its weights: a frozen layer runs by itself.
        apart = [layer for layer in layers if backward and layer.parameters and not layer.learns]
        if last and purpose != 'predict' and type(self.loss) is BinaryCrossEntropy and type(layers[-1]) is Sigmoid:
            apart.append(layers[-1])  # which keeps its input for the loss
        parts = fuse(layers, apart, training or backward)
        loss, softmax = self._end(purpose, parts, backward) if last else (None, False)
        steps = []
        for kind, members in itertools.groupby(parts, type):
            if kind is not Fusion:
                steps += [self._runs[layer.index] for layer in members]
                continue
            fusions = list(members)
            at_end = fusions[-1] is parts[-1]
            steps.append(
                Sweep(
                    fusions,
                    sum(fusion.layer.index < first for fusion in fusions),
                    training=training or backward,
                    # Learning does not need the gradient of the first layer's input.
                    input_gradient=backward and fusions[0].layer.index >= first + (purpose == 'learn'),
                    loss=loss if at_end else None,
                    softmax=softmax and at_end,
                )
            )
        return steps, loss

    def _end(self, purpose, parts, backward):
        """Return the loss that the last fusion computes too, or None, and whether it computes the softmax after it.

        A Softmax that is computed there is removed from the parts.
        """
        last_is_softmax = type(parts[-1]) is Softmax and len(parts) > 1
        fused = isinstance(parts[-2 if last_is_softmax else -1], Fusion)
        entropy = purpose in ('learn', 'evaluate') and type(self.loss) is CategoricalCrossEntropy
        with_loss = fused and entropy and last_is_softmax != self.loss.from_logits
        with_softmax = fused and last_is_softmax and not with_loss and not backward
        if last_is_softmax and (with_loss or with_softmax):
            del parts[-1]
        return self.loss if with_loss else None, with_softmax

    def _timed_runs(self):
        route = self._route('learn')
        if route.loss_sweep is None:
            return route.reads, route.steps
        return [*route.reads, (len(route.steps) - 1,)], [*route.steps, route.loss_sweep]

    def _loss_is_apart(self):
        return self._route('learn').loss_sweep is None
