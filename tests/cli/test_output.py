"""Standard output that is a closed pipe."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(os.name != 'posix', reason='a POSIX shell')
@pytest.mark.parametrize('unbuffered', ['', '1'])
def test_a_pipe_that_is_closed_ends_it_quietly(unbuffered):
    line = '"$0" -W error -m cnnx profile --batch-size 2 --repeats 1 | head -1'
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'PYTHONUNBUFFERED': unbuffered}
    result = subprocess.run(['sh', '-c', line, sys.executable], env=environment, capture_output=True, text=True)
    assert result.stderr == ''
    assert len(result.stdout.splitlines()) == 1


@pytest.mark.parametrize(('unbuffered', 'status'), [('', 0), ('1', 141)])
@pytest.mark.skipif(os.name != 'posix', reason='POSIX pipes')
def test_the_status_with_a_pipe_that_is_closed(unbuffered, status):
    """It is 141, that of SIGPIPE, where the command was kept from its work; what is lost at its end costs nothing."""
    reading, writing = os.pipe()
    os.close(reading)
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'PYTHONUNBUFFERED': unbuffered}
    command = [sys.executable, '-m', 'cnnx', 'config']
    result = subprocess.run(command, env=environment, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (result.returncode, result.stderr) == (status, b'')
