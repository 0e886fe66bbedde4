"""The depthwise block against its NumPy twin."""

import pytest
from block_cases import Depthwise, check
from hypothesis import given
from hypothesis import strategies as st
from tiers import every_tier

pytestmark = pytest.mark.usefixtures('compiled_kernels')


@every_tier
@given(data=st.data())
def test_any_depthwise_convolution(tier, data):
    draw, small, pair = data.draw, st.integers(1, 4), st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, dilation, padding = draw(st.tuples(small, small)), draw(pair), draw(st.sampled_from(['same', 'valid']))
    covered = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    image = tuple(draw(st.integers(1, 14)) for _ in range(2))
    image = image if padding == 'same' else tuple(map(max, image, covered))
    case = Depthwise(
        image, draw(st.integers(1, 40)), kernel, draw(pair), padding, dilation, draw(st.booleans()),
        draw(st.integers(1, 14)), draw(st.sampled_from(['float32', 'float64'])),
    )  # fmt: skip
    check(tier, case, draw(st.integers(0, 9)), (1, 3), spare=draw(st.integers(0, 3)))
