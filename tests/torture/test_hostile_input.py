"""The tests of hostile arguments, for thousands of inputs, on every tier: in a process each, which may crash."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiers import TIERS

from cnnx import kernels

pytestmark = pytest.mark.torture


@pytest.mark.parametrize('tier', kernels.TIERS)
def test_no_input_crashes_the_interpreter(tier):
    if tier not in TIERS:
        pytest.skip(f'tier {tier} is not compiled, or this processor does not run it')
    folder = Path(__file__).parents[1]
    tests = [str(place / 'test_hostile_arguments.py') for place in (folder, folder / '_ext')]
    environment = {**os.environ, 'CNNX_SIMD': tier, 'CNNX_BACKEND': 'cython', 'CNNX_HYPOTHESIS': 'torture'}
    command = [sys.executable, '-X', 'faulthandler', '-m', 'pytest', '-q', '-p', 'no:cacheprovider', *tests]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-5000:]
