"""The parts of a digit: which connected strokes on a picture are the digit, and which frame, dust or another digit."""

import numpy as np

from cnnx.data.connected_components import bounding_boxes, connected_components
from cnnx.data.digit_ink import largest_in_squares

AT_EDGE = 'the digit touches the edge of the picture: leave a margin around it'
ONE_DIGIT = 'expected one digit in a picture, and ignored'
OUTER = 0.25  # how far from the edge a printed frame may be, in lengths of the picture
THINNEST_PART = 0.04  # the least area of a loose stroke, in areas of the main one
NEAR, SIDE_BY_SIDE = 0.3, 0.12  # the widest gap to a loose stroke, in lengths of the main one
SOLID, FILLED = 0.33, 0.75  # strokes are narrower, in lengths of the digit, and fill less of their box
WIDE = 0.2  # what covers an edge and is wider is a shadow, not a stroke, in lengths of the picture
MOST_CROSSED = 3  # strokes of a digit that a row or a column of pixels crosses, on average
FILLING = 0.93  # a digit that is this large fills the picture, in lengths of its longer side
LEAST_SIZE = 0.1  # of a digit, as a fraction of the picture's longer side


def digit_mask(mask, notes):
    """Return the part of a mask of strokes (H, W) that is the digit, or None if it has none; add to notes."""
    mask = _without_frame(mask)
    labels = connected_components(mask)
    boxes, areas = bounding_boxes(labels)
    if not len(areas):
        return None
    at_edge = _is_at_edge(boxes, mask.shape)
    sizes = np.max(boxes[:, [1, 3]] - boxes[:, [0, 2]], axis=1)
    around = _surrounds(labels, boxes, sizes)
    outside = (at_edge & _is_outside(labels, boxes)) | around
    candidates = ~outside & (sizes >= LEAST_SIZE * max(mask.shape))
    if not candidates.any():
        candidates = sizes >= LEAST_SIZE * max(mask.shape)
    if not candidates.any():
        return None
    main = np.where(candidates, areas, 0).argmax()
    belongs = _belonging(boxes, areas, main, ~outside)
    others = np.count_nonzero(~belongs & ~outside & (areas > 0.2 * areas[main]))
    if others:
        notes.append(f'{ONE_DIGIT} {others} more of similar size; strokes of a digit touch, or nearly so')
    if (around & ~belongs).any():
        notes.append(f'{ONE_DIGIT} what is drawn around it')
    if (at_edge & belongs).any():
        notes.append(AT_EDGE)
    return np.isin(labels, np.flatnonzero(belongs) + 1)


def fills_the_picture(mask):
    """Return whether a mask (H, W) is hardly more than one digit as large as the picture, such as one that was cut out.

    A frame is as large too, but does not reach the middle.
    """
    labels = connected_components(mask)
    boxes, areas = bounding_boxes(labels)
    lines = [length for _, _, length in _lines_at_edges(mask) if length >= 0.9]
    crossed = [np.count_nonzero(part[1:] > part[:-1]) / part.shape[1] for part in (mask, mask.T)]
    if not len(areas) or is_sheet(mask) or len(lines) > 1 or max(crossed) > MOST_CROSSED:
        return False
    covered = max(edge.mean() for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))
    side = int(WIDE * max(mask.shape)) + 1
    if covered > 0.9 and side <= min(mask.shape) and not largest_in_squares(~mask, side).all():
        return False  # a shadow
    main = areas.argmax()
    belongs = _belonging(boxes, areas, main, np.ones(len(boxes), bool))
    top, bottom, left, right = _around(boxes[belongs])
    size = (bottom - top, right - left)[np.argmax(mask.shape)]
    is_one = areas[main] > 0.5 * mask.sum() and areas[belongs].sum() > 0.9 * mask.sum()
    return is_one and not _is_outside(labels, boxes)[main] and size > FILLING * max(mask.shape)


def stroke_width(mask):
    """Return the mean width of the strokes of a mask (H, W), in lengths of the digit: area by half of the outline."""
    padded = np.pad(mask, 1)
    outline = (padded[1:] != padded[:-1]).sum() + (padded[:, 1:] != padded[:, :-1]).sum()
    top, bottom, left, right = box_of(mask)
    return 2 * mask.sum() / outline / max(bottom - top, right - left)


def is_sheet(mask):
    """Return whether a mask (H, W) may be a sheet of paper, not strokes.

    A sheet is most of the picture, and fills most of its box, or a large square fits into it.
    """
    top, bottom, left, right = box_of(mask)
    height, width = bottom - top, right - left
    side = int(SOLID * max(height, width)) + 1
    if min(height / mask.shape[0], width / mask.shape[1]) < 0.5 or min(height, width) < side:
        return False
    return mask.sum() > FILLED * height * width or not largest_in_squares(~mask[top:bottom, left:right], side).all()


