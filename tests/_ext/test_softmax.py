"""The kernels of softmax and cross-entropy refuse labels that are no class."""

import numpy as np
import pytest
from hostile import TWINS, each_backend, kernels_of


@each_backend
@pytest.mark.parametrize('label', [-1, 3, 255, 2**31 - 1])
def test_a_label_that_is_no_class_stops_a_kernel(backend, label):
    k, labels = kernels_of(backend), np.array([0, label], np.int32)
    rows, losses = np.ones((2, 3), np.float32), np.empty(2, np.float32)
    for call in (
        lambda: k['softmax_cross_entropy_forward'](rows, labels, rows.copy(), losses, 0.0, 1),
        lambda: k['softmax_cross_entropy_backward'](rows, labels, rows.copy(), 0.0, 1),
    ):
        with pytest.raises(ValueError, match=f'labels: expected 0 to 2, got {label} at position 1'):
            call()


def test_a_twin_of_no_classes_refuses_them():
    none = np.empty((0, 0), np.float32)
    with pytest.raises(ValueError, match='at least one class'):
        TWINS['softmax_cross_entropy_backward'](none, np.empty(0, np.int32), none, 0.0, 1)
