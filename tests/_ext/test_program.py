"""Programs of blocks: samples gathered in order, and arguments that do not fit."""

import itertools

import numpy as np
import pytest
from block_cases import compiled, twins
from tiers import TIERS, every_tier

from cnnx import kernels

pytestmark = pytest.mark.usefixtures('compiled_kernels')


@every_tier
def test_samples_are_gathered_in_order(tier):
    rng = np.random.default_rng(0)
    source = rng.integers(0, 255, (50, 3, 5)).astype(np.float32)
    for backend, threads in itertools.product((twins(), compiled(tier)), (1, 4)):
        batch = np.full((12, 3, 5), 77, np.float32)
        gather = backend.Gather(batch)
        program = backend.Program([gather], 12)
        gather.read_from(source)
        order = rng.permutation(50)[:11]
        program.run(11, False, True, False, threads, order)
        np.testing.assert_array_equal(batch[:11], source[order])
        program.run(7, False, True, False, threads)
        np.testing.assert_array_equal(batch[:7], source[:7])
        gather.read_from(None)
        program.run(12, False, True, False, threads)
        np.testing.assert_array_equal(batch[:7], source[:7])
        assert (batch[11] == 77).all()


def test_programs_refuse_more_than_they_hold():
    for backend in (twins(), *map(compiled, TIERS)):
        program = backend.Program([backend.Gather(np.zeros((4, 2), np.float32))], 4)
        program.run(0, False, True, True, 2)
        for wrong in (-1, 5):
            with pytest.raises(ValueError, match='a program for 4 samples'):
                program.run(wrong, False, True, False, 1)
        with pytest.raises(ValueError, match='expected an order of 3 samples, got 2'):
            program.run(3, False, True, False, 1, np.arange(2))


def test_samples_that_a_source_has_not_are_not_gathered():
    gather = kernels.current().Gather(np.zeros((4, 3), np.float32))
    program = kernels.current().Program([gather], 4)
    gather.read_from(np.ones((2, 3), np.float32))
    for order in ([0, 1, 2], [-1], [10**12], None):
        order = order and np.array(order)
        with pytest.raises(IndexError, match='expected'):
            program.run(3 if order is None else len(order), False, True, False, 1, order)
    for source in (np.ones((2, 2), np.float32), np.ones((2, 3))):
        with pytest.raises(ValueError, match='expected samples of 12 bytes'):
            gather.read_from(source)


@every_tier
def test_a_batch_of_few_samples_is_measured_whole_on_many_threads(tier):
    """The sums of a batch are added up for each task, which threads cannot share."""
    x, (mean, variance, gamma, beta) = np.zeros((3, 7, 5)), np.ones((4, 5))
    for backend in (twins(), compiled(tier)):
        y = np.empty_like(x)
        block = backend.BatchNormalizationBlock(x, y, gamma, beta, mean, variance, 1e-5)
        program = backend.Program([block], 3)
        for seed in range(2):
            x[...] = np.random.default_rng(seed).normal(seed, 2, x.shape)
            program.run(3, False, True, False, 8)
            np.testing.assert_allclose(mean, x.mean(axis=(0, 1)), rtol=1e-12)
            np.testing.assert_allclose(variance, x.var(axis=(0, 1)), rtol=1e-12)
