"""A training run that saves all the time: what the torture tests kill, and what they compare with.

python run_forever.py FOLDER [--slowly] [--verbose]: trains a small network, resuming where it can, and ends.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from models import small_data, small_network

EPOCHS = 8


def train(folder, **options):
    net = small_network()
    x, y = small_data(200)
    settings = {
        'epochs': EPOCHS,
        'batch_size': 8,
        'checkpoint_dir': folder,
        'checkpoint_every': 1,
        'keep': 3,
        'resume_from_checkpoint': True,
        'validation_data': small_data(40, seed=1),
        'verbose': 0,
    }
    return net, net.train(x, y, **(settings | options))


if __name__ == '__main__':
    train(sys.argv[1], verbose=int('--verbose' in sys.argv))
