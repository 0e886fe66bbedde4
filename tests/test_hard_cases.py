"""Numbers at the edges: ties, NaN, infinities, odd padding, wrong labels. Both backends decide them alike."""

import numpy as np
import pytest

import cnnx
from cnnx import CategoricalCrossEntropy, Convolutional, Dense, MaxPooling, MeanSquaredError, Network, ReLU, Softmax

NAN, INF = np.nan, np.inf


@pytest.fixture(params=['cython', 'numpy'], autouse=True)
def _backend(request):
    try:
        context = cnnx.use_backend(request.param)
        context.__enter__()
    except cnnx.BackendError as error:
        pytest.skip(f'the compiled kernels are not there: {error}')
    yield
    context.__exit__(None, None, None)


def pool(values, size=None, stride=None):
    """Pool one image and send back a gradient of ones; return (y, dx)."""
    x = np.array(values, np.float32)[None, :, :, None]
    layer = MaxPooling(size or x.shape[1:3], stride)
    y = layer.forward(x)
    return y[0, :, :, 0].tolist(), layer.backward(np.ones_like(y))[0, :, :, 0].tolist()


def test_the_first_maximum_wins_a_tie():
    assert pool([[1, 2], [2, 2]]) == ([[2]], [[0, 1], [0, 0]])


def test_the_first_nan_of_a_window_wins():
    y, dx = pool([[1, NAN], [NAN, INF]])
    assert np.isnan(y[0][0])
    assert dx == [[0, 1], [0, 0]]


def test_a_window_of_minus_infinity():
    assert pool([[-INF, -INF], [-INF, -INF]]) == ([[-INF]], [[1, 0], [0, 0]])


def test_overlapping_windows_add_their_gradients():
    assert pool([[0, 9, 0], [0, 0, 0]], size=2, stride=1) == ([[9, 9]], [[0, 2, 0], [0, 0, 0]])


def test_a_stride_beyond_the_pool_leaves_pixels_out():
    assert pool([[1, 8, 2]], size=(1, 1), stride=(1, 2)) == ([[1, 2]], [[1, 0, 1]])


def test_a_window_of_more_than_65536_pixels():
    x = np.zeros((1, 300, 300, 1), np.float32)
    x[0, 299, 298] = 1
    layer = MaxPooling(300)
    assert layer.forward(x).item() == 1
    assert np.flatnonzero(layer.backward(np.ones((1, 1, 1, 1)))).tolist() == [299 * 300 + 298]


def sums_over_windows(image, kernel, stride, padding):
    """Convolve with ones, which counts the pixels of ones that each window covers."""
    layer = Convolutional(
        1, kernel, stride, padding, kernel_initializer=lambda rng, shape, dtype: np.ones(shape, dtype)
    )
    return layer.forward(np.ones((1, *image, 1), np.float32))[0, :, :, 0].tolist()


def test_same_padding_puts_the_odd_one_at_the_end():
    assert sums_over_windows((1, 4), (1, 3), 2, 'same') == [[3, 2]]
    assert sums_over_windows((1, 3), (1, 2), 1, 'same') == [[2, 2, 1]]
    assert sums_over_windows((4, 1), (4, 1), 1, 'same') == [[3], [4], [3], [2]]


def test_same_padding_gives_ceil_of_input_by_stride():
    layer = Convolutional(2, 5, stride=2, padding='same').build((28, 27, 1))
    assert layer.output_shape == (14, 14, 2)


def test_a_kernel_larger_than_its_input_is_refused():
    for layer in (Convolutional(1, (3, 6)), MaxPooling((3, 6))):
        with pytest.raises(ValueError, match='3 x 6 does not fit into an input of 5 x 5'):
            layer.build((5, 5, 1))


def test_relu_keeps_nan_and_stops_its_gradient():
    layer = ReLU()
    y = layer.forward(np.array([[NAN, -1, 0, 2, INF, -INF]], np.float32))
    np.testing.assert_array_equal(y, [[NAN, 0, 0, 2, INF, 0]])
    assert layer.backward(np.ones((1, 6))).tolist() == [[0, 0, 0, 1, 1, 0]]


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_logits_far_apart_have_a_finite_loss(dtype):
    loss = CategoricalCrossEntropy(from_logits=True)
    assert loss.forward(np.array([[1e4, 0]], dtype), [1]) == pytest.approx(1e4)
    assert loss.backward().tolist() == [[1, -1]]


