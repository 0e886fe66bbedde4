"""Preprocessing of photographs of handwritten digits, to look like images of MNIST.

Source: Yann LeCun, Corinna Cortes and Christopher J. C. Burges on MNIST's home page: black-and-white images were
"size normalized to fit in a 20x20 pixel box while preserving their aspect ratio", with grey levels by antialiasing,
and "centered in a 28x28 image by computing the center of mass of the pixels". The steps before that, which separate
ink from paper, are for photographs.
"""

from dataclasses import dataclass, field

import numpy as np

from cnnx.data.connected_components import connected_components
from cnnx.data.idx import DataError
from cnnx.data.images import pillow, read_image

BOX = 20 / 28  # the fraction of the image's side that the digit fills
# Pictures are scaled down until their longer side has so many pixels.
WORKING_SIZE = 400
# The least width of strokes, as a fraction of the digit's longer side. One in ten of MNIST's digits has thinner ones.
THINNEST = 1.5 / 20
LEAST_CONTRAST = 0.08  # between ink and paper, where that of black and white is 1
LEAST_SIZE = 0.1  # of a digit, as a fraction of the picture's longer side
LEAST_CLEARNESS = 4  # contrast between ink and paper, in standard deviations of the paper


@dataclass
class PreparedDigit:
    """The result of `prepare_digit`.

    Attributes:
        pixels: (size, size, 1) float32 in [0, 1]; 1 is ink.
        notes: a list of sentences about what may be wrong with the picture.
    """

    pixels: np.ndarray
    notes: list = field(default_factory=list)


def prepare_digit(picture, size=28):
    """Preprocess a picture of one digit, dark on light or light on dark, like the images of MNIST.

    1. A quadratic surface is fitted to the background and subtracted.
    2. Ink is what is darker, or lighter, than the background by more than Otsu's threshold.
    3. The digit is the largest connected component of the ink, with the strokes and small pieces close to it. Ink that
       touches the edge of the picture is ignored, unless there is nothing else.
    4. The digit is cropped, its strokes are thickened if they are thinner than those of MNIST, it is scaled to 20/28
       of `size`, and its centre of mass is placed in the middle.

    Args:
        picture: a path, or grey values (H, W) or (H, W, 1) in [0, 1].
        size: height and width of the result in pixels; 28 for networks that were trained on MNIST.

    Returns:
        A `PreparedDigit`.

    Raises:
        DataError: no digit can be seen, or `read_image` cannot read the file.
        ImportError: Pillow is not installed.
        OSError: the file does not exist or cannot be opened.
        ValueError: picture or size is not of this form.
    """
    where = 'picture' if isinstance(picture, np.ndarray) else picture
    grey = picture if isinstance(picture, np.ndarray) else read_image(picture)
    grey = _checked_grey(grey)
    if not isinstance(size, (int, np.integer)) or size < 4:
        raise ValueError(f'size: expected a whole number of at least 4, got {size!r}')
    notes = []
    strength = _ink(_scaled_down(grey), where)
    strength = _cut_out(strength, notes)
    strength = _thickened(strength, notes)
    return PreparedDigit(_placed(_scaled(strength, round(size * BOX)), size), notes)


def _checked_grey(grey):
    grey = np.asarray(grey, np.float32)
    grey = grey[..., 0] if grey.ndim == 3 and grey.shape[2] == 1 else grey
    if grey.ndim != 2 or min(grey.shape) < 4 or not np.isfinite(grey).all():
        raise ValueError(f'picture: expected finite grey values (H, W) of 4 pixels or more a side, got {grey.shape}')
    return grey


def _scaled_down(grey):
    """Scale a picture down to WORKING_SIZE, if it is larger, and remove specks by a median filter."""
    from PIL import ImageFilter

    height, width = grey.shape
    ratio = WORKING_SIZE / max(height, width)
    if ratio >= 1:
        return grey
    grey = _resize(grey, max(4, round(height * ratio)), max(4, round(width * ratio)))
    image = pillow().fromarray((grey.clip(0, 1) * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.MedianFilter(3)), np.float32) / 255


def _resize(grey, height, width):
    image = pillow().fromarray(np.ascontiguousarray(grey, np.float32))
    return np.asarray(image.resize((width, height), pillow().Resampling.BICUBIC))


def _ink(grey, where):
    """Return the amount of ink at each pixel, from 0 to 1."""
    difference = grey - _background(grey)
    ink = difference if (difference**3).sum() > 0 else -difference
    strength = _strength(ink, np.ones(ink.shape, bool))
    if strength is None:
        raise DataError(
            f'{where}: no digit to be seen: expected one digit, clearly darker or clearly lighter than a plain '
            'background'
        )
    # Ink at the edge, such as a shadow or a frame, is ignored if there is a digit elsewhere.
    at_edge = _at_edge(strength > 0.25)
    within = _strength(ink, ~at_edge) if at_edge.any() else None
    if within is not None:
        boxes, _ = _boxes(connected_components(within > 0.5))
        if np.max(boxes[:, [1, 3]] - boxes[:, [0, 2]], initial=0) >= max(ink.shape) * LEAST_SIZE:
            return within
    return strength


def _strength(ink, mask):
    """Return the ink within a mask, scaled from 0 for paper to 1 for ink, or None if the contrast is too low."""
    values = ink[mask]
    if values.size == 0 or values.max() <= LEAST_CONTRAST:
        return None
    threshold = _otsu(values.clip(0))
    inked, plain = values[values > threshold], values[values <= threshold]
    if not 0 < len(inked) < len(plain):
        return None
    contrast = inked.mean() - plain.mean()
    if contrast < max(LEAST_CONTRAST, LEAST_CLEARNESS * plain.std()):
        return None
    faintest = threshold / 2
    return np.where(mask, ((ink - faintest) / (inked.mean() - faintest)).clip(0, 1), 0)


