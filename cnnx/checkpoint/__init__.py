"""Files of weights, networks and training runs.

`cnnx checkpoint verify FILE|FOLDER` prints what is in them and whether they are damaged; `cnnx checkpoint diff A B`
prints how two of them differ.
"""

from cnnx.checkpoint.atomic import remove_leftovers_of, write_whole
from cnnx.checkpoint.errors import CheckpointError, lack_of_memory_told, misfit_told, system_errors_ignored
from cnnx.checkpoint.files import FORMAT, check_arrays, read, read_description, write
from cnnx.checkpoint.folder import (
    Found,
    Readings,
    check_prefix,
    checkpoint_path,
    checkpoints,
    described_run,
    newest_start,
    read_newest,
    remove_leftovers,
    remove_older,
)

__all__ = [
    'FORMAT',
    'CheckpointError',
    'Found',
    'Readings',
    'check_arrays',
    'check_prefix',
    'checkpoint_path',
    'checkpoints',
    'described_run',
    'lack_of_memory_told',
    'misfit_told',
    'newest_start',
    'read',
    'read_description',
    'read_newest',
    'remove_leftovers',
    'remove_leftovers_of',
    'remove_older',
    'system_errors_ignored',
    'write',
    'write_whole',
]
