"""Runs that are interrupted and resumed: equal bits, and what a resume reports, skips and refuses."""

import datetime
import errno
import os
import signal
import stat
import subprocess
import sys

import numpy as np
import optimizer_reference as reference
import pytest
from augmentation_cases import AUGMENTATION_ARGUMENTS
from graph_networks import random_graph, residual
from interrupted_runs import StopError, fork, names, signal_at
from layer_cases import KINDS, example
from models import bits, small_data, small_network

import cnnx
from cnnx import CheckpointError, Network, checkpoint
from cnnx._util.generators import BIT_GENERATORS
from cnnx.augmentation import AUGMENTATIONS, Flip, Shift
from cnnx.callbacks import Callback, LambdaCallback
from cnnx.checkpoint import files, state
from cnnx.optimizers import OPTIMIZERS
from cnnx.schedules import SCHEDULES, Constant, Custom, OneCycle, ReduceOnPlateau, Schedule
from cnnx.training.resume import Run

N, BATCH, EPOCHS = 22, 8, 3
BATCHES = 3  # of an epoch
STOPS = range(1, EPOCHS * BATCHES + 1)
SOME = [1, 5, 6]  # after the first batch, one within an epoch, and the last one of an epoch
SOME_OR_ALL = pytest.mark.parametrize(
    'stops', [pytest.param(SOME, id='some'), pytest.param(STOPS, id='all', marks=pytest.mark.torture)]
)
# A row for each kind of schedule.
SCHEDULE_ARGUMENTS = {
    'Constant': [{}],
    'StepDecay': [{'every': 1}],
    'Exponential': [{}],
    'Cosine': [{'final': 0.001}, {'warmup': 1.5}],
    'OneCycle': [{}],
    # Both reduce the rate after epoch 2, the first after epoch 3 as well.
    'ReduceOnPlateau': [
        {'patience': 1, 'threshold': 0.99, 'monitor': 'accuracy', 'factor': 0.5},
        {'patience': 1, 'threshold': 0.99, 'factor': 0.5, 'cooldown': 1},
    ],
    'Custom': [{'function': lambda step, steps: 0.05 * (1 - step / steps)}],
}
POSIX = pytest.mark.skipif(os.name != 'posix', reason='sends POSIX signals')


def train(net, **options):
    channels = net.layers[0].input_shape[2]
    x, y = small_data(N, channels=channels)
    settings = {
        'epochs': EPOCHS,
        'batch_size': BATCH,
        'learning_rate': 0.05,
        'verbose': 0,
        'validation_data': small_data(10, 1, channels),
    }
    return net.train(x, y, **(settings | options))


def damage_epochs(folder, *epochs):
    """Flip a bit of some checkpoints."""
    for epoch in epochs:
        path = folder / f'model_epoch_{epoch}.npz'
        content = bytearray(path.read_bytes())
        content[300] ^= 1
        path.write_bytes(content)


def craft(path, **description):
    """Change what a checkpoint says, and seal it again."""
    arrays, found = checkpoint.read(path)
    checkpoint.write(path, arrays, found | description)


def stop_at(net, call):
    """Have a network's plan fail at the call-th batch that it learns from now on."""
    learn, calls = net.plan.forward_and_backward, []

    def stopped(*arguments):
        calls.append(None)
        if len(calls) == call:
            raise StopError
        return learn(*arguments)

    net.plan.forward_and_backward = stopped


def plainest_and_fullest(kind):
    """Return the first and the last arguments that a kind of optimizer is held against PyTorch with."""
    arguments = [arguments for name, arguments in reference.CASES if name == kind]
    return arguments[:: max(len(arguments) - 1, 1)]


def test_every_schedule_and_augmentation_has_a_row():
    assert AUGMENTATION_ARGUMENTS.keys() == AUGMENTATIONS.keys()
    assert SCHEDULE_ARGUMENTS.keys() == {kind.__name__ for kind in (*SCHEDULES, Custom)}


@POSIX
@pytest.mark.usefixtures('default_handlers')
@pytest.mark.parametrize(
    ('optimizer', 'arguments', 'schedule', 'given', 'shuffle', 'stops'),
    [
        # By default, each optimizer in full meets one schedule, shuffled, and each schedule one optimizer, in order.
        pytest.param(
            optimizer, arguments, kind, given, shuffle, stops, marks=pytest.mark.torture if stops is STOPS else ()
        )
        for optimizer in OPTIMIZERS
        for arguments in plainest_and_fullest(optimizer)
        for kind in (*SCHEDULES, Custom)
        for given in SCHEDULE_ARGUMENTS[kind.__name__]
        for shuffle in (True, False)
        for default in [
            kind is OneCycle and arguments == plainest_and_fullest(optimizer)[-1]
            if shuffle
            else (optimizer, arguments) == ('SGD', {})
        ]
        for stops in ([SOME, STOPS] if default else [STOPS])
    ],
)
def test_a_run_stopped_at_any_batch_ends_with_the_same_bits(
    tmp_path, optimizer, arguments, schedule, given, shuffle, stops
):
    schedule = schedule(**given) if schedule is Custom else schedule(0.05, **given)
    options = {'learning_rate': schedule, 'shuffle': shuffle}

    def network(seed=0):
        net = small_network(seed)
        net.compile(net.loss, OPTIMIZERS[optimizer](**arguments))
        return net

    stop_at_batches(tmp_path, network, options, stops)


