"""Train the network that ships in the package: LeNet-5 by the recipe `lenet`, on all of MNIST.

Usage: CNNX_DATA_DIR=DIR python tools/train_pretrained.py [SEED]

Writes cnnx/data/pretrained/lenet5-mnist.npz and prints its accuracy on the test images, which `PRETRAINED` in
cnnx/models.py states.
"""

import sys

from cnnx import SGD, CategoricalCrossEntropy
from cnnx.data import preprocess_mnist_data
from cnnx.models import PRETRAINED_FOLDER, RECIPES


def main(seed=0):
    recipe = RECIPES['lenet']
    train, test = preprocess_mnist_data(full=True)
    net = recipe['network'](seed=seed)
    net.compile(CategoricalCrossEntropy(), SGD(momentum=recipe['momentum'], weight_decay=recipe['weight_decay']))
    net.train(
        *train,
        epochs=recipe['epochs'],
        learning_rate=recipe['schedule'](recipe['learning_rate']),
        batch_size=recipe['batch_size'],
        augment=recipe['augment'],
    )
    path = PRETRAINED_FOLDER / 'lenet5-mnist.npz'
    net.save(path)
    print(f'{path}: {net.evaluate(*test)["accuracy"]:.2%} of the {len(test[0])} test images')


if __name__ == '__main__':
    main(*map(int, sys.argv[1:]))
