"""The examples: each one runs in its quick form and learns, the loop by hand equals `train`, the notebook runs."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

import cnnx
from cnnx.data import preprocess_mnist_data
from cnnx.models import lenet5
from cnnx.schedules import Constant

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
    (x, y), test = (x[:70], y[:70]), tuple(each[:200] for each in test)
    monkeypatch.setattr(by_hand, 'preprocess_mnist_data', lambda: ((x, y), test))
    monkeypatch.setattr(by_hand, 'EPOCHS', 2)
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
    assert last == f'test accuracy: {net.evaluate(*test)["accuracy"]:.2%} of 200 images'


@pytest.mark.slow
def test_what_was_learned_of_other_digits_helps(transfer, capsys):
    results = transfer.compare('lenet5', samples_per_class=20, seeds=2, epochs=5)
    from_scratch, transferred = (accuracies for accuracies, *_ in results.values())
    assert transferred.mean() > from_scratch.mean() + 0.02
    assert from_scratch.mean() > 0.5


def learn_with_new_head(transfer, build):
    """Return a network that was pretrained and learned with a new head, and which of its parameters stayed."""
    rng = np.random.default_rng(0)
    x, y = rng.random((20, 28, 28, 1)), np.repeat(np.arange(5), 4)
    base = transfer.pretrained(build, x, y, seed=0)
    before = {name: parameter.value.copy() for name, parameter in base.parameters.items()}
    net = transfer.trained(transfer.with_new_head(base), x, y, 0.01, epochs=2)
    return net, {name for name in before if np.array_equal(net.parameters[name].value, before[name])}


def test_convolutions_stay_and_the_head_is_new(transfer):
    net, same = learn_with_new_head(transfer, transfer.NETWORKS['lenet5'])
    assert same == {'weights_0', 'bias_0', 'weights_3', 'bias_3'}
    assert net.layers[-1].shape == (5,)


def test_a_resnet_keeps_two_stages_and_trains_the_third(transfer):
    net, same = learn_with_new_head(transfer, transfer.NETWORKS['resnet'])
    early = [layer for layer in net.layers if layer.shape in ((28, 28, 8), (14, 14, 16))]
    assert len(same) == 6 * (1 + 4)  # six convolutions, and gamma, beta, mean and variance after each
    assert len(same) == sum(len(layer.parameters) for layer in early)
    assert net.layers[-1].shape == (5,)


@pytest.mark.parametrize('network', ['lenet5', pytest.param('resnet', marks=pytest.mark.slow)])
def test_the_command_prints_both_ways(transfer, network, capsys):
    transfer.main(['--network', network, '--quick'])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ['test', 'from', 'transferred', 'gain']
    with pytest.raises(SystemExit):
        transfer.main(['--seeds', '0'])


@pytest.mark.parametrize(
    'names', [['SVC', 'CNNClassifier, one cycle'], pytest.param(None, marks=pytest.mark.slow)], ids=str
)
def test_classifiers_of_scikit_learn_are_compared(names, capsys):
    pytest.importorskip('sklearn', reason='needs scikit-learn: pip install "cnnx[sklearn]"')
    example = load('scikit_learn')
    example.MODELS = {name: example.MODELS[name] for name in names or example.MODELS}
    example.main(['--quick'])
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row[:25].strip() for row in rows] == list(example.MODELS)
    assert all(float(row[25:].split('%')[0]) > 50 for row in rows)


def last_line(capsys):
    return capsys.readouterr().out.splitlines()[-1]


def delete_last_epoch(folder):
    last = list(folder.glob('*_epoch_2.npz'))
    assert len(last) > 1  # one of each network
    for path in last:
        path.unlink()


def numbers_of(line):
    return [float(number) for number in re.findall(r'\d+\.\d+', line)]


@pytest.fixture
def counting(compiled_kernels):
    return load('counting')


@pytest.mark.slow
def test_counting_learns_ink_and_resumes(counting, tmp_path, capsys):
    arguments = ['--quick', '--checkpoint-dir', str(tmp_path), '--plot', str(tmp_path / 'scenes.png')]
    counting.main(arguments)
    of_network, of_median, f1, last = capsys.readouterr().out.splitlines()
    assert numbers_of(of_network)[0] < 0.8 * numbers_of(of_median)[0]
    assert len(numbers_of(f1)) == 10
    assert last.startswith('counting: ')
    assert (tmp_path / 'scenes.png').stat().st_size > 0
    delete_last_epoch(tmp_path)
    counting.main([*arguments, '--resume'])
    assert last_line(capsys) == last
    with pytest.raises(SystemExit):
        counting.main(['--resume'])


def test_a_turned_digit_keeps_its_ink_and_turns_counter_clockwise(counting):
    images = np.zeros((2, 28, 28, 1))
    images[:, 13:15, 18:20] = 1  # right of the middle
    turned = counting.rotate(images, np.array([0, 90]))
    np.testing.assert_allclose(turned[0], images[0], atol=1e-12)
    assert turned[1].sum() == pytest.approx(4)
    assert turned[1, 8:10, 13:15].sum() == pytest.approx(4)  # above the middle


def test_scenes_are_labelled_with_what_is_on_them(counting):
    images = np.arange(1, 11).reshape(10, 1, 1, 1) * np.ones(
        (1, 28, 28, 1)
    )  # a digit is an area as bright as its label
    counting.NOISE = 0
    x, y = counting.scenes(images, np.arange(10), 50, np.random.default_rng(0))
    for scene, there in zip(x, y, strict=True):
        assert set(np.unique(scene)) - {0} <= set(np.flatnonzero(there) + 1)
    assert {2, 3} >= set(y.sum(axis=1))


def test_f1_of_each_label(counting):
    predicted = np.array([[1, 0, 1], [1, 0, 0]], dtype=bool)
    there = np.array([[1, 0, 0], [0, 0, 1]], dtype=bool)
    np.testing.assert_allclose(counting.f1_by_label(predicted, there), [2 / 3, 0, 0])


@pytest.fixture
def gan(compiled_kernels):
    return load('gan')


@pytest.mark.slow
def test_a_gan_that_is_resumed_ends_with_the_same_figure(gan, tmp_path, capsys):
    arguments = ['--quick', '--checkpoint-dir', str(tmp_path), '--plot', str(tmp_path / 'samples.png')]
    gan.main(arguments)
    whole = last_line(capsys)
    assert re.fullmatch(r'gan: .* read with more than 0.9, rarest digit .*, distance .*', whole)
    assert (tmp_path / 'samples.png').stat().st_size > 0
    delete_last_epoch(tmp_path)
    gan.main([*arguments, '--resume'])
    assert last_line(capsys) == whole
    with pytest.raises(SystemExit):
        gan.main(['--resume'])


def test_a_generator_gets_darker_or_brighter_as_the_real_images_are(gan):
    digits = np.arange(100) % 10
    noise = gan.draw_input(np.random.default_rng(0), digits)
    brightness = [gan.new_generator(seed=0).predict(noise).mean()]
    for value in (0, 1):
        generator, discriminator = gan.new_generator(seed=0), gan.new_discriminator(seed=1, outputs=10)
        for _ in range(20):
            gan.train_step(generator, discriminator, np.full((16, 28, 28, 1), value), digits[:16], rate=0.001)
        brightness.append(generator.predict(noise).mean())
    first, darker, brighter = brightness
    assert darker < first < brighter


def test_the_frechet_distance_of_known_gaussians(gan):
    rng = np.random.default_rng(0)
    a = rng.normal(size=(1000, 3))
    assert gan.frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    assert gan.frechet_distance(a, a + np.array([3, 0, 4])) == pytest.approx(25)
    # Of b = 2 a the covariance is 4 A, so A + B - 2 sqrt(A B) = A.
    b = 2 * (a - a.mean(axis=0))
    expected = np.sum(a.mean(axis=0) ** 2) + np.trace(np.cov(a, rowvar=False))
    assert gan.frechet_distance(a, b) == pytest.approx(expected)


@pytest.mark.parametrize('name', ['first_steps', 'see_it_work'])
def test_notebooks_are_python_without_outputs(name):
    cells = json.loads((EXAMPLES / f'{name}.ipynb').read_text(encoding='utf-8'))['cells']
    code = [cell for cell in cells if cell['cell_type'] == 'code']
    assert code
    assert [cell['id'] for cell in code if cell['outputs'] or cell['execution_count']] == []
    for cell in code:
        compile(''.join(cell['source']), cell['id'], 'exec')


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """Return a function that runs a notebook in tmp_path, and returns the cells' outputs and numbers of pictures."""
    reason = 'needs nbclient and ipykernel: pip install -e ".[notebook]"'
    nbclient = pytest.importorskip('nbclient', reason=reason)
    pytest.importorskip('ipykernel', reason=reason)
    nbformat = pytest.importorskip('nbformat', reason=reason)
    monkeypatch.setenv('PYTHONPATH', str(Path(cnnx.__file__).parents[1]))

    def execute(name):
        notebook = nbformat.read(EXAMPLES / f'{name}.ipynb', as_version=4)
        nbclient.NotebookClient(notebook, timeout=300, resources={'metadata': {'path': str(tmp_path)}}).execute()
        outputs = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == 'code'}
        pictures = {id: sum('image/png' in output.get('data', {}) for output in each) for id, each in outputs.items()}
        return outputs, {id: count for id, count in pictures.items() if count}

    return execute


