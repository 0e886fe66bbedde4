"""Optimizers: against PyTorch, clipping, weight decay, files, and resuming."""

import json

import numpy as np
import optimizer_reference as reference
import pytest
from models import bits, small_data, small_network

import cnnx
from cnnx import SGD, Adagrad, Adam, AdamW, CheckpointError, Optimizer, RMSprop, checkpoint, kernels
from cnnx.callbacks import LambdaCallback
from cnnx.checkpoint.state import MAX_UPDATES
from cnnx.layers.parameter import Parameter
from cnnx.network import Network
from cnnx.optimizers import OPTIMIZERS, as_optimizer

each_case = pytest.mark.parametrize(
    ('kind', 'arguments'), reference.CASES, ids=[reference.key_of(*case) for case in reference.CASES]
)
each_kind = pytest.mark.parametrize('kind', OPTIMIZERS.values(), ids=OPTIMIZERS)
KEPT = json.loads(reference.FILE.read_text())
TOLERANCE = {'float32': {'rtol': 2e-4, 'atol': 2e-5}, 'float64': {'rtol': 1e-12, 'atol': 1e-14}}


def parameters_of(values, dtype='float64'):
    return [Parameter('weights', np.asarray(value, dtype)) for value in values]


def our_steps(kind, arguments, dtype):
    """Yield the values after each step, as `reference.torch_steps` does."""
    parameters = parameters_of(reference.first_values(), dtype)
    optimizer = OPTIMIZERS[kind](**arguments)
    for step in range(1, reference.STEPS + 1):
        for parameter, gradient in zip(parameters, reference.gradients(step), strict=True):
            parameter.grad = gradient
        parameters[1].trainable = step not in reference.FROZEN
        optimizer.update(parameters, reference.RATE)
        yield [parameter.value.copy() for parameter in parameters]
    assert [parameter.updates for parameter in parameters] == [reference.STEPS, reference.STEPS - len(reference.FROZEN)]


def large_parameters(dtype, seed=0):
    """Parameters of several chunks, and of none that is whole, with gradients."""
    rng = np.random.default_rng(seed)
    parameters = parameters_of([rng.normal(size=size) for size in (9001, 1, 4096, 77, 4097)], dtype)
    for parameter in parameters:
        parameter.grad = rng.normal(size=parameter.value.shape)
    return parameters


def everything_of(parameters):
    return [array.tobytes() for p in parameters for array in (p.value, *p.state.values())]


# What PyTorch computes


def test_every_optimizer_is_held_against_pytorch():
    assert {kind for kind, _ in reference.CASES} == OPTIMIZERS.keys()
    assert KEPT.keys() == {reference.key_of(*case) for case in reference.CASES}


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@each_case
def test_values_are_those_that_pytorch_computed(kind, arguments, dtype):
    kept = reference.kept_steps(enumerate(our_steps(kind, arguments, dtype), 1))
    expected = KEPT[reference.key_of(kind, arguments)]
    assert kept.keys() == expected.keys()
    for step, values in kept.items():
        for ours, theirs in zip(values, expected[step], strict=True):
            np.testing.assert_allclose(ours, theirs, **TOLERANCE[dtype], err_msg=f'step {step}')


@each_case
def test_values_are_those_of_pytorch_at_each_step(kind, arguments):
    pytest.importorskip('torch')
    theirs = list(reference.torch_steps(kind, arguments))
    for dtype, tolerance in TOLERANCE.items():
        for step, (values, expected) in enumerate(zip(our_steps(kind, arguments, dtype), theirs, strict=True), 1):
            for ours, value in zip(values, expected, strict=True):
                np.testing.assert_allclose(ours, value, **tolerance, err_msg=f'step {step} in {dtype}')


# Threads and backends


