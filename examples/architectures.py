"""Compare architectures on MNIST: logistic regression, fully connected, LeNet-5, VGG style, all convolutional.

All are trained in the same way. Printed are the number of parameters, the multiply-adds of a forward pass, the seconds
of training, and the accuracy on the test images.
"""

import argparse
import time

import numpy as np

from cnnx import (
    Adam,
    BatchNormalization,
    CategoricalCrossEntropy,
    Convolutional,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling,
    MaxPooling,
    Network,
    ReLU,
    Softmax,
)
from cnnx.data import preprocess_mnist_data
from cnnx.models import lenet5
from cnnx.schedules import OneCycle


def logistic_regression(seed):
    return network(seed, Flatten(input_shape=(28, 28, 1)), Dense(output_size=10), Softmax())


def fully_connected(seed):
    hidden = [layer for size in (256, 128) for layer in (Dense(output_size=size), ReLU(), Dropout(0.2))]
    return network(seed, Flatten(input_shape=(28, 28, 1)), *hidden, Dense(output_size=10), Softmax())


def vgg(seed):
    """Pairs of 3 x 3 convolutions, with max-pooling after each pair. Source: Simonyan and Zisserman, 2015."""
    layers = []
    for filters in (16, 32):
        layers += [convolution(filters, first=not layers), ReLU(), convolution(filters), ReLU(), MaxPooling(2)]
    head = (Flatten(), Dense(output_size=128), ReLU(), Dropout(0.5), Dense(output_size=10), Softmax())
    return network(seed, *layers, *head)


def all_convolutional(seed):
    """Strides instead of pooling, global average pooling instead of dense layers. Source: Springenberg et al., 2015."""
    layers = []
    for filters, stride in ((16, 1), (16, 2), (32, 1), (32, 2), (64, 1)):
        layers += [convolution(filters, stride, first=not layers), BatchNormalization(), ReLU()]
    return network(seed, *layers, Convolutional(10, 1), GlobalAveragePooling(), Softmax())


def convolution(filters, stride=1, first=False):
    shape = {'input_shape': (28, 28, 1)} if first else {}
    return Convolutional(filters, 3, stride=stride, padding='same', **shape)


def network(seed, *layers):
    net = Network(seed=seed)
    for layer in layers:
        net.add(layer)
    return net


NETWORKS = {
    'logistic regression': logistic_regression,
    'fully connected': fully_connected,
    'LeNet-5': lenet5,
    'VGG style': vgg,
    'all convolutional': all_convolutional,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--full', action='store_true', help='all of MNIST instead of the subset')
    parser.add_argument('--data-dir', metavar='DIR', help='the folder of the full MNIST (downloaded if not given)')
    parser.add_argument('--epochs', type=int, default=10, metavar='N', help='number of epochs (10)')
    parser.add_argument('--seeds', type=int, default=3, metavar='N', help='number of seeds to average over (3)')
    settings = parser.parse_args()
    (x, y), test = preprocess_mnist_data(full=settings.full, data_dir=settings.data_dir)
    print(f'{"network":20} parameters  multiply-adds  seconds  accuracy (lowest to highest of {settings.seeds} seeds)')
    for name, build in NETWORKS.items():
        accuracies, seconds = [], []
        for seed in range(settings.seeds):
            net = build(seed)
            net.compile(CategoricalCrossEntropy(), Adam())
            began = time.perf_counter()
            net.train(x, y, settings.epochs, OneCycle(0.003), batch_size=64, verbose=0)
            seconds.append(time.perf_counter() - began)
            accuracies.append(net.evaluate(*test)['accuracy'])
        parameters = sum(layer.parameter_count for layer in net.layers)
        print(
            f'{name:20} {parameters:10,}  {net.multiply_adds:13,}  {np.median(seconds):7.1f}  '
            f'{np.mean(accuracies):.2%} ({min(accuracies):.2%} to {max(accuracies):.2%})',
            flush=True,
        )


if __name__ == '__main__':
    main()
