"""The transposed convolution block against its NumPy twin."""

import pytest
from block_cases import TransposedConvolution, check
from hypothesis import given
from hypothesis import strategies as st
from tiers import every_tier

pytestmark = pytest.mark.usefixtures('compiled_kernels')


@every_tier
@given(data=st.data())
def test_any_transposed_convolution(tier, data):
    draw, small = data.draw, st.integers(1, 4)
    case = TransposedConvolution(
        (draw(st.integers(1, 9)), draw(st.integers(1, 9))), draw(st.integers(1, 40)), draw(st.integers(1, 20)),
        (draw(small), draw(small)), (draw(small), draw(small)), draw(st.booleans()), draw(st.integers(1, 14)),
        draw(st.sampled_from(['float32', 'float64'])),
    )  # fmt: skip
    check(tier, case, draw(st.integers(0, 9)), (1, 3), spare=draw(st.integers(0, 3)))
