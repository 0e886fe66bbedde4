"""Training compared on both backends."""

import pytest
from models import lenet5, network_with_training_modes, small_data, small_network

import cnnx
from cnnx.diagnostics.compare_backends import compare_backends

pytestmark = pytest.mark.usefixtures('compiled_kernels')


def test_the_comparison_has_a_row_a_layer_and_both_results(capsys):
    data = small_data()
    rows, results = comparison = compare_backends(small_network, data, data, epochs=2, learning_rate=0.05, batch_size=8)
    names = ['0 Convolutional', '1 ReLU', '2 MaxPooling', '3 Flatten', '4 Dense', '5 Softmax']
    names.append('CategoricalCrossEntropy')
    assert [row['layer'] for row in rows] == names
    for row in rows:
        assert 0 <= row['forward'] < 1e-5
        assert 0 <= row['backward'] < 1e-5
        assert row['numpy'] > 0
        assert row['cython'] > 0
    assert any(row['forward'] > 0 for row in rows), 'one backend compared with itself'
    for backend in ('numpy', 'cython'):
        assert len(results[backend]['history']['loss']) == 2
        assert results[backend]['test'].keys() == {'loss', 'accuracy'}
    assert repr(comparison) == '<Comparison: 7 rows, results of cython and numpy>'
    out = capsys.readouterr().out
    assert all(text in out for text in (*names, 'speed-up', 'epoch 2: loss', 'test accuracy'))


def test_layers_that_draw_numbers_draw_the_same_on_both_sides(capsys):
    data = small_data()
    rows, _ = compare_backends(network_with_training_modes, data, data, epochs=1, learning_rate=0.05, batch_size=8)
    assert rows[3]['layer'] == '3 Dropout'
    assert all(row['forward'] < 1e-4 and row['backward'] < 1e-4 for row in rows)


def test_a_kernel_that_is_wrong_is_seen(monkeypatch, capsys):
    with cnnx.use_backend('numpy'):
        backend = cnnx.kernels.current()
    right = backend.relu_forward
    monkeypatch.setattr(backend, 'relu_forward', lambda x, y, threads: (right(x, y, threads), y.__iadd__(0.5)))
    data = small_data()
    rows, _ = compare_backends(small_network, data, data, epochs=1, learning_rate=0.05, batch_size=8)
    assert rows[1]['forward'] == pytest.approx(0.5)
    assert rows[0]['forward'] < 1e-5


def test_both_backends_start_from_the_same_weights():
    with cnnx.use_backend('numpy'):
        theirs = lenet5().layers[0].weights
    assert (lenet5().layers[0].weights == theirs).all()
