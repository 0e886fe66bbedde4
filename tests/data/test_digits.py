"""Photographs of digits, prepared as MNIST is."""

import numpy as np
import pytest

pytest.importorskip('PIL')
from PIL import Image, ImageDraw, ImageFilter

from cnnx.data import DataError, prepare_digit, preprocess_mnist_data
from cnnx.data.connected_components import connected_components
from cnnx.models import pretrained
from tools.photograph_digits import STORED, drawn, enlarged, on_paper, save_photo

SAMPLES = 150


@pytest.fixture(scope='module')
def digits():
    """Return test digits (N, 28, 28, 1) and their labels."""
    _, (x, y) = preprocess_mnist_data()
    return x[:SAMPLES], y[:SAMPLES].argmax(axis=1)


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def of_mass(pixels):
    weights = pixels[..., 0] / pixels.sum()
    return [(weights.sum(axis=1 - axis) * np.arange(28)).sum() for axis in (0, 1)]


def test_a_prepared_digit_is_placed_as_those_of_mnist_are(digits, rng):
    """The originals' boxes are 20 pixels long, and their mass is within half a pixel of pixel 14."""
    for digit in digits[0][:20]:
        pixels = prepare_digit(on_paper(enlarged(digit), rng)).pixels
        assert pixels.shape == (28, 28, 1)
        assert pixels.dtype == np.float32
        assert pixels.min() == 0
        assert pixels.max() == 1
        rows, columns = np.flatnonzero(pixels.any(axis=(1, 2))), np.flatnonzero(pixels.any(axis=(0, 2)))
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
        # A digit that is much heavier on one side stops where its box does.
        assert np.abs(np.array(of_mass(pixels)) - 14).max() < 1


def test_a_photograph_of_a_digit_becomes_that_digit(digits, rng):
    errors = [np.abs(prepare_digit(on_paper(enlarged(digit), rng)).pixels - digit).mean() for digit in digits[0][:15]]
    others = [np.abs(digit - other).mean() for digit, other in zip(digits[0][:15], digits[0][1:16], strict=True)]
    assert np.mean(errors) < 0.25 * np.mean(others)


def test_an_image_of_mnist_stays_nearly_as_it_is(digits):
    assert np.mean([np.abs(prepare_digit(digit).pixels - digit).mean() for digit in digits[0]]) < 0.02


def test_all_ways_to_hold_the_camera_give_the_same(tmp_path, digits, rng):
    photo = on_paper(enlarged(digits[0][0]), rng)
    prepared = [prepare_digit(save_photo(tmp_path / f'{way}.png', photo, way)).pixels for way in STORED]
    for pixels in prepared[1:]:
        np.testing.assert_allclose(pixels, prepared[0], atol=0.02)


def test_a_digit_need_not_be_dark_on_light(digits, rng):
    photo = on_paper(enlarged(digits[0][0]), rng, noise=0)
    np.testing.assert_allclose(prepare_digit(photo).pixels, prepare_digit(1 - photo).pixels, atol=1e-4)


def test_a_frame_is_put_aside(digits, rng):
    photo = on_paper(enlarged(digits[0][0]), rng)
    framed = np.pad(photo[12:-12, 12:-12], 12, constant_values=0.08)
    assert np.abs(prepare_digit(framed).pixels - prepare_digit(photo).pixels).mean() < 0.01


def test_the_largest_of_several_is_taken_with_a_note(digits, rng):
    large, small = enlarged(digits[0][0], 10), enlarged(digits[0][1], 7)
    two = np.zeros((280, 520), np.float32)
    two[:, :280] = large
    two[40:236, 300:496] = small
    prepared = prepare_digit(on_paper(two, rng))
    assert 'expected one digit in a picture' in prepared.notes[0]
    assert np.abs(prepared.pixels - prepare_digit(on_paper(large, rng)).pixels).mean() < 0.03


