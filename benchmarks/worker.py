"""Worker processes: each side of a row runs in a process of its own.

In one process, cnnx and PyTorch would use the same OpenMP library with the settings of the one that loads it first. A
worker without work sleeps.
"""

import multiprocessing
import time
import traceback


class WorkerError(RuntimeError):
    """A worker failed; the message is its traceback."""


class Worker:
    """A process that stores objects by name, and calls and times their methods."""

    def __init__(self):
        context = multiprocessing.get_context('spawn')
        self._connection, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there,), daemon=True)
        self._process.start()
        there.close()

    def make(self, name, factory, *arguments):
        """Store the object that a function returns under a name, in place of the previous one."""
        self._ask(name, factory, arguments)

    def call(self, name, method, *arguments):
        """Call a method of a stored object; return the seconds that it took, and its result."""
        return self._ask(name, method, arguments)

    def close(self):
        self._connection.close()
        self._process.join()

    def _ask(self, *order):
        self._connection.send(order)
        try:
            worked, answer = self._connection.recv()
        except EOFError:
            self._process.join()
            raise WorkerError(f'the process ended with status {self._process.exitcode}') from None
        if not worked:
            raise WorkerError(answer)
        return answer


class Side:
    """One side of a row, in a worker: the methods of `Ours` and `Peer`, which return the seconds they took.

    Args:
        worker: the `Worker`.
        name: the name of its column.
        batch_size: the batch size of training.
        factory, arguments: a function that makes the `Ours` or `Peer`, and its arguments.
    """

    def __init__(self, worker, name, batch_size, factory, *arguments):
        self.worker, self.name, self.batch_size = worker, name, batch_size
        worker.make(name, factory, *arguments)

    def train(self, *arguments):
        return self.worker.call(self.name, 'train', *arguments)[0]

    def infer(self, *arguments):
        return self.worker.call(self.name, 'infer', *arguments)[0]

    def probabilities(self, count):
        """Return the probabilities of the first samples' classes, (count, 10)."""
        return self.worker.call(self.name, 'probabilities', count)[1]


def _serve(connection):
    kept = {}
    while True:
        try:
            name, what, arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = None
            if callable(what):
                kept.pop(name, None)
                kept[name] = what(*arguments)
            else:
                method = getattr(kept[name], what)
                began = time.perf_counter()
                value = method(*arguments)
                answer = time.perf_counter() - began, value
            connection.send((True, answer))
        except Exception:
            connection.send((False, traceback.format_exc()))
