"""Pooling layers: ties, padding, averages, whole images."""

import numpy as np
import pytest

from cnnx import AveragePooling, GlobalAveragePooling, GlobalMaxPooling, MaxPooling
from cnnx._util.validation import MAX_SIZE

CASES = [((5, 6), 2, None), ((5, 6), 3, 1), ((7, 4), (3, 2), (2, 3)), ((1, 9), (4, 4), 3), ((3, 3), 7, 2)]
cases = pytest.mark.parametrize(('size', 'pool', 'stride'), CASES)
NAN, INF = np.nan, np.inf


def padded(x, layer, fill):
    """Return the images with `fill` around them, as far as 'same' says."""
    sides = [(0, 0)]
    for size, extent, step in zip(x.shape[1:3], layer.pool_size, layer.stride, strict=True):
        total = max((-(-size // step) - 1) * step + extent - size, 0)
        sides.append((total // 2, total - total // 2))
    return np.pad(x, [*sides, (0, 0)], constant_values=fill)


def slow(layer, x, fill, of_window):
    x = padded(x, layer, fill)
    (height, width), (step, side), (P, Q, _) = layer.pool_size, layer.stride, layer.shape
    rows = [
        [of_window(x[:, p * step : p * step + height, q * side : q * side + width]) for q in range(Q)] for p in range(P)
    ]
    return np.moveaxis(np.array(rows), 2, 0)


@cases
def test_padding_never_wins_a_maximum(size, pool, stride):
    x = -1 - np.random.default_rng(0).random((2, *size, 3))
    layer = MaxPooling(pool, stride=stride, padding='same')
    y = layer.forward(x)
    assert (y == slow(layer, x, -np.inf, lambda window: window.max(axis=(1, 2)))).all()
    dx = layer.backward(np.ones_like(y))
    assert dx.sum() == y.size
    lowest = np.full_like(x, -np.inf)
    assert (layer.forward(lowest) == -np.inf).all()
    assert layer.backward(np.ones_like(y)).sum() == y.size


@cases
def test_padding_does_not_count_in_an_average(size, pool, stride):
    x = np.random.default_rng(0).normal(size=(2, *size, 3))
    layer = AveragePooling(pool, stride=stride, padding='same')
    y = layer.forward(x)
    np.testing.assert_allclose(y, slow(layer, x, np.nan, lambda window: np.nanmean(window, axis=(1, 2))), rtol=1e-12)
    assert (AveragePooling(pool, stride=stride, padding='same').forward(np.ones_like(x)) == 1).all()
    assert layer.backward(np.ones_like(y)).sum() == pytest.approx(y.size)


@cases
def test_averages_are_those_of_pytorch(size, pool, stride):
    torch = pytest.importorskip('torch')
    layer = AveragePooling(pool, stride=stride, padding='same')
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(2, *size, 3))).requires_grad_()
    y = layer.forward(x.detach().numpy())
    dy = np.random.default_rng(1).normal(size=y.shape)
    # PyTorch pads both sides alike: sums and counts over what `padded` makes are averages without the padding.
    ones = torch.from_numpy(padded(np.ones(x.shape), layer, 0))
    image = torch.nn.functional.pad(x.permute(0, 3, 1, 2), pads_of(x.shape, layer))
    sums = torch.nn.functional.avg_pool2d(image, layer.pool_size, layer.stride)
    counts = torch.nn.functional.avg_pool2d(ones.permute(0, 3, 1, 2), layer.pool_size, layer.stride)
    theirs = (sums / counts).permute(0, 2, 3, 1)[:, : y.shape[1], : y.shape[2]]
    np.testing.assert_allclose(y, theirs.detach().numpy(), rtol=1e-10)
    theirs.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(layer.backward(dy), x.grad.numpy(), rtol=1e-10, atol=1e-14)


def pads_of(shape, layer):
    """Return what 'same' adds as PyTorch takes it: left, right, top, bottom."""
    whole = padded(np.zeros(shape), layer, 1)
    before = [layer.window.pad_top, layer.window.pad_left]
    after = [whole.shape[axis + 1] - shape[axis + 1] - before[axis] for axis in (0, 1)]
    return before[1], after[1], before[0], after[0]


def test_symmetric_padding_and_none_are_those_of_pytorch():
    torch = pytest.importorskip('torch')
    x = np.random.default_rng(0).normal(size=(2, 7, 9, 3))
    image = torch.from_numpy(x).permute(0, 3, 1, 2)
    for padding, amount in (('same', 1), ('valid', 0)):
        options = {'kernel_size': 3, 'stride': 2, 'padding': amount}
        averages = torch.nn.functional.avg_pool2d(image, **options, count_include_pad=False)
        maxima = torch.nn.functional.max_pool2d(image, **options)
        for kind, theirs in ((AveragePooling, averages), (MaxPooling, maxima)):
            ours = kind(3, stride=2, padding=padding).forward(x)
            np.testing.assert_allclose(ours, theirs.permute(0, 2, 3, 1).numpy(), rtol=1e-12)


def test_a_window_at_the_end_is_divided_by_what_it_covers():
    # Of 5 columns in windows of 2, the last window covers one; PyTorch 2.13 gives the same, padded at the end.
    x = np.array([[1, 2, 3, 4, 10]], float).reshape(1, 1, 5, 1)
    layer = AveragePooling((1, 2), padding='same')
    assert layer.forward(x).ravel().tolist() == [1.5, 3.5, 10]
    assert layer.backward(np.array([2, 4, 8], float).reshape(1, 1, 3, 1)).ravel().tolist() == [1, 1, 2, 2, 8]


def test_a_global_average_is_the_mean_of_each_channel():
    x = np.random.default_rng(0).normal(size=(3, 4, 5, 2))
    layer = GlobalAveragePooling()
    np.testing.assert_allclose(layer.forward(x), x.mean(axis=(1, 2)), rtol=1e-12)
    dx = layer.backward(np.ones((3, 2)))
    np.testing.assert_allclose(dx, np.full(x.shape, 1 / 20), rtol=1e-12)
    with pytest.raises(ValueError, match=r'GlobalAveragePooling: expected input \(height, width, channels\)'):
        GlobalAveragePooling(input_shape=(3,)).set_up()


@pytest.mark.usefixtures('each_backend')
def test_a_global_maximum_is_the_first_largest_of_each_channel():
    x = np.array([[[[1, 8], [7, 8]], [[7, 2], [0, 5]]]], float)
    for images in (x, x.reshape(1, 4, 2)):
        layer = GlobalMaxPooling()
        assert layer.forward(images).tolist() == [[7, 8]]
        assert layer.backward(np.array([[1, 2]])).reshape(4, 2).tolist() == [[0, 2], [1, 0], [0, 0], [0, 0]]


@pytest.mark.parametrize('kind', [GlobalMaxPooling, GlobalAveragePooling])
def test_poolings_of_whole_images_are_those_of_pytorch(kind):
    torch = pytest.importorskip('torch')
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 5, 4, 3))).requires_grad_()
    expected = x.amax(dim=(1, 2)) if kind is GlobalMaxPooling else x.mean(dim=(1, 2))
    layer, dy = kind(), np.random.default_rng(1).normal(size=(2, 3))
    np.testing.assert_allclose(layer.forward(x.detach().numpy()), expected.detach().numpy(), rtol=1e-12)
    expected.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(layer.backward(dy), x.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize('kind', [MaxPooling, AveragePooling])
def test_a_window_of_too_many_pixels_is_refused(kind):
    with pytest.raises(ValueError, match=f'{kind.__name__}: pool_size: expected at most {MAX_SIZE} pixels'):
        kind(2**16, padding='same', input_shape=(4, 4, 1)).set_up()
    x = np.arange(16.0).reshape(1, 4, 4, 1)
    assert kind(2**15, padding='same').forward(x).item() == (15 if kind is MaxPooling else 7.5)


def pool(values, size=None, stride=None):
    """Pool one image and send back a gradient of ones; return (y, dx)."""
    x = np.array(values, np.float32)[None, :, :, None]
    layer = MaxPooling(size or x.shape[1:3], stride=stride)
    y = layer.forward(x)
    return y[0, :, :, 0].tolist(), layer.backward(np.ones_like(y))[0, :, :, 0].tolist()


@pytest.mark.usefixtures('each_backend')
def test_the_first_maximum_wins_a_tie():
    assert pool([[1, 2], [2, 2]]) == ([[2]], [[0, 1], [0, 0]])


@pytest.mark.usefixtures('each_backend')
def test_the_first_nan_of_a_window_wins():
    y, dx = pool([[1, NAN], [NAN, INF]])
    assert np.isnan(y[0][0])
    assert dx == [[0, 1], [0, 0]]


@pytest.mark.usefixtures('each_backend')
def test_a_window_of_minus_infinity():
    assert pool([[-INF, -INF], [-INF, -INF]]) == ([[-INF]], [[1, 0], [0, 0]])


@pytest.mark.usefixtures('each_backend')
def test_overlapping_windows_add_their_gradients():
    assert pool([[0, 9, 0], [0, 0, 0]], size=2, stride=1) == ([[9, 9]], [[0, 2, 0], [0, 0, 0]])


@pytest.mark.usefixtures('each_backend')
def test_a_stride_beyond_the_pool_leaves_pixels_out():
    assert pool([[1, 8, 2]], size=(1, 1), stride=(1, 2)) == ([[1, 2]], [[1, 0, 1]])


@pytest.mark.usefixtures('each_backend')
def test_a_window_of_more_than_65536_pixels():
    x = np.zeros((1, 300, 300, 1), np.float32)
    x[0, 299, 298] = 1
    layer = MaxPooling(300)
    assert layer.forward(x).item() == 1
    assert np.flatnonzero(layer.backward(np.ones((1, 1, 1, 1)))).tolist() == [299 * 300 + 298]


@pytest.mark.usefixtures('each_backend')
def test_padding_by_side_dilation_and_ceil_mode_are_those_of_the_formula():
    x = np.random.default_rng(0).normal(size=(2, 7, 8, 3))
    settings = {'stride': (2, 3), 'padding': ((1, 0), (2, 1)), 'dilation': (2, 1), 'ceil_mode': True}
    y = MaxPooling((2, 3), **settings).forward(x)
    means = AveragePooling((2, 3), **settings).forward(x)
    with_padding = AveragePooling((2, 3), **settings, count_include_pad=True).forward(x)
    assert y.shape == (2, 4, 4, 3)
    for p, q in np.ndindex(4, 4):
        places = [(2 * p - 1 + 2 * r, 3 * q - 2 + s) for r in range(2) for s in range(3)]
        inside = np.array([x[:, i, j] for i, j in places if 0 <= i < 7 and 0 <= j < 8])
        padded = sum(i < 7 and j < 9 for i, j in places)
        np.testing.assert_allclose(y[:, p, q], inside.max(axis=0))
        np.testing.assert_allclose(means[:, p, q], inside.mean(axis=0))
        np.testing.assert_allclose(with_padding[:, p, q], inside.sum(axis=0) / padded)


def test_windows_without_a_pixel_are_refused():
    with pytest.raises(ValueError, match='padding: .* leaves windows without a pixel of the image'):
        MaxPooling(2, padding=2, input_shape=(4, 4, 1)).set_up()
    with pytest.raises(ValueError, match=r'padding: expected \(\(top, bottom\), \(left, right\)\)'):
        AveragePooling(2, padding=((1, 2, 3), (1,)))