def test_a_stroke_that_hangs_loose_is_kept(rng):
    """A 5 whose bar was drawn apart."""
    five = np.zeros((200, 150), np.float32)
    five[10:28, 30:130] = 1
    five[45:110, 30:48] = 1
    five[92:110, 30:120] = 1
    five[92:180, 102:120] = 1
    five[162:180, 20:120] = 1
    prepared = prepare_digit(on_paper(five, rng))
    assert prepared.notes == []
    assert np.ptp(np.flatnonzero(prepared.pixels.any(axis=(1, 2)))) == 19
    alone = prepare_digit(on_paper(np.where(np.arange(200)[:, np.newaxis] < 40, 0, five), rng))
    assert np.abs(prepared.pixels - alone.pixels).mean() > 0.1


def test_specks_are_left_out(digits, rng):
    photo = on_paper(enlarged(digits[0][0]), rng)
    dusty = photo.copy()
    for _ in range(40):
        row, column = rng.integers(0, 430), rng.integers(0, 530)
        dusty[row : row + 3, column : column + 3] = 0
    assert np.abs(prepare_digit(dusty).pixels - prepare_digit(photo).pixels).mean() < 0.02


def test_a_digit_at_the_edge_is_taken_with_a_note(digits):
    ink = enlarged(digits[0][0])
    cut = 1 - ink[:, np.flatnonzero(ink.max(axis=0) > 0.5)[0] :]
    assert 'leave a margin' in prepare_digit(cut).notes[0]


BLANKS = {
    'white': lambda rng, x: np.ones_like(x),
    'black': lambda rng, x: np.zeros_like(x),
    'shaded': lambda rng, x: 0.9 - 0.5 * x,
    'grainy': lambda rng, x: 0.8 + rng.normal(0, 0.02, x.shape),
    'noise': lambda rng, x: rng.random(x.shape),
    'a dot': lambda rng, x: np.hypot(*np.indices(x.shape) - np.array([[[150]], [[200]]])) > 8,
    'checked': lambda rng, x: np.indices(x.shape).sum(axis=0) % 2,
}


