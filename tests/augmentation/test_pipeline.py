"""Pipelines of augmentations: composed, random, and the same for any threads."""

import numpy as np
import pytest
from augmentation_cases import ALL, TOLERANCES, about_the_middle, changed, field, images, resampled
from models import small_data, small_network

import cnnx
from cnnx import kernels
from cnnx.augmentation import Brightness, Crop, Elastic, Erase, Flip, Rotate, Scale, Shear, Shift
from cnnx.augmentation.pipeline import Pipeline
from cnnx.augmentation.transforms import AUGMENTATIONS
from cnnx.training.array_data import ArrayData


def test_neighbours_are_composed_in_their_order():
    parts = [Shift(2), Rotate(30), Scale(0.3, True), Shear(20)]
    pipeline = Pipeline(parts, (8, 11, 1), np.dtype('float64'))
    (stage,) = pipeline._stages
    numbers = np.random.default_rng(0).random((6, 4))
    found = stage.matrices(numbers)
    ends = np.cumsum([0, *(part.numbers for part in parts)])
    for n in range(4):
        product = np.eye(3)
        for part, first, last in zip(parts, ends, ends[1:], strict=False):
            product = product @ part.matrices(2 * numbers[first:last, n : n + 1] - 1)[0]
        np.testing.assert_allclose(found[n], about_the_middle(product, (1, 8, 11)), atol=1e-12)


@pytest.mark.usefixtures('each_backend')
def test_a_shift_after_a_quarter_turn_shifts_what_was_turned():
    x = np.zeros((1, 5, 5, 1))
    x[0, 2, 4] = 1  # at the right; turned, at the top; shifted by 3 rows down
    pipeline = Pipeline([Rotate(90), Shift(3)], x.shape[1:], x.dtype)
    (stage,) = pipeline._stages
    y = resampled(x, stage.matrices(np.array([[1.0], [1.0], [0.5]])))
    np.testing.assert_allclose(y[0, :, :, 0], np.eye(5)[[3]].T @ np.eye(5)[[2]], atol=1e-12)


def test_an_image_is_interpolated_once_between_erasures():
    def stages(augmentations):
        return [type(stage).__name__ for stage in Pipeline(augmentations, (5, 5, 1), np.dtype('float32'))._stages]

    geometry = [Shift(1), Elastic(), Rotate(1), Scale(0.1), Shear(1)]
    assert stages(geometry) == ['_Resampling']
    assert stages([*geometry, Erase(), *geometry, Elastic()]) == ['_Resampling', '_Erasing', *['_Resampling'] * 2]
    assert stages([]) == []


def test_an_image_is_interpolated_once_for_each_fill():
    def numbers(augmentations):
        return [stage.numbers for stage in Pipeline(augmentations, (5, 5, 1), np.dtype('float32'))._stages]

    assert numbers([Shift(1, 'edge'), Flip(), Rotate(1, 'edge'), Crop(1, 'edge')]) == [7]
    assert numbers([Flip(), Shift(1, 'edge'), Rotate(1), Flip(), Shear(1, 0.5)]) == [4, 3, 1]
    assert numbers([Shift(1), Brightness(), Shift(1)]) == [2, 1, 2]


@pytest.mark.parametrize('dtype', TOLERANCES)
@pytest.mark.parametrize('channels', [1, 3])
def test_bits_do_not_depend_on_the_number_of_threads(compiled_kernels, dtype, channels):
    x = images(33, 30, 37, channels, dtype)
    before, found = cnnx.num_threads(), []
    try:
        for threads in (1, 2, 3, 8):
            cnnx.set_num_threads(threads)
            found.append(changed(x, ALL).tobytes())
    finally:
        cnnx.set_num_threads(before)
    assert set(found) == {found[0]}


@pytest.mark.parametrize('n', [1, 2, 5, 8])
def test_a_batch_of_any_size_is_changed_sample_by_sample(compiled_kernels, n):
    x = images(8)
    matrices = np.random.default_rng(1).normal(size=(8, 2, 3))
    displacements = field(8, 7, 9)
    whole = resampled(x, matrices, displacements)
    np.testing.assert_array_equal(resampled(x[:n], matrices[:n], displacements[:n]), whole[:n])
    np.testing.assert_array_equal(field(n, 7, 9), displacements[:n])


@pytest.mark.usefixtures('each_backend')
def test_an_image_can_be_resampled_in_its_own_place():
    x = images(6)
    matrices = np.random.default_rng(1).normal(size=(6, 2, 3))
    expected = resampled(x, matrices)
    kernels.current().resample(x, x, matrices, None, 'fill', 0.0, 2)
    np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize('dtype', TOLERANCES)
