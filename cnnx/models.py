"""Networks that are known by name, recipes that train them to the best accuracy on MNIST, and a trained network."""

from pathlib import Path

from cnnx._util.hints import explain_names, public_names
from cnnx.augmentation import DigitShapes, Elastic, Rotate, Scale, Shear, Shift
from cnnx.layers import Convolutional, Dense, Dropout, Flatten, MaxPooling, ReLU, Softmax
from cnnx.losses import CategoricalCrossEntropy
from cnnx.network import Network
from cnnx.optimizers import SGD
from cnnx.schedules import OneCycle

__getattr__, __dir__ = explain_names(__name__), public_names(__name__)


def lenet5(seed=None, dtype='float32', momentum=0.9, fused=True, *, classes=10):
    """Return LeNet-5 for images (28, 28, 1), compiled: ready to train.

    It has ReLU and max-pooling where the paper has tanh and trained averages. Source: LeCun, Bottou, Bengio and
    Haffner, "Gradient-based learning applied to document recognition", 1998.

    Args:
        seed: of the weights and of what training draws, as `Network` takes it.
        dtype: 'float32' or 'float64'.
        momentum: of its optimizer, SGD.
        fused: whether neighbouring layers run as blocks, as `Network` takes it.
        classes: the number of outputs.
    """
    network = Network(seed=seed, dtype=dtype, fused=fused)
    network.add(Convolutional(input_shape=(28, 28, 1), num_filters=6, kernel_size=(5, 5), padding='same'))
    network.add(ReLU())
    network.add(MaxPooling(pool_size=(2, 2), stride=(2, 2)))
    network.add(Convolutional(num_filters=16, kernel_size=(5, 5), padding='valid'))
    network.add(ReLU())
    network.add(MaxPooling(pool_size=(2, 2), stride=(2, 2)))
    network.add(Flatten())
    network.add(Dense(output_size=120))
    network.add(ReLU())
    network.add(Dense(output_size=84))
    network.add(ReLU())
    network.add(Dense(output_size=classes))
    network.add(Softmax())
    network.compile(CategoricalCrossEntropy(), optimizer=SGD(momentum=momentum))
    return network


def accurate(seed=None, dtype='float32', momentum=0.9, fused=True, *, classes=10):
    """Return a larger network for images (28, 28, 1): pairs of 3 x 3 convolutions, max-pooling after each pair.

    It has ten times as many parameters as LeNet-5, and dropout before its last layer. Source: Simonyan and
    Zisserman, "Very deep convolutional networks for large-scale image recognition", 2015. Arguments: as of `lenet5`.
    """
    network = Network(seed=seed, dtype=dtype, fused=fused)
    network.add(Convolutional(input_shape=(28, 28, 1), num_filters=24, kernel_size=3, padding='same'))
    network.add(ReLU())
    network.add(Convolutional(num_filters=24, kernel_size=3, padding='same'))
    network.add(ReLU())
    network.add(MaxPooling(2))
    network.add(Convolutional(num_filters=48, kernel_size=3, padding='same'))
    network.add(ReLU())
    network.add(Convolutional(num_filters=48, kernel_size=3, padding='same'))
    network.add(ReLU())
    network.add(MaxPooling(2))
    network.add(Convolutional(num_filters=96, kernel_size=3, padding='same'))
    network.add(ReLU())
    network.add(Convolutional(num_filters=96, kernel_size=3))
    network.add(ReLU())
    network.add(Flatten())
    network.add(Dense(output_size=192))
    network.add(ReLU())
    network.add(Dropout(0.5))
    network.add(Dense(output_size=classes))
    network.add(Softmax())
    network.compile(CategoricalCrossEntropy(), optimizer=SGD(momentum=momentum))
    return network


# Chosen by the accuracy on 10,000 training images that were held out. `network` is a function above, `schedule` a class
# of cnnx.schedules, `average_shifts` the pixels of test-time augmentation; the rest are arguments of train and SGD.
SHARED = {
    'schedule': OneCycle,
    'batch_size': 64,
    'augment': [Shift(2), Rotate(10), Scale(0.15, each_axis=True), Shear(10), Elastic(20, 4)],
    'momentum': 0.9,
    'weight_decay': 5e-4,
}
RECIPES = {
    'lenet': {
        **SHARED,
        'network': lenet5,
        'epochs': 60,
        'learning_rate': 0.05,
        'average_shifts': 0,
        'augment': [DigitShapes(0.25), *SHARED['augment']],
    },
    'accurate': {**SHARED, 'network': accurate, 'epochs': 34, 'learning_rate': 0.03, 'average_shifts': 1},
}

# Networks that ship trained, by name, with what they were trained on; tools/train_pretrained.py makes them.
PRETRAINED_FOLDER = Path(__file__).parent / 'data' / 'pretrained'
PRETRAINED = {'lenet5-mnist': 'trained on MNIST: 99.6 % of its test images'}


def pretrained(name):
    """Return a trained network that comes with the package.

    'lenet5-mnist' is LeNet-5, trained by the recipe `lenet` on the 60,000 training images of MNIST. It reads 99.6 % of
    the 10,000 test images right. It takes images (N, 28, 28, 1): white digits on black, from 0 to 1, as
    `cnnx.data.prepare_digit` makes them of photographs.

    Args:
        name: 'lenet5-mnist'.

    Raises:
        ValueError: there is no network of that name.
        CheckpointError: its file is damaged.
    """
    if name not in PRETRAINED:
        raise ValueError(f'pretrained: expected one of {", ".join(PRETRAINED)}, got {name!r}')
    return Network.load(PRETRAINED_FOLDER / f'{name}.npz')
