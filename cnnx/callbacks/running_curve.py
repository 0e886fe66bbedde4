"""RunningCurve: a curve of any number of values, kept as a limited number of means."""

import numpy as np

MOST_POINTS = 400


class RunningCurve:
    """The means of every so many values in a row; the more values, the more to a mean.

    Args:
        state, arrays: what `state` and `arrays` returned, to go on from; empty dicts to begin.

    Attributes:
        points: the means.
        width: how many values make up one.
    """

    def __init__(self, state, arrays):
        self.points = np.asarray(arrays.get('points', ()), np.float64).tolist()
        self.width = state.get('width', 1)
        self._sum, self._count = state.get('sum', 0.0), state.get('count', 0)

    def add(self, value):
        """Count a value in."""
        self._sum += value
        self._count += 1
        if self._count < self.width:
            return
        self.points.append(self._sum / self.width)
        self._sum, self._count = 0.0, 0
        if len(self.points) == MOST_POINTS:
            pairs = zip(self.points[::2], self.points[1::2], strict=True)
            self.points = [(first + second) / 2 for first, second in pairs]
            self.width *= 2

    def state(self):
        """Return its numbers, as JSON can hold them."""
        return {'width': self.width, 'sum': self._sum, 'count': self._count}

    def arrays(self):
        """Return its array, by name."""
        return {'points': np.array(self.points)}
