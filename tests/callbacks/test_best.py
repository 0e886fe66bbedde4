"""EarlyStopping and BestCheckpoint: which epoch is the best, what they keep of it, and that a resume goes on."""

import math

import numpy as np
import pytest
from callback_runs import Scripted, train
from models import bits, small_data, small_network

import cnnx
from cnnx.callbacks import BestCheckpoint, EarlyStopping, LambdaCallback


@pytest.mark.parametrize(
    ('values', 'settings', 'epochs', 'best'),
    [
        ([3, 2, 1, 2, 3, 0], {'patience': 2}, 5, 3),
        ([3, 2, 2, 2, 1, 1], {'patience': 2}, 4, 2),
        ([3, 2.95, 2.9, 1, 1, 1], {'patience': 2, 'min_delta': 0.2}, 3, 1),
        ([1, 2, 3, 2, 1, 4], {'patience': 3, 'monitor': 'val_accuracy'}, 6, 6),
        ([math.nan, math.nan, 1, 1, 1, 1], {'patience': 2}, 2, 0),
        ([math.nan, 2, math.nan, 1, 1, 1], {'patience': 2}, 6, 4),
        ([6, 5, 4, 3, 2, 3], {'patience': 2}, 6, 5),
    ],
)
def test_a_run_stops_early_with_the_weights_of_its_best_epoch(tmp_path, values, settings, epochs, best):
    net, stopping = small_network(), Scripted(values, **settings)
    history = train(net, epochs=6, callbacks=[stopping], checkpoint_dir=tmp_path)
    assert len(history['loss']) == epochs
    assert stopping.best_epoch == best
    assert stopping.best == (None if best == 0 else values[best - 1])
    expected = cnnx.Network.load(tmp_path / f'model_epoch_{best or epochs}.npz')
    assert bits(net) == bits(expected)


def test_the_last_weights_stay_where_that_is_asked_for(tmp_path):
    net = small_network()
    train(net, callbacks=[Scripted([1, 2, 3], patience=2, restore_best=False)], checkpoint_dir=tmp_path)
    assert bits(net) == bits(cnnx.Network.load(tmp_path / 'model_epoch_3.npz'))


def test_early_stopping_says_where_it_stopped_and_whose_weights_it_restored(capsys):
    def lines():
        return [line for line in capsys.readouterr().out.splitlines() if not line.startswith('nothing learned')]

    train(small_network(), epochs=9, callbacks=[Scripted([3, 1, 2, 4, 0], patience=2)], verbose=2)
    *_, last, line = lines()
    assert last.startswith('epoch 4/9: ')
    assert line == 'EarlyStopping: stopped after epoch 4, weights of epoch 2 restored, val_loss 1.0000'
    train(small_network(), epochs=3, callbacks=[Scripted([3, 2, 4])], verbose=2)
    assert lines()[3:] == ['EarlyStopping: weights of epoch 2 restored, val_loss 2.0000']


@pytest.mark.parametrize('error', [cnnx.DivergenceError('the loss is nan'), KeyboardInterrupt(), OSError('full')])
def test_the_best_weights_come_back_after_an_error_or_an_interrupt(tmp_path, capsys, error):
    def fail(batch, metrics):
        if len(stopping.history.get('loss', ())) == 3:
            raise error

    net, stopping = small_network(), Scripted([3, 1, 2, 2])
    callbacks = [stopping, LambdaCallback(on_batch_end=fail)]
    with pytest.raises(type(error)):
        train(net, epochs=9, callbacks=callbacks, checkpoint_dir=tmp_path, verbose=2)
    assert bits(net) == bits(cnnx.Network.load(tmp_path / 'model_epoch_2.npz'))
    assert 'EarlyStopping: weights of epoch 2 restored, val_loss 1.0000\n' in capsys.readouterr().out
    assert net.history is stopping.history
    assert [len(column) for column in net.history.values()] == [3] * 5


def test_the_best_network_is_saved(tmp_path, capsys):
    best = BestCheckpoint(tmp_path / 'best.npz', 'loss')
    losses = train(small_network(), callbacks=[best], checkpoint_dir=tmp_path, verbose=2)['loss']
    assert f'BestCheckpoint: loss {min(losses):.4f}, saved {tmp_path / "best.npz"}\n' in capsys.readouterr().out
    expected = cnnx.Network.load(tmp_path / f'model_epoch_{1 + np.argmin(losses)}.npz')
    assert bits(cnnx.Network.load(tmp_path / 'best.npz')) == bits(expected)
    best = BestCheckpoint(tmp_path / 'first.npz', 'accuracy', min_delta=1)
    train(small_network(), callbacks=[best], checkpoint_dir=tmp_path)
    first = cnnx.Network.load(tmp_path / 'model_epoch_1.npz')
    assert bits(cnnx.Network.load(tmp_path / 'first.npz')) == bits(first)


def test_a_best_whose_weights_were_not_kept_restarts_where_they_are_to_come_back(tmp_path, capsys):
    options = {'checkpoint_dir': tmp_path, 'verbose': 1}
    train(small_network(), callbacks=[EarlyStopping('loss', restore_best=False)], epochs=2, **options)
    again = EarlyStopping('loss')
    train(small_network(), callbacks=[again], epochs=3, resume_from_checkpoint=True, **options)
    assert again.best_epoch == 3
    assert 'EarlyStopping restarts: the checkpoint has no state for it' in capsys.readouterr().out


@pytest.mark.parametrize('kind', [EarlyStopping, lambda monitor: BestCheckpoint('best.npz', monitor)])
def test_another_metric_to_watch_restarts(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    train(small_network(), callbacks=[kind('val_loss')], checkpoint_dir=tmp_path, epochs=2)
    with_loss, with_accuracy = kind('val_loss'), kind('val_accuracy')
    for callback in (with_loss, with_accuracy):
        before = (tmp_path / 'model_epoch_2.npz').read_bytes()
        options = {'checkpoint_dir': tmp_path, 'resume_from_checkpoint': True, 'epochs': 2}
        train(small_network(), callbacks=[callback], **options)  # all is done already
        assert (tmp_path / 'model_epoch_2.npz').read_bytes() == before
    assert with_loss.best_epoch > 0
    assert (with_accuracy.best, with_accuracy.best_epoch, with_accuracy.arrays()) == (None, 0, {})


def test_a_best_file_that_is_gone_is_written_again(tmp_path, capsys):
    options = {'checkpoint_dir': tmp_path, 'validation_data': small_data(9), 'verbose': 1}
    path = tmp_path / 'best.npz'
    train(small_network(), epochs=1, callbacks=[BestCheckpoint(path, 'val_loss')], **options)
    path.unlink()
    resumed = small_network()
    again = [BestCheckpoint(path, 'val_loss')]
    train(resumed, epochs=2, learning_rate=0.0, callbacks=again, resume_from_checkpoint=True, **options)
    assert bits(cnnx.Network.load(path)) == bits(resumed)
    assert 'BestCheckpoint restarts' in capsys.readouterr().out