@pytest.mark.slow
def test_the_first_notebook_runs(execute, tmp_path):
    outputs, pictures = execute('first_steps')
    assert pictures == {'show': 1, 'curves': 1, 'mistakes': 1, 'filters': 2}
    wrong = int(outputs['mistakes'][0].text.split()[0])
    assert 0 < wrong < 100
    assert (tmp_path / 'digits.npz').exists()


@pytest.mark.slow
def test_the_notebook_of_pictures_runs(execute, tmp_path):
    outputs, pictures = execute('see_it_work')
    assert pictures == {'probabilities': 1, 'layers': 1, 'occlusion': 1, 'report': 1}
    assert 'src="run.html"' in outputs['watch'][-1].data['text/html']
    page = (tmp_path / 'run.html').read_text(encoding='utf-8')
    right = int(re.search(r'(\d+) of 1,000 validation samples are right', page)[1])
    assert right > 900


@pytest.mark.slow
@pytest.mark.usefixtures('compiled_kernels')
def test_all_architectures_are_trained_and_compared(capsys):
    example = load('architectures')
    example.main(['--quick'])
    _, *rows, best = capsys.readouterr().out.splitlines()
    assert [row[:20].strip() for row in rows] == list(example.NETWORKS)
    accuracies = {row[:20].strip(): float(re.search(r'([\d.]+)%', row)[1]) for row in rows}
    name = max(accuracies, key=accuracies.get)
    assert best == f'most accurate: {name}, {accuracies[name]:.2f}%'
    assert accuracies[name] > 25


