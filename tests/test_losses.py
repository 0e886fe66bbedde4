"""Loss functions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import small_data, small_network

import cnnx
from cnnx import CategoricalCrossEntropy, Loss, MeanSquaredError, Softmax
from cnnx.losses import class_labels

STEP = 1e-6
NAN, INF = np.nan, np.inf


def value(loss, y, targets):
    return loss.value_and_gradient(y, targets)[0]


def gradient(loss, y, targets):
    return loss.value_and_gradient(y, targets)[1]


def numeric_gradient(loss, predictions, targets):
    found = np.empty_like(predictions)
    for index in np.ndindex(predictions.shape):
        ends = []
        for step in (STEP, -STEP):
            moved = predictions.copy()
            moved[index] += step
            ends.append(value(loss, moved, targets))
        found[index] = (ends[0] - ends[1]) / (2 * STEP)
    return found


@given(n=st.integers(1, 5), classes=st.integers(2, 6), seed=st.integers(0, 2**32 - 1), from_logits=st.booleans())
def test_gradient_of_cross_entropy(n, classes, seed, from_logits):
    rng = np.random.default_rng(seed)
    loss = CategoricalCrossEntropy(from_logits)
    predictions = rng.normal(size=(n, classes)) if from_logits else rng.uniform(0.05, 1, (n, classes))
    labels = rng.integers(0, classes, n)
    np.testing.assert_allclose(
        gradient(loss, predictions, labels), numeric_gradient(loss, predictions, labels), rtol=1e-3, atol=1e-5
    )


@given(n=st.integers(1, 5), shape=st.lists(st.integers(1, 4), min_size=1, max_size=3), seed=st.integers(0, 2**32 - 1))
def test_gradient_of_mean_squared_error(n, shape, seed):
    rng = np.random.default_rng(seed)
    loss = MeanSquaredError()
    predictions, targets = rng.normal(size=(2, n, *shape))
    assert value(loss, predictions, targets) == pytest.approx(((predictions - targets) ** 2).mean())
    np.testing.assert_allclose(
        gradient(loss, predictions, targets), numeric_gradient(loss, predictions, targets), rtol=1e-3, atol=1e-5
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


def test_mean_squared_error_takes_no_silent_broadcast():
    loss = MeanSquaredError()
    assert value(loss, np.array([[1.0], [2.0]]), [1, 4]) == 2
    with pytest.raises(ValueError, match=r'expected shape \(N, 1\), got \(2, 2\)'):
        value(loss, np.zeros((2, 1)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match='expected 2, one a prediction, got 3'):
        value(loss, np.zeros((2, 1)), np.zeros(3))


def test_mean_squared_error_takes_class_indices():
    assert value(MeanSquaredError(), np.array([[0.0, 1.0]]), [1]) == 0


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


def test_mean_squared_error_takes_targets_in_the_predictions_dtype():
    predictions = np.random.default_rng(0).random((4, 3), np.float32)
    targets = np.random.default_rng(1).random((4, 3))
    assert value(MeanSquaredError(), predictions, targets) == value(
        MeanSquaredError(), predictions, targets.astype(np.float32)
    )


def test_what_is_no_probability_is_refused():
    with pytest.raises(ValueError, match='use from_logits=True'):
        value(CategoricalCrossEntropy(), np.array([[-5.0, 6.0]]), [0])


@pytest.mark.parametrize('predictions', [np.zeros(3), np.zeros((2, 1)), np.zeros((2, 3, 4)), 'text', [[1], [2, 3]]])
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


FAR = np.array([0, 1, -1e4, 1e4, 1e38, -1e38, 3e38, -3e38, np.inf, -np.inf, np.nan], np.float32)


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


@pytest.mark.parametrize('fused', [True, False])
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('smoothing', [0.0, 0.1])
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


# Losses of one's own


class Huber(Loss):
    """Squares of small errors, absolute values of large ones."""

    def __init__(self, delta=1.0):
        self.delta = delta

    def value_and_gradient(self, y, targets):
        error = y - targets
        small = np.abs(error) <= self.delta
        losses = np.where(small, error**2 / 2, self.delta * (np.abs(error) - self.delta / 2))
        return losses.mean(), (np.clip(error, -self.delta, self.delta) / error.size).astype(y.dtype)


class Tenfold(CategoricalCrossEntropy):
    """Ten times the cross-entropy."""

    def value_and_gradient(self, y, targets, sample_weight=None):
        found, dy = super().value_and_gradient(y, targets, sample_weight)
        return 10 * found, 10 * dy


def regression(loss, fused=True):
    net = cnnx.Network(seed=0, fused=fused)
    net.add(cnnx.Dense(3, 8))
    net.add(cnnx.Tanh())
    net.add(cnnx.Dense(output_size=1))
    net.compile(loss, cnnx.Adam())
    return net


def points(n=60):
    x = np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)
    return x, x[:, :1] - 2 * x[:, 1:2]


@pytest.mark.parametrize('fused', [True, False])
def test_a_loss_of_ones_own_trains_and_its_gradients_are_checked(fused):
    net = regression(Huber(0.5), fused)
    losses = net.train(*points(), epochs=40, learning_rate=0.02, verbose=0)['loss']
    assert losses[-1] < losses[0] / 4
    assert net.evaluate(*points())['loss'] == pytest.approx(
        Huber(0.5).value_and_gradient(net.predict(points()[0]), points()[1])[0]
    )
    assert net.check_gradients(*points(6))
    assert 'loss' in net.train_on_batch(*points(6))
    assert net.doctor(*points()) is not None


def test_a_loss_of_ones_own_is_saved_and_loaded(tmp_path):
    with pytest.warns(UserWarning, match="custom_objects={'Huber': Huber}"):
        regression(Huber(0.25)).save(tmp_path / 'net.npz')
    net = cnnx.Network.load(tmp_path / 'net.npz', custom_objects={'Huber': Huber})
    assert net.loss.delta == 0.25


@pytest.mark.parametrize('fused', [True, False])
def test_a_loss_that_subclasses_cross_entropy_is_called(fused):
    x, y = small_data()
    net, plain = (small_network(loss=loss) for loss in (Tenfold(), CategoricalCrossEntropy()))
    net.fused = plain.fused = fused
    assert net.evaluate(x, y)['loss'] == pytest.approx(10 * plain.evaluate(x, y)['loss'])
    for network, rate in ((net, 0.001), (plain, 0.01)):
        network.train(x, y, epochs=1, learning_rate=rate, verbose=0, shuffle=False)
    np.testing.assert_allclose(net.predict(x), plain.predict(x), rtol=1e-4)
    assert net.check_gradients(x[:4], y[:4])


@pytest.mark.parametrize(
    ('returned', 'error', 'message'),
    [
        (
            lambda y: None,
            TypeError,
            r'Broken.value_and_gradient: expected it to return \(mean loss, gradient\), got None',
        ),
        (lambda y: 1.0, TypeError, r'Broken.value_and_gradient: .* got 1.0'),
        (lambda y: (y, y), TypeError, 'Broken.value_and_gradient'),
        (lambda y: (1.0, y[:1]), ValueError, r'Broken.value_and_gradient: .*\(32, 1\) and float32, got \(1, 1\)'),
        (lambda y: (1.0, y.astype('f8')), ValueError, r'Broken.value_and_gradient: .* and float64'),
    ],
)
def test_what_is_wrong_with_a_loss_of_ones_own_is_named(returned, error, message):
    broken = type('Broken', (Loss,), {'value_and_gradient': lambda self, y, targets: returned(y)})
    with pytest.raises(error, match=message):
        regression(broken()).train(*points(), epochs=1, verbose=0)


def test_a_loss_without_value_and_gradient_says_what_to_define():
    with pytest.raises(
        NotImplementedError, match=r'Nothing.value_and_gradient: define value_and_gradient\(self, y, tar'
    ):
        regression(type('Nothing', (Loss,), {})()).train(*points(), epochs=1, verbose=0)


def test_weights_go_with_losses_that_take_them():
    with pytest.raises(
        ValueError, match='Huber.value_and_gradient takes no weights; give it a parameter sample_weight'
    ):
        regression(Huber()).train(*points(), sample_weight=np.ones(60), verbose=0)


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


@pytest.mark.parametrize('weights', [np.ones((3, 1)), 2.0, [1.0], [1.0, -1, 1], [1, np.nan, 1], ['a', 'b', 'c']])
@pytest.mark.parametrize('loss', [CategoricalCrossEntropy(from_logits=True), MeanSquaredError()])
def test_wrong_weights_are_refused(loss, weights):
    with pytest.raises(ValueError, match='sample_weight: expected'):
        loss.value_and_gradient(np.zeros((3, 2)), [0, 1, 0], weights)


def test_from_logits_counts_as_it_is_set():
    net, (x, y) = small_network(), small_data(8)
    net.evaluate(x, y)
    net.loss.from_logits = True
    expected = net.loss.value_and_gradient(net.predict(x), y)[0]
    assert net.evaluate(x, y)['loss'] == pytest.approx(expected, rel=1e-6)
