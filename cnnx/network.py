"""Network: layers in a row, and what can be done with them."""

import os
import threading
import weakref

import numpy as np

from cnnx import checkpoint
from cnnx._util.arrays import as_kernels_read, as_numbers
from cnnx._util.validation import check_dtype, is_whole, positive_int
from cnnx.checkpoint import CheckpointError, state
from cnnx.diagnostics import doctor, gradient_check, lr_finder, profiler
from cnnx.execution.plan import Plan, check_layers_fit, check_loss_fits, fusions
from cnnx.layers import Layer
from cnnx.losses import Loss
from cnnx.optimizers import as_optimizer
from cnnx.training import evaluation, fit
from cnnx.training.batch_data import batches_of_samples

_networks = weakref.WeakSet()


class Network:
    """Layers in a row.

    Args:
        seed: where the random numbers for weights and shuffling start; None takes one from the system.
        dtype: 'float32' or 'float64', of weights and computation.

    Raises:
        ValueError: seed or dtype is none of these.

    Attributes:
        layers: in order; `add` appends.
        loss, optimizer: as given to `compile`, or None.
        generator: the `numpy.random.Generator` that weights, shuffling and the layers' own random numbers
            come from; a new one can be assigned.
    """

    def __init__(self, seed=None, dtype='float32'):
        self.dtype = check_dtype(dtype)
        if seed is not None and (not is_whole(seed) or seed < 0):
            raise ValueError(f'seed: expected a whole number of at least 0, or None, got {seed!r}')
        self.layers = []
        self.generator = np.random.default_rng(seed)
        self.loss = None
        self.optimizer = None
        self._renew()

    def __getstate__(self):
        own = ('_plan', '_made_for', '_learns_for', '_lock')
        return {key: value for key, value in vars(self).items() if key not in own}

    def __setstate__(self, state):
        vars(self).update(state)
        self._renew()

    def _renew(self):
        """Take a lock of its own, and buffers that nobody else writes into."""
        self._plan, self._made_for, self._learns_for, self._lock = None, None, None, threading.RLock()
        _networks.add(self)

    @property
    def generator(self):
        return self._generator

    @generator.setter
    def generator(self, generator):
        # Of a subclass, neither copies nor checkpoints keep what it does otherwise.
        if type(generator) is not np.random.Generator:
            raise TypeError(f'generator: expected one such as numpy.random.default_rng(0), got {generator!r}')
        self._generator = generator
        self._lend_generator()

    def _lend_generator(self):
        for layer in self.layers:
            layer.generator = self._generator

    def add(self, layer):
        """Append a layer and draw its weights.

        Raises:
            TypeError: it is not a layer.
            ValueError: its input is not what the layer before it gives, or its shape is not known, or the
                layer is in a network already.
        """
        if not isinstance(layer, Layer):
            raise TypeError(f'add: expected a layer such as ReLU(), got {layer!r}')
        if layer.index is not None:
            raise ValueError(f'add: this {type(layer).__name__} is in a network already; make another one')
        layer.index = len(self.layers)
        try:
            self._build(layer)
        except BaseException:
            layer.index = None
            raise
        with self._lock:
            self.layers.append(layer)
            self._lend_generator()
            self._plan = None

    def pop(self):
        """Remove the last layer and return it; it can be added again, here or elsewhere, with its weights.

        To train what is left, or what is added to it, call `compile` again.

        Raises:
            IndexError: the network has no layers.
        """
        with self._lock:
            if not self.layers:
                raise IndexError('pop: the network has no layers')
            layer = self.layers.pop()
            self.loss, self.optimizer, self._plan = None, None, None
        layer.index = None
        return layer

    def compile(self, loss, optimizer='sgd'):
        """Choose the loss and the optimizer, and forget what optimizers remember of the parameters.

        Args:
            loss: a loss such as `CategoricalCrossEntropy()`.
            optimizer: one such as `Adam(beta_1=0.8)`, or the name of a kind of `cnnx.optimizers`, such as 'adam', in
                capitals or not, for one with its defaults; None is plain `SGD()`.

        Raises:
            TypeError: what came is no loss or no optimizer.
            ValueError: the last layer does not give what the loss takes, or no optimizer has that name.
        """
        if not isinstance(loss, Loss):
            raise TypeError(f'compile: expected a loss such as CategoricalCrossEntropy(), got {loss!r}')
        optimizer = as_optimizer('sgd' if optimizer is None else optimizer)
        check_loss_fits(self.layers, loss)
        with self._lock:
            self.loss, self.optimizer, self._plan = loss, optimizer, None
            for parameter in self.parameters.values():
                parameter.state.clear()
                parameter.updates = 0

    @property
    def parameters(self):
        """The parameters of all layers, by the name that files give them: 'weights_0', 'bias_0', ..."""
        return {f'{p.name}_{index}': p for index, layer in enumerate(self.layers) for p in layer.parameters}

    @property
    def trainable_parameters(self):
        """The parameters that training changes, those of frozen layers left out."""
        return [p for layer in self.layers if layer.trainable for p in layer.parameters if p.trainable]

    @property
    def trainable(self):
        """Whether any layer is to learn; set, it is set for all layers that there are."""
        return any(layer.trainable for layer in self.layers)

    @trainable.setter
    def trainable(self, trainable):
        for layer in self.layers:
            layer.trainable = trainable

    @property
    def multiply_adds(self):
        """Of one sample's forward pass."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def plan(self):
        """How a batch runs (`cnnx.execution.plan.Plan`), made at first use."""
        with self._lock:
            learns_for = [p.trainable for layer in self.layers for p in layer.parameters]
            learns_for += [layer.l2 > 0 for layer in self.layers]
            if self.loss is not None:
                learns_for += [getattr(self.loss, name) for name in self.loss.planned]
            if self._learns_for != learns_for:
                self._plan, self._learns_for = None, learns_for
            return self.plan_to_predict

    @property
    def plan_to_predict(self):
        """`plan`, but that it may be from before a change in what only learning and losses depend on."""
        if not self.layers:
            raise RuntimeError('the network has no layers; add some first')
        with self._lock:
            # Attributes are open to all, and kernels do not look: what changed since is checked, and planned anew.
            made_for = [*self.layers, *[layer.trainable for layer in self.layers], self.loss, self.dtype]
            made_for += [getattr(layer, name) for layer in self.layers for name in layer.planned]
            if self._plan is None or self._made_for != made_for:
                for index, layer in enumerate(self.layers):
                    layer.index = index
                check_layers_fit(self.layers, self.dtype)
                if self.loss is not None:
                    check_loss_fits(self.layers, self.loss)
                self._lend_generator()
                self._plan, self._made_for = Plan(self.layers, self.loss, self._lock), made_for
            return self._plan

    train = fit.train
    evaluate = evaluation.evaluate
    profile = profiler.profile
    find_learning_rate = lr_finder.find_learning_rate
    check_gradients = gradient_check.check_gradients
    doctor = doctor.doctor

    def predict(self, x, batch_size=256):
        """Return the network's output for samples, (N, ...); memory beyond that is bounded by batch_size.

        Args:
            x: samples (N, ...), or an iterable of batches that comes to an end: of samples, or of tuples that begin
                with them. In a list or tuple, batches are arrays, or begin with one.
            batch_size: samples to a pass, where x is an array.

        Raises:
            ValueError: x does not fit the first layer.
        """
        plan = self.plan_to_predict
        batches = batches_of_samples(x, self.layers[0].input_shape)
        if batches is not None:
            outputs = [np.empty((0, *self.layers[-1].output_shape), self.dtype)]
            for number, batch in enumerate(batches, 1):
                outputs.append(self._predict(plan, self.check_samples(batch, f'batch {number}: x')))
            return np.concatenate(outputs)
        x = self.check_samples(x, 'x')
        batch_size = positive_int(batch_size, 'batch_size')
        outputs = np.empty((len(x), *self.layers[-1].output_shape), self.dtype)
        for first in range(0, len(x), batch_size):
            self._predict(plan, x[first : first + batch_size], outputs[first : first + batch_size])
        return outputs

    def _predict(self, plan, batch, out=None):
        """Return, or write, what the network makes of a batch."""
        batch = as_kernels_read(batch, self.dtype)
        with plan.lock:
            outputs = plan.predict(batch)
            if out is None:
                return outputs.copy()
            out[...] = outputs
        return out

    def predict_classes(self, x, batch_size=256):
        """Return the most probable class of each sample, (N,) int; with a single output, whether it is over 1/2.

        Raises:
            ValueError: x does not fit the first layer, or the output is not one row a sample.
        """
        outputs = self.predict(x, batch_size)
        if outputs.ndim != 2:
            raise ValueError(f'predict_classes: expected outputs (N, classes), the network gives {outputs.shape}')
        return (outputs[:, 0] > 0.5).astype(np.intp) if outputs.shape[1] == 1 else outputs.argmax(axis=1)

    def check_samples(self, x, what):
        """Return x as an array of samples that the first layer takes, in the dtype that it came in."""
        x = as_numbers(x, what)
        self.layers[0].check_shape(x, self.layers[0].input_shape, what)
        return x

    def summary(self):
        """Print a line for each layer: output shape, parameters, multiply-adds; then the totals, and what is frozen."""
        rows = [('layer', 'output shape', 'parameters', 'multiply-adds')]
        rows += [
            (
                f'{layer.index} {type(layer).__name__}',
                str(layer.output_shape),
                f'{layer.parameter_count:,}',
                f'{layer.multiply_adds:,}',
            )
            for layer in self.layers
        ]
        parameters = sum(layer.parameter_count for layer in self.layers)
        rows.append(('total', '', f'{parameters:,}', f'{self.multiply_adds:,}'))
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        for row in rows:
            left = f'{row[0]:{widths[0]}}  {row[1]:{widths[1]}}'
            print(f'{left}  {row[2]:>{widths[2]}}  {row[3]:>{widths[3]}}')
        frozen = [layer for layer in self.layers if layer.frozen]
        if frozen:
            names = ', '.join(f'{layer.index} {type(layer).__name__}' for layer in frozen)
            print(f'frozen: {names}, {sum(layer.parameter_count for layer in frozen):,} of the parameters')
        for line in fusions(self.layers, self.loss):
            print(line)

    def save_weights(self, path):
        """Write the parameters to an .npz file: `weights_{i}`, `bias_{i}` and so on, i being a layer's index.

        Raises:
            OSError: the file cannot be written.
        """
        checkpoint.write(path, self._weights())

    def load_weights(self, path):
        """Take the weights from a file of `save_weights`, or of `save`, or from a checkpoint.

        Raises:
            CheckpointError: the file is damaged, or its weights are not this network's; none is changed then.
            OSError: there is no such file, or it cannot be opened.
        """
        arrays, _ = checkpoint.read(path)
        self._set_weights(arrays, path)

    def save(self, path):
        """Write weights, architecture, loss, optimizer and the generator's state to an .npz file.

        Of the optimizer, that is its settings; what it remembers of past steps is in the checkpoints of a run alone.

        Raises:
            OSError: the file cannot be written.
        """
        checkpoint.write(path, self._weights(), self.describe())

    @classmethod
    def load(cls, path):
        """Make a network from a file of `save`, or from a checkpoint.

        Raises:
            CheckpointError: the file is damaged, or holds no state.
            OSError: there is no such file, or it cannot be opened.
        """
        arrays, description = checkpoint.read(path)
        if 'architecture' not in description:
            raise CheckpointError(
                f'{path}: holds no architecture; for a file of weights alone, build the network and use load_weights'
            )
        with checkpoint.as_checkpoint_error(path, 'cannot build its network'):
            network = state.rebuild(cls, description, arrays)
            network._set_weights(arrays, path)
        return network

    def describe(self):
        """Return architecture, loss, optimizer and the generator's state as JSON can hold them."""
        return state.describe(self)

    def describe_training(self):
        """Return what `describe` does, and how many updates each parameter has had.

        That is 0 for one of which the optimizer has yet to remember something: its count begins anew then.
        """
        needed = set(self.optimizer.state_names)
        updates = {name: p.updates if needed <= p.state.keys() else 0 for name, p in self.parameters.items()}
        return {**self.describe(), 'updates': updates}

    def checkpoint_arrays(self):
        """Return weights, and what the optimizer remembers of them, by name."""
        states = {
            f'{state}_{name}': array
            for name, parameter in self.parameters.items()
            for state, array in parameter.state.items()
        }
        return {**self._weights(), **states}

    def restore(self, arrays, description, path):
        """Take over what `checkpoint.read` gave.

        That is weights, optimizer state, counts of updates, generator, and which layers and parameters are frozen.

        Raises:
            CheckpointError: they belong to another network; nothing is changed then.
        """
        with checkpoint.as_checkpoint_error(path, 'not a checkpoint of this network'):
            matching = state.match_checkpoint(self, description, arrays)
            updates = state.updates_of(description)
            states = state.state_names(self, description)
            state.restore_generator(self, description['generator'])
        self._assign(matching)
        for layer, settings in zip(self.layers, description['architecture']['layers'], strict=True):
            state.restore_trainable(layer, settings)
        for name, parameter in self.parameters.items():
            parameter.state = {
                state: np.array(matching[f'{state}_{name}'], self.dtype, order='C')
                for state in states
                if f'{state}_{name}' in matching
            }
            parameter.updates = updates.get(name, 0)

    def _weights(self):
        return {name: parameter.value for name, parameter in self.parameters.items()}

    def _set_weights(self, arrays, path):
        try:
            self._assign(state.match_weights(self.layers, arrays))
        except ValueError as error:
            raise CheckpointError(f'{path}: not the weights of this network: {error}') from None

    def _assign(self, arrays):
        for name, parameter in self.parameters.items():
            parameter.value = arrays[name]

    def _build(self, layer):
        if not self.layers:
            layer.build(rng=self.generator, dtype=self.dtype)
            return
        before = self.layers[-1]
        try:
            layer.build(before.output_shape, rng=self.generator, dtype=self.dtype)
        except ValueError as error:
            raise ValueError(f'{error}; {before.where} gives {before.output_shape}') from None

    def needs_loss(self, action):
        """Raise a RuntimeError, which names what was to be done, unless the network is compiled."""
        if self.loss is None:
            raise RuntimeError(f'{action} needs a loss; call compile(CategoricalCrossEntropy()) first')


def _after_fork_in_child():
    # Another thread of the parent may have held a network's lock, and is not here to give it back.
    for network in list(_networks):
        network._renew()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_after_fork_in_child)
