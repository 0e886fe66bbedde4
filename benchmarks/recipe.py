"""A recipe of train_mnist.py with cnnx and with PyTorch: `python -m benchmarks.recipe lenet --seeds 0 1 2`.

Each side and seed runs in a process of its own. Both sides have the same initial weights, batches, augmentation and
learning rates; dropout differs. Seconds are those of training alone.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import cnnx
import train_mnist
from benchmarks import peer
from cnnx.augmentation.pipeline import Pipeline
from cnnx.augmentation.test_time import predict_shifted
from cnnx.training.array_data import ArrayData

ROOT = Path(__file__).parents[1]
SIDES = {'cnnx': 'cnnx', 'torch': 'PyTorch'}


def train_ours(net, settings, train):
    schedule = train_mnist.SCHEDULES[settings.schedule](settings.learning_rate)
    options = {'epochs': settings.epochs, 'learning_rate': schedule, 'batch_size': settings.batch_size}
    net.train(*train, augment=settings.augment, verbose=0, **options)
    return net.predict


def train_torch(net, settings, train):
    import torch

    torch.set_num_threads(cnnx.kernels.num_threads())
    (x, y), batch_size = train, settings.batch_size
    labels = torch.from_numpy(y.argmax(axis=1))
    side = peer.Peer('PyTorch', net, x[:1], y[:1].argmax(axis=1), batch_size, settings.learning_rate)
    group = side.optimizer.param_groups[0]
    group['weight_decay'], group['momentum'] = settings.weight_decay or 0.0, settings.momentum
    data, pipeline = ArrayData(net, x, y), Pipeline(settings.augment, x.shape[1:], net.dtype)
    schedule = train_mnist.SCHEDULES[settings.schedule](settings.learning_rate)
    steps = -(-len(x) // batch_size)
    for epoch in range(settings.epochs):
        order = net.generator.permutation(len(x))
        for step in range(steps):
            index = order[step * batch_size : (step + 1) * batch_size]
            images, *_ = pipeline.batch(data, index, net.generator)
            group['lr'] = schedule(epoch * steps + step, settings.epochs * steps, settings.epochs)
            side.optimizer.zero_grad()
            loss = side.loss(side.logits(side.arranged(images)), labels[index])
            loss.backward()
            side.optimizer.step()
            loss.item()  # as in cnnx, which checks that each loss is finite

    def predict(x):
        side.module.eval()
        return torch.cat(side.predict(side.arranged(x), 1000)).numpy()

    return predict


def run_side(side, arguments):
    """Train on one side; return a dict of seconds, and accuracy without and with test-time augmentation."""
    settings = train_mnist.parse_settings(arguments)
    if settings.threads:
        cnnx.set_num_threads(settings.threads)
    train, (x, y) = train_mnist.load_data(settings)
    net = train_mnist.make_network(settings)
    began = time.perf_counter()
    predict = (train_ours if side == 'cnnx' else train_torch)(net, settings, train)
    results = {'seconds': time.perf_counter() - began}
    for name, pixels in {'plain': 0, 'accuracy': settings.average_shifts or 0}.items():
        results[name] = float(np.mean(predict_shifted(predict, x, pixels).argmax(axis=1) == y.argmax(axis=1)))
    return results


def main():
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.recipe',
        description='Train by a recipe of train_mnist.py, with cnnx and with PyTorch.',
        epilog='Further options go to train_mnist.py: --hold-out 10000, --data-dir DIR, --epochs 2.',
    )
    parser.add_argument('recipe', choices=train_mnist.RECIPES)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], metavar='N', help='(0 1 2)')
    parser.add_argument('--sides', choices=SIDES, nargs='+', default=list(SIDES), help='which (both)')
    parser.add_argument('--in-process', action='store_true', help=argparse.SUPPRESS)
    settings, rest = parser.parse_known_args()
    arguments = ['--recipe', settings.recipe, *rest]
    if settings.in_process:
        results = run_side(settings.sides[0], [*arguments, '--seed', str(settings.seeds[0])])
        print(json.dumps(results), flush=True)
        return
    if 'torch' in settings.sides and (reason := peer.missing()):
        sys.exit(f'python -m benchmarks.recipe: {reason}')
    results = {side: [] for side in settings.sides}
    for seed in settings.seeds:
        for side in settings.sides:
            command = ['-m', 'benchmarks.recipe', settings.recipe, '--sides', side, '--seeds', str(seed)]
            done = subprocess.run(
                [sys.executable, *command, '--in-process', *rest], cwd=ROOT, check=True, stdout=subprocess.PIPE
            )
            results[side].append(json.loads(done.stdout))
            found = results[side][-1]
            print(f'{SIDES[side]:8} seed {seed}: {describe(found)}', flush=True)
    for side, runs in results.items():
        means = {key: statistics.mean(run[key] for run in runs) for key in runs[0]}
        print(f'{SIDES[side]:8} mean of {len(runs)}: {describe(means)}')


def describe(results):
    return f'{results["accuracy"]:.3%} ({results["plain"]:.3%} without averaging), {results["seconds"]:.1f} s'


if __name__ == '__main__':
    main()
