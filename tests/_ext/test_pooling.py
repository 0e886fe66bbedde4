"""The pooling kernels refuse windows outside of the image, and take no memory for large ones."""

import numpy as np
import pytest
from hostile import each_backend, kernels_of

from cnnx._util.windows import Window


def pooling_calls(k, x, y, window):
    argmax = np.zeros(y.shape, np.int32)
    return (
        lambda: k['maxpool_forward'](x, y, argmax, window, 1),
        lambda: k['maxpool_backward'](y, argmax, x, window, 1),
        lambda: k['averagepool_forward'](x, y, window, 1),
        lambda: k['averagepool_backward'](y, x, window, 1),
    )


@each_backend
@pytest.mark.parametrize(
    'window',
    [
        Window(2, 2, 4, 2),
        Window(2, 2, 2, 4),
        Window(2, 2, 2, 2, pad_top=2),
        Window(2, 2, 2, 2, pad_left=2),
        Window(2, 2, 2**31 - 1, 2**31 - 1),
        Window(2**16, 2**15),
    ],
)
def test_a_pooling_window_that_lies_outside_of_the_image_or_is_too_large_is_refused(backend, window):
    for call in pooling_calls(kernels_of(backend), np.zeros((1, 4, 4, 1)), np.zeros((1, 2, 2, 1)), window):
        with pytest.raises(ValueError, match='window'):
            call()


@each_backend
def test_a_large_window_over_the_edges_takes_no_memory(backend):
    x, y, window = np.ones((1, 4, 4, 1)), np.zeros((1, 2, 2, 1)), Window(2**16, 2**14, 2, 2, 2**16 - 1, 2**14 - 1)
    forward, backward, average, share_out = pooling_calls(kernels_of(backend), x, y, window)
    for pool, spread in ((forward, backward), (average, share_out)):
        pool()
        assert (y == 1).all()
        spread()
        assert x.sum() == pytest.approx(4)
        x[...] = 1
