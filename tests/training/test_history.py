"""Histories: the metrics of each epoch."""

import numpy as np
import pytest
from models import small_data, small_network


def train(net, epochs=4, n=50, **options):
    x, y = small_data(n)
    return net.train(x, y, epochs=epochs, batch_size=8, **({'learning_rate': 0.05, 'verbose': 0} | options))


def test_history_has_a_float_an_epoch(tmp_path):
    history = train(small_network(), validation_data=small_data(20, seed=1))
    assert history.history.keys() == {'loss', 'accuracy', 'val_loss', 'val_accuracy'}
    for metrics in history.history.values():
        assert len(metrics) == 4
        assert all(type(metric) is float for metric in metrics)
    assert history['loss'] is history.history['loss']
    assert history['loss'][-1] < history['loss'][0]


def test_the_last_batch_counts_with_its_own_size():
    net, (x, y) = small_network(), small_data(11)
    history = net.train(x, y, epochs=1, learning_rate=0, batch_size=4, verbose=0, validation_data=(x, y))
    whole = net.evaluate(x, y, batch_size=11)
    assert history['loss'][0] == pytest.approx(whole['loss'], rel=1e-6)
    assert history['accuracy'][0] == whole['accuracy'] == history['val_accuracy'][0]
    assert net.evaluate(x, y, batch_size=3)['loss'] == pytest.approx(whole['loss'], rel=1e-6)


def test_validation_that_is_added_over_a_resume_keeps_history_aligned(tmp_path):
    train(small_network(), epochs=1, checkpoint_dir=tmp_path)
    options = {'checkpoint_dir': tmp_path, 'resume_from_checkpoint': True}
    history = train(small_network(), epochs=2, validation_data=small_data(9), **options)
    assert [len(metrics) for metrics in history.history.values()] == [2] * 4
    assert np.isnan(history['val_loss']).tolist() == [True, False]


def test_a_history_is_read_like_a_dict():
    history = train(small_network(), epochs=2)
    assert 'val_loss' not in history
    assert list(history) == ['loss', 'accuracy']
    assert dict(history) == history.history
    with pytest.raises(KeyError, match='val_loss.*expected one of loss, accuracy'):
        history['val_loss']
