"""Compare architectures on MNIST, from logistic regression and LeNet-5 to ResNet, Inception, MobileNet and DenseNet.

All are trained in the same way. Printed are the number of parameters, the multiply-adds of a forward pass, the seconds
of training, and the accuracy on the test images; with --augment, of the mean of predictions for the image and for its
shifts by a pixel. A run that is resumed counts its own seconds only.
"""

import argparse
import time

import numpy as np

from cnnx import (
    Adam,
    AdamW,
    Add,
    AveragePooling,
    BatchNormalization,
    CategoricalCrossEntropy,
    Concatenate,
    Convolutional,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling,
    Input,
    MaxPooling,
    Network,
    ReLU,
    Softmax,
)
from cnnx.augmentation import predict_with_shifts
from cnnx.data import preprocess_mnist_data
from cnnx.models import RECIPES, lenet5
from cnnx.schedules import OneCycle

IMAGE = (28, 28, 1)


def logistic_regression(seed):
    return Network([Flatten(input_shape=IMAGE), Dense(output_size=10), Softmax()], seed=seed)


def fully_connected(seed):
    hidden = [layer for size in (256, 128) for layer in (Dense(output_size=size), ReLU(), Dropout(0.2))]
    return Network([Flatten(input_shape=IMAGE), *hidden, Dense(output_size=10), Softmax()], seed=seed)


def vgg(seed):
    """Pairs of 3 x 3 convolutions, with max-pooling after each pair. Source: Simonyan and Zisserman, 2015."""
    h = x = Input(IMAGE)
    for filters in (16, 32):
        for _ in range(2):
            h = ReLU()(Convolutional(filters, 3, padding='same')(h))
        h = MaxPooling(2)(h)
    h = Dropout(0.5)(ReLU()(Dense(output_size=128)(Flatten()(h))))
    return Network(inputs=x, outputs=Softmax()(Dense(output_size=10)(h)), seed=seed)


def all_convolutional(seed):
    """Strides instead of pooling, global average pooling instead of dense layers. Source: Springenberg et al., 2015."""
    h = x = Input(IMAGE)
    for filters, stride in ((16, 1), (16, 2), (32, 1), (32, 2), (64, 1)):
        h = ReLU()(BatchNormalization()(Convolutional(filters, 3, stride=stride, padding='same')(h)))
    return Network(inputs=x, outputs=Softmax()(GlobalAveragePooling()(Convolutional(10, 1)(h))), seed=seed)


def resnet(seed):
    """Three stages of residual blocks: what a block computes is added to its input. Source: He et al., 2016."""
    x = Input(IMAGE)
    h = convolution(x, 16)
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        inner = convolution(convolution(h, filters, stride=stride), filters, activation=False)
        if stride > 1:
            h = convolution(h, filters, 1, stride, activation=False)  # brings the input to the shape of the output
        h = ReLU()(Add()([inner, h]))
    return with_head(x, h, seed)


