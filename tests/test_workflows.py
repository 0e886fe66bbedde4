"""What runs elsewhere: actions are named by the full hash of a commit, and every supported Python is tried."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / '.github' / 'workflows').glob('*.yml'))
PINNED = re.compile(r'[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+')


@pytest.mark.skipif(not WORKFLOWS, reason='these are not in the repository')
def test_actions_are_pinned():
    used = [
        line.split('uses: ')[1]
        for path in WORKFLOWS
        for line in path.read_text(encoding='utf-8').splitlines()
        if 'uses: ' in line
    ]
    assert len(used) > 10
    assert [name for name in used if not PINNED.fullmatch(name)] == []


@pytest.mark.skipif(not WORKFLOWS, reason='these are not in the repository')
def test_every_python_that_is_supported_is_tried():
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text(encoding='utf-8'))['project']
    versions = [name.split()[-1] for name in project['classifiers'] if re.search(r':: 3\.\d+$', name)]
    assert len(versions) > 3
    workflow = (ROOT / '.github' / 'workflows' / 'ci.yml').read_text(encoding='utf-8')
    assert f'python: {versions}' in workflow
    assert f'for wanted in {" ".join(versions)}; do' in (ROOT / '.ci' / 'run').read_text(encoding='utf-8')
