"""UpSampling: nearest pixels and bilinear interpolation, as PyTorch and Keras have them."""

import numpy as np
import pytest

from cnnx import UpSampling


def test_nearest_repeats_each_pixel():
    layer = UpSampling((1, 2))
    x = np.array([[1.0, 2], [3, 4]]).reshape(1, 2, 2, 1)
    assert layer.forward(x)[0, :, :, 0].tolist() == [[1, 1, 2, 2], [3, 3, 4, 4]]
    dy = np.arange(8.0).reshape(1, 2, 4, 1)
    assert layer.backward(dy)[0, :, :, 0].tolist() == [[1, 5], [9, 13]]


def test_bilinear_goes_in_a_line_from_pixel_to_pixel_and_stays_at_the_edges():
    layer = UpSampling((1, 2), interpolation='bilinear')
    assert layer.forward(np.array([0.0, 4, 8]).reshape(1, 1, 3, 1)).ravel().tolist() == [0, 1, 3, 5, 7, 8]
    assert layer.backward(np.array([1.0, 0, 0, 0, 0, 4]).reshape(1, 1, 6, 1)).ravel().tolist() == [1, 0, 4]


@pytest.mark.parametrize('interpolation', ['nearest', 'bilinear'])
@pytest.mark.parametrize('size', [1, 2, (3, 2), (1, 5)])
@pytest.mark.parametrize('shape', [(1, 1), (5, 4)])
def test_outputs_and_gradients_are_those_of_pytorch(interpolation, size, shape):
    torch = pytest.importorskip('torch')
    layer = UpSampling(size, interpolation=interpolation)
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(2, *shape, 3))).requires_grad_()
    options = {'mode': interpolation} | ({'align_corners': False} if interpolation == 'bilinear' else {})
    expected = torch.nn.Upsample(scale_factor=layer.size, **options)(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    y = layer.forward(x.detach().numpy())
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-12, atol=1e-14)
    dy = np.random.default_rng(1).normal(size=y.shape)
    expected.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(layer.backward(dy), x.grad.numpy(), rtol=1e-12, atol=1e-14)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match='size: expected a whole number of at least 1, got 0'):
        UpSampling(0)
    with pytest.raises(ValueError, match="interpolation: expected one of nearest, bilinear, got 'cubic'"):
        UpSampling(2, interpolation='cubic')
    with pytest.raises(ValueError, match=r'UpSampling: expected input \(height, width, channels\), got \(3,\)'):
        UpSampling(input_shape=(3,)).set_up()
