"""Photographs of digits, prepared as MNIST is."""

import numpy as np
import pytest

pytest.importorskip('PIL')
from cnnx.data import DataError, prepare_digit, preprocess_mnist_data
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


def test_thin_strokes_are_made_bolder(digits, rng):
    prepared = prepare_digit(on_paper(drawn(digits[0][0], rng, width=(0.03, 0.03)), rng, contrast=0.8))
    assert prepared.notes == ['thin strokes are thickened']
