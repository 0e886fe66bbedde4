"""A C source and its header: compilers, sanitizers, the self-test, names, errors."""

import os
import subprocess

import export_cases
import numpy as np
import pytest
from compiled_c import LANGUAGES, run_compiler, sanitizers

import cnnx
from cnnx.export import export

HOSTILE = ('*/', '"', '\\', '??/', 'a\nb', "'", '%s', 'ü', '/*', '')


def small_network():
    net = cnnx.Network([cnnx.Dense(4, 10), cnnx.Softmax()], seed=0)
    net.class_names = HOSTILE
    return net


@pytest.mark.parametrize('language', LANGUAGES)
def test_it_compiles_without_a_warning(language, tmp_path):
    small_network().export(tmp_path / 'small.c')
    export_cases.network('graph_3').export(tmp_path / 'graph.c')
    for name in ('small', 'graph'):
        run_compiler(language, '-c', f'-D{name.upper()}_TEST', tmp_path / f'{name}.c', '-o', tmp_path / 'test.o')
    run_compiler(language, '-c', tmp_path / 'graph.c', '-o', tmp_path / 'graph.o')


@pytest.mark.parametrize('precision', ['float32', 'int8'])
@pytest.mark.parametrize('name', ['relu_max', 'with_padding', 'graph_3'])
def test_the_self_test_passes_under_sanitizers(name, precision, tmp_path):
    net = export_cases.network(name)
    options = {'calibrate': export_cases.samples(net)} if precision == 'int8' else {}
    net.export(tmp_path / 'net.c', precision=precision, **options)
    run_compiler('gcc', '-DNET_TEST', *sanitizers(), tmp_path / 'net.c', '-o', tmp_path / 'test')
    result = subprocess.run([tmp_path / 'test'], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, 'net: 0 of 5 samples are wrong\n'), result.stderr


def test_the_self_test_finds_a_wrong_weight(tmp_path):
    net = export_cases.network('dense')
    net.export(tmp_path / 'net.c')
    text = (tmp_path / 'net.c').read_text()
    before, brace, after = text.partition('static const float bias_1[13] = {\n    ')
    (tmp_path / 'net.c').write_text(before + brace + '9' + after)
    run_compiler('gcc', '-DNET_TEST', tmp_path / 'net.c', '-o', tmp_path / 'test')
    result = subprocess.run([tmp_path / 'test'], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (1, 'net: 5 of 5 samples are wrong\n')


def test_class_names_arrive_as_they_are(tmp_path):
    small_network().export(tmp_path / 'small.c')
    (tmp_path / 'main.c').write_text(
        '#include "small.h"\n#include <stdio.h>\nint main(void)\n{\n    for (int i = 0; i < SMALL_CLASSES; i++) '
        'printf("%s|", small_classes[i]);\n    return 0;\n}\n'
    )
    run_compiler('gcc', tmp_path / 'small.c', tmp_path / 'main.c', '-o', tmp_path / 'main')
    result = subprocess.run([tmp_path / 'main'], capture_output=True)
    assert result.stdout.decode() == ''.join(f'{name}|' for name in HOSTILE)


@pytest.mark.parametrize(
    ('stem', 'name', 'header'),
    [
        ('digits', 'digits', 'digits.h'),
        ('my-net 2', 'my_net_2', 'my-net 2.h'),
        ('2', 'net_2', '2.h'),
        ('int', 'int', 'int.h'),
        ('_x', 'x', '_x.h'),
        ('ü', 'net', 'net.h'),
        ('a"b*', 'a_b', 'a_b.h'),
        ('a\\', 'a', 'a.h'),
    ],
)
def test_names_are_made_of_the_files_name(stem, name, header, tmp_path):
    if os.name == 'nt' and set('"*\\') & set(stem):
        pytest.skip('no name of a file on Windows')
    cnnx.Network([cnnx.Dense(2, 2)], seed=0).export(tmp_path / f'{stem}.c')
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([header, f'{stem}.c'])
    assert f'void {name}_predict(const float in[2], float out[2]);' in (tmp_path / header).read_text()
    run_compiler('gcc', '-c', tmp_path / f'{stem}.c', '-o', tmp_path / 'net.o')
    run_compiler('g++', '-c', tmp_path / f'{stem}.c', '-o', tmp_path / 'net.o')


def test_sizes_stand_in_the_comment(tmp_path):
    cnnx.models.lenet5(seed=0).export(tmp_path / 'lenet.c')
    text = (tmp_path / 'lenet.c').read_text()
    # 61,706 parameters; the map of 14 x 14 x 6 numbers and that of 5 x 5 x 16.
    assert 'Constants (flash): 246824 bytes, and the code. Static memory (RAM): 6304 bytes.' in text
    assert 'Multiply-adds of a call: 416520.' in text
    assert 'static float memory[1576];' in text


def test_errors_say_what_to_do(tmp_path):
    net = small_network()
    with pytest.raises(ValueError, match='a name that ends with .* got x.keras'):
        net.export('x.keras')
    with pytest.raises(ValueError, match='standard header; choose another name'):
        net.export(tmp_path / 'Math.c')
    with pytest.raises(ValueError, match='precision: expected one of float32, int8'):
        net.export(tmp_path / 'a.c', precision='int4')
    with pytest.raises(ValueError, match="calibrate: is for precision='int8'"):
        net.export(tmp_path / 'a.c', calibrate=np.zeros((2, 4)))
    for samples in (np.zeros((3, 5)), np.zeros((0, 4)), np.full((2, 4), np.nan), np.full((2, 4), 1e300)):
        with pytest.raises(ValueError, match='samples: expected'):
            net.export(tmp_path / 'a.c', samples=samples)
    with pytest.raises(OSError, match='no_folder'):
        net.export(tmp_path / 'no_folder' / 'a.c')
    with pytest.raises(RuntimeError, match='the network has no layers'):
        export(cnnx.Network(), tmp_path / 'a.c')
    net.class_names = [f'{"x" * 4096}{i}' for i in range(10)]
    with pytest.raises(ValueError, match='at most 4095 bytes'):
        net.export(tmp_path / 'a.c')
    assert not list(tmp_path.iterdir())
