"""Augmentations: where pixels go, what is random, and which arguments are refused."""

import json

import numpy as np
import pytest
from augmentation_cases import TOLERANCES, about_the_middle, changed, field, images, resampled

from cnnx import kernels
from cnnx.augmentation import Elastic, Erase, Rotate, Scale, Shear, Shift
from cnnx.augmentation.pipeline import Pipeline
from cnnx.augmentation.transforms import AUGMENTATIONS, as_augmentations


def moved(x, augmentation, numbers):
    """Return images changed by the same numbers, from -1 to 1, for all."""
    matrix = augmentation.matrices(np.array(numbers, float)[:, None])[0]
    return resampled(x, about_the_middle(matrix, x.shape))


# Where pixels go


@pytest.mark.usefixtures('each_backend')
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


@pytest.mark.usefixtures('each_backend')
def test_a_shift_by_half_a_pixel_is_the_mean_of_neighbours_and_fades_at_the_edge():
    x = np.array([1.0, 2.0, 4.0, 8.0]).reshape(1, 1, 4, 1)
    y = moved(x, Shift(1), [0, 0.5])
    assert y.ravel().tolist() == [0.5, 1.5, 3, 6]
    assert moved(x, Shift(1), [0.25, 0]).ravel().tolist() == [0.75, 1.5, 3, 6]


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('dtype', TOLERANCES)
@pytest.mark.parametrize('size', [1, 2, 7, 8, 33])
def test_a_quarter_turn_is_that_of_numpy(size, dtype):
    x = images(height=size, width=size, dtype=dtype)
    turned = moved(x, Rotate(90), [1])
    np.testing.assert_allclose(turned, np.rot90(x, axes=(1, 2)), atol=TOLERANCES[dtype] * size)
    np.testing.assert_allclose(moved(x, Rotate(180), [-1]), x[:, ::-1, ::-1], atol=TOLERANCES[dtype] * size)


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('dtype', TOLERANCES)
@pytest.mark.parametrize(
    'augmentation', [Shift(0), Rotate(0), Scale(0), Scale(0, True), Shear(0), Elastic(0, 2)], ids=repr
)
def test_what_changes_nothing_leaves_every_bit(augmentation, dtype):
    x = images(width=40, dtype=dtype)
    assert changed(x, [augmentation]).tobytes() == x.tobytes()


@pytest.mark.usefixtures('each_backend')
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


@pytest.mark.usefixtures('each_backend')
def test_each_axis_has_a_factor_of_its_own():
    x = images(height=5, width=5, channels=1)
    y = moved(x, Scale(0.5, each_axis=True), [1, 0])
    z = np.swapaxes(moved(np.ascontiguousarray(np.swapaxes(x, 1, 2)), Scale(0.5, each_axis=True), [0, 1]), 1, 2)
    np.testing.assert_allclose(y, z, atol=1e-12)
    np.testing.assert_array_equal(y[:, 2], x[:, 2])


@pytest.mark.usefixtures('each_backend')
def test_a_shear_moves_rows_by_their_distance_from_the_middle():
    x = images(height=5, width=9)
    y = moved(x, Shear(45), [1])
    for p in range(5):
        expected = np.zeros_like(x[:, p])
        by = 2 - p
        expected[:, max(by, 0) : 9 + min(by, 0)] = x[:, p, max(-by, 0) : 9 + min(-by, 0)]
        np.testing.assert_allclose(y[:, p], expected, atol=1e-12)


@pytest.mark.usefixtures('each_backend')
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


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize(
    'augmentations', [[Shift(3)], [Rotate(180)], [Elastic(30, 1)], [Scale(0.9), Shear(60)]], ids=repr
)
def test_no_pixel_leaves_the_range_of_the_image_and_zero(augmentations):
    x = images(20, 12, 12) + 1
    y = changed(x, augmentations)
    assert y.min() >= 0
    assert y.max() <= x.max()


@pytest.mark.usefixtures('each_backend')
def test_a_shift_within_an_empty_border_keeps_the_sum():
    x = np.zeros((50, 12, 12, 1))
    x[:, 4:8, 4:8] = images(50, 4, 4, 1)
    y = changed(x, [Shift(3)])
    np.testing.assert_allclose(y.sum(axis=(1, 2)), x.sum(axis=(1, 2)))
    assert not np.allclose(y, x)


@pytest.mark.usefixtures('each_backend')
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


