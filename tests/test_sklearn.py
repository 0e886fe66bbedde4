"""Estimators for scikit-learn: its own checks, images and labels in each form, searches, processes, files."""

import inspect
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from models import bits

import cnnx
from cnnx import (
    SGD,
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    Dense,
    Flatten,
    MaxPooling,
    Network,
    Sigmoid,
    Softmax,
    models,
)

pytest.importorskip('sklearn', reason='needs scikit-learn: pip install "cnnx[sklearn]"')

import joblib
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_digits
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from cnnx.sklearn import MODELS, CNNClassifier, CNNRegressor, default_network

FAILED_CHECKS = {
    'check_sample_weight_equivalence_on_dense_data': 'a sample of weight 2 is not to the bit the same as two samples: '
    'sums are rounded in another order, and batches are other ones',
}


CHECKS = parametrize_with_checks(
    [CNNClassifier(), CNNRegressor(epochs=20)], expected_failed_checks=lambda estimator: FAILED_CHECKS
)


# The decorator of scikit-learn 1.6 hands on an iterator, which pytest 9 warns of.
@pytest.mark.usefixtures('compiled_kernels')  # NumPy rounds a sample's sums by the size of its batch
@pytest.mark.parametrize(CHECKS.args[0], list(CHECKS.args[1]), **CHECKS.kwargs)
def test_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope='module')
def digits():
    """Images (200, 8, 8) in [0, 1] and their labels."""
    x, y = load_digits(return_X_y=True)
    return x[:200].reshape(-1, 8, 8) / 16, y[:200]


def classifier(**params):
    return CNNClassifier(**{'image_shape': (8, 8), 'epochs': 2, 'random_state': 0, **params})


def small(input_shape, n_classes, filters=2):
    """Build a network without a seed of its own."""
    net = Network([cnnx.Convolutional(filters, 3, input_shape=input_shape), MaxPooling(3), Flatten()])
    net.add(Dense(output_size=n_classes))
    net.add(Softmax())
    return net


# The default network.


@pytest.mark.parametrize(
    ('shape', 'filters', 'last_map'),
    [
        ((1, 1, 1), [16, 32], (1, 1, 32)),
        ((8, 8, 1), [16, 32], (2, 2, 32)),
        ((28, 28, 1), [16, 32], (7, 7, 32)),
        ((20, 100, 3), [16, 32, 64, 128], (2, 7, 128)),
        ((224, 224, 3), [16, 32, 64, 128, 128], (7, 7, 128)),
    ],
)
def test_the_default_network_fits_images_of_any_size(shape, filters, last_map):
    net = default_network(shape, 3)
    convolutions = [layer for layer in net.layers if isinstance(layer, cnnx.Convolutional)]
    assert [layer.shape[-1] for layer in convolutions] == filters
    assert [layer.shape for layer in net.layers if isinstance(layer, MaxPooling)][-1] == last_map
    assert net.predict(np.zeros((1, *shape))).shape == (1, 3)


def test_the_default_network_of_features_is_dense():
    assert [layer.shape for layer in default_network((5,), 2, units=7).layers] == [(7,), (7,), (2,)]
    for params in ({'units': 0}, {'filters': 1.5}):
        with pytest.raises(ValueError, match='expected a whole number of at least 1'):
            default_network((4, 4, 1), 2, **params)


def test_it_learns_digits(digits):
    x, y = digits
    fitted = classifier(epochs=30).fit(x[:150], y[:150])
    assert fitted.score(x[150:], y[150:]) > 0.85
    assert fitted.history_['accuracy'][-1] > 0.95
    assert len(fitted.history_['loss']) == 30


# Samples and targets in each form.


def test_rows_and_images_are_the_same_samples(digits):
    x, y = digits
    rows = x.reshape(len(x), 64)
    fitted = classifier().fit(rows, y)
    expected = fitted.predict_proba(rows)
    assert fitted.n_features_in_ == 64
    assert fitted.network_.input_shape == (8, 8, 1)
    for images in (x, x[..., np.newaxis], x.tolist()):
        other = classifier(image_shape=None).fit(images, y)
        assert bits(other.network_) == bits(fitted.network_)
        assert other.n_features_in_ == 64
        for samples in (rows, x, x[..., np.newaxis]):
            np.testing.assert_array_equal(other.predict_proba(samples), expected)


