"""The interpolation kernel gives what its twin gives: a matrix product over lines."""

import numpy as np
import pytest
from hostile import COMPILED, TWINS, needs_compiled_kernels


@needs_compiled_kernels
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('threads', [1, 3])
@pytest.mark.parametrize('sizes', [(2, 5, 11, 7), (1, 1, 3, 1), (3, 4, 1, 33), (0, 2, 2, 2)], ids=str)
def test_lines_are_added_as_the_matrix_says(sizes, threads, dtype):
    (N, H, P, L), rng = sizes, np.random.default_rng(0)
    matrix = rng.normal(size=(P, H)).astype(dtype) * (rng.random((P, H)) < 0.4)
    x = rng.normal(size=(N, H, L)).astype(dtype)
    y, expected = np.full((2, N, P, L), np.nan, dtype)
    COMPILED['interpolate'](matrix, x, y, threads)
    TWINS['interpolate'](matrix, x, expected, threads)
    np.testing.assert_allclose(y, expected, atol=1e-5 if dtype == 'float32' else 1e-13)


@needs_compiled_kernels
def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r'matrix: expected shape \(3, 2\), got \(3, 4\)'):
        COMPILED['interpolate'](np.zeros((3, 4)), np.zeros((1, 2, 5)), np.zeros((1, 3, 5)), 1)
    with pytest.raises(ValueError, match=r'y: expected shape \(1, 3, 5\), got \(1, 3, 6\)'):
        COMPILED['interpolate'](np.zeros((3, 2)), np.zeros((1, 2, 5)), np.zeros((1, 3, 6)), 1)
