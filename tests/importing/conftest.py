"""Fixtures: where a test writes its model."""

import pytest


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'model.onnx'
