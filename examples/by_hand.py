"""LeNet-5 from its layers, and the training loop written out: no Network, no train().

    python examples/by_hand.py

trains on 1,000 of the MNIST images that come with the package, and prints the loss and accuracy of each epoch. This is
what `Network(fused=False).train(...)` does, bit for bit; read it first, and then docs/reading.md.
"""

import numpy as np

from cnnx import SGD, CategoricalCrossEntropy, Convolutional, Dense, Flatten, MaxPooling, ReLU, Softmax
from cnnx.data import preprocess_mnist_data

EPOCHS = 3
BATCH_SIZE = 32
LEARNING_RATE = 0.01


def build(generator):
    """Return the layers of LeNet-5, their weights drawn from the generator, first layer first."""
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


def forward(layers, x):
    """Return the probabilities of the ten digits, (N, 10), for images, (N, 28, 28, 1)."""
    for layer in layers:
        x = layer.forward(x, training=True)
    return x


def backward(layers, dy):
    """Write the gradients of all weights, from the gradient of the loss by the probabilities."""
    for layer in reversed(layers):
        dy = layer.backward(dy)


def train(layers, loss, optimizer, generator, x, y):
    """Go through the images, in a new random order, a batch at a time; return the mean loss and the accuracy."""
    parameters = [parameter for layer in layers for parameter in layer.parameters]
    total_loss = correct = 0
    order = generator.permutation(len(x))
    for first in range(0, len(x), BATCH_SIZE):
        batch = order[first : first + BATCH_SIZE]
        probabilities = forward(layers, x[batch])
        batch_loss, gradient = loss.value_and_gradient(probabilities, y[batch])
        backward(layers, gradient)
        optimizer.update(parameters, LEARNING_RATE)
        total_loss += batch_loss * len(batch)
        correct += np.sum(probabilities.argmax(axis=1) == y[batch].argmax(axis=1))
    return total_loss / len(x), correct / len(x)


def accuracy(layers, x, y):
    """Return which fraction of the images is classified right."""
    for layer in layers:
        x = layer.forward(x)
    return np.mean(x.argmax(axis=1) == y.argmax(axis=1))


def main():
    (x_train, y_train), (x_test, y_test) = preprocess_mnist_data()
    generator = np.random.default_rng(0)
    layers, loss, optimizer = build(generator), CategoricalCrossEntropy(), SGD(momentum=0.9)
    for epoch in range(1, EPOCHS + 1):
        mean_loss, correct = train(layers, loss, optimizer, generator, x_train, y_train)
        print(f'epoch {epoch}: loss {mean_loss:.4f}, accuracy {correct:.4f}')
    print(f'test accuracy: {accuracy(layers, x_test, y_test):.2%} of {len(x_test)} images')
    return layers


if __name__ == '__main__':
    main()
