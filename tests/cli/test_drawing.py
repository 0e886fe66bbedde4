"""Pictures that commands draw, and the options that name their files."""

import argparse

import numpy as np
import pytest

from cnnx.cli.drawing import draw_sheet, page_file, picture_file, save_picture

image = pytest.importorskip('PIL.Image')


@pytest.mark.parametrize('channels', [1, 3])
def test_pixels_are_saved_as_bytes(tmp_path, channels):
    pixels = np.random.default_rng(0).uniform(-0.2, 1.2, (5, 4, channels))
    save_picture(tmp_path / 'a', pixels)
    with image.open(tmp_path / 'a') as picture:
        assert picture.format == 'PNG'
        found = np.asarray(picture).reshape(5, 4, channels)
    assert np.abs(found / 255 - pixels.clip(0, 1)).max() <= 0.5001 / 255


@pytest.mark.parametrize(('count', 'columns', 'lines'), [(1, 1, 1), (3, 3, 1), (4, 3, 2)])
def test_a_sheet_has_both_images_and_three_to_a_line(tmp_path, count, columns, lines):
    red, white = np.full((20, 10, 3), (1, 0, 0)), np.ones((28, 28, 1))
    draw_sheet(tmp_path / 'sheet.png', [(red, white, 'a text')] * count)
    with image.open(tmp_path / 'sheet.png') as sheet:
        assert sheet.size == (310 * columns, 170 * lines)
        pixels = np.asarray(sheet.convert('RGB'))
    assert (pixels[60, 40] == [255, 0, 0]).all(), 'the picture, scaled'
    assert (pixels[152:162, 10:80] < 255).any(), 'the text'


def test_the_file_of_an_option_has_an_ending_and_a_folder(tmp_path, monkeypatch):
    pytest.importorskip('matplotlib')
    for ending in ('.png', '.svg', '.pdf'):
        assert picture_file(f'{tmp_path}/a{ending}') == tmp_path / f'a{ending}'
    for name in ('a.jpeg', 'a', 'nowhere/a.png'):
        with pytest.raises(argparse.ArgumentTypeError, match='expected a file ending in .png, .pdf, .svg, in a folder'):
            picture_file(f'{tmp_path}/{name}')
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(argparse.ArgumentTypeError, match='needs matplotlib: pip install matplotlib'):
        picture_file(f'{tmp_path}/a.png')


def test_a_page_is_a_file_in_a_folder_that_exists(tmp_path):
    assert page_file(str(tmp_path / 'run.html')) == tmp_path / 'run.html'
    for text in (tmp_path / 'run.png', tmp_path / 'none' / 'run.html', tmp_path):
        with pytest.raises(
            argparse.ArgumentTypeError, match='expected a file ending in .html, in a folder that exists'
        ):
            page_file(str(text))
