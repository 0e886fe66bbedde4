"""The training loop: what fails between batches costs none of them, and what callbacks change holds from there on."""

import signal

import numpy as np
import pytest
from interrupted_runs import BATCHES, assert_resumes, batches, names, whole_run
from interrupted_runs import train_on_batches as train
from models import bits, small_data, small_network

import cnnx
from cnnx.callbacks import LambdaCallback
from cnnx.training import progress

pytestmark = pytest.mark.usefixtures('default_handlers')


@pytest.fixture(scope='module')
def whole():
    return whole_run()


# Where an epoch ends


@pytest.mark.parametrize('failure', [OSError('no such image'), SystemExit('no such image')], ids=repr)
@pytest.mark.parametrize('at', range(1, BATCHES + 1))
def test_what_fails_as_a_batch_is_made_does_not_cost_those_before_it(tmp_path, whole, at, failure):
    def broken(epoch):
        for place, batch in enumerate([*batches(epoch), None]):
            if (epoch, place) == (2, at):
                raise failure
            if batch is not None:
                yield batch

    options = {'checkpoint_dir': tmp_path, 'validation_data': small_data(9)}
    with pytest.raises(type(failure), match='no such image'):
        train(small_network(), broken, **options)
    assert names(tmp_path) == ['model_epoch_1.npz', f'model_epoch_2_batch_{at}.npz']
    assert_resumes(tmp_path, whole)


def test_what_fails_in_validation_does_not_cost_the_epoch(tmp_path, whole):
    def broken(epoch):
        yield small_data(9)
        if epoch == 2:
            raise OSError('no such image')

    with pytest.raises(OSError, match='no such image'):
        train(small_network(), checkpoint_dir=tmp_path, validation_data=broken)
    assert names(tmp_path) == ['model_epoch_1.npz', f'model_epoch_2_batch_{BATCHES}.npz']
    assert_resumes(tmp_path, whole)


