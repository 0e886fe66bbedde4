"""Geometric augmentations: where pixels go, what lies outside of an image, and fields of elastic distortion."""

import numpy as np
import pytest
from augmentation_cases import TOLERANCES, about_the_middle, changed, field, images, resampled

from cnnx import kernels
from cnnx.augmentation import Crop, Elastic, Flip, Rotate, Scale, Shear, Shift


def moved(x, augmentation, numbers):
    """Return images changed by the same numbers, from -1 to 1, for all."""
    matrix = augmentation.matrices(np.array(numbers, float)[:, None])[0]
    return resampled(x, about_the_middle(matrix, x.shape), fill=augmentation.fill or 0)


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
@pytest.mark.parametrize('dtype', TOLERANCES)
def test_a_flip_turns_half_of_the_images_over_and_each_axis_for_itself(dtype):
    x = images(4, dtype=dtype)
    for numbers, expected in (([1, -1], x[:, :, ::-1]), ([-1, 1], x), ([-1, -1], x[:, :, ::-1])):
        np.testing.assert_array_equal(moved(x, Flip(), numbers), expected)
    both = Flip(horizontal=True, vertical=True)
    for numbers, expected in (([-1, 1], x[:, ::-1]), ([-1, -1], x[:, ::-1, ::-1]), ([1, 1], x)):
        np.testing.assert_array_equal(moved(x, both, numbers), expected)
    x = images(400, 2, 3, 1, dtype)
    y = changed(x, [Flip(horizontal=False, vertical=True)])
    flipped = (y == x[:, ::-1]).all(axis=(1, 2, 3))
    assert ((y == x).all(axis=(1, 2, 3)) ^ flipped).all()
    assert 160 < flipped.sum() < 240


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('fill', [0, 0.25, 'edge', 'reflect'])
def test_a_crop_is_a_window_of_the_padded_image_and_every_window_comes(fill):
    x = images(300, 5, 7, 2)
    mode = {'constant_values': fill} if fill in (0, 0.25) else {'mode': fill}
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), **mode)
    y, places = changed(x, [Crop(2, fill)]), []
    for n in range(300):
        windows = {(r, c): padded[n, r : r + 5, c : c + 7] for r in range(5) for c in range(5)}
        places += [place for place, window in windows.items() if np.array_equal(window, y[n])]
    assert len(places) == 300
    assert len(set(places)) == 25


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('dtype', TOLERANCES)
@pytest.mark.parametrize('mode', ['edge', 'reflect'])
@pytest.mark.parametrize(('height', 'width', 'channels'), [(7, 9, 2), (33, 40, 1), (2, 3, 3), (1, 4, 1)])
def test_what_lies_outside_is_that_of_numpys_pad(mode, height, width, channels, dtype):
    x = images(3, height, width, channels, dtype)
    padded = np.pad(x, ((0, 0), (20, 20), (20, 20), (0, 0)), mode=mode)
    for row, column in ((0, 0), (-1, 2), (3, -4), (20, 20), (-20, 13), (-7, -20)):
        matrix = np.array([[1, 0, row], [0, 1, column]])
        expected = padded[:, 20 + row : 20 + row + height, 20 + column : 20 + column + width]
        np.testing.assert_array_equal(resampled(x, matrix, outside=mode), expected)
    between = resampled(x, np.array([[1, 0, -2.5], [0, 1, 0.25]]), outside=mode)
    above, below = (padded[:, row : row + height, 20 : 21 + width] for row in (17, 18))
    mean = (above + below) / 2
    expected = 0.75 * mean[:, :, :-1] + 0.25 * mean[:, :, 1:]
    np.testing.assert_allclose(between, expected, atol=TOLERANCES[dtype])


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize(
    'make',
    [lambda fill: Shift(9, fill), lambda fill: Rotate(90, fill), lambda fill: Scale(0.9, True, fill),
     lambda fill: Shear(60, fill), lambda fill: Elastic(30, 1, fill), lambda fill: Crop(9, fill)],
)  # fmt: skip
def test_each_kind_takes_a_fill(make):
    x = images(20, 12, 12) + 1
    assert changed(x, [make(0)]).min() < 1 <= changed(x, [make('edge')]).min()
    assert changed(x, [make('reflect')]).min() >= 1
    assert changed(x, [make(5)]).max() > 2 >= changed(x, [make('edge')]).max()
    with pytest.raises(ValueError, match="fill: expected a finite number, 'edge' or 'reflect', got 'wrap'"):
        make('wrap')


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
