"""Estimators for scikit-learn: `CNNClassifier` and `CNNRegressor`, for its pipelines, searches and reports.

A network is built where `fit` begins, by a function or by the name of one of `cnnx.models`, and trained by
`Network.train`. Source of the conventions: https://scikit-learn.org/stable/developers/develop.html.
"""

import copy
import math
import warnings
from types import MappingProxyType

import numpy as np

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.model_selection import train_test_split
    from sklearn.utils import check_random_state
    from sklearn.utils.class_weight import compute_sample_weight
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(f'cnnx.sklearn needs scikit-learn 1.6 or newer, pip install "cnnx[sklearn]": {error}') from error

from cnnx import kernels, models
from cnnx._util.arrays import softmax
from cnnx._util.generators import seeded
from cnnx._util.validation import is_number, positive_int, shown, true_or_false
from cnnx._util.windows import shape_of_sample
from cnnx.callbacks import EarlyStopping
from cnnx.data import DataWarning
from cnnx.layers import Convolutional, Dense, Flatten, Input, MaxPooling, ReLU, Softmax
from cnnx.losses import CategoricalCrossEntropy, MeanSquaredError
from cnnx.network import Network
from cnnx.training.callback_list import CallbackList
from cnnx.training.prediction import predict_scores

__all__ = ['CNNClassifier', 'CNNRegressor', 'default_network']

# Functions of cnnx.models that build a network of so many classes.
MODELS = ('accurate', 'lenet5')
# The fraction of the samples that early stopping watches, where validation_fraction is None.
WATCHED = 0.1
# Of the default network: the rows or columns of its last maps, and the filters of a convolution, are at most so many.
LARGEST_MAP, MOST_FILTERS = 7, 128


def default_network(input_shape, outputs, filters=16, units=64):
    """Return the network that estimators build by default, without the classifier's Softmax, for samples of any size.

    Of images: two or more convolutions of 3 x 3 pixels, ReLU and max-pooling after each, as many as bring an image to
    7 x 7 pixels or fewer. Each has twice the filters of the one before it, at most 128. Then, and of rows of features,
    a dense layer, ReLU, and the dense layer of the outputs.

    Args:
        input_shape: of one sample, (H, W, C) or (features,).
        outputs: how many there are.
        filters: of the first convolution.
        units: outputs of the first dense layer.

    Raises:
        ValueError: filters or units is no whole number of at least 1.
    """
    x = h = Input(input_shape)
    if len(input_shape) == 3:
        filters = positive_int(filters, 'filters')
        for stage in range(max(2, math.ceil(math.log2(max(input_shape[:2]) / LARGEST_MAP)))):
            count = max(filters, min(filters * 2**stage, MOST_FILTERS))
            h = ReLU()(Convolutional(count, 3, padding='same')(h))
            h = MaxPooling(2, padding='same')(h)
        h = Flatten()(h)
    h = ReLU()(Dense(output_size=positive_int(units, 'units'))(h))
    return Network(inputs=x, outputs=Dense(output_size=outputs)(h))


