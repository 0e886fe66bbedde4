"""Drawings of digits made in code: strokes as polylines in a square of side 1, and pictures of them."""

import itertools

import numpy as np


def _arc(x, y, width, height, first, last, points=16):
    angles = np.radians(np.linspace(first, last, points))
    return [(x + width * np.cos(angle), y - height * np.sin(angle)) for angle in angles]


STROKES = {
    0: [_arc(0.5, 0.5, 0.3, 0.5, 90, 450, 32)],
    1: [[(0.35, 0.2), (0.55, 0), (0.55, 1)]],
    2: [[*_arc(0.5, 0.28, 0.3, 0.28, 170, -40), (0.2, 1), (0.82, 1)]],
    3: [[*_arc(0.45, 0.25, 0.3, 0.25, 150, -80), *_arc(0.45, 0.73, 0.34, 0.27, 85, -150)]],
    4: [[(0.6, 0), (0.15, 0.62), (0.85, 0.62)], [(0.62, 0.3), (0.62, 1)]],
    5: [[(0.78, 0), (0.28, 0), (0.24, 0.45), *_arc(0.45, 0.69, 0.33, 0.31, 110, -150)]],
    6: [[(0.66, 0), *_arc(0.5, 0.68, 0.3, 0.32, 150, 510, 24)]],
    7: [[(0.2, 0), (0.8, 0), (0.42, 1)]],
    8: [[*_arc(0.5, 0.25, 0.24, 0.25, 270, -90, 24), *_arc(0.5, 0.74, 0.3, 0.26, 90, 450, 24)]],
    9: [[*_arc(0.48, 0.28, 0.27, 0.28, 0, 360, 24), (0.73, 0.55), (0.62, 1)]],
}


def placed_strokes(digit, rng, side):
    """Return (polylines in pixels, thickness) of a digit somewhere on a square, of some size, slant and thickness."""
    height = rng.uniform(0.3, 0.68) * side
    width = height * rng.uniform(0.75, 1.0)
    slant = rng.uniform(-0.15, 0.15)
    margin = 0.08 * side
    left = rng.uniform(margin + 0.1 * height, side - margin - width - 0.1 * height)
    top = rng.uniform(margin, side - margin - height)
    lines = [
        [(left + width * x + slant * height * (0.5 - y), top + height * y) for x, y in line] for line in STROKES[digit]
    ]
    return lines, rng.uniform(0.03, 0.09) * side


def drawing(digit, rng, side=140):
    """Return grey values (side, side) of a digit: 1 is white paper, 0 ink, with smooth edges."""
    lines, thickness = placed_strokes(digit, rng, side)
    y, x = np.mgrid[:side, :side] + 0.5
    distance = np.full((side, side), np.inf)
    for line in lines:
        for (ax, ay), (bx, by) in itertools.pairwise(line):
            length = (bx - ax) ** 2 + (by - ay) ** 2
            along = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / max(length, 1e-9), 0, 1)
            distance = np.minimum(distance, np.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay)))
    return 1 - np.clip(thickness / 2 - distance + 0.5, 0, 1).astype(np.float32)


def photograph(grey, rng):
    """Return a drawing as on a photograph: uneven light, noise, faint ink, perhaps light on dark."""
    side = len(grey)
    y, x = np.mgrid[: 1 : side * 1j, : 1 : side * 1j]
    light = 0.7 + 0.25 * rng.uniform(-1, 1) * x + 0.25 * rng.uniform(-1, 1) * y
    ink = rng.uniform(0.4, 0.9)
    taken = light * (1 - ink * (1 - grey)) + rng.normal(0, 0.01, grey.shape)
    return np.clip(1 - taken if rng.random() < 0.3 else taken, 0, 1).astype(np.float32)
