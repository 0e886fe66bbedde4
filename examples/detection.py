"""Object detection: where are digits in a scene, and which? A YOLO-style grid, SSD-style anchors, and R-CNN.

    python examples/detection.py --quick

Each network gives, for each of some boxes, offsets to a better box and scores of ten digits and the background.
docs/applications.md says which boxes. Printed is the mean average precision at an intersection over union of 0.5, on
scenes of test digits that training never saw.
"""

import argparse
import time
from functools import partial

import numpy as np

import cnnx.boxes
from cnnx import Adam, CategoricalCrossEntropy, Loss, MeanAbsoluteError, Network
from cnnx.data import make_scenes, preprocess_mnist_data
from cnnx.layers import BatchNormalization, Concatenate, Convolutional, Dense, Flatten, Input, MaxPooling, ReLU, Reshape
from cnnx.schedules import OneCycle

BATCH = 16
BACKGROUND = 10
OUTPUTS = 4 + 11  # offsets, and scores of digits and background
CELL = [(24, 16)]  # height and width of the box that YOLO's offsets start from
SMALL, LARGE = [(17, 12), (17, 5), (24, 17), (24, 8)], [(34, 24), (34, 12)]  # of SSD's anchors
WINDOWS = [(length, round(length * ratio)) for length in (15, 20, 27, 36) for ratio in (0.75, 0.4)]  # of R-CNN
MARGIN = 1 / 8  # of a window's sides that is cut out around it


class DetectionLoss(Loss):
    """Cross-entropy of the classes of all boxes, plus absolute errors of offsets where there is a digit.

    Both are sums over the boxes of a batch, divided by the number of boxes with a digit. Predictions are (N, boxes,
    15), targets (N, boxes, 5): offsets and class.
    """

    def value_and_gradient(self, y, targets):
        classes = targets[..., 4].astype(int)
        digit = (classes != BACKGROUND).astype(y.dtype)
        scores, dscores = CategoricalCrossEntropy(from_logits=True).value_and_gradient(y[..., 4:], classes)
        offsets, doffsets = MeanAbsoluteError().value_and_gradient(y[..., :4], targets[..., :4], sample_weight=digit)
        scale = y.dtype.type(classes.size / max(1, digit.sum()))
        return scale * (scores + 4 * offsets), scale * np.concatenate([4 * doffsets, dscores], axis=-1)


def convolution(x, filters, stride=1):
    x = Convolutional(filters, 3, stride=stride, padding='same', use_bias=False)(x)
    return ReLU()(BatchNormalization()(x))


def features(x, width):
    """Return features of cells of 8 x 8 pixels."""
    for filters in (width, 2 * width):
        x = MaxPooling(2)(convolution(x, filters))
    x = MaxPooling(2)(convolution(convolution(x, 4 * width), 4 * width))
    return convolution(convolution(x, 8 * width), 8 * width)


