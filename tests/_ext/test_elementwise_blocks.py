"""The blocks of activations, dropout and batch normalization against their NumPy twins."""

import itertools

import numpy as np
import pytest
from block_cases import (
    KINDS,
    SAMPLES,
    Arrays,
    BatchNormalization,
    Elementwise,
    Normalization,
    check,
    compiled,
    run,
    twins,
)
from tiers import every_tier

pytestmark = pytest.mark.usefixtures('compiled_kernels')


@every_tier
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('kind', KINDS)
def test_elementwise_blocks(tier, kind, dtype):
    for sample, dx, batch in itertools.product(SAMPLES, (True, False), (1, 12, 40)):
        check(tier, Elementwise(kind, sample, dx, batch, dtype), threads=(1, 3), whole=False, spare=batch % 3)


@every_tier
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('kind', KINDS)
def test_elementwise_blocks_can_write_over_what_they_read(tier, kind, dtype):
    for sample, backend in itertools.product(SAMPLES, (twins(), compiled(tier))):
        apart, over = (Elementwise(kind, sample, True, 25, dtype, in_place) for in_place in (False, True))
        arrays = [Arrays(case.shapes(), 25, dtype) for case in (apart, over)]
        for case, own in zip((apart, over), arrays, strict=True):
            own.fill(0, whole=False)
            run(backend, case, own, 2)
            own.check_guards()
        assert arrays[1].x.tobytes() == arrays[0].y.tobytes()
        assert arrays[1].dy.tobytes() == arrays[0].dx.tobytes()


@every_tier
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_normalization_blocks(tier, dtype):
    for sample, batch in itertools.product(((1,), (7,), (70,), (3, 5, 6), (9, 9, 65)), (1, 12, 40)):
        case = Normalization(sample, batch, dtype)
        arrays = [Arrays(case.shapes(), batch, dtype) for _ in range(3)]
        for own, backend, threads in zip(arrays, (twins(), compiled(tier), compiled(tier)), (1, 1, 3), strict=True):
            own.fill(0, whole=False)
            run(backend, case, own, threads, passes=(True, False))
            own.check_guards()
        np.testing.assert_allclose(arrays[1].y, arrays[0].y, rtol=1e-5, atol=1e-5)
        assert arrays[1].y.tobytes() == arrays[2].y.tobytes()


@every_tier
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_batches_are_normalized_by_their_own_mean_and_variance(tier, dtype):
    for sample, batch in itertools.product(((1,), (7,), (70,), (3, 5, 6), (9, 9, 65), (70, 80, 2)), (2, 12, 40)):
        case = BatchNormalization(sample, batch, dtype, dx=batch > 2)
        check(tier, case, threads=(1, 3), whole=False, spare=batch % 3)


@every_tier
def test_the_gradient_of_a_normalization_can_be_written_over_that_of_its_output(tier):
    apart, over = (BatchNormalization((4, 5, 3), 30, in_place=in_place) for in_place in (False, True))
    arrays = [Arrays(case.shapes(), 30, 'float32') for case in (apart, over)]
    for case, own in zip((apart, over), arrays, strict=True):
        own.fill(0, whole=False)
        run(compiled(tier), case, own, 2)
        own.check_guards()
    assert arrays[1].dy.tobytes() == arrays[0].dx.tobytes()


@every_tier
def test_the_variance_is_accurate_far_from_zero(tier):
    case = BatchNormalization((20, 20, 3), 50)
    arrays = Arrays(case.shapes(), 50, 'float32')
    arrays.fill(0, whole=False)
    arrays.x += np.float32(1000)
    run(compiled(tier), case, arrays, 3)
    rows = arrays.x.reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(arrays.dweights[0], rows.mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(arrays.dweights[1], rows.var(axis=0), rtol=1e-6)
