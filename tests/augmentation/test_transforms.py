"""Augmentation: where pixels go, what is random, and that training sees it and nothing else does."""

import json

import numpy as np
import pytest
from models import bits, small_data, small_network

import cnnx
from cnnx import checkpoint, kernels
from cnnx.augmentation import Elastic, Erase, Rotate, Scale, Shear, Shift
from cnnx.augmentation.pipeline import Pipeline
from cnnx.augmentation.transforms import AUGMENTATIONS, as_augmentations
from cnnx.data import preprocess_mnist_data
from cnnx.training.array_data import ArrayData

ALL = [Shift(1.5), Rotate(20), Scale(0.2), Shear(15), Elastic(12, 2), Erase(0.7, 0.3, (0, 1)), Shift(1)]
TOLERANCES = {'float32': 1e-5, 'float64': 1e-12}


@pytest.fixture(params=['cython', 'numpy'])
def backend(request):
    """Run a test on each backend that is there."""
    if request.param == 'cython':
        request.getfixturevalue('compiled_kernels')
    with cnnx.use_backend(request.param):
        yield


def images(n=5, height=7, width=9, channels=2, dtype='float64', seed=0):
    return np.random.default_rng(seed).random((n, height, width, channels)).astype(dtype)


def resampled(x, matrices, displacements=None, threads=1):
    """Return images at places that count from the first pixel."""
    y = np.full_like(x, np.nan)
    matrices = np.ascontiguousarray(np.broadcast_to(matrices, (len(x), 2, 3)), x.dtype)
    kernels.current().resample(x, y, matrices, displacements, threads)
    return y


def changed(x, augmentations, seed=0):
    y = x.copy()
    Pipeline(augmentations, x.shape[1:], x.dtype).change(y, np.random.default_rng(seed))
    return y


def moved(x, augmentation, numbers):
    """Return images changed by the same numbers, from -1 to 1, for all."""
    matrix = augmentation.matrices(np.array(numbers, float)[:, None])[0]
    return resampled(x, about_the_middle(matrix, x.shape))


def about_the_middle(matrix, shape):
    """The same matrix for rows and columns that count from the first pixel."""
    there, back = np.eye(3), np.eye(3)
    there[:2, 2] = (shape[1] - 1) / 2, (shape[2] - 1) / 2
    back[:2, 2] = -there[:2, 2]
    return (there @ matrix @ back)[:2]


# Where pixels go


@pytest.mark.usefixtures('backend')
@pytest.mark.parametrize('dtype', TOLERANCES)
@pytest.mark.parametrize(('rows', 'columns'), [(0, 0), (2, 0), (0, -3), (-1, 4), (6, 8), (7, 0), (0, -9), (100, 3)])
def test_a_shift_by_whole_pixels_moves_them_exactly(rows, columns, dtype):
    x = images(dtype=dtype)
    expected = np.zeros_like(x)
    H, W = x.shape[1:3]
    if abs(rows) < H and abs(columns) < W:
        expected[:, max(rows, 0) : H + min(rows, 0), max(columns, 0) : W + min(columns, 0)] = x[
            :, max(-rows, 0) : H + min(-rows, 0), max(-columns, 0) : W + min(-columns, 0)
        ]
    np.testing.assert_array_equal(moved(x, Shift(100), [rows / 100, columns / 100]), expected)


@pytest.mark.usefixtures('backend')
def test_a_shift_by_half_a_pixel_is_the_mean_of_neighbours_and_fades_at_the_edge():
    x = np.array([1.0, 2.0, 4.0, 8.0]).reshape(1, 1, 4, 1)
    y = moved(x, Shift(1), [0, 0.5])
    assert y.ravel().tolist() == [0.5, 1.5, 3, 6]
    assert moved(x, Shift(1), [0.25, 0]).ravel().tolist() == [0.75, 1.5, 3, 6]


