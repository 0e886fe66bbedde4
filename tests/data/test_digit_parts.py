"""Which strokes are the digit: loose ones, frames, marks at the edge."""

import numpy as np
import pytest

pytest.importorskip('PIL')
from cnnx.data.digit_parts import ONE_DIGIT, box_of, digit_mask, is_sheet, stroke_width


def drawn(*boxes, shape=(100, 100)):
    """Return a mask with rectangles: top, bottom, left, right."""
    mask = np.zeros(shape, bool)
    for top, bottom, left, right in boxes:
        mask[top:bottom, left:right] = True
    return mask


BAR = (20, 80, 48, 54)


@pytest.mark.parametrize(
    'part',
    [(20, 26, 58, 80), (20, 60, 57, 63), (14, 18, 30, 70), (86, 92, 40, 60)],
    ids=['a short one beside', 'a long one close by', 'a bar above', 'a base below'],
)
def test_loose_strokes_belong_to_the_digit(part):
    notes = []
    np.testing.assert_array_equal(digit_mask(drawn(BAR, part), notes), drawn(BAR, part))
    assert notes == []


@pytest.mark.parametrize(
    'part', [(40, 43, 60, 63), (20, 75, 80, 86), (95, 100, 0, 30)], ids=['a speck', 'another digit', 'an edge']
)
def test_what_does_not_belong_to_the_digit(part):
    notes = []
    np.testing.assert_array_equal(digit_mask(drawn(BAR, part), notes), drawn(BAR))
    another = f'{ONE_DIGIT} 1 more of similar size; strokes of a digit touch, or nearly so'
    assert notes == ([another] if part[0] == 20 else [])


def test_what_is_drawn_around_a_digit_is_left_out_with_a_note():
    rows, columns = np.indices((120, 120)) - 60
    ring, notes = np.abs(np.hypot(rows, columns) - 50) < 3, []
    bar = (np.abs(columns) < 4) & (np.abs(rows) < 22)
    np.testing.assert_array_equal(digit_mask(ring | bar, notes), bar)
    assert notes == [f'{ONE_DIGIT} what is drawn around it']


def test_a_digit_at_the_edge_is_kept_with_a_note():
    notes = []
    digit = (0, 80, 48, 54)
    np.testing.assert_array_equal(digit_mask(drawn(digit), notes), drawn(digit))
    assert notes == ['the digit touches the edge of the picture: leave a margin around it']


def test_frames_are_left_out():
    frame = drawn((5, 95, 5, 95)) & ~drawn((8, 92, 8, 92))
    np.testing.assert_array_equal(digit_mask(frame | drawn(BAR), []), drawn(BAR))
    y, x = np.indices((100, 100)) - 50
    distance = np.abs(y) + np.abs(x)  # a frame that stands on its corner
    diamond = (distance > 44) & (distance < 48)
    np.testing.assert_array_equal(digit_mask(diamond | drawn(BAR), []), drawn(BAR))


def test_a_line_that_crosses_the_picture_at_its_edge_is_left_out_and_one_that_is_shorter_is_not():
    np.testing.assert_array_equal(digit_mask(drawn(BAR, (84, 87, 0, 100)), []), drawn(BAR))
    base = (80, 84, 14, 88)
    np.testing.assert_array_equal(digit_mask(drawn(BAR, base), []), drawn(BAR, base))


def test_nothing_and_dust_are_no_digit():
    assert digit_mask(drawn(), []) is None
    assert digit_mask(drawn((50, 53, 50, 53), (20, 22, 20, 22)), []) is None


def test_sheets_of_paper_are_told_from_strokes():
    cross = drawn(BAR, (45, 51, 20, 80))
    sheet = drawn((10, 90, 15, 85))
    assert not is_sheet(cross)
    assert is_sheet(sheet)
    assert is_sheet(sheet & ~cross)
    assert not is_sheet(drawn(BAR))


def test_widths_and_boxes():
    assert box_of(drawn(BAR)) == BAR
    assert np.isclose(stroke_width(drawn(BAR)), 2 * 360 / (2 * 66) / 60)