def test_rows_without_an_image_shape_are_features(digits):
    x, y = digits
    fitted = classifier(image_shape=None, epochs=1).fit(x.reshape(len(x), 64), y)
    assert not any(isinstance(layer, cnnx.Convolutional) for layer in fitted.network_.layers)
    with pytest.raises(ValueError, match=r'X: expected samples \(64,\), or rows of 64 numbers, got images \(8, 8, 1\)'):
        fitted.predict(x)


def test_colour_images(digits):
    x = np.repeat(digits[0][..., np.newaxis], 3, axis=-1)
    fitted = classifier(image_shape=(8, 8, 3)).fit(x.reshape(len(x), -1), digits[1])
    assert fitted.network_.input_shape == (8, 8, 3)
    assert fitted.n_features_in_ == 192


@pytest.mark.parametrize(
    ('samples', 'params', 'message'),
    [
        (np.ones((6, 8, 8)), {'image_shape': (4, 16)}, r'X: expected samples \(4, 16, 1\), .* got images \(8, 8, 1\)'),
        (np.ones((6, 60)), {}, r'image_shape: expected the shape of 60 numbers, got \(8, 8\)'),
        (np.ones((6, 64)), {'image_shape': 64}, r'image_shape: expected images \(H, W\) or \(H, W, C\), got \(64,\)'),
        (np.ones((6, 64)), {'image_shape': 'big'}, "image_shape: expected a shape such as .*, got 'big'"),
        (np.ones((6, 2, 2, 2, 2)), {}, r'X: expected images \(H, W\) or \(H, W, C\), got \(2, 2, 2, 2\)'),
        (np.ones((0, 8, 8)), {}, '0 sample'),
        (np.full((6, 8, 8), np.nan), {}, 'NaN'),
        ([[1.0, 2.0], [3.0]], {}, 'inhomogeneous'),
        (np.full((6, 64), 'a'), {}, 'strings'),
    ],
)
def test_samples_that_do_not_fit_are_refused(samples, params, message):
    with pytest.raises(ValueError, match=message):
        classifier(**params).fit(samples, np.arange(len(samples)) % 2)


def test_labels_may_be_strings(digits, tmp_path):
    x, y = digits
    names = np.array(['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'])
    fitted = classifier(epochs=10).fit(x, names[y])
    assert fitted.classes_.tolist() == sorted(names)
    assert fitted.score(x, names[y]) > 0.7
    fitted.network_.save(tmp_path / 'digits.npz')
    loaded = Network.load(tmp_path / 'digits.npz')
    assert loaded.class_names == tuple(sorted(names))
    assert (fitted.classes_[loaded.predict_classes(x[..., np.newaxis])] == fitted.predict(x)).all()


def test_a_single_class_is_refused(digits):
    with pytest.raises(ValueError, match='y: expected labels of at least 2 classes, got 1 class'):
        classifier().fit(digits[0], np.ones(200))


def test_samples_of_weight_0_do_not_count(digits):
    x, y = digits
    wrong = np.where(np.arange(200) < 100, y, 9 - y)
    weights = (np.arange(200) < 100).astype(float)
    fitted = classifier(epochs=30).fit(x, wrong, sample_weight=weights)
    assert fitted.score(x[:100], y[:100]) > 0.95
    with pytest.raises(ValueError, match='sample_weight'):
        classifier().fit(x, y, sample_weight=-weights)