@pytest.mark.usefixtures('backend')
@pytest.mark.parametrize('dtype', TOLERANCES)
@pytest.mark.parametrize('size', [1, 2, 7, 8, 33])
def test_a_quarter_turn_is_that_of_numpy(size, dtype):
    x = images(height=size, width=size, dtype=dtype)
    turned = moved(x, Rotate(90), [1])
    np.testing.assert_allclose(turned, np.rot90(x, axes=(1, 2)), atol=TOLERANCES[dtype] * size)
    np.testing.assert_allclose(moved(x, Rotate(180), [-1]), x[:, ::-1, ::-1], atol=TOLERANCES[dtype] * size)


@pytest.mark.usefixtures('backend')
@pytest.mark.parametrize('dtype', TOLERANCES)
@pytest.mark.parametrize(
    'augmentation', [Shift(0), Rotate(0), Scale(0), Scale(0, True), Shear(0), Elastic(0, 2)], ids=repr
)
def test_what_changes_nothing_leaves_every_bit(augmentation, dtype):
    x = images(width=40, dtype=dtype)
    assert changed(x, [augmentation]).tobytes() == x.tobytes()


@pytest.mark.usefixtures('backend')
def test_twice_as_large_shows_every_second_place_between_pixels():
    x = images(height=5, width=5)
    y = moved(x, Scale(0.5), [1])  # 1.5 times
    middle = 2 + (np.arange(5) - 2) / 1.5
    for p in range(5):
        for q in range(5):
            r, s = int(middle[p]), int(middle[q])
            a, b = middle[p] - r, middle[q] - s
            expected = (1 - a) * (1 - b) * x[:, r, s] + (1 - a) * b * x[:, r, s + 1]
            expected += a * (1 - b) * x[:, r + 1, s] + a * b * x[:, r + 1, s + 1]
            np.testing.assert_allclose(y[:, p, q], expected)


@pytest.mark.usefixtures('backend')
def test_each_axis_has_a_factor_of_its_own():
    x = images(height=5, width=5, channels=1)
    y = moved(x, Scale(0.5, each_axis=True), [1, 0])
    z = np.swapaxes(moved(np.ascontiguousarray(np.swapaxes(x, 1, 2)), Scale(0.5, each_axis=True), [0, 1]), 1, 2)
    np.testing.assert_allclose(y, z, atol=1e-12)
    np.testing.assert_array_equal(y[:, 2], x[:, 2])


@pytest.mark.usefixtures('backend')
def test_a_shear_moves_rows_by_their_distance_from_the_middle():
    x = images(height=5, width=9)
    y = moved(x, Shear(45), [1])
    for p in range(5):
        expected = np.zeros_like(x[:, p])
        by = 2 - p
        expected[:, max(by, 0) : 9 + min(by, 0)] = x[:, p, max(-by, 0) : 9 + min(-by, 0)]
        np.testing.assert_allclose(y[:, p], expected, atol=1e-12)


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


@pytest.mark.usefixtures('backend')
def test_a_shift_behind_a_quarter_turn_shifts_what_was_turned():
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


@pytest.mark.usefixtures('backend')
def test_displacements_are_added_to_the_places():
    x = images(n=1, height=3, width=4, channels=3)
    displacements = np.zeros((1, 2, 3, 4))
    displacements[0, :, 1, 2] = 1, -2
    displacements[0, :, 0, 0] = 0.5, 0
    displacements[0, :, 2, 3] = -2, -3
    y = resampled(x, np.eye(3)[:2], displacements)
    np.testing.assert_array_equal(y[0, 1, 2], x[0, 2, 0])
    np.testing.assert_allclose(y[0, 0, 0], (x[0, 0, 0] + x[0, 1, 0]) / 2)
    np.testing.assert_array_equal(y[0, 2, 3], x[0, 0, 0])
    np.testing.assert_array_equal(y[0, 1, :2], x[0, 1, :2])


