"""CSVLogger: the metrics of each epoch as a table."""

import csv
import io

from cnnx._util.validation import path_of_file
from cnnx.callbacks.base import Callback, absolute_path
from cnnx.checkpoint import write_whole


class CSVLogger(Callback):
    """Write the metrics into a CSV file: a column for each metric, a row for each epoch.

    After each epoch the file is written again from the whole history, so that it is whole at any time, and a resumed
    run leaves the rows that an uninterrupted one would have left.

    Args:
        path: the file.

    Raises:
        ValueError: it is no path, or, when a run begins, no file can be there.
    """

    def __init__(self, path):
        self.path = path_of_file(path)

    def check(self, metrics):
        self._file = absolute_path(self.path)

    def on_epoch_end(self, epoch, metrics):
        history, table = self.history.history, io.StringIO()
        writer = csv.writer(table, lineterminator='\n')
        writer.writerow(['epoch', *history])
        writer.writerows([number, *row] for number, row in enumerate(zip(*history.values(), strict=True), 1))
        write_whole(self._file, table.getvalue().encode())
