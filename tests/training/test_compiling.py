"""`compile`: names of losses, optimizers and metrics, and metrics of epochs."""

import numpy as np
import pytest
from models import cut, small_data, small_network

import cnnx
from cnnx import Network
from cnnx.callbacks import EarlyStopping


def test_compile_takes_a_loss_and_an_optimizer():
    net = small_network()
    with pytest.raises(TypeError, match='expected a cnnx.Loss'):
        net.compile(3)
    with pytest.raises(TypeError, match='expected an optimizer'):
        net.compile(cnnx.MeanSquaredError(), 0.01)


@pytest.mark.parametrize(
    ('name', 'kind'),
    [
        ('categorical_crossentropy', cnnx.CategoricalCrossEntropy),
        ('sparse_categorical_crossentropy', cnnx.CategoricalCrossEntropy),
        ('CategoricalCrossEntropy', cnnx.CategoricalCrossEntropy),
        ('MSE', cnnx.MeanSquaredError),
        ('mean_squared_error', cnnx.MeanSquaredError),
    ],
)
def test_losses_have_names(name, kind):
    net = small_network()
    net.compile(name)
    assert type(net.loss) is kind


def test_a_name_is_checked_against_the_last_layer_as_an_object_is():
    net = Network([cnnx.Dense(4, 3)])
    with pytest.raises(ValueError, match='expected probabilities'):
        net.compile('categorical_crossentropy')


def test_metrics_are_those_of_validation_data_after_each_epoch_and_of_evaluate():
    net, data, validation = small_network(), small_data(30), small_data(20, seed=1)
    net.compile('categorical_crossentropy', 'adam', metrics=['accuracy', 'f1', 'top_2_accuracy'])
    history = net.train(*data, epochs=3, validation_data=validation, verbose=0)
    assert list(history) == ['loss', 'accuracy', 'val_loss', 'val_accuracy', 'val_f1', 'val_top_2', 'learning_rate']
    found = net.evaluate(*validation)
    assert list(found) == ['loss', 'accuracy', 'f1', 'top_2']
    assert history['val_f1'][-1] == found['f1'].mean()
    assert history['val_top_2'][-1] == found['top_2']
    assert list(net.evaluate(*validation, metrics=[])) == ['loss', 'accuracy']
    assert list(net.evaluate(*validation, metrics=['recall'])) == ['loss', 'accuracy', 'recall']


def test_metrics_leave_training_as_it_is():
    histories = []
    for metrics in (None, ['precision']):
        net = small_network()
        net.compile('mse', 'adam', metrics=metrics)
        histories.append(net.train(*small_data(), epochs=2, validation_split=0.2, verbose=0).history)
    assert histories[1].pop('val_precision')
    assert histories[0] == histories[1]


def test_metrics_of_validation_batches_are_those_of_arrays():
    x, y = small_data(20, seed=1)
    found = []
    for validation in ((x, y), cut(x, y)):
        net = small_network()
        net.compile('categorical_crossentropy', metrics=['recall'])
        found.append(net.train(*small_data(), epochs=2, validation_data=validation, verbose=0)['val_recall'])
    assert found[0] == found[1]


def test_early_stopping_can_watch_a_metric():
    net = small_network()
    net.compile('categorical_crossentropy', metrics=['f1'])
    stopping = EarlyStopping(monitor='val_f1', patience=1)
    history = net.train(*small_data(), 30, 1e-9, validation_split=0.2, callbacks=[stopping], verbose=0)
    assert len(history['loss']) == 2


def test_a_run_with_metrics_resumes_with_the_same_history(tmp_path):
    found = []
    for parts in ((3,), (1, 3)):
        for epochs in parts:
            net = small_network()
            net.compile('categorical_crossentropy', metrics=['f1'])
            options = {'checkpoint_dir': tmp_path / str(len(parts)), 'resume_from_checkpoint': True, 'verbose': 0}
            history = net.train(*small_data(), epochs=epochs, validation_split=0.2, **options)
        found.append(history.history)
    assert found[0] == found[1]


def test_metrics_that_do_not_fit_are_refused_before_training():
    net, (x, y) = Network([cnnx.Dense(4, 3), cnnx.Softmax()]), (np.ones((6, 4)), np.arange(6) % 3)
    net.compile('categorical_crossentropy', metrics=['top_5'])
    with pytest.raises(ValueError, match='top_5: expected k of at most 3'):
        net.train(x, y, validation_split=0.5, verbose=0)
    net = Network([cnnx.Dense(4, 1)])
    net.compile('mse', metrics=['f1'])
    with pytest.raises(ValueError, match='metrics: f1: expected outputs .* have no accuracy'):
        net.train(x, 3 * x[:, 0], validation_split=0.5, verbose=0)
