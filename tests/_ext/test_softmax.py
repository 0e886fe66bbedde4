"""Softmax and cross-entropy: kernels refuse labels that are no class; the blocks against their NumPy twins."""

import numpy as np
import pytest
from block_cases import THREADS, compiled, twins
from hostile import TWINS, each_backend, kernels_of
from tiers import every_tier


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


@pytest.mark.usefixtures('compiled_kernels')
@every_tier
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('classes', [2, 3, 10, 17, 100])
def test_cross_entropy_and_softmax(tier, dtype, classes):
    rng = np.random.default_rng(classes)
    results = []
    logits = (5 * rng.normal(size=(33, classes))).astype(dtype)
    logits[3], logits[4] = 0, 1e4
    logits[5, 0] = -np.inf
    logits[7, -1] = np.nan
    labels = rng.integers(0, classes, 33).astype(np.int32)
    labels[7] = classes - 1
    for backend, threads in ((twins(), 1), *((compiled(tier), count) for count in THREADS)):
        dlogits, y = np.full_like(logits, 77), np.full_like(logits, 77)
        loss = backend.CrossEntropyBlock(logits, labels, dlogits)
        for samples in (33, 20):
            with np.errstate(all='ignore'):
                backend.Program([loss, backend.SoftmaxBlock(logits, y)], 33).run(samples, True, True, True, threads)
        results.append((dlogits, y, *loss.totals(7), loss.totals(20)[1]))
    tolerance = {'float32': 2e-6, 'float64': 1e-14}[dtype]
    for found in results[1:]:
        for ours, expected in zip(found, results[0], strict=True):
            np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures('compiled_kernels')
@every_tier
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('weights', ['none', 'samples', 'positions'])
@pytest.mark.parametrize('count', [0, 40])
def test_positions_of_maps_some_without_a_label(tier, dtype, weights, count):
    rng, N, positions = np.random.default_rng(0), 33, (4, 3)
    logits = (5 * rng.normal(size=(N, *positions, 5))).astype(dtype)
    labels = rng.integers(-1, 5, (N, *positions)).astype(np.int32)
    shape = {'none': None, 'samples': (N,), 'positions': (N, *positions)}[weights]
    given = None if shape is None else rng.random(shape).astype(dtype)
    results = []
    for backend, threads in ((twins(), 1), *((compiled(tier), some) for some in THREADS)):
        dlogits, y = np.full_like(logits, 77), np.full_like(logits, 77)
        loss = backend.CrossEntropyBlock(logits, labels, dlogits, 0.1, given)
        loss.count = count
        backend.Program([loss, backend.SoftmaxBlock(logits, y)], N).run(20, True, True, True, threads)
        results.append((dlogits, y, *loss.totals(20)))
    assert (results[0][0][:20][labels[:20] < 0] == 0).all()
    tolerance = {'float32': 2e-6, 'float64': 1e-13}[dtype]
    for found in results[1:]:
        for ours, expected in zip(found, results[0], strict=True):
            np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=tolerance)
