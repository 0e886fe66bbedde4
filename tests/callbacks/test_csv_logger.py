"""CSVLogger: a row an epoch."""

from callback_runs import train
from models import small_network

from cnnx.callbacks import CSVLogger


def test_a_log_has_a_row_an_epoch(tmp_path):
    history = train(small_network(), callbacks=[CSVLogger(tmp_path / 'log.csv')])
    lines = (tmp_path / 'log.csv').read_text().splitlines()
    assert lines[0] == 'epoch,loss,accuracy,val_loss,val_accuracy,learning_rate'
    for epoch, line in enumerate(lines[1:], 1):
        assert [float(field) for field in line.split(',')] == [epoch, *(v[epoch - 1] for v in history.history.values())]
    assert len(lines) == 4
