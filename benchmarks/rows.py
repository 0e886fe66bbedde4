"""Rows in which cnnx and PyTorch, or inference engines, do the same work in turns."""

from benchmarks import engines, models, peer
from benchmarks.measure import Contestant, Result, race
from benchmarks.models import make_ours, training_work
from benchmarks.peer import LAYOUTS, check_same_outputs, check_same_work, make_peer
from benchmarks.worker import Side

EPOCH = TRAINING_IMAGES = 60_000
LENET_RATE = 0.01
RANDOM_RATE = 0.001  # small enough that training on noise does not diverge
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


def inference(settings, name, *, build, title, source, count, target, by_predictor=True, batches=(None,)):
    """Measure inference of so many samples against PyTorch and inference engines, as far as they are installed.

    Args:
        build, source: the network, and its samples (see data.py).
        count: samples to a call: one image, or many.
        by_predictor: whether ours is `net.predictor()`, or `net.predict`.
        batches: batch sizes of the peers, of which the best counts; None for all samples at once.
    """
    ours, *peers = _inference_sides(settings, build, source)
    missing = [reason for reason in (peer.missing(), *map(engines.missing, engines.ENGINES)) if reason]
    if not peers:
        return Result(name, skipped='; '.join(missing))
    check_same_outputs(ours, peers, 64)
    calls = CALLS if count == 1 else 1
    contestants = [_inferring(ours, count, calls, by_predictor)]
    contestants += [_inferring(side, count, calls, batch) for side in peers for batch in batches]
    unit, scale = ('us', 1e6) if count == 1 else ('ms', 1e3)
    samples = 'one image' if count == 1 else f'{count:,} images'
    result = race(
        contestants,
        settings.repeats,
        scale / calls,
        name=name,
        title=f'{title}, inference of {samples} by net.{"predictor()" if by_predictor else "predict"}',
        unit=unit,
        target=target,
        threads=settings.threads,
        lines=[f'left out: {reason}' for reason in missing],
    )
    return settings.with_rate(result, build().multiply_adds * count, result.ours / scale)


def _inference_sides(settings, build, source):
    """Return the sides of cnnx, of each layout of PyTorch, and of each engine, as far as they are installed."""
    about = build, source, 1, LENET_RATE, settings.threads
    sides = [Side(settings.workers['ours'], 'ours', 1, make_ours, *about)]
    if peer.missing() is None:
        sides += [Side(settings.workers['PyTorch'], layout, 1, make_peer, layout, *about) for layout in LAYOUTS]
    for name in engines.ENGINES:
        if engines.missing(name) is None:
            arguments = name, build, source, settings.threads
            sides.append(Side(settings.workers[name], name, 1, engines.make_engine, *arguments))
    return sides


def _inferring(side, count, calls, how):
    """Return a contestant that infers so many samples, so many times in a turn; `how` is the last argument of infer."""
    return Contestant(
        side.name, lambda turn: side.infer(count, calls, how), lambda: side.infer(count, min(calls, 5), how)
    )


def _sides(settings, build, *about):
    """Return the sides of cnnx and of each layout of PyTorch, checked to do the same work; `about` as for make_ours."""
    batch_size = about[1]
    sides = [Side(settings.workers['ours'], 'ours', batch_size, make_ours, build, *about)]
    for layout in LAYOUTS:
        sides.append(Side(settings.workers['PyTorch'], layout, batch_size, make_peer, layout, build, *about))
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
