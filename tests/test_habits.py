"""What users of Keras, PyTorch and scikit-learn write first: it works, or one line says how it is done here."""

import numpy as np
import pytest
from models import small_data, small_network

import cnnx

WORKS = None
# What is written, and what the error says; WORKS where there is none.
IMPORTS = {
    'from cnnx import Conv2D': 'cnnx.Conv2D: here Convolutional(num_filters, kernel_size)',
    'from cnnx.layers import MaxPooling2D, Dense': 'cnnx.layers.MaxPooling2D: here MaxPooling(pool_size)',
    'from cnnx.losses import CrossEntropyLoss': 'here CategoricalCrossEntropy(from_logits=True)',
    'from cnnx.callbacks import ModelCheckpoint': 'here train(checkpoint_dir=...), or cnnx.callbacks.BestCheckpoint',
    'from cnnx.models import Sequential': 'cnnx.models.Sequential: here Network([Convolutional(...), ReLU(), ...])',
    'from cnnx.callbacks import EarlyStopping': WORKS,
    'from cnnx.optimizers import Adam': WORKS,
    'from cnnx import Conv': "cannot import name 'Conv'",
    'cnnx.nn.Linear(3, 2)': 'cnnx.nn: here cnnx itself',
    'cnnx.Linear(3, 2)': 'here Dense(input_size, output_size)',
    'cnnx.Dropout2d(0.5)': 'here Dropout(rate)',
    'cnnx.MaxPool2d(2)': 'here MaxPooling(pool_size)',
    'cnnx.BatchNorm2d(16)': 'here BatchNormalization()',
    'cnnx.Activation("relu")': 'here a layer of its own, such as ReLU()',
    'cnnx.Input((28, 28, 1))': WORKS,
    'cnnx.Sequential([])': 'here Network([Convolutional(...), ReLU(), ...])',
    'cnnx.Model(inputs=1, outputs=2)': 'here Network([Convolutional(...), ReLU(), ...])',
    'cnnx.utils.to_categorical(y)': 'class indices (N,) need no to_categorical',
    'cnnx.datasets.mnist.load_data()': 'here cnnx.data.load_dataset(name)',
    'cnnx.optim.SGD(net.parameters(), lr=0.1)': 'cnnx.optim: here cnnx.optimizers',
    'cnnx.manual_seed(0)': 'here Network(seed=0)',
    'cnnx.tensor([1.0])': 'here not needed: NumPy arrays are used as they are',
    'cnnx.load_model("m.npz")': 'here Network.load(path)',
    'cnnx.no_such_thing': "module 'cnnx' has no attribute 'no_such_thing'",
    'cnnx.EarlyStopping(patience=3)': 'cnnx.EarlyStopping: here cnnx.callbacks.EarlyStopping()',
    'cnnx.LSTM(10)': 'here a subclass of cnnx.Layer that you write',
    'cnnx.data.load_dataset, cnnx.models.lenet5': WORKS,
    'cnnx.augmentation.RandomHorizontalFlip()': 'here cnnx.augmentation.Flip()',
    'cnnx.schedules.StepLR()': 'here cnnx.schedules.StepDecay',
    'cnnx.DepthwiseConv2D(3)': 'here Convolutional(channels, kernel_size, groups=channels)',
    'cnnx.UpSampling2D(2)': 'here UpSampling(size)',
    'cnnx.metrics.AUC()': "module 'cnnx.metrics' has no attribute 'AUC'",
}
LAYERS = {
    'cnnx.Convolutional(6, 16, 5)': 'only num_filters, kernel_size can be given without a name, got 3',
    'cnnx.Convolutional(32, (3, 3), activation="relu")': 'here a layer of its own after this one, such as ReLU()',
    'cnnx.Convolutional(filters=32, kernel_size=3)': 'Convolutional(filters=...): here num_filters=',
    'cnnx.Convolutional(in_channels=1, out_channels=6, kernel_size=5)': 'here left out: it follows from the layer',
    'cnnx.Convolutional(6, 5, strides=2)': 'Convolutional(strides=...): here stride=',
    'cnnx.Convolutional(6, 5, padding="SAME")': "padding: expected 'valid', 'same'",
    'cnnx.Convolutional(32)': "Convolutional: missing a required argument: 'kernel_size'",
    'cnnx.Convolutional(32, 3, colour=1)': 'Convolutional: no argument colour; expected num_filters, kernel_size',
    'cnnx.MaxPooling(2, 2)': 'MaxPooling: only pool_size can be given without a name, got 2',
    'cnnx.MaxPooling(kernel_size=2)': 'MaxPooling(kernel_size=...): here pool_size=',
    'cnnx.MaxPooling((2, 2), strides=2)': 'MaxPooling(strides=...): here stride=',
    'cnnx.Dense(64)': WORKS,
    'cnnx.Dense(400, 120)': WORKS,
    'cnnx.Dense(64, activation="relu")': 'Dense(activation=...): here a layer of its own after this one',
    'cnnx.Dense(units=64)': 'Dense(units=...): here output_size=',
    'cnnx.Dense(in_features=3, out_features=2)': 'Dense(in_features=...): here input_size=',
    'cnnx.Dense(3, 2, bias=False)': 'Dense(bias=...): here use_bias=',
    'cnnx.Dropout(p=0.5)': 'Dropout(p=...): here rate=',
    'cnnx.BatchNormalization(32)': 'the number of channels is left out: it follows from the layer before',
    'cnnx.BatchNormalization(eps=1e-3)': 'BatchNormalization(eps=...): here epsilon=',
    'cnnx.Softmax(dim=1)': 'Softmax(dim=...): here left out',
    'cnnx.ReLU(inplace=True)': 'ReLU(inplace=...): here left out',
    'net.layers[0].weight': 'Convolutional.weight: here weights',
    'net.layers[0].get_weights()': 'Convolutional.get_weights: here weights and bias',
}
NETWORKS = {
    'cnnx.Network([cnnx.Dense(3, 4), cnnx.ReLU(), cnnx.Dense(2)])': WORKS,
    'cnnx.Network(cnnx.Dense(3, 4), cnnx.ReLU())': 'layers come in one list, Network([...])',
    'cnnx.Network(cnnx.Dense(3, 4))': 'Network: expected a list of layers',
    'cnnx.Network(42)': 'for a seed, Network(seed=42)',
    'cnnx.Network(random_state=0)': 'Network(random_state=...): here seed=',
    'net.add(cnnx.ReLU)': 'call it: ReLU()',
    'net.add([cnnx.ReLU()])': 'add one at a time, or make Network([...])',
    'net.add(cnnx.ReLU(), cnnx.ReLU())': 'takes 2 positional arguments',
    'net.layers[0](x)': WORKS,
    'net(x)': WORKS,
    'net(x, training=True)': WORKS,
    'net.parameters["weights_0"].requires_grad = False': 'Parameter.requires_grad: here trainable',
    'net.layers[0].trainable = False': WORKS,
    'net.optimizer.lr = 0.1': 'it goes to train(learning_rate=...)',
    'net.eval()': 'Network.eval: here not needed: train trains; predict, evaluate and net(x) do not',
    'net.train()': 'there is no training mode to set',
    'net.train(False)': 'there is no training mode to set',
    'net.to("cuda")': 'Network.to: here not needed: cnnx runs on the CPU',
    'net.parameters()': 'a dict, without parentheses: net.parameters.values()',
    'list(net.parameters.values())': WORKS,
    'net.state_dict()': 'Network.state_dict: here save_weights(path)',
    'net.get_weights()': 'layer.weights, layer.bias, to read and to write',
    'net.count_params()': 'summary() prints it',
    'net.zero_grad()': 'here not needed: backward overwrites gradients',
    'net.no_such_thing': "'Network' object has no attribute 'no_such_thing'",
    'net.save("m.keras")': 'm.keras is the name of a file of Keras; cnnx has .npz files',
    'net.save("m.h5")': 'm.h5 is the name of a file of Keras',
    'net.save_weights("m.pt")': 'm.pt is the name of a file of PyTorch',
    'net.load_weights("m.pth")': 'm.pth is the name of a file of PyTorch',
    'cnnx.Network.load("m.tflite")': 'm.tflite is the name of a file of TensorFlow',
}
TRAINING = {
    'net.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])': WORKS,
    'net.compile(loss="sparse_categorical_crossentropy", optimizer="SGD", metrics=["acc", "top_2_accuracy"])': WORKS,
    'net.compile("mse", "rmsprop")': WORKS,
    'net.compile("adam", "mse")': 'got an optimizer where the loss comes first; write compile(loss=..., optimizer=...)',
    'net.compile(cnnx.Adam(), "mse")': 'got an optimizer where the loss comes first',
    'net.compile(loss="binary_crossentropy")': WORKS,
    'net.compile(loss="mae")': WORKS,
    'net.compile(loss="mean")': "loss: expected one of 'bce'",
    'net.compile(cnnx.MeanSquaredError)': 'call it: MeanSquaredError()',
    'net.compile("mse", metrics=["mae"])': WORKS,
    'net.compile("mse", metrics=["confusion_matrix"])': 'a confusion matrix is no number',
    'net.compile("mse", "adam", learning_rate=0.1)': 'compile(learning_rate=...): here an argument of train',
    'cnnx.Adam(0.001)': 'Adam: expected arguments by name',
    'cnnx.Adam(learning_rate=0.001)': 'that goes to train(learning_rate=...)',
    'cnnx.SGD(lr=0.1, momentum=0.9)': 'that goes to train(learning_rate=...)',
    'cnnx.Adam(betas=(0.9, 0.99))': 'Adam(betas=...): here beta_1= and beta_2=',
    'cnnx.Adam(eps=1e-7)': 'Adam(eps=...): here epsilon=',
    'net.optimizer.zero_grad()': 'SGD.zero_grad: here not needed',
    'net.loss(net(x), y)': 'call its value_and_gradient(y, targets)',
    'net.fit(x, y)': 'Network.fit: here train(x, y, epochs, learning_rate)',
    'net.train(x, y, 2, 0.1, verbose=0)': WORKS,
    'net.train(x, y, 32, 10)': 'that is 32 epochs at learning rate 10; give a batch size by name, batch_size=...',
    'net.train(x, y, 1, learning_rate=1.5, verbose=0)': WORKS,
    'net.train(x, y, 0.1)': 'epochs: expected a whole number of at least 1, got 0.1',
    'net.train(x, y, 2, 0.1, 32)': 'only x, y, epochs, learning_rate can be given without a name, got 5',
    'net.train(x, y, lr=0.1)': 'train(lr=...): here learning_rate=',
    'net.train(x, y, num_epochs=3)': 'train(num_epochs=...): here epochs=',
    'net.train(x, y, patience=3)': 'here an argument of cnnx.callbacks.EarlyStopping',
    'net.partial_fit(x, y)': 'here train_on_batch(x, y)',
    'net.predict_proba(x)': 'Network.predict_proba: here predict(x)',
    'net.score(x, y)': "here evaluate(x, y)['accuracy']",
    'net.predict(x, verbose=0)': 'predict(verbose=...): here left out: nothing is printed',
    'net.evaluate(x, y, verbose=0)': 'evaluate(verbose=...): here left out: nothing is printed',
    'net.evaluate(x, y, 64)': 'only x, y can be given without a name, got 3',
    'net.evaluate(x, y)[1]': '1: evaluate returns a dict with loss, accuracy',
    'net.train(x, ["cat", "dog"] * 25)': 'for names, use names, indices = np.unique(values, return_inverse=True)',
    'net.train(x, y, x, y)': 'epochs: expected a whole number of at least 1, got array(',
    'cnnx.callbacks.EarlyStopping(monitor="val_loss", patience=3)': WORKS,
    'cnnx.callbacks.EarlyStopping(patience=3, restore_best_weights=True)': 'here restore_best=',
    'cnnx.schedules.StepDecay(0.1, step_size=3, gamma=0.1)': 'StepDecay(step_size=...): here every=',
    'cnnx.schedules.Cosine(0.1, T_max=10)': 'Cosine(T_max=...): here left out: it ends with the run',
    'net.predict(x.transpose(0, 3, 1, 2))': 'move the channels to the end: x.transpose(0, 2, 3, 1)',
    'net.predict(x[0, ..., 0])': 'add batch and channel axes: x[np.newaxis, ..., np.newaxis]',
    'net.predict(x[0])': 'add a batch axis: x[np.newaxis]',
    'net.predict(x[..., 0])': 'add a channel axis: x[..., np.newaxis]',
    'net.predict(x.reshape(-1, 36))': 'reshape it: x.reshape(-1, 6, 6, 1)',
}


