"""The dense block against its NumPy twin."""

import pytest
from block_cases import THREADS, Dense, check
from hypothesis import given
from hypothesis import strategies as st
from tiers import every_tier

pytestmark = pytest.mark.usefixtures('compiled_kernels')


@every_tier
@given(data=st.data())
def test_any_dense_layer(tier, data):
    draw, sizes = data.draw, st.integers(1, 70)
    case = Dense(
        draw(sizes), draw(sizes), draw(st.booleans()), draw(st.booleans()), draw(st.integers(1, 40)),
        draw(st.sampled_from(['float32', 'float64'])),
    )  # fmt: skip
    check(tier, case, draw(st.integers(0, 9)), (1, draw(st.sampled_from(THREADS))), spare=draw(st.integers(0, 3)))