@pytest.mark.usefixtures('compiled_kernels')
def test_a_comparison_can_be_resumed_and_drawn(capsys, tmp_path):
    pytest.importorskip('matplotlib')
    example = load('architectures')
    arguments = ['--networks', 'LeNet-5', 'MobileNet', '--quick', '--checkpoint-dir', str(tmp_path / 'runs')]
    example.main(arguments)
    best = capsys.readouterr().out.splitlines()[-1]
    example.main([*arguments, '--resume', '--plot', str(tmp_path / 'a.png')])  # there is nothing left to train
    assert capsys.readouterr().out.splitlines()[-1] == best
    assert (tmp_path / 'a.png').stat().st_size > 1000


@pytest.mark.usefixtures('compiled_kernels')
@pytest.mark.parametrize('name', ['ResNet', 'Inception', 'MobileNet', 'DenseNet'])
def test_networks_that_branch_overfit_a_few_images(name):
    (x, y), _ = preprocess_mnist_data()
    net = load('architectures').NETWORKS[name](seed=0)
    net.compile(cnnx.CategoricalCrossEntropy(), cnnx.Adam())
    history = net.train(x[:20], y[:20], epochs=20, learning_rate=0.01, batch_size=20, verbose=0)
    assert history['accuracy'][-1] > 0.9


def small_vae():
    example = load('autoencoder')
    x = example.draw_pixels(preprocess_mnist_data()[0][0][:100], np.random.default_rng(0))
    return example.VAE(latents=3, seed=0), x


def test_the_gradients_of_the_vae_are_those_of_its_elbo():
    vae, x = small_vae()
    for net in (vae.encoder, vae.decoder):
        vae.step(x, np.random.default_rng(1), learning_rate=0.0)
        gradients = [parameter.grad.copy() for parameter in net.trainable_parameters]
        length = np.sqrt(sum(np.sum(np.square(gradient, dtype=float)) for gradient in gradients))
        values = [parameter.value.copy() for parameter in net.trainable_parameters]
        elbos = []
        for step in (0.02, -0.02):  # along the gradient, with the same noise
            for parameter, value, gradient in zip(net.trainable_parameters, values, gradients, strict=True):
                parameter.value[...] = value + step / length * gradient
            elbos.append(vae.elbo(x, np.random.default_rng(1))[0])
        for parameter, value in zip(net.trainable_parameters, values, strict=True):
            parameter.value[...] = value
        assert (elbos[1] - elbos[0]) / 0.04 == pytest.approx(784 * length, rel=0.01), net


