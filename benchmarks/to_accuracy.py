"""Time from the start of a process to a given accuracy on the test images of MNIST.

`python -m benchmarks.to_accuracy cnnx` (or torch) loads the data, trains LeNet-5 until the accuracy is reached and
prints a line of JSON. Both sides have the same initial weights, batches and learning rates.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import cnnx
from benchmarks import models
from benchmarks.data import mnist
from benchmarks.measure import Result
from benchmarks.table import number

ROOT = Path(__file__).parents[1]
SIDES = {'cnnx': 'ours', 'torch': 'PyTorch'}
BATCH_SIZE = 64
FIRST_RATE, DECAY = 0.05, 0.5
MAX_EPOCHS = 15


def to_accuracy(settings, name):
    """Measure both sides in turns, each in new processes, in seconds."""
    goal = 0.98 if settings.quick else 0.99
    times, runs = {column: [] for column in SIDES.values()}, []
    for _ in range(1 if settings.quick else 3):
        for side, column in SIDES.items():
            seconds, reached = _timed(side, goal, settings.threads)
            times[column].append(seconds)
            runs.append({'side': column, 'seconds': seconds, **reached})
    middle = {column: sorted(taken)[len(taken) // 2] for column, taken in times.items()}
    lines = [
        f'{run["side"]}: {number(run["seconds"])} s, {run["epochs"]} epochs, accuracy {run["accuracy"]:.2%}'
        for run in runs
    ]
    title = f'LeNet-5, from process start to {goal:.0%} test accuracy'
    return Result(
        name, title, 's', ours=middle.pop('ours'), peers=middle, threads=settings.threads, times=times,
        details={'goal': goal, 'runs': runs}, lines=lines,
    )  # fmt: skip


def _timed(side, goal, threads):
    """Run a side in a new process; return the seconds until it prints its result, and the result."""
    arguments = [side, '--goal', str(goal), '--threads', str(threads)]
    command = [sys.executable, '-m', 'benchmarks.to_accuracy', *arguments]
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        seconds = time.perf_counter() - began
    if process.returncode or not line:
        raise RuntimeError(f'{" ".join(command[1:])}: ended with status {process.returncode}')
    return seconds, json.loads(line)


def reach(goal, train_epoch, accuracy):
    """Train epoch by epoch until the accuracy is reached; return the number of epochs and the accuracy."""
    for epoch in range(1, MAX_EPOCHS + 1):
        train_epoch(FIRST_RATE * DECAY ** (epoch - 1))
        reached = accuracy()
        if reached >= goal:
            return epoch, reached
    raise RuntimeError(f'{reached:.2%} test accuracy after {MAX_EPOCHS} epochs, {goal:.2%} was the goal')


def train_ours(goal, threads, train, test):
    cnnx.set_num_threads(threads)
    side = models.Ours(models.lenet5(), *train, BATCH_SIZE, FIRST_RATE)

    def train_epoch(rate):
        side.rate = rate
        side.train(0, len(side.x))

    return reach(goal, train_epoch, lambda: side.net.evaluate(*test)['accuracy'])


def train_torch(goal, threads, train, test):
    import torch

    from benchmarks.peer import Peer

    torch.set_num_threads(threads)
    net = models.lenet5()
    side = Peer('PyTorch', net, *train, BATCH_SIZE, FIRST_RATE)
    images, labels = side.arranged(test[0]), torch.from_numpy(test[1])

    def train_epoch(rate):
        side.optimizer.param_groups[0]['lr'] = rate
        side.train_in_order(torch.from_numpy(net.generator.permutation(len(side.x))))

    def accuracy():
        probabilities = torch.cat(side.predict(images, 1000))
        return (probabilities.argmax(1) == labels).float().mean().item()

    return reach(goal, train_epoch, accuracy)


def main():
    parser = argparse.ArgumentParser(description='Train LeNet-5 on MNIST until it is as accurate as asked for.')
    parser.add_argument('side', choices=SIDES)
    parser.add_argument('--goal', type=float, default=0.99)
    parser.add_argument('--threads', type=int, default=2)
    arguments = parser.parse_args()
    run = train_torch if arguments.side == 'torch' else train_ours
    epochs, accuracy = run(arguments.goal, arguments.threads, *mnist())
    print(json.dumps({'epochs': epochs, 'accuracy': accuracy}), flush=True)


if __name__ == '__main__':
    main()
