"""Rows in which cnnx and PyTorch do the same work in turns."""

from benchmarks import models
from benchmarks.measure import Contestant, race
from benchmarks.models import make_ours, training_work
from benchmarks.peer import LAYOUTS, check_same_work, make_peer
from benchmarks.worker import Side

EPOCH = TRAINING_IMAGES = 60_000
TEST_IMAGES = 10_000
LENET_RATE = 0.01
RANDOM_RATE = 0.001  # small enough that training on noise does not diverge
INFERENCE_BATCHES = (256, 1000, 10_000)
CALLS = 200  # of inference of one image, in a turn


def lenet5_training(settings, name, *, batch_size, samples, target, threads=None):
    """Measure training LeNet-5 on MNIST, in seconds per epoch, from turns of so many samples."""
    samples, threads = settings.samples(samples, batch_size), threads or settings.threads
    sides = _sides(settings, models.lenet5, 'train', batch_size, LENET_RATE, threads)
    result = race(
        _training(sides, samples, TRAINING_IMAGES),
        settings.repeats,
        EPOCH / samples,
        name=name,
        title=f'LeNet-5, training, batch {batch_size}',
        unit='s/epoch',
        target=target,
        threads=threads,
    )
    return settings.with_rate(result, training_work(models.lenet5()) * EPOCH, result.ours)


def random_training(settings, name, *, build, title, samples, target=None, batch_size=64):
    """Measure training a network on noise, in milliseconds per step."""
    samples = settings.samples(samples, batch_size)
    sides = _sides(settings, build, samples, batch_size, RANDOM_RATE, settings.threads)
    result = race(
        _training(sides, samples, samples),
        settings.repeats,
        1e3 * batch_size / samples,
        name=name,
        title=f'{title}, training, batch {batch_size}',
        unit='ms/step',
        target=target,
        threads=settings.threads,
    )
    return settings.with_rate(result, training_work(build()) * batch_size, result.ours * 1e-3)


def inference_of_one(settings, name, *, target):
    """Measure inference of a single image, in microseconds."""
    sides = _sides(settings, models.lenet5, 'test', 32, LENET_RATE, settings.threads)
    contestants = [
        Contestant(side.name, lambda turn, side=side: side.infer(1, CALLS), lambda side=side: side.infer(1, 5))
        for side in sides
        if side.name != 'channels_last'
    ]
    result = race(
        contestants,
        settings.repeats,
        1e6 / CALLS,
        name=name,
        title='LeNet-5, inference of one image',
        unit='us',
        target=target,
        threads=settings.threads,
    )
    return settings.with_rate(result, _inference_work(models.lenet5()), result.ours * 1e-6)


def inference_of_many(settings, name, *, target):
    """Measure inference of the 10,000 test images, in milliseconds; PyTorch's best batch size counts."""
    ours, *peers = _sides(settings, models.lenet5, 'test', 32, LENET_RATE, settings.threads)
    contestants = [Contestant('ours', lambda turn: ours.infer(TEST_IMAGES), lambda: ours.infer(TEST_IMAGES))]
    for peer in peers:
        for batch in INFERENCE_BATCHES:
            infer = _inference(peer, batch)
            contestants.append(Contestant(peer.name, infer, infer))
    result = race(
        contestants,
        settings.repeats,
        1e3,
        name=name,
        title=f'LeNet-5, inference of {TEST_IMAGES:,} images',
        unit='ms',
        target=target,
        threads=settings.threads,
    )
    return settings.with_rate(result, _inference_work(models.lenet5()) * TEST_IMAGES, result.ours * 1e-3)


def _sides(settings, build, *about):
    """Return the sides of cnnx and of each layout of PyTorch, checked to do the same work; `about` as for make_ours."""
    ours, torch = settings.workers
    batch_size = about[1]
    sides = [Side(ours, 'ours', batch_size, make_ours, build, *about)]
    sides += [Side(torch, layout, batch_size, make_peer, layout, build, *about) for layout in LAYOUTS]
    check_same_work(sides[0], sides[1:])
    return sides


def _training(sides, samples, there):
    """Return contestants that train on the same part of the data in a turn, and on the next part in the next turn."""
    return [
        Contestant(
            side.name,
            lambda turn, side=side: side.train(turn * samples % (there - samples + 1), samples),
            lambda side=side: side.train(0, 2 * side.batch_size),
        )
        for side in sides
    ]


def _inference(peer, batch_size):
    def infer(turn=0):
        return peer.infer(TEST_IMAGES, 1, batch_size)

    return infer


def _inference_work(net):
    return sum(layer.multiply_adds for layer in net.layers)
