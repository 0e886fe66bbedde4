"""Boxes for object detection: intersection over union, non-maximum suppression, mean average precision, anchors.

A box is top, left, bottom, right, in pixels from the image's top left corner; bottom and right are beyond its last
row and column, so its height is bottom - top. Boxes are arrays (n, 4).
"""

import numpy as np

from cnnx._util.arrays import as_numbers
from cnnx._util.hints import explain_names, public_names
from cnnx._util.validation import non_negative, positive, positive_int

__getattr__, __dir__ = explain_names(__name__), public_names(__name__)


def iou(boxes, others):
    """Return the intersection over union of each box with each of the others.

    The area that both cover, divided by the area that either covers; 0 where both have no area.

    Args:
        boxes: (n, 4).
        others: (m, 4).

    Returns:
        (n, m), from 0 to 1.

    Raises:
        ValueError: an array has another shape.
    """
    boxes, others = _boxes(boxes)[:, np.newaxis], _boxes(others)
    edges = np.minimum(boxes[..., 2:], others[:, 2:]) - np.maximum(boxes[..., :2], others[:, :2])
    both = edges.clip(0).prod(axis=-1)
    areas = [(each[..., 2:] - each[..., :2]).clip(0).prod(axis=-1) for each in (boxes, others)]
    either = areas[0] + areas[1] - both
    return np.divide(both, either, out=np.zeros_like(both), where=either > 0)


def non_maximum_suppression(boxes, scores, labels=None, threshold=0.5):
    """Return which boxes stay when each box is dropped that overlaps a better one.

    Args:
        boxes: (n, 4).
        scores: (n,), larger is better. Of equal scores the first is better.
        labels: (n,), the class of each box, of which only boxes of the same class compete; None for one class.
        threshold: a box is dropped where its intersection over union with a better one is more than this.

    Returns:
        (kept,) indices, the best box first.

    Raises:
        ValueError: the arrays do not fit each other.
    """
    boxes, threshold = _boxes(boxes), non_negative(threshold, 'threshold')
    scores, labels = _one_each(boxes, scores=scores, labels=np.zeros(len(boxes)) if labels is None else labels)
    order, kept = np.argsort(-scores, kind='stable'), []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        drop = (iou(boxes[[best]], boxes[order])[0] > threshold) & (labels[order] == labels[best])
        order = order[~drop]
    return np.array(kept, np.intp)


def mean_average_precision(found, truth, threshold=0.5):
    """Return the mean, over the classes that occur in the truth, of the average precision, from 0 to 1.

    Boxes of a class are taken over all images, the best score first. One is right if its intersection over union with
    a true box of its class and image is at least the threshold; of the true boxes that with which it is largest, which
    counts once. Average precision is the area under the curve of precision over recall, each precision replaced by the
    largest one at the same or a larger recall.

    Source: Everingham et al., "The Pascal visual object classes challenge", 2010, and its development kit since then.

    Args:
        found: a (boxes (n, 4), scores (n,), labels (n,)) for each image.
        truth: a (boxes (m, 4), labels (m,)) for each image.
        threshold: from 0 to 1.

    Raises:
        ValueError: the numbers of images differ, arrays do not fit each other, or there is no true box.
    """
    found, truth = list(found), list(truth)
    if len(found) != len(truth):
        raise ValueError(f'mean_average_precision: expected {len(truth)} images, as the truth has, got {len(found)}')
    found = [(_boxes(boxes), *_one_each(boxes, scores=scores, labels=labels)) for boxes, scores, labels in found]
    truth = [(_boxes(boxes), *_one_each(boxes, labels=labels)) for boxes, labels in truth]
    classes = np.unique(np.concatenate([labels for _, labels in truth])) if truth else []
    if not len(classes):
        raise ValueError('mean_average_precision: there is no true box')
    return float(np.mean([_average_precision(found, truth, label, threshold) for label in classes]))


def _average_precision(found, truth, label, threshold):
    all_scores, all_right, count = [np.empty(0)], [np.empty(0, bool)], 0
    for (boxes, scores, labels), (true_boxes, true_labels) in zip(found, truth, strict=True):
        true_boxes = true_boxes[true_labels == label]
        order = np.flatnonzero(labels == label)
        order = order[np.argsort(-scores[order], kind='stable')]
        all_scores.append(scores[order])
        all_right.append(_right(iou(boxes[order], true_boxes), threshold))
        count += len(true_boxes)
    order = np.argsort(-np.concatenate(all_scores), kind='stable')
    right = np.concatenate(all_right)[order]
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return precision[right].sum() / count  # each box that is right adds 1 / count to the recall