class _CNNEstimator(BaseEstimator):
    """What the two estimators share.

    A kind of estimator defines `_read_targets`, `_read_known_targets`, `_default_network` and `_default_loss`, and in
    `_checks_of_y` what `validate_data` is to check.
    """

    _checks_of_y = MappingProxyType({})

    def __init__(
        self,
        build=None,
        *,
        build_params=None,
        image_shape=None,
        epochs=100,
        batch_size=32,
        learning_rate=None,
        optimizer=None,
        augment=None,
        validation_fraction=None,
        early_stopping=False,
        callbacks=None,
        random_state=None,
        n_threads=None,
        verbose=0,
    ):
        self.build = build
        self.build_params = build_params
        self.image_shape = image_shape
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.augment = augment
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.callbacks = callbacks
        self.random_state = random_state
        self.n_threads = n_threads
        self.verbose = verbose

    def fit(self, X, y, sample_weight=None):
        """Build a network and train it.

        Args:
            X: rows (N, features), or images (N, H, W) or (N, H, W, C); an array, a list or a data frame.
            y: the targets.
            sample_weight: how much each sample counts, (N,); 1 by default.

        Returns:
            The estimator itself.

        Raises:
            ValueError: an argument or parameter is wrong.
            DivergenceError: a loss or gradient is NaN or infinite; a smaller learning_rate helps.
        """
        X, y, weights = self._read(X, y, sample_weight, reset=True)
        targets, outputs = self._read_targets(y)
        seed = self._build(X.shape[1:], outputs)
        arrays = [X, targets] if weights is None else [X, targets, weights]
        callbacks, validation, fraction = [], None, self.validation_fraction
        if true_or_false(self.early_stopping, 'early_stopping'):
            callbacks, fraction = [EarlyStopping()], WATCHED if fraction is None else fraction
        if fraction is not None:
            kept, held_out = self._split(targets, fraction, seed)
            validation = tuple(array[held_out] for array in arrays)
            arrays = [array[kept] for array in arrays]
        self.history_ = self._train(*arrays, epochs=self.epochs, callbacks=callbacks, validation_data=validation)
        return self

    def _partial_fit(self, X, y, sample_weight):
        """Train for one epoch more; the first call builds the network."""
        first = not hasattr(self, 'network_')
        X, y, weights = self._read(X, y, sample_weight, reset=first)
        targets, outputs = self._read_known_targets(y)
        if first:
            self._build(X.shape[1:], outputs)
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', '.*have no sample', DataWarning)  # other calls bring other classes
            history = self._train(X, targets, weights, epochs=1)
        if hasattr(self, 'history_'):
            self.history_.append({name: values[-1] for name, values in history.items()})
        else:
            self.history_ = history
        return self

    def _outputs(self, X):
        """Return the network's output for samples, (N, outputs) float64."""
        check_is_fitted(self, 'network_')
        rows, image = _as_rows(X)
        rows = validate_data(self, rows, reset=False)
        X = _as_samples(rows, image, self.network_.input_shape)
        with kernels.use_threads(self.n_threads, 'n_threads'):
            return predict_scores(self.network_, X).astype(np.float64)

    def _read(self, X, y, sample_weight, reset):
        """Return samples of the network's shape, targets, and weights or None."""
        rows, image = _as_rows(X)
        rows, y = validate_data(self, rows, y, reset=reset, **self._checks_of_y)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, rows)
        shape = self._sample_shape(image) if reset else self.network_.input_shape
        return _as_samples(rows, image, shape), y, sample_weight

    def _sample_shape(self, image):
        """Return the shape of one sample: image_shape, or that of the images in X, or (features,)."""
        features = self.n_features_in_
        if self.image_shape is None:
            return image or (features,)
        shape = _with_channels(shape_of_sample(self.image_shape, 'image_shape'), 'image_shape')
        if math.prod(shape) != features:
            raise ValueError(f'image_shape: expected the shape of {features} numbers, got {self.image_shape}')
        return shape

    def _split(self, targets, fraction, seed):
        """Return the places of the samples to train on, and of those to validate with."""
        if not is_number(fraction) or not 0 < fraction < 1:
            raise ValueError(f'validation_fraction: expected a number between 0 and 1, or None, got {shown(fraction)}')
        options = {'test_size': fraction, 'random_state': seed}
        options['stratify'] = targets if isinstance(self, ClassifierMixin) else None
        try:
            return train_test_split(np.arange(len(targets)), **options)
        except ValueError as error:  # such as fewer samples than classes
            raise ValueError(f'validation_fraction: {fraction} of {len(targets)} samples: {error}') from None

    def _build(self, shape, outputs):
        """Build the network for samples of a shape, and compile it; return the seed that random_state gives."""
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        params = {} if self.build_params is None else self.build_params
        if not isinstance(params, dict):
            raise ValueError(f'build_params: expected a dict or None, got {shown(params)}')
        with seeded(seed):
            if self.build is None:
                net = self._default_network(shape, outputs, params)
            elif isinstance(self.build, str):
                net = self._named(self.build)(classes=outputs, **params)
            elif callable(self.build) and not isinstance(self.build, Network):
                net = self.build(shape, outputs, **params)
            else:
                raise ValueError(
                    'build: expected a function of (input_shape, n_classes) that makes a network, '
                    f'one of {", ".join(MODELS)}, or None, got {shown(self.build)}'
                )
        if not isinstance(net, Network):
            raise ValueError(f'build: expected a function that returns a Network, it returned {shown(net)}')
        self._check_shapes(net, shape, outputs)
        if net.loss is None or self.optimizer is not None:
            loss = self._default_loss() if net.loss is None else net.loss
            optimizer = 'adam' if self.optimizer is None else copy.deepcopy(self.optimizer)
            net.compile(loss, optimizer, metrics=net.metrics)
        self.network_ = net
        return seed

    def _named(self, name):
        if name not in MODELS:
            raise ValueError(f'build: expected a function, one of {", ".join(MODELS)}, or None, got {name!r}')
        return getattr(models, name)

    def _check_shapes(self, net, shape, outputs):
        """Raise a ValueError if a network does not take the samples, or does not give so many outputs."""
        given = net.layers[-1].shape if net.layers else None
        if given is None or net.input_shape != shape or given not in self._shapes_of_outputs(outputs):
            between = 'none' if given is None else f'{net.input_shape} and {given}'
            raise ValueError(
                f'build: expected a network with input {shape} and output ({outputs},), got {between}; '
                'image_shape says how rows become images'
            )

    def _shapes_of_outputs(self, outputs):
        return [(outputs,)]

    def _train(self, X, targets, weights=None, *, epochs, callbacks=(), validation_data=None):
        """Train the network and return the history. What training changes is a copy of the parameter."""
        rate, given = copy.deepcopy((self.learning_rate, () if self.callbacks is None else self.callbacks))
        with kernels.use_threads(self.n_threads, 'n_threads'):
            return self.network_.train(
                X,
                targets,
                epochs=epochs,
                learning_rate=rate,
                batch_size=self.batch_size,
                sample_weight=self._weigh_classes(weights, targets),
                augment=self.augment,
                validation_data=validation_data,
                callbacks=[*CallbackList(given), *callbacks],
                verbose=self.verbose,
            )

    def _weigh_classes(self, weights, targets):
        return weights


