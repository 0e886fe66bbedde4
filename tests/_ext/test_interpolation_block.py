"""The interpolation block against its NumPy twin."""

import itertools

import pytest
from block_cases import Interpolation, check
from tiers import every_tier

pytestmark = pytest.mark.usefixtures('compiled_kernels')


@every_tier
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_interpolation(tier, dtype):
    for image, larger, channels in itertools.product(((1, 1), (2, 5), (7, 3)), ((7, 7), (14, 9)), (1, 3, 8, 17)):
        case = Interpolation(image, larger, channels, dx=channels != 3, batch=channels, dtype=dtype)
        check(tier, case, threads=(1, 3), whole=False, spare=1)
