"""Categorical cross-entropy of classes a sample and classes a position, and checks of labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loss_cases import gradient, numeric_gradient, value
from models import small_data, small_network

import cnnx
from cnnx import CategoricalCrossEntropy, MeanSquaredError, Softmax
from cnnx.losses import class_labels

NAN, INF = np.nan, np.inf


@given(n=st.integers(1, 5), classes=st.integers(2, 6), seed=st.integers(0, 2**32 - 1), from_logits=st.booleans())
def test_gradient_of_cross_entropy(n, classes, seed, from_logits):
    rng = np.random.default_rng(seed)
    loss = CategoricalCrossEntropy(from_logits)
    predictions = rng.normal(size=(n, classes)) if from_logits else rng.uniform(0.05, 1, (n, classes))
    labels = rng.integers(0, classes, n)
    np.testing.assert_allclose(
        gradient(loss, predictions, labels), numeric_gradient(loss, predictions, labels), rtol=1e-3, atol=1e-5
    )


def test_cross_entropy_is_minus_the_log_of_the_true_class_in_nats():
    probabilities = np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])
    assert value(CategoricalCrossEntropy(), probabilities, [0, 2]) == pytest.approx(-(np.log(0.5) + np.log(0.8)) / 2)


def test_from_logits_is_softmax_and_cross_entropy_in_one():
    logits = np.random.default_rng(0).normal(size=(4, 3))
    labels = [0, 1, 2, 1]
    softmax, apart, fused = Softmax(), CategoricalCrossEntropy(), CategoricalCrossEntropy(from_logits=True)
    probabilities = softmax.forward(logits)
    assert value(fused, logits, labels) == value(apart, probabilities, labels)
    assert value(fused, logits, labels) == pytest.approx(value(apart, probabilities.copy(), labels))
    dlogits = gradient(fused, logits, labels)
    np.testing.assert_array_equal(softmax.backward(gradient(apart, probabilities, labels)), dlogits)
    np.testing.assert_allclose(softmax.backward(gradient(apart, probabilities.copy(), labels)), dlogits, atol=1e-12)


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_softmax_and_cross_entropy_are_exact_where_probabilities_round_to_0(dtype):
    softmax, loss = Softmax(), CategoricalCrossEntropy()
    probabilities = softmax.forward(np.array([[1e4, 0.0], [0.0, 0.0]], dtype))
    found, dy = loss.value_and_gradient(probabilities, [1, 0])
    assert found == pytest.approx((1e4 + np.log(2)) / 2)
    assert np.isfinite(dy).all()
    assert softmax.backward(dy).tolist() == [[0.5, -0.5], [-0.25, 0.25]]


def test_numbers_that_were_changed_since_are_taken_as_they_are():
    softmax, loss = Softmax(), CategoricalCrossEntropy()
    probabilities = softmax.forward(np.array([[0.0, 0.0]]))
    probabilities[...] = [0.25, 0.75]
    found, dy = loss.value_and_gradient(probabilities, [0])
    assert found == pytest.approx(np.log(4))
    plain = softmax.backward(np.array([[-4.0, 0.0]]))
    np.testing.assert_allclose(softmax.backward(dy), plain)
    dy *= 10  # a loss that is scaled
    np.testing.assert_allclose(softmax.backward(dy), 10 * plain)


@pytest.mark.parametrize('loss', [CategoricalCrossEntropy(from_logits=True), MeanSquaredError()])
def test_samples_count_by_their_weights(loss):
    y, targets, weights = np.array([[1.0, 2], [0, 3], [5, 1]]), np.array([0, 1, 1]), np.array([1.0, 0, 3])
    found, dy = loss.value_and_gradient(y, targets, weights)
    apart = [loss.value_and_gradient(y[i : i + 1], targets[i : i + 1]) for i in range(3)]
    assert found == pytest.approx(sum(w * one for w, (one, _) in zip(weights, apart, strict=True)) / 3)
    np.testing.assert_allclose(dy, np.concatenate([w * row for w, (_, row) in zip(weights, apart, strict=True)]) / 3)


@pytest.mark.parametrize('classes', [3, 300_000])
def test_wrong_targets_are_named_wherever_they_stand(classes):
    labels = np.arange(600_000) % 3
    assert (class_labels(labels, classes) == labels).all()
    labels[500_000] = classes
    with pytest.raises(ValueError, match=f'{classes} at position 500000 is not a class'):
        class_labels(labels, classes)


def test_wrong_rows_are_named_wherever_they_stand():
    rows = np.eye(3, dtype=np.uint8)[np.arange(300_000) % 3]
    assert (class_labels(rows, 3) == np.arange(300_000) % 3).all()
    rows[250_000] = 1
    with pytest.raises(ValueError, match=r'row 250000 is not one-hot: .*, got \[1 1 1\]'):
        class_labels(rows, 3)
    assert not MeanSquaredError().measures_accuracy(2 * rows)
    rows[250_000, 0] = 2
    assert not MeanSquaredError().measures_accuracy(rows)


def test_what_is_no_probability_is_refused():
    with pytest.raises(ValueError, match='use from_logits=True'):
        value(CategoricalCrossEntropy(), np.array([[-5.0, 6.0]]), [0])


@pytest.mark.parametrize('predictions', [np.zeros(3), np.zeros((2, 1)), np.zeros((2, 3, 1)), 'text', [[1], [2, 3]]])
def test_predictions_that_are_no_rows_of_classes(predictions):
    with pytest.raises(ValueError, match='predictions'):
        value(CategoricalCrossEntropy(), predictions, [0, 1])


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_logits_far_apart_have_a_finite_loss(dtype):
    loss = CategoricalCrossEntropy(from_logits=True)
    assert value(loss, np.array([[1e4, 0]], dtype), [1]) == pytest.approx(1e4)
    assert gradient(loss, np.array([[1e4, 0]], dtype), [1]).tolist() == [[1, -1]]


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('logit', [INF, NAN])
def test_an_infinite_or_nan_logit_gives_nan(logit):
    assert np.isnan(value(CategoricalCrossEntropy(from_logits=True), np.array([[logit, 0, 0]]), [1]))
    assert np.isnan(Softmax().forward(np.array([[logit, 0, 0]]))).all()


FAR = np.array([0, 1, -1e4, 1e4, 1e38, 3e38, -3e38, np.inf, -np.inf, np.nan], np.float32)


def of_far_logits(smoothing, dtype, fused):
    """Return what losses, layers and networks make of rows of three such numbers; warnings are errors here."""
    x = np.stack(np.meshgrid(FAR, FAR, FAR), axis=-1).reshape(-1, 3).astype(dtype)
    labels = np.arange(len(x)) % 3
    loss, softmax = CategoricalCrossEntropy(True, smoothing), Softmax()
    found = [softmax.forward(x)]
    softmax.backward(x)
    for row, label in zip(x, labels, strict=True):
        value, gradient = loss.value_and_gradient(row[None], [label], [3.0])
        found += [np.array([[value]]), gradient]
    for last, loss_of_last in ((softmax, CategoricalCrossEntropy(label_smoothing=smoothing)), (cnnx.ReLU(), loss)):
        net = cnnx.Network(seed=0, dtype=dtype, fused=fused)
        for layer in (cnnx.Dense(3, 3), last):
            net.add(layer)
        net.compile(loss_of_last)
        net.layers[0].weights = np.eye(3)
        net.evaluate(x, labels)
        found.append(net.predict(x[np.abs(x).max(axis=1) < 1e38]))
    return np.concatenate([np.broadcast_to(part, (len(part), 3)) for part in found])


@pytest.mark.parametrize(
    ('smoothing', 'dtype', 'fused'),
    [(0.0, 'float32', True), (0.0, 'float64', False), (0.1, 'float32', False), (0.1, 'float64', True)],
)
def test_logits_of_any_size_bring_no_warning_and_the_same_on_both_backends(smoothing, dtype, fused, compiled_kernels):
    expected = of_far_logits(smoothing, dtype, fused)
    with cnnx.use_backend('numpy'):
        found = of_far_logits(smoothing, dtype, fused)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_squares_that_overflow_bring_no_warning():
    assert MeanSquaredError().value_and_gradient(np.float32([[1e38]]), [[-1e38]])[0] == np.inf


@pytest.mark.usefixtures('each_backend')
def test_a_probability_of_zero_has_a_finite_loss_and_gradient():
    loss = CategoricalCrossEntropy()
    assert value(loss, np.array([[0.0, 1.0]]), [0]) == pytest.approx(-np.log(1e-7))
    assert np.isfinite(gradient(loss, np.array([[0.0, 1.0]]), [0])).all()


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('loss', [CategoricalCrossEntropy(from_logits=True), MeanSquaredError()])
def test_the_loss_of_no_sample_is_refused(loss):
    with pytest.raises(ValueError, match='N at least 1'):
        value(loss, np.empty((0, 3)), np.empty(0, int))


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('label', [-1, 3, 255, 1.5, NAN, INF])
def test_a_label_that_is_no_class_is_refused(label):
    with pytest.raises(ValueError, match=r'at position 1 is not a class: expected whole numbers from 0 to 2'):
        value(CategoricalCrossEntropy(from_logits=True), np.zeros((2, 3)), np.array([0, label]))


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('dtype', ['uint8', 'int8', 'int32', 'int64', 'uint64', '>i4', 'float32', 'float64'])
def test_labels_of_every_dtype(dtype):
    loss = CategoricalCrossEntropy(from_logits=True)
    logits = np.array([[0, 1, 2], [3, 2, 2.0]])
    expected = value(loss, logits, np.array([[0, 0, 1], [0, 1, 0]]))
    assert value(loss, logits, np.array([2, 1], dtype)) == expected
    assert value(loss, logits, np.array([[2], [1]], dtype)) == expected
    assert value(loss, logits, np.eye(3, dtype=dtype)[[2, 1]]) == expected


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('row', [[0, 0, 0], [1, 1, 0], [0.5, 0.5, 0], [0, 2, 0], [NAN, 1, 0], [-1, 1, 1]])
def test_a_target_row_that_is_not_one_hot_is_refused(row):
    with pytest.raises(ValueError, match='row 1 is not one-hot'):
        value(CategoricalCrossEntropy(from_logits=True), np.zeros((2, 3)), [[0, 1, 0], row])


@pytest.mark.usefixtures('each_backend')
def test_the_wrong_number_or_shape_of_labels():
    loss = CategoricalCrossEntropy(from_logits=True)
    with pytest.raises(ValueError, match='expected 2, one a prediction, got 3'):
        value(loss, np.zeros((2, 3)), [0, 1, 2])
    with pytest.raises(ValueError, match=r'one-hot rows \(N, 3\), got an array of shape \(2, 4\)'):
        value(loss, np.zeros((2, 3)), np.zeros((2, 4)))


@pytest.mark.parametrize('fused', [True, False])
def test_a_gradient_that_was_scaled_or_masked_is_exact_where_probabilities_are_small(fused):
    rng = np.random.default_rng(0)
    x, labels = 20 * rng.normal(size=(32, 4)), rng.integers(0, 3, 32)
    mask = rng.integers(0, 2, (32, 1))
    net = cnnx.Network(seed=0, dtype='float64', fused=fused)
    net.add(cnnx.Dense(4, 3))
    net.add(cnnx.Softmax())
    net.compile(CategoricalCrossEntropy())
    probabilities = net.forward(x, training=True)
    assert (probabilities < 1e-7).any()
    _, dy = net.loss.value_and_gradient(probabilities, labels)
    net.backward(dy * mask * 0.5)
    dlogits = (probabilities - np.eye(3)[labels]) * mask * 0.5 / 32
    np.testing.assert_allclose(net.layers[0].parameters[0].grad, x.T @ dlogits, rtol=1e-9, atol=1e-12)


def test_from_logits_counts_as_it_is_set():
    net, (x, y) = small_network(), small_data(8)
    net.evaluate(x, y)
    net.loss.from_logits = True
    expected = net.loss.value_and_gradient(net.predict(x), y)[0]
    assert net.evaluate(x, y)['loss'] == pytest.approx(expected, rel=1e-6)


# One class a position


def segmentation(seed=0, from_logits=False, ignore_label=None, **settings):
    layers = cnnx.Convolutional(5, 3, padding='same', input_shape=(6, 5, 2)), cnnx.ReLU(), cnnx.Convolutional(3, 3)
    net = cnnx.Network([*layers, *([] if from_logits else [Softmax()])], seed=seed, **settings)
    net.compile(CategoricalCrossEntropy(from_logits, ignore_label=ignore_label), cnnx.SGD(momentum=0.9))
    return net


def maps_data(n=20, ignored=None, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (n, 4, 3))
    if ignored is not None:
        labels[rng.random(labels.shape) < 0.4] = ignored
    return rng.normal(size=(n, 6, 5, 2)), labels


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('from_logits', [False, True])
def test_positions_are_rows(from_logits):
    rng = np.random.default_rng(0)
    loss, labels, weights = (
        CategoricalCrossEntropy(from_logits, 0.1),
        rng.integers(0, 3, (2, 4, 5)),
        rng.random((2, 4, 5)),
    )
    y = rng.normal(size=(2, 4, 5, 3)) if from_logits else rng.dirichlet(np.ones(3), (2, 4, 5))
    rows = y.reshape(-1, 3), labels.reshape(-1), weights.reshape(-1)
    found, dy = loss.value_and_gradient(y, labels, weights)
    expected, dy_of_rows = loss.value_and_gradient(*rows)
    assert found == expected
    np.testing.assert_array_equal(dy, dy_of_rows.reshape(y.shape))
    assert value(loss, y, np.eye(3)[labels]) == value(loss, y, labels) == value(loss, y, labels[..., np.newaxis])
    assert value(loss, y.reshape(2, 20, 3), labels.reshape(2, 20)) == value(loss, y, labels)


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('ignored', [255, -1, 0])
def test_ignored_positions_count_in_nothing(ignored):
    rng = np.random.default_rng(0)
    loss, softmax = CategoricalCrossEntropy(ignore_label=ignored), Softmax()
    labels, x = rng.integers(1, 3, (2, 4, 5)), rng.normal(size=(2, 4, 5, 3))
    kept = rng.random(labels.shape) < 0.5
    found, dy = loss.value_and_gradient(softmax.forward(x), np.where(kept, labels, ignored))
    expected, dlogits = CategoricalCrossEntropy(from_logits=True).value_and_gradient(x[kept], labels[kept])
    assert found == pytest.approx(expected, rel=1e-12)
    assert (dy[~kept] == 0).all()
    np.testing.assert_allclose(softmax.backward(dy)[kept], dlogits, rtol=1e-12)
    y = softmax.forward(x)
    prepared = loss.prepare(np.where(kept, labels, ignored), y.shape[1:], y.dtype)
    assert loss.count_targets(prepared) == kept.sum()
    assert loss.count_correct(y, prepared) == (x.argmax(axis=-1) == labels)[kept].sum()


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('fused', [False, True])
def test_a_batch_of_ignored_positions_alone_changes_nothing(fused):
    net, (x, labels) = segmentation(ignore_label=9, fused=fused), maps_data()
    whole = net.train_on_batch(x, labels)
    before = {name: parameter.value.copy() for name, parameter in net.parameters.items()}
    net.compile(net.loss, cnnx.SGD())
    nothing = net.train_on_batch(x, np.full_like(labels, 9))
    assert np.isfinite(whole['loss'])
    assert np.isnan([nothing['loss'], nothing['accuracy']]).all()
    for name, parameter in net.parameters.items():
        np.testing.assert_array_equal(parameter.value, before[name])
    with pytest.raises(ValueError, match='y: all targets of all samples are the ignore_label'):
        net.train(x, np.full_like(labels, 9), verbose=0)


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('fused', [False, True])
def test_epochs_weigh_batches_by_the_positions_that_count(fused):
    net, (x, labels) = segmentation(ignore_label=9, fused=fused), maps_data(20, 9)
    labels[:12] = np.where(np.arange(12).reshape(4, 3) < 11, 9, labels[:12])
    y, kept = net.predict(x).astype('f8'), labels != 9
    right = (y.argmax(axis=-1) == labels)[kept]
    losses = -np.log(np.take_along_axis(y, np.where(kept, labels, 0)[..., np.newaxis], -1)[..., 0][kept])
    history = net.train(x, labels, epochs=1, batch_size=6, learning_rate=0.0, verbose=0, validation_data=(x, labels))
    for found in (history['loss'][0], history['val_loss'][0], net.evaluate(x, labels, batch_size=7)['loss']):
        assert found == pytest.approx(losses.mean(), rel=1e-6)
    for found in (history['accuracy'][0], history['val_accuracy'][0]):
        assert found == right.mean()


@pytest.mark.usefixtures('each_backend')
def test_the_loss_of_maps_runs_in_the_sweep():
    net, (x, labels) = segmentation(ignore_label=9), maps_data(3, 9)
    net.train_on_batch(x, labels)
    route = net.plan._route('learn')
    assert route.with_loss
    assert len(route.stages) == 1


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('fused', [False, True])
def test_maps_are_exact_where_probabilities_round_to_0(fused):
    net, (x, labels) = segmentation(fused=fused), maps_data()
    net.layers[2].parameters[0].value *= 1000
    hard = net.evaluate(x, labels)
    logits = segmentation(from_logits=True, dtype='float64')
    for ours, theirs in zip(logits.parameters.values(), net.parameters.values(), strict=True):
        ours.value = theirs.value
    assert hard['loss'] == pytest.approx(logits.evaluate(x, labels)['loss'], rel=1e-5)
    assert hard['loss'] > 100


@pytest.mark.usefixtures('each_backend')
def test_what_is_ignored_counts_as_it_is_set():
    net, (x, labels) = segmentation(ignore_label=0), maps_data()
    net.evaluate(x, labels)
    net.loss.ignore_label = None
    assert net.evaluate(x, labels) == pytest.approx(segmentation().evaluate(x, labels))
    net.train(x, labels, epochs=1, shuffle=False, verbose=0)
    other = segmentation()
    other.train(x, labels, epochs=1, shuffle=False, verbose=0)
    np.testing.assert_allclose(net.predict(x), other.predict(x), rtol=1e-6)


@pytest.mark.parametrize('weights', [False, True])
def test_class_weights_are_those_of_positions(weights):
    x, labels = maps_data(12)
    of_class = np.array([0.5, 1.0, 3.0])
    given = np.random.default_rng(0).random(12) if weights else np.ones(12)
    by_class, by_position = segmentation(), segmentation()
    options = {'epochs': 2, 'verbose': 0, 'shuffle': False}
    by_class.train(x, labels, class_weight={0: 0.5, 2: 3}, sample_weight=given if weights else None, **options)
    by_position.train(x, labels, sample_weight=of_class[labels] * given.reshape(-1, 1, 1), **options)
    np.testing.assert_allclose(by_class.predict(x), by_position.predict(x), rtol=1e-5)


def test_places_of_wrong_labels_in_maps_are_named():
    loss, y, labels = CategoricalCrossEntropy(from_logits=True), np.zeros((3, 4, 5, 2)), np.zeros((3, 4, 5), int)
    labels[1, 2, 3] = 2
    with pytest.raises(ValueError, match=r'targets: 2 at position \(1, 2, 3\) is not a class: .* from 0 to 1$'):
        value(loss, y, labels)
    with pytest.raises(ValueError, match=r'0 to 1, or 255 to be ignored'):
        value(CategoricalCrossEntropy(from_logits=True, ignore_label=255), y, labels)
    one_hot = np.eye(2)[np.zeros((3, 4, 5), int)]
    one_hot[1, 2, 3] = 1
    with pytest.raises(ValueError, match=r'row \(1, 2, 3\) is not one-hot: .* got \[1. 1.\]'):
        value(loss, y, one_hot)
    with pytest.raises(
        ValueError, match=r'got an array of shape \(3,\); for one class a sample, put Flatten and Dense'
    ):
        value(loss, y, [0, 1, 0])
    weights = np.ones((3, 4, 5))
    weights[1, 2, 3] = -1
    with pytest.raises(ValueError, match=r'got -1.0 at position \(1, 2, 3\)'):
        loss.value_and_gradient(y, labels.clip(0, 1), weights)
    with pytest.raises(
        ValueError, match=r'expected shape \(3,\), one a sample, or \(3, 4, 5\), one a position, got \(4,'
    ):
        loss.value_and_gradient(y, labels.clip(0, 1), np.ones((4, 5)))


@pytest.mark.parametrize('ignore_label', [1.5, '255', True, np.nan])
def test_what_is_no_label_to_ignore_is_refused(ignore_label):
    with pytest.raises(ValueError, match='ignore_label: expected a whole number such as 255, or None'):
        CategoricalCrossEntropy(ignore_label=ignore_label)
