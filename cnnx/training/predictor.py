"""Predictor: a function that predicts with a copy of a network's weights, for any number of threads."""

import numpy as np

from cnnx._util.arrays import as_kernels_read, as_numbers
from cnnx._util.windows import batch_shape
from cnnx.execution.folding import copies, for_inference
from cnnx.execution.fused_plan import FusedPlan
from cnnx.execution.plan import Plan


class Predictor:
    """A function that predicts samples with a copy of a network's weights, made by `Network.predictor`.

    Later changes of the network do not reach it. Batch normalization is folded into the convolutions and dense layers
    before it. Any number of threads may call it at the same time. They share the weights, and each call has arrays of
    its own, which are kept for later calls: as many as there ever were calls at once. It can be pickled.

    Args:
        layers, reads, input_shape: the network's.
        fused: whether neighbouring layers run as one.
        batch_size: samples to a pass, at most.

    Attributes:
        input_shape, output_shape: of one sample, (H, W, C) or another.
        dtype: of samples and outputs.
    """

    def __init__(self, layers, reads, input_shape, fused, batch_size):
        self.input_shape, self.output_shape, self.dtype = input_shape, layers[-1].shape, layers[-1].dtype
        self._fused = fused
        self._batch_size = batch_size
        self._layers, self._reads = for_inference(layers, reads)
        self._idle = []

    def __getstate__(self):
        return {**vars(self), '_idle': []}

    def __repr__(self):
        return f'<Predictor: {self.dtype} {batch_shape(self.input_shape)} -> {batch_shape(self.output_shape)}>'

    def __call__(self, x):
        """Return the network's output, (N, *output_shape), for samples x, (N, *input_shape); or both without N.

        Raises:
            ValueError: x has another shape or dtype.
        """
        if type(x) is not np.ndarray:
            x = as_numbers(x, 'x')
        alone = x.shape == self.input_shape
        if x.dtype != self.dtype or not (alone or x.shape[1:] == self.input_shape):
            self._refuse(x)
        if alone:
            return self(x[np.newaxis])[0]
        try:
            plan = self._idle.pop()  # in one step, whatever other threads do
        except IndexError:
            plan = self._make_plan()
        size = self._batch_size
        if len(x) <= size:
            y = plan.predict(as_kernels_read(x, self.dtype)).copy()
        else:
            y = np.empty((len(x), *self.output_shape), self.dtype)
            for first in range(0, len(x), size):
                y[first : first + size] = plan.predict(as_kernels_read(x[first : first + size], self.dtype))
        self._idle.append(plan)
        return y

    def _make_plan(self):
        about = copies(self._layers), self._reads, None, None
        return FusedPlan(*about, fixed_weights=True) if self._fused else Plan(*about)

    def _refuse(self, x):
        as_numbers(x, 'x')
        hint = '' if x.dtype == self.dtype else f"; convert it: x.astype('{self.dtype}')"
        raise ValueError(f'x: expected {self.dtype} {batch_shape(self.input_shape)}, got {x.dtype} {x.shape}{hint}')