def yolo(size, width, seed):
    """Return a network and its boxes, one a cell. Source: Redmon et al., 2016."""
    x = Input((size, size, 1))
    y = Reshape((-1, OUTPUTS))(Convolutional(OUTPUTS, 1, kernel_initializer='zeros')(features(x, width)))
    return Network(inputs=x, outputs=y, seed=seed), cnnx.boxes.anchor_boxes(size // 8, size // 8, 8, CELL)


def ssd(size, width, seed):
    """Return a network and its anchors, cells of 8 x 8 pixels first, then of 16 x 16. Source: Liu et al., 2016."""
    x = Input((size, size, 1))
    near = features(x, width)
    far = convolution(convolution(near, 8 * width, stride=2), 8 * width)
    heads = [(near, 8, SMALL), (far, 16, LARGE)]
    y = [Convolutional(len(sizes) * OUTPUTS, 1, kernel_initializer='zeros')(h) for h, _, sizes in heads]
    y = Concatenate(axis=0)([Reshape((-1, OUTPUTS))(h) for h in y])
    anchors = [cnnx.boxes.anchor_boxes(size // stride, size // stride, stride, sizes) for _, stride, sizes in heads]
    return Network(inputs=x, outputs=y, seed=seed), np.concatenate(anchors)


def crop_classifier(width, seed):
    """Return the network of R-CNN, for crops (28, 28, 1), with one box each. Source: Girshick et al., 2014."""
    x = Input((28, 28, 1))
    h = MaxPooling(2)(convolution(x, width))
    h = MaxPooling(2)(convolution(h, 2 * width))
    h = ReLU()(Dense(output_size=8 * width)(Flatten()(convolution(h, 4 * width))))
    return Network(inputs=x, outputs=Reshape((1, OUTPUTS))(Dense(output_size=OUTPUTS)(h)), seed=seed)


def targets_of(matched, anchors, boxes, labels):
    """Return offsets and classes (anchors, 5) that a network should give, for the box that each anchor finds."""
    targets = np.zeros((len(anchors), 5), np.float32)
    digit = matched >= 0
    targets[digit, :4] = cnnx.boxes.encode_boxes(boxes[matched[digit]], anchors[digit])
    targets[:, 4] = np.where(digit, labels[matched], BACKGROUND)
    return targets


def detections(outputs, anchors, least=0.02):
    """Return boxes, scores and labels of the digits of a scene, from outputs (anchors, 15).

    A box that may be a 4 or a 9 is returned with both labels.
    """
    probabilities = cnnx.Softmax()(outputs[:, 4:])[:, :BACKGROUND]
    index, labels = np.nonzero(probabilities > least)
    boxes, scores = cnnx.boxes.decode_boxes(outputs[index, :4], anchors[index]), probabilities[index, labels]
    kept = cnnx.boxes.non_maximum_suppression(boxes, scores, labels, threshold=0.4)
    return boxes[kept], scores[kept], labels[kept]


def crops_to_learn(scenes, rng, a_scene=16):
    """Return crops and targets of R-CNN: of each scene's windows some with a digit, and as many or more without."""
    crops, targets = [], []
    for image, boxes, labels in zip(scenes.images, scenes.boxes, scenes.labels, strict=True):
        windows = cnnx.boxes.propose_boxes(image[..., 0], WINDOWS)
        matched = cnnx.boxes.match_anchors(windows, boxes)
        order = rng.permutation(len(windows))
        found, empty = order[matched[order] >= 0], order[matched[order] < 0]
        index = np.concatenate([found[: a_scene // 2], empty[: a_scene // 2]])
        crops.append(cnnx.boxes.crop_and_resize(image, windows[index], (28, 28), MARGIN))
        targets.append(targets_of(matched[index], windows[index], boxes, labels))
    return np.concatenate(crops), np.concatenate(targets)[:, np.newaxis]


def single_shot(build, digits, settings, sizes):
    """Return a function that finds digits, by a network that reads whole scenes and learns from new ones."""
    net, anchors = build(sizes['size'], 8 if settings.quick else 16, settings.seed)
    match = cnnx.boxes.match_middles if build is yolo else cnnx.boxes.match_anchors

    def batches(epoch):
        # New scenes in each epoch, and more digits on them than the test's have, to learn more from each.
        scenes = make_scenes(*digits, settings.scenes, seed=epoch, **({'digits': (4, 12)} | sizes))
        truth = zip(scenes.boxes, scenes.labels, strict=True)
        targets = np.stack([targets_of(match(anchors, boxes), anchors, boxes, labels) for boxes, labels in truth])
        return ((scenes.images[i : i + BATCH], targets[i : i + BATCH]) for i in range(0, settings.scenes, BATCH))

    fit(net, build.__name__, (batches,), settings, steps_per_epoch=-(-settings.scenes // BATCH))
    return lambda images: [detections(outputs, anchors) for outputs in net.predict(images)]


def rcnn(digits, settings, sizes):
    """Return a function that finds digits, by a network that classifies the windows that `propose_boxes` gives."""
    net = crop_classifier(8 if settings.quick else 16, settings.seed)
    scenes = make_scenes(*digits, settings.scenes, seed=1, **sizes)
    fit(net, 'rcnn', crops_to_learn(scenes, np.random.default_rng(settings.seed)), settings, batch_size=4 * BATCH)

    def find(image):
        windows = cnnx.boxes.propose_boxes(image[..., 0], WINDOWS)
        return detections(net.predict(cnnx.boxes.crop_and_resize(image, windows, (28, 28), MARGIN))[:, 0], windows)

    return lambda images: [find(image) for image in images]


METHODS = {'yolo': partial(single_shot, yolo), 'ssd': partial(single_shot, ssd), 'rcnn': rcnn}


def fit(net, name, data, settings, **how):
    net.compile(DetectionLoss(), Adam())
    how |= {'checkpoint_dir': settings.checkpoint_dir, 'resume_from_checkpoint': settings.resume}
    net.train(*data, epochs=settings.epochs, learning_rate=OneCycle(0.005), checkpoint_prefix=name, verbose=2, **how)


def parse_settings(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--method', choices=METHODS, help='train this one alone')
    parser.add_argument('--quick', action='store_true', help='few small scenes and networks, to see that it runs')
    parser.add_argument('--full', action='store_true', help='digits of all of MNIST instead of the subset')
    parser.add_argument('--data-dir', metavar='DIR', help='the folder of the full MNIST (downloaded if not given)')
    parser.add_argument('--scenes', type=int, default=5000, metavar='N', help='for an epoch (%(default)s)')
    parser.add_argument('--epochs', type=int, default=12, metavar='N', help='number of epochs (%(default)s)')
    parser.add_argument('--seed', type=int, default=0, metavar='N', help='of the weights and the order (%(default)s)')
    parser.add_argument('--checkpoint-dir', metavar='DIR', help='save a checkpoint an epoch')
    parser.add_argument('--resume', action='store_true', help='continue from the newest checkpoint')
    parser.add_argument('--plot', metavar='FILE', help='draw some scenes and what is found in them')
    return parser.parse_args(arguments)


def main(arguments=None):
    settings = parse_settings(arguments)
    train, test = preprocess_mnist_data(full=settings.full, data_dir=settings.data_dir)
    sizes = {'size': 96}
    if settings.quick:
        sizes = {'size': 48, 'digits': (1, 2), 'lengths': (14, 40)}
        settings.scenes, settings.epochs = 64, min(settings.epochs, 4)
    test = make_scenes(*test, 16 if settings.quick else 500, seed=0, **sizes)
    found, figures = {}, {}
    for name in [settings.method] if settings.method else METHODS:
        began = time.perf_counter()
        find = METHODS[name](train, settings, sizes)
        seconds = time.perf_counter() - began
        began = time.perf_counter()
        found[name] = find(test.images)
        rate = len(test.images) / (time.perf_counter() - began)
        figures[name] = cnnx.boxes.mean_average_precision(found[name], zip(test.boxes, test.labels, strict=True))
        print(f'{name}: {seconds:.0f} s, {rate:.0f} images a second', flush=True)
    if settings.plot:
        draw(settings.plot, test, found)
    print('mean average precision at 0.5: ' + ', '.join(f'{name} {figure:.3f}' for name, figure in figures.items()))
    return figures


def draw(path, test, found):
    """Draw scenes with the boxes that each method finds, with a score of at least 1/2."""
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(found), 5, figsize=(12, 2.6 * len(found)), squeeze=False)
    for line, (name, scenes) in zip(axes, found.items(), strict=True):
        line[0].set_title(name, loc='left')
        for axis, image, (boxes, scores, labels) in zip(line, test.images, scenes, strict=False):
            axis.imshow(image[..., 0], cmap='gray', vmin=0, vmax=1)
            axis.axis('off')
            for (top, left, bottom, right), label in zip(boxes[scores > 0.5], labels[scores > 0.5], strict=True):
                axis.add_patch(
                    plt.Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, color='C1')
                )
                axis.text(left, top - 1, label, color='C1')
    figure.savefig(path, bbox_inches='tight')


if __name__ == '__main__':
    main()