def test_class_weights_move_the_decision():
    rng = np.random.default_rng(0)
    y = (np.arange(300) < 30).astype(int)
    x = rng.normal(size=(300, 2)) + y[:, np.newaxis]
    labels = np.array(['often', 'rare'])[y]
    found = {}
    for name, weights in {'none': None, 'balanced': 'balanced', 'dict': {'often': 1, 'rare': 100}}.items():
        fitted = CNNClassifier(class_weight=weights, epochs=20, random_state=0).fit(x, labels)
        found[name] = (fitted.predict(x) == 'rare').mean()
    assert found['none'] < 0.1 < found['balanced'] < found['dict']
    with pytest.raises(ValueError, match='class_weight'):
        CNNClassifier(class_weight={'seldom': 2}).fit(x, labels)


# Networks of one's own.


def test_a_function_builds_the_network(digits):
    x, y = digits
    fitted = classifier(build=small, build_params={'filters': 5}).fit(x, y)
    assert fitted.network_.layers[0].shape == (6, 6, 5)
    assert isinstance(fitted.network_.optimizer, cnnx.Adam)


@pytest.mark.parametrize('name', MODELS)
def test_a_name_of_models_builds_the_network(name):
    x, y = np.random.default_rng(0).random((12, 784), np.float32), np.arange(12) % 3
    fitted = classifier(build=name, build_params={'momentum': 0.5}, image_shape=(28, 28), epochs=1).fit(x, y)
    assert fitted.network_.layers[-1].shape == (3,)
    assert fitted.network_.optimizer.momentum == 0.5
    assert isinstance(clone(fitted).set_params(optimizer='adam').fit(x, y).network_.optimizer, cnnx.Adam)


def test_the_names_are_all_functions_of_models_that_take_classes():
    takes_classes = {
        name
        for name, function in vars(models).items()
        if inspect.isfunction(function) and 'classes' in inspect.signature(function).parameters
    }
    assert takes_classes == set(MODELS)