@pytest.mark.usefixtures('backend')
@pytest.mark.parametrize(
    'augmentations', [[Shift(3)], [Rotate(180)], [Elastic(30, 1)], [Scale(0.9), Shear(60)]], ids=repr
)
def test_no_pixel_leaves_the_range_of_the_image_and_zero(augmentations):
    x = images(20, 12, 12) + 1
    y = changed(x, augmentations)
    assert y.min() >= 0
    assert y.max() <= x.max()


@pytest.mark.usefixtures('backend')
def test_a_shift_within_an_empty_border_keeps_the_sum():
    x = np.zeros((50, 12, 12, 1))
    x[:, 4:8, 4:8] = images(50, 4, 4, 1)
    y = changed(x, [Shift(3)])
    np.testing.assert_allclose(y.sum(axis=(1, 2)), x.sum(axis=(1, 2)))
    assert not np.allclose(y, x)


# Elastic fields


def field(n=3, height=9, width=20, sigma=2.0, alpha=5.0, key=7, dtype='float64', threads=1):
    displacements = np.full((n, 2, height, width), np.nan, dtype)
    elastic = Elastic(alpha, sigma)
    weights = elastic.weights(max(height, width)).astype(dtype)
    alpha = elastic.alpha / elastic.spacing
    kernels.current().elastic_fields(displacements, weights, elastic.spacing, key, alpha, threads)
    return displacements


@pytest.mark.usefixtures('backend')
def test_a_field_is_smoothed_noise_with_nothing_outside():
    noise = field(sigma=1e-300)
    assert abs(noise).max() <= 5
    weights = Elastic(sigma=2).weights(20)
    assert len(weights) == 7
    whole = np.concatenate([weights[:0:-1], weights])
    assert whole.sum() == pytest.approx(1)
    for axis in (2, 3):
        noise = np.apply_along_axis(lambda line: np.convolve(line, whole)[6:-6], axis, noise)
    np.testing.assert_allclose(field(), noise, atol=1e-12)