def test_the_elbo_of_a_batch_is_that_of_evaluation():
    vae, x = small_vae()
    before, likelihood, divergence = vae.elbo(x, np.random.default_rng(1))
    assert before == pytest.approx(likelihood - divergence)
    assert vae.step(x, np.random.default_rng(1), learning_rate=0.0005) == pytest.approx(before, rel=1e-5)
    assert vae.elbo(x, np.random.default_rng(1))[0] > before


@pytest.mark.usefixtures('compiled_kernels')
@pytest.mark.parametrize('kind', ['vae', pytest.param('denoising', marks=pytest.mark.slow)])
def test_an_autoencoder_that_is_resumed_ends_as_one_that_was_not(kind, capsys, tmp_path):
    example = load('autoencoder')
    (x, y), _ = preprocess_mnist_data()
    arguments = [kind, '--checkpoint-dir', str(tmp_path / kind)]
    run = example.run_vae if kind == 'vae' else example.run_denoising
    lines = []
    for epochs in (['--epochs', '3'], ['--epochs', '1'], ['--epochs', '3', '--resume']):
        example.RATE = Constant(0.002)  # which does not depend on the number of epochs
        run(x[:200], (x[200:300], y[200:300]), example.parse_settings([*arguments, *epochs]))
        lines.append(capsys.readouterr().out.splitlines()[-1])
    assert lines[0] == lines[2] != lines[1]
    with pytest.raises(SystemExit):
        example.parse_settings([kind, '--resume'])


@pytest.mark.usefixtures('compiled_kernels')
@pytest.mark.slow
@pytest.mark.parametrize('kind', ['vae', 'vae --latents 2', 'denoising'])
def test_autoencoders_learn_and_draw(kind, capsys, tmp_path):
    pytest.importorskip('matplotlib')
    load('autoencoder').main([*kind.split(), '--quick', '--plot', str(tmp_path / 'a.png')])
    last = capsys.readouterr().out.splitlines()[-1]
    assert (tmp_path / 'a.png').stat().st_size > 1000
    if kind == 'denoising':
        after, before = map(float, re.findall(r'\d+\.\d+', last))
        assert after < before
    else:
        assert float(re.match(r'test ELBO: (\S+) nats', last)[1]) > -300


def test_bayes_compares_the_likelihoods_of_all_classes_and_places():
    example = load('signals')
    x, classes = example.make_signals(100, np.random.default_rng(0))
    known = example.waveforms()
    places = range(example.LENGTH - known.shape[1] + 1)
    clean = np.zeros((len(known), len(places), example.LENGTH))  # every signal that there is, without noise
    for place in places:
        clean[:, place, place : place + known.shape[1]] = known
    squares = ((x[:, None, None, :, 0] - clean) ** 2).sum(axis=-1)
    likelihoods = np.exp(-squares / (2 * example.NOISE**2)).mean(axis=2)
    np.testing.assert_array_equal(example.classify_by_bayes(x), likelihoods.argmax(axis=1))
    assert 0.85 < np.mean(likelihoods.argmax(axis=1) == classes) < 1


@pytest.mark.usefixtures('compiled_kernels')
@pytest.mark.slow
def test_signals_are_told_apart_but_not_better_than_is_possible(capsys, tmp_path):
    pytest.importorskip('matplotlib')
    example = load('signals')
    arguments = ['--quick', '--checkpoint-dir', str(tmp_path / 'runs')]
    example.main([*arguments, '--plot', str(tmp_path / 's.png')])
    last = capsys.readouterr().out.splitlines()[-1]
    accuracy, best = map(float, re.findall(r'([\d.]+)%', last))
    assert 50 < accuracy < best < 95
    assert (tmp_path / 's.png').stat().st_size > 1000
    example.main([*arguments, '--resume'])
    assert capsys.readouterr().out.splitlines()[-1] == last


@pytest.fixture
def segmentation(compiled_kernels):
    return load('segmentation')


@pytest.fixture
def detection(compiled_kernels):
    return load('detection')


@pytest.mark.slow
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


@pytest.mark.slow
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
    match = {'yolo': cnnx.boxes.match_middles, 'ssd': cnnx.boxes.match_anchors}[method]
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
