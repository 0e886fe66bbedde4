"""Networks of 8-bit integers in C: bit for bit what `QuantizedNetwork` computes."""

import ctypes

import export_cases
import numpy as np
import pytest
from compiled_c import call, load, run_compiler

import cnnx

NAMES = export_cases.IN_INTEGERS


@pytest.fixture(scope='module')
def quantized():
    """Return all networks, quantised. Half of their samples go beyond what they were calibrated with."""
    networks = {name: export_cases.network(name) for name in NAMES}
    return {name: net.quantize(export_cases.samples(net) / 2) for name, net in networks.items()}


@pytest.fixture(scope='module')
def library(tmp_path_factory, quantized):
    folder = tmp_path_factory.mktemp('integers')
    for name, network in quantized.items():
        network.export(folder / f'{name}.c')
    return load(folder.glob('*.c'), folder)


@pytest.mark.parametrize('name', NAMES)
def test_logits_are_equal_bit_for_bit(name, quantized, library):
    network = quantized[name]
    x = export_cases.samples(network.network)
    inputs = network.quantize_input(x)
    logits = network.predict_int8(inputs)
    assert (call(getattr(library, f'{name}_predict_int8'), inputs, logits.shape[1:], np.int8) == logits).all()
    outputs = network.predict(x)
    found = call(getattr(library, f'{name}_predict'), x, outputs.shape[1:])
    assert np.abs(found - outputs).max() <= 1e-6 * max(np.abs(outputs).max(), 1e-6)


def test_inputs_are_rounded_and_cut_off_as_in_python(quantized, library):
    network = quantized['dense']
    scale, zero = network.input_scale
    values = [np.nan, np.inf, -np.inf, 1e30, -1e30, 0, 0.5 * scale, 1.5 * scale, -0.5 * scale, 300 * scale]
    x = np.resize(np.array(values, np.float32), (1, *network.network.input_shape))
    inputs, out = network.quantize_input(x), np.empty((1, *network.network.input_shape), np.int8)
    x = np.ascontiguousarray(x)
    library.dense_quantize(x.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p))
    assert (out == inputs).all()
    assert inputs.reshape(-1)[:6].tolist() == [-128, 127, -128, 127, -128, zero]


@pytest.mark.parametrize('language', ['gcc', 'clang', 'g++', 'clang++'])
@pytest.mark.parametrize('name', ['GroupNormalization', 'graph_3'])
def test_it_compiles_without_a_warning(name, language, quantized, tmp_path):
    quantized[name].export(tmp_path / 'net.c')
    run_compiler(language, '-c', '-DNET_TEST', tmp_path / 'net.c', '-o', tmp_path / 'test.o')


def test_the_scales_are_macros(quantized, tmp_path):
    quantized['dense'].export(tmp_path / 'my net.c')
    header = (tmp_path / 'my net.h').read_text()
    scale, zero = quantized['dense'].output_scale
    assert f'#define MY_NET_OUTPUT_SCALE {np.float32(scale)!s}f\n#define MY_NET_OUTPUT_ZERO ({zero})\n' in header
    assert '#define MY_NET_INPUT_SCALE' in header


def test_export_by_one_call_is_the_same(tmp_path):
    net = export_cases.network('dense')
    x = export_cases.samples(net)
    net.export(tmp_path / 'a.c', precision='int8', calibrate=x, samples=x)
    first = (tmp_path / 'a.c').read_text()
    net.quantize(calibrate=x).export(tmp_path / 'a.c', samples=x)
    assert first == (tmp_path / 'a.c').read_text()
    with pytest.raises(ValueError, match=r"precision='int8' needs calibrate=x"):
        net.export(tmp_path / 'a.c', precision='int8')
    with pytest.raises(ValueError, match='expected a name ending in .c'):
        net.quantize(calibrate=x).export(tmp_path / 'a.npz')


def test_labels_with_one_output(tmp_path):
    net = cnnx.Network([cnnx.Dense(3, 1), cnnx.Sigmoid()], seed=0)
    x = np.random.default_rng(0).normal(size=(50, 3))
    assert (net.quantize(x).predict_classes(x) == net.predict_classes(x)).mean() > 0.9
