"""Learning-rate schedules."""

import math

import pytest
from models import small_data, small_network

from cnnx.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    Custom,
    Exponential,
    OneCycle,
    ReduceOnPlateau,
    Schedule,
    StepDecay,
    as_schedule,
)

# The rates of `OneCycleLR(max_lr=0.1, total_steps=10, div_factor=25, final_div_factor=100, pct_start=0.3)` in
# PyTorch 2.13.0, and of its `ReduceLROnPlateau(factor=0.5, patience=1, threshold=0.1, cooldown=2, min_lr=0.02)`, from
# 0.1 on, after each of the metrics.
ONE_CYCLE = (0.004, 0.052, 0.1, 0.0950504240178, 0.0811820202969, 0.0611415962791)
ONE_CYCLE += (0.0388984037209, 0.0188579797031, 0.00498957598224, 0.00004)
METRICS = (1.0, 0.95, 0.85, math.nan, 0.84, 0.5, 0.6, 0.6, 0.6, 0.49, 0.48, 0.47, 0.46, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5)
PLATEAU = (*[0.1] * 4, *[0.05] * 4, *[0.025] * 4, *[0.02] * 7)


def rates(schedule, epochs, batches=1):
    """Return the rates of the steps of a run."""
    return [schedule(step, epochs * batches, epochs) for step in range(epochs * batches)]


def observed(schedule, metrics):
    """Return the rates after each of the metrics."""
    result = []
    for metric in metrics:
        schedule.observe({schedule.monitor: metric})
        result.append(schedule(0, 10, 10))
    return result


# What the kinds compute


def test_a_constant_rate_and_half_a_cosine_wave():
    assert rates(Constant(0.1), 4) == [0.1] * 4
    schedule = Cosine(0.1, final=0.02)
    assert [schedule(step, 4, 2) for step in range(5)] == pytest.approx([0.1, 0.0882843, 0.06, 0.0317157, 0.02])


def test_a_step_decay_falls_every_so_many_epochs():
    assert rates(StepDecay(1, 0.5, every=2), 5, batches=3) == [1] * 6 + [0.5] * 6 + [0.25] * 3
    assert StepDecay(1, 0.5, every=2)(5.99, 15, 5) == 1


def test_an_exponential_rate_falls_after_each_epoch():
    assert rates(Exponential(1, 0.5), 3, batches=2) == [1, 1, 0.5, 0.5, 0.25, 0.25]


@pytest.mark.parametrize('batches', [1, 3, 7, 49, 1875])
def test_epochs_begin_at_their_first_step_whatever_their_length(batches):
    schedule = Exponential(1, 0.5)
    for epoch in range(1, 60):
        first = epoch * batches
        assert schedule(first, 60 * batches, 60) == 0.5**epoch
        assert schedule(first - 1, 60 * batches, 60) == 0.5 ** (epoch - 1)


def test_a_warm_up_rises_in_a_line_to_where_the_wave_begins():
    schedule = Cosine(0.5, warmup=1)
    assert rates(schedule, 3, batches=4)[:5] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert [schedule(4 + step, 12, 3) for step in range(9)] == [Cosine(0.5)(step, 8, 2) for step in range(9)]
    assert rates(Cosine(0.5, warmup=0.5), 3, batches=4)[:3] == pytest.approx([0.5 / 3, 1 / 3, 0.5])


def test_one_cycle_begins_rises_and_ends_as_its_factors_say():
    found = rates(OneCycle(1, initial_factor=10, final_factor=100, rise=0.25), 10, batches=4)
    assert (found[0], found[9], found[-1]) == pytest.approx((0.1, 1, 0.001))
    assert found == sorted(found[:10]) + sorted(found[10:], reverse=True)
    assert OneCycle(1)(39.5, 40, 10) == OneCycle(1)(40, 40, 10) == pytest.approx(1 / 25e4)


@pytest.mark.parametrize('steps', [1, 2, 3, 4, 10, 100])
@pytest.mark.parametrize('rise', [0.1, 0.25, 0.3, 0.5, 0.9])
def test_one_cycle_of_any_length_stays_in_its_range(steps, rise):
    schedule = OneCycle(1, rise=rise)
    assert all(1 / 25e4 <= schedule(half / 2, steps, 1) <= 1 for half in range(2 * steps + 1))


