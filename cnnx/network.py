"""Network: layers in a row or in a graph. The code of `train`, `predict` and others is in cnnx/training/."""

import os
import threading
import types
import weakref

import numpy as np

from cnnx import kernels
from cnnx._util.arrays import as_numbers
from cnnx._util.foreign_names import NETWORK_KEYWORDS, OF_NETWORK
from cnnx._util.generators import new_generator
from cnnx._util.hints import Hinted, explained
from cnnx._util.validation import check_dtype, is_whole, names_of_classes, true_or_false
from cnnx.checkpoint import networks
from cnnx.diagnostics import check_against, doctor, gradient_check, lr_finder, profiler, summary
from cnnx.execution.fused_plan import FusedPlan
from cnnx.execution.plan import Plan
from cnnx.layers import Layer
from cnnx.layers.parameter import ParametersByName
from cnnx.layers.wiring import check_reads, layers_between
from cnnx.training import activations, compiling, evaluation, fit, prediction, steps

_networks = weakref.WeakSet()
# What training and diagnostics call, left out of `dir`.
INTERNAL = {'check_samples', 'needs_loss', 'plan', 'prepared_update', 'reset_plan', 'reset_update'}
INTERNAL |= {'runs_fused', 'set_up_training'}


class Network(Hinted):
    """Layers in a row, or in a graph that branches and merges.

    A chain is made of a list of layers, or by `add`, layer by layer. A graph is made as in Keras: call layers on an
    `Input`, and on what they return, and give both ends:

        x = Input((28, 28, 1))
        h = ReLU()(Convolutional(8, 3, padding='same')(x))
        h = Add()([h, Convolutional(8, 3, padding='same')(h)])
        y = Softmax()(Dense(10)(GlobalAveragePooling()(h)))
        net = Network(inputs=x, outputs=y, seed=0)

    The weights are drawn then, in the order of the calls, which is that of `layers`. What does not lead to the output
    is left out.

    Args:
        layers: a list of layers, as `add` takes them one by one; None for none yet.
        inputs, outputs: an `Input`, and what the last layer gave.
        seed: where the random numbers for weights and shuffling start; None takes one from the system.
        dtype: 'float32' or 'float64', of weights and computation.
        fused: whether neighbouring layers run as one block, which is faster; False runs them one by one, by their own
            forward and backward passes, as does the environment variable CNNX_FUSED=0. The two agree within rounding.

    Raises:
        TypeError: layers is no list of layers, or inputs or outputs are no such values.
        ValueError: seed, dtype or fused is none of these, or a layer does not fit.

    Attributes:
        layers: in order, a tuple; `add` appends, `pop` removes the last.
        reads: for each layer the places of those that it reads, before it; -1 is the network's input.
        loss, optimizer, metrics: as given to `compile`.
        fused: as given; it can be changed.
        history: the `cnnx.History` of the last call of `train`, also of one that an error or Ctrl-C ended; or None.
            Files do not hold it.
        class_names: the names of the classes in the order of the outputs, a tuple, or None. They can be set, are saved
            with the network, and stand in reports and in what `cnnx predict` prints.
        generator: the `numpy.random.Generator` that weights, shuffling and the layers' own random numbers
            come from; a new one can be assigned.
    """

    _elsewhere = OF_NETWORK

    @explained(NETWORK_KEYWORDS, 'layers come in one list, Network([...])')
    def __init__(self, layers=None, *, inputs=None, outputs=None, seed=None, dtype='float32', fused=True):
        if layers is not None and not isinstance(layers, (list, tuple)):
            hint = f'; for a seed, Network(seed={layers})' if is_whole(layers) else ''
            raise TypeError(
                f'Network: expected a list of layers, Network([Dense(3, 2), Softmax()]), got {layers!r}{hint}'
            )
        if seed is not None and (not is_whole(seed) or seed < 0):
            raise ValueError(f'seed: expected a whole number of at least 0, or None, got {seed!r}')
        self.layers = self.reads = ()
        self._dtype = check_dtype(dtype)
        self.fused = fused
        self._class_names = None
        self.generator = new_generator(seed)
        self.metrics = []
        self.loss = None
        self.optimizer = None
        self.history = None
        self._changes = types.SimpleNamespace(any=True)  # shared with the layers; True: rebuild the plan
        self._own_what_is_not_copied()
        branching = inputs is not None or outputs is not None
        if branching and layers is not None:
            raise TypeError('Network: expected a list of layers, or inputs and outputs, got both')
        for layer, places in zip(*layers_between(inputs, outputs), strict=True) if branching else ():
            self.add(layer, reads=places)
        for layer in layers or ():
            self.add(layer)

    def __call__(self, x, training=False):
        """Return `forward` of a batch: net(x)."""
        return self.forward(x, training)

    def __dir__(self):
        return [name for name in super().__dir__() if name not in INTERNAL]

    def __getstate__(self):
        own = ('_plan', '_plan_for', '_update', '_update_for', '_lock')
        return {key: value for key, value in vars(self).items() if key not in own}

    def __setstate__(self, attributes):
        vars(self).update(attributes)
        self._own_what_is_not_copied()

    def _own_what_is_not_copied(self):
        """Start with a new lock and without a plan: a copy must not share these, nor a forked process."""
        self._plan = self._plan_for = self._update = self._update_for = None
        self._lock = threading.RLock()
        _networks.add(self)

    def add(self, layer, *, weights=None, reads=None):
        """Append a layer and draw its weights.

        Args:
            layer: such as `ReLU()`.
            weights: a function of a parameter's name and shape that returns its value, in place of drawing it.
            reads: the places of the layers that it reads, -1 being the network's input; by default the last one.

        Raises:
            TypeError: it is not a layer.
            ValueError: its input is not what the layer before it gives, or its shape is not known, or the
                layer is in a network already.
        """
        if not isinstance(layer, Layer):
            hint = '; add one at a time, or make Network([...])' if isinstance(layer, (list, tuple)) else ''
            if isinstance(layer, type) and issubclass(layer, Layer):
                hint = f'; call it: {layer.__name__}()'
            raise TypeError(f'add: expected a layer such as ReLU(), got {layer!r}{hint}')
        layer.check_constructed()
        for name in ('shape', 'dtype', 'index'):
            if not layer._is_set_up and getattr(layer, name) is not None:
                raise TypeError(f'{type(layer).__name__}: self.{name} is what networks set; use another name')
        if layer.index is not None:
            raise ValueError(f'add: this {type(layer).__name__} is in a network already; make another one')
        count = len(self.layers)
        reads = (count - 1,) if reads is None else check_reads(reads, count)
        layer.index = count
        before = [self.layers[place] for place in reads if place >= 0]
        try:
            layer.set_up(self._shape_for(layer, reads), self.generator, self.dtype, weights)
        except BaseException as error:
            layer.index = None
            if before and type(error) is ValueError:
                raise ValueError(f'{error}; {_gives(before)}') from None
            raise
        layer.network_changes = self._changes
        with self._lock:
            self.layers, self.reads = (*self.layers, layer), (*self.reads, reads)

    def _shape_for(self, layer, reads):
        """Return the shape of what a layer that reads these places gets; None for that of the layer's own choice."""
        if layer.merges == (len(reads) == 1):
            raise ValueError(f'{layer.where}: expected {"several inputs" if layer.merges else "one"}, got {len(reads)}')
        if not self.layers:
            return None
        shapes = [self.input_shape if place < 0 else self.layers[place].shape for place in reads]
        return shapes if layer.merges else shapes[0]

    @property
    def input_shape(self):
        """The shape of one sample."""
        first = self.layers[0]
        return first.input_shape[0] if first.merges else first.input_shape

    def pop(self):
        """Remove the last layer and return it; it can be added again, here or elsewhere, with its weights.

        To train what is left, or what is added to it, call `compile` again.

        Raises:
            IndexError: the network has no layers.
            ValueError: it merges branches.
        """
        with self._lock:
            if not self.layers:
                raise IndexError('pop: the network has no layers')
            layer = self.layers[-1]
            if layer.merges:
                raise ValueError(f'pop: {layer.where} merges branches; make Network(inputs=..., outputs=...) instead')
            self.layers, self.reads = self.layers[:-1], self.reads[:-1]
            self.loss, self.optimizer = None, None
        layer.index = layer.network_changes = None
        return layer

    def set_up_training(self, loss, optimizer, metrics):
        """Take what `compile` has checked, and clear the optimizer's state."""
        with self._lock:
            self.loss, self.optimizer, self.metrics = loss, optimizer, metrics
            self.reset_update()
            for parameter in self.parameters.values():
                parameter.state.clear()
                parameter.updates = 0

    @property
    def dtype(self):
        return self._dtype

    @property
    def fused(self):
        return self._fused

    @fused.setter
    def fused(self, fused):
        self._fused = true_or_false(fused, 'fused')

    @property
    def runs_fused(self):
        """Whether neighbouring layers run as one: `fused`, unless CNNX_FUSED=0."""
        setting = os.environ.get('CNNX_FUSED', '')
        if setting not in ('', '0', '1'):
            raise ValueError(f'CNNX_FUSED: expected 0 or 1, got {setting!r}')
        return self._fused and setting != '0'

    @property
    def class_names(self):
        return self._class_names

    @class_names.setter
    def class_names(self, names):
        outputs = self.layers[-1].shape if self.layers else ()
        self._class_names = names_of_classes(names, outputs[0] if len(outputs) == 1 else None)

    @property
    def parameters(self):
        """The parameters of all layers, by the name that files give them: 'weights_0', 'bias_0', ..."""
        return ParametersByName(
            (f'{p.name}_{index}', p) for index, layer in enumerate(self.layers) for p in layer.parameters
        )

    @property
    def trainable_parameters(self):
        """The parameters that training changes, those of frozen layers left out."""
        return [parameter for layer in self.layers for parameter in layer.parameters if parameter.learns]

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
        """How a batch runs (`cnnx.execution.plan.Plan`), made at first use and after changes."""
        with self._lock:
            made_for = self.layers, self.loss, getattr(self.loss, 'from_logits', None), self._fused, self.generator
            if self._changes.any or self._plan_for != made_for:
                if not self.layers:
                    raise RuntimeError('the network has no layers; add some first')
                self._check_all_are_read()
                # Copies and checkpoints would not keep what a subclass does differently.
                if type(self.generator) is not np.random.Generator:
                    raise TypeError(
                        f'generator: expected one such as numpy.random.default_rng(0), got {self.generator!r}'
                    )
                for layer in self.layers:
                    layer.generator = self.generator
                self._plan = (FusedPlan if self.runs_fused else Plan)(self.layers, self.reads, self.loss, self._lock)
                self._plan_for = made_for
                self._changes.any = False
            return self._plan

    def _check_all_are_read(self):
        read = {place for reads in self.reads for place in reads}
        for layer in self.layers[:-1]:
            if layer.index not in read:
                raise ValueError(f'{layer.where}: no layer reads it, and the output is that of the last layer')

    def reset_plan(self):
        """Rebuild plan and update at their next use: arrays that they use have been replaced."""
        self._changes.any = True

    def reset_update(self):
        """Prepare the optimizer's step again at its next use: the optimizer's state may have been replaced."""
        self._update_for = None

    def prepared_update(self, samples=0):
        """Return the optimizer's step over the parameters that learn, an `Update`, prepared once for many steps.

        Args:
            samples: the size of the batch that the backward pass was of.
        """
        made_for = self.plan, self.optimizer, self.optimizer.state_names, kernels.current()
        if self._update_for != made_for:
            work = 3 * samples * self.multiply_adds
            self._update, self._update_for = self.optimizer.prepare(self.trainable_parameters, work), made_for
        return self._update

    # Methods whose code is in other modules: `train` in training/fit.py, `evaluate` in training/evaluation.py, ...
    compile = compiling.compile
    train = fit.train
    evaluate = evaluation.evaluate
    forward = steps.forward
    backward = steps.backward
    update = steps.update
    train_on_batch = steps.train_on_batch
    predict = prediction.predict
    predict_classes = prediction.predict_classes
    predictor = prediction.predictor
    activations = activations.activations
    save = networks.save
    profile = profiler.profile
    find_learning_rate = lr_finder.find_learning_rate
    check_gradients = gradient_check.check_gradients
    check_against = check_against.check_against
    doctor = doctor.doctor
    __repr__ = summary.describe
    _repr_html_ = summary.as_html
    summary = summary.summary

    def export(self, path, **options):
        """Write the network for other programs, in the form that the file's name ends with: .onnx, .c or .html.

        Args:
            path: the file.
            options: of the form: those of `cnnx.export.onnx.export`, `cnnx.export.c.export` or
                `cnnx.export.html.export`.

        Raises:
            ValueError: there is no such form, or the network or an option does not fit it.
            ImportError: the form needs a package that is not installed.
            OSError: the file cannot be written.
        """
        from cnnx import export

        export.export(self, path, **options)

    def quantize(self, calibrate):
        """Return a `cnnx.export.quantization.QuantizedNetwork`: the network in 8-bit integers, for C.

        Args:
            calibrate: typical samples (N, ...), some hundred of the training data; the range of each layer's output
                follows from them.

        Raises:
            ValueError: they do not fit the network, or it has a layer that has no such form.
        """
        from cnnx.export.quantization import QuantizedNetwork

        return QuantizedNetwork(self, calibrate)

    def save_weights(self, path, layout=None):
        """Write the parameters to an .npz file: `weights_{i}`, `bias_{i}` and so on, i being a layer's index.

        Args:
            path: the file. If its name ends with .safetensors, it is one of these (extra `safetensors`).
            layout: 'torch' or 'keras', for names and shapes of PyTorch or Keras; None for those of cnnx.

        Raises:
            ImportError: the package safetensors is not installed.
            OSError: the file cannot be written.
            ValueError: layout is none of these, or the name ends as files of another library do: .h5, .pt, ...
        """
        from cnnx import export

        if layout is None and not export.writes_weights(path):
            networks.save_weights(self, path)
        else:
            export.save_weights(self, path, layout)

    def load_weights(self, path, layout=None):
        """Take the weights from a file of `save_weights`, or of `save`, or from a checkpoint; or of another library.

        Args:
            path: the file. From PyTorch a .safetensors or .npz file of a `state_dict`, from Keras an .npz file or what
                `model.save_weights` writes, .weights.h5 or .h5 (extras `safetensors` and `keras`).
            layout: 'torch' or 'keras' where the file is theirs: its arrays are matched with the layers by order and
                shape and rearranged, those of a Dense layer after a Flatten among them. None for files of cnnx.

        Raises:
            CheckpointError: the file is damaged, or its weights are not this network's; none is changed then.
            ImportError: the package that reads it is not installed.
            OSError: there is no such file, or it cannot be opened.
            ValueError: layout is none of these, or the name ends as other files of another library do.
        """
        from cnnx import importing

        if layout is None and not importing.reads_weights(path):
            networks.load_weights(self, path)
        else:
            importing.load_weights(self, path, layout)

    @classmethod
    def load(cls, path, custom_objects=None, fused=None, *, input_shape=None, output=None):
        """Make a network from a file of `save`, from a checkpoint, or from an ONNX file.

        A network from an .onnx file takes and gives images (N, H, W, C), whatever the file has, and can be trained.

        Args:
            path: the file.
            custom_objects: classes of layers, losses and optimizers of your own, by their names: {'Swish': Swish}.
            fused: whether neighbouring layers run as one block; None for what the file has.
            input_shape: of one sample, such as (28, 28, 1), where an .onnx file leaves sizes open.
            output: the name of an output where an .onnx file has several, or of what one of its nodes gives: the
                network ends there.

        Raises:
            CheckpointError: the file is damaged, holds no architecture or what cnnx does not have, or needs other
                custom_objects.
            ImportError: the package onnx is not installed.
            OSError: there is no such file, or it cannot be opened.
            ValueError: input_shape or output is given, and the file is no .onnx file; or they are no shape and no text.
        """
        from cnnx import importing

        if importing.reads(path):
            return importing.load(cls, path, input_shape=input_shape, output=output, fused=fused)
        if input_shape is not None or output is not None:
            raise ValueError(f'load: input_shape and output are for .onnx files, got {path}')
        return networks.load(cls, path, custom_objects, fused)

    def check_samples(self, x, what):
        """Return x as an array of samples that the first layer takes, in the dtype that it came in."""
        x = as_numbers(x, what)
        self.layers[0].check_shape(x, self.input_shape, what)
        return x

    def needs_loss(self, action):
        """Raise a RuntimeError, which names what was to be done, unless the network is compiled with a loss."""
        if self.loss is None:
            raise RuntimeError(f'{action} needs a loss; call compile(CategoricalCrossEntropy()) first')


def _gives(layers):
    return ', '.join(f'{layer.where} gives {layer.shape}' for layer in layers)


def _after_fork_in_child():
    # Another thread of the parent may have held a network's lock, and is not here to give it back.
    for network in list(_networks):
        network._own_what_is_not_copied()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_after_fork_in_child)
