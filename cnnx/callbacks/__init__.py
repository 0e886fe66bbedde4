"""Callbacks: early stopping, saving the best network, logs, functions called around batches and epochs.

`train(callbacks=[...])` takes them. Their state is saved with each checkpoint, and restored by a resume.
"""

from cnnx._util.hints import explain_names, public_names
from cnnx.callbacks.base import HOOKS, Callback, LambdaCallback
from cnnx.callbacks.best import BestCallback, BestCheckpoint, EarlyStopping
from cnnx.callbacks.csv_logger import CSVLogger

__all__ = ['HOOKS', 'BestCallback', 'BestCheckpoint', 'CSVLogger', 'Callback', 'EarlyStopping', 'LambdaCallback']

__getattr__, __dir__ = explain_names(__name__), public_names(__name__)
