"""The pages of the documentation: their Python blocks and command lines work, and they link to each other."""

import codeop
import doctest
import importlib.util
import io
import re
import shlex
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import pytest

from cnnx.cli.main import parse as cnnx_parse

ROOT = Path(__file__).parents[1]
DOCS = ROOT / 'docs'
USERS = sorted([*DOCS.glob('*.md'), *DOCS.glob('reference/*.md')])
PAGES = [ROOT / 'README.md', *USERS, *sorted(DOCS.glob('maintaining/*.md'))]
# Libraries that all Python blocks of a page need.
NEEDS = {'docs/sklearn.md': ['sklearn'], 'docs/dask.md': ['sklearn', 'distributed'], 'docs/visual.md': ['matplotlib']}
SCRIPT = 'python train_mnist.py'
FENCE = re.compile(r'^ *```([^`\n]*)\n(.*?)^ *``` *$', re.MULTILINE | re.DOTALL)


def page_id(page):
    return str(page.relative_to(ROOT))


def python_blocks(page):
    """Return (line number, code) of the ```python blocks of a page."""
    text = page.read_text(encoding='utf-8')
    return [(text.count('\n', 0, block.start(2)), block[2]) for block in FENCE.finditer(text) if block[1] == 'python']


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


def check_can_be_pasted(code):
    """Raise SyntaxError unless a Python prompt takes the code line by line, as `code.InteractiveConsole` reads it."""
    typed = []
    for line in [*code.splitlines(), '']:
        typed.append(line)
        if codeop.compile_command('\n'.join(typed), symbol='single') is not None:
            typed.clear()
    if typed:
        raise SyntaxError(f'not complete: {typed[0]}')


def anchors(page):
    """Return the anchors of a page's headings, as MkDocs and code hosts name them."""
    headings = re.findall(r'^#+ (.*)$', FENCE.sub('', page.read_text(encoding='utf-8')), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


def broken_links(page):
    """Return the links to pages, pictures and headings that lead nowhere; links out of docs/ are not looked at."""
    links = re.findall(r'\]\(((?!https?://)[^)\s]+)\)', page.read_text(encoding='utf-8'))
    targets = [(link, *link.partition('#')[::2]) for link in links]
    found = [(link, (page.parent / file).resolve() if file else page, anchor) for link, file, anchor in targets]
    return [
        link
        for link, file, anchor in found
        if file.is_relative_to(DOCS) and (not file.exists() or (anchor and anchor not in anchors(file)))
    ]


def commands(page):
    """Return (program, arguments) of each command line on a page, in blocks and in running text."""
    text = page.read_text(encoding='utf-8').replace('\\\n', ' ')
    found = re.findall(rf'({re.escape(SCRIPT)}|(?:^ +|`)cnnx(?= [a-z-]))([^`\n]*)', text, re.MULTILINE)
    return [(program.lstrip(' `'), re.split(r'\s(?:&&|\|\|?|;|>)', rest)[0]) for program, rest in found]


@pytest.fixture
def refusal(monkeypatch):
    """Return a function of (program, arguments): what its parser prints on stderr; '' if it takes the arguments."""
    monkeypatch.chdir(ROOT)
    spec = importlib.util.spec_from_file_location('train_mnist', ROOT / 'train_mnist.py')
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    parse = {SCRIPT: script.parse_settings, 'cnnx': cnnx_parse}

    def refusal(program, arguments):
        printed = io.StringIO()
        with redirect_stdout(io.StringIO()), redirect_stderr(printed), suppress(SystemExit):
            parse[program](shlex.split(arguments, comments=True))
        return printed.getvalue()

    return refusal


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore:.*Network.load needs custom_objects')
@pytest.mark.parametrize('page', PAGES, ids=page_id)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    for module in NEEDS.get(page_id(page), []):
        pytest.importorskip(module, reason=f'the page needs {module}')
    monkeypatch.chdir(tmp_path)
    namespace = {'__name__': 'docs'}
    for line, code in python_blocks(page):
        if 'import torch\n' in code and importlib.util.find_spec('torch') is None:
            continue
        run = run_doctest if code.lstrip().startswith('>>>') else run_plainly
        try:
            run(code, line, page, namespace)
        except ImportError as error:
            if 'pip install "cnnx[' not in str(error) and error.name not in ('onnxruntime', 'safetensors'):
                raise
            pytest.skip(str(error))


@pytest.mark.parametrize('page', PAGES, ids=page_id)
def test_command_lines_parse(page, refusal):
    refusals = [refusal(program, arguments) for program, arguments in commands(page)]
    assert [text for text in refusals if text] == []


@pytest.mark.parametrize('page', PAGES, ids=page_id)
def test_python_blocks_can_be_pasted(page):
    for _, code in python_blocks(page):
        if not code.startswith('>>>'):
            check_can_be_pasted(code)


@pytest.mark.parametrize(
    'code',
    [
        'class Scale:\n    a = 1\n\n    b = 2\n',
        'for a in range(3):\n    pass\nprint(a)\n',
        'print(\n',
    ],
)
def test_refuses_what_cannot_be_pasted(code):
    with pytest.raises(SyntaxError):
        check_can_be_pasted(code)


@pytest.mark.parametrize('page', [*PAGES, ROOT / 'CONTRIBUTING.md'], ids=page_id)
def test_links_lead_somewhere(page):
    assert broken_links(page) == []


def test_finds_broken_links(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), 'DOCS', tmp_path)
    page = tmp_path / 'page.md'
    page.write_text('# A title\n[a](#a-title) [b](#b) [c](c.md) [d](https://example.org/d) [e](page.md#e) [f](../f)\n')
    assert broken_links(page) == ['#b', 'c.md', 'page.md#e']


@pytest.mark.parametrize('page', USERS, ids=page_id)
def test_pages_of_users_are_short(page):
    assert len(page.read_text(encoding='utf-8').splitlines()) < 300


@pytest.mark.parametrize('page', USERS, ids=page_id)
def test_pages_have_nothing_left_to_fill_in(page):
    assert not re.search(r'@@|\b(XX+|TODO|TBD|TUNED)\b', page.read_text(encoding='utf-8'))


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / 'mkdocs.yml').read_text(encoding='utf-8')
    listed = re.findall(r': (\S+\.md)$', navigation, re.MULTILINE)
    assert sorted(listed) == sorted(str(page.relative_to(DOCS)) for page in PAGES[1:])


@pytest.mark.parametrize('name', ['concepts.md', 'layers.md', 'own_training_loop.md', 'training.md'])
def test_finds_examples(name):
    assert python_blocks(DOCS / name)


@pytest.mark.parametrize(('name', 'program'), [('settings.md', SCRIPT), ('command_line.md', 'cnnx')])
def test_finds_commands(name, program):
    assert [found for found, _ in commands(DOCS / name)].count(program) > 10


@pytest.mark.parametrize(('program', 'command'), [(SCRIPT, ''), ('cnnx', 'train ')])
def test_refuses_an_unknown_option(refusal, program, command):
    assert 'unrecognized arguments: --epoch-count' in refusal(program, f'{command}--epoch-count 3')
    assert refusal(program, f'{command}--epochs 3') == refusal(program, f'{command}--help') == ''