class CNNClassifier(ClassifierMixin, _CNNEstimator):
    """A network that tells classes, as an estimator of scikit-learn.

    Args:
        build: a function of (input_shape, n_classes, **build_params) that returns a new `Network`, compiled or not; or
            'lenet5' or 'accurate', of `cnnx.models`; None for `default_network`, which fits images of any size and rows
            of features. A `Network` without a seed of its own gets one from random_state.
        build_params: further arguments of that function by name, a dict, such as {'filters': 8}.
        image_shape: (H, W) or (H, W, C), the shape that rows of X are brought to; None leaves them as features.
        epochs, batch_size: as `Network.train` takes them.
        learning_rate: a number or a schedule of `cnnx.schedules`; None for the optimizer's usual one.
        optimizer: an object or a name of `cnnx.optimizers`; None for that which `build` has compiled the network with,
            or Adam where it is not compiled.
        augment: augmentations of `cnnx.augmentation` for images, a list, or None.
        validation_fraction: the fraction of the samples, drawn at random within each class, that are not trained on but
            evaluated after each epoch, between 0 and 1. None for none, or 0.1 where early_stopping is True.
        early_stopping: end when 'val_loss' has not become better for 5 epochs, and take the best epoch's weights. For
            other settings, give `cnnx.callbacks.EarlyStopping` as a callback, and the validation_fraction.
        class_weight: how much samples of each class count in training, a dict by label, others 1; 'balanced' for the
            inverse of the frequency of the class; None for 1.
        callbacks: a list of `cnnx.callbacks`, or None. `fit` uses copies, also of schedules and optimizers.
        random_state: a whole number for the same network at each call of `fit`, a `numpy.random.RandomState`, or None.
        n_threads: how many threads `fit` and `predict` use; None for `cnnx.num_threads()`.
        verbose: as `Network.train` takes it; 0 prints nothing.

    Attributes:
        classes_: the labels, sorted, (n_classes,).
        history_: the `cnnx.History` of the training.
        network_: the trained `Network`; its `class_names` are the labels.
        n_features_in_: how many numbers a sample has.
        feature_names_in_: the names of the features, where X was a data frame.
    """

    def __init__(
        self,
        build=None,
        *,
        build_params=None,
        image_shape=None,
        epochs=100,
        batch_size=32,
        learning_rate=None,
        optimizer=None,
        augment=None,
        validation_fraction=None,
        early_stopping=False,
        class_weight=None,
        callbacks=None,
        random_state=None,
        n_threads=None,
        verbose=0,
    ):
        super().__init__(
            build,
            build_params=build_params,
            image_shape=image_shape,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            optimizer=optimizer,
            augment=augment,
            validation_fraction=validation_fraction,
            early_stopping=early_stopping,
            callbacks=callbacks,
            random_state=random_state,
            n_threads=n_threads,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train for one epoch more on these samples, none of them held out; the first call builds the network.

        Args:
            X, y, sample_weight: as for `fit`.
            classes: all labels that there will be, needed in the first call.

        Returns:
            The estimator itself.

        Raises:
            ValueError: an argument or parameter is wrong.
        """
        if self.class_weight == 'balanced':
            raise ValueError("class_weight: 'balanced' needs all samples at once; give partial_fit a dict")
        if not hasattr(self, 'classes_'):
            if classes is None:
                raise ValueError('partial_fit: give the first call all labels, classes=np.unique(y)')
            self.classes_ = np.unique(classes)
        elif classes is not None and not np.array_equal(self.classes_, np.unique(classes)):
            raise ValueError(f'classes: expected those of the first call, {self.classes_}, got {classes!r}')
        return self._partial_fit(X, y, sample_weight)

    def predict_proba(self, X):
        """Return the probability of each class for samples, (N, n_classes), in the order of `classes_`."""
        outputs = self._outputs(X)
        if outputs.shape[1] == 1:  # of two classes, the second one's
            return np.hstack([1 - outputs, outputs])
        loss = self.network_.loss
        if isinstance(loss, CategoricalCrossEntropy) and loss.from_logits:
            return softmax(outputs)
        return outputs / outputs.sum(axis=1, keepdims=True)  # which may differ from 1 by rounding

    def predict(self, X):
        """Return the most probable class of samples, (N,)."""
        outputs = self._outputs(X)
        places = (outputs[:, 0] > 0.5).astype(int) if outputs.shape[1] == 1 else outputs.argmax(axis=1)
        return self.classes_[places]

    def _read_targets(self, y):
        """Find the classes; return the place of each label among them, (N,), and how many there are."""
        check_classification_targets(y)
        self.classes_, places = np.unique(y, return_inverse=True)
        return places, len(self.classes_)

    def _read_known_targets(self, y):
        check_classification_targets(y)
        if len(unknown := np.setdiff1d(y, self.classes_)):
            raise ValueError(f'y: expected labels of the classes {self.classes_}, got {unknown}')
        return np.searchsorted(self.classes_, y), len(self.classes_)

    def _build(self, shape, outputs):
        if outputs < 2:
            raise ValueError(f'y: expected labels of at least 2 classes, got 1 class, {self.classes_[0]!r}')
        seed = super()._build(shape, outputs)
        self.network_.class_names = [str(label) for label in self.classes_]
        return seed

    def _default_network(self, shape, outputs, params):
        net = default_network(shape, outputs, **params)
        net.add(Softmax())
        return net

    def _default_loss(self):
        return CategoricalCrossEntropy()

    def _shapes_of_outputs(self, outputs):
        return [(outputs,), (1,)] if outputs == 2 else [(outputs,)]

    def _weigh_classes(self, weights, targets):
        if self.class_weight is None:
            return weights
        of_classes = compute_sample_weight(self.class_weight, self.classes_[targets])
        return of_classes if weights is None else weights * of_classes


class CNNRegressor(RegressorMixin, _CNNEstimator):
    """A network that predicts numbers, one or several a sample, as an estimator of scikit-learn.

    It learns best where they have a mean near 0 and a variance near 1; `sklearn.compose.TransformedTargetRegressor`
    brings them there.

    Args:
        build: as of `CNNClassifier`, a function of (input_shape, n_outputs, **build_params); no name.
        build_params, image_shape, epochs, batch_size, learning_rate, optimizer, augment: as of `CNNClassifier`.
        early_stopping, callbacks, random_state, n_threads, verbose: the same.
        validation_fraction: the same, drawn from all.

    Attributes:
        history_: the `cnnx.History` of the training.
        network_: the trained `Network`.
        n_features_in_: how many numbers a sample has.
        feature_names_in_: the names of the features, where X was a data frame.
    """

    _checks_of_y = MappingProxyType({'multi_output': True, 'y_numeric': True})

    def partial_fit(self, X, y, sample_weight=None):
        """Train for one epoch more on these samples, as given to `fit`; the first call builds the network.

        Returns:
            The estimator itself.

        Raises:
            ValueError: an argument or parameter is wrong.
        """
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X):
        """Return predictions for samples, (N,), or (N, outputs) where there are several."""
        outputs = self._outputs(X)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def _read_targets(self, y):
        """Return the targets, (N, outputs), and how many there are."""
        y = y.reshape(len(y), -1)
        return y, y.shape[1]

    _read_known_targets = _read_targets

    def _default_network(self, shape, outputs, params):
        return default_network(shape, outputs, **params)

    def _default_loss(self):
        return MeanSquaredError()

    def _named(self, name):
        raise ValueError(f'build: {name!r} tells classes; for a regressor, give a function')

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _as_rows(X):
    """Return images (N, H, W) or (N, H, W, C) as rows (N, features), with the shape of one; else X itself, and None."""
    X = np.asarray(X) if isinstance(X, (list, tuple)) else X
    if getattr(X, 'ndim', 2) <= 2:
        return X, None
    shape = _with_channels(X.shape[1:], 'X')
    return np.reshape(X, (len(X), math.prod(shape))), shape


def _as_samples(rows, image, shape):
    """Return rows as samples of a shape; if they were images of another one, raise a ValueError."""
    if image not in (None, shape):
        raise ValueError(f'X: expected samples {shape}, or rows of {math.prod(shape)} numbers, got images {image}')
    return rows.reshape(-1, *shape)


def _with_channels(shape, what):
    """Return the shape of an image (H, W) or (H, W, C) as (H, W, C)."""
    if len(shape) not in (2, 3):
        raise ValueError(f'{what}: expected images (H, W) or (H, W, C), got {tuple(shape)}')
    return (*shape, 1) if len(shape) == 2 else tuple(shape)
