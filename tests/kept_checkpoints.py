"""Checkpoints of released versions, in tests/checkpoints/VERSION, which all later versions are to read.

    python tests/kept_checkpoints.py

writes those of this version, once, when it is released: runs that were ended within an epoch, and beside them what
the networks give in that state, and what the runs come to when they are resumed. What stands here is part of them.
"""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np

import cnnx

FOLDER = Path(__file__).parent / 'checkpoints'
METRICS = 'metrics.json'
EPOCHS, BATCH_SIZE = 4, 8
# Where the runs are ended.
EPOCH, BATCH = 3, 2


def data(n=22):
    """Images (n, 6, 6, 1) with a bright row that tells their class of 3; no generator has a part in them."""
    labels = np.arange(n) % 3
    x = np.sin(np.arange(n * 36, dtype=np.float64)).reshape(n, 6, 6, 1)
    x[np.arange(n), 2 * labels] += 1
    return x, labels


def plain():
    """Layers, optimizer and schedule that remember nothing but a velocity."""
    net = cnnx.Network(seed=1)
    net.add(cnnx.Convolutional(3, 3, input_shape=(6, 6, 1), l2=0.001))
    layers = cnnx.ReLU(), cnnx.MaxPooling(2), cnnx.Flatten(), cnnx.Dense(output_size=3), cnnx.Softmax()
    for layer in layers:
        net.add(layer)
    net.compile(cnnx.CategoricalCrossEntropy(label_smoothing=0.1), cnnx.SGD(momentum=0.9, nesterov=True))
    return net, {'learning_rate': cnnx.schedules.Cosine(0.05, warmup=1)}


def changing():
    """Layers that draw numbers or follow the batches; an optimizer, a schedule and a callback with a memory."""
    net = cnnx.Network(seed=2, dtype='float64')
    net.add(cnnx.Convolutional(2, 3, padding='same', input_shape=(6, 6, 1)))
    layers = (
        cnnx.BatchNormalization(),
        cnnx.LeakyReLU(0.1),
        cnnx.AveragePooling(2),
        cnnx.Dropout(0.2),
        cnnx.Flatten(),
        cnnx.Dense(output_size=5),
        cnnx.Tanh(),
        cnnx.Dense(output_size=3),
        cnnx.Softmax(),
    )
    for layer in layers:
        net.add(layer)
    net.compile(cnnx.CategoricalCrossEntropy(), cnnx.AdamW(weight_decay=0.01))
    schedule = cnnx.schedules.ReduceOnPlateau(0.01, patience=1, monitor='loss', threshold=0.5)
    augment = [cnnx.augmentation.Shift(1), cnnx.augmentation.Rotate(10), cnnx.augmentation.Erase(0.3, 0.2)]
    callbacks = [cnnx.callbacks.EarlyStopping(monitor='val_loss', patience=4)]
    return net, {'learning_rate': schedule, 'augment': augment, 'callbacks': callbacks, 'validation_data': data(9)}


CASES = {'plain': plain, 'changing': changing}


def train(name, folder, end=lambda epoch, batch: None):
    """Train a case in a folder, from its newest checkpoint there on; return the network and its history.

    `end` is called behind each batch.
    """
    net, options = CASES[name]()
    place = {}
    watch = cnnx.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch: place.update(epoch=epoch),
        on_batch_end=lambda batch, metrics: end(place['epoch'], batch),
    )
    options['callbacks'] = [watch, *options.get('callbacks', ())]
    settings = {'epochs': EPOCHS, 'batch_size': BATCH_SIZE, 'checkpoint_every': 1, 'verbose': 0}
    saving = {'checkpoint_dir': folder, 'checkpoint_prefix': name, 'resume_from_checkpoint': True}
    return net, net.train(*data(), **settings, **saving, **options)


def metrics(net):
    """Return what a network gives for the data."""
    return {**net.evaluate(*data()), 'outputs': net.predict(data(5)[0]).tolist()}


class EndedError(Exception):
    """Ends a run."""


def end(epoch, batch):
    if (epoch, batch) == (EPOCH, BATCH + 1):
        raise EndedError


def write(folder):
    """Write the checkpoints of all cases, and their metrics, into an empty folder."""
    written = {}
    for name in CASES:
        with tempfile.TemporaryDirectory() as run:
            try:
                train(name, run, end)
            except EndedError:
                path = cnnx.checkpoint.checkpoint_path(run, name, EPOCH, BATCH)
                shutil.copy(path, folder)
            saved = metrics(cnnx.Network.load(path))
            net, history = train(name, run)
            written[name] = {'saved': saved, 'resumed': metrics(net), 'history': dict(history)}
    (folder / METRICS).write_text(json.dumps(written, indent=1) + '\n', encoding='utf-8')


if __name__ == '__main__':
    released = FOLDER / cnnx.__version__
    released.mkdir(parents=True)
    write(released)
    print(f'{released}: {", ".join(sorted(path.name for path in released.iterdir()))}')
