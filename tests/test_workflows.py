"""What runs elsewhere runs what was looked at: actions are named by the full hash of a commit, and their version."""

import re
from pathlib import Path

import pytest

WORKFLOWS = sorted((Path(__file__).parents[1] / '.github' / 'workflows').glob('*.yml'))
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