def _right(overlaps, threshold):
    """Return which rows of (found, true) are right, where the rows come best first."""
    right, taken = np.zeros(len(overlaps), bool), set()
    if overlaps.shape[1]:
        for i, best in enumerate(overlaps.argmax(axis=1)):
            right[i] = overlaps[i, best] >= threshold and best not in taken
            if right[i]:
                taken.add(best)
    return right


def anchor_boxes(rows, columns, stride, sizes):
    """Return anchors: boxes of given sizes in the middle of each cell of a grid.

    Args:
        rows, columns: of the grid, which is the shape of the network's output.
        stride: height and width of a cell, in pixels of the image.
        sizes: a list of (height, width) in pixels.

    Returns:
        (rows * columns * len(sizes), 4): the sizes of a cell together, the cells row by row, as `Reshape((-1, n))`
        gives the channels of an output (rows, columns, len(sizes) * n). Anchors may reach beyond the image.

    Raises:
        ValueError: an argument is out of its range.
    """
    rows, columns = positive_int(rows, 'rows'), positive_int(columns, 'columns')
    half = np.array([[positive(side, 'sizes') / 2 for side in size] for size in sizes], np.float32)
    middles = (np.stack(np.mgrid[:rows, :columns], axis=-1).reshape(-1, 1, 2) + 0.5) * positive(stride, 'stride')
    return np.concatenate([middles - half, middles + half], axis=-1).reshape(-1, 4).astype(np.float32)


def match_anchors(anchors, boxes, threshold=0.5):
    """Return which box each anchor should find: (anchors,) indices of boxes, or -1 for none.

    That with which its intersection over union is largest, if it is at least the threshold. Each box also gets the
    anchor that fits it best, however badly; where two boxes share that one, the later box has it.

    Source: Liu et al., "SSD: single shot multibox detector", 2016.
    """
    overlaps = iou(anchors, boxes)
    if not overlaps.shape[1]:
        return np.full(len(overlaps), -1)
    matched = np.where(overlaps.max(axis=1) >= threshold, overlaps.argmax(axis=1), -1)
    matched[overlaps.argmax(axis=0)] = np.arange(overlaps.shape[1])
    return matched


def match_middles(cells, boxes):
    """Return which box each cell of a grid should find: (cells,) indices of boxes, or -1 for none.

    A box is found by the cell whose middle is nearest to its own; where two boxes share that one, the later box has it.

    Source: Redmon et al., "You only look once: unified, real-time object detection", 2016.
    """
    (middles, _), (others, _) = _middle_and_size(_boxes(cells)), _middle_and_size(_boxes(boxes))
    distances = np.abs(middles[:, None] - others).max(axis=-1)
    matched = np.full(len(distances), -1)
    matched[distances.argmin(axis=0)] = np.arange(len(others))
    return matched


def encode_boxes(boxes, anchors):
    """Return boxes as what has to be added to anchors, each box with its anchor: numbers that a network can learn.

    (row - anchor's row) / anchor's height, and so for the columns, of the middles; then the logarithms of height /
    anchor's height and of width / anchor's width. `decode_boxes` is the inverse.

    Source: Girshick et al., "Rich feature hierarchies for accurate object detection", 2014.

    Args:
        boxes: (..., 4), each with a height and a width of more than 0.
        anchors: (..., 4), the same.
    """
    (middle, size), (anchor_middle, anchor_size) = _middle_and_size(boxes), _middle_and_size(anchors)
    return np.concatenate([(middle - anchor_middle) / anchor_size, np.log(size / anchor_size)], axis=-1)


def decode_boxes(offsets, anchors):
    """Return the boxes (..., 4) that offsets (..., 4), as of `encode_boxes`, make of anchors (..., 4).

    A box is made at most 1,000 times as large as its anchor.
    """
    offsets, (middle, size) = np.asarray(offsets), _middle_and_size(anchors)
    middle = middle + offsets[..., :2] * size
    half = size * np.exp(np.minimum(offsets[..., 2:], np.log(1000))) / 2
    return np.concatenate([middle - half, middle + half], axis=-1)