def test_one_cycle_and_plateau_are_those_of_pytorch():
    assert rates(OneCycle(0.1, final_factor=100), 10) == pytest.approx(ONE_CYCLE, rel=1e-11)
    schedule = ReduceOnPlateau(0.1, factor=0.5, patience=2, threshold=0.1, cooldown=2, minimum=0.02)
    assert observed(schedule, METRICS) == pytest.approx(PLATEAU, rel=1e-12)


def test_all_kinds_that_pytorch_has_agree_with_it():
    torch = pytest.importorskip('torch')
    kinds = torch.optim.lr_scheduler

    def theirs(kind, initial, metrics=None, **arguments):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=initial)
        scheduler, found = kind(optimizer, **arguments), []
        for metric in metrics or [None] * 20:
            found.append(optimizer.param_groups[0]['lr'])
            optimizer.step()
            scheduler.step(*([] if metric is None else [metric]))
        return [*found[1:], optimizer.param_groups[0]['lr']] if metrics else found

    for ours, expected in [
        (StepDecay(0.1, 0.3, every=3), theirs(kinds.StepLR, 0.1, gamma=0.3, step_size=3)),
        (Exponential(0.1, 0.8), theirs(kinds.ExponentialLR, 0.1, gamma=0.8)),
        (Cosine(0.1, 0.01), theirs(kinds.CosineAnnealingLR, 0.1, T_max=20, eta_min=0.01)),
        (OneCycle(0.1), theirs(kinds.OneCycleLR, 0.1, max_lr=0.1, total_steps=20, cycle_momentum=False)),
    ]:
        assert rates(ours, 20) == pytest.approx(expected, rel=1e-9), type(ours).__name__
    arguments = {'factor': 0.5, 'threshold': 0.1, 'cooldown': 2}
    for patience in (1, 2, 3):
        for monitor, mode in (('val_loss', 'min'), ('accuracy', 'max')):
            ours = ReduceOnPlateau(0.1, patience=patience, monitor=monitor, minimum=0.02, **arguments)
            expected = theirs(
                kinds.ReduceLROnPlateau, 0.1, METRICS, patience=patience - 1, mode=mode, min_lr=0.02, **arguments
            )
            assert observed(ours, METRICS) == pytest.approx(expected, rel=1e-12)


# Plateaus


def test_a_plateau_is_so_many_epochs_in_a_row_without_a_better_metric():
    assert observed(ReduceOnPlateau(1, 0.5, patience=2), [5, 6, 4, 5, 4, 5, 3, 3]) == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5]
    assert observed(ReduceOnPlateau(1, 0.5, patience=1), [5, 5, 5]) == [1, 0.5, 0.25]


def test_accuracies_are_better_when_larger():
    assert observed(ReduceOnPlateau(1, 0.5, 1, 'val_accuracy'), [0, 0.5, 0.4, 0.6]) == [1, 1, 0.5, 0.5]
    assert observed(ReduceOnPlateau(1, 0.5, 1, 'loss'), [0.9, 0.5, 0.4, 0.6]) == [1, 1, 1, 0.5]


def test_a_metric_that_is_not_finite_is_never_better():
    assert observed(ReduceOnPlateau(1, 0.5, patience=1), [math.nan, math.inf, 5, math.nan]) == [0.5, 0.25, 0.25, 0.125]
    assert observed(ReduceOnPlateau(1, 0.5, 1, 'accuracy'), [math.nan, math.inf, 0.5, 0.6]) == [0.5, 0.25, 0.25, 0.25]


def test_the_threshold_is_a_share_of_the_best():
    assert observed(ReduceOnPlateau(1, 0.5, patience=1, threshold=0.1), [10, 8.9, 8.1]) == [1, 1, 0.5]


def test_a_rate_does_not_fall_below_its_minimum():
    assert observed(ReduceOnPlateau(1, 0.1, patience=1, minimum=0.03), [1] * 4) == pytest.approx([1, 0.1, 0.03, 0.03])


