"""Files of weights, networks and training runs: reading, writing, and the folder of a run."""

from cnnx.checkpoint.atomic import write_whole
from cnnx.checkpoint.errors import CheckpointError, as_checkpoint_error
from cnnx.checkpoint.files import FORMAT, check_arrays, read, read_description, write
from cnnx.checkpoint.folder import (
    Found,
    RunFiles,
    check_prefix,
    checkpoint_path,
    checkpoints,
    read_newest,
    read_runs,
    remove_leftovers,
)

__all__ = [
    'FORMAT',
    'CheckpointError',
    'Found',
    'RunFiles',
    'as_checkpoint_error',
    'check_arrays',
    'check_prefix',
    'checkpoint_path',
    'checkpoints',
    'read',
    'read_description',
    'read_newest',
    'read_runs',
    'remove_leftovers',
    'write',
    'write_whole',
]
