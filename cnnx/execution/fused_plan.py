"""The fast plan of a network: layers that blocks can run are one stage, and the loss runs with the last.

Which layers these are is in fusion.py, how they run in program.py. Layers that no block runs are stages of their own,
as on the plain path in plan.py.
"""

from cnnx.execution import graph
from cnnx.execution.fusion import Fusion, fuse_graph, passing
from cnnx.execution.plan import Plan
from cnnx.execution.program import Sweep
from cnnx.layers import BatchNormalization, Sigmoid, Softmax
from cnnx.losses import BinaryCrossEntropy, CategoricalCrossEntropy

# Stands for the gradient where a sweep has computed the loss and its backward pass too: not None, or `graph.backward`
# would not call its `backward`, which returns the gradient of what it read.
ALREADY_BACK = 0


class Route:
    """How a batch goes through a network for one purpose.

    Args:
        reads: which of the stages read which (`cnnx.execution.graph`).
        stages: in order, `LayerRun` and `Sweep` objects.
        with_loss: whether the last of them is a `Sweep` that computes the loss too, and goes back from it.

    Attributes:
        learning: which stages the backward pass reaches when the network learns.
        picks_samples: whether the first stage can pick the samples of a batch itself: a sweep, which alone reads the
            input.
    """

    def __init__(self, reads, stages, with_loss):
        self.reads = reads
        self.stages = stages
        self.with_loss = with_loss
        self.learning = [stage.learns for stage in stages]
        of_input = sum(places.count(-1) for places in reads)
        self.picks_samples = bool(stages) and isinstance(stages[0], Sweep) and of_input == 1
        self._is_one_sweep = len(stages) == 1 and self.picks_samples

    def predict(self, x):
        """Return the output of the last stage for a batch; what lies beside the arithmetic counts for one sample."""
        return self.stages[0].predict(x) if self._is_one_sweep else self.run(x, training=False)

    def run(self, x, training, order=None, others=None):
        """Return the output of the last stage for a batch; if it computes the loss, what `Sweep.run_with_loss` returns.

        Args:
            x: the batch; or, where there is an order, what it is picked from.
            training: whether layers do what they do in training.
            order: which samples make up the batch, (N,) int64, or None.
            others: (labels,) or (labels, weights), likewise, where the last stage computes the loss.
        """
        if self.reads == [(-1,)]:  # one stage, which reads one input
            return self._run_stage(0, x, training, order, others)
        return graph.forward(self.reads, x, lambda i, x: self._run_stage(i, x, training, order, others))[-1]

    def _run_stage(self, i, x, training, order, others):
        stage, picked = self.stages[i], order if i == 0 else None
        if others is not None and i == len(self.stages) - 1:
            # The first stage picks the samples of its labels too, if it is also the last.
            of_batch = others if i == 0 or order is None else [array[order] for array in others]
            return stage.run_with_loss((x, *of_batch), picked)
        return stage.forward(x, training) if picked is None else stage.forward(x, training, picked)


