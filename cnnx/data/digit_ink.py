"""Ink on paper: how much of it there is at each pixel of a picture of a digit (for `prepare_digit`)."""

import numpy as np

from cnnx.data.connected_components import connected_components
from cnnx.data.images import pillow

LARGEST, SMALLEST = 400, 120  # pictures are scaled until their longer side is between these
FEW = 16  # pixels a side
PLAIN = 40  # the light on pictures with fewer pixels a side is taken to be even
WIDEST = 0.65  # the widest mark that may be ink, as a fraction of the picture's longer side
BORDER = 0.9  # where the border of a picture begins, from 0 in its middle to 1 at its edge
MIXED = 0.2  # of the border is not like the rest of it where it is of two kinds
EVEN = 0.03  # the light is even where the paper's brightness varies by less
UNEVEN = 0.15  # a picture has two levels where the variance within them is less than this part of all
LEAST_CONTRAST = 0.08  # between ink and paper, where that of black and white is 1
LEAST_CLEARNESS = 4  # contrast between ink and paper, in standard deviations of the paper


def scaled_to_work(grey):
    """Scale a picture (H, W) down, which is faster, or up, so that thin strokes are some pixels wide."""
    longer = max(grey.shape)
    ratio = min(max(longer, SMALLEST), LARGEST) / longer
    if ratio == 1:
        return grey
    return resized(grey, *(max(4, round(length * ratio)) for length in grey.shape)).clip(0, 1)


def dark_on_light(grey, even):
    """Return a picture (H, W) with dark ink on light paper; where it is light on dark, its negative.

    Paper is what the border is like, since a digit may fill most of the rest.
    """
    difference = _ground(grey, even) - grey
    return grey if (difference**3).sum() > 0 else 1 - grey


def ink_of(grey, even):
    """Return the ink at each pixel of a picture that is dark on light, from 0 for paper to 1, or None if none is seen.

    Light is taken out: the paper's brightness is what remains when all marks narrower than WIDEST are filled (a
    morphological closing), and ink is the part of the light that it takes away.
    """
    smooth = _smoothed(grey)
    paper = _closed(smooth, int(max(grey.shape) * WIDEST) | 1)
    if even or np.ptp(np.percentile(paper, (10, 90))) < EVEN:
        paper = np.median(paper)
    ink = (paper - smooth) / np.maximum(paper, 0.5)
    if np.ptp(ink) < LEAST_CONTRAST:
        return None
    threshold = _otsu(ink)
    inked, plain = ink[ink > threshold], ink[ink <= threshold]
    if not inked.size or inked.mean() - plain.mean() < max(LEAST_CONTRAST, LEAST_CLEARNESS * plain.std()):
        return None
    middle = np.median(plain)
    faintest = middle + 3 * 1.48 * np.median(np.abs(plain - middle))
    return ((ink - faintest) / (inked.mean() - faintest)).clip(0, 1)


def inks_of_two_levels(grey):
    """Return what may be the ink, from 0 to 1, on a picture (H, W) that has two levels: the rarer one is.

    Where both are about equally frequent, the other one follows. For a picture with shades the list is empty.
    """
    if np.ptp(grey) < LEAST_CONTRAST:
        return []
    dark = grey <= _otsu(grey)
    within = sum(grey[part].var() * part.mean() for part in (dark, ~dark) if part.any())
    if within > UNEVEN * grey.var():
        return []
    lowest, highest = np.median(grey[dark]), np.median(grey[~dark])
    light = ((grey - lowest) / (highest - lowest)).clip(0, 1)
    inks = [1 - light, light] if dark.mean() < 0.5 else [light, 1 - light]
    return inks if abs(dark.mean() - 0.5) < 0.1 else inks[:1]


def ink_of_few_pixels(grey):
    """Return the ink of a picture of few pixels, enlarged, from 0 to 1, or None if none is seen.

    It has no room for anything but the digit, so all that is darker than most of it counts.
    """
    ink = (np.median(grey) - grey).clip(0)
    if ink.max() < LEAST_CONTRAST:
        return None
    height, width = (length * SMALLEST // max(grey.shape) for length in np.add(grey.shape, 2))
    return resized(np.pad(ink / ink.max(), 1), height, width, 'LANCZOS').clip(0, 1)


def strokes(ink, weak=0.25, strong=0.5):
    """Return where strokes are (H, W): strong ink, and weak ink that touches it (hysteresis).

    Weak ink is left out where it is more than the strong, since that is a pattern on the paper, such as squares.
    """
    firm = ink > strong
    labels = connected_components(ink > weak)
    touching = np.isin(labels, np.unique(labels[firm]))
    return touching if touching.sum() < 3 * firm.sum() else firm


def resized(grey, height, width, way='BICUBIC'):
    """Scale a picture (H, W), with antialiasing, in a way that Pillow has."""
    image = pillow().fromarray(np.ascontiguousarray(grey, np.float32))
    return np.asarray(image.resize((width, height), pillow().Resampling[way]))


def _ground(grey, even):
    """Fit a plane, or if the light is even a constant, to the paper.

    The paper is what the border is like, since a digit may fill most of the rest. Where the border is of two kinds,
    such as paper and a table, a quadratic surface is fitted to the whole picture.
    """
    height, width = grey.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    border = np.maximum(np.abs(x), np.abs(y)) > BORDER
    plane = terms[..., : 1 if even else 3]
    surface = plane @ _fitted(plane[border], grey[border])
    if not even and np.mean(np.abs(surface - grey)[border] > LEAST_CONTRAST) > MIXED:
        step = max(1, max(height, width) // 64)
        surface = terms @ _fitted(terms[::step, ::step].reshape(-1, terms.shape[2]), grey[::step, ::step].ravel())
    return surface


def _fitted(samples, values):
    """Return the factors of the terms in samples (N, terms) that come closest to values, by least absolute deviations.

    The fit is by iteratively reweighted least squares.
    """
    values = values.astype(np.float64)
    weights = np.ones(len(values))
    for _ in range(20):
        weighted = samples * weights[:, np.newaxis]
        factors = np.linalg.lstsq(weighted.T @ samples, weighted.T @ values, rcond=None)[0]
        weights = 1 / np.maximum(np.abs(values - samples @ factors), 1e-3)
    return factors


def _smoothed(grey):
    """Average each pixel with its eight neighbours, those in the middle counting most, against noise."""
    for _ in range(2):
        padded = np.pad(grey, ((1, 1), (0, 0)), mode='reflect')
        grey = ((padded[:-2] + padded[2:]) / 2 + padded[1:-1]).T / 2
    return grey


def dilated(grey, by=1):
    """Return the largest value in the square that reaches so many pixels to all sides of each pixel."""
    return largest_in_squares(np.pad(grey, by), 2 * by + 1)


def _closed(grey, width):
    """Fill what is dark and narrower than so many pixels, an odd number; what is dark along a whole edge stays."""
    around = largest_in_squares(np.pad(grey, width - 1, constant_values=-1), width)
    return -largest_in_squares(-around, width)


def largest_in_squares(grey, width):
    """Return the largest value in each square of so many pixels that lies in (H, W).

    The square is doubled until it has its width: a few passes rather than one for each pixel of it.
    """
    for _ in range(2):
        reach = 1
        while reach < width:
            step = min(reach, width - reach)
            grey = np.maximum(grey[:-step], grey[step:])
            reach += step
        grey = grey.T
    return grey


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
