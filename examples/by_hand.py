"""LeNet-5 from its layers, and the training loop written out: no Network, no train().

    python examples/by_hand.py

trains on the 5,000 MNIST images that come with the package, in some seconds, and prints the loss and accuracy of each
epoch. The weights become those of `cnnx.models.lenet5(seed=0, fused=False).train(...)`, bit for bit.
docs/reading.md goes on from here.
"""

import numpy as np

from cnnx import SGD, CategoricalCrossEntropy, Convolutional, Dense, Flatten, MaxPooling, ReLU, Softmax
from cnnx.data import preprocess_mnist_data

EPOCHS = 3
BATCH_SIZE = 32
LEARNING_RATE = 0.01
MOMENTUM = 0.9


def build(generator):
    """Return the layers of LeNet-5; their weights are drawn from the generator, those of the first layer first."""
    layers = [
        Convolutional(num_filters=6, kernel_size=5, padding='same'),
        ReLU(),
        MaxPooling(pool_size=2),
        Convolutional(num_filters=16, kernel_size=5),
        ReLU(),
        MaxPooling(pool_size=2),
        Flatten(),
        Dense(output_size=120),
        ReLU(),
        Dense(output_size=84),
        ReLU(),
        Dense(output_size=10),
        Softmax(),
    ]
    shape = (28, 28, 1)  # of one image: height, width, channels
    for layer in layers:
        layer.set_up(shape, generator)
        shape = layer.shape
    return layers


def forward(layers, x, training):
    """Return the probabilities of the ten digits, (N, 10), for images, (N, 28, 28, 1)."""
    for layer in layers:
        x = layer.forward(x, training)  # which keeps what layer.backward needs
    return x


def backward(layers, dy):
    """Write the gradients of all weights into `parameter.grad`; dy is the gradient of the loss by the probabilities."""
    for layer in reversed(layers):
        dy = layer.backward(dy)  # Softmax takes the loss's more exact gradient instead (docs/reading.md, section 7)


def train_epoch(layers, loss, optimizer, generator, x, y):
    """Train on all images once, in a new random order, batch by batch; return the mean loss and the accuracy."""
    parameters = [parameter for layer in layers for parameter in layer.parameters]
    order = generator.permutation(len(x))
    total_loss = correct = 0
    for first in range(0, len(x), BATCH_SIZE):
        batch = order[first : first + BATCH_SIZE]
        probabilities = forward(layers, x[batch], training=True)
        mean_loss, gradient = loss.value_and_gradient(probabilities, y[batch])
        backward(layers, gradient)
        optimizer.update(parameters, LEARNING_RATE)
        total_loss += mean_loss * len(batch)
        correct += count_correct(probabilities, y[batch])
    return total_loss / len(x), correct / len(x)


def count_correct(probabilities, y):
    """Return for how many images the most probable digit is the right one; y is one-hot, (N, 10)."""
    return np.sum(probabilities.argmax(axis=1) == y.argmax(axis=1))


def main():
    (x_train, y_train), (x_test, y_test) = preprocess_mnist_data()
    generator = np.random.default_rng(0)
    layers, loss, optimizer = build(generator), CategoricalCrossEntropy(), SGD(momentum=MOMENTUM)
    for epoch in range(1, EPOCHS + 1):
        mean_loss, accuracy = train_epoch(layers, loss, optimizer, generator, x_train, y_train)
        print(f'epoch {epoch}: loss {mean_loss:.4f}, accuracy {accuracy:.2%}')
    correct = count_correct(forward(layers, x_test, training=False), y_test)
    print(f'test accuracy: {correct / len(x_test):.2%} of {len(x_test)} images')
    return layers


if __name__ == '__main__':
    main()
