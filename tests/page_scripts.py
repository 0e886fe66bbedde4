"""The page's scripts under Node, for tests."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import cnnx.export.html

FOLDER = Path(cnnx.export.html.__file__).parent


def run_scripts(scripts, code, given):
    """Return what `code` returns, after some scripts of the page, for `given`; both go through JSON."""
    node = shutil.which('node')
    if node is None:
        pytest.skip('node is not installed')
    source = '\n'.join((FOLDER / f'{name}.js').read_text(encoding='utf-8') for name in scripts)
    reading = "const given = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
    program = f'{source}\n{reading}\nprocess.stdout.write(JSON.stringify((function () {{ {code} }})()));'
    done = subprocess.run(
        [node, '--input-type=commonjs', '--eval', program], input=json.dumps(given), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
