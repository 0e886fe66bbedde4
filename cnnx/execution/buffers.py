"""Buffers: arrays that are used again for the next batch."""

import math

import numpy as np


class Buffers:
    """Arrays by name, used again for each batch; they grow when a larger one is asked for."""

    def __init__(self):
        self._arrays = {}

    def empty(self, name, shape, dtype):
        """Return an array with arbitrary contents, to be used until the next one of that name is asked for."""
        size = math.prod(shape)
        array = self._arrays.get(name)
        if array is None or array.size < size or array.dtype != dtype:
            array = self._arrays[name] = np.empty(size, dtype)
        return array[:size].reshape(shape)