@pytest.mark.usefixtures('compiled_kernels')
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@each_case
def test_any_number_of_threads_gives_the_same_bits(kind, arguments, dtype, monkeypatch):
    results = []
    for threads in (1, 2, 3, 8):
        monkeypatch.setattr(kernels, 'threads_for', lambda *work, threads=threads: threads)
        parameters = large_parameters(dtype)
        update = OPTIMIZERS[kind](**arguments).prepare(parameters)
        for _ in range(3):
            update(0.01)
        results.append(everything_of(parameters))
    assert results[1:] == results[:1] * 3
    assert results[0] != everything_of(large_parameters(dtype))


@pytest.mark.usefixtures('compiled_kernels')
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@each_case
def test_the_backends_agree(kind, arguments, dtype):
    results = []
    for backend in ('cython', 'numpy'):
        with cnnx.use_backend(backend):
            parameters = large_parameters(dtype)
            update = OPTIMIZERS[kind](**arguments).prepare(parameters)
            for _ in range(3):
                update(0.01)
        results.append([array for p in parameters for array in (p.value, *p.state.values())])
    tolerance = {'float32': 1e-5, 'float64': 1e-13}[dtype]
    for compiled, expected in zip(*results, strict=True):
        assert compiled.dtype == dtype
        np.testing.assert_allclose(compiled, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures('compiled_kernels')
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('size', [0, 1, 31, 32, 33, 4096, 4097, 20_000])
def test_squares_are_summed_alike_by_any_threads_and_backend(dtype, size):
    rng = np.random.default_rng(size)
    rows = [(np.zeros(n, dtype), rng.normal(size=n).astype(dtype)) for n in (size, 3)]
    expected = sum(np.square(gradient.astype('f8')).sum() for _, gradient in rows)
    compiled = kernels.current()
    sums = [compiled.sum_of_squares(compiled.ArrayTable(rows), 1, threads) for threads in (1, 2, 3, 8)]
    assert set(sums) == {sums[0]}
    with cnnx.use_backend('numpy'):
        k = kernels.current()
        sums.append(k.sum_of_squares(k.ArrayTable(rows), 1, 1))
    assert sums == pytest.approx([expected] * 5, rel=1e-14)


# One by one


@each_kind
def test_a_parameter_that_is_not_trainable_stays(kind):
    parameter = Parameter('weights', np.ones(3), trainable=False)
    parameter.grad[...] = 1
    kind(clip_norm=1).update([parameter], 0.1)
    assert (parameter.value == 1).all()
    assert parameter.updates == 0


@each_kind
def test_numbers_that_never_have_a_gradient_stay_what_they_are(kind):
    (parameter,) = parameters_of([np.ones(5)], 'float32')
    parameter.grad[...] = 0
    optimizer = kind(weight_decay=0, clip_norm=1)
    for _ in range(3):
        optimizer.update([parameter], 0.1)
    assert (parameter.value == 1).all()


def test_parameters_of_one_name_in_two_networks_are_kept_apart():
    small, large = (Parameter('weights', np.zeros(size)) for size in (2, 5000))
    optimizer = SGD(momentum=0.5)
    for parameter in (small, large, small):
        parameter.grad[...] = 1
        optimizer.update([parameter], 1)
    assert (small.value == -2.5).all()
    assert (large.value == -1).all()
    assert [small.updates, large.updates] == [2, 1]


def test_without_momentum_there_is_no_state():
    parameters = large_parameters('float32')
    SGD().update(parameters, 0.1)
    assert [parameter.state for parameter in parameters] == [{}] * 5
    assert SGD(momentum=0.5).state_names == ('velocity',)
    assert RMSprop().state_names == ('square_average',)


# The norm of gradients


def gradient_norm(parameters):
    return np.sqrt(sum(np.square(parameter.grad, dtype='f8').sum() for parameter in parameters))


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_gradients_are_clipped_together(dtype):
    parameters = large_parameters(dtype)
    before = [parameter.value.copy() for parameter in parameters]
    norm = gradient_norm(parameters)
    SGD(clip_norm=2.0).update(parameters, 1)
    for parameter, value in zip(parameters, before, strict=True):
        np.testing.assert_allclose(value - parameter.value, parameter.grad * 2 / norm, rtol=1e-5, atol=1e-6)
    assert gradient_norm(parameters) == norm


def test_gradients_of_a_norm_below_the_limit_stay():
    clipped, free = large_parameters('float32'), large_parameters('float32')
    norm = gradient_norm(clipped)
    SGD(clip_norm=1.001 * norm).update(clipped, 0.1)
    SGD().update(free, 0.1)
    assert everything_of(clipped) == everything_of(free)


@pytest.mark.parametrize('clip_norm', [None, 1.0])
@pytest.mark.parametrize(('number', 'finite'), [(1e200, True), (np.inf, False), (-np.inf, False), (np.nan, False)])
def test_gradients_are_finite_even_where_their_squares_are_not(clip_norm, number, finite):
    parameters = large_parameters('float64')
    parameters[3].grad[5] = number
    with np.errstate(over='ignore', invalid='ignore'):
        assert SGD(clip_norm=clip_norm).prepare(parameters).gradients_are_finite() is finite


def test_a_norm_is_found_once_a_step(monkeypatch):
    calls, real = [], kernels.current().sum_of_squares
    monkeypatch.setattr(kernels.current(), 'sum_of_squares', lambda *rest: (calls.append(None), real(*rest))[1])
    monkeypatch.setattr(kernels.current(), 'all_finite', None)
    parameters, twins = large_parameters('float64'), large_parameters('float64')
    update, plain = (SGD(momentum=0.9, clip_norm=1.0).prepare(p) for p in (parameters, twins))
    for step in range(1, 4):
        assert update.gradients_are_finite()
        update(0.1)
        assert len(calls) == 2 * step - 1
        plain(0.1)
        for parameter in (*parameters, *twins):
            parameter.grad *= 3
    assert everything_of(parameters) == everything_of(twins)


# Arguments, names and files


@pytest.mark.parametrize('kind', [SGD, RMSprop])
@pytest.mark.parametrize('momentum', [-0.1, 1, 1.5, float('nan'), 'much', None, True])
def test_momentum_out_of_range_is_refused(kind, momentum):
    with pytest.raises(ValueError, match='momentum: expected'):
        kind(momentum=momentum)


@pytest.mark.parametrize(
    ('kind', 'name'), [(Adam, 'beta_1'), (AdamW, 'beta_1'), (Adam, 'beta_2'), (AdamW, 'beta_2'), (RMSprop, 'rho')]
)
@pytest.mark.parametrize('value', [-0.1, 1, float('nan'), None])
def test_shares_out_of_range_are_refused(kind, name, value):
    with pytest.raises(ValueError, match=f'{name}: expected a finite number of at least 0 and less than 1'):
        kind(**{name: value})


@pytest.mark.parametrize('value', [0, -1, float('inf'), 'small'])
def test_what_has_to_be_more_than_0_is_refused_else(value):
    for kind in (Adam, AdamW, RMSprop, Adagrad):
        with pytest.raises(ValueError, match='epsilon: expected'):
            kind(epsilon=value)
    for kind in OPTIMIZERS.values():
        with pytest.raises(ValueError, match='clip_norm: expected'):
            kind(clip_norm=value)


@each_kind
@pytest.mark.parametrize('value', [-0.1, float('inf'), None, True])
def test_wrong_weight_decays_are_refused(kind, value):
    with pytest.raises(ValueError, match='weight_decay: expected'):
        kind(weight_decay=value)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'nesterov': True}, 'nesterov: needs a momentum of more than 0'),
        ({'nesterov': 'yes', 'momentum': 0.9}, "nesterov: expected True or False, got 'yes'"),
    ],
)
def test_a_wrong_nesterov_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SGD(**arguments)


