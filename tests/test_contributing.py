"""The diff that CONTRIBUTING.md shows is all that one more layer takes: it is applied to a copy, and tested there."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cnnx

ROOT = Path(__file__).parents[1]
TESTS = [
    'tests/layers/test_all_layers.py',
    'tests/training/test_resume.py',
    'tests/diagnostics/test_gradient_check.py',
    'tests/test_house.py',
]


def shown_diff():
    return re.search(r'^```diff\n(.*?)^```$', (ROOT / 'CONTRIBUTING.md').read_text(), re.MULTILINE | re.DOTALL)[1]


def copy_or_link(source, target):
    if source.endswith('.py'):
        shutil.copy(source, target)
    else:
        Path(target).symlink_to(source)


@pytest.fixture
def tree(tmp_path):
    """A copy of package and tests with the diff in it; kernels that are compiled are those that are there."""
    if shutil.which('git') is None:
        pytest.skip('needs git, to apply the diff')
    if hasattr(cnnx, 'Softsign'):
        pytest.skip('the diff is applied already')
    left_out = shutil.ignore_patterns('__pycache__', 'mnist_subset')
    shutil.copytree(Path(cnnx.__file__).parent, tmp_path / 'cnnx', copy_function=copy_or_link, ignore=left_out)
    shutil.copytree(ROOT / 'tests', tmp_path / 'tests', copy_function=copy_or_link, ignore=left_out)
    for name in ('pyproject.toml', 'CONTRIBUTING.md'):
        shutil.copy(ROOT / name, tmp_path)
    # Within the repository `git apply` would look for the files there.
    options = {'cwd': tmp_path, 'input': shown_diff(), 'text': True, 'env': {'GIT_CEILING_DIRECTORIES': str(tmp_path)}}
    subprocess.run([shutil.which('git'), 'apply', '-'], check=True, **options)
    return tmp_path


def run_tests(tree, tests=TESTS):
    """Run what all layers are tested by, for the new one; return what pytest prints."""
    chosen = 'Softsign or every_kind_has_a_row or documented'
    command = [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', '-k', chosen, *tests]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True).stdout


def test_the_diff_is_a_class_an_entry_in_a_list_and_a_row():
    diff = shown_diff()
    assert re.findall(r'^\+\+\+ b/(.*)$', diff, re.MULTILINE) == [
        'cnnx/layers/__init__.py',
        'cnnx/layers/activations.py',
        'tests/layer_cases.py',
    ]
    row = diff[diff.index('+++ b/tests/') :].splitlines()[1:]
    assert len([line for line in row if line[:1] in ('+', '-')]) == 1


@pytest.mark.slow
def test_the_diff_makes_a_layer_that_passes_what_all_layers_pass(tree):
    said = run_tests(tree)
    assert re.search(r'^\d\d passed', said, re.MULTILINE), said
    code = 'import cnnx; print(cnnx.Softsign().forward([[1, -3]]), cnnx.__file__)'
    found = subprocess.run([sys.executable, '-c', code], cwd=tree, capture_output=True, text=True, check=True).stdout
    assert found == f'[[ 0.5  -0.75]] {tree / "cnnx" / "__init__.py"}\n'


@pytest.mark.slow
def test_a_layer_without_its_row_is_missed(tree):
    shutil.copy(ROOT / 'tests' / 'layer_cases.py', tree / 'tests')
    assert 'FAILED tests/layers/test_all_layers.py::test_every_kind_has_a_row' in run_tests(tree, TESTS[:1])
