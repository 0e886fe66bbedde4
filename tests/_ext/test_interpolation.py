"""The interpolation kernel and block give what their twins give."""

import itertools

import numpy as np
import pytest
from block_cases import Interpolation, check
from hostile import COMPILED, TWINS, needs_compiled_kernels
from tiers import every_tier


@needs_compiled_kernels
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('threads', [1, 3])
@pytest.mark.parametrize('sizes', [(2, 5, 11, 7), (1, 1, 3, 1), (3, 4, 1, 33), (0, 2, 2, 2)], ids=str)
def test_images_are_made_as_the_matrices_say(sizes, threads, dtype):
    (N, H, P, C), rng = sizes, np.random.default_rng(0)
    rows, columns = (rng.normal(size=size) * (rng.random(size) < 0.4) for size in ((P, H), (P + 1, H + 2)))
    rows, columns = rows.astype(dtype), columns.astype(dtype)
    x = rng.normal(size=(N, H, H + 2, C)).astype(dtype)
    y, expected = np.full((2, N, P, P + 1, C), np.nan, dtype)
    COMPILED['interpolate'](rows, columns, x, y, threads)
    TWINS['interpolate'](rows, columns, x, expected, threads)
    np.testing.assert_allclose(y, expected, atol=1e-5 if dtype == 'float32' else 1e-13)
    np.testing.assert_allclose(y, np.einsum('ph,qw,nhwc->npqc', rows, columns, x), atol=1e-5)


@needs_compiled_kernels
def test_shapes_that_do_not_fit_are_refused():
    rows, columns, x = np.zeros((3, 2)), np.zeros((5, 4)), np.zeros((1, 2, 4, 6))
    for wrong, expected in (
        ((np.zeros((3, 4)), columns, x, np.zeros((1, 3, 5, 6))), r'rows: expected shape \(3, 2\), got \(3, 4\)'),
        ((rows, np.zeros((5, 3)), x, np.zeros((1, 3, 5, 6))), r'columns: expected shape \(5, 4\), got \(5, 3\)'),
        ((rows, columns, x, np.zeros((1, 3, 5, 7))), r'y: expected shape \(1, 3, 5, 6\), got \(1, 3, 5, 7\)'),
    ):
        with pytest.raises(ValueError, match=expected):
            COMPILED['interpolate'](*wrong, 1)


@every_tier
@pytest.mark.usefixtures('compiled_kernels')
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_any_block(tier, dtype):
    for image, larger, channels in itertools.product(((1, 1), (2, 5), (7, 3)), ((7, 7), (14, 9)), (1, 3, 8, 17)):
        case = Interpolation(image, larger, channels, dx=channels != 3, batch=channels, dtype=dtype)
        check(tier, case, threads=(1, 3), whole=False, spare=1)
