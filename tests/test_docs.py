"""What README.md and docs/*.md show is run: Python blocks, and the command lines of train_mnist.py."""

import doctest
import importlib.util
import io
import re
import shlex
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]
SCRIPT = 'python train_mnist.py'
FENCE = re.compile(r'^ *```([^`\n]*)\n(.*?)^ *``` *$', re.MULTILINE | re.DOTALL)


def python_blocks(page):
    """Return (line number, code, modules that it needs) of the ```python blocks of a page."""
    text = page.read_text(encoding='utf-8')
    return [
        (text.count('\n', 0, block.start(2)), block[2], block[1].split()[1:])
        for block in FENCE.finditer(text)
        if block[1].lower().split()[:1] == ['python']
    ]


def run_plainly(code, line, page, namespace):
    exec(compile('\n' * line + code, str(page), 'exec'), namespace)


def run_doctest(code, line, page, namespace):
    test = doctest.DocTestParser().get_doctest(code, namespace, page.name, str(page), line)
    report = []
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False).run(
        test, out=report.append, clear_globs=False
    )
    assert result.failed == 0, ''.join(report)
    assert result.attempted > 0
    namespace.update(test.globs)


def script_commands(page):
    """Return the arguments of each command line of the script on a page, in blocks and in running text."""
    text = page.read_text(encoding='utf-8').replace('\\\n', ' ')
    commands = re.findall(rf'{re.escape(SCRIPT)}[^`\n]*', text)
    return [re.split(r'\s(?:&&|\|\|?|;|>)', command.removeprefix(SCRIPT))[0] for command in commands]


@pytest.fixture
def refusal(monkeypatch):
    """Return a function that tells what the script's parser has against arguments; '' if it takes them."""
    monkeypatch.chdir(ROOT)
    spec = importlib.util.spec_from_file_location('train_mnist', ROOT / 'train_mnist.py')
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    def refusal(arguments):
        monkeypatch.setattr('sys.argv', ['train_mnist.py', *shlex.split(arguments, comments=True)])
        said = io.StringIO()
        with redirect_stdout(io.StringIO()), redirect_stderr(said), suppress(SystemExit):
            script.parse_settings()
        return said.getvalue()

    return refusal


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {'__name__': 'docs'}
    for line, code, needed in python_blocks(page):
        if not all(map(importlib.util.find_spec, needed)):
            continue
        run = run_doctest if code.lstrip().startswith('>>>') else run_plainly
        run(code, line, page, namespace)


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_script_commands_parse(page, refusal):
    refusals = [refusal(arguments) for arguments in script_commands(page)]
    assert [text for text in refusals if text] == []


@pytest.mark.parametrize('name', ['concepts.md', 'layers_explained.md', 'training.md', 'training_mnist.md'])
def test_finds_examples(name):
    assert python_blocks(ROOT / 'docs' / name)


def test_finds_commands():
    assert len(script_commands(ROOT / 'docs' / 'training_mnist.md')) > 10


def test_tells_an_unknown_option(refusal):
    assert 'unrecognized arguments: --epoch-count' in refusal('--epoch-count 3')
    assert refusal('--epochs 3') == refusal('--help') == ''
