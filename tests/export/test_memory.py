"""Places of values in memory."""

import itertools
import math
import random

from export_cases import GRAPHS, network

import cnnx
from cnnx.export.memory import Buffer, place, plan
from cnnx.export.steps import INPUT, steps_of


def in_use(buffers):
    """Return the most that is in use at one time: no plan can do with less."""
    times = range(1 + max(b.last for b in buffers.values()))
    return max(sum(b.size for b in buffers.values() if b.first <= i <= b.last) for i in times)


def check_apart(buffers, offsets):
    for one in buffers:
        for other in buffers:
            a, b = buffers[one], buffers[other]
            if one != other and a.first <= b.last and b.first <= a.last:
                assert offsets[one] + a.size <= offsets[other] or offsets[other] + b.size <= offsets[one]


def test_chains_take_no_more_than_the_largest_pair():
    rng = random.Random(0)
    chains = [[10, 8, 7, 9], *([rng.randrange(1, 50) for _ in range(rng.randrange(2, 12))] for _ in range(50))]
    for sizes in chains:
        buffers = {i: Buffer(size, i, i + 1) for i, size in enumerate(sizes)}
        offsets, size = place(buffers)
        check_apart(buffers, offsets)
        assert size == in_use(buffers) == max(map(sum, itertools.pairwise(sizes)))


def test_values_that_are_in_use_together_lie_apart():
    rng = random.Random(1)
    for _ in range(30):
        firsts = [rng.randrange(12) for _ in range(8)]
        buffers = {i: Buffer(rng.randrange(1, 30), first, first + rng.randrange(6)) for i, first in enumerate(firsts)}
        offsets, size = place(buffers)
        check_apart(buffers, offsets)
        assert in_use(buffers) <= size <= sum(b.size for b in buffers.values())


def sizes_of(net, steps):
    return {INPUT: math.prod(net.input_shape), **{step.value: math.prod(step.shape) for step in steps}}


def test_graphs_take_the_greatest_sum_of_live_values():
    for name in GRAPHS:
        net = network(name)
        steps = steps_of(net)
        sizes = sizes_of(net, steps)
        offsets, size = plan(steps, sizes, store_input=True)
        live, most = {INPUT}, 0
        for i, step in enumerate(steps):
            # A value that is written over another one takes no more.
            own = {step.value} if offsets.get(step.value) not in [offsets.get(v) for v in step.reads] else set()
            most = max(most, sum(sizes[value] for value in live | own if value in offsets))
            read_later = {value for later in steps[i + 1 :] for value in later.reads}
            live = {value for value in {*live, step.value} if value in read_later}
        assert size == most


def test_elementwise_steps_write_over_what_they_read():
    net = cnnx.Network([cnnx.Dense(4, 5), cnnx.PReLU(), cnnx.Dense(3), cnnx.Softmax()], seed=0)
    steps = steps_of(net)
    offsets, size = plan(steps, sizes_of(net, steps))
    assert size == 5  # for 0 and 1; 2 and 3 are in the output
    assert offsets == {0: 0, 1: 0}


def test_a_network_of_one_layer_needs_no_memory():
    net = cnnx.Network([cnnx.Dense(4, 5)], seed=0)
    steps = steps_of(net)
    assert plan(steps, sizes_of(net, steps)) == ({}, 0)