@each_kind
def test_a_learning_rate_is_no_attribute(kind):
    optimizer = kind()
    with pytest.raises(AttributeError, match=r'has no learning_rate; it goes to train\(learning_rate=...\)'):
        optimizer.learning_rate = 0.1
    assert not hasattr(optimizer, 'learning_rate')


def test_a_number_of_any_kind_is_taken():
    expected = {'momentum': 0.5, 'nesterov': False, 'weight_decay': 1.0, 'clip_norm': 2.0}
    assert (
        SGD(momentum=np.float32(0.5), nesterov=np.bool_(False), weight_decay=1, clip_norm=np.int64(2)).settings()
        == expected
    )


@each_case
def test_settings_make_the_same_optimizer_again(kind, arguments):
    optimizer = OPTIMIZERS[kind](**arguments)
    settings = json.loads(json.dumps(optimizer.settings()))
    assert arguments.items() <= settings.items()
    assert vars(OPTIMIZERS[kind](**settings)) == vars(optimizer)


@pytest.mark.parametrize(
    ('name', 'kind'),
    [(written(name), kind) for name, kind in OPTIMIZERS.items() for written in (str, str.lower, str.upper)],
)
def test_a_name_gives_the_kind_with_its_defaults(name, kind):
    net = small_network()
    net.compile(net.loss, optimizer=name)
    assert type(net.optimizer) is kind
    assert vars(net.optimizer) == vars(kind())


