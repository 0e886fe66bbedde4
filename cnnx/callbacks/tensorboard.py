"""TensorBoard: metrics and images of each epoch, in files that the program `tensorboard` shows."""

import contextlib
import os
import time
import warnings

import numpy as np

from cnnx._util.png import as_png
from cnnx._util.validation import shown
from cnnx.callbacks.base import Callback
from cnnx.callbacks.examined import Examined
from cnnx.callbacks.sheet import NEITHER, RIGHT, WRONG, sheet
from cnnx.layers import Convolutional

PICTURES = 20
MOST_FILTERS = 64


class TensorBoard(Callback):
    """Write metrics, samples and filters of each epoch for TensorBoard, which `tensorboard --logdir runs` starts.

    The scalars are `loss/training`, `loss/validation`, the same of accuracy and other metrics, and `learning_rate`. The
    images are `samples`, validation images, green where the network is right and red where it is wrong, and `filters`,
    those of the first convolution, where its input has 1 or 3 channels. The step is the epoch. What an older run has
    written into the folder from the same epoch on is not shown any more, so a resumed run continues its own curves.

    Where the files cannot be written, the run goes on, after a warning.

    Args:
        log_dir: the folder; made if need be.

    Raises:
        ValueError: it is no path, or a file.
        ImportError: when a run begins, and tensorboardX is not installed.
    """

    def __init__(self, log_dir='runs'):
        if not isinstance(log_dir, (str, os.PathLike)) or not os.fspath(log_dir):
            raise ValueError(f'log_dir: expected the path of a folder, got {shown(log_dir)}')
        self.log_dir = log_dir

    def check(self, metrics):
        if os.path.exists(self.log_dir) and not os.path.isdir(self.log_dir):
            raise ValueError(f'log_dir: expected the path of a folder, {self.log_dir} is a file')
        try:
            import tensorboardX  # noqa: F401
        except ImportError as error:
            raise ImportError('TensorBoard needs tensorboardX: pip install tensorboardX') from error
        self._folder = os.path.abspath(self.log_dir)
        self._examined, self._writer = Examined(self.network, self._run.validation, PICTURES), None

    def on_train_begin(self):
        with self._failures_warned_of():
            self._open()

    def on_epoch_end(self, epoch, metrics):
        from tensorboardX.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=tag_of(name), simple_value=value) for name, value in metrics.items()]
        for tag, image in self._images().items():
            height, width, channels = image.shape
            png = Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=as_png(image))
            values.append(Summary.Value(tag=tag, image=png))
        with self._failures_warned_of():
            if self._writer is None:
                self._open()
            self._write(step=epoch, summary=Summary(value=values))

    def on_train_end(self):
        self._close()

    def on_train_error(self, error):
        self._close()

    def _open(self):
        """Begin a file, and say in it that what older ones have from the next epoch on does not count."""
        from tensorboardX.proto.event_pb2 import SessionLog
        from tensorboardX.record_writer import RecordWriter  # its SummaryWriter hangs after a write that fails

        os.makedirs(self._folder, exist_ok=True)
        # TensorBoard reads files in the order of their names.
        self._path = os.path.join(self._folder, f'events.out.tfevents.{time.time_ns():020}.{os.getpid()}')
        self._writer = RecordWriter(self._path)
        self._write(file_version='brain.Event:2')
        done = len(self.history.get('loss', ()))
        self._write(step=done + 1, session_log=SessionLog(status=SessionLog.START))

    def _write(self, **content):
        from tensorboardX.proto.event_pb2 import Event

        if not os.path.exists(self._path):
            raise FileNotFoundError(f'{self._path} is gone')
        self._writer.write(Event(wall_time=time.time(), **content).SerializeToString())
        self._writer.flush()

    def _close(self):
        if self._writer is not None:
            with contextlib.suppress(OSError):  # each epoch is flushed already
                self._writer.close()
        self._writer = None

    @contextlib.contextmanager
    def _failures_warned_of(self):
        """A context in which a failure to write becomes a warning; the next epoch begins another file."""
        try:
            yield
        except OSError as error:
            self._close()
            line = f'TensorBoard: an epoch is not written, the run goes on: {error}'
            warnings.warn(line, RuntimeWarning, stacklevel=4)

    def _images(self):
        """Return images by tag."""
        images, pictures = {}, self._examined.pictures()
        if pictures:
            frames = [_frame(picture) for picture in pictures]
            images['samples'] = sheet([picture.image for picture in pictures], frames)
        first = next((layer for layer in self.network.layers if isinstance(layer, Convolutional)), None)
        if first is not None and first.weights.shape[2] in (1, 3):
            filters = np.moveaxis(first.weights, 3, 0)[:MOST_FILTERS]
            low, high = filters.min(), filters.max()
            grey = np.rint((filters - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)
            # Each weight as 8 x 8 pixels, to be seen.
            images['filters'] = sheet(grey.repeat(8, axis=1).repeat(8, axis=2), [NEITHER] * len(grey))
        return images


def tag_of(name):
    """Return what TensorBoard calls a metric: 'loss' is 'loss/training', 'val_loss' is 'loss/validation'."""
    if name == 'learning_rate':
        return name
    return f'{name.removeprefix("val_")}/validation' if name.startswith('val_') else f'{name}/training'


def _frame(picture):
    if picture.confidence is None:
        return NEITHER
    return RIGHT if picture.predicted == picture.true else WRONG
