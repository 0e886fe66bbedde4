"""The callbacks of a run, as one: order, states, what they may not do."""

import pytest
from models import small_data, small_network

from cnnx.callbacks import BestCheckpoint, CSVLogger, EarlyStopping, LambdaCallback


def train(net, **options):
    x, y = small_data(22)
    settings = {'epochs': 3, 'batch_size': 8, 'learning_rate': 0.05, 'verbose': 0}
    return net.train(x, y, **(settings | {'validation_data': small_data(10, seed=1)} | options))


def test_a_layer_taken_out_in_training_is_reported():
    net = small_network()
    taking = LambdaCallback(on_batch_end=lambda batch, metrics: net.pop())
    with pytest.raises(RuntimeError, match='LambdaCallback.on_batch_end: took a layer out of the network in training'):
        train(net, callbacks=[taking])
    net = small_network()
    train(net, callbacks=[LambdaCallback(on_train_end=lambda: net.pop())])
    assert len(net.layers) == 5


def test_callbacks_go_on_beside_others_and_in_another_order(tmp_path, capsys):
    options = {'checkpoint_dir': tmp_path, 'verbose': 1}
    first = [BestCheckpoint(tmp_path / 'best.npz', 'loss'), EarlyStopping('loss', 9), EarlyStopping('accuracy', 9)]
    train(small_network(), callbacks=first, epochs=2, learning_rate=0.05, **options)
    best, content = first[0].best, (tmp_path / 'best.npz').read_bytes()
    capsys.readouterr()
    again = [
        CSVLogger(tmp_path / 'log.csv'),
        EarlyStopping('accuracy', 9),
        BestCheckpoint(tmp_path / 'best.npz', 'loss'),
    ]
    train(small_network(), callbacks=again, epochs=3, learning_rate=0.0, resume_from_checkpoint=True, **options)
    said = capsys.readouterr().out
    assert 'CSVLogger' not in said
    assert 'EarlyStopping: its state up to here is dropped, as no callback takes it' in said
    assert again[2].best <= best
    assert again[1].best >= first[2].best
    assert again[1].best_epoch in (first[2].best_epoch, 3)
    assert (again[2].best_epoch == 3) == ((tmp_path / 'best.npz').read_bytes() != content)
    assert len((tmp_path / 'log.csv').read_text().splitlines()) == 4


def test_callbacks_of_a_class_in_another_order_take_their_own_states(tmp_path):
    def pair():
        return EarlyStopping('val_loss'), EarlyStopping('val_accuracy')

    loss, accuracy = pair()
    options = {'checkpoint_dir': tmp_path, 'epochs': 2}
    train(small_network(), callbacks=[loss, accuracy], **options)
    best = loss.best, accuracy.best
    loss, accuracy = pair()
    train(small_network(), callbacks=[accuracy, loss], resume_from_checkpoint=True, **options)
    assert (loss.best, accuracy.best) == best


def test_a_callback_twice_is_refused():
    stopping = EarlyStopping()
    with pytest.raises(ValueError, match='got one twice'):
        train(small_network(), callbacks=[stopping, stopping])