def test_what_is_no_optimizer_is_refused_and_changes_nothing():
    net = small_network()
    before = net.optimizer
    with pytest.raises(ValueError, match="expected one of 'sgd', .*'adamw', .*, got 'lion'"):
        net.compile(net.loss, 'lion')
    with pytest.raises(TypeError, match=r'Adam is a class; call it: Adam\(\)'):
        net.compile(net.loss, Adam)
    with pytest.raises(TypeError, match='expected an optimizer such as'):
        net.compile(net.loss, 0.1)
    assert net.optimizer is before
    assert as_optimizer(before) is before


@each_kind
def test_each_kind_learns_at_its_usual_rate(kind, tmp_path):
    x, y = small_data(64)
    nets = [small_network() for _ in range(2)]
    for net, rate in zip(nets, (None, kind.usual_learning_rate), strict=True):
        net.compile(net.loss, kind())
        net.train(x, y, epochs=20, learning_rate=rate, verbose=0, checkpoint_dir=tmp_path, keep=1)
    assert bits(nets[0]) == bits(nets[1])
    assert (
        checkpoint.read_newest(tmp_path, 'model').description['settings']['learning_rate'] == kind.usual_learning_rate
    )
    assert nets[0].evaluate(x, y)['loss'] < 0.9 * small_network().evaluate(x, y)['loss']


@each_case
def test_an_optimizer_goes_to_a_file_and_back(tmp_path, kind, arguments):
    net = small_network()
    net.compile(net.loss, OPTIMIZERS[kind](**arguments))
    net.save(tmp_path / 'net.npz')
    loaded = Network.load(tmp_path / 'net.npz').optimizer
    assert type(loaded) is OPTIMIZERS[kind]
    assert vars(loaded) == vars(net.optimizer)


# How many updates a parameter has had


def train(net, folder, epochs, **options):
    return net.train(*small_data(20), epochs=epochs, batch_size=8, checkpoint_dir=folder, verbose=0, **options)


def adam_network(seed=0):
    net = small_network(seed)
    net.compile(net.loss, Adam())
    return net


def counts(net):
    return {name: parameter.updates for name, parameter in net.parameters.items()}


@pytest.mark.filterwarnings('ignore:parameter .* trainable is False, as it was')
@pytest.mark.parametrize('frozen_again', [False, True])
def test_parameters_with_different_counts_are_resumed_exactly(tmp_path, frozen_again):
    def freeze(epoch):
        for name in ('weights_0', 'bias_4'):
            callback.network.parameters[name].trainable = not (epoch == 1 or (epoch == 3 and frozen_again))

    def run(net, first, folder):
        """Train with some parameters frozen in epoch 1, and perhaps in epoch 3; one network, or a new one each."""
        for epochs in (1, 2, 3, 4):
            net = net if first else adam_network(seed=epochs - 1)
            train(net, folder, epochs, resume_from_checkpoint=True, callbacks=[callback])
        return net

    callback = LambdaCallback(on_epoch_begin=freeze)
    whole, resumed = run(adam_network(), True, tmp_path / 'whole'), run(None, False, tmp_path / 'parts')
    frozen_steps = 6 if frozen_again else 3
    assert counts(whole) == {'weights_0': 12 - frozen_steps, 'bias_0': 12, 'weights_4': 12, 'bias_4': 12 - frozen_steps}
    assert counts(resumed) == counts(whole)
    assert bits(resumed) == bits(whole)


