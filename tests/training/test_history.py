"""Histories: the metrics of each epoch."""

import copy
import sys

import numpy as np
import pytest
from models import small_data, small_network

from cnnx import DivergenceError, History
from cnnx.training.history import Mean


def train(net, epochs=4, n=50, **options):
    x, y = small_data(n)
    return net.train(x, y, epochs=epochs, batch_size=8, **({'learning_rate': 0.05, 'verbose': 0} | options))


def test_history_has_a_float_an_epoch(tmp_path):
    history = train(small_network(), validation_data=small_data(20, seed=1))
    assert history.history.keys() == {'loss', 'accuracy', 'val_loss', 'val_accuracy', 'learning_rate'}
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
    assert [len(metrics) for metrics in history.history.values()] == [2] * 5
    assert np.isnan(history['val_loss']).tolist() == [True, False]


def test_a_history_is_read_like_a_dict():
    history = train(small_network(), epochs=2)
    assert 'val_loss' not in history
    assert list(history) == ['loss', 'accuracy', 'learning_rate']
    assert dict(history) == history.history
    with pytest.raises(KeyError, match='val_loss.*expected one of loss, accuracy, learning_rate'):
        history['val_loss']


def test_loss_and_accuracy_are_drawn_each_with_its_validation(tmp_path):
    pytest.importorskip('matplotlib')
    epochs = {
        'learning_rate': [0.1, 0.01],
        'loss': [2.0, 1.0],
        'accuracy': [0.5, 0.75],
        'val_loss': [2.5, 1.5],
        'val_accuracy': [0.4, 0.6],
    }
    History(epochs).plot(tmp_path / 'both.svg')
    drawn = (tmp_path / 'both.svg').read_text()
    assert [drawn.count(f'<!-- {text} -->') for text in ('training', 'validation', 'loss', 'accuracy')] == [2, 2, 1, 1]
    History({'loss': [2.0]}).plot(tmp_path / 'loss.svg')
    drawn = (tmp_path / 'loss.svg').read_text()
    assert [drawn.count(f'<!-- {text} -->') for text in ('training', 'validation', 'loss', 'accuracy')] == [1, 0, 1, 0]


def test_a_history_is_drawn_as_large_as_a_page_shows_it(tmp_path):
    pytest.importorskip('matplotlib')
    History({'loss': [2.0, 1.0], 'accuracy': [0.5, 0.75]}).plot(tmp_path / 'history.png')
    content = (tmp_path / 'history.png').read_bytes()
    assert content.startswith(b'\x89PNG\r\n\x1a\n')
    width, height = (int.from_bytes(content[start : start + 4], 'big') for start in (16, 20))
    assert width > 2 * height > 400


def test_without_a_path_the_figure_is_returned_as_a_notebook_shows_it():
    pytest.importorskip('matplotlib')
    figure = History({'loss': [2.0, 1.0], 'val_f1': [0.5, 0.75]}).plot()
    assert [axes.get_ylabel() for axes in figure.axes] == ['loss', 'f1']
    assert figure._repr_png_().startswith(b'\x89PNG\r\n\x1a\n')


def test_the_rate_is_that_of_the_last_step_of_each_epoch():
    asked = []
    history = train(small_network(), epochs=3, learning_rate=lambda step, steps: asked.append(step) or 0.1 / (1 + step))
    assert history['learning_rate'] == [0.1 / (1 + step) for step in (6, 13, 20)]
    assert asked == list(range(21))


def test_the_network_keeps_the_history_of_its_last_run():
    net = small_network()
    assert net.history is None
    assert train(net, epochs=2) is net.history
    with pytest.raises(DivergenceError):
        train(net, learning_rate=1e30)
    assert len(net.history.get('loss', ())) < 2
    assert copy.deepcopy(net).history == net.history


def test_what_cannot_be_drawn_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match='at least one epoch'):
        History().plot(tmp_path / 'history.png')
    with pytest.raises(ValueError, match='expected the path of a file'):
        History({'loss': [1.0]}).plot(3)
    monkeypatch.setitem(sys.modules, 'matplotlib.figure', None)
    with pytest.raises(ImportError, match='pip install matplotlib'):
        History({'loss': [1.0]}).plot(tmp_path / 'history.png')
    assert not list(tmp_path.iterdir())


def test_a_mean_weighs_batches_by_their_targets_and_is_nan_without_any():
    mean = Mean(measures_accuracy=True)
    assert np.isnan(list(mean.metrics().values())).all()
    mean.add(6.0, 2, 3)
    before = mean.sums
    mean.add(0.0, 0, 0)
    assert mean.metrics() == {'loss': 2.0, 'accuracy': 2 / 3}
    assert np.isnan(mean.metrics(since=before)['loss'])
    mean.add(1.0, 1, 1)
    assert mean.metrics() == {'loss': 7 / 4, 'accuracy': 3 / 4}


def test_a_history_shows_its_end_and_a_notebook_its_epochs():
    history = History({'loss': [2.0, 1.0], 'accuracy': [0.5, 0.75]})
    assert repr(history) == '<History: 2 epochs, at the end loss 1, accuracy 0.75>'
    assert history._repr_html_().count('<tr>') == 3
    assert '<tr><td>2</td><td>1</td><td>0.75</td></tr>' in history._repr_html_()
    assert repr(History()) == '<History: 0 epochs>'
    assert repr(History({'loss': [2.0]})) == '<History: 1 epoch, at the end loss 2>'