def test_what_fails_in_computing_validation_does_not_cost_the_epoch(tmp_path, whole):
    net = small_network()
    evaluate = net.plan.evaluate
    calls = []

    def failing(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise MemoryError('no room for 256 images')
        return evaluate(*arguments)

    net.plan.evaluate = failing
    with pytest.raises(MemoryError, match='no room for 256 images'):
        train(net, checkpoint_dir=tmp_path, validation_data=small_data(9))
    assert names(tmp_path) == ['model_epoch_1.npz', f'model_epoch_2_batch_{BATCHES}.npz']
    assert_resumes(tmp_path, whole)


def test_an_epoch_is_saved_before_it_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(progress.Progress, 'finish', lambda *arguments: (_ for _ in ()).throw(OSError('full')))
    with pytest.raises(OSError, match='full'):
        train(small_network(), checkpoint_dir=tmp_path, verbose=1)
    assert names(tmp_path) == ['model_epoch_1.npz']


# What callbacks change while a run goes on


def penalize(net):
    net.layers[4].l2 = 0.3


def smooth(net):
    net.loss.label_smoothing = 0.3


def freeze_a_bias(net):
    net.parameters['bias_4'].trainable = False


def freeze_a_layer(net):
    net.layers[0].trainable = False


def compile_again(net):
    net.compile(net.loss, net.optimizer)


def compile_otherwise(net):
    net.compile(net.loss, cnnx.SGD(momentum=0.5))


CHANGES = pytest.mark.parametrize(
    'change', [penalize, smooth, freeze_a_bias, freeze_a_layer, compile_again, compile_otherwise]
)


def changing(change, stop_at=None):
    """Return callbacks that change a network within epoch 2, and stop it after a batch, (epoch, batch)."""
    epochs = []

    def at_end(batch, metrics):
        if (epochs[-1], batch) == (2, 2):
            change(callback.network)
        if (epochs[-1], batch) == stop_at:
            signal.raise_signal(signal.SIGINT)

    callback = LambdaCallback(on_epoch_begin=epochs.append, on_batch_end=at_end)
    return [callback]


@pytest.mark.skipif(not hasattr(signal, 'SIGHUP'), reason='sends POSIX signals')
@CHANGES
@pytest.mark.filterwarnings('ignore:.* trainable is False, as it was when this was saved')
@pytest.mark.parametrize('stop_at', [(2, 2), (2, 3), (3, 1)])
def test_what_a_callback_changes_holds_from_the_next_batch_on_and_is_resumed_exactly(tmp_path, change, stop_at):
    whole, plain, resumed = small_network(), small_network(), small_network()
    train(whole, callbacks=changing(change))
    train(plain)
    assert bits(whole) != bits(plain)
    with pytest.raises(KeyboardInterrupt):
        train(small_network(), callbacks=changing(change, stop_at), checkpoint_dir=tmp_path)
    if change in (penalize, smooth, compile_otherwise):  # settings, which a resume takes from the code
        change(resumed)
    train(resumed, callbacks=changing(change), checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    assert bits(resumed) == bits(whole)


@CHANGES
def test_what_is_changed_after_a_run_holds_in_the_next(change):
    nets = small_network(), small_network()
    train(nets[0], epochs=1)
    change(nets[0])
    nets[1].generator = np.random.default_rng()
    nets[1].generator.bit_generator.state = nets[0].generator.bit_generator.state
    for name, parameter in nets[0].parameters.items():
        nets[1].parameters[name].value = parameter.value
        nets[1].parameters[name].state = {key: array.copy() for key, array in parameter.state.items()}
    change(nets[1])
    if change is compile_again:
        assert not any(parameter.state for parameter in nets[0].parameters.values())
    for net in nets:
        train(net)
    assert bits(nets[0]) == bits(nets[1])
    assert nets[0].evaluate(*small_data(9)) == nets[1].evaluate(*small_data(9))


@pytest.mark.parametrize(
    ('part', 'name', 'value'),
    [
        ('layers.1', 'negative_slope', 0.9),
        ('layers.2', 'epsilon', 1.0),
        ('layers.2', 'momentum', 0.1),
        ('layers.3', 'rate', 0.8),
        ('layers.5', 'l2', 0.5),
        ('loss', 'label_smoothing', 0.5),
        ('loss', 'from_logits', True),
    ],
)
def test_what_is_set_holds_from_there_on_whatever_was_planned_before(part, name, value):
    def build():
        net = cnnx.Network(seed=0)
        for layer in (
            cnnx.Convolutional(3, 3, input_shape=(6, 6, 1)),
            cnnx.LeakyReLU(),
            cnnx.BatchNormalization(),
            cnnx.Dropout(0.3),
            cnnx.Flatten(),
            cnnx.Dense(output_size=3),
        ):
            net.add(layer)
        net.compile(cnnx.CategoricalCrossEntropy(from_logits=True), 'adam')
        return net

    def results(planned):
        net, (x, y) = build(), small_data(24)
        if planned:
            net.predict(x)
            net.evaluate(x, y)
        setattr(net.loss if part == 'loss' else net.layers[int(part[-1])], name, value)
        found = net.predict(x).tobytes(), net.evaluate(x, y)
        train(net, epochs=2)
        return found, net.evaluate(x, y), bits(net)

    assert results(planned=False) == results(planned=True)


def test_what_a_function_that_gives_batches_freezes_is_frozen_from_the_next_one_on(tmp_path):
    def freezing(net, stop=False):
        for place, batch in enumerate(batches()):
            if place == 2:
                net.layers[4].trainable = False
            if place == 3 and stop:
                raise OSError('the disk of the data is gone')
            yield batch

    nets = [small_network() for _ in range(3)]
    train(nets[0], lambda epoch: freezing(nets[0]))
    train(nets[1], lambda epoch: freezing(nets[1]), callbacks=[LambdaCallback()])
    with pytest.raises(OSError, match='the disk of the data'):
        train(nets[2], lambda epoch: freezing(nets[2], stop=True), checkpoint_dir=tmp_path)
    train(nets[2], lambda epoch: freezing(nets[2]), checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    assert bits(nets[0]) == bits(nets[1]) == bits(nets[2])


def test_batches_that_are_given_within_another_backend_are_learned_with_it():
    def other_backend(epoch):
        with cnnx.use_backend('numpy'):
            yield from batches(epoch)

    net, whole = small_network(), small_network()
    train(net, other_backend)
    with cnnx.use_backend('numpy'):
        train(whole)
    assert bits(net) == bits(whole)


@pytest.mark.parametrize('hook', ['on_epoch_begin', 'on_batch_begin'])
def test_momentum_that_a_callback_brings_in_is_resumed_exactly(tmp_path, hook):
    def ramp(net):
        def bring_in(number):
            if number >= 2:
                net.optimizer.momentum = 0.9

        return LambdaCallback(**{hook: bring_in})

    nets = [small_network() for _ in range(3)]
    for net in nets:
        net.compile(net.loss, cnnx.SGD())
    train(nets[0], callbacks=[ramp(nets[0])])
    assert any('velocity' in parameter.state for parameter in nets[0].parameters.values())
    train(nets[1], epochs=2, callbacks=[ramp(nets[1])], checkpoint_dir=tmp_path)
    if hook == 'on_batch_begin':
        nets[2].optimizer.momentum = 0.9  # as it has been from the second batch on
    train(nets[2], callbacks=[ramp(nets[2])], checkpoint_dir=tmp_path, resume_from_checkpoint=True, verbose=1)
    assert bits(nets[2]) == bits(nets[0])
