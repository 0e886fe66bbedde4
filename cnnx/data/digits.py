"""A picture of a single digit, prepared as the images of MNIST were.

Source: Yann LeCun, Corinna Cortes and Christopher J. C. Burges on MNIST's home page: black-and-white images were
"size normalized to fit in a 20x20 pixel box while preserving their aspect ratio", with grey levels by antialiasing,
and "centered in a 28x28 image by computing the center of mass of the pixels". What comes before that, telling ink from
paper, is for photographs.
"""

from dataclasses import dataclass, field

import numpy as np

from cnnx.data.idx import DataError
from cnnx.data.images import pillow, read_image
from cnnx.data.parts import connected_parts

BOX = 20 / 28  # of the whole that the digit fills
# Lengths in a picture are those of one whose longer side is that many pixels, to which it is scaled down.
WORKING_SIZE = 400
# Of MNIST's strokes, one in ten is thinner than that, in its boxes of 20 pixels.
THINNEST = 1.5 / 20
LEAST_CONTRAST = 0.08  # between ink and paper, of that between black and white
LEAST_SIZE = 0.1  # of a digit, of the picture's
LEAST_CLEARNESS = 4  # of the same, in standard deviations of what is on the paper


@dataclass
class PreparedDigit:
    """What `prepare_digit` makes of a picture.

    Attributes:
        pixels: (size, size, 1) float32 in [0, 1], ink being 1.
        notes: what may be wrong, in words.
    """

    pixels: np.ndarray
    notes: list = field(default_factory=list)


def prepare_digit(picture, size=28):
    """Prepare a picture of one digit, dark on light or light on dark, as MNIST's were.

    Background is what a surface of second degree, fitted to the picture, follows; ink is what stands out from it on
    one side, by Otsu's threshold. Of several parts the digit is the largest, those that touch the picture's edge put
    aside, with what lies close to it. It is cut out, made bolder if its strokes are thinner than MNIST's are, scaled
    to 20/28 of `size` and placed by its centre of mass.

    Args:
        picture: a path, or grey values (H, W) or (H, W, 1) in [0, 1].
        size: of the result; 28 for networks that know MNIST.

    Raises:
        DataError: there is nothing to see on it, or the file is none that `read_image` takes.
        ImportError: there is no Pillow.
        OSError: there is no such file, or it cannot be opened.
        ValueError: picture or size cannot be.
    """
    where = 'picture' if isinstance(picture, np.ndarray) else picture
    grey = picture if isinstance(picture, np.ndarray) else read_image(picture)
    grey = _checked_grey(grey)
    if not isinstance(size, (int, np.integer)) or size < 4:
        raise ValueError(f'size: expected a whole number of at least 4, got {size!r}')
    notes = []
    strength = _ink(_scaled_down(grey), where)
    strength = _cut_out(strength, notes)
    strength = _bolder(strength, notes)
    return PreparedDigit(_placed(_scaled(strength, round(size * BOX)), size), notes)


def _checked_grey(grey):
    grey = np.asarray(grey, np.float32)
    grey = grey[..., 0] if grey.ndim == 3 and grey.shape[2] == 1 else grey
    if grey.ndim != 2 or min(grey.shape) < 4 or not np.isfinite(grey).all():
        raise ValueError(f'picture: expected finite grey values (H, W) of 4 pixels or more a side, got {grey.shape}')
    return grey


def _scaled_down(grey):
    """Return a picture whose longer side is at most WORKING_SIZE, without lone specks."""
    from PIL import ImageFilter

    height, width = grey.shape
    ratio = WORKING_SIZE / max(height, width)
    if ratio >= 1:
        return grey
    grey = _resize(grey, max(4, round(height * ratio)), max(4, round(width * ratio)))
    bytes_of_it = pillow().fromarray((grey.clip(0, 1) * 255).astype(np.uint8))
    return np.asarray(bytes_of_it.filter(ImageFilter.MedianFilter(3)), np.float32) / 255


def _resize(grey, height, width):
    image = pillow().fromarray(np.ascontiguousarray(grey, np.float32))
    return np.asarray(image.resize((width, height), pillow().Resampling.BICUBIC))


def _ink(grey, where):
    """Return how much ink is at each pixel, from 0 to 1."""
    above_ground = grey - _ground(grey)
    ink = above_ground if (above_ground**3).sum() > 0 else -above_ground
    strength = _strength(ink, np.ones(ink.shape, bool))
    if strength is None:
        raise DataError(
            f'{where}: no digit to be seen: expected one digit, clearly darker or clearly lighter than a plain ground'
        )
    # A table's edge, a shadow or a frame, when there is something else to see.
    at_edge = _at_edge(strength > 0.25)
    within = _strength(ink, ~at_edge) if at_edge.any() else None
    if within is not None:
        boxes, _ = _boxes(connected_parts(within > 0.5))
        if np.max(boxes[:, [1, 3]] - boxes[:, [0, 2]], initial=0) >= max(ink.shape) * LEAST_SIZE:
            return within
    return strength


