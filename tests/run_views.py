"""What the page of a run shows, made up: of a run that goes on, and of one that has ended."""

import numpy as np

from cnnx.callbacks.examined import Comparison, Picture
from cnnx.callbacks.run_page.page import RunView


def view(**changes):
    image = np.zeros((4, 4, 1), np.uint8)
    given = {
        'name': 'run',
        'network': 'Network: 3 layers',
        'state': 'running',
        'epoch': 2,
        'epochs': 4,
        'batch': 3,
        'batches_in_epoch': 10,
        'fraction': 0.325,
        'seconds': 61.5,
        'left': 130.0,
        'reload': 2.0,
        'written': 1e9,
        'history': {'loss': [1.0], 'val_loss': [2.0], 'val_top_3': [0.5], 'learning_rate': [0.1]},
        'batches': [3.0, 2.0, 1.0],
        'pictures': [Picture(image, 'cat', 'cat', 0.9), Picture(image, 'cat', 'dog', 0.8)],
        'about': {'Settings': {'batch_size': 32, 'shuffle': True, 'augment': [], 'class_weight': None}},
        'command': 'cnnx train',
    }
    return RunView(**(given | changes))


def report(**changes):
    image = np.zeros((4, 4, 3), np.uint8)
    comparison = Comparison(['cat', 'dog'], np.array([[5, 1], [2, 7]]), 0, [Picture(image, 'dog', 'cat', 0.7)])
    return view(**({'state': 'finished', 'fraction': 1.0, 'left': None, 'comparison': comparison} | changes))
