"""Make the MNIST subset that comes with the package, from the full data.

Usage: python tools/make_mnist_subset.py FOLDER, FOLDER holding the four original files, compressed.
The same data gives the same bytes again.
"""

import argparse
import gzip
import struct
from pathlib import Path

from cnnx.data import read_idx
from cnnx.data.mnist import FILES, SUBSET

COUNTS = {'train': 5000, 't10k': 1000}


def main():
    parser = argparse.ArgumentParser(description='Make the bundled MNIST subset from the full data.')
    parser.add_argument('folder', type=Path, help='where the four original MNIST files are')
    folder = parser.parse_args().folder
    for name in FILES:
        first = read_idx(folder / name)[: COUNTS[name.split('-')[0]]]
        head = struct.pack(f'>HBB{first.ndim}I', 0, 0x08, first.ndim, *first.shape)
        with open(SUBSET / name, 'wb') as raw, gzip.GzipFile('', 'wb', 9, raw, mtime=0) as packed:
            packed.write(head + first.tobytes())
        print(f'{name}: {first.shape}')


if __name__ == '__main__':
    main()
