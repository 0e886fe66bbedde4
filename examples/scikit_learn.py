"""Classifiers of scikit-learn and of cnnx on its digits, images of 8 x 8 pixels: accuracy and seconds, side by side.

    OMP_NUM_THREADS=1 python examples/scikit_learn.py

Each classifier is fitted on four fifths of the 1,797 images and scored on the others, five times. The seconds are those
of the processor, for one fit, and for the images of one fifth.
"""

import argparse
import time
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from cnnx.augmentation import Shift
from cnnx.schedules import OneCycle
from cnnx.sklearn import CNNClassifier

warnings.simplefilter('ignore', ConvergenceWarning)  # of MLPClassifier(), which ends after 200 epochs

MODELS = {
    'CNNClassifier': CNNClassifier(image_shape=(8, 8), random_state=0),
    'CNNClassifier, one cycle': CNNClassifier(
        image_shape=(8, 8), epochs=30, learning_rate=OneCycle(0.005), random_state=0
    ),
    'CNNClassifier, augmented': CNNClassifier(
        image_shape=(8, 8), learning_rate=OneCycle(0.005), augment=[Shift(1)], random_state=0
    ),
    'MLPClassifier': MLPClassifier(random_state=0),
    'SVC': SVC(),
}


def seconds_of(function, *arguments):
    """Return what a function returns, and its seconds."""
    began = time.process_time()
    return function(*arguments), time.process_time() - began


def compare(models, x, y, folds=5):
    """Return {name: [(accuracy, seconds of fit, seconds of predict) of each fold]}; all models see the same folds."""
    found = {name: [] for name in models}
    for train, test in StratifiedKFold(folds, shuffle=True, random_state=0).split(x, y):
        for name, model in models.items():
            _, of_fit = seconds_of(model.fit, x[train], y[train])
            predicted, of_predict = seconds_of(model.predict, x[test])
            found[name].append((np.mean(predicted == y[test]), of_fit, of_predict))
    return found


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--quick', action='store_true', help='300 images and two folds, to see that it runs')
    quick = parser.parse_args(arguments).quick
    x, y = load_digits(return_X_y=True)
    count = 300 if quick else len(x)
    print(f'{"":25} accuracy   fit, s   predict, s')
    for name, rows in compare(MODELS, x[:count] / 16, y[:count], 2 if quick else 5).items():
        accuracy, of_fit, of_predict = np.mean(rows, axis=0)
        print(f'{name:25} {accuracy:8.2%} {of_fit:8.2f} {of_predict:12.4f}')


if __name__ == '__main__':
    main()