@pytest.mark.parametrize(
    ('params', 'message'),
    [
        ({'build': 'vgg'}, "build: expected a function, one of accurate, lenet5, or None, got 'vgg'"),
        ({'build': 'lenet5'}, r'build: .* with input \(8, 8, 1\) and output \(10,\), got \(28, 28, 1\) and \(10,\)'),
        ({'build': lambda shape, n_classes: small(shape, 3)}, r'output \(10,\), got \(8, 8, 1\) and \(3,\)'),
        ({'build': lambda shape, n_classes: Network()}, 'got none'),
        ({'build': lambda shape, n_classes: None}, 'expected a function that returns a Network, it returned None'),
        ({'build': small((8, 8, 1), 10)}, 'build: expected a function of .*, got <Network'),
        ({'build_params': [8]}, r'build_params: expected a dict or None, got \[8\]'),
        ({'epochs': 0}, 'epochs: expected a whole number of at least 1, got 0'),
        ({'batch_size': 'big'}, 'batch_size: expected a whole number'),
        ({'optimizer': 'best'}, "optimizer: expected one of .*, got 'best'"),
        ({'callbacks': cnnx.callbacks.EarlyStopping()}, 'callbacks: expected a list'),
        ({'early_stopping': 5}, 'early_stopping: expected True or False, got 5'),
        ({'validation_fraction': 1}, 'validation_fraction: expected a number between 0 and 1, or None, got 1'),
        ({'learning_rate': 'fast'}, "learning_rate: expected .*, got 'fast'"),
        ({'validation_fraction': 0.01}, 'validation_fraction: 0.01 of 200 samples: .* number of classes = 10'),
        ({'n_threads': 0}, 'n_threads: expected a whole number of at least 1, got 0'),
        ({'verbose': 3}, 'verbose: expected 0, 1 or 2'),
        ({'random_state': 'x'}, "'x' cannot be used to seed"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(digits, params, message):
    with pytest.raises(ValueError, match=message):
        classifier(**params).fit(*digits)


def test_two_classes_by_one_output_or_by_logits(digits):
    x, y = digits
    even = np.where(y % 2, 'odd', 'even')

    def build(shape, n_classes, outputs, loss):
        layers = [Flatten(input_shape=shape), Dense(output_size=outputs)]
        net = Network(layers if loss.from_logits else [*layers, Sigmoid()])
        net.compile(loss)
        return net

    cases = (1, BinaryCrossEntropy()), (1, BinaryCrossEntropy(from_logits=True)), (2, CategoricalCrossEntropy(True))
    for outputs, loss in cases:
        params = {'outputs': outputs, 'loss': loss}
        fitted = classifier(build=build, build_params=params, optimizer='adam', epochs=40).fit(x, even)
        probabilities = fitted.predict_proba(x)
        assert probabilities.shape == (200, 2)
        assert ((probabilities >= 0) & (probabilities <= 1)).all()
        np.testing.assert_allclose(probabilities.sum(axis=1), 1)
        assert (fitted.predict(x) == fitted.classes_[probabilities.argmax(axis=1)]).all()
        assert fitted.score(x, even) > 0.75


# Training.


@pytest.mark.parametrize('build', [None, small])
def test_random_state_alone_decides_the_network(digits, build):
    x, y = digits
    networks = [
        bits(classifier(build=build, random_state=seed, n_threads=threads).fit(x, y).network_)
        for seed, threads in ((3, 1), (3, 2), (np.random.RandomState(3), None), (4, None))
    ]
    assert networks[0] == networks[1] == networks[2] != networks[3]
    assert bits(classifier(build=build, random_state=None).fit(x, y).network_) != networks[0]


def test_seeds_of_networks_elsewhere_stay_their_own(digits):
    classifier().fit(*digits)
    assert bits(small((8, 8, 1), 2)) != bits(small((8, 8, 1), 2))


def test_it_prints_only_where_it_is_verbose(digits, capsys):
    classifier(epochs=1, early_stopping=True).fit(*digits).predict(digits[0])
    captured = capsys.readouterr()
    assert captured.out == captured.err == ''
    classifier(epochs=1, verbose=2).fit(*digits)
    assert 'loss' in capsys.readouterr().out


def test_the_number_of_threads_is_that_of_the_call_alone(digits):
    before, seen = cnnx.num_threads(), []

    def note(*arguments):
        seen.append(cnnx.num_threads())

    def fail(*arguments):
        raise KeyError('stop')

    classifier(n_threads=3, callbacks=[cnnx.callbacks.LambdaCallback(on_epoch_end=note)]).fit(*digits)
    assert seen == [3, 3]
    assert cnnx.num_threads() == before
    with pytest.raises(KeyError):
        classifier(n_threads=3, callbacks=[cnnx.callbacks.LambdaCallback(on_epoch_end=fail)]).fit(*digits)
    assert cnnx.num_threads() == before


def test_estimators_in_threads_have_each_their_own_number(digits):
    seen, both = {}, threading.Barrier(2)

    def fit(number):
        def note(epoch, metrics):
            both.wait()
            seen.setdefault(number, set()).add(cnnx.num_threads())

        classifier(n_threads=number, callbacks=[cnnx.callbacks.LambdaCallback(on_epoch_end=note)]).fit(*digits)

    threads = [threading.Thread(target=fit, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {1: {1}, 2: {2}}


def test_early_stopping_holds_samples_out(digits):
    x, y = digits
    fitted = classifier(early_stopping=True, epochs=500, learning_rate=0.01).fit(x, y)
    losses = fitted.history_['val_loss']
    assert len(losses) < 500
    assert int(np.argmin(losses)) == len(losses) - 6  # five worse ones after the best
    assert 'val_loss' not in classifier().fit(x, y).history_
    stopped = cnnx.callbacks.EarlyStopping('val_accuracy', patience=1)
    fitted = classifier(validation_fraction=0.3, callbacks=[stopped], epochs=500).fit(x, y, sample_weight=np.ones(200))
    assert len(fitted.history_['val_accuracy']) < 500
    assert stopped.best is None  # a copy ran


def test_parameters_stay_as_they_are(digits):
    schedule = cnnx.schedules.ReduceOnPlateau(0.01, monitor='loss', patience=1)
    params = {'learning_rate': schedule, 'optimizer': SGD(momentum=0.9), 'callbacks': [cnnx.callbacks.Callback()]}
    before = pickle.dumps(params)
    classifier(**params).fit(*digits)
    assert pickle.dumps(params) == before


def test_images_are_augmented(digits):
    x, y = digits
    augment = [cnnx.augmentation.Shift(1)]
    plain, augmented = (classifier(augment=a).fit(x, y) for a in (None, augment))
    assert bits(plain.network_) != bits(augmented.network_)
    with pytest.raises(ValueError, match='augment: expected a network of images'):
        classifier(image_shape=None, augment=augment).fit(x.reshape(len(x), -1), y)


def test_partial_fit_goes_on(digits):
    x, y = digits
    model = classifier()
    with pytest.raises(ValueError, match=r'partial_fit: give the first call all labels, classes=np.unique\(y\)'):
        model.partial_fit(x, y)
    for _ in range(20):
        for part in (slice(100), slice(100, None)):
            model.partial_fit(x[part], y[part], classes=np.arange(10))
    assert model.score(x, y) > 0.9
    assert len(model.history_['loss']) == 40
    model.partial_fit(x[y == 3], y[y == 3])  # some of the classes are enough, and there is no warning
    with pytest.raises(ValueError, match=r'y: expected labels of the classes .*, got \[12\]'):
        model.partial_fit(x[:2], [3, 12])
    with pytest.raises(ValueError, match='classes: expected those of the first call'):
        model.partial_fit(x, y, classes=[0, 1])
    with pytest.raises(ValueError, match="'balanced' needs all samples at once"):
        classifier(class_weight='balanced').partial_fit(x, y, classes=np.arange(10))


def test_partial_fit_goes_on_after_an_error(digits):
    model = CNNRegressor(random_state=0, learning_rate='fast')
    x = digits[0].reshape(200, 64)
    with pytest.raises(ValueError, match='learning_rate'):
        model.partial_fit(x, x[:, 10])
    model.set_params(learning_rate=0.01).partial_fit(x, x[:, 10]).partial_fit(x, x[:, 10])
    assert len(model.history_['loss']) == 2


def test_partial_fit_goes_on_from_fit(digits):
    model = classifier(epochs=3).fit(*digits)
    before = bits(model.network_)
    model.partial_fit(*digits)
    assert len(model.history_['loss']) == 4
    assert bits(model.network_) != before


# Numbers.


def test_a_regressor_of_images_predicts_several_numbers(digits):
    x, _ = digits
    ink = x.mean(axis=(1, 2))
    y = np.stack([ink, -ink], axis=1)
    y = (y - y.mean(axis=0)) / y.std(axis=0)
    model = CNNRegressor(epochs=30, random_state=0).fit(x, y)
    assert model.predict(x).shape == (200, 2)
    assert model.score(x, y) > 0.8
    assert model.network_.input_shape == (8, 8, 1)
    one = CNNRegressor(epochs=2, random_state=0).fit(x, y[:, 0])
    assert one.predict(x).shape == (200,)
    with pytest.raises(ValueError, match="build: 'lenet5' tells classes; for a regressor, give a function"):
        CNNRegressor('lenet5').fit(x, y)


def test_a_regressor_continues_and_scales_targets(digits):
    x, _ = digits
    ink = 1000 * x.mean(axis=(1, 2)) + 5000
    model = CNNRegressor(image_shape=(8, 8), epochs=30, random_state=0)
    scaled = TransformedTargetRegressor(model, transformer=StandardScaler())
    rows = x.reshape(len(x), 64)
    assert scaled.fit(rows, ink).score(rows, ink) > 0.8
    model = CNNRegressor(random_state=0)
    for _ in range(3):
        model.partial_fit(x, ink / 5000)
    assert len(model.history_['loss']) == 3


# Tools of scikit-learn, files and processes.


@pytest.mark.slow
def test_searches_in_two_processes_which_share_the_processors(digits, monkeypatch):
    for variable in ('CNNX_NUM_THREADS', 'OMP_NUM_THREADS'):
        monkeypatch.delenv(variable, raising=False)
    x, y = digits
    grid = {'optimizer': ['adam', SGD(momentum=0.9)], 'build_params': [{'filters': 2}, {'filters': 4}]}
    search = GridSearchCV(classifier(build=small, epochs=4), grid, cv=2, n_jobs=2).fit(x.reshape(len(x), 64), y)
    again = GridSearchCV(classifier(build=small, epochs=4), grid, cv=2).fit(x.reshape(len(x), 64), y)
    assert search.best_params_ == again.best_params_
    np.testing.assert_array_equal(search.cv_results_['mean_test_score'], again.cv_results_['mean_test_score'])
    assert len(search.cv_results_['params']) == 4
    assert bits(search.best_estimator_.network_) == bits(again.best_estimator_.network_)
    threads = joblib.Parallel(n_jobs=2)(joblib.delayed(cnnx.num_threads)() for _ in range(4))
    assert threads == 4 * [max(1, joblib.cpu_count() // 2)]


def test_pipelines_calibration_and_importance(digits):
    x, y = digits
    x = x.reshape(len(x), 64)
    pipeline = make_pipeline(StandardScaler(), classifier(epochs=10))
    assert cross_val_score(pipeline, x, y, cv=2).mean() > 0.5
    calibrated = CalibratedClassifierCV(pipeline, cv=2).fit(x, y)
    np.testing.assert_allclose(calibrated.predict_proba(x).sum(axis=1), 1)
    assert calibrated.score(x, y) > 0.7
    importance = permutation_importance(pipeline.fit(x, y), x, y, n_repeats=1, random_state=0).importances_mean
    assert importance[0] == 0  # a pixel that is 0 everywhere
    assert importance.max() > 0


@pytest.mark.parametrize('way', ['pickle', 'joblib', 'mapped'])
def test_files_hold_estimators_with_their_networks(digits, tmp_path, way):
    x, y = digits
    fitted = classifier(build=small).fit(x, y)
    joblib.dump(fitted, tmp_path / 'model.joblib')
    if way == 'pickle':
        loaded = pickle.loads(pickle.dumps(fitted))
    else:
        loaded = joblib.load(tmp_path / 'model.joblib', mmap_mode='r' if way == 'mapped' else None)
    np.testing.assert_array_equal(loaded.predict_proba(x), fitted.predict_proba(x))
    assert dict(loaded.history_) == dict(fitted.history_)
    assert bits(loaded.partial_fit(x, y).network_) == bits(fitted.partial_fit(x, y).network_)


def test_a_clone_is_not_fitted(digits):
    fitted = classifier(optimizer=SGD(momentum=0.9)).fit(*digits)
    copy = clone(fitted)
    assert not hasattr(copy, 'network_')
    assert copy.optimizer is not fitted.optimizer
    assert bits(copy.fit(*digits).network_) == bits(fitted.network_)
    assert repr(clone(classifier())) == 'CNNClassifier(epochs=2, image_shape=(8, 8), random_state=0)'


def test_without_scikit_learn_the_error_names_the_extra():
    code = "import sys; sys.modules['sklearn'] = None; import cnnx.sklearn"
    ran = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    last = ran.stderr.splitlines()[-1]
    assert last.startswith('ImportError: cnnx.sklearn needs scikit-learn 1.6 or newer, pip install "cnnx[sklearn]": ')


def test_a_search_runs_on_a_dask_cluster(digits):
    distributed = pytest.importorskip('distributed', reason='needs dask: pip install "dask[distributed]"')
    x, y = digits
    grid = {'build_params': [{'filters': 2}, {'filters': 4}]}

    def search():
        return GridSearchCV(classifier(build=small, n_threads=1), grid, cv=2).fit(x, y).cv_results_['mean_test_score']

    options = {'n_workers': 2, 'threads_per_worker': 1, 'processes': False, 'dashboard_address': None}
    with (
        distributed.LocalCluster(**options) as cluster,
        distributed.Client(cluster) as client,
        distributed.get_task_stream(client) as tasks,
        joblib.parallel_config(backend='dask'),
    ):
        of_workers = search()
    assert {task['status'] for task in tasks.data} == {'OK'}
    np.testing.assert_array_equal(of_workers, search())
