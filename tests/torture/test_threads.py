"""One hash whatever the number of threads, and whatever else the processors do."""

import hashlib

import pytest
from models import bits, lenet5

import cnnx
from benchmarks.machine import keep_busy
from cnnx.data import preprocess_mnist_data

THREADS = (1, 2, 3, 4, 8, 64)


def trained(threads, samples, epochs, batch_size):
    (x, y), _ = preprocess_mnist_data()
    before = cnnx.num_threads()
    cnnx.set_num_threads(threads)
    try:
        net = lenet5()
        history = net.train(x[:samples], y[:samples], epochs=epochs, batch_size=batch_size, verbose=0)
    finally:
        cnnx.set_num_threads(before)
    return hashlib.sha256(repr((bits(net), history)).encode()).hexdigest()


def hashes(samples, epochs, batch_sizes):
    found = {}
    for batch_size in batch_sizes:
        for busy in (0, 1):
            for threads in THREADS:
                with keep_busy(busy):
                    found.setdefault(batch_size, set()).add(trained(threads, samples, epochs, batch_size))
    return found


def test_one_hash_for_any_number_of_threads():
    assert {size: len(found) for size, found in hashes(100, 1, (40,)).items()} == {40: 1}


@pytest.mark.torture
def test_one_hash_for_any_number_of_threads_over_many_steps():
    sizes = (1, 7, 12, 13, 32, 64, 129, 512)
    found = hashes(1000, 2, sizes)
    assert {size: len(hashes) for size, hashes in found.items()} == dict.fromkeys(sizes, 1)
    print(
        f'\nthreads {", ".join(map(str, THREADS))}, with all processors free and with one busy, '
        f'{len(sizes)} batch sizes: one hash for each batch size'
    )