@pytest.mark.parametrize('kind', BLANKS)
def test_pictures_without_a_digit_are_refused_with_their_name(tmp_path, rng, kind):
    x = np.linspace(0, 1, 400)[np.newaxis].repeat(300, axis=0)
    path = save_photo(tmp_path / 'blank.png', BLANKS[kind](rng, x).clip(0, 1))
    with pytest.raises(DataError, match='no digit to be seen') as caught:
        prepare_digit(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize('bad', [np.zeros((3, 3)), np.zeros((9, 9, 3)), np.full((9, 9), np.nan)])
def test_arrays_that_are_no_picture(bad):
    with pytest.raises(ValueError, match='picture: expected'):
        prepare_digit(bad)
    with pytest.raises(ValueError, match='size: expected'):
        prepare_digit(np.eye(9), size=0)


@pytest.mark.parametrize('shape', [(4, 400), (400, 4), (5000, 10), (4, 4)], ids=str)
def test_odd_shapes_are_taken_or_refused(shape, rng):
    try:
        assert prepare_digit(rng.random(shape) > 0.9).pixels.shape == (28, 28, 1)
    except DataError as error:
        assert 'no digit' in str(error)


def test_thin_strokes_are_made_bolder_without_a_note(digits, rng):
    prepared = prepare_digit(on_paper(drawn(digits[0][0], rng, width=(0.02, 0.02)), rng, contrast=0.8))
    assert prepared.notes == []
    widths = (prepared.pixels[..., 0] > 0.3).sum(axis=1)
    assert np.median(widths[widths > 0]) >= 2


# Small pictures that are easy to get wrong, on white paper of 1.0 with ink of 0


def cross(size, bar, crossbar):
    """Return a plus sign, as the two slices of rows and columns say."""
    picture = np.ones(size, np.float32)
    picture[bar], picture[crossbar] = 0, 0
    return picture


def difference(prepared, expected):
    """Return the mean difference of pixels, where one of the two may be moved by a pixel."""
    moved = [np.roll(prepared.pixels, (y, x), axis=(0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    return min(np.abs(pixels - expected.pixels).mean() for pixels in moved)


def test_a_blurred_digit_at_the_edge_is_filled_not_an_outline():
    sharp = cross((40, 40), np.s_[4:40, 18:22], np.s_[20:24, 8:32])
    image = Image.fromarray((sharp * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1))
    prepared = prepare_digit(np.asarray(image))
    assert difference(prepared, prepare_digit(np.pad(sharp, 12, constant_values=1))) < 0.05
    assert prepared.pixels[4:24, 12:16].max(axis=1).min() > 0.4
    assert prepared.notes == ['the digit touches the edge of the picture: leave a margin around it']


def test_a_speck_is_not_the_digit_where_the_digit_touches_the_edge():
    clean = cross((28, 28), np.s_[2:28, 12:15], np.s_[14:17, 5:22])
    speck = clean.copy()
    speck[3:6, 25] = 0.2
    assert difference(prepare_digit(speck), prepare_digit(np.pad(clean, 9, constant_values=1))) < 0.04


def test_two_bars_side_by_side_are_both_kept():
    picture = cross((30, 30), np.s_[5:25, 10:13], np.s_[5:25, 14:17])
    middle = prepare_digit(picture).pixels[14, :, 0]
    peaks = np.flatnonzero((middle[1:-1] > middle[:-2]) & (middle[1:-1] >= middle[2:]) & (middle[1:-1] > 0.8))
    assert len(peaks) == 2


@pytest.mark.parametrize('ink', [0, 0.75], ids=['black', 'faint'])
@pytest.mark.parametrize('width', [1, 2])
def test_strokes_of_one_or_two_pixels_have_no_gaps(width, ink, rng):
    image = Image.new('L', (90, 90), 230)
    ImageDraw.Draw(image).ellipse((25, 15, 65, 75), outline=int(230 * ink), width=width)
    photo = np.asarray(image) / 255 + rng.normal(0, 0.01, (90, 90))
    inked = prepare_digit(photo.clip(0, 1)).pixels[..., 0] > 0.3
    assert connected_components(inked).max() == 1
    assert connected_components(np.pad(~inked, 1, constant_values=True)).max() == 2  # outside, and the hole


@pytest.mark.parametrize('dark', [True, False])
def test_pictures_of_8_by_8(dark):
    """A bar, and a 7 that begins in the corner."""
    bar, seven = np.ones((8, 8)), np.ones((8, 8))
    bar[1:7, 3:5] = 0
    seven[0, 2:8] = 0
    seven[1:8, 7] = 0
    bar, seven = (prepare_digit(picture if dark else 1 - picture).pixels[..., 0] > 0.5 for picture in (bar, seven))
    assert bar[6:22, 13:15].all()
    assert not bar[:, [8, 19]].any()
    rows, columns = np.flatnonzero(seven.any(axis=1)), np.flatnonzero(seven.any(axis=0))
    assert len(rows) >= 18
    assert len(columns) >= 13
    assert seven[rows[1], columns].all()
    assert seven[rows, columns[-2]].all()


def test_a_thick_digit_is_found():
    square = np.ones((20, 20))
    square[4:16, 4:16] = 0
    pixels = prepare_digit(square).pixels
    assert pixels[6:22, 7:21].min() > 0.9
    assert np.isclose(pixels.sum(), 400, rtol=0.1)


def test_an_image_like_mnist_is_returned_as_it_is_also_dark_on_light(digits):
    for digit in digits[0][:20]:
        np.testing.assert_array_equal(prepare_digit(digit).pixels, digit)
        np.testing.assert_allclose(prepare_digit(1 - digit).pixels, digit, atol=1e-6)


@pytest.mark.parametrize('tilt', [0, 3])
@pytest.mark.parametrize('inset', [0, 12])
def test_a_printed_box_is_put_aside(digits, rng, inset, tilt):
    ink = np.pad(enlarged(digits[0][0]), 20)
    box = Image.new('L', (400, 400))
    edge = 400 - inset - 1
    ImageDraw.Draw(box).rectangle((inset, inset, edge, edge), outline=255, width=6)
    box = np.asarray(box.rotate(tilt), np.float32) / 255
    boxed = np.maximum(np.pad(ink, 40), 0.9 * box)
    settings = {'size': (400, 400), 'noise': 0.01, 'margin': 0}
    expected = prepare_digit(on_paper(np.pad(ink, 40), rng, **settings)).pixels
    assert np.abs(prepare_digit(on_paper(boxed, rng, **settings)).pixels - expected).mean() < 0.02


def test_paper_on_a_table_is_not_the_digit(digits, rng):
    photo = on_paper(enlarged(digits[0][0]), rng)
    for strips in (((60, 0), (50, 0)), ((0, 0), (0, 70)), ((40, 40), (40, 40))):
        on_table = np.pad(photo, strips, constant_values=0.15)
        assert np.abs(prepare_digit(on_table).pixels - prepare_digit(photo).pixels).mean() < 0.02


# Values of pixels

KINDS_OF_NUMBERS = {
    'uint8': lambda grey: (grey * 255).astype(np.uint8),
    'uint16': lambda grey: (grey * 65535).astype(np.uint16),
    'int64': lambda grey: (grey * 255).astype(np.int64),
    'floats to 255': lambda grey: grey * 255,
    '-1 to 1': lambda grey: grey * 2 - 1,
    'a little above 1': lambda grey: grey * 1.00001,
    'float16': lambda grey: grey.astype(np.float16),
}


@pytest.mark.parametrize('kind', KINDS_OF_NUMBERS)
@pytest.mark.parametrize('side', [60, 500])
def test_pixels_may_be_whole_numbers_or_of_another_range(kind, side):
    grey = np.full((side, side), 0.98)
    grey[side // 5 : side * 4 // 5, side * 2 // 5 : side * 23 // 50] = 0.08
    grey[side * 7 // 10 : side * 4 // 5, side * 2 // 5 : side * 3 // 5] = 0.08
    prepared = prepare_digit(KINDS_OF_NUMBERS[kind](grey)).pixels
    np.testing.assert_allclose(prepared, prepare_digit(grey).pixels, atol=0.02)
    assert (prepared > 0.5).sum() > 50


def test_a_mark_five_levels_darker_is_no_ink_in_any_range():
    grey = np.full((100, 100), 200, np.uint8)
    grey[20:80, 20:80] -= 5
    for picture in (grey, grey / 255, grey.astype(float)):
        with pytest.raises(DataError, match='no digit to be seen'):
            prepare_digit(picture)


def test_black_and_white_may_be_true_and_false():
    bar = np.zeros((30, 30), bool)
    bar[5:25, 13:17] = True
    np.testing.assert_array_equal(prepare_digit(bar).pixels, prepare_digit(bar.astype(float)).pixels)


@pytest.mark.parametrize('margin', [0, 1, 3])
def test_digits_that_fill_a_picture_are_read(margin):
    """Digits that were cut out along their ink, as other programs save them."""
    _, (x, y) = preprocess_mnist_data()
    pixels = []
    for image in x[:100, ..., 0]:
        rows, columns = np.nonzero(image > 0.2)
        cut_out = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        pixels.append(prepare_digit(1 - np.pad(np.kron(cut_out, np.ones((5, 5))), margin)).pixels)
    right = pretrained('lenet5-mnist').predict_classes(np.stack(pixels)) == y[:100].argmax(axis=1)
    assert right.sum() >= 96


def test_bytes_may_be_stored_with_16_bits(digits, rng):
    picture = (255 * on_paper(enlarged(digits[0][0]), rng)).astype(np.uint8)
    expected = prepare_digit(picture).pixels
    for dtype in ('uint16', 'int16', 'int64'):
        np.testing.assert_array_equal(prepare_digit(picture.astype(dtype)).pixels, expected)