@pytest.mark.usefixtures('each_backend')
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


@pytest.mark.usefixtures('each_backend')
def test_fields_have_the_deviation_that_is_documented():
    inside = field(1500, 34, 34, sigma=4, alpha=34)[:, :, 13:-13, 13:-13]
    assert inside.std() == pytest.approx(34 / (4 * np.sqrt(12 * np.pi)), rel=0.05)
    assert abs(inside.mean()) < 0.1
    rows, columns = np.moveaxis(inside, 1, 0)
    assert abs(np.corrcoef(rows.ravel(), columns.ravel())[0, 1]) < 0.15


@pytest.mark.usefixtures('each_backend')
def test_another_key_gives_another_field():
    assert not np.allclose(field(key=1), field(key=2))
    np.testing.assert_array_equal(field(key=1, alpha=0), 0)


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize(('height', 'width'), [(1, 1), (1, 40), (40, 1), (2, 3), (17, 16), (5, 65)])
def test_a_field_of_any_size_is_finite_and_written_whole(height, width):
    for sigma in (1e-300, 0.3, 5, 1e308):
        found = field(2, height, width, sigma=sigma)
        assert np.isfinite(found).all()
        assert abs(found).max() <= 5


# Erasing


@pytest.mark.usefixtures('each_backend')
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
    fractions = ((bottom - top) * (right - left))[erased] / 28**2
    assert 0.012 < fractions.min() < 0.03
    assert 0.27 < fractions.max() < 0.33
    ratios = ((bottom - top) / np.maximum(right - left, 1))[erased]
    assert np.median(ratios) == pytest.approx(1, abs=0.1)
    assert 0.2 < ratios.min() < 0.35


@pytest.mark.parametrize(('probability', 'fraction'), [(1, 1), (1, 0.001), (0, 1)])
@pytest.mark.parametrize(('height', 'width'), [(1, 1), (1, 50), (50, 1), (6, 6)])
def test_boxes_lie_in_images_of_any_size(probability, fraction, height, width):
    numbers = np.random.default_rng(0).random((5, 500))
    numbers[:, 0], numbers[:, 1] = 0, np.nextafter(1, 0)
    top, left, bottom, right = Erase(probability, fraction).boxes(numbers, height, width).T
    assert top.min() >= 0
    assert left.min() >= 0
    assert bottom.max() <= height
    assert right.max() <= width
    assert (bottom > top).all() == (right > left).all() == (probability == 1)


@pytest.mark.usefixtures('each_backend')
def test_erased_pixels_are_random_from_one_end_of_the_fill_to_the_other():
    y = changed(np.full((200, 8, 8, 2), 9.0), [Erase(1, 0.5, (-1, 3))])
    erased = y[y != 9]
    assert -1 <= erased.min() < -0.95
    assert 2.95 < erased.max() <= 3
    assert erased.mean() == pytest.approx(1, abs=0.1)
    assert len(np.unique(erased)) == len(erased)


@pytest.mark.parametrize('wrong', [None, -1, np.nan, np.inf, 'far', True, 10**400, [1], 1j, 2**31])
def test_arguments_that_are_no_such_numbers_are_refused(wrong):
    for kind, name in (
        (Shift, 'pixels'), (Rotate, 'degrees'), (Scale, 'fraction'), (Shear, 'degrees'), (Elastic, 'alpha'),
        (lambda value: Elastic(1, value), 'sigma'), (Erase, 'probability'),
        (lambda value: Erase(0.5, value), 'fraction'),
    ):  # fmt: skip
        if name == 'sigma' and wrong == 2**31:
            continue
        with pytest.raises(ValueError, match=f'{name}: expected'):
            kind(wrong)


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: Rotate(180.1), 'degrees: expected a finite number of at least 0'),
        (lambda: Scale(1), 'fraction: expected a finite number of at least 0 and less than 1'),
        (lambda: Scale(0.1, 1), 'each_axis: expected True or False, got 1'),
        (lambda: Shear(90), 'degrees: expected a finite number of at least 0 and less than 90'),
        (lambda: Elastic(1, 0), 'sigma: expected a finite number of more than 0'),
        (lambda: Erase(1.01), 'probability: expected a finite number'),
        (lambda: Erase(1, 0), 'fraction: expected a finite number of more than 0'),
        (lambda: Erase(1, 1.5), 'fraction: expected at most 1'),
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
