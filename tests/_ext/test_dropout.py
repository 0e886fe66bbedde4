"""The dropout kernels refuse a rate that is no probability."""

import numpy as np
import pytest
from hostile import each_backend, kernels_of


@each_backend
@pytest.mark.parametrize('rate', [-0.1, 1.0, np.nan, np.inf])
def test_a_rate_that_is_no_probability_stops_a_kernel(backend, rate):
    k = kernels_of(backend)
    for name in ('dropout_forward', 'dropout_backward'):
        with pytest.raises(ValueError, match='rate: expected at least 0 and less than 1'):
            k[name](np.ones(3), np.ones(3), 1, rate, 1)