def inception(seed):
    """Modules of 1 x 1, 3 x 3, 5 x 5 convolutions and pooling, side by side. Source: Szegedy et al., 2015."""
    x = Input(IMAGE)
    h = MaxPooling(2)(convolution(x, 16))
    for filters in (8, 16, 24):
        branches = [
            convolution(h, filters, 1),
            convolution(convolution(h, filters, 1), filters, 3),
            convolution(convolution(h, filters // 2, 1), filters // 2, 5),
            convolution(MaxPooling(3, stride=1, padding='same')(h), filters // 2, 1),
        ]
        h = Concatenate()(branches)
        if filters == 16:
            h = MaxPooling(2)(h)
    return with_head(x, h, seed)


def mobilenet(seed):
    """Depthwise separable: a 3 x 3 filter for each channel, then 1 x 1 convolutions. Source: Howard et al., 2017."""
    x = Input(IMAGE)
    h = convolution(x, 16)
    for filters, stride in ((32, 2), (32, 1), (64, 2), (64, 1)):
        h = convolution(h, h.shape[-1], stride=stride, groups=h.shape[-1])
        h = convolution(h, filters, 1)
    return with_head(x, h, seed)


def densenet(seed):
    """Each convolution reads the outputs of all before it in its block. Source: Huang et al., 2017."""
    x = Input(IMAGE)
    h = convolution(x, 16)
    for block in range(3):
        for _ in range(3):
            h = Concatenate()([h, convolution(h, 8)])
        if block < 2:
            h = AveragePooling(2)(convolution(h, h.shape[-1] // 2, 1))
    return with_head(x, h, seed)


def convolution(x, filters, size=3, stride=1, groups=1, activation=True):
    """A convolution and batch normalization, whose shift stands for the bias, and ReLU."""
    h = Convolutional(filters, size, stride=stride, padding='same', groups=groups, use_bias=False)(x)
    h = BatchNormalization()(h)
    return ReLU()(h) if activation else h


def with_head(x, h, seed):
    return Network(inputs=x, outputs=Softmax()(Dense(output_size=10)(GlobalAveragePooling()(h))), seed=seed)


NETWORKS = {
    'logistic regression': logistic_regression,
    'fully connected': fully_connected,
    'LeNet-5': lenet5,
    'VGG style': vgg,
    'all convolutional': all_convolutional,
    'ResNet': resnet,
    'Inception': inception,
    'MobileNet': mobilenet,
    'DenseNet': densenet,
}


def parse_settings(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add('--networks', nargs='+', choices=NETWORKS, default=list(NETWORKS), metavar='NAME', help='only these (all)')
    add('--full', action='store_true', help='all of MNIST instead of the subset')
    add('--data-dir', metavar='DIR', help='the folder of the full MNIST (downloaded if not given)')
    add('--augment', action='store_true', help='change images as the recipes do, smooth labels, decay weights')
    add('--epochs', type=int, default=10, metavar='N', help='number of epochs (10)')
    add('--seeds', type=int, default=3, metavar='N', help='number of seeds to average over (3)')
    add('--quick', action='store_true', help='one epoch over 200 images and one seed, to see that it runs')
    add('--plot', metavar='FILE', help='draw accuracies and multiply-adds')
    add('--checkpoint-dir', metavar='DIR', help='save a checkpoint after each epoch')
    add('--resume', action='store_true', help='continue from the checkpoints in that folder')
    return parser.parse_args(arguments)


def measure(name, train_data, test_data, settings):
    """Return a network of that name, and the seconds of training and the accuracy for each seed."""
    found = []
    loss, optimizer, rate, augment = CategoricalCrossEntropy(), Adam(), 0.003, None
    if settings.augment:
        loss, optimizer = CategoricalCrossEntropy(label_smoothing=0.1), AdamW(weight_decay=0.05)
        rate, augment = 0.005, RECIPES['accurate']['augment']
    for seed in range(settings.seeds):
        net = NETWORKS[name](seed)
        net.compile(loss, optimizer)
        began = time.perf_counter()
        how = {'batch_size': 64, 'augment': augment, 'checkpoint_prefix': f'{name.replace(" ", "_")}_{seed}'}
        how |= {'checkpoint_dir': settings.checkpoint_dir, 'resume_from_checkpoint': settings.resume}
        net.train(*train_data, settings.epochs, OneCycle(rate), **how, verbose=0)
        seconds, (x, one_hot) = time.perf_counter() - began, test_data
        scores = predict_with_shifts(net.predict, x, 1 if settings.augment else 0)
        found.append((seconds, np.mean(scores.argmax(axis=1) == one_hot.argmax(axis=1))))
    return net, *zip(*found, strict=True)


def plot(means, path):
    """Draw accuracies; `means` has (accuracy, multiply-adds) by name."""
    from matplotlib.figure import Figure

    axes = Figure(figsize=(8, 5), layout='constrained').add_subplot(xscale='log')
    for name, (accuracy, multiply_adds) in means.items():
        axes.plot(multiply_adds, 100 * accuracy, 'o')
        axes.annotate(name, (multiply_adds, 100 * accuracy), (4, 4), textcoords='offset points')
    axes.set(xlabel='multiply-adds of an image', ylabel='accuracy on test images, %')
    axes.figure.savefig(path)


def main(arguments=None):
    settings = parse_settings(arguments)
    (x, y), test_data = preprocess_mnist_data(full=settings.full, data_dir=settings.data_dir)
    if settings.quick:
        x, y, settings.epochs, settings.seeds = x[:200], y[:200], 1, 1
    print(f'{"network":20} parameters  multiply-adds  seconds  accuracy (lowest to highest of {settings.seeds} seeds)')
    means = {}
    for name in settings.networks:
        net, seconds, accuracies = measure(name, (x, y), test_data, settings)
        means[name] = np.mean(accuracies), net.multiply_adds
        print(
            f'{name:20} {sum(layer.parameter_count for layer in net.layers):10,}  {net.multiply_adds:13,}  '
            f'{np.median(seconds):7.1f}  {means[name][0]:.2%} ({min(accuracies):.2%} to {max(accuracies):.2%})',
            flush=True,
        )
    if settings.plot:
        plot(means, settings.plot)
    best = max(means, key=means.get)
    print(f'most accurate: {best}, {means[best][0]:.2%}')


if __name__ == '__main__':
    main()
