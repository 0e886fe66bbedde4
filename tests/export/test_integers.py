"""The arithmetic of integers in NumPy, against exact fractions."""

import math
from fractions import Fraction

import numpy as np

from cnnx.export.integers import as_int8, look_up, rescaled, rounded


def test_rescaled_rounds_to_the_nearest_and_cuts_off():
    rng = np.random.default_rng(0)
    sums = rng.integers(-(2**31), 2**31, 500)
    for shift in (1, 20, 31, 40, 62):
        multiplier = int(rng.integers(2**30, 2**31))
        found = rescaled(sums, (np.int64(multiplier), shift), 3)
        for total, q in zip(sums.tolist(), found.tolist(), strict=True):
            exact = math.floor(Fraction(total * multiplier, 2**shift) + Fraction(1, 2)) + 3
            assert q == min(max(exact, -128), 127)


def test_rounded_takes_halves_away_from_zero():
    totals = np.arange(-20, 21)
    for count in (1, 2, 3, 4):
        exact = [math.copysign(math.floor(abs(t) / count + 0.5), t) for t in totals.tolist()]
        assert rounded(totals, count).tolist() == exact


def test_tables_and_limits():
    assert look_up(np.arange(-128, 128).astype(np.int8)[::-1], np.int8([-128, 0, 127])).tolist() == [127, -1, -128]
    assert as_int8(np.array([-129, 128, 5])).tolist() == [-128, 127, 5]
