"""The two backends mirror each other: same functions, same parameters, in files of the same name."""

import inspect
from pathlib import Path

import numpy as np
import pytest

import cnnx
from cnnx import kernels

PACKAGE = Path(cnnx.__file__).parent


def signatures(backend):
    with cnnx.use_backend(backend):
        return {
            name: isinstance(kernel, type)
            or [parameter.name for parameter in inspect.signature(kernel).parameters.values()]
            for name, kernel in vars(kernels.current()).items()
            if callable(kernel) and name != 'Block'
        }


pytestmark = pytest.mark.usefixtures('compiled_kernels')


def test_signatures_are_the_same():
    assert signatures('cython') == signatures('numpy') != {}


def test_files_are_the_same():
    if not list((PACKAGE / '_ext').glob('*.pyx')):
        pytest.skip('this is a wheel, which holds no sources')
    sources = {path.stem for path in (PACKAGE / '_ext').glob('*.pyx')} - {'cpu'}
    assert sources == {path.stem for path in (PACKAGE / '_numpy').glob('*.py')} - {'__init__'}


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_the_kernels_of_loss_and_optimizer_agree(dtype):
    rng = np.random.default_rng(0)
    logits = (10 * rng.normal(size=(7, 5))).astype(dtype)
    labels = rng.integers(0, 5, 7).astype(np.int32)
    results = []
    for backend in ('cython', 'numpy'):
        with cnnx.use_backend(backend):
            k = kernels.current()
            probabilities, losses, gradient = np.empty_like(logits), np.empty(7, dtype), np.empty_like(logits)
            k.softmax_cross_entropy_forward(logits, labels, probabilities, losses, 0.1, 2)
            k.softmax_cross_entropy_backward(probabilities, labels, gradient, 0.1, 2)
            value, velocity = logits.ravel().copy(), np.ones(35, dtype)
            k.sgd_update(k.ArrayTable([(value, gradient.reshape(-1), velocity)]), 0.1, 0.9, True, 0.1, 0.5, 2)
            results.append((probabilities, losses, gradient, value, velocity))
    tolerance = {'float32': 2e-6, 'float64': 1e-14}[dtype]
    for compiled, reference in zip(*results, strict=True):
        np.testing.assert_allclose(compiled, reference, rtol=tolerance, atol=tolerance)
