"""The fast plan of a network: neighbouring layers that blocks can run are one step, and the loss runs with the last.

Which layers these are is in fusion.py, how they run in program.py. Layers that no block runs are steps of their own, as
on the plain path in plan.py.
"""

import itertools
from typing import NamedTuple

from cnnx.execution.fusion import Fusion, fuse
from cnnx.execution.plan import Plan
from cnnx.execution.program import Sweep
from cnnx.layers import Softmax
from cnnx.losses import CategoricalCrossEntropy, value_and_gradient


class Route(NamedTuple):
    """How a batch goes through a network for one purpose.

    Attributes:
        steps: in order, `LayerRun` and `Sweep` objects.
        loss_sweep: a `Sweep` after them that computes the loss too, and goes back from it; or None.
    """

    steps: list
    loss_sweep: Sweep | None

    def forward(self, x, training, order=None):
        """Return the output of the steps for a batch: x, or, where there is an order, those samples of x."""
        for step in self.steps:
            x, order = step.forward(x, training) if order is None else step.forward(x, training, order), None
        return x


class FusedPlan(Plan):
    """The steps of a network on the fast path, made for each purpose at its first use.

    Args:
        layers, loss, lock: as for `Plan`.
    """

    def __init__(self, layers, loss, lock):
        super().__init__(layers, loss, lock)
        self._routes = {}

    def forward_and_backward(self, data, index):
        route = self._route('learn')
        loss, correct, dy = self._run_batch(route, data, index, training=True)
        # The sweep with the loss has been back already. In LeNet-5 that is all: there are no other steps.
        self._backward(dy, [step for step in route.steps if step.learns])
        return loss, correct

    def evaluate(self, data, index):
        loss, correct, _ = self._run_batch(self._route('evaluate'), data, index, training=False)
        return loss, correct

    def predict(self, x):
        return self._route('predict').forward(x, training=False)

    def forward(self, x, training):
        route = self._route('training' if training else 'inference')
        y = route.forward(x, training)
        self._kept = route.steps, len(x)
        return y

    def _run_batch(self, route, data, index, training):
        """Run a batch up to its loss, and, in training, back through the sweep that computes the loss.

        Returns:
            The sum of the losses, how many samples are right, and the gradient of what the last step gave: None where
            nothing before that sweep learns.
        """
        first = route.steps[0] if route.steps else route.loss_sweep
        if isinstance(first, Sweep) and data.direct:
            (x, *others), order = data.arrays, index  # the sweep picks the samples itself
        else:
            (x, *others), order = data.batch(index), None
        if route.steps:
            x = route.forward(x, training, order)
            others, order = [array if order is None else array[order] for array in others], None
        if route.loss_sweep is not None:
            loss, correct, dy = route.loss_sweep.run_with_loss((x, *others), order)
        else:
            loss, dy = value_and_gradient(self.loss, x, *others)
            loss *= len(index)
            correct = int(self.loss.count_correct(x, others[0])) if data.measures_accuracy else 0
        if self._penalized:
            loss += len(index) * self.penalty()
        return loss, correct, dy

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
        backward = first < len(self._layers)
        parts = [layer for layer in self._layers if training or not layer.only_in_training]
        loss, softmax = None, False
        if parts:
            # A block writes the gradients of all its weights: a frozen layer runs by itself.
            apart = [layer for layer in parts if backward and layer.parameters and not layer.learns]
            parts = fuse(parts, apart, training or backward)
            loss, softmax = self._end(purpose, parts, backward)
        steps = []
        for kind, members in itertools.groupby(parts, type):
            if kind is not Fusion:
                steps += [self._steps[layer.index] for layer in members]
                continue
            fusions = list(members)
            last = fusions[-1] is parts[-1]
            steps.append(
                Sweep(
                    fusions,
                    sum(fusion.layer.index < first for fusion in fusions),
                    training=training or backward,
                    # Learning does not need the gradient of the first layer's input.
                    input_gradient=backward and fusions[0].layer.index >= first + (purpose == 'learn'),
                    loss=loss if last else None,
                    softmax=softmax and last,
                )
            )
        return Route(steps, None) if loss is None else Route(steps[:-1], steps[-1])

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

    def _timed_steps(self):
        route = self._route('learn')
        return route.steps if route.loss_sweep is None else [*route.steps, route.loss_sweep]

    def _loss_is_apart(self):
        return self._route('learn').loss_sweep is None