def test_counts_restart_with_an_optimizer(tmp_path):
    net = adam_network()
    train(net, tmp_path, 1)
    assert set(counts(net).values()) == {3}
    net.compile(net.loss, 'adam')
    assert set(counts(net).values()) == {0}


def test_averages_that_begin_later_are_corrected_from_there_on():
    steps = []
    for earlier in (0, 7):
        (parameter,) = parameters_of([np.ones(4)])
        parameter.grad[...] = 2
        for _ in range(earlier):
            SGD().update([parameter], 0)
        Adam().update([parameter], 0.1)
        steps.append(parameter.value.tolist())
        assert parameter.updates == 1
    assert steps[0] == steps[1]


def rewrite(path, change):
    arrays, description = checkpoint.read(path)
    change(arrays, description)
    checkpoint.write(path, arrays, description)


@pytest.mark.parametrize('count', [-1, 1.0, True, None, '3', MAX_UPDATES + 1, 10**400])
def test_a_checkpoint_whose_counts_are_none_is_refused(tmp_path, count):
    net, other = adam_network(), adam_network(1)
    train(net, tmp_path, 1)
    rewrite(tmp_path / 'model_epoch_1.npz', lambda arrays, description: description['updates'].update(bias_4=count))
    before = bits(other)
    with pytest.raises(CheckpointError, match='updates of bias_4: expected a whole number from 0'):
        train(other, tmp_path, 2, resume_from_checkpoint=True)
    assert bits(other) == before


def test_the_state_of_a_parameter_with_updates_must_be_there(tmp_path):
    train(adam_network(), tmp_path, 1)
    rewrite(tmp_path / 'model_epoch_1.npz', lambda arrays, description: arrays.pop('square_average_bias_4'))
    with pytest.raises(CheckpointError, match=r'layer 4 \(Dense\): expected square_average_bias_4 of shape'):
        train(adam_network(), tmp_path, 2, resume_from_checkpoint=True)


@pytest.mark.parametrize(('kind', 'old'), [(SGD, False), (SGD, True), (RMSprop, False)])
def test_momentum_added_while_a_layer_is_frozen_is_resumed_exactly(tmp_path, kind, old):
    def run(folder, epochs, momentum):
        net = small_network(9)
        net.compile(net.loss, kind(momentum=momentum))
        learns = LambdaCallback(on_epoch_begin=lambda epoch: setattr(net.layers[0], 'trainable', epoch in (1, 4)))
        train(net, folder, epochs, callbacks=[learns], resume_from_checkpoint=True)
        return net

    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    run(whole, 1, 0.0)
    run(parts, 1, 0.0)
    expected = run(whole, 4, 0.9)
    run(parts, 3, 0.9)
    path = parts / 'model_epoch_3.npz'
    assert 'velocity_weights_0' not in checkpoint.read(path)[0]
    if old:  # as it was written before
        rewrite(path, lambda arrays, description: description['updates'].update(weights_0=3, bias_0=3))
    with pytest.warns(RuntimeWarning, match='trainable is False, as it was when this was saved'):
        resumed = run(parts, 4, 0.9)
    assert bits(resumed) == bits(expected)
    assert counts(resumed) == counts(expected)


def test_so_many_updates_that_no_correction_is_left_are_computed():
    (parameter,) = parameters_of([np.ones(3)])
    parameter.grad[...] = 1
    Adam().update([parameter], 0.1)
    parameter.updates = MAX_UPDATES
    Adam().update([parameter], 0.1)
    # The averages of two equal gradients, as they stand: 1 - 0.9^2 and 1 - 0.999^2.
    np.testing.assert_allclose(parameter.value, 0.9 - 0.1 * 0.19 / np.sqrt(0.001999), rtol=1e-6)


