"""The command lines that README.md and the pages of docs show are taken by the parsers of train_mnist.py and cnnx."""

import importlib.util
import io
import re
import shlex
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import pytest

from cnnx.cli.main import COMMANDS, parse

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').rglob('*.md'))]
FENCE = re.compile(r'^ *```[^`\n]*\n(.*?)^ *``` *$', re.MULTILINE | re.DOTALL)
SCRIPT, MODULE, COMMAND = 'python train_mnist.py', 'python -m cnnx', 'cnnx'


def shown(page):
    """Return (program, arguments) of each command line on a page: in fenced and indented blocks, and in `code`."""
    text = page.read_text(encoding='utf-8').replace('\\\n', ' ')
    lines = [line for block in FENCE.findall(text) for line in block.splitlines()]
    text = FENCE.sub('', text)
    lines += re.findall(r'^(?: {4}|\t)(.*)$', text, re.MULTILINE)
    lines += [code.replace('\n', ' ') for code in re.findall(r'`([^`]+)`', text)]
    return [found for line in lines for part in re.split(r'&&|\|\|?|;|>', line) if (found := split(part))]


def split(line):
    """Return the program and the arguments of a line that runs one of ours, or None."""
    line = re.sub(r'^(\$ )?([A-Z_]+=\S+ )*', '', line.strip())
    for program in (SCRIPT, MODULE, COMMAND):
        rest = line.removeprefix(program)
        # `cnnx` alone is a name; what begins with `python -m cnnx.` is no command.
        if rest != line and (rest.startswith(' ') or (program == SCRIPT and not rest) or program == MODULE):
            return program, shlex.split(rest, comments=True)
    return None


@pytest.fixture
def refusal(monkeypatch):
    """Return a function that returns what a program's parser says against arguments; '' if it takes them."""
    monkeypatch.chdir(ROOT)
    spec = importlib.util.spec_from_file_location('train_mnist', ROOT / 'train_mnist.py')
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    def refusal(program, arguments):
        arguments = ['train' if argument == 'COMMAND' else argument for argument in arguments]
        if program != SCRIPT and set(arguments) <= {*COMMANDS, 'verify', 'diff'}:
            arguments = [*arguments, '--help']  # a command that is named, not shown with its arguments
        said = io.StringIO()
        with redirect_stdout(io.StringIO()), redirect_stderr(said), suppress(SystemExit):
            (script.parse_settings if program == SCRIPT else parse)(arguments)
        named = said.getvalue().endswith('expected one argument\n')  # an option, at the end, without its value
        return '' if named else said.getvalue()

    return refusal


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_parse(page, refusal):
    refused = {(program, *arguments): refusal(program, arguments) for program, arguments in shown(page)}
    assert {line: text for line, text in refused.items() if text} == {}


PAGE = r"""
cnnx trains networks; the command `cnnx` and `cnnx.models` do not count.

```sh
$ cnnx train --data 'my photos' \
    --epochs 3
CNNX_NUM_THREADS=1 python -m cnnx config > config.txt
```

    pip install -e . && python train_mnist.py
    python train_mnist.py --resume  # continues

`cnnx checkpoint verify` checks, `cnnx train
--full` trains, and `python -m cnnx.train` is no command.
"""


def test_commands_are_found(tmp_path):
    (tmp_path / 'page.md').write_text(PAGE)
    assert shown(tmp_path / 'page.md') == [
        (COMMAND, ['train', '--data', 'my photos', '--epochs', '3']),
        (MODULE, ['config']),
        (SCRIPT, []),
        (SCRIPT, ['--resume']),
        (COMMAND, ['checkpoint', 'verify']),
        (COMMAND, ['train', '--full']),
        (MODULE, ['.train']),
    ]
    assert sum(len(shown(page)) for page in PAGES) > 10


def test_unknown_options_and_commands_are_reported(refusal):
    for program, command in ((SCRIPT, []), (MODULE, ['train']), (COMMAND, ['train'])):
        assert 'unrecognized arguments: --epoch-count' in refusal(program, [*command, '--epoch-count', '3'])
        assert refusal(program, [*command, '--epochs', '3']) == refusal(program, [*command, '--help']) == ''
    assert 'invalid choice' in refusal(COMMAND, ['tarin'])
    assert 'invalid choice' in refusal(MODULE, ['.train'])
    assert 'goes with --full' in refusal(COMMAND, ['train', '--dataset', 'kmnist'])
    for named in (['predict'], ['checkpoint', 'diff'], ['COMMAND', '--help'], ['train', '--schedule']):
        assert refusal(COMMAND, named) == ''
