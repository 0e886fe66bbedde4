"""The examples: the loop by hand equals `train`, transfer learning helps, segmentation and detection find digits."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import cnnx
from cnnx.data import preprocess_mnist_data
from cnnx.models import lenet5

EXAMPLES = Path(__file__).parents[1] / 'examples'


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f'{name}.py')
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    return example


@pytest.fixture
def transfer(compiled_kernels):
    return load('transfer_learning')


@pytest.mark.usefixtures('each_backend')
def test_the_loop_by_hand_gives_the_weights_of_train(monkeypatch, capsys):
    by_hand = load('by_hand')
    (x, y), test = preprocess_mnist_data()
    x, y = x[:200], y[:200]
    monkeypatch.setattr(by_hand, 'preprocess_mnist_data', lambda: ((x, y), test))
    layers = by_hand.main()
    net = lenet5(seed=0, fused=False, momentum=by_hand.MOMENTUM)
    settings = {'learning_rate': by_hand.LEARNING_RATE, 'batch_size': by_hand.BATCH_SIZE}
    history = net.train(x, y, epochs=by_hand.EPOCHS, verbose=0, **settings)
    for layer, same in zip(layers, net.layers, strict=True):
        for parameter, expected in zip(layer.parameters, same.parameters, strict=True):
            np.testing.assert_array_equal(parameter.value, expected.value, err_msg=same.where)
    *epochs, last = capsys.readouterr().out.splitlines()
    metrics = zip(history['loss'], history['accuracy'], strict=True)
    assert epochs == [f'epoch {n}: loss {loss:.4f}, accuracy {right:.2%}' for n, (loss, right) in enumerate(metrics, 1)]
    assert last == f'test accuracy: {net.evaluate(*test)["accuracy"]:.2%} of 1000 images'


def test_what_was_learned_of_other_digits_helps(transfer, capsys):
    results = transfer.compare(samples_per_class=20, seeds=4, epochs=5)
    from_scratch, transferred = (accuracies for accuracies, *_ in results.values())
    assert transferred.mean() > from_scratch.mean() + 0.02
    assert from_scratch.mean() > 0.5


def test_convolutions_stay_and_the_head_is_new(transfer):
    rng = np.random.default_rng(0)
    x, y = rng.random((20, 28, 28, 1)), np.repeat(np.arange(5), 4)
    base = transfer.pretrained(x, y, seed=0)
    before = {name: parameter.value.copy() for name, parameter in base.parameters.items()}
    net = transfer.trained(transfer.with_new_head(base), x, y, 0.01, epochs=2)
    same = {name for name in before if np.array_equal(net.parameters[name].value, before[name])}
    assert same == {'weights_0', 'bias_0', 'weights_3', 'bias_3'}
    assert net.layers[-1].shape == (5,)


def test_the_command_prints_both_ways(transfer, capsys):
    transfer.main(['--samples-per-class', '2', '--seeds', '1', '--epochs', '1'])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ['test', 'from', 'transferred', 'gain']
    with pytest.raises(SystemExit):
        transfer.main(['--seeds', '0'])


def test_the_notebook_has_no_outputs():
    cells = json.loads((EXAMPLES / 'first_steps.ipynb').read_text(encoding='utf-8'))['cells']
    code = [cell for cell in cells if cell['cell_type'] == 'code']
    assert code
    assert [cell['id'] for cell in code if cell['outputs'] or cell['execution_count']] == []


def test_the_notebook_runs(tmp_path, monkeypatch):
    reason = 'needs nbclient and ipykernel: pip install -e ".[notebook]"'
    nbclient = pytest.importorskip('nbclient', reason=reason)
    pytest.importorskip('ipykernel', reason=reason)
    nbformat = pytest.importorskip('nbformat', reason=reason)
    monkeypatch.setenv('PYTHONPATH', str(Path(cnnx.__file__).parents[1]))
    notebook = nbformat.read(EXAMPLES / 'first_steps.ipynb', as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={'metadata': {'path': str(tmp_path)}}).execute()
    outputs = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == 'code'}
    pictures = {name: sum('image/png' in output.get('data', {}) for output in each) for name, each in outputs.items()}
    assert {name: count for name, count in pictures.items() if count} == {
        'show': 1,
        'curves': 1,
        'mistakes': 1,
        'filters': 2,
    }
    wrong = int(outputs['mistakes'][0].text.split()[0])
    assert 0 < wrong < 100
    assert (tmp_path / 'digits.npz').exists()


@pytest.fixture
def segmentation(compiled_kernels):
    return load('segmentation')


@pytest.fixture
def detection(compiled_kernels):
    return load('detection')


def test_segmentation_learns_draws_and_resumes(segmentation, tmp_path, capsys):
    command = ['--quick', '--network', 'fcn', '--checkpoint-dir', str(tmp_path)]
    figure = segmentation.main([*command, '--plot', str(tmp_path / 'scenes.png')])['fcn']
    assert capsys.readouterr().out.splitlines()[-1] == f'mean intersection over union: fcn {figure:.3f}'
    assert figure > 0.13  # background everywhere would be less than 1/11
    assert (tmp_path / 'scenes.png').exists()
    for epoch in (5, 6):
        (tmp_path / f'fcn_epoch_{epoch}.npz').unlink()
    assert segmentation.main([*command, '--resume'])['fcn'] == figure


def test_segmentation_networks_classify_each_pixel(segmentation):
    for name, build in segmentation.NETWORKS.items():
        net = build(0, 48, (2, 4, 6, 8))
        assert net.predict(np.zeros((2, 48, 48, 1))).shape == (2, 48, 48, 11), name


def test_detection_runs_draws_and_resumes(detection, tmp_path, capsys):
    command = ['--quick', '--epochs', '2', '--checkpoint-dir', str(tmp_path)]
    figures = detection.main([*command, '--plot', str(tmp_path / 'scenes.png')])
    last = ', '.join(f'{name} {figures[name]:.3f}' for name in ('yolo', 'ssd', 'rcnn'))
    assert capsys.readouterr().out.splitlines()[-1] == f'mean average precision at 0.5: {last}'
    assert (tmp_path / 'scenes.png').exists()
    (tmp_path / 'yolo_epoch_2.npz').unlink()
    assert detection.main([*command, '--method', 'yolo', '--resume']) == {'yolo': figures['yolo']}


@pytest.mark.parametrize('method', ['yolo', 'ssd'])
def test_outputs_that_are_the_targets_find_every_digit(detection, method):
    scenes = cnnx.data.make_scenes(*preprocess_mnist_data()[1], 20)
    net, anchors = getattr(detection, method)(96, 2, seed=0)
    match = {'yolo': detection.match_cells, 'ssd': cnnx.boxes.match_anchors}[method]
    found = []
    for boxes, labels in zip(scenes.boxes, scenes.labels, strict=True):
        targets = detection.targets_of(match(anchors, boxes), anchors, boxes, labels)
        scores = 20 * np.eye(11)[targets[:, 4].astype(int)]
        found.append(detection.detections(np.concatenate([targets[:, :4], scores], axis=1), anchors))
    assert net.layers[-1].shape == (len(anchors), 15)
    truth = zip(scenes.boxes, scenes.labels, strict=True)
    assert cnnx.boxes.mean_average_precision(found, truth, threshold=0.99) > 0.98  # two middles may share a cell


def test_the_detection_loss_has_the_gradient_of_its_value(detection):
    rng = np.random.default_rng(0)
    targets = np.concatenate([rng.normal(size=(3, 4, 4)), rng.integers(8, 11, (3, 4, 1))], axis=-1)
    x = cnnx.Input((5,))
    y = cnnx.Reshape((4, 15))(cnnx.Dense(output_size=60)(x))
    net = cnnx.Network(inputs=x, outputs=y, seed=0)
    net.compile(detection.DetectionLoss())
    check = net.check_gradients(rng.normal(size=(3, 5)), targets)
    assert check, check
    perfect = np.concatenate([targets[..., :4], 50 * np.eye(11)[targets[..., 4].astype(int)]], axis=-1)
    assert detection.DetectionLoss().value_and_gradient(perfect, targets)[0] == pytest.approx(0, abs=1e-12)


def test_rcnn_learns_from_windows_with_and_without_digits(detection):
    scenes = cnnx.data.make_scenes(*preprocess_mnist_data()[1], 10)
    crops, targets = detection.crops_to_learn(scenes, np.random.default_rng(0))
    assert crops.shape[1:] == (28, 28, 1)
    assert targets.shape == (len(crops), 1, 5)
    empty = targets[..., 4] == 10
    assert 0.4 < empty.mean() < 0.8
    assert (targets[empty][:, :4] == 0).all()
    # The middle of a digit that a window overlaps by half is near the window's.
    assert np.abs(targets[~empty][:, :2]).mean() < 0.25
