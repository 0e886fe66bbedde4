"""The dense block against its NumPy twin."""

import pytest
from block_cases import THREADS, Arrays, Dense, check, compiled, run
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


@every_tier
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_weights_that_outgrow_the_cache(tier, dtype):
    for inputs, outputs, batch in ((1030, 516, 1), (8192, 70, 13), (513, 1030, 30), (600, 270, 700)):
        check(tier, Dense(inputs, outputs, batch=batch, dtype=dtype), threads=(1, 3), whole=False)


@every_tier
def test_a_sample_of_large_weights_is_the_same_alone_and_in_a_batch(tier):
    case, results = Dense(1030, 516, batch=30), []
    for samples in (30, 1):
        arrays = Arrays(case.shapes(), 30, case.dtype)
        arrays.fill(0, whole=False)
        run(compiled(tier), case, arrays, 1, samples, passes=(True, False))
        results.append(arrays.y[0].tobytes())
    assert results[0] == results[1]