def network_with(kind, seed=0, channels=1):
    """A network of images (6, 6, channels) and 3 classes with a layer of a kind in it."""
    net = cnnx.Network(seed=seed)
    net.add(cnnx.Convolutional(3, 3, input_shape=(6, 6, channels)))
    layer, shape = example(kind)
    if len(shape) == 1:
        net.add(cnnx.Flatten())
    if kind.endswith('1D'):
        net.add(cnnx.Reshape((16, 3)))
    for each in (layer, cnnx.Flatten(), cnnx.Dense(output_size=3), cnnx.Softmax()):
        net.add(each)
    net.compile(cnnx.CategoricalCrossEntropy(), cnnx.SGD(momentum=0.9))
    return net


@POSIX
@pytest.mark.usefixtures('default_handlers')
@pytest.mark.parametrize('graph', ['residual', 'random'])
@SOME_OR_ALL
def test_a_run_of_a_network_that_branches_stopped_at_any_batch_ends_with_the_same_bits(tmp_path, graph, stops):
    makes = {
        'residual': lambda seed=0: residual(seed, shape=(6, 6, 1)),
        'random': lambda seed=0: random_graph(3, shape=(6, 6, 1), weights=seed),
    }
    stop_at_batches(tmp_path, makes[graph], {}, stops)


@POSIX
@pytest.mark.usefixtures('default_handlers')
@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize(
    'stops', [pytest.param([5], id='one'), pytest.param(STOPS, id='all', marks=pytest.mark.torture)]
)
def test_a_run_with_any_layer_stopped_at_any_batch_ends_with_the_same_bits(tmp_path, kind, stops):
    stop_at_batches(tmp_path, lambda seed=0: network_with(kind, seed), {}, stops)


@POSIX
@pytest.mark.usefixtures('default_handlers')
@pytest.mark.parametrize('kinds', [*([kind] for kind in AUGMENTATIONS), [*AUGMENTATIONS, 'Shift']], ids=' '.join)
@SOME_OR_ALL
def test_a_run_with_any_augmentation_stopped_at_any_batch_ends_with_the_same_bits(tmp_path, kinds, stops):
    augment = [AUGMENTATIONS[kind](*AUGMENTATION_ARGUMENTS[kind]) for kind in kinds]
    # Dropout draws from the same generator.
    stop_at_batches(tmp_path, lambda seed=0: network_with('Dropout', seed, channels=3), {'augment': augment}, stops)


@POSIX
@pytest.mark.usefixtures('default_handlers')
@SOME_OR_ALL
def test_a_run_with_an_augmentation_of_ones_own_stopped_at_any_batch_ends_with_the_same_bits(tmp_path, stops):
    def add_noise(images, generator):
        return images + generator.normal(0, 0.1, images.shape)

    augment = [Shift(1), add_noise, Flip()]
    stop_at_batches(tmp_path, lambda seed=0: network_with('Dropout', seed), {'augment': augment}, stops)


@POSIX
@pytest.mark.usefixtures('default_handlers')
def test_a_run_in_float64_stopped_at_any_batch_ends_with_the_same_bits(tmp_path):
    stop_at_batches(tmp_path, lambda seed=0: small_network(seed, 'float64'), {}, SOME)


def stop_at_batches(folder, network, options, stops):
    """Hold runs that are stopped at a batch, each in turn, and resumed to one that was not."""
    whole = network()
    history = train(whole, **options)
    for stop in stops:
        options |= {'checkpoint_dir': folder / str(stop)}
        net = network()
        signal_at(net, stop)
        with pytest.raises(KeyboardInterrupt):
            train(net, **options)
        resumed = network(seed=99)
        assert train(resumed, resume_from_checkpoint=True, **options).history == history.history
        assert bits(resumed) == bits(whole), stop
        assert resumed.generator.bit_generator.state == whole.generator.bit_generator.state


@POSIX
@pytest.mark.usefixtures('default_handlers')
@pytest.mark.parametrize('stop', [1, 2, 3])
def test_a_run_stopped_while_it_validates_ends_with_the_same_bits(tmp_path, stop):
    whole, net, resumed = small_network(), small_network(), small_network(9)
    history = train(whole)
    signal_at(net, stop, method='evaluate')
    with pytest.raises(KeyboardInterrupt):
        train(net, checkpoint_dir=tmp_path)
    assert train(resumed, checkpoint_dir=tmp_path, resume_from_checkpoint=True).history == history.history
    assert bits(resumed) == bits(whole)


