"""NaN and infinity are found wherever they are in a table."""

import numpy as np
import pytest
from hostile import each_backend, kernels_of


@each_backend
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf, np.finfo(np.float32).max, 1e-45, -0.0])
def test_numbers_that_are_not_finite_are_found_wherever_they_are(backend, dtype, value):
    k = kernels_of(backend)
    for size in (1, 17, 4096, 9000):
        for place in {0, size // 2, size - 1}:
            values, gradients = np.zeros(size, dtype), np.ones(size, dtype)
            gradients[place] = value
            table = k['ArrayTable']([(np.zeros(5, dtype), np.ones(5, dtype)), (values, gradients)])
            for threads in (1, 2):
                assert k['all_finite'](table, 0, threads) is True
                assert k['all_finite'](table, 1, threads) is bool(np.isfinite(value))
