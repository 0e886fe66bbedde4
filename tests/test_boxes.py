"""Boxes: values computed by hand, and properties that hold for any boxes."""

import math

import numpy as np
import pytest

from cnnx.boxes import (
    anchor_boxes,
    crop_and_resize,
    decode_boxes,
    encode_boxes,
    iou,
    match_anchors,
    match_middles,
    mean_average_precision,
    non_maximum_suppression,
    propose_boxes,
)

HALVES = [[0, 0, 4, 4], [0, 0, 4, 2], [0, 2, 4, 4], [8, 8, 9, 9]]


def boxes_at(*lefts):
    """Return boxes of 10 x 10 pixels."""
    return np.array([[0, left, 10, left + 10] for left in lefts], float)


def test_iou_of_boxes_by_hand():
    expected = [[1, 0.5, 0.5, 0], [0.5, 1, 0, 0], [0.5, 0, 1, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(iou(HALVES, HALVES), expected)
    np.testing.assert_allclose(iou([[0, 0, 2, 2]], [[1, 1, 3, 3]]), [[1 / 7]])
    assert iou([[1, 1, 1, 5]], [[1, 1, 1, 5], [0, 0, 9, 9]]).tolist() == [[0, 0]]
    assert iou(np.empty((0, 4)), HALVES).shape == (0, 4)


def test_iou_is_that_of_counted_pixels():
    rng = np.random.default_rng(0)
    corners = np.sort(rng.integers(0, 13, (30, 2, 2)), axis=1)
    boxes = corners.reshape(30, 4)
    masks = np.zeros((30, 12, 12), bool)
    for mask, (top, left, bottom, right) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = True
    both = (masks[:, None] & masks).sum(axis=(2, 3))
    either = (masks[:, None] | masks).sum(axis=(2, 3))
    np.testing.assert_allclose(iou(boxes, boxes), both / np.maximum(either, 1))


def test_suppression_keeps_the_best_of_boxes_that_overlap():
    boxes = boxes_at(0, 2, 4, 30)  # neighbours at 2 pixels overlap by 8/12, at 4 pixels by 6/14
    assert non_maximum_suppression(boxes, [0.9, 0.8, 0.7, 0.95]).tolist() == [3, 0, 2]
    assert non_maximum_suppression(boxes, [0.8, 0.9, 0.7, 0.1]).tolist() == [1, 3]
    assert non_maximum_suppression(boxes, [0.9, 0.8, 0.7, 0.95], threshold=0.7).tolist() == [3, 0, 1, 2]
    assert non_maximum_suppression(boxes, [0.9, 0.8, 0.7, 0.6], labels=[0, 1, 1, 0]).tolist() == [0, 1, 3]
    assert non_maximum_suppression(boxes, [1, 1, 1, 1]).tolist() == [0, 2, 3]
    assert non_maximum_suppression(np.empty((0, 4)), []).tolist() == []


def test_average_precision_by_hand():
    # Of three true boxes, the boxes found are right, wrong, right, wrong, best first: precisions 1, 1/2, 2/3, 1/2 at
    # recalls 1/3, 1/3, 2/3, 2/3. The area is 1/3 * 1 + 1/3 * 2/3 + 1/3 * 0 = 5/9.
    found = (boxes_at(0, 100, 30, 130), [0.9, 0.8, 0.7, 0.6], [7, 7, 7, 7])
    assert mean_average_precision([found], [(boxes_at(0, 30, 60), [7, 7, 7])]) == pytest.approx(5 / 9)
    # Wrong, right: precision 0, then 1/2, at recall 1.
    wrong_first = (boxes_at(50, 0), [0.9, 0.8], [1, 1])
    assert mean_average_precision([wrong_first], [(boxes_at(0), [1])]) == pytest.approx(1 / 2)
    # Wrong, right, right of two: 0, 1/2, 2/3; the larger precision at the larger recall counts for both.
    rising = (boxes_at(50, 0, 20), [0.9, 0.8, 0.7], [1, 1, 1])
    assert mean_average_precision([rising], [(boxes_at(0, 20), [1, 1])]) == pytest.approx(2 / 3)


def test_a_true_box_counts_once_and_classes_count_alike():
    twice = (boxes_at(0, 1), [0.8, 0.9], [3, 3])
    assert mean_average_precision([twice], [(boxes_at(0), [3])]) == 1  # the second is wrong at a recall of 1
    truth = (boxes_at(0, 20, 40, 60), [3, 3, 3, 5])
    assert mean_average_precision([twice], [truth]) == pytest.approx((1 / 3 + 0) / 2)
    unknown = (boxes_at(0, 0), [0.8, 0.9], [3, 9])  # of class 9 there is no true box: it does not count
    assert mean_average_precision([unknown], [(boxes_at(0), [3])]) == 1


def test_images_are_ranked_together():
    first, second = (boxes_at(50), [0.9], [0]), (boxes_at(0), [0.8], [0])
    truth = [(boxes_at(0), [0]), (boxes_at(0), [0])]
    # Wrong, then right of two: 1/2 * 1/2.
    assert mean_average_precision([first, second], truth) == pytest.approx(1 / 4)
    assert mean_average_precision([(boxes_at(0), [0.1], [0]), second], truth) == 1
    none = (np.empty((0, 4)), [], [])
    assert mean_average_precision([none, second], truth) == pytest.approx(1 / 2)
    assert mean_average_precision([none], [(boxes_at(0), [0])]) == 0


def test_the_threshold_is_reached_or_not():
    found, truth = [(boxes_at(5), [1], [0])], [(boxes_at(0), [0])]  # an overlap of 1/3
    assert mean_average_precision(found, truth) == 0
    assert mean_average_precision(found, truth, threshold=1 / 3) == 1


def test_anchors_stand_in_the_middle_of_their_cells():
    anchors = anchor_boxes(2, 3, 8, [(4, 2), (10, 10)])
    assert anchors.shape == (12, 4)
    assert anchors[0].tolist() == [2, 3, 6, 5]
    assert anchors[1].tolist() == [-1, -1, 9, 9]
    assert anchors[2].tolist() == [2, 11, 6, 13]
    assert anchors[-2].tolist() == [10, 19, 14, 21]


def test_anchors_are_matched_by_overlap_and_each_box_gets_one():
    anchors = boxes_at(0, 2, 20, 60)
    assert match_anchors(anchors, boxes_at(1, 28)).tolist() == [0, 0, 1, -1]
    assert match_anchors(anchors, boxes_at(1), threshold=0.9).tolist() == [0, -1, -1, -1]
    assert match_anchors(anchors, np.empty((0, 4))).tolist() == [-1, -1, -1, -1]


def test_match_middles():
    cells = anchor_boxes(2, 2, 10, [(24, 16)])  # whose middles are at 5 and 15
    boxes = np.array([[1.0, 1, 7, 5], [8, 12, 16, 20]])  # with middles at (4, 3) and (12, 16)
    assert match_middles(cells, boxes).tolist() == [0, -1, -1, 1]
    assert match_middles(cells, np.concatenate([boxes, boxes[:1]])).tolist() == [2, -1, -1, 1]  # the later of two
    assert match_middles(cells, np.empty((0, 4))).tolist() == [-1, -1, -1, -1]
    with pytest.raises(ValueError, match='expected'):
        match_middles(cells, np.zeros((2, 3)))


def test_encoding_by_hand_and_back():
    anchors = np.array([[0, 0, 10, 20], [5, 5, 9, 9]])
    boxes = np.array([[5, 0, 25, 20], [5, 5, 9, 9]])
    np.testing.assert_allclose(encode_boxes(boxes, anchors), [[1, 0, math.log(2), 0], [0, 0, 0, 0]], atol=1e-12)
    rng = np.random.default_rng(0)
    boxes, anchors = (np.concatenate([at, at + size], axis=1) for at, size in rng.random((2, 2, 50, 2)) + 0.1)
    np.testing.assert_allclose(decode_boxes(encode_boxes(boxes, anchors), anchors), boxes, atol=1e-12)
    assert np.isfinite(decode_boxes(np.full((1, 4), 1e30, np.float32), anchors[:1])[:, 2:]).all()


def test_crops_of_whole_pixels_and_between():
    image = np.arange(24, dtype=float).reshape(4, 6, 1)
    crops = crop_and_resize(image, [[1, 2, 3, 5], [0, 0, 2, 3]], (2, 3))
    np.testing.assert_array_equal(crops[..., 0], [image[1:3, 2:5, 0], image[:2, :3, 0]])
    larger = crop_and_resize(image, [[0, 0, 1, 2]], (1, 4))
    np.testing.assert_allclose(larger[0, 0, :, 0], [0, 0.25, 0.75, 1.25])
    wider = crop_and_resize(image, [[1, 2, 3, 4]], (4, 4), margin=0.5)
    np.testing.assert_allclose(wider[0, ..., 0], image[:4, 1:5, 0])
    outside = crop_and_resize(image, [[-2, -2, 0, 0]], (2, 2))
    np.testing.assert_array_equal(outside, np.zeros((1, 2, 2, 1)))
    assert crop_and_resize(image, np.empty((0, 4)), (2, 2)).shape == (0, 2, 2, 1)


def test_windows_are_proposed_where_something_bright_stands_alone():
    image = np.zeros((40, 30))
    image[6:14, 12:16] = 1
    image[25:37, 5:25] = 0.5
    found = propose_boxes(image, [(8, 4), (12, 20)], each=1)
    assert found.tolist() == [[6, 12, 14, 16], [24, 5, 36, 25]]  # rows of the second size stand 3 pixels apart
    many = propose_boxes(image, [(8, 4)], each=6)
    assert 1 < len(many) <= 6
    assert iou(many, many)[~np.eye(len(many), dtype=bool)].max() <= 0.4
    with pytest.raises(ValueError, match='sizes that fit into it'):
        propose_boxes(image, [(8, 31)])


def test_what_is_no_box_is_refused():
    with pytest.raises(ValueError, match=r'boxes: expected \(n, 4\)'):
        iou([1, 2, 3, 4], HALVES)
    with pytest.raises(ValueError, match='scores: expected 4, one a box'):
        non_maximum_suppression(HALVES, [1, 2])
    with pytest.raises(ValueError, match='expected 1 images, as the truth has, got 0'):
        mean_average_precision([], [(HALVES, [0, 0, 0, 0])])
    with pytest.raises(ValueError, match='there is no true box'):
        mean_average_precision([(HALVES, [1, 1, 1, 1], [0, 0, 0, 0])], [(np.empty((0, 4)), [])])
    with pytest.raises(ValueError, match=r'image: expected \(H, W, C\)'):
        crop_and_resize(np.zeros((4, 6)), HALVES, (2, 2))
