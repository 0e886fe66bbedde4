"""Digits that the doctor examines."""

import pytest

from cnnx.data import preprocess_mnist_data


@pytest.fixture(scope='module')
def digits():
    (x, y), _ = preprocess_mnist_data()
    return x[:2000], y[:2000].argmax(axis=1)


@pytest.fixture(scope='module')
def flat(digits):
    return digits[0][:1000].reshape(1000, -1), digits[1][:1000]
