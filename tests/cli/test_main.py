"""The command cnnx as a whole: its help, and how it ends."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import cnnx
from cnnx.cli import config
from cnnx.cli.main import COMMANDS, main

ROOT = Path(__file__).parents[2]


def python(*arguments, **changes):
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'CNNX_NUM_THREADS': '1', **changes}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)


def test_the_help_has_a_line_for_each_command(capsys):
    with pytest.raises(SystemExit) as exit:
        main(['--help'])
    assert exit.value.code == 0
    text = capsys.readouterr().out
    listed = re.findall(r'^    ([a-z-]+)(?= |$)', text, re.MULTILINE)
    assert listed == list(COMMANDS)
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize('command', COMMANDS)
def test_each_command_has_its_help(command, capsys):
    with pytest.raises(SystemExit) as exit:
        main([command, '--help'])
    assert exit.value.code == 0
    module, text = COMMANDS[command]
    flat = ' '.join(capsys.readouterr().out.split())
    assert text[1:] in flat
    assert f'usage: cnnx {command} ' in flat
    assert module.__doc__.startswith(f'`cnnx {command}`: ')


def test_the_help_is_quick():
    slow = {'pooch', 'requests', 'tqdm', 'matplotlib', 'PIL'}
    code = f'import sys, cnnx.cli.main as m; m.make_parser().format_help(); print(sorted({slow} & sys.modules.keys()))'
    assert python('-c', code).stdout == '[]\n'


def test_it_runs_as_a_module_and_as_the_script_of_the_package():
    result = python('-W', 'error', '-m', 'cnnx', 'config')
    assert (result.returncode, result.stderr) == (0, '')
    assert f'cnnx:      {cnnx.__version__}\n' in result.stdout
    assert 'python -m cnnx train' in python('-m', 'cnnx', '--help').stdout
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    module, function = project['scripts']['cnnx'].split(':')
    assert getattr(import_module(module), function) is main


@pytest.mark.parametrize('arguments', [[], ['tarin'], ['train', '--surprise'], ['checkpoint'], ['report']])
def test_a_command_line_that_cannot_be_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert exit.value.code == 2
    assert 'usage: cnnx' in capsys.readouterr().err


@pytest.mark.parametrize('error', [ValueError, OSError, cnnx.BackendError, cnnx.DivergenceError, cnnx.CheckpointError])
def test_an_error_is_a_line_that_names_the_command(error, monkeypatch, capsys):
    def fail(options):
        raise error('the reason')

    monkeypatch.setattr(config, 'run', fail)
    assert main(['config']) == 2
    assert capsys.readouterr() == ('', 'cnnx config: the reason\n')


def test_ctrl_c_ends_it_with_130(monkeypatch, capsys):
    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(config, 'run', interrupted)
    assert main(['config']) == 130
    assert capsys.readouterr() == ('', '')


def test_threads_and_backend_are_used(tmp_path, capsys):
    assert main(['profile', '--threads', '2', '--backend', 'numpy', '--batch-size', '2', '--repeats', '1']) == 0
    assert 'on 2 threads' in capsys.readouterr().out
    assert main(['profile', '--threads', '257']) == 2
    assert capsys.readouterr().err == 'cnnx profile: --threads: expected at most 256 threads, got 257\n'


def test_characters_that_the_output_has_no_letters_for_are_escaped(own, tmp_path):
    for name, class_name in (('zero', 'null'), ('one', 'één'), ('two', '二')):
        shutil.copytree(own / 'pictures' / name, tmp_path / 'pictures' / class_name)
    options = ['--data', 'pictures', '--epochs', '1', '--report']
    result = python('-m', 'cnnx', 'train', *options, PYTHONIOENCODING='ascii')
    assert result.returncode == 0, result.stderr
    assert r'\u4e8c' in result.stdout
    assert 'test accuracy' in result.stdout
