import pytest

from cnnx.schedules import SCHEDULES, Constant, Cosine, as_schedule


def test_rates():
    assert [Constant(0.1)(step, 4) for step in range(4)] == [0.1] * 4
    rates = [Cosine(0.1, final=0.02)(step, 4) for step in range(5)]
    assert rates == pytest.approx([0.1, 0.0882843, 0.06, 0.0317157, 0.02])


def test_numbers_are_constant_rates_and_schedules_stay():
    assert as_schedule(1).settings() == {'learning_rate': 1.0}
    schedule = Cosine(0.1)
    assert as_schedule(schedule) is schedule


@pytest.mark.parametrize('kind', SCHEDULES)
@pytest.mark.parametrize('rate', [-1, float('nan'), float('inf'), '0.1', None, True])
def test_a_rate_that_is_none_is_refused(kind, rate):
    with pytest.raises(ValueError, match='expected a finite number of at least 0'):
        kind(rate)