@POSIX
@pytest.mark.usefixtures('default_handlers')
def test_a_run_stopped_at_each_batch_in_turn_ends_with_the_same_bits(tmp_path):
    whole = small_network()
    train(whole)
    for _ in range(EPOCHS * BATCHES - 1):
        net = small_network()
        signal_at(net, 1)
        with pytest.raises(KeyboardInterrupt):
            train(net, checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    net = small_network()
    train(net, checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    assert bits(net) == bits(whole)


def test_an_interruption_within_an_epoch_costs_that_epoch_only(tmp_path):
    whole, net, resumed = small_network(), small_network(), small_network()
    train(whole)
    stop_at(net, 2 * BATCHES + 2)
    with pytest.raises(StopError):
        train(net, checkpoint_dir=tmp_path)
    assert names(tmp_path) == ['model_epoch_1.npz', 'model_epoch_2.npz']
    train(resumed, checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    assert bits(resumed) == bits(whole)


def test_epochs_that_are_done_are_not_trained_again(tmp_path, capsys):
    net = small_network()
    history = train(net, checkpoint_dir=tmp_path)
    again = small_network(1)
    repeated = train(again, epochs=2, checkpoint_dir=tmp_path, resume_from_checkpoint=True, verbose=1)
    assert '3 epochs are done already, 2 were asked for: nothing to train' in capsys.readouterr().out
    assert repeated.history == history.history
    assert bits(again) == bits(net)


def test_a_run_that_restarts_is_resumed_and_not_the_one_before_it(tmp_path):
    train(small_network(), checkpoint_dir=tmp_path)
    whole, net, resumed = (small_network(seed=1) for _ in range(3))
    train(whole)
    stop_at(net, 2)
    with pytest.raises(StopError):
        train(net, checkpoint_dir=tmp_path)
    train(resumed, checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    assert bits(resumed) == bits(whole)


def test_resuming_with_nothing_there_starts_and_says_so(tmp_path, capsys):
    net, whole = small_network(), small_network()
    train(net, checkpoint_dir=tmp_path / 'deep' / 'er', resume_from_checkpoint=True, verbose=1)
    train(whole)
    assert 'training begins at epoch 1' in capsys.readouterr().out
    assert bits(net) == bits(whole)


def test_history_stays_a_history(tmp_path):
    net = small_network()
    history = train(net, checkpoint_dir=tmp_path, epochs=2)
    again = train(net, checkpoint_dir=tmp_path, epochs=2, resume_from_checkpoint=True)
    assert again.history == history.history
    assert all(np.isfinite(values).all() for values in again.history.values())


# Schedules


def test_the_plateaus_of_the_matrix_reduce_the_rate():
    for given, times in zip(SCHEDULE_ARGUMENTS['ReduceOnPlateau'], (2, 1), strict=True):
        schedule = ReduceOnPlateau(0.05, **given)
        train(small_network(), learning_rate=schedule)
        assert schedule.state()['times'] == times


def plateau(**arguments):
    return ReduceOnPlateau(0.05, **({'factor': 0.5, 'patience': 1, 'threshold': 0.99} | arguments))


@POSIX
@pytest.mark.usefixtures('default_handlers')
def test_an_epoch_that_restarts_keeps_what_the_schedule_has_learned(tmp_path):
    for call, batch_size in ((BATCHES * 2 + 2, BATCH), (2, 4)):
        net = small_network()
        signal_at(net, call)
        with pytest.raises(KeyboardInterrupt):
            train(
                net,
                learning_rate=plateau(),
                batch_size=batch_size,
                checkpoint_dir=tmp_path,
                checkpoint_every=1,
                resume_from_checkpoint=True,
            )
    found = checkpoint.read_newest(tmp_path, 'model')
    assert found.path.name == 'model_epoch_3_batch_2.npz'
    assert found.description['settings']['batch_size'] == 4
    assert found.description['schedule']['times'] == 1


def test_another_schedule_begins_without_state(tmp_path):
    train(small_network(), epochs=2, checkpoint_dir=tmp_path)
    craft(tmp_path / 'model_epoch_2.npz', schedule={'other': 1})
    train(small_network(), learning_rate=plateau(), checkpoint_dir=tmp_path, resume_from_checkpoint=True)


@pytest.mark.parametrize('state', [{'times': 1}, {'times': 'many'}, [1], 'x', 7])
def test_a_state_that_is_no_state_of_the_schedule_is_refused(tmp_path, state):
    train(small_network(), epochs=2, learning_rate=plateau(), checkpoint_dir=tmp_path)
    craft(tmp_path / 'model_epoch_2.npz', schedule=state)
    net = small_network(seed=5)
    before = bits(net)
    with pytest.raises(CheckpointError, match='not a checkpoint of a training run'):
        train(net, learning_rate=plateau(), checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    assert bits(net) == before


class Approaching(Schedule):
    """Goes a part of the way to a rate with each step."""

    def __init__(self, rate):
        self.rate = rate
        self.restore({})

    def __call__(self, step, steps, epochs):
        self._now += 0.2 * (self.rate - self._now)
        return self._now

    def state(self):
        return {'now': self._now}

    def restore(self, state):
        self._now = state.get('now', 0.0)


@pytest.mark.parametrize('stop', [2, 2 * BATCHES, 2 * BATCHES + 1])
def test_a_schedule_that_learns_with_each_step_is_resumed_exactly(tmp_path, stop):
    whole, net, resumed = (small_network() for _ in range(3))
    train(whole, learning_rate=Approaching(0.1))
    options = {'learning_rate': Approaching(0.1), 'checkpoint_dir': tmp_path}
    stop_at(net, stop + 1)
    with pytest.raises(StopError):
        train(net, checkpoint_every=1, **options)
    train(resumed, resume_from_checkpoint=True, **options)
    assert bits(resumed) == bits(whole)


def test_what_a_callback_changes_of_the_schedule_is_reported_by_a_resume(tmp_path, capsys):
    rate = Constant(0.05)
    slower = LambdaCallback(on_epoch_end=lambda epoch, metrics: setattr(rate, 'learning_rate', 0.01))
    train(small_network(), learning_rate=rate, callbacks=[slower], checkpoint_dir=tmp_path)
    train(small_network(), epochs=4, checkpoint_dir=tmp_path, resume_from_checkpoint=True, verbose=1)
    assert 'learning_rate was 0.01 up to here and is 0.05 from here on' in capsys.readouterr().out


def test_a_schedule_may_have_attributes_named_like_settings(tmp_path):
    class Own(Schedule):
        batch_size = samples = 5

        def __init__(self):
            self.batch_size = 5

        def __call__(self, step, steps, epochs):
            return 0.05

    x, y = small_data(24)
    options = {'epochs': 1, 'learning_rate': Own(), 'verbose': 0, 'checkpoint_dir': tmp_path}
    small_network().train(x, y, batch_size=8, **options)
    assert checkpoint.read(tmp_path / 'model_epoch_1.npz')[1]['settings']['batch_size'] == 8


# What users bring along


@pytest.mark.parametrize('kind', BIT_GENERATORS)
@pytest.mark.parametrize('stop', [4, 5])
def test_every_generator_of_numpy_goes_on_with_its_numbers(tmp_path, kind, stop):
    def network(seed):
        net = small_network()
        net.generator = np.random.Generator(getattr(np.random, kind)(seed))
        net.generator.random(7, np.float32)  # leaves numbers that are drawn ahead
        return net

    whole, net, resumed = network(1), network(1), small_network(9)
    history = train(whole)
    stop_at(net, stop)
    with pytest.raises(StopError):
        train(net, checkpoint_dir=tmp_path, checkpoint_every=1)
    assert train(resumed, checkpoint_dir=tmp_path, resume_from_checkpoint=True).history == history.history
    assert bits(resumed) == bits(whole)
    assert resumed.generator.random(5).tolist() == whole.generator.random(5).tolist()


def test_a_generator_of_ones_own_is_refused():
    class Own(np.random.Generator):
        pass

    net = small_network()
    net.generator = Own(np.random.PCG64(0))
    with pytest.raises(TypeError, match='generator: expected one such as numpy.random.default_rng'):
        train(net)


def test_a_generator_that_cannot_be_saved_is_refused_before_anything_is_trained(tmp_path):
    class Other(np.random.PCG64):
        @property
        def state(self):
            return {'bit_generator': 'Other'}

    net = small_network()
    net.generator = np.random.Generator(Other(0))
    before = bits(net)
    with pytest.raises(ValueError, match='generator: expected one of PCG64, .*SFC64, got .Other.'):
        train(net, checkpoint_dir=tmp_path)
    assert bits(net) == before


# In other types than JSON has.
GIVEN = {'pads': ((1, np.int64(1)), (2, 2)), 'scale': np.float32(0.1), 'table': np.eye(2), 'on': np.True_, 'no': None}


class Settings:
    given = GIVEN

    def settings(self):
        return {**super().settings(), **self.given}


class OwnLayer(Settings, cnnx.Flatten):
    pass


class OwnLoss(Settings, cnnx.CategoricalCrossEntropy):
    pass


class OwnOptimizer(Settings, cnnx.SGD):
    pass


class OwnSchedule(Settings, Constant):
    pass


def own_network(seed=0):
    net = Network(seed=seed)
    for layer in (
        cnnx.Convolutional(2, 3, input_shape=(6, 6, 1)),
        OwnLayer(),
        cnnx.Dense(output_size=3),
        cnnx.Softmax(),
    ):
        net.add(layer)
    net.compile(OwnLoss(), OwnOptimizer(momentum=0.9))
    net.optimizer.momentum = np.float32(0.9)
    return net


def test_parts_of_the_users_own_are_saved_and_resumed(tmp_path, capsys):
    options = {'learning_rate': OwnSchedule(0.05), 'checkpoint_dir': tmp_path}
    whole, resumed = own_network(), own_network(9)
    train(whole, learning_rate=OwnSchedule(0.05))
    train(own_network(), epochs=2, checkpoint_every=1, **options)
    train(resumed, resume_from_checkpoint=True, verbose=1, **options)
    assert bits(resumed) == bits(whole)
    assert [line for line in capsys.readouterr().out.splitlines() if ' was ' in line] == [
        'epochs was 2 up to here and is 3 from here on'
    ]


def test_settings_that_a_callback_has_changed_are_reported(tmp_path, capsys):
    net = small_network()
    change = LambdaCallback(on_epoch_end=lambda epoch, metrics: setattr(net.optimizer, 'momentum', 0.5))
    train(net, callbacks=[change], checkpoint_dir=tmp_path)
    options = {'callbacks': [LambdaCallback()], 'checkpoint_dir': tmp_path, 'resume_from_checkpoint': True}
    train(small_network(), verbose=1, **options)
    assert [line for line in capsys.readouterr().out.splitlines() if ' was ' in line] == [
        'momentum was 0.5 up to here and is 0.9 from here on'
    ]


@pytest.mark.parametrize('part', [OwnLayer, OwnLoss])
def test_other_settings_of_the_users_own_are_refused(tmp_path, part, monkeypatch):
    train(own_network(), epochs=1, checkpoint_dir=tmp_path)
    monkeypatch.setattr(part, 'given', {**GIVEN, 'pads': ((1, 1), (2, 3))})
    with pytest.raises(CheckpointError, match=r'pads|\[2, 3\]'):
        train(own_network(), checkpoint_dir=tmp_path, resume_from_checkpoint=True)


@pytest.mark.parametrize(
    ('part', 'where'),
    [(OwnLayer, r'layer 1 \(OwnLayer\): what'), (OwnLoss, 'OwnLoss: what'), (OwnSchedule, 'settings: what')],
)
@pytest.mark.parametrize(
    'value', [object(), {1: 2}, b'x', 1j, np.array([None, {2}])], ids=lambda value: type(value).__name__
)
def test_what_json_cannot_hold_is_reported_before_anything_is_trained(tmp_path, part, where, value, monkeypatch):
    monkeypatch.setattr(part, 'given', {'what': value})
    net = own_network()
    before = bits(net)
    with pytest.raises(TypeError, match=f'{where}: expected what JSON can hold'):
        train(net, checkpoint_dir=tmp_path, learning_rate=OwnSchedule(0.1))
    assert bits(net) == before
    assert names(tmp_path) == []


class Forgetful(Constant):
    def __init__(self, learning_rate, state=None):
        super().__init__(learning_rate)
        self._state = state or {}

    def state(self):
        return self._state


class Keeper(Callback):
    def __init__(self, state=None, arrays=None):
        self.state, self.arrays = (lambda: state or {}), (lambda: arrays or {})


@pytest.mark.parametrize(
    ('schedule', 'callback', 'error', 'message'),
    [
        ({'seen': {1}}, {}, TypeError, 'schedule: seen: expected what JSON can hold'),
        ({}, {'state': {'seen': {1}}}, TypeError, 'Keeper: state: seen: expected what JSON can hold'),
        ({}, {'arrays': {'names': np.array(['a'])}}, ValueError, 'callback_0_names: expected an array of numbers'),
    ],
    ids=['schedule', 'state', 'array'],
)
def test_a_state_that_cannot_be_saved_is_reported_before_training(tmp_path, schedule, callback, error, message):
    train(small_network(), learning_rate=Forgetful(0.05), callbacks=[Keeper()], epochs=1, checkpoint_dir=tmp_path)
    net = small_network(seed=1)
    before = bits(net)
    options = {'learning_rate': Forgetful(0.05, schedule), 'callbacks': [Keeper(**callback)]}
    for where, resume in ((tmp_path, True), (tmp_path, False), (tmp_path / 'new', False)):
        with pytest.raises(error, match=message):
            train(net, checkpoint_dir=where, resume_from_checkpoint=resume, **options)
    assert bits(net) == before
    assert names(tmp_path) == ['model_epoch_1.npz']
    train(net, **options)  # which saves nothing


@pytest.mark.parametrize('resume', ['runs/model_epoch_2.npz', None, 1, 'no'])
def test_resuming_is_asked_for_by_true_or_false(tmp_path, resume):
    with pytest.raises(ValueError, match='resume_from_checkpoint .*checkpoint_dir.*: expected True or False, got '):
        train(small_network(), checkpoint_dir=tmp_path, resume_from_checkpoint=resume)


@pytest.mark.parametrize('name', [b'runs', 5, ['runs']])
def test_the_name_of_a_folder_is_text(name):
    with pytest.raises(ValueError, match='checkpoint_dir: expected the path of a folder as text'):
        train(small_network(), checkpoint_dir=name)


def test_a_resume_without_memory_says_so_and_skips_nothing(tmp_path, monkeypatch):
    def fail(*arguments):
        raise MemoryError

    train(small_network(), epochs=2, checkpoint_dir=tmp_path)
    for where, name in ((files, '_array'), (files, '_check_seal'), (state, 'assign')):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, fail)
            with pytest.raises(MemoryError, match=r'model_epoch_\d\.npz: not enough memory'):
                train(small_network(), checkpoint_dir=tmp_path, resume_from_checkpoint=True)


# Where a resume is given other things


def test_settings_that_change_over_a_resume_are_reported(tmp_path, capsys):
    train(small_network(), epochs=1, checkpoint_dir=tmp_path)
    net = small_network()
    net.compile(net.loss, cnnx.SGD(momentum=0.5))
    with cnnx.use_backend('numpy'):
        train(net, epochs=2, batch_size=4, checkpoint_dir=tmp_path, resume_from_checkpoint=True, verbose=1)
    out = capsys.readouterr().out
    assert 'batch_size was 8 up to here and is 4 from here on' in out
    assert 'momentum was 0.9 up to here and is 0.5 from here on' in out
    if cnnx.kernels.current().name == 'cython':
        assert 'backend was cython up to here and is numpy from here on' in out


def stream(epoch, n=4):
    x, y = small_data(8 * n, seed=epoch)
    return [(x[first : first + 8], y[first : first + 8]) for first in range(0, len(x), 8)]


@pytest.mark.parametrize(
    'other',
    [
        {'x': lambda epoch: iter(stream(epoch)), 'steps_per_epoch': 2},
        {'x': stream(2, 2)},
        {'x': [(x[half], y[half]) for x, y in stream(2) for half in (slice(4), slice(4, 8))]},
    ],
    ids=['steps_per_epoch', 'fewer', 'smaller'],
)
def test_an_epoch_of_another_number_of_batches_restarts(tmp_path, capsys, other):
    net = small_network()
    options = {'epochs': 3, 'verbose': 0, 'checkpoint_dir': tmp_path}
    stop_at(net, 8)
    with pytest.raises(StopError):
        net.train(stream, steps_per_epoch=4, checkpoint_every=1, **options)
    assert 'model_epoch_2_batch_3.npz' in names(tmp_path)
    history = small_network().train(**(options | {'verbose': 1} | other), resume_from_checkpoint=True)
    assert 'epoch 2 restarts, with the weights from after 3 of its batches' in capsys.readouterr().out
    assert len(history['loss']) == 3


def test_an_epoch_whose_batches_have_changed_restarts(tmp_path, capsys):
    net = small_network()
    train(net, epochs=1, checkpoint_dir=tmp_path, checkpoint_every=1)
    stop_at(net, 3)
    with pytest.raises(StopError):
        train(net, epochs=2, checkpoint_dir=tmp_path, checkpoint_every=1, resume_from_checkpoint=True)
    assert names(tmp_path) == ['model_epoch_1.npz', 'model_epoch_2_batch_2.npz']
    resumed = small_network()
    train(resumed, epochs=2, batch_size=4, checkpoint_dir=tmp_path, resume_from_checkpoint=True, verbose=1)
    out = capsys.readouterr().out
    assert 'batch_size was 8 up to here and is 4 from here on' in out
    assert 'epoch 2 restarts, with the weights from after 2 of its batches' in out
    assert names(tmp_path) == ['model_epoch_1.npz', 'model_epoch_2.npz']


@POSIX
@pytest.mark.usefixtures('default_handlers')
def test_an_epoch_that_restarts_goes_on_from_where_it_was_stopped(tmp_path):
    net = small_network()
    signal_at(net, 3)
    with pytest.raises(KeyboardInterrupt):
        train(net, checkpoint_dir=tmp_path, batch_size=4)
    seen = []
    for _ in range(4):
        net = small_network()
        signal_at(net, 1)
        with pytest.raises(KeyboardInterrupt):
            train(net, checkpoint_dir=tmp_path, batch_size=2, resume_from_checkpoint=True)
        seen.append(names(tmp_path))
    assert seen == [[f'model_epoch_1_batch_{batch}.npz'] for batch in (1, 2, 3, 4)]


def test_settings_that_a_callback_changes_do_not_keep_a_run_from_going_on(tmp_path, capsys):
    def build(rate, momentum, l2, smoothing):
        net = cnnx.Network(seed=0)
        for layer in (
            cnnx.Flatten(input_shape=(6, 6, 1)),
            cnnx.BatchNormalization(momentum=momentum),
            cnnx.Dropout(rate),
            cnnx.Dense(output_size=3, l2=l2),
            cnnx.Softmax(),
        ):
            net.add(layer)
        net.compile(cnnx.CategoricalCrossEntropy(label_smoothing=smoothing))
        return net

    options = {'checkpoint_dir': tmp_path, 'resume_from_checkpoint': True, 'verbose': 1}
    train(build(0.5, 0.9, 0.1, 0.0), epochs=1, **options)
    net = build(0.3, 0.8, 0.0, 0.1)
    train(net, epochs=2, **options)
    said = capsys.readouterr().out
    assert 'layer 1 (BatchNormalization): momentum was 0.9 up to here and is 0.8 from here on' in said
    assert 'layer 2 (Dropout): rate was 0.5 up to here and is 0.3 from here on' in said
    assert 'layer 3 (Dense): l2 was 0.1 up to here and is 0.0 from here on' in said
    assert 'label_smoothing was 0.0 up to here and is 0.1 from here on' in said
    assert net.layers[2].rate == 0.3


def test_time_used_is_kept_by_resumes_without_a_budget(tmp_path):
    options = {'checkpoint_dir': tmp_path, 'resume_from_checkpoint': True}
    train(small_network(), epochs=1, max_seconds=3600, **options)
    used = [
        checkpoint.read(tmp_path / f'model_epoch_{train_one(epoch, options)}.npz')[1]['seconds'] for epoch in (1, 2)
    ]
    assert used[0] == used[1] > 0


def train_one(epoch, options):
    """Train up to an epoch, and return its number."""
    train(small_network(), epochs=epoch, **options)
    return epoch


def test_a_budget_that_is_used_up_is_reported(tmp_path, capsys):
    options = {'checkpoint_dir': tmp_path, 'verbose': 1, 'max_seconds': 1e-9}
    train(small_network(), **options)
    train(small_network(), resume_from_checkpoint=True, **options)
    assert 'the 1e-09 seconds of max_seconds are used up: nothing to train' in capsys.readouterr().out


def test_a_run_that_restarts_beside_an_older_one_says_so(tmp_path, capsys):
    train(small_network(), epochs=2, checkpoint_dir=tmp_path)
    train(small_network(), epochs=1, checkpoint_dir=tmp_path, verbose=1)
    assert 'there are checkpoints named model of an older run; this one restarts at epoch 1' in capsys.readouterr().out


# Checkpoints within epochs, and how many stay


@pytest.mark.parametrize('every', [1, 2, '0.000001s', datetime.timedelta(microseconds=1)])
def test_checkpoints_within_epochs_make_way_for_later_ones(tmp_path, every, monkeypatch):
    written = []
    write = checkpoint.write
    monkeypatch.setattr(checkpoint, 'write', lambda path, *rest: (written.append(path.name), write(path, *rest)))
    whole, net = small_network(), small_network()
    train(whole)
    train(net, checkpoint_dir=tmp_path, checkpoint_every=every)
    assert bits(net) == bits(whole)
    within = [1, 2] if every != 2 else [2]
    assert written == [
        name
        for epoch in range(1, EPOCHS + 1)
        for name in [*(f'model_epoch_{epoch}_batch_{batch}.npz' for batch in within), f'model_epoch_{epoch}.npz']
    ]
    assert names(tmp_path) == [f'model_epoch_{epoch}.npz' for epoch in range(1, EPOCHS + 1)]


def test_a_time_that_has_not_passed_saves_nothing(tmp_path):
    train(small_network(), checkpoint_dir=tmp_path, checkpoint_every='1h', epochs=1)
    assert names(tmp_path) == ['model_epoch_1.npz']


@pytest.mark.parametrize('every', [0, -1, 1.5, 'soon', '5', '0s', '-5s', datetime.timedelta(0), True, b'5s'])
def test_wrong_intervals_are_refused(tmp_path, every):
    with pytest.raises(ValueError, match='checkpoint_every: expected'):
        train(small_network(), checkpoint_dir=tmp_path / 'new', checkpoint_every=every)
    assert not (tmp_path / 'new').exists()


@pytest.mark.parametrize('options', [{'checkpoint_every': 5}, {'keep': 2}])
def test_saving_needs_a_folder(options):
    with pytest.raises(ValueError, match='give the checkpoint_dir'):
        train(small_network(), **options)


@pytest.mark.parametrize('keep', [0, -1, 1.5, 'all'])
def test_wrong_numbers_to_keep_are_refused(tmp_path, keep):
    with pytest.raises(ValueError, match='keep: expected'):
        train(small_network(), checkpoint_dir=tmp_path, keep=keep)


def test_other_runs_are_left_alone(tmp_path):
    train(small_network(), epochs=4, checkpoint_dir=tmp_path, checkpoint_prefix='other')
    train(small_network(), epochs=4, checkpoint_dir=tmp_path)
    train(small_network(), epochs=2, checkpoint_dir=tmp_path, keep=1)
    assert names(tmp_path) == [
        'model_epoch_2.npz',
        *(f'model_epoch_{epoch}.npz' for epoch in (3, 4)),
        *(f'other_epoch_{epoch}.npz' for epoch in (1, 2, 3, 4)),
    ]


def test_losses_whose_sum_is_infinite_are_resumed(tmp_path):
    def build():
        net = cnnx.Network(seed=0, dtype='float64')
        net.add(cnnx.Dense(4, 1))
        net.compile(cnnx.MeanSquaredError(), cnnx.SGD())
        return net

    x, y = np.random.default_rng(0).random((64, 4)), np.full((64, 1), 3e153)
    options = {'epochs': 2, 'batch_size': 16, 'learning_rate': 1e-3, 'verbose': 0}
    whole, net, resumed = build(), build(), build()
    assert whole.train(x, y, **options)['loss'][0] == np.inf
    stop_at(net, 4)
    with pytest.raises(StopError):
        net.train(x, y, checkpoint_dir=tmp_path, checkpoint_every=1, **options)
    resumed.train(x, y, checkpoint_dir=tmp_path, resume_from_checkpoint=True, **options)
    assert bits(resumed) == bits(whole)


# Damage


def test_a_damaged_newest_checkpoint_costs_one_epoch(tmp_path, capsys):
    whole = small_network()
    train(whole, checkpoint_dir=tmp_path)
    newest = tmp_path / 'model_epoch_3.npz'
    newest.write_bytes(newest.read_bytes()[:-100])
    resumed = small_network()
    train(resumed, checkpoint_dir=tmp_path, resume_from_checkpoint=True, verbose=1)
    out = capsys.readouterr().out
    assert f'skipped {newest}: ' in out
    assert 'resumed from' in out
    assert bits(resumed) == bits(whole)


def test_a_damaged_checkpoint_within_an_epoch_costs_that_epoch(tmp_path):
    whole, net = small_network(), small_network()
    train(whole)
    train(net, epochs=1, checkpoint_dir=tmp_path)
    (tmp_path / 'model_epoch_2_batch_2.npz').write_bytes((tmp_path / 'model_epoch_1.npz').read_bytes()[:-9])
    resumed = small_network()
    with pytest.warns(RuntimeWarning, match='skipped .*its checksum is missing'):
        train(resumed, checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    assert bits(resumed) == bits(whole)


def test_a_checkpoint_that_cannot_be_read_again_removes_none(tmp_path, monkeypatch):
    train(small_network(), epochs=2, checkpoint_dir=tmp_path)
    write = checkpoint.write

    def write_badly(path, *rest):
        write(path, *rest)
        path.write_bytes(path.read_bytes()[:-1] + b'x')

    monkeypatch.setattr(checkpoint, 'write', write_badly)
    with pytest.raises(CheckpointError, match=r'model_epoch_3\.npz'):
        train(small_network(), epochs=3, checkpoint_dir=tmp_path, resume_from_checkpoint=True, keep=1)
    assert names(tmp_path) == [f'model_epoch_{epoch}.npz' for epoch in (1, 2, 3)]


def test_damage_ahead_of_a_resumed_run_never_counts_as_kept(tmp_path):
    whole = small_network()
    train(whole, epochs=5)
    train(small_network(), epochs=4, checkpoint_dir=tmp_path)
    damage_epochs(tmp_path, 3, 4)
    net = small_network()
    with pytest.warns(RuntimeWarning, match=r'skipped .*model_epoch_[34]\.npz'):
        train(net, epochs=3, checkpoint_dir=tmp_path, resume_from_checkpoint=True, keep=1)
    assert 'model_epoch_3.npz' in names(tmp_path)
    checkpoint.read(tmp_path / 'model_epoch_3.npz')
    train(net, epochs=5, checkpoint_dir=tmp_path, resume_from_checkpoint=True, keep=1)
    assert bits(net) == bits(whole)
    assert names(tmp_path) == ['model_epoch_5.npz']


def test_the_checkpoint_just_written_is_never_removed_for_a_damaged_one(tmp_path):
    train(small_network(), epochs=5, checkpoint_dir=tmp_path)
    damage_epochs(tmp_path, 4, 5)
    options = {'checkpoint_dir': tmp_path, 'resume_from_checkpoint': True, 'keep': 1}
    with pytest.warns(RuntimeWarning, match='skipped'):
        train(small_network(), epochs=4, checkpoint_every=2, **options)
    checkpoint.read(tmp_path / 'model_epoch_4.npz')
    assert checkpoint.read_newest(tmp_path, 'model').path == tmp_path / 'model_epoch_4.npz'


def test_a_damaged_checkpoint_does_not_count_as_kept(tmp_path):
    train(small_network(), epochs=5, checkpoint_dir=tmp_path, keep=2)
    damage_epochs(tmp_path, 5)
    net = small_network()
    stop_at(net, 3)
    with pytest.warns(RuntimeWarning, match='skipped'), pytest.raises(StopError):
        train(net, epochs=8, checkpoint_dir=tmp_path, keep=1, checkpoint_every=2, resume_from_checkpoint=True)
    assert names(tmp_path) == ['model_epoch_4.npz', 'model_epoch_5.npz', 'model_epoch_5_batch_2.npz']
    checkpoint.read(tmp_path / 'model_epoch_4.npz')


@pytest.mark.parametrize('number', [errno.EACCES, errno.EMFILE])
def test_a_checkpoint_that_cannot_be_opened_ends_the_resume_and_is_not_skipped(tmp_path, monkeypatch, number):
    train(small_network(), epochs=2, checkpoint_dir=tmp_path)
    wanted = tmp_path / 'model_epoch_2.npz'

    def refusing(path, mode):
        if path == wanted:
            raise OSError(number, os.strerror(number), str(path))
        return open(path, mode)

    before = wanted.read_bytes()
    monkeypatch.setattr(files, 'open', refusing, raising=False)
    with pytest.raises(OSError, match='it is not skipped for that: make it readable') as caught:
        train(small_network(), checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    assert (caught.value.errno, caught.value.filename) == (number, str(wanted))
    monkeypatch.undo()
    assert wanted.read_bytes() == before


# The folder, and one run at a time


def test_the_folder_stays_where_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'elsewhere').mkdir()
    net = small_network()
    step = net.optimizer.step
    net.optimizer.step = lambda *rest: (os.chdir(tmp_path / 'elsewhere'), step(*rest))
    train(net, checkpoint_dir='here')
    assert len(names(tmp_path / 'here')) == EPOCHS


@POSIX
def test_a_link_that_is_made_to_lead_elsewhere_takes_no_run_along(tmp_path):
    link = tmp_path / 'current'
    link.symlink_to(tmp_path / 'one')

    def lead_elsewhere(epoch):
        if epoch == 2:
            link.unlink()
            link.symlink_to(tmp_path / 'two')

    for name in ('one', 'two'):
        (tmp_path / name).mkdir()
    train(small_network(), checkpoint_dir=link, callbacks=[LambdaCallback(on_epoch_begin=lead_elsewhere)])
    assert (len(names(tmp_path / 'one')), names(tmp_path / 'two')) == (EPOCHS, [])


@pytest.mark.parametrize('prefix', ['x' * 151, 'ä' * 76])
def test_a_prefix_that_is_too_long_is_refused_at_once(tmp_path, prefix):
    with pytest.raises(ValueError, match='checkpoint_prefix: expected at most 150 bytes'):
        train(small_network(), checkpoint_dir=tmp_path, checkpoint_prefix=prefix)
    train(small_network(), checkpoint_dir=tmp_path, checkpoint_prefix='x' * 150, epochs=1)


def test_a_second_run_under_the_same_names_is_refused(tmp_path):
    with Run(tmp_path, 'model', dict):
        before = small_network()
        expected = bits(before)
        for resume in (False, True):
            with pytest.raises(BlockingIOError, match='another run is saving checkpoints named model'):
                train(before, checkpoint_dir=tmp_path, resume_from_checkpoint=resume)
        assert bits(before) == expected
        assert names(tmp_path) == []
        train(small_network(), checkpoint_dir=tmp_path, checkpoint_prefix='other', epochs=1)
    train(small_network(), checkpoint_dir=tmp_path, epochs=1)


def test_a_resume_says_when_the_run_began_that_it_goes_on_with(tmp_path, capsys):
    train(small_network(), checkpoint_dir=tmp_path)
    train(small_network(), checkpoint_dir=tmp_path, resume_from_checkpoint=True, verbose=1)
    began = checkpoint.read(tmp_path / 'model_epoch_1.npz')[1]['run']['started']
    assert f'of the run that began on {datetime.datetime.fromtimestamp(began):%Y-%m-%d at}' in capsys.readouterr().out


def test_what_killed_runs_left_half_written_is_removed(tmp_path):
    leftover, others = tmp_path / '.model_epoch_3.npz.123-124.tmp', tmp_path / '.model2_epoch_3.npz.123-124.tmp'
    within, stranger = tmp_path / '.model_epoch_3_batch_7.npz.1-2.tmp', tmp_path / '.notes.tmp'
    for path in (leftover, others, within, stranger):
        path.write_bytes(b'half')
    train(small_network(), checkpoint_dir=tmp_path, epochs=1)
    assert [path.exists() for path in (leftover, others, within, stranger)] == [False, True, False, True]


@POSIX
def test_a_forked_child_that_ends_does_not_give_the_lock_away(tmp_path):
    with Run(tmp_path, 'model', dict) as run:
        child = fork()
        if child == 0:
            run.__exit__(None, None, None)  # as sys.exit does on its way out
            os._exit(0)
        os.waitpid(child, 0)
        with pytest.raises(BlockingIOError, match='another run'):
            train(small_network(), checkpoint_dir=tmp_path)


@POSIX
def test_a_forked_child_that_lives_on_does_not_hold_the_lock_of_a_killed_run(tmp_path):
    code = f"""
import os, signal
from cnnx.training.resume import Run
with Run({str(tmp_path)!r}, 'model', dict):
    begun, begins = os.pipe()
    if os.fork() == 0:
        os.write(begins, b'1')
        os.read(0, 1)
        os._exit(0)
    os.read(begun, 1)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    with subprocess.Popen([sys.executable, '-c', code], stdin=subprocess.PIPE) as killed:
        assert killed.wait() == -signal.SIGKILL
        train(small_network(), checkpoint_dir=tmp_path, epochs=1)


@POSIX
@pytest.mark.parametrize('number', [errno.ENOLCK, errno.ENOTSUP, errno.EACCES, errno.EPERM])
def test_a_file_system_that_refuses_locks_is_reported(tmp_path, monkeypatch, number):
    def refuse(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr('fcntl.flock', refuse)
    with pytest.raises(OSError, match=f'{os.strerror(number)}.*give a checkpoint_dir on another') as caught:
        train(small_network(), checkpoint_dir=tmp_path)
    assert caught.value.errno == number
    assert caught.value.filename == str(tmp_path)


@pytest.mark.skipif(os.name != 'posix', reason='permissions are POSIX')
def test_others_may_take_the_lock(tmp_path):
    before = os.umask(0o077)
    try:
        train(small_network(), epochs=1, checkpoint_dir=tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / '.model.lock').stat().st_mode) == 0o666