def test_a_rate_that_falls_is_reported(capsys):
    settings = {'epochs': 4, 'validation_data': small_data(5, seed=1), 'verbose': 2}
    rate = ReduceOnPlateau(0.04, 0.5, patience=1, threshold=0.9, minimum=0.02)
    history = train(small_network(), rate, **settings)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(':')[0] for line in lines[:3]] == ['epoch 1/4', 'epoch 2/4', 'ReduceOnPlateau']
    assert lines[2] == 'ReduceOnPlateau: learning rate now 0.02, by val_loss'
    assert len(lines) == 5  # it falls no further
    assert history['learning_rate'] == [0.04, 0.04, 0.02, 0.02]


def test_the_state_of_a_plateau_is_restored_and_reset():
    arguments = {'initial': 1, 'factor': 0.5, 'patience': 2, 'cooldown': 1}
    schedule, metrics = ReduceOnPlateau(**arguments), [5, 6, 4, 5, 4, 5, 3, 3, 3, 3, 3]
    whole = observed(schedule, metrics)
    schedule.restore({})
    assert schedule.state() == ReduceOnPlateau(**arguments).state()
    for done in range(len(metrics)):
        first, second = ReduceOnPlateau(**arguments), ReduceOnPlateau(**arguments)
        before = observed(first, metrics[:done])
        second.restore(first.state())
        assert before + observed(second, metrics[done:]) == whole


def test_the_best_of_another_metric_is_no_measure():
    loss, accuracy = ReduceOnPlateau(1, 0.5, 1, 'loss'), ReduceOnPlateau(1, 0.5, 1, 'accuracy')
    observed(loss, [5, 5])
    accuracy.restore(loss.state())
    assert observed(accuracy, [0.1, 0.2, 0.2]) == [0.5, 0.5, 0.25]


@pytest.mark.parametrize(
    'change', [{'times': -1}, {'waited': 0.5}, {'resting': None}, {'times': 10**400}, {'best': 'low'}, {'best': []}]
)
def test_a_state_that_is_none_is_refused_and_changes_nothing(change):
    schedule = ReduceOnPlateau(1, 0.5, patience=1)
    observed(schedule, [3, 3])
    before = schedule.state()
    with pytest.raises((TypeError, ValueError)):
        schedule.restore(before | change)
    with pytest.raises(LookupError):
        schedule.restore({'times': 1})
    assert schedule.state() == before


# Arguments


def test_numbers_are_constant_rates_and_schedules_stay():
    assert as_schedule(1).settings() == {'learning_rate': 1.0}
    schedule = Cosine(0.1)
    assert as_schedule(schedule) is schedule


def test_a_function_of_step_and_steps_is_a_schedule():
    def halved(step, steps):
        return 0.5 if step < steps / 2 else 0.25

    schedule = as_schedule(halved)
    assert rates(schedule, 4) == [0.5, 0.5, 0.25, 0.25]
    assert schedule.settings()['function'].endswith('halved')
    with pytest.raises(
        ValueError, match='learning_rate: at step 3 of 9: expected a finite number of at least 0, got -3'
    ):
        Custom(lambda step, steps: -step)(3, 9, 1)


@pytest.mark.parametrize('other', ['cosine', None, True, [0.1], Cosine, object()])
def test_what_is_no_schedule_is_refused_with_those_that_there_are(other):
    with pytest.raises(ValueError, match=r'learning_rate: .* a schedule \(Constant, StepDecay, .*ReduceOnPlateau.*\)'):
        as_schedule(other)


@pytest.mark.parametrize('kind', SCHEDULES)
@pytest.mark.parametrize('rate', [-1, float('nan'), float('inf'), '0.1', None, True])
def test_a_rate_that_is_none_is_refused(kind, rate):
    with pytest.raises(ValueError, match='expected a finite number of at least 0'):
        kind(rate)