def _strength(ink, there):
    """Return ink, as far as it is `there`, from 0 for paper to 1 for what is inked, or None if it is not clear."""
    values = ink[there]
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
    return np.where(there, ((ink - faintest) / (inked.mean() - faintest)).clip(0, 1), 0)


def _at_edge(mask):
    """Return which pixels of a mask hang together with some at the edge of the picture."""
    labels = connected_parts(mask)
    touching = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    return mask & np.isin(labels, touching)


def _ground(grey):
    """Return the surface of second degree that a picture's background follows, as most of its pixels do.

    Its least absolute deviations from them are found by weighted least squares, which digits hardly pull away.
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
    """Return the threshold that best parts values into two kinds.

    Source: N. Otsu, "A threshold selection method from gray-level histograms", 1979.
    """
    counts, edges = np.histogram(values, 256)
    middles = (edges[:-1] + edges[1:]) / 2
    below = counts.cumsum()
    sums = (counts * middles).cumsum()
    above = below[-1] - below
    with np.errstate(divide='ignore', invalid='ignore'):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    # Several thresholds in a gap between the kinds are as good: the middle one.
    best = np.flatnonzero(between >= np.nanmax(between) * (1 - 1e-9))
    return edges[best[len(best) // 2] + 1]


def _cut_out(strength, notes):
    """Return the digit alone, up to its outermost ink."""
    labels = connected_parts(strength > 0.5)
    boxes, areas = _boxes(labels)
    main = areas.argmax()
    belongs = np.array([_belongs(*part, boxes[main], areas[main]) for part in zip(boxes, areas, strict=True)])
    others = np.count_nonzero(~belongs & (areas > 0.2 * areas[main]))
    if others:
        notes.append(f'more marks of its size, {others}, are left out: expected one digit to a picture')
    top, bottom, left, right = boxes[main]
    if min(top, left) == 0 or bottom == strength.shape[0] or right == strength.shape[1]:
        notes.append('the digit touches the edge of the picture: leave a margin around it')
    mask = np.isin(labels, np.flatnonzero(belongs) + 1)
    strength = np.where(_widened(mask), strength, 0)
    rows, columns = np.flatnonzero(strength.any(axis=1)), np.flatnonzero(strength.any(axis=0))
    return strength[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _boxes(labels):
    """Return the parts' boxes, (parts, 4): top, bottom, left, right, and their areas (parts,)."""
    rows, columns = np.nonzero(labels)
    part = labels[rows, columns] - 1
    count = labels.max()
    boxes = np.tile([labels.shape[0], 0, labels.shape[1], 0], (count, 1))
    np.minimum.at(boxes[:, 0], part, rows)
    np.maximum.at(boxes[:, 1], part, rows + 1)
    np.minimum.at(boxes[:, 2], part, columns)
    np.maximum.at(boxes[:, 3], part, columns + 1)
    return boxes, np.bincount(part, minlength=count)


def _belongs(box, area, main, main_area):
    """Whether a part is the digit's main one, a stroke above or below it, or a small piece close to it."""
    longer = max(main[1] - main[0], main[3] - main[2])
    gap_y = max(main[0] - box[1], box[0] - main[1], 0)
    gap_x = max(main[2] - box[3], box[2] - main[3], 0)
    shared = min(main[3], box[3]) - max(main[2], box[2])
    stacked = shared >= 0.5 * (box[3] - box[2]) and gap_y <= longer / 4
    return area > 0.005 * main_area and (stacked or (area < 0.2 * main_area and max(gap_x, gap_y) <= longer / 10))


def _widened(mask, by=1):
    """Return a mask with all pixels within `by` of it, diagonally too."""
    from PIL import ImageFilter

    image = pillow().fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(image.filter(ImageFilter.MaxFilter(2 * by + 1))) > 0


def _bolder(strength, notes):
    """Return a digit with strokes of the least width that MNIST's have."""
    from PIL import ImageFilter

    mask = np.pad(strength > 0.5, 1)
    outline = (mask[1:] != mask[:-1]).sum() + (mask[:, 1:] != mask[:, :-1]).sum()
    width = 2 * mask.sum() / outline
    by = round((THINNEST * max(strength.shape) - width) / 2)
    if by < 1:
        return strength
    notes.append('thin strokes are made bolder')
    image = pillow().fromarray((np.pad(strength, by) * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.MaxFilter(2 * by + 1)), np.float32) / 255


def _scaled(strength, longest):
    ratio = longest / max(strength.shape)
    height, width = (max(1, round(length * ratio)) for length in strength.shape)
    scaled = _resize(strength, height, width).clip(0, 1)
    return scaled / scaled.max()


def _placed(digit, size):
    """Return a digit in an empty square, its centre of mass where MNIST's is: at pixel 14 of 28, counted from 0."""
    field_of_it = np.zeros((size, size, 1), np.float32)
    starts = []
    for axis, length in enumerate(digit.shape):
        mass = digit.sum(axis=1 - axis)
        centre = (mass * np.arange(length)).sum() / mass.sum()
        starts.append(min(max(round(size / 2 - centre), 0), size - length))
    top, left = starts
    field_of_it[top : top + digit.shape[0], left : left + digit.shape[1], 0] = digit
    return field_of_it