@pytest.mark.parametrize('shape', [(1, 1, 1), (28, 28, 1), (5, 70, 3), (33, 2, 1)])
def test_the_backends_agree(compiled_kernels, shape, dtype):
    x = images(9, *shape, dtype)
    ours = changed(x, ALL)
    with cnnx.use_backend('numpy'):
        expected = changed(x, ALL)
    np.testing.assert_allclose(ours, expected, atol=50 * TOLERANCES[dtype])


@pytest.mark.usefixtures('each_backend')
def test_the_generator_decides_everything():
    x = images()
    generator = np.random.default_rng(3)
    pipeline = Pipeline(ALL, x.shape[1:], x.dtype)
    state, found = generator.bit_generator.state, []
    for _ in range(2):
        found.append(x.copy())
        pipeline.change(found[-1], generator)
    assert not np.allclose(*found)
    generator.bit_generator.state = state
    for expected in found:
        again = x.copy()
        Pipeline(ALL, x.shape[1:], x.dtype).change(again, generator)
        np.testing.assert_array_equal(again, expected)


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf, 1e300])
# Contrast takes means of channels, Colour mixes them, DigitShapes needs labels.
@pytest.mark.parametrize('kind', [kind for kind in AUGMENTATIONS if kind not in ('Contrast', 'Colour', 'DigitShapes')])
def test_pixels_that_are_not_finite_stay_near_their_place(kind, value):
    x = images(4, 12, 12)
    x[1, 5, 5, 0] = value
    arguments = {'Shift': [1], 'Crop': [1], 'Flip': [], 'Elastic': []}.get(kind, [0.5])
    augmentations = [AUGMENTATIONS[kind](*arguments)]
    with np.errstate(all='ignore'):
        y = changed(x, augmentations)
    assert np.isfinite(y[[0, 2, 3]]).all()
    assert np.isfinite(y[1, :, :, 1]).all()
    assert (~np.isfinite(y[1])).sum() < 50


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('outside', ['fill', 'edge', 'reflect'])
@pytest.mark.parametrize('wrong', [np.nan, np.inf, -np.inf, 1e30, -1e30])
def test_places_that_are_none_read_zero_or_the_edge_and_nothing_beyond(wrong, outside):
    x = images()
    matrices = np.tile(np.eye(3)[:2], (5, 1, 1))
    for n in range(5):
        matrices[n].flat[n] = wrong
    with np.errstate(all='ignore'):
        y = resampled(x, matrices, np.full((5, 2, 7, 9), wrong), outside=outside)
    assert np.isfinite(y).all()
    assert abs(y).max() <= 1


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('dtype', TOLERANCES)
@pytest.mark.parametrize('outside', ['fill', 'edge', 'reflect'])
def test_places_of_any_size_lead_nowhere_beyond_the_image(outside, dtype):
    rng = np.random.default_rng(0)
    x = images(30, 6, 37, 1, dtype)
    with np.errstate(all='ignore'):
        for _ in range(20):
            matrices, displacements = (
                (rng.choice([0, 1, -1, 1e-40, 1e9, 1e38, -3e38, np.inf, -np.inf, np.nan], shape)).astype(dtype)
                for shape in ((30, 2, 3), (30, 2, 6, 37))
            )
            y = resampled(x, matrices, displacements, outside=outside)
            assert y.min() >= 0
            assert y.max() <= x.max()


@pytest.mark.usefixtures('each_backend')
def test_huge_parameters_empty_the_image():
    x = images(20)
    for augmentations in ([Shift(2**31 - 2)], [Elastic(2**31 - 2, 1)], [Shear(np.nextafter(90, 0)), Shift(1e9)]):
        assert np.isfinite(changed(x, augmentations)).all()
    assert (changed(x, [Shift(2**31 - 2)]) == 0).all()


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('shape', [(0, 5, 5, 1), (3, 1, 1, 1), (2, 1, 1, 4)])
def test_no_images_and_the_smallest_ones(shape):
    x = np.ones(shape)
    y = changed(x, ALL)
    assert y.shape == shape
    assert np.isfinite(y).all()
    np.testing.assert_array_equal(changed(x, [Rotate(180), Scale(0.5)]), x)


def test_a_step_takes_no_memory_of_the_batches_size():
    x = np.zeros((64, 28, 28, 1), np.uint8)
    net = small_network()
    samples = ArrayData(net, *small_data(64))
    samples.x = x
    pipeline = Pipeline(ALL, x.shape[1:], np.dtype('float32'))
    index, generator = np.arange(64), np.random.default_rng(0)
    first, _ = pipeline.batch(samples, index, generator)
    again, _ = pipeline.batch(samples, index[:50], generator)
    assert np.shares_memory(first, again)