class FusedPlan(Plan):
    """The stages of a network on the fast path, made for each purpose at its first use.

    Args:
        layers, reads, loss, lock: as for `Plan`.
        fixed_weights: whether the weights never change.
    """

    def __init__(self, layers, reads, loss, lock, fixed_weights=False):
        super().__init__(layers, reads, loss, lock)
        self._fixed_weights = fixed_weights
        self._routes = {}

    def forward_and_backward(self, data, index):
        route = self._route('learn')
        *totals, dy = self._run_batch(route, data, index, training=True)
        # A sweep with the loss has been back already. In LeNet-5 that is all: there are no other stages.
        self._backward(route.reads, route.stages, dy, route.learning)
        return tuple(totals)

    def evaluate(self, data, index):
        *totals, _ = self._run_batch(self._route('evaluate'), data, index, training=False)
        return tuple(totals)

    def predict(self, x):
        return self._route('predict').predict(x)

    def forward(self, x, training):
        route = self._route('training' if training else 'inference')
        y = route.run(x, training)
        self._kept = route.reads, route.stages, len(x)
        return y

    def _run_batch(self, route, data, index, training):
        """Run a batch up to its loss, and, in training, back through the stage that computes it with its layers.

        Returns:
            What `forward_and_backward` does, and the gradient by the last stage's output; if that stage computes the
            loss, something that is not None.
        """
        if route.picks_samples and data.direct:
            (x, *others), order = data.arrays, index
        else:
            (x, *others), order = data.batch(index), None
        if route.with_loss:
            loss, correct, count = route.run(x, training, order, others)
            dy = ALREADY_BACK
        else:
            y = route.run(x, training, order)
            others = others if order is None else [array[order] for array in others]
            loss, correct, count, dy = self._loss_of(y, data, *others)
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
        layers, backward = [self._layers[i] for i in kept], first < len(self._layers)
        parts, reads = fuse_graph(layers, reads, self._apart(layers, purpose, training, backward))
        loss, softmax = self._end(purpose, parts, reads)
        # The gradient of the network's input is needed by `backward` alone.
        learns = {-1: backward and purpose != 'learn'}
        learns |= {i: (part.layer if isinstance(part, Fusion) else part).index >= first for i, part in enumerate(parts)}
        settings = {'training': training or backward, 'fixed_weights': self._fixed_weights}
        stages, stage_reads, stage_of = [], [], {-1: -1}
        for begin, end in _closed(parts, reads):
            sources = reads[begin]
            if not isinstance(parts[begin], Fusion):
                stages.append(self._runs[parts[begin].index])
            else:
                sources = list(dict.fromkeys(place for places in reads[begin:end] for place in places if place < begin))
                inner = {place: -1 - k for k, place in enumerate(sources)} | {i: i - begin for i in range(begin, end)}
                if end == len(parts):
                    settings |= {'loss': loss, 'softmax': softmax}
                stages.append(
                    Sweep(
                        parts[begin:end],
                        [tuple(inner[place] for place in places) for places in reads[begin:end]],
                        sum(not learns[i] for i in range(begin, end)),
                        input_gradients=[learns[place] for place in sources],
                        **settings,
                    )
                )
            stage_reads.append(tuple(stage_of[place] for place in sources))
            stage_of[end - 1] = len(stages) - 1
        return Route(stage_reads, stages, with_loss=loss is not None)

    def _apart(self, layers, purpose, training, backward):
        """Return the layers that run by themselves though there are blocks for them."""
        if not backward:
            apart = []
        else:
            # A block writes the gradients of all its weights: a frozen layer runs by itself.
            apart = [layer for layer in layers if layer.parameters and not layer.learns]
            if not training:  # a BatchNormalization goes back by running statistics
                apart += [layer for layer in layers if type(layer) is BatchNormalization]
        if purpose != 'predict' and type(self.loss) is BinaryCrossEntropy and layers and type(layers[-1]) is Sigmoid:
            apart.append(layers[-1])  # which keeps its input for the loss
        return apart

    def _end(self, purpose, parts, reads):
        """Return the loss that the last fusion computes too, or None, and whether it computes the softmax after it.

        A Softmax that is computed there is removed from the parts. If no fusion was before it, one that passes on what
        it reads takes its place.
        """
        last_is_softmax = bool(parts) and type(parts[-1]) is Softmax
        entropy = purpose in ('learn', 'evaluate') and type(self.loss) is CategoricalCrossEntropy
        with_loss = entropy and last_is_softmax != self.loss.from_logits
        # Other losses than cross-entropy look for the logits that a Softmax has stored.
        with_softmax = last_is_softmax and purpose == 'predict'
        if last_is_softmax and (with_loss or with_softmax):
            softmax, places = parts.pop(), reads.pop()
            if not parts or not isinstance(parts[-1], Fusion):
                parts.append(passing(softmax))
                reads.append(places)
        fused = bool(parts) and isinstance(parts[-1], Fusion)
        return self.loss if with_loss and fused else None, with_softmax

    def _timed_runs(self):
        route = self._route('learn')
        return route.reads, route.stages

    def _loss_is_apart(self):
        return not self._route('learn').with_loss


def _closed(parts, reads):
    """Return where stages begin and end: as many fusions as can be of which only the last one's output is read outside.

    What is no fusion is a stage of its own.
    """
    last_reader = {place: i for i, places in enumerate(reads) for place in places}
    found, begin = [], 0
    while begin < len(parts):
        end, furthest, i = begin + 1, 0, begin
        while i < len(parts) and isinstance(parts[i], Fusion):
            if furthest <= i:
                end = i + 1
            furthest = max(furthest, last_reader.get(i, 0))
            i += 1
        found.append((begin, end))
        begin = end
    return found