@pytest.mark.parametrize(
    ('kind', 'arguments', 'message'),
    [
        (StepDecay, {'factor': 0}, 'factor: expected a finite number of more than 0 and less than 1, got 0'),
        (StepDecay, {'factor': 1}, 'factor: expected'),
        (StepDecay, {'every': 0}, 'every: expected a whole number of at least 1, got 0'),
        (StepDecay, {'every': 1.5}, 'every: expected'),
        (Exponential, {'factor': 1.1}, 'factor: expected'),
        (Cosine, {'final': -1}, 'final: expected'),
        (Cosine, {'warmup': -1}, 'warmup: expected'),
        (OneCycle, {'initial_factor': 0.5}, 'initial_factor: expected a number of at least 1, got 0.5'),
        (OneCycle, {'final_factor': 0}, 'final_factor: expected'),
        (OneCycle, {'rise': 0}, 'rise: expected'),
        (OneCycle, {'rise': 1}, 'rise: expected'),
        (ReduceOnPlateau, {'factor': 1}, 'factor: expected'),
        (ReduceOnPlateau, {'patience': 0}, 'patience: expected a whole number of at least 1, got 0'),
        (ReduceOnPlateau, {'cooldown': -1}, 'cooldown: expected'),
        (ReduceOnPlateau, {'cooldown': False}, 'cooldown: expected'),
        (ReduceOnPlateau, {'threshold': 1}, 'threshold: expected'),
        (ReduceOnPlateau, {'minimum': 0.2}, 'minimum: expected at most the initial rate, 0.1, got 0.2'),
        (ReduceOnPlateau, {'monitor': None}, 'monitor: expected the name of a metric'),
    ],
)
def test_wrong_arguments_are_refused(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(0.1, **arguments)


@pytest.mark.parametrize('kind', SCHEDULES)
def test_settings_make_the_same_schedule_again(kind):
    schedule = kind(0.1)
    assert kind(**schedule.settings()).settings() == schedule.settings() != {}


# In a run


def train(net, schedule, epochs=4, **options):
    x, y = small_data(24)
    return net.train(x, y, epochs=epochs, learning_rate=schedule, batch_size=8, **({'verbose': 0} | options))


@pytest.mark.parametrize(
    ('schedule', 'options', 'message'),
    [
        (ReduceOnPlateau(0.1), {}, "expected one of loss, accuracy, or give validation_data, got 'val_loss'"),
        (
            ReduceOnPlateau(0.1, monitor='f1'),
            {'validation_data': small_data(5)},
            'loss, accuracy, val_loss, val_accuracy',
        ),
        (Cosine(0.1, warmup=4), {}, 'warmup: expected less than the epochs of the run, 4, got 4'),
    ],
)
def test_what_cannot_serve_a_run_is_reported_before_anything_is_trained(tmp_path, schedule, options, message):
    net = small_network()
    before, generator = net.layers[0].weights.copy(), net.generator.bit_generator.state
    with pytest.raises(ValueError, match=message):
        train(net, schedule, checkpoint_dir=tmp_path / 'new', **options)
    assert (net.layers[0].weights == before).all()
    assert net.generator.bit_generator.state == generator
    assert not (tmp_path / 'new').exists()


def test_a_run_asks_for_the_rate_of_each_step_and_is_given_the_metrics_of_each_epoch():
    class Noting(Schedule):
        def __init__(self):
            self._asked, self._given = [], []

        def __call__(self, *arguments):
            self._asked.append(arguments)
            return 0.1

        def observe(self, metrics):
            self._given.append((len(self._asked), metrics))

    schedule = Noting()
    history = train(small_network(), schedule, epochs=2, validation_data=small_data(5, seed=1))
    assert schedule._asked == [(step, 6, 2) for step in range(6)]
    assert schedule._given == [
        (3 * (epoch + 1), {key: values[epoch] for key, values in history.history.items()}) for epoch in range(2)
    ]


def test_a_schedule_takes_no_state_from_one_run_into_the_next():
    schedule = ReduceOnPlateau(0.01, 0.5, patience=1, monitor='loss', threshold=0.9)
    histories = [train(small_network(), schedule).history for _ in range(2)]
    assert schedule(0, 1, 1) < 0.01
    assert histories[0] == histories[1]