@pytest.mark.parametrize(
    'make', [lambda: cnnx.Adam(0.001), lambda: cnnx.SGD(lr=0.1), lambda: cnnx.SGD(learning_rate=1)]
)
def test_a_learning_rate_given_to_an_optimizer_is_shown_its_place(make):
    with pytest.raises(TypeError, match=r'no learning rate; that goes to train\(learning_rate=\.\.\.\)'):
        make()


def test_an_optimizer_of_ones_own_trains():
    class Signs(cnnx.optimizers.Optimizer):
        def __init__(self):
            super().__init__(0.0, None)

        def step(self, table, parameters, learning_rate, scale, threads):
            for parameter in parameters:
                parameter.value -= (learning_rate * np.sign(parameter.grad)).astype(parameter.value.dtype)

    net = small_network()
    net.compile(net.loss, Signs())
    history = net.train(*small_data(), epochs=5, learning_rate=0.005, batch_size=8, verbose=0)
    assert history['loss'][-1] < history['loss'][0]


class Sign(Optimizer):
    """Steps of one size."""

    def __init__(self, *, beta=0.9, weight_decay=0.0):
        super().__init__(weight_decay)
        self.beta = beta

    def step(self, table, parameters, learning_rate, scale, threads):
        for parameter in parameters:
            parameter.value -= learning_rate * self.beta * np.sign(parameter.grad)


def test_an_optimizer_of_ones_own_is_saved_with_its_arguments(tmp_path):
    net = small_network()
    net.compile(net.loss, Sign(beta=0.5))
    net.train(*small_data(8), epochs=1, verbose=0)
    with pytest.warns(UserWarning, match='Sign'):
        net.save(tmp_path / 'net.npz', optimizer_state=True)
    assert cnnx.Network.load(tmp_path / 'net.npz', custom_objects={'Sign': Sign}).optimizer.beta == 0.5


def test_what_an_optimizer_of_ones_own_leaves_out_is_named():
    class Bare(Optimizer):
        pass

    class Forgetful(Optimizer):
        def __init__(self):
            pass

    net = small_network()
    net.compile(net.loss, Bare())
    with pytest.raises(NotImplementedError, match='Bare.step: define step'):
        net.train(*small_data(8), epochs=1, verbose=0)
    with pytest.raises(TypeError, match=r'Forgetful.__init__: call super\(\).__init__\(\) first'):
        net.compile(net.loss, Forgetful())


def test_an_update_takes_any_parameters_and_a_usable_rate():
    net, other = small_network(), small_network()
    for network, parameters in ((net, net.parameters), (other, iter(other.parameters.values()))):
        x, y = small_data(8)
        network.backward(network.loss.value_and_gradient(network.forward(x), y)[1])
        network.optimizer.update(parameters, 0.1)
    assert bits(net) == bits(other) != bits(small_network())
    for rate in (-1, np.nan, np.inf, None):
        with pytest.raises(ValueError, match='learning_rate: expected a finite number'):
            net.optimizer.update(net.parameters, rate)


def test_a_norm_that_is_not_finite_is_not_kept_for_the_next_step():
    net, (x, y) = small_network(), small_data(8)
    net.compile(net.loss, SGD(clip_norm=0.01))
    net.backward(net.loss.value_and_gradient(net.forward(x), y)[1])
    update, parameter = net.prepared_update(), net.layers[0].parameters[0]
    kept = parameter.grad.copy()
    parameter.grad = np.full(kept.shape, np.nan)
    assert not update.gradients_are_finite()
    parameter.grad, before = kept, {name: p.value.copy() for name, p in net.parameters.items()}
    update(1.0)
    change = sum(((p.value - before[name]) ** 2).sum() for name, p in net.parameters.items())
    assert np.sqrt(change) < 0.011