@pytest.mark.usefixtures('backend')
@pytest.mark.parametrize('spacing', [2, 3, 7])
@pytest.mark.parametrize(('height', 'width'), [(9, 20), (1, 1), (7, 15), (8, 22)])
def test_a_wide_field_is_linear_between_every_few_rows_and_columns(spacing, height, width):
    weights, (rows, columns) = np.array([0.5, 0.25]), (-(-(size - 1) // spacing) + 1 for size in (height, width))
    coarse, found = np.empty((2, 2, rows, columns)), np.empty((2, 2, height, width))
    kernels.current().elastic_fields(coarse, weights, 1, 7, 5.0, 1)
    kernels.current().elastic_fields(found, weights, spacing, 7, 5.0, 1)
    expected = coarse
    for axis, size in ((2, height), (3, width)):
        places = np.arange(size) / spacing
        expected = np.apply_along_axis(
            lambda line, at: np.interp(at, np.arange(len(line)), line), axis, expected, places
        )
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_fields_are_computed_for_fewer_places_the_smoother_they_are():
    assert [Elastic(1, sigma).spacing for sigma in (1e-300, 1, 3.9, 4, 6.5, 12)] == [1, 1, 1, 2, 3, 6]
    assert [len(Elastic(1, sigma).weights(100)) for sigma in (1, 3, 4, 6, 12)] == [4, 10, 7, 7, 7]


@pytest.mark.usefixtures('backend')
def test_fields_have_the_deviation_that_is_documented():
    inside = field(1500, 34, 34, sigma=4, alpha=34)[:, :, 13:-13, 13:-13]
    assert inside.std() == pytest.approx(34 / (4 * np.sqrt(12 * np.pi)), rel=0.05)
    assert abs(inside.mean()) < 0.1
    rows, columns = np.moveaxis(inside, 1, 0)
    assert abs(np.corrcoef(rows.ravel(), columns.ravel())[0, 1]) < 0.15


@pytest.mark.usefixtures('backend')
def test_another_key_gives_another_field():
    assert not np.allclose(field(key=1), field(key=2))
    np.testing.assert_array_equal(field(key=1, alpha=0), 0)


@pytest.mark.usefixtures('backend')
@pytest.mark.parametrize(('height', 'width'), [(1, 1), (1, 40), (40, 1), (2, 3), (17, 16), (5, 65)])
def test_a_field_of_any_size_is_finite_and_written_whole(height, width):
    for sigma in (1e-300, 0.3, 5, 1e308):
        found = field(2, height, width, sigma=sigma)
        assert np.isfinite(found).all()
        assert abs(found).max() <= 5


# Erasing


@pytest.mark.usefixtures('backend')
def test_a_box_is_filled_and_nothing_else():
    x = images(3)
    y = x.copy()
    boxes = np.array([[1, 2, 3, 5], [0, 0, 0, 0], [-5, 8, 99, 99]], np.int32)
    kernels.current().erase(y, boxes, 1, 5.0, 5.0, 1)
    expected = x.copy()
    expected[0, 1:3, 2:5] = expected[2, :, 8:] = 5
    np.testing.assert_array_equal(y, expected)


def test_boxes_have_the_share_and_the_place_that_is_asked_for():
    numbers = np.random.default_rng(0).random((5, 4000))
    boxes = Erase(0.25, 0.3).boxes(numbers, 28, 28)
    top, left, bottom, right = boxes.T
    erased = bottom > top
    assert erased.mean() == pytest.approx(0.25, abs=0.02)
    assert min(top.min(), left.min()) == 0
    assert max(bottom.max(), right.max()) == 28
    shares = ((bottom - top) * (right - left))[erased] / 28**2
    assert 0.012 < shares.min() < 0.03
    assert 0.27 < shares.max() < 0.33
    ratios = ((bottom - top) / np.maximum(right - left, 1))[erased]
    assert np.median(ratios) == pytest.approx(1, abs=0.1)
    assert 0.2 < ratios.min() < 0.35


@pytest.mark.parametrize(('probability', 'share'), [(1, 1), (1, 0.001), (0, 1)])
@pytest.mark.parametrize(('height', 'width'), [(1, 1), (1, 50), (50, 1), (6, 6)])
def test_boxes_lie_in_images_of_any_size(probability, share, height, width):
    numbers = np.random.default_rng(0).random((5, 500))
    numbers[:, 0], numbers[:, 1] = 0, np.nextafter(1, 0)
    top, left, bottom, right = Erase(probability, share).boxes(numbers, height, width).T
    assert top.min() >= 0
    assert left.min() >= 0
    assert bottom.max() <= height
    assert right.max() <= width
    assert (bottom > top).all() == (right > left).all() == (probability == 1)


@pytest.mark.usefixtures('backend')
def test_erased_pixels_are_random_from_one_end_of_the_fill_to_the_other():
    y = changed(np.full((200, 8, 8, 2), 9.0), [Erase(1, 0.5, (-1, 3))])
    erased = y[y != 9]
    assert -1 <= erased.min() < -0.95
    assert 2.95 < erased.max() <= 3
    assert erased.mean() == pytest.approx(1, abs=0.1)
    assert len(np.unique(erased)) == len(erased)


# Determinism


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


@pytest.mark.usefixtures('backend')
def test_an_image_can_be_resampled_in_its_own_place():
    x = images(6)
    matrices = np.random.default_rng(1).normal(size=(6, 2, 3))
    expected = resampled(x, matrices)
    kernels.current().resample(x, x, matrices, None, 2)
    np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize('dtype', TOLERANCES)
@pytest.mark.parametrize('shape', [(1, 1, 1), (28, 28, 1), (5, 70, 3), (33, 2, 1)])
def test_the_backends_agree(compiled_kernels, shape, dtype):
    x = images(9, *shape, dtype)
    ours = changed(x, ALL)
    with cnnx.use_backend('numpy'):
        expected = changed(x, ALL)
    np.testing.assert_allclose(ours, expected, atol=50 * TOLERANCES[dtype])


@pytest.mark.usefixtures('backend')
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


# What no one should pass


@pytest.mark.usefixtures('backend')
@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize('kind', AUGMENTATIONS)
def test_pixels_that_are_not_finite_stay_near_their_place(kind, value):
    x = images(4, 12, 12)
    x[1, 5, 5, 0] = value
    augmentations = [Shift(1) if kind == 'Shift' else AUGMENTATIONS[kind](*[0.5] * (kind != 'Elastic'))]
    with np.errstate(all='ignore'):
        y = changed(x, augmentations)
    assert np.isfinite(y[[0, 2, 3]]).all()
    assert np.isfinite(y[1, :, :, 1]).all()
    assert (~np.isfinite(y[1])).sum() < 50


@pytest.mark.usefixtures('backend')
@pytest.mark.parametrize('wrong', [np.nan, np.inf, -np.inf, 1e30, -1e30])
def test_places_that_are_none_read_zero_or_the_edge_and_nothing_beyond(wrong):
    x = images()
    matrices = np.tile(np.eye(3)[:2], (5, 1, 1))
    for n in range(5):
        matrices[n].flat[n] = wrong
    with np.errstate(all='ignore'):
        y = resampled(x, matrices, np.full((5, 2, 7, 9), wrong))
    assert np.isfinite(y).all()
    assert abs(y).max() <= 1


@pytest.mark.usefixtures('backend')
@pytest.mark.parametrize('dtype', TOLERANCES)
def test_places_of_any_size_lead_nowhere_beyond_the_image(dtype):
    rng = np.random.default_rng(0)
    x = images(30, 6, 37, 1, dtype)
    with np.errstate(all='ignore'):
        for _ in range(20):
            matrices, displacements = (
                (rng.choice([0, 1, -1, 1e-40, 1e9, 1e38, -3e38, np.inf, -np.inf, np.nan], shape)).astype(dtype)
                for shape in ((30, 2, 3), (30, 2, 6, 37))
            )
            y = resampled(x, matrices, displacements)
            assert y.min() >= 0
            assert y.max() <= x.max()


@pytest.mark.usefixtures('backend')
def test_huge_parameters_empty_the_image():
    x = images(20)
    for augmentations in ([Shift(2**31 - 2)], [Elastic(2**31 - 2, 1)], [Shear(np.nextafter(90, 0)), Shift(1e9)]):
        assert np.isfinite(changed(x, augmentations)).all()
    assert (changed(x, [Shift(2**31 - 2)]) == 0).all()


@pytest.mark.usefixtures('backend')
@pytest.mark.parametrize('shape', [(0, 5, 5, 1), (3, 1, 1, 1), (2, 1, 1, 4)])
def test_no_images_and_the_smallest_ones(shape):
    x = np.ones(shape)
    y = changed(x, ALL)
    assert y.shape == shape
    assert np.isfinite(y).all()
    np.testing.assert_array_equal(changed(x, [Rotate(180), Scale(0.5)]), x)


@pytest.mark.parametrize('wrong', [None, -1, np.nan, np.inf, 'far', True, 10**400, [1], 1j, 2**31])
def test_arguments_that_are_no_such_numbers_are_refused(wrong):
    for kind, name in (
        (Shift, 'pixels'), (Rotate, 'degrees'), (Scale, 'share'), (Shear, 'degrees'), (Elastic, 'alpha'),
        (lambda value: Elastic(1, value), 'sigma'), (Erase, 'probability'), (lambda value: Erase(0.5, value), 'share'),
    ):  # fmt: skip
        if name == 'sigma' and wrong == 2**31:
            continue
        with pytest.raises(ValueError, match=f'{name}: expected'):
            kind(wrong)


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: Rotate(180.1), 'degrees: expected a finite number of at least 0'),
        (lambda: Scale(1), 'share: expected a finite number of at least 0 and less than 1'),
        (lambda: Scale(0.1, 1), 'each_axis: expected True or False, got 1'),
        (lambda: Shear(90), 'degrees: expected a finite number of at least 0 and less than 90'),
        (lambda: Elastic(1, 0), 'sigma: expected a finite number of more than 0'),
        (lambda: Erase(1.01), 'probability: expected a finite number'),
        (lambda: Erase(1, 0), 'share: expected a finite number of more than 0'),
        (lambda: Erase(1, 1.5), 'share: expected at most 1'),
        (lambda: Erase(1, 0.5, 'white'), 'fill: expected a finite number, or a pair'),
        (lambda: Erase(1, 0.5, (1, 0)), 'fill: expected'),
        (lambda: Erase(1, 0.5, (0, 1, 2)), 'fill: expected'),
        (lambda: Erase(1, 0.5, np.nan), 'fill: expected'),
        (lambda: Erase(1, 0.5, 10**400), 'fill: expected'),
        (lambda: as_augmentations('Shift'), 'augment: expected a list such as'),
        (lambda: as_augmentations(Shift(1)), 'augment: expected a list such as'),
        (lambda: as_augmentations([Shift]), 'augment: expected objects of cnnx.augmentation'),
        (lambda: as_augmentations(['flip']), 'Shift, Rotate, Scale, Shear, Elastic, Erase.*got .flip.'),
        (lambda: Pipeline([Shift(1)], (784,), np.dtype('float32')), 'expected a network of images'),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize('kind', AUGMENTATIONS)
def test_settings_make_the_same_object_again_and_json_holds_them(kind):
    made = AUGMENTATIONS[kind](0.5)
    again = AUGMENTATIONS[kind](**json.loads(json.dumps(made.settings())))
    assert repr(again) == repr(made) == eval(repr(made), dict(AUGMENTATIONS)).__repr__()


# Training


def weights_after(x, y, augmentations=ALL, seed=0, dtype='float32', **options):
    net = small_network(seed, dtype)
    net.train(x, y, **({'epochs': 2, 'batch_size': 8, 'verbose': 0, 'augment': augmentations} | options))
    return bits(net)


@pytest.mark.usefixtures('backend')
def test_training_sees_what_the_pipeline_makes_of_each_batch():
    x, y = small_data(20)
    expected = small_network()
    generator = np.random.default_rng()
    generator.bit_generator.state = expected.generator.bit_generator.state
    batches, pipeline = [], Pipeline(ALL, x.shape[1:], x.dtype)
    for first in range(0, 20, 8):
        batch = x[first : first + 8].copy()
        pipeline.change(batch, generator)
        batches.append((batch, y[first : first + 8]))
    expected.train(batches, epochs=1, learning_rate=0.1, verbose=0)
    assert bits(expected) == weights_after(x, y, epochs=1, learning_rate=0.1, shuffle=False)
    assert bits(expected) != weights_after(x, y, None, epochs=1, learning_rate=0.1, shuffle=False)


@pytest.mark.usefixtures('backend')
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('kind', ['uint8', 'float64', '>f4', 'fortran', 'strided', 'mapped', 'misaligned'])
def test_images_of_any_kind_are_converted_batch_by_batch_and_left_alone(tmp_path, kind, dtype):
    x, y = small_data(20)
    x = (x * 100).astype(np.uint8)
    plain = x.astype(dtype)
    if kind == 'mapped':
        np.save(tmp_path / 'x.npy', x)
        given = np.load(tmp_path / 'x.npy', mmap_mode='r')
    elif kind == 'misaligned':
        given = np.ndarray(x.shape, 'f8', np.zeros(8 * x.size + 1, np.uint8), 1)
        given[...] = x
    elif kind in ('fortran', 'strided'):
        given = np.asfortranarray(x) if kind == 'fortran' else np.repeat(x, 2, axis=2)[:, :, ::2]
    else:
        given = x.astype(kind)
    before = given.tobytes()
    if kind != 'mapped':
        given.flags.writeable = False
    options = {'learning_rate': 1e-4, 'dtype': dtype}
    assert weights_after(given, y, **options) == weights_after(plain, y, **options)
    assert given.tobytes() == before


@pytest.mark.usefixtures('backend')
def test_validation_and_evaluation_see_the_images_as_they_are():
    x, y = small_data(30)
    net = small_network()
    history = net.train(x, y, epochs=1, verbose=0, augment=[Erase(1, 1)], validation_data=(x, y))
    assert history['val_loss'][0] == net.evaluate(x, y)['loss']
    assert history['loss'][0] != history['val_loss'][0]


def test_weights_and_targets_go_with_their_images(compiled_kernels):
    x, y = small_data(24)
    weights = np.linspace(0, 2, 24)
    options = {'sample_weight': weights, 'class_weight': {1: 2.0}, 'validation_split': 0.25, 'shuffle': False}
    unchanged = [Shift(0)]
    assert weights_after(x, y, unchanged, **options) == weights_after(x, y, None, **options)
    assert weights_after(x, y, **options) != weights_after(x, y, unchanged, **options)


def test_batches_of_a_stream_are_augmented(compiled_kernels):
    x, y = small_data(24)
    batches = [(x[i : i + 8], y[i : i + 8]) for i in range(0, 24, 8)]
    assert weights_after(batches, None) == weights_after(x, y, shuffle=False)


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


def test_a_sample_that_is_not_finite_is_named_by_its_number():
    x, y = small_data(50)
    x[21, 3, 3] = np.nan
    with pytest.raises(cnnx.DivergenceError, match='sample 21 of x holds a number that is not finite'):
        small_network().train(x, y, epochs=1, batch_size=8, verbose=0, augment=[Shift(0.5)])


def test_networks_of_other_samples_are_refused_before_anything_is_changed():
    net = cnnx.Network(seed=0)
    net.add(cnnx.Dense(4, 3))
    net.add(cnnx.Softmax())
    net.compile(cnnx.CategoricalCrossEntropy(), cnnx.SGD())
    before, state = bits(net), net.generator.bit_generator.state
    with pytest.raises(ValueError, match=r'augment: expected a network of images .*, its input is \(4,\)'):
        net.train(np.zeros((6, 4)), [0, 1, 2] * 2, augment=[Shift(1)], verbose=0)
    assert (bits(net), net.generator.bit_generator.state) == (before, state)


def test_a_resume_with_other_augmentation_says_so(tmp_path, capsys):
    x, y = small_data(20)
    options = {'checkpoint_dir': tmp_path, 'verbose': 1, 'resume_from_checkpoint': True}
    small_network().train(x, y, epochs=1, augment=[Shift(1), Erase(1, 0.2, (0, 1))], **options)
    described = checkpoint.read(tmp_path / 'model_epoch_1.npz')[1]['settings']['augment']
    assert described == [
        {'kind': 'Shift', 'pixels': 1.0},
        {'kind': 'Erase', 'probability': 1.0, 'share': 0.2, 'fill': [0.0, 1.0]},
    ]
    small_network().train(x, y, epochs=2, augment=[Shift(1), Erase(1, 0.2, (0, 1))], **options)
    assert 'augment' not in capsys.readouterr().out
    small_network().train(x, y, epochs=3, augment=[Rotate(5)], **options)
    said = capsys.readouterr().out
    assert "augment was [{'kind': 'Shift', 'pixels': 1.0}" in said
    assert "and is [{'kind': 'Rotate', 'degrees': 5.0}] from here on" in said


def test_fewer_images_generalize_better_with_augmentation(compiled_kernels):
    (x, y), test = preprocess_mnist_data()
    from models import lenet5

    found = []
    for augmentations in (None, [Shift(2), Rotate(10), Scale(0.1), Shear(10)]):
        net = lenet5()
        net.train(x[:500], y[:500], epochs=12, learning_rate=0.02, verbose=0, augment=augmentations)
        found.append(net.evaluate(*test)['accuracy'])
    assert found[1] > found[0] + 0.005
