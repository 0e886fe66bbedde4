"""Connected components of a binary image."""

import numpy as np


def connected_components(mask):
    """Label the connected components of a mask; pixels that touch at a corner are connected (8-connectivity).

    Runs of True in a row are joined with those that they touch in the row above, by union-find.

    Args:
        mask: (H, W) bool.

    Returns:
        (H, W) int: 0 where the mask is False, and 1, 2, ... in the components.
    """
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    first_of_row = np.searchsorted(rows, np.arange(len(mask) + 1))
    parents = list(range(len(rows)))

    def root(run):
        while parents[run] != run:
            parents[run] = parents[parents[run]]
            run = parents[run]
        return run

    for row in range(1, len(mask)):
        above, above_end = first_of_row[row - 1], first_of_row[row]
        run, run_end = first_of_row[row], first_of_row[row + 1]
        while above < above_end and run < run_end:
            if starts[above] <= ends[run] and starts[run] <= ends[above]:
                parents[root(run)] = root(above)
            if ends[above] < ends[run]:
                above += 1
            else:
                run += 1
    _, numbers = np.unique([root(run) for run in range(len(rows))], return_inverse=True)
    labels = np.zeros(mask.shape, np.intp)
    labels[mask] = np.repeat(numbers + 1, ends - starts)
    return labels


def bounding_boxes(labels):
    """Return the bounding boxes of components, (count, 4): top, bottom, left, right, and their areas (count,)."""
    rows, columns = np.nonzero(labels)
    component = labels[rows, columns] - 1
    count = labels.max(initial=0)
    boxes = np.tile([labels.shape[0], 0, labels.shape[1], 0], (count, 1))
    np.minimum.at(boxes[:, 0], component, rows)
    np.maximum.at(boxes[:, 1], component, rows + 1)
    np.minimum.at(boxes[:, 2], component, columns)
    np.maximum.at(boxes[:, 3], component, columns + 1)
    return boxes, np.bincount(component, minlength=count)
