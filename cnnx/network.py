"""Network: layers in a row, and what can be done with them."""

import os
import threading
import types
import warnings
import weakref

import numpy as np

from cnnx import checkpoint, kernels
from cnnx._util import logits
from cnnx._util.arrays import as_kernels_read, as_numbers
from cnnx._util.validation import check_dtype, is_whole, positive_int, true_or_false
from cnnx.checkpoint import CheckpointError, state
from cnnx.diagnostics import doctor, gradient_check, lr_finder, profiler
from cnnx.execution.fusion import describe_fusions
from cnnx.execution.plan import Plan
from cnnx.layers import Layer, Sigmoid, Softmax
from cnnx.losses import CategoricalCrossEntropy, Loss
from cnnx.optimizers import as_optimizer
from cnnx.training import evaluation, fit, loop
from cnnx.training.array_data import ArrayData
from cnnx.training.batch_data import batches_of_samples
from cnnx.training.history import Mean

_networks = weakref.WeakSet()


class Network:
    """Layers in a row.

    Args:
        seed: where the random numbers for weights and shuffling start; None takes one from the system.
        dtype: 'float32' or 'float64', of weights and computation.
        fused: whether neighbouring layers run as one, which is faster; False runs them one by one, by their own forward
            and backward passes, as does the environment variable CNNX_FUSED=0. The two agree within rounding.

    Raises:
        ValueError: seed, dtype or fused is none of these.

    Attributes:
        layers: in order, a tuple; `add` appends, `pop` removes the last.
        loss, optimizer: as given to `compile`, or None.
        fused: as given; it can be changed.
        generator: the `numpy.random.Generator` that weights, shuffling and the layers' own random numbers
            come from; a new one can be assigned.
    """

    def __init__(self, seed=None, dtype='float32', fused=True):
        self.dtype = check_dtype(dtype)
        if seed is not None and (not is_whole(seed) or seed < 0):
            raise ValueError(f'seed: expected a whole number of at least 0, or None, got {seed!r}')
        self._changes = types.SimpleNamespace(any=True)  # since the plan was made; layers report theirs here
        self._layers = ()
        self.generator = np.random.default_rng(seed)
        self.fused = fused
        self.loss = None
        self.optimizer = None
        self._own_what_is_not_copied()

    def __getstate__(self):
        own = ('_plan', '_update', '_lock')
        return {key: value for key, value in vars(self).items() if key not in own}

    def __setstate__(self, attributes):
        vars(self).update(attributes)
        self._own_what_is_not_copied()

    def _own_what_is_not_copied(self):
        """Take a lock of its own, and arrays that nobody else writes into."""
        self._plan, self._update, self._lock = None, (None, None), threading.RLock()
        _networks.add(self)

    def __setattr__(self, name, value):
        if name == 'fused':
            value = true_or_false(value, 'fused')
        super().__setattr__(name, value)
        if name in ('fused', 'loss', '_layers'):
            self._changes.any = True

    @property
    def layers(self):
        return self._layers

    @property
    def generator(self):
        return self._generator

    @generator.setter
    def generator(self, generator):
        # Of a subclass, neither copies nor checkpoints keep what it does otherwise.
        if type(generator) is not np.random.Generator:
            raise TypeError(f'generator: expected one such as numpy.random.default_rng(0), got {generator!r}')
        self._generator = generator
        for layer in self._layers:
            layer.generator = generator

    def add(self, layer):
        """Append a layer and draw its weights.

        Raises:
            TypeError: it is not a layer.
            ValueError: its input is not what the layer before it gives, or its shape is not known, or the
                layer is in a network already.
        """
        self._append(layer)

    def _append(self, layer, weights=None):
        """Append a layer; its parameters are drawn, or come from a function of their name and shape."""
        if not isinstance(layer, Layer):
            raise TypeError(f'add: expected a layer such as ReLU(), got {layer!r}')
        if '_parameters' not in vars(layer):
            raise TypeError(f'{type(layer).__name__}.__init__: call super().__init__() first')
        if layer.index is not None:
            raise ValueError(f'add: this {type(layer).__name__} is in a network already; make another one')
        layer.index = len(self._layers)
        before = self._layers[-1] if self._layers else None
        try:
            layer.set_up(before and before.shape, self._generator, self.dtype, weights)
        except BaseException as error:
            layer.index = None
            if before is not None and type(error) is ValueError:
                raise ValueError(f'{error}; {before.where} gives {before.shape}') from None
            raise
        layer.network_changes = self._changes
        with self._lock:
            self._layers = (*self._layers, layer)

    def pop(self):
        """Remove the last layer and return it; it can be added again, here or elsewhere, with its weights.

        To train what is left, or what is added to it, call `compile` again.

        Raises:
            IndexError: the network has no layers.
        """
        with self._lock:
            if not self._layers:
                raise IndexError('pop: the network has no layers')
            *rest, layer = self._layers
            self._layers = tuple(rest)
            self.loss, self.optimizer = None, None
        layer.index = layer.network_changes = None
        return layer

    def compile(self, loss=None, optimizer='sgd'):
        """Choose the loss and the optimizer, and clear the optimizer's state.

        Args:
            loss: a loss such as `CategoricalCrossEntropy()`; None for a network that learns from the gradient that
                another one's `backward` returns.
            optimizer: one such as `Adam(beta_1=0.8)`, or the name of a kind of `cnnx.optimizers`, such as 'adam', in
                capitals or not, for one with its defaults; None is plain `SGD()`.

        Raises:
            TypeError: what came is no loss or no optimizer.
            ValueError: the last layer does not give what the loss takes, or no optimizer has that name.
        """
        if loss is not None and not isinstance(loss, Loss):
            raise TypeError(f'compile: expected a loss such as CategoricalCrossEntropy(), got {loss!r}')
        optimizer = as_optimizer('sgd' if optimizer is None else optimizer)
        self._needs_layers()
        if type(loss) is CategoricalCrossEntropy:
            _check_cross_entropy_fits(self._layers[-1], loss)
        with self._lock:
            self.loss, self.optimizer = loss, optimizer
            for parameter in self.parameters.values():
                parameter.state.clear()
                parameter.updates = 0

    @property
    def parameters(self):
        """The parameters of all layers, by the name that files give them: 'weights_0', 'bias_0', ..."""
        return {f'{p.name}_{index}': p for index, layer in enumerate(self._layers) for p in layer.parameters}

    @property
    def trainable_parameters(self):
        """The parameters that training changes, those of frozen layers left out."""
        return [parameter for layer in self._layers for parameter in layer.parameters if parameter.learns]

    @property
    def trainable(self):
        """Whether any layer is to learn; set, it is set for all layers that there are."""
        return any(layer.trainable for layer in self._layers)

    @trainable.setter
    def trainable(self, trainable):
        for layer in self._layers:
            layer.trainable = trainable

    @property
    def multiply_adds(self):
        """Of one sample's forward pass."""
        return sum(layer.multiply_adds for layer in self._layers)

    @property
    def plan(self):
        """How a batch runs (`cnnx.execution.plan.Plan`), made at first use and after changes."""
        with self._lock:
            if self._plan is None or self._changes.any:
                self._needs_layers()
                fused = self.fused and os.environ.get('CNNX_FUSED') != '0'
                self._plan, self._changes.any = Plan(self._layers, self.loss, fused, self._lock), False
            return self._plan

    def reset_plan(self):
        """Have the plan made anew at its next use: arrays that it holds on to have been replaced."""
        self._changes.any = True

    def prepared_update(self, samples=0):
        """Return the optimizer's step over the parameters that learn, an `Update`, prepared once for many steps.

        Args:
            samples: in a batch that has just been learned from.
        """
        made_for = self.plan, self.optimizer, self.optimizer.state_names, kernels.current()
        if self._update[0] != made_for:
            work = 3 * samples * self.multiply_adds
            self._update = made_for, self.optimizer.prepare(self.trainable_parameters, work)
        return self._update[1]

    train = fit.train
    evaluate = evaluation.evaluate
    profile = profiler.profile
    find_learning_rate = lr_finder.find_learning_rate
    check_gradients = gradient_check.check_gradients
    doctor = doctor.doctor

    def forward(self, x, training=False):
        """Return the network's output for a batch, (N, ...), an array of the caller's own, and keep it for `backward`.

        Args:
            x: samples (N, ...).
            training: whether layers do what they do in training, such as dropout.

        Raises:
            ValueError: x does not fit the first layer.
        """
        plan = self.plan
        x = as_kernels_read(self.check_samples(x, 'x'), self.dtype)
        with plan.lock:
            lent = plan.forward(x, true_or_false(training, 'training'))
            y = lent.copy()
            if (of_softmax := logits.of_probabilities.of(lent)) is not None:
                logits.of_probabilities.keep(y, of_softmax)
        return y

    def backward(self, dy):
        """Write the gradients of all parameters, those of l2 included, and return the gradient of x, (N, ...).

        Gradients are overwritten. (In PyTorch they add up, and are set to zero before.)

        Args:
            dy: the gradient of the loss by what the latest `forward` returned, of its shape.

        Raises:
            RuntimeError: there was no `forward`, or another batch has run since.
            ValueError: dy has another shape.
        """
        plan, last = self.plan, self._layers[-1]
        dy = as_numbers(dy, 'dy')
        last.check_shape(dy, last.shape, 'output gradient')
        with plan.lock:
            return plan.backward(as_kernels_read(dy, self.dtype)).copy()

    def update(self, learning_rate=None):
        """Take one step of the compiled optimizer along the gradients.

        Args:
            learning_rate: the size of the step; None for the optimizer's usual one.

        Raises:
            RuntimeError: the network is not compiled.
        """
        if self.optimizer is None:
            raise RuntimeError("update needs an optimizer; call compile(loss, optimizer='sgd') first")
        rate = self.optimizer.usual_learning_rate if learning_rate is None else learning_rate
        with self._lock:
            self.prepared_update()(rate)

    def train_on_batch(self, x, targets, learning_rate=None, sample_weight=None):
        """Learn from one batch: forward, loss, backward and update; return {'loss': ..., 'accuracy': ...}.

        The loss is the mean over the batch, with penalties of weights, from before the update.

        Args:
            x, targets, sample_weight: a batch, as `train` takes samples.
            learning_rate: as for `update`.

        Raises:
            ValueError: the arguments do not fit the network or each other.
            DivergenceError: loss or gradients are NaN or infinite; the weights are those from before the batch.
        """
        self.needs_loss('train_on_batch')
        samples = ArrayData(self, x, targets, sample_weight)
        rate = self.optimizer.usual_learning_rate if learning_rate is None else learning_rate
        mean = Mean(samples.measures_accuracy)
        mean.add(len(samples), *loop.learn(self, samples, np.arange(len(samples)), rate))
        return mean.metrics()

    def predict(self, x, batch_size=256):
        """Return the network's output for samples, (N, ...); memory beyond that is bounded by batch_size.

        Args:
            x: samples (N, ...), or an iterable of batches that comes to an end: of samples, or of tuples that begin
                with them. In a list or tuple, batches are arrays, or begin with one.
            batch_size: samples to a pass, where x is an array.

        Raises:
            ValueError: x does not fit the first layer.
        """
        plan = self.plan
        batches = batches_of_samples(x)
        if batches is not None:
            outputs = [np.empty((0, *self._layers[-1].shape), self.dtype)]
            for number, batch in enumerate(batches, 1):
                outputs.append(self._predict(plan, self.check_samples(batch, f'batch {number}: x')))
            return np.concatenate(outputs)
        x = self.check_samples(x, 'x')
        batch_size = positive_int(batch_size, 'batch_size')
        outputs = np.empty((len(x), *self._layers[-1].shape), self.dtype)
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
        self._layers[0].check_shape(x, self._layers[0].input_shape, what)
        return x

    def summary(self):
        """Print a line for each layer: output shape, parameters, multiply-adds; then the totals, and what is frozen."""
        rows = [('layer', 'output shape', 'parameters', 'multiply-adds')]
        rows += [
            (
                f'{layer.index} {type(layer).__name__}',
                str(layer.shape),
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
        if self.fused:
            for line in describe_fusions(self.layers, self.loss):
                print(line)
            print('(what a block is: docs/performance.md)')

    def save_weights(self, path):
        """Write the parameters to an .npz file: `weights_{i}`, `bias_{i}` and so on, i being a layer's index.

        Raises:
            OSError: the file cannot be written.
        """
        checkpoint.write(path, state.weights(self))

    def load_weights(self, path):
        """Take the weights from a file of `save_weights`, or of `save`, or from a checkpoint.

        Raises:
            CheckpointError: the file is damaged, or its weights are not this network's; none is changed then.
            OSError: there is no such file, or it cannot be opened.
        """
        arrays, _ = checkpoint.read(path)
        try:
            state.assign(self, state.match_weights(self._layers, arrays))
        except ValueError as error:
            raise CheckpointError(f'{path}: not the weights of this network: {error}') from None

    def save(self, path, optimizer_state=False):
        """Write weights, architecture, loss, optimizer and the generator's state to an .npz file.

        Where `load` will need `custom_objects`, a warning says so.

        Args:
            path: the file.
            optimizer_state: whether to write what the optimizer keeps of past steps, too: with it, a training loop of
                one's own goes on exactly as if it had not been interrupted.

        Raises:
            OSError: the file cannot be written.
            TypeError: a setting of a layer, loss or optimizer is not what JSON can hold.
        """
        arrays = state.arrays(self) if optimizer_state else state.weights(self)
        description = state.describe_training(self) if optimizer_state else state.describe(self)
        checkpoint.write(path, arrays, description)
        if custom := state.custom_kinds(self):
            objects = ', '.join(f'{name!r}: {name}' for name in custom)
            warnings.warn(f'{path}: Network.load needs custom_objects={{{objects}}}', UserWarning, stacklevel=2)

    @classmethod
    def load(cls, path, custom_objects=None, fused=None):
        """Make a network from a file of `save`, or from a checkpoint.

        Args:
            path: the file.
            custom_objects: classes of layers, losses and optimizers of your own, by their names: {'Swish': Swish}.
            fused: whether layers run as one; None for what the file has.

        Raises:
            CheckpointError: the file is damaged, holds no architecture, or needs other custom_objects.
            OSError: there is no such file, or it cannot be opened.
        """
        arrays, description = checkpoint.read(path)
        if 'architecture' not in description:
            raise CheckpointError(
                f'{path}: holds no architecture; for a file of weights alone, build the network and use load_weights'
            )
        with checkpoint.lack_of_memory_told(path), checkpoint.misfit_told(path, 'cannot build its network'):
            network = state.rebuild(cls, description, arrays, custom_objects or {})
        if fused is not None:
            network.fused = fused
        return network

    def needs_loss(self, action):
        """Raise a RuntimeError, which names what was to be done, unless the network is compiled with a loss."""
        if self.loss is None:
            raise RuntimeError(f'{action} needs a loss; call compile(CategoricalCrossEntropy()) first')

    def _needs_layers(self):
        if not self._layers:
            raise RuntimeError('the network has no layers; add some first')


def _check_cross_entropy_fits(last, loss):
    """Raise a ValueError if the last layer does not give what cross-entropy takes."""
    if len(last.shape) != 1 or last.shape[0] < 2:
        raise ValueError(f'CategoricalCrossEntropy: expected at least 2 classes, {last.where} gives {last.shape}')
    if loss.from_logits and isinstance(last, Softmax):
        raise ValueError(
            f'CategoricalCrossEntropy(from_logits=True) after {last.where} would take the softmax twice; '
            'leave out one of the two'
        )
    # What a layer of one's own gives is not known.
    if not loss.from_logits and type(last).__module__.startswith('cnnx.') and not isinstance(last, (Softmax, Sigmoid)):
        raise ValueError(
            f'CategoricalCrossEntropy: expected probabilities, {last.where} gives any numbers; '
            'add Softmax(), or use CategoricalCrossEntropy(from_logits=True)'
        )


def _after_fork_in_child():
    # Another thread of the parent may have held a network's lock, and is not here to give it back.
    for network in list(_networks):
        network._own_what_is_not_copied()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_after_fork_in_child)
