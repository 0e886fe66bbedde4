"""Segmentation: which digit, or the background, is at each pixel of a scene? A U-Net and a fully convolutional network.

    python examples/segmentation.py --quick

Both networks halve the image three times and enlarge it again. U-Net (Ronneberger et al., 2015) joins each enlarged
image to the one of its size from before; the fully convolutional network (Long et al., 2015) classifies at the lowest
resolution, and adds what it finds one step above. Printed is the mean intersection over union over the 10 digits and
the background, on scenes of test digits that training never saw.
"""

import argparse
import time

from cnnx import (
    Adam,
    Add,
    BatchNormalization,
    CategoricalCrossEntropy,
    Concatenate,
    Convolutional,
    Input,
    MaxPooling,
    Network,
    ReLU,
    Softmax,
    TransposedConvolutional,
    UpSampling,
)
from cnnx.data import make_scenes, preprocess_mnist_data
from cnnx.schedules import OneCycle

BATCH = 8
CLASSES = 11  # ten digits and the background
FILTERS = (8, 24, 48, 96)  # at the four resolutions, the highest first


def convolutions(x, filters, count=2):
    """3 x 3 convolutions, each with normalization and ReLU."""
    for _ in range(count):
        x = Convolutional(filters, 3, padding='same', use_bias=False)(x)
        x = ReLU()(BatchNormalization()(x))
    return x


def unet(seed, size, filters=FILTERS):
    x = Input((size, size, 1))
    h, skipped = x, []
    for count in filters[:-1]:
        h = convolutions(h, count)
        skipped.append(h)
        h = MaxPooling(2)(h)
    h = convolutions(h, filters[-1])
    coarse = UpSampling(2 ** len(skipped), interpolation='bilinear')(Convolutional(CLASSES, 1)(h))
    for same_size, count in zip(reversed(skipped), reversed(filters[1:]), strict=True):
        h = TransposedConvolutional(count // 2, 2, stride=2)(h)
        h = convolutions(Concatenate()([same_size, h]), count // 2, 1)
    # Scores from the lowest resolution have a short way to go, and teach the layers on it from the first steps on.
    y = Add()([Convolutional(CLASSES, 1)(h), coarse])
    return Network(inputs=x, outputs=Softmax()(y), seed=seed)


def fully_convolutional(seed, size, filters=FILTERS):
    x = Input((size, size, 1))
    h, scores = x, []
    for count in filters:
        h = convolutions(h if h is x else MaxPooling(2)(h), count)
        scores.append(Convolutional(CLASSES, 1)(h))
    y = Add()([UpSampling(2, interpolation='bilinear')(scores[3]), scores[2]])
    y = UpSampling(4, interpolation='bilinear')(y)
    return Network(inputs=x, outputs=Softmax()(y), seed=seed)


NETWORKS = {'fcn': fully_convolutional, 'unet': unet}


def parse_settings(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--network', choices=NETWORKS, help='train this one alone')
    parser.add_argument('--quick', action='store_true', help='few small scenes, to see that it runs')
    parser.add_argument('--full', action='store_true', help='digits of all of MNIST instead of the subset')
    parser.add_argument('--data-dir', metavar='DIR', help='the folder of the full MNIST (downloaded if not given)')
    parser.add_argument('--scenes', type=int, default=3800, metavar='N', help='new ones in each epoch (%(default)s)')
    parser.add_argument('--epochs', type=int, default=9, metavar='N', help='number of epochs (%(default)s)')
    parser.add_argument('--seed', type=int, default=0, metavar='N', help='of the weights and the order (%(default)s)')
    parser.add_argument('--checkpoint-dir', metavar='DIR', help='save a checkpoint an epoch')
    parser.add_argument('--resume', action='store_true', help='continue from the newest checkpoint')
    parser.add_argument('--plot', metavar='FILE', help='draw some scenes and what the networks find')
    return parser.parse_args(arguments)


def train_network(name, digits, settings, sizes):
    """Return a network that was trained on new scenes of these digits in each epoch."""

    def batches(epoch):
        # More digits on them than the test's have, to learn more from each.
        scenes = make_scenes(*digits, settings.scenes, seed=epoch, **({'digits': (4, 12)} | sizes))
        return (
            (scenes.images[i : i + BATCH], scenes.class_maps[i : i + BATCH]) for i in range(0, settings.scenes, BATCH)
        )

    net = NETWORKS[name](settings.seed, sizes['size'], (4, 8, 16, 32) if settings.quick else FILTERS)
    net.compile(CategoricalCrossEntropy(), Adam())
    net.train(
        batches,
        epochs=settings.epochs,
        learning_rate=OneCycle(0.01),
        steps_per_epoch=-(-settings.scenes // BATCH),
        checkpoint_dir=settings.checkpoint_dir,
        checkpoint_prefix=name,
        resume_from_checkpoint=settings.resume,
        verbose=2,
    )
    return net


def draw(path, test, networks):
    """Draw scenes, the truth, and the classes that each network finds."""
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    rows = {'scene': test.images[:6, ..., 0], 'truth': test.class_maps[:6]}
    rows |= {name: net.predict_classes(test.images[:6]) for name, net in networks.items()}
    figure, axes = plt.subplots(len(rows), 6, figsize=(12, 2 * len(rows)), squeeze=False)
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        line[0].set_title(name, loc='left')
        for axis, picture in zip(line, pictures, strict=True):
            colours = {'cmap': 'gray'} if name == 'scene' else {'cmap': 'tab20', 'vmin': 0, 'vmax': CLASSES - 1}
            axis.imshow(picture, **colours)
            axis.axis('off')
    figure.savefig(path, bbox_inches='tight')


def main(arguments=None):
    settings = parse_settings(arguments)
    train, test = preprocess_mnist_data(full=settings.full, data_dir=settings.data_dir)
    sizes = {'size': 96}
    if settings.quick:
        sizes = {'size': 32, 'digits': (1, 1), 'lengths': (20, 28)}
        settings.scenes, settings.epochs = 240, min(settings.epochs, 6)
    test = make_scenes(*test, 40 if settings.quick else 500, seed=0, **sizes)
    networks, figures = {}, {}
    for name in [settings.network] if settings.network else NETWORKS:
        began = time.perf_counter()
        networks[name] = net = train_network(name, train, settings, sizes)
        seconds = time.perf_counter() - began
        figures[name] = net.evaluate(test.images, test.class_maps, metrics=['mean_iou'])['mean_iou']
        parameters = sum(layer.parameter_count for layer in net.layers)
        print(f'{name}: {parameters:,} parameters, {net.multiply_adds:,} multiply-adds, {seconds:.0f} s', flush=True)
    if settings.plot:
        draw(settings.plot, test, networks)
    print('mean intersection over union: ' + ', '.join(f'{name} {figure:.3f}' for name, figure in figures.items()))
    return figures


if __name__ == '__main__':
    main()
