"""tools/draw_rare_digits.py: its digits are drawn, and it counts how many a network reads."""

import re

import numpy as np
import pytest

pytest.importorskip('PIL')

from cnnx.data import preprocess_mnist_data
from cnnx.models import PRETRAINED_FOLDER
from tools import draw_rare_digits


def test_a_picture_has_black_lines_on_white():
    for _, _, lines in draw_rare_digits.SHAPES:
        picture = draw_rare_digits.draw(lines, np.random.default_rng(0))
        assert picture.shape == (112, 112)
        assert picture[[0, -1]].min() == picture[:, [0, -1]].min() == 1
        assert 0.02 < (picture == 0).mean() < 0.3


def test_it_prints_a_line_for_each_kind(monkeypatch, capsys):
    bundled = preprocess_mnist_data()
    monkeypatch.setattr(draw_rare_digits, 'preprocess_mnist_data', lambda full: bundled)
    monkeypatch.setattr(draw_rare_digits, 'HELD_OUT', 300)
    monkeypatch.setattr(draw_rare_digits, 'EACH', 4)
    draw_rare_digits.main([PRETRAINED_FOLDER / 'lenet5-mnist.npz'] * 2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 + len(draw_rare_digits.SHAPES)
    found = [[float(number) for number in re.findall(r'([\d.]+)%', line)] for line in lines]
    assert all(len(numbers) == 2 and numbers[0] == numbers[1] for numbers in found)
    assert found[0][0] > 98