def propose_boxes(image, sizes, each=15):
    """Return windows of an image that look like a thing of its own: brighter inside than in a frame around them.

    Windows of each size stand a quarter of their sides apart. The score of one is its mean, minus the mean of a frame
    of 2 pixels; those that overlap a better one of their size by more than 0.4 are dropped.

    Args:
        image: (H, W), things are bright on a dark ground.
        sizes: a list of (height, width) in pixels.
        each: at most how many windows of each size are returned.

    Returns:
        (n, 4), at most `each` of each size.

    Raises:
        ValueError: the image has another shape, or a window does not fit into it.
    """
    image, found = as_numbers(image, 'image'), []
    if image.ndim != 2 or any(side > length for size in sizes for side, length in zip(size, image.shape, strict=True)):
        raise ValueError(f'propose_boxes: expected an image (H, W) and sizes that fit into it, got {image.shape}')
    sums = np.pad(image.cumsum(axis=0, dtype=np.float64).cumsum(axis=1), ((1, 0), (1, 0)))
    frame = np.array([-2, -2, 2, 2])
    for height, width in sizes:
        tops = np.arange(0, image.shape[0] - height + 1, max(2, height // 4))
        lefts = np.arange(0, image.shape[1] - width + 1, max(2, width // 4))
        top, left = (each.ravel() for each in np.meshgrid(tops, lefts, indexing='ij'))
        windows = np.stack([top, left, top + height, left + width], axis=1)
        inside, area = _sum_and_area(sums, windows)
        total, larger = _sum_and_area(sums, np.clip(windows + frame, 0, [*image.shape, *image.shape]))
        scores = inside / area - (total - inside) / np.maximum(larger - area, 1)
        best = np.argsort(-scores)[: 4 * each]
        found.append(windows[best][non_maximum_suppression(windows[best], scores[best], threshold=0.4)[:each]])
    return np.concatenate(found)


def _sum_and_area(sums, boxes):
    """Return the sum of the pixels in each box, from the sums over all pixels above and to the left, and its area."""
    top, left, bottom, right = boxes.T
    total = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    return total, (bottom - top) * (right - left)


def crop_and_resize(image, boxes, size, margin=0):
    """Cut boxes out of an image and scale each to the same size, by bilinear interpolation.

    Args:
        image: (H, W, C).
        boxes: (n, 4); where they reach beyond the image, the pixels at its edges continue.
        size: (height, width) of a crop.
        margin: how much around a box is cut out with it, on each side, as a fraction of its height or width.

    Returns:
        (n, height, width, C) float32.

    Raises:
        ValueError: an argument has another shape.
    """
    image, boxes = as_numbers(image, 'image'), _boxes(boxes)
    if image.ndim != 3:
        raise ValueError(f'image: expected (H, W, C), got {image.shape}')
    low, high, fraction = [], [], []
    for axis, count in enumerate(size):
        top, bottom = boxes[:, axis, np.newaxis], boxes[:, axis + 2, np.newaxis]
        places = (np.arange(count) + 0.5) / count * (1 + 2 * margin) - margin
        at = top + places * (bottom - top) - 0.5
        at = at.clip(0, image.shape[axis] - 1)
        low.append(at.astype(int))
        high.append(np.minimum(low[axis] + 1, image.shape[axis] - 1))
        fraction.append((at - low[axis]).astype(np.float32))
    down, right = fraction[0][:, :, np.newaxis, np.newaxis], fraction[1][:, np.newaxis, :, np.newaxis]
    rows = [index[:, :, np.newaxis] for index in (low[0], high[0])]
    columns = [index[:, np.newaxis] for index in (low[1], high[1])]
    upper, lower = (image[row, columns[0]] * (1 - right) + image[row, columns[1]] * right for row in rows)
    return (upper * (1 - down) + lower * down).astype(np.float32)


def _middle_and_size(boxes):
    boxes = np.asarray(boxes)
    return (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]


def _boxes(boxes):
    boxes = as_numbers(boxes, 'boxes')
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f'boxes: expected (n, 4): top, left, bottom, right, got {boxes.shape}')
    return boxes if boxes.dtype.kind == 'f' else boxes.astype(np.float64)


def _one_each(boxes, **arrays):
    """Return arrays of one number a box, or raise a ValueError that names the one that is not."""
    for name, array in arrays.items():
        if np.shape(array) != (len(boxes),):
            raise ValueError(f'{name}: expected {len(boxes)}, one a box, got an array of shape {np.shape(array)}')
    return [np.asarray(array) for array in arrays.values()]
