"""Regression and multi-label classification: how much ink, at what angle, and which digits are on a scene.

    python examples/counting.py

trains two networks. The first reads two numbers off a turned, noisy digit: its ink, in percent of the image, and its
angle, in degrees (Huber loss). The second says of each digit from 0 to 9 whether it is among the two or three on a
scene (Sigmoid and binary cross-entropy). Each epoch has new images, made from the training digits; the test images are
made from digits that training never saw.
"""

import argparse

import numpy as np

from cnnx import (
    Adam,
    BatchNormalization,
    BinaryCrossEntropy,
    Convolutional,
    Dense,
    Flatten,
    GlobalMaxPooling,
    Huber,
    MaxPooling,
    Network,
    ReLU,
    Sigmoid,
)
from cnnx.data import preprocess_mnist_data
from cnnx.schedules import OneCycle

BATCH = 50
NOISE = 0.1  # standard deviation, added to pixels between 0 and 1
LARGEST_ANGLE = 45
UNITS = np.array([10, LARGEST_ANGLE])  # the network's outputs are about 1 in size: ink / 10 %, angle / 45 degrees


def turned_digits(images, labels, count, rng):
    """Return x (count, 28, 28, 1), digits turned counter-clockwise, and y (count, 2): ink / 10 %, angle / 45."""
    degrees = rng.uniform(-LARGEST_ANGLE, LARGEST_ANGLE, count)
    turned = rotate(images[rng.integers(len(images), size=count)], degrees)
    ink = 100 * turned.mean(axis=(1, 2, 3))
    return with_noise(turned, rng), np.stack([ink, degrees], axis=1) / UNITS


def rotate(images, degrees):
    """Turn square images (N, S, S, C) counter-clockwise about their middle, by bilinear interpolation."""
    size = images.shape[1]
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    angles = np.deg2rad(degrees)[:, np.newaxis, np.newaxis]
    # Where each pixel of the result lies in the image; beyond the edges, the pixels at the edges, which are black.
    r = np.clip(np.cos(angles) * rows + np.sin(angles) * columns + (size - 1) / 2, 0, size - 1.001)
    c = np.clip(np.cos(angles) * columns - np.sin(angles) * rows + (size - 1) / 2, 0, size - 1.001)
    top, left, n = r.astype(int), c.astype(int), np.arange(len(images))[:, np.newaxis, np.newaxis]
    down, right = (r - top)[..., np.newaxis], (c - left)[..., np.newaxis]
    upper = (1 - right) * images[n, top, left] + right * images[n, top, left + 1]
    lower = (1 - right) * images[n, top + 1, left] + right * images[n, top + 1, left + 1]
    return (1 - down) * upper + down * lower