@pytest.mark.parametrize(('line', 'message'), [*IMPORTS.items(), *LAYERS.items(), *NETWORKS.items(), *TRAINING.items()])
def test_it_works_or_says_how(line, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x, y = small_data()
    names = {'cnnx': cnnx, 'net': small_network(), 'x': x, 'y': y}
    if message is WORKS:
        exec(line, names)
        return
    with pytest.raises((TypeError, ValueError, AttributeError, ImportError, KeyError)) as caught:
        exec(line, names)
    assert message in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('name', ['fit', 'eval', 'state_dict', 'weights', '__array__'])
def test_a_network_does_not_have_what_it_explains(name):
    assert not hasattr(small_network(), name)
    assert not hasattr(cnnx, 'Sequential')


def test_weights_with_the_names_of_pytorch_are_refused_with_what_to_do(tmp_path):
    np.savez(tmp_path / 'w.npz', **{'conv1.weight': np.zeros((3, 1, 3, 3)), 'conv1.bias': np.zeros(3)})
    with pytest.raises(cnnx.CheckpointError, match=r"conv1\.weight is a name of PyTorch: give layout='torch'"):
        small_network().load_weights(tmp_path / 'w.npz')


def test_completion_shows_what_is_public():
    assert {'train', 'predict', 'layers', 'doctor', 'metrics'} < set(dir(small_network()))
    assert not {'needs_loss', 'plan', 'reset_plan', 'fit'} & set(dir(small_network()))
    assert sorted(cnnx.__all__) == dir(cnnx)
    assert 'network' not in dir(cnnx)


def test_attributes_of_other_libraries_cannot_be_set_without_effect():
    with pytest.raises(AttributeError, match='Dense.weight: here weights'):
        cnnx.Dense(3, 2).weight = np.ones((3, 2))


@pytest.mark.parametrize('module', ['callbacks', 'data', 'models', 'schedules', 'metrics', 'augmentation', 'layers'])
def test_completion_shows_what_a_module_is_for(module):
    names = dir(getattr(cnnx, module))
    assert names
    assert not {'np', 'os', 'math', 'Path'} & set(names)
    assert not [name for name in names if name.startswith('_')]
