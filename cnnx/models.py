"""Networks that are known by name."""

from cnnx.layers import Convolutional, Dense, Flatten, MaxPooling, ReLU, Softmax
from cnnx.losses import CategoricalCrossEntropy
from cnnx.network import Network
from cnnx.optimizers import SGD


def lenet5(seed=None, dtype='float32', momentum=0.9, fused=True):
    """Return LeNet-5 for images (28, 28, 1) and 10 classes, ready to train.

    With ReLU and max-pooling, as it is built today. Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based
    learning applied to document recognition", 1998.
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
    network.add(Dense(output_size=10))
    network.add(Softmax())
    network.compile(CategoricalCrossEntropy(), optimizer=SGD(momentum=momentum))
    return network