def scenes(images, labels, count, rng):
    """Return x (count, 56, 56, 1), with two or three digits in three of four corners, and y (count, 10), 0 or 1."""
    x, y = np.zeros((count, 56, 56, 1)), np.zeros((count, 10))
    for scene, there in zip(x, y, strict=True):
        for corner in rng.permutation(4)[: rng.integers(2, 4)]:
            chosen, shift = rng.integers(len(images)), rng.integers(5, size=2)
            # Up to 4 pixels from the corner towards the middle: as wide as the margins of a digit.
            row, column = np.where([corner // 2, corner % 2], 28 - shift, shift)
            part = scene[row : row + 28, column : column + 28]
            np.maximum(part, images[chosen], out=part)
            there[labels[chosen]] = 1
    return with_noise(x, rng), y


def with_noise(x, rng):
    return (x + NOISE * rng.standard_normal(x.shape)).astype(np.float32)


def convolutions(shape):
    layers = [Convolutional(16, 3, padding='same', use_bias=False, input_shape=shape)]
    for filters in (32, 64):
        layers += [BatchNormalization(), ReLU(), MaxPooling(2)]
        layers += [Convolutional(filters, 3, padding='same', use_bias=False)]
    return [*layers, BatchNormalization(), ReLU(), MaxPooling(2)]


def regression_network(seed):
    net = Network(
        [*convolutions((28, 28, 1)), Flatten(), Dense(output_size=64), ReLU(), Dense(output_size=2)], seed=seed
    )
    net.compile(Huber(delta=0.2), Adam())
    return net


def multi_label_network(seed):
    """Return a network of which each output is the largest, over the places of a scene, of what speaks for a digit."""
    net = Network(
        [
            *convolutions((56, 56, 1)),
            Convolutional(128, 3),
            ReLU(),
            GlobalMaxPooling(),
            Dense(output_size=10),
            Sigmoid(),
        ],
        seed=seed,
    )
    net.compile(BinaryCrossEntropy(), Adam())
    return net


def train(net, make, images, labels, settings):
    """Train on images that `make` returns, new ones in each epoch, as many as there are digits."""
    steps = len(images) // BATCH

    def batches(epoch):
        rng = np.random.default_rng((settings.seed, epoch))
        return (make(images, labels, BATCH, rng) for step in range(steps))

    net.train(
        batches,
        epochs=settings.epochs,
        learning_rate=OneCycle(0.003),
        steps_per_epoch=steps,
        checkpoint_dir=settings.checkpoint_dir,
        checkpoint_prefix=f'counting_{make.__name__}',
        resume_from_checkpoint=settings.resume,
        verbose=0 if settings.quick else 1,
    )


def f1_by_label(predicted, y):
    """Return 2 TP / (2 TP + FP + FN) of each label, (labels,); both arguments are (N, labels), true or false."""
    return 2 * np.sum(predicted & y, axis=0) / np.maximum(np.sum(predicted, axis=0) + np.sum(y, axis=0), 1)


def draw(path, turned, numbers, scene_images, found):
    """Draw eight turned digits and eight scenes, with what the networks say of them."""
    from matplotlib.figure import Figure

    texts = [f'{ink:.1f} %, {angle:.0f}°' for ink, angle in numbers] + [
        ' '.join(map(str, np.flatnonzero(row))) for row in found
    ]
    figure = Figure((12, 4))
    for axes, image, text in zip(figure.subplots(2, 8).flat, [*turned, *scene_images], texts, strict=True):
        axes.imshow(image[..., 0], cmap='gray')
        axes.set_title(text)
        axes.axis('off')
    figure.savefig(path)


def parse_settings(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--quick', action='store_true', help='few digits and epochs, to see that it runs')
    parser.add_argument('--full', action='store_true', help='all of MNIST instead of the subset')
    parser.add_argument('--data-dir', metavar='DIR', help='the folder of the full MNIST (downloaded if not given)')
    parser.add_argument('--epochs', type=int, metavar='N', help='number of epochs (20; --quick: 2)')
    parser.add_argument('--seed', type=int, default=0, metavar='N', help='of weights and images (0)')
    parser.add_argument('--plot', metavar='FILE', help='draw images and what the networks say of them')
    parser.add_argument('--checkpoint-dir', metavar='DIR', help='save after each epoch')
    parser.add_argument('--resume', action='store_true', help='continue from the newest checkpoint, exactly')
    settings = parser.parse_args(arguments)
    if settings.resume and not settings.checkpoint_dir:
        parser.error('--resume needs --checkpoint-dir')
    settings.epochs = settings.epochs or (2 if settings.quick else 20)
    return settings


def main(arguments=None):
    settings = parse_settings(arguments)
    train_data, test_data = preprocess_mnist_data(full=settings.full, data_dir=settings.data_dir)
    (x_train, y_train), (x_test, y_test) = ((x, y.argmax(axis=1)) for x, y in (train_data, test_data))
    count = 2000
    if settings.quick:
        x_train, y_train, count = x_train[:500], y_train[:500], 200

    net, rng = regression_network(settings.seed), np.random.default_rng(1)
    train(net, turned_digits, x_train, y_train, settings)
    turned, y = turned_digits(x_test, y_test, count, rng)
    numbers = net.predict(turned) * UNITS
    ink, angle = np.abs(numbers - y * UNITS).mean(axis=0)
    ink_of_median, angle_of_median = np.abs((np.median(y, axis=0) - y) * UNITS).mean(axis=0)
    print(f'mean absolute error   ink {ink:.2f} %, angle {angle:.1f} degrees')
    print(f'of always the median  ink {ink_of_median:.2f} %, angle {angle_of_median:.1f} degrees')

    net = multi_label_network(settings.seed)
    train(net, scenes, x_train, y_train, settings)
    scene_images, y = scenes(x_test, y_test, count, rng)
    found = net.predict(scene_images) > 0.5
    f1 = f1_by_label(found, y > 0.5)
    print('F1 of the digits 0-9 ', *(f'{value:.3f}' for value in f1))
    if settings.plot:
        draw(settings.plot, turned[:8], numbers[:8], scene_images[:8], found[:8])
    print(f'counting: ink {ink:.2f} %, angle {angle:.1f} degrees, F1 {f1.mean():.3f}')


if __name__ == '__main__':
    main()
