"""Measure how many digits on made pictures, or on those of a folder, a network reads.

Usage: python -m tools.read_own_digits MODEL [--folder FOLDER] [--kinds felt,pencil] [--count 100] [--seed 0].
The digits on made pictures are MNIST's test images; a folder has a file labels.csv with lines of file name and digit.
"""

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np

from cnnx import Network
from cnnx.cli.predict import LEAST_PROBABILITY, NOT_SURE
from cnnx.data import DataError, prepare_digit, preprocess_mnist_data
from tools.photograph_digits import add_options, made


def read(network, pictures):
    """Return rows (label, prediction, probability, notes) of each (path, label); -1 is no digit found."""
    rows, pixels = [], []
    for path, label in pictures:
        try:
            prepared = prepare_digit(path)
            rows.append([label, len(pixels), 1.0, prepared.notes])
            pixels.append(prepared.pixels)
        except DataError as error:
            rows.append([label, -1, 0.0, [str(error)]])
    probabilities = network.predict(np.stack(pixels)) if pixels else None
    for row in rows:
        if row[1] >= 0:
            row[1], row[2] = int(probabilities[row[1]].argmax()), float(probabilities[row[1]].max())
            if row[2] < LEAST_PROBABILITY:
                row[3] = [*row[3], NOT_SURE]
    return rows


def made_files(kind, count, seed, digits, labels, folder):
    """Write made pictures to a folder; return (path, label) of each."""
    found = []
    for number, (picture, label) in enumerate(made(kind, count, seed, digits, labels)):
        path = Path(folder, f'{kind}_{number}.png')
        picture.save(path, compress_level=1)
        found.append((path, label))
    return found


def labelled_files(folder):
    """Return (path, label) of the pictures in a folder's labels.csv."""
    with open(Path(folder, 'labels.csv'), newline='') as file:
        return [(Path(folder, name), int(label)) for name, label in list(csv.reader(file))[1:]]


def report(name, rows, list_wrong):
    """Print how many of rows are right, and how many of the right and of the wrong ones are doubtful."""
    right, wrong = ([row for row in rows if (row[0] == row[1]) is same] for same in (True, False))
    noted = [sum(bool(row[3]) for row in part) for part in (right, wrong)]
    print(
        f'{name:12} {len(right):5}/{len(rows)} {len(right) / len(rows):6.1%}; '
        f'doubtful: {noted[0]} right, {noted[1]} of {len(wrong)} wrong',
        flush=True,
    )
    if list_wrong:
        for number, row in enumerate(rows):
            if row[0] != row[1]:
                print(f'    {number}: {row[0]} read as {row[1]} ({row[2]:.0%}) {"; ".join(row[3])}')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('model', help='a file of Network.save, or a checkpoint')
    parser.add_argument('--folder', type=Path, help='read the pictures in its labels.csv, instead of made ones')
    parser.add_argument('--full', action='store_true', help='all test images of MNIST, not the 1,000 in the package')
    parser.add_argument('--held-out', action='store_true', help='the last 10,000 training images, to choose settings')
    parser.add_argument('--wrong', action='store_true', help='list those that are read wrongly')
    add_options(parser, count=100)
    options = parser.parse_args()
    network = Network.load(options.model)
    if options.folder:
        report(options.folder.name, read(network, labelled_files(options.folder)), options.wrong)
        return
    training, testing = preprocess_mnist_data(full=options.full or options.held_out)
    digits, labels = (part[-10000:] for part in training) if options.held_out else testing
    rows = []
    for kind in options.kinds.split(','):
        with tempfile.TemporaryDirectory() as folder:
            files = made_files(kind, options.count, options.seed, digits, labels.argmax(axis=1), folder)
            found = read(network, files)
        report(kind, found, options.wrong)
        rows += found
    report('all', rows, False)


if __name__ == '__main__':
    main()
