"""Pooling: kernels refuse windows outside of the image; the block, on each tier, against its NumPy twin."""

import itertools

import numpy as np
import pytest
from block_cases import THREADS, Arrays, Pool, check, compiled, run, twins
from hostile import each_backend, kernels_of
from hypothesis import given
from hypothesis import strategies as st
from tiers import every_tier

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


@pytest.mark.usefixtures('compiled_kernels')
@every_tier
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('average', [True, False])
def test_pooling_blocks(tier, average, dtype):
    windows = (((2, 2), (2, 2)), ((3, 3), (2, 2)), ((2, 3), (3, 1)), ((1, 1), (2, 2)), ((5, 4), (4, 5)))
    images = ((5, 6), (7, 5), (1, 1), (12, 13))
    for channels, image, (pool, stride), padding in itertools.product(
        (1, 2, 6, 16, 17, 70), images, windows, ('same', 'valid')
    ):
        if padding == 'valid' and (image[0] < pool[0] or image[1] < pool[1]):
            continue
        batch, dx = channels % 5 + 1, (image, padding) != ((7, 5), 'same')
        case = Pool(image, channels, pool, stride, padding, average, dx, batch, dtype)
        check(tier, case, threads=(1, 3), whole=not average and dtype == 'float32', spare=batch % 2)


@pytest.mark.usefixtures('compiled_kernels')
@every_tier
@given(data=st.data())
def test_any_pooling(tier, data):
    draw, small = data.draw, st.integers(1, 5)
    image, pool, padding = (
        (draw(small), draw(st.integers(1, 20))),
        (draw(small), draw(small)),
        draw(st.sampled_from(['same', 'valid'])),
    )
    image = image if padding == 'same' else tuple(map(max, image, pool))
    case = Pool(
        image, draw(st.integers(1, 40)), pool, (draw(small), draw(small)), padding, draw(st.booleans()),
        draw(st.booleans()), draw(st.integers(1, 14)), draw(st.sampled_from(['float32', 'float64'])),
    )  # fmt: skip
    check(tier, case, draw(st.integers(0, 9)), (1, draw(st.sampled_from(THREADS))), False, draw(st.integers(0, 3)))


@pytest.mark.usefixtures('compiled_kernels')
@every_tier
@pytest.mark.parametrize('odd', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('average', [True, False])
def test_odd_numbers_are_pooled_as_in_numpy(tier, odd, average):
    for channels, padding in itertools.product((1, 6, 17), ('same', 'valid')):
        case = Pool((7, 9), channels, (3, 3), (2, 2), padding, average)
        results = []
        for backend in (twins(), compiled(tier)):
            arrays = Arrays(case.shapes(), case.batch, case.dtype)
            arrays.fill(0, whole=True)
            arrays.x[:2].flat[::3] = odd
            arrays.x[1].flat[::4] = np.nan
            with np.errstate(all='ignore'):
                run(backend, case, arrays, 1)
            results.append(arrays.results())
        np.testing.assert_array_equal(results[1]['y'], results[0]['y'])
        np.testing.assert_allclose(results[1]['dx'], results[0]['dx'], rtol=1e-6, atol=1e-6)