@pytest.mark.parametrize('logit', [INF, NAN])
def test_an_infinite_or_nan_logit_gives_nan(logit):
    assert np.isnan(CategoricalCrossEntropy(from_logits=True).forward(np.array([[logit, 0, 0]]), [1]))
    assert np.isnan(Softmax().forward(np.array([[logit, 0, 0]]))).all()


def test_sigmoid_does_not_overflow():
    y = cnnx.Sigmoid().forward(np.array([[-1e4, 0, 1e4, NAN]], np.float32))
    np.testing.assert_array_equal(y, [[0, 0.5, 1, NAN]])


def test_a_probability_of_zero_has_a_finite_loss_and_gradient():
    loss = CategoricalCrossEntropy()
    assert loss.forward(np.array([[0.0, 1.0]]), [0]) == pytest.approx(-np.log(1e-7))
    assert np.isfinite(loss.backward()).all()


@pytest.mark.parametrize('loss', [CategoricalCrossEntropy(from_logits=True), MeanSquaredError()])
def test_the_loss_of_no_sample_is_refused(loss):
    with pytest.raises(ValueError, match='N at least 1'):
        loss.forward(np.empty((0, 3)), np.empty(0, int))


@pytest.mark.parametrize('label', [-1, 3, 255, 1.5, NAN, INF])
def test_a_label_that_is_no_class_is_refused(label):
    with pytest.raises(ValueError, match=r'at position 1 is not a class: expected whole numbers from 0 to 2'):
        CategoricalCrossEntropy(from_logits=True).forward(np.zeros((2, 3)), np.array([0, label]))


@pytest.mark.parametrize('dtype', ['uint8', 'int8', 'int32', 'int64', 'uint64', '>i4', 'float32', 'float64'])
def test_labels_of_every_dtype(dtype):
    loss = CategoricalCrossEntropy(from_logits=True)
    logits = np.array([[0, 1, 2], [3, 2, 2.0]])
    expected = loss.forward(logits, np.array([[0, 0, 1], [0, 1, 0]]))
    assert loss.forward(logits, np.array([2, 1], dtype)) == expected
    assert loss.forward(logits, np.array([[2], [1]], dtype)) == expected
    assert loss.forward(logits, np.eye(3, dtype=dtype)[[2, 1]]) == expected


@pytest.mark.parametrize('row', [[0, 0, 0], [1, 1, 0], [0.5, 0.5, 0], [0, 2, 0], [NAN, 1, 0], [-1, 1, 1]])
def test_a_target_row_that_is_not_one_hot_is_refused(row):
    with pytest.raises(ValueError, match='row 1 is not one-hot'):
        CategoricalCrossEntropy(from_logits=True).forward(np.zeros((2, 3)), [[0, 1, 0], row])


def test_the_wrong_number_or_shape_of_labels():
    loss = CategoricalCrossEntropy(from_logits=True)
    with pytest.raises(ValueError, match='expected 2, one a prediction, got 3'):
        loss.forward(np.zeros((2, 3)), [0, 1, 2])
    with pytest.raises(ValueError, match=r'one-hot rows \(N, 3\), got an array of shape \(2, 4\)'):
        loss.forward(np.zeros((2, 3)), np.zeros((2, 4)))


def test_no_image_at_all():
    net = Network(seed=0)
    net.add(Dense(4, 3))
    net.add(Softmax())
    net.compile(CategoricalCrossEntropy())
    assert net.predict(np.empty((0, 4))).shape == (0, 3)
    assert net.predict_classes(np.empty((0, 4))).shape == (0,)
    for use in (net.evaluate, net.train):
        with pytest.raises(ValueError, match='at least one sample'):
            use(np.empty((0, 4)), np.empty(0, int))


def test_a_one_by_one_image_and_a_one_by_one_kernel():
    layer = Convolutional(2, 1, stride=3, padding='same')
    layer.build((1, 1, 1))
    layer.weights = [[[[2, 3]]]]
    assert layer.forward([[[[5.0]]]]).tolist() == [[[[10, 15]]]]


def test_denormals_and_huge_numbers_pass():
    layer = Dense(2, 1, kernel_initializer='zeros')
    layer.weights = [[1], [0]]
    assert layer.forward(np.array([[1e-40, 0], [3e38, 0]], np.float32)).tolist() == [
        [pytest.approx(1e-40, rel=1e-3)],
        [pytest.approx(3e38)],
    ]
