"""CallbackList: the callbacks of a run, as one."""

from cnnx.callbacks import Callback
from cnnx.schedules import Schedule


class CallbackList:
    """The callbacks of a run, as one.

    Args:
        callbacks: a list of them.

    Raises:
        ValueError: one is no callback, or is there twice.
    """

    def __init__(self, callbacks):
        if not isinstance(callbacks, (list, tuple)):
            raise ValueError(f'callbacks: expected a list such as [EarlyStopping()], got {callbacks!r}')
        for callback in callbacks:
            if not isinstance(callback, Callback):
                hint = '; a schedule is the learning_rate' if isinstance(callback, Schedule) else ''
                raise ValueError(f'callbacks: expected objects such as EarlyStopping(), got {callback!r}{hint}')
        if len({id(callback) for callback in callbacks}) < len(callbacks):
            raise ValueError('callbacks: expected different ones, got one twice')
        self._callbacks = list(callbacks)

    def __len__(self):
        return len(self._callbacks)

    def __iter__(self):
        return iter(self._callbacks)

    @property
    def stopped(self):
        """Whether one of them has asked for the end of the run."""
        return any(callback.stopped for callback in self._callbacks)

    def begin(self, network, history, metrics, say, facts=None):
        """Give the callbacks what they work with, check that they can serve, and reset their state.

        Args:
            network: the one to train.
            history: the run's.
            metrics: the names of the metrics of its epochs.
            say: a function that prints a line where the run prints.
            facts: a `cnnx.callbacks.base.RunFacts`.
        """
        for callback in self._callbacks:
            callback.network, callback.history, callback.stopped = network, history, False
            callback._print, callback._run = say, facts
            callback.check(metrics)
            callback.restore({}, {})

    def call(self, hook, *arguments):
        """Call a hook of all.

        Raises:
            RuntimeError: it took a layer out of the network, before the run is over.
        """
        for callback in self._callbacks:
            getattr(callback, hook)(*arguments)
            if callback.network.loss is None and hook != 'on_train_end':
                raise RuntimeError(
                    f'{type(callback).__name__}.{hook}: took a layer out of the network in training; '
                    'call pop before train, or in on_train_end'
                )

    def fail(self, error):
        """Call `on_train_error` of all."""
        for callback in self._callbacks:
            callback.on_train_error(error)

    def describe(self):
        """Return the class name and the state of each, as JSON can hold them."""
        return [{'kind': type(callback).__name__, 'state': callback.state()} for callback in self._callbacks]

    def arrays(self):
        """Return the arrays of all; their names begin with the number of the callback."""
        return {
            f'callback_{i}_{name}': array
            for i, callback in enumerate(self._callbacks)
            for name, array in callback.arrays().items()
        }

    def restore(self, description, arrays):
        """Give each a state that `describe` and `arrays` gave: the first of its class that it takes and no other has.

        Returns:
            Lines that say which callbacks restart, and which states are dropped.

        Raises:
            ValueError: a callback fails to restore its state.
        """
        left, lines = [], []
        for i, found in enumerate(description):
            prefix = f'callback_{i}_'
            own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
            left.append((found['kind'], found['state'], own))
        for callback in self._callbacks:
            kind = type(callback).__name__
            taken = next((saved for saved in left if saved[0] == kind and callback.takes(*saved[1:])), None)
            if taken is None:
                if callback.state():
                    lines.append(f'{kind} restarts: the checkpoint has no state for it')
                continue
            left = [saved for saved in left if saved is not taken]
            try:
                callback.restore(*taken[1:])
            except Exception as error:
                raise ValueError(f'{kind} cannot restore its state: {error!r}') from error
        return lines + [
            f'{kind}: its state up to here is dropped, as no callback takes it' for kind, state, _ in left if state
        ]