def box_of(mask):
    """Return the bounding box of a mask: top, bottom, left, right."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


def _is_at_edge(boxes, shape):
    return (boxes[:, [0, 2]] == 0).any(axis=1) | (boxes[:, [1, 3]] == shape).any(axis=1)


def _is_outside(labels, boxes):
    """Return which components do not reach the middle of the picture, such as a shadow or the edge of a table."""
    return ~np.isin(np.arange(1, len(boxes) + 1), _middle(labels))


def _surrounds(labels, boxes, sizes):
    """Return which components are hollow and have a digit in their middle: frames, also where they are not upright."""
    found = np.zeros(len(boxes), bool)
    for i in np.flatnonzero(sizes > 0.5 * max(labels.shape)):
        top, bottom, left, right = boxes[i]
        inside = np.unique(_middle(labels[top:bottom, left:right]))
        found[i] = i + 1 not in inside and (sizes[inside[inside > 0] - 1] > 0.3 * sizes[i]).any()
    return found


def _middle(picture):
    height, width = picture.shape
    return picture[int(height * 0.3) : int(np.ceil(height * 0.7)), int(width * 0.3) : int(np.ceil(width * 0.7))]


def _without_frame(mask):
    """Remove printed lines near the edges: each as long as the picture, or two or more that are nearly as long."""
    lines = _lines_at_edges(mask)
    if len(lines) < 2 and not any(length >= 0.95 for _, _, length in lines):
        return mask
    cleaned = mask.copy()
    for axis, line, _ in lines:
        (cleaned if axis == 0 else cleaned.T)[line] = False
    return cleaned if _middle(cleaned).any() else mask


def _lines_at_edges(mask):
    """Return straight lines along the edges of a mask: a list of (axis, rows or columns, length)."""
    return [(axis, line, length) for axis in (0, 1) for line, length in _long_lines(mask if axis == 0 else mask.T)]


def _long_lines(mask):
    """Return straight lines across a mask, near its upper and lower edge: a list of (rows, length)."""
    height, width = mask.shape
    thickest = max(2, round(0.08 * max(height, width)))
    tolerant = mask | np.roll(mask, 1, axis=0) | np.roll(mask, -1, axis=0)
    lengths = _longest_runs(tolerant) / width
    found = []
    for rows in _runs(lengths > 0.68):
        near_edge = rows.stop <= OUTER * height or rows.start >= (1 - OUTER) * height
        if near_edge and rows.stop - rows.start <= thickest + 2:
            found.append((rows, lengths[rows].max()))
    return found


def _longest_runs(mask):
    """Return the length of the longest run of True in each row."""
    longest, run = np.zeros(len(mask), int), np.zeros(len(mask), int)
    for column in mask.T:
        run = (run + 1) * column
        longest = np.maximum(longest, run)
    return longest


def _runs(flags):
    """Return slices, one for each run of True."""
    edges = np.flatnonzero(np.diff(np.pad(flags, 1).astype(np.int8)))
    return [slice(start, stop) for start, stop in edges.reshape(-1, 2)]


def _belonging(boxes, areas, main, allowed):
    """Return which components are the main one, or loose strokes of the same digit."""
    belongs = np.zeros(len(boxes), bool)
    belongs[main] = True
    length = max(boxes[main][1] - boxes[main][0], boxes[main][3] - boxes[main][2])
    large = allowed & (areas >= THINNEST_PART * areas[main])
    while True:
        top, bottom, left, right = _around(boxes[belongs])
        gap_y = np.maximum(np.maximum(top - boxes[:, 1], boxes[:, 0] - bottom), 0)
        gap_x = np.maximum(np.maximum(left - boxes[:, 3], boxes[:, 2] - right), 0)
        overlap = np.minimum(right, boxes[:, 3]) - np.maximum(left, boxes[:, 2])
        is_short = boxes[:, 1] - boxes[:, 0] < 0.6 * (bottom - top)
        reach = length * np.where((overlap > 0) | is_short, NEAR, SIDE_BY_SIDE)
        found = large & (np.hypot(gap_x, gap_y) <= reach) | belongs
        if (found == belongs).all():
            return belongs
        belongs = found


def _around(boxes):
    return boxes[:, 0].min(), boxes[:, 1].max(), boxes[:, 2].min(), boxes[:, 3].max()
