"""TensorBoard: what its own reader finds in the files."""

import io
import shutil
import sys

import numpy as np
import pytest
from callback_runs import train
from models import bits, small_data, small_network

import cnnx
from cnnx import callbacks
from cnnx.callbacks import LambdaCallback, TensorBoard
from cnnx.callbacks.tensorboard import tag_of

REASON = 'needs tensorboardX and tensorboard: pip install tensorboardX tensorboard'


def read(folder):
    """Return what TensorBoard shows of a folder."""
    name = 'tensorboard.backend.event_processing.event_accumulator'
    return pytest.importorskip(name, reason=REASON).EventAccumulator(str(folder)).Reload()


def scalars(found):
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()['scalars']}


@pytest.fixture(autouse=True)
def _library():
    pytest.importorskip('tensorboardX', reason=REASON)


def test_scalars_are_the_history(tmp_path):
    folder = tmp_path / 'runs' / 'a'
    history = train(small_network(), callbacks=[TensorBoard(folder)])
    found = scalars(read(folder))
    assert found.keys() == {tag_of(name) for name in history}
    for name, values in history.items():
        expected = [(epoch, pytest.approx(value)) for epoch, value in enumerate(values, 1)]
        assert found[tag_of(name)] == expected


def test_names_are_grouped_as_tensorboard_groups_them():
    tags = {'loss': 'loss/training', 'val_loss': 'loss/validation', 'learning_rate': 'learning_rate'}
    assert {name: tag_of(name) for name in tags} == tags


def test_images_are_the_samples_and_the_filters(tmp_path):
    image = pytest.importorskip('PIL.Image', reason='needs Pillow: pip install pillow')
    net = small_network()
    train(net, callbacks=[TensorBoard(tmp_path)], epochs=2)
    found = read(tmp_path)
    assert sorted(found.Tags()['images']) == ['filters', 'samples']
    pictures = {}
    for tag in ('filters', 'samples'):
        assert [event.step for event in found.Images(tag)] == [1, 2]
        with image.open(io.BytesIO(found.Images(tag)[-1].encoded_image_string)) as opened:
            pictures[tag] = np.asarray(opened).astype(int)
            assert (found.Images(tag)[-1].width, found.Images(tag)[-1].height) == opened.size
    x, y = small_data(10, seed=1)
    right = net.predict_classes(x) == y
    green = [(pictures['samples'][0, 12 * place] == callbacks.sheet.RIGHT).all() for place in range(10)]
    assert green == right.tolist()
    weights, shown = net.layers[0].weights, pictures['filters'][2::8, 2::8, 0][:3, :3]
    order = np.argsort(weights[:, :, 0, 0], axis=None)
    assert (np.diff(shown.ravel()[order]) >= 0).all()


def test_a_resumed_run_continues_its_curves(tmp_path):
    options, folder = {'checkpoint_dir': tmp_path / 'runs'}, tmp_path / 'board'
    history = train(small_network(), callbacks=[TensorBoard(folder)], epochs=3, **options)
    (tmp_path / 'runs' / 'model_epoch_3.npz').unlink()
    assert (
        train(small_network(), callbacks=[TensorBoard(folder)], epochs=3, resume_from_checkpoint=True, **options)
        == history
    )
    assert [step for step, _ in scalars(read(folder))['loss/training']] == [1, 2, 3]


def test_a_new_run_replaces_an_older_one(tmp_path):
    train(small_network(), callbacks=[TensorBoard(tmp_path)], epochs=4)
    train(small_network(seed=1), callbacks=[TensorBoard(tmp_path)], epochs=2)
    assert [step for step, _ in scalars(read(tmp_path))['loss/training']] == [1, 2]


def test_training_gives_the_same_bits_with_it(tmp_path):
    plain, watched = small_network(), small_network()
    history = train(plain)
    assert train(watched, callbacks=[TensorBoard(tmp_path)]).history == history.history
    assert bits(watched) == bits(plain)


def test_a_folder_that_is_removed_ends_no_run(tmp_path):
    folder, count = tmp_path / 'board', []

    def remove(epoch, metrics):
        count.append(epoch)
        if epoch == 1:
            shutil.rmtree(folder)

    message = 'TensorBoard: an epoch is not written, the run goes on: .* is gone'
    with pytest.warns(RuntimeWarning, match=message) as caught:
        train(small_network(), callbacks=[TensorBoard(folder), LambdaCallback(on_epoch_end=remove)], epochs=4)
    assert len(caught) == 1
    assert [step for step, _ in scalars(read(folder))['loss/training']] == [3, 4]


def test_a_full_disk_ends_no_run(tmp_path, monkeypatch):
    writer = pytest.importorskip('tensorboardX.record_writer').RecordWriter

    def fail(self):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(writer, 'flush', fail)
    net = small_network()
    with pytest.warns(RuntimeWarning, match='No space left on device'):
        history = train(net, callbacks=[TensorBoard(tmp_path)])
    assert len(history['loss']) == 3


def test_a_run_that_diverges_leaves_its_epochs(tmp_path):
    def fail(epoch):
        if epoch == 3:
            raise cnnx.DivergenceError('the loss is nan')

    with pytest.raises(cnnx.DivergenceError):
        train(small_network(), callbacks=[TensorBoard(tmp_path), LambdaCallback(on_epoch_begin=fail)])
    assert [step for step, _ in scalars(read(tmp_path))['loss/training']] == [1, 2]


@pytest.mark.parametrize('log_dir', [3, '', None])
def test_what_is_no_path_is_refused(log_dir):
    with pytest.raises(ValueError, match='log_dir: expected the path of a folder'):
        TensorBoard(log_dir)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / 'runs').write_text('')
    with pytest.raises(ValueError, match='log_dir: expected the path of a folder, .* is a file'):
        train(small_network(), callbacks=[TensorBoard(tmp_path / 'runs')])


def test_a_missing_library_is_named_before_training(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'tensorboardX', None)
    net = small_network()
    before = bits(net)
    with pytest.raises(ImportError, match='TensorBoard needs tensorboardX: pip install tensorboardX'):
        train(net, callbacks=[TensorBoard(tmp_path / 'runs')])
    assert bits(net) == before
    assert not (tmp_path / 'runs').exists()