def _at_edge(mask):
    """Return the pixels of a mask that are connected with the edge of the picture."""
    labels = connected_components(mask)
    touching = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    return mask & np.isin(labels, touching)


def _background(grey):
    """Fit a quadratic surface to a picture by least absolute deviations.

    The fit is by iteratively reweighted least squares. Most pixels are background, and the digit has little influence.
    """
    height, width = grey.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    step = max(1, max(height, width) // 64)
    samples, values = terms[::step, ::step].reshape(-1, 6), grey[::step, ::step].ravel().astype(np.float64)
    weights = np.ones(len(values))
    for _ in range(30):
        weighted = samples * weights[:, np.newaxis]
        factors = np.linalg.lstsq(weighted.T @ samples, weighted.T @ values, rcond=None)[0]
        weights = 1 / np.maximum(np.abs(values - samples @ factors), 1e-3)
    return terms @ factors


def _otsu(values):
    """Return the threshold that separates values into two classes with the largest variance between them.

    Source: N. Otsu, "A threshold selection method from gray-level histograms", 1979.
    """
    counts, edges = np.histogram(values, 256)
    middles = (edges[:-1] + edges[1:]) / 2
    below = counts.cumsum()
    sums = (counts * middles).cumsum()
    above = below[-1] - below
    with np.errstate(divide='ignore', invalid='ignore'):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    # All thresholds in a gap between the classes are equally good; take the middle one.
    best = np.flatnonzero(between >= np.nanmax(between) * (1 - 1e-9))
    return edges[best[len(best) // 2] + 1]


def _cut_out(strength, notes):
    """Return the digit alone, cropped to its bounding box."""
    labels = connected_components(strength > 0.5)
    boxes, areas = _boxes(labels)
    main = areas.argmax()
    belongs = np.array([_belongs(*component, boxes[main], areas[main]) for component in zip(boxes, areas, strict=True)])
    others = np.count_nonzero(~belongs & (areas > 0.2 * areas[main]))
    if others:
        notes.append(f'expected one digit in a picture, and ignored {others} more of similar size')
    top, bottom, left, right = boxes[main]
    if min(top, left) == 0 or bottom == strength.shape[0] or right == strength.shape[1]:
        notes.append('the digit touches the edge of the picture: leave a margin around it')
    mask = np.isin(labels, np.flatnonzero(belongs) + 1)
    strength = np.where(_dilated(mask), strength, 0)
    rows, columns = np.flatnonzero(strength.any(axis=1)), np.flatnonzero(strength.any(axis=0))
    return strength[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _boxes(labels):
    """Return the bounding boxes of components, (count, 4): top, bottom, left, right, and their areas (count,)."""
    rows, columns = np.nonzero(labels)
    component = labels[rows, columns] - 1
    count = labels.max()
    boxes = np.tile([labels.shape[0], 0, labels.shape[1], 0], (count, 1))
    np.minimum.at(boxes[:, 0], component, rows)
    np.maximum.at(boxes[:, 1], component, rows + 1)
    np.minimum.at(boxes[:, 2], component, columns)
    np.maximum.at(boxes[:, 3], component, columns + 1)
    return boxes, np.bincount(component, minlength=count)


def _belongs(box, area, main, main_area):
    """Return whether a component is the main one, a stroke above or below it, or a small piece close to it."""
    longer = max(main[1] - main[0], main[3] - main[2])
    gap_y = max(main[0] - box[1], box[0] - main[1], 0)
    gap_x = max(main[2] - box[3], box[2] - main[3], 0)
    overlap = min(main[3], box[3]) - max(main[2], box[2])
    stacked = overlap >= 0.5 * (box[3] - box[2]) and gap_y <= longer / 4
    return area > 0.005 * main_area and (stacked or (area < 0.2 * main_area and max(gap_x, gap_y) <= longer / 10))


def _dilated(mask, by=1):
    """Dilate a mask by so many pixels in all directions."""
    from PIL import ImageFilter

    image = pillow().fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(image.filter(ImageFilter.MaxFilter(2 * by + 1))) > 0


def _thickened(strength, notes):
    """Thicken the strokes of a digit to THINNEST, if they are thinner."""
    from PIL import ImageFilter

    mask = np.pad(strength > 0.5, 1)
    outline = (mask[1:] != mask[:-1]).sum() + (mask[:, 1:] != mask[:, :-1]).sum()
    width = 2 * mask.sum() / outline
    by = round((THINNEST * max(strength.shape) - width) / 2)
    if by < 1:
        return strength
    notes.append('thin strokes are thickened')
    image = pillow().fromarray((np.pad(strength, by) * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.MaxFilter(2 * by + 1)), np.float32) / 255


def _scaled(strength, longest):
    ratio = longest / max(strength.shape)
    height, width = (max(1, round(length * ratio)) for length in strength.shape)
    scaled = _resize(strength, height, width).clip(0, 1)
    return scaled / scaled.max()


def _placed(digit, size):
    """Place a digit in an empty square, with its centre of mass where MNIST has it: at pixel 14 of 28, from 0."""
    image = np.zeros((size, size, 1), np.float32)
    starts = []
    for axis, length in enumerate(digit.shape):
        mass = digit.sum(axis=1 - axis)
        centre = (mass * np.arange(length)).sum() / mass.sum()
        starts.append(min(max(round(size / 2 - centre), 0), size - length))
    top, left = starts
    image[top : top + digit.shape[0], left : left + digit.shape[1], 0] = digit
    return image
