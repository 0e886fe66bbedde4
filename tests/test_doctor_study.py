"""The study that holds the doctor against training: its cases, and how it counts."""

import numpy as np
from models import bits

from benchmarks import doctor_study


def test_ranges_share_no_case_and_a_seed_gives_the_same_case():
    seeds = [seed for some in doctor_study.RANGES.values() for seed in some]
    assert len(set(seeds)) == len(seeds) == 600
    images, labels = np.random.default_rng(0).random((1200, 28, 28, 1), np.float32), np.arange(1200) % 10
    first, again = (doctor_study.make_case(7, images, labels) for _ in range(2))
    assert first.what == again.what
    assert first.x.tobytes() == again.x.tobytes()
    assert bits(first.network) == bits(again.network)


def test_misses_and_false_alarms_are_counted_by_learning_rate():
    cases = [
        {'rate': 0.02, 'learned': True, 'against': False},
        {'rate': 0.03, 'learned': True, 'against': True},
        {'rate': 2.0, 'learned': False, 'against': False},
        {'rate': 3.0, 'learned': False, 'against': True},
    ]
    lines = doctor_study.table(cases)
    assert '| 0.01 to 0.1 | 2 | 2 | 0 | 1 |' in lines
    assert '| 1 to 10 | 2 | 0 | 1 | 0 |' in lines
    assert lines[-1] == '| all | 4 | 2 | 1 | 1 |'


def test_a_case_is_trained_and_examined(capsys, monkeypatch):
    monkeypatch.setattr(doctor_study, 'EPOCHS', 1)
    doctor_study.main(['--range', 'tuning', '--cases', '1'])
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith('1000: ')
    assert out[-1].startswith('at most ')
    assert 0 <= int(out[-1].split()[2]) <= 300
