"""Callbacks: early stopping, saving the best network, logs, functions called around batches and epochs.

`train(callbacks=[...])` takes them. Their state is saved with each checkpoint, and restored by a resume.
"""

from cnnx._util.hints import explain_names, public_names
from cnnx.callbacks.base import HOOKS, Callback, LambdaCallback
from cnnx.callbacks.best import BestCallback, BestCheckpoint, EarlyStopping
from cnnx.callbacks.csv_logger import CSVLogger
from cnnx.callbacks.tensorboard import TensorBoard
from cnnx.callbacks.watch import Watch

__all__ = [
    'HOOKS',
    'BestCallback',
    'BestCheckpoint',
    'CSVLogger',
    'Callback',
    'EarlyStopping',
    'LambdaCallback',
    'TensorBoard',
    'Watch',
]

__getattr__, __dir__ = explain_names(__name__), public_names(__name__)
