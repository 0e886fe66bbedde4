"""A generative adversarial network (DCGAN) that draws digits, and a judge that says how good they are.

    python examples/gan.py

The generator makes images of random numbers and a digit by transposed convolutions. The discriminator learns to tell
them from images of MNIST, digit by digit, and the generator learns from the discriminator's gradient. At the end, a
LeNet-5 that comes with the package reads 1,000 samples of random digits, none of them chosen; it plays no part in
training. Printed are the fraction that it reads with more than 0.9, the fraction of each digit, and the Frechet
distance between its features of the samples and of the test images. Sources: Radford et al., "Unsupervised
representation learning with deep convolutional generative adversarial networks", 2016; Mirza and Osindero, "Conditional
generative adversarial nets", 2014, for the digits.
"""

import argparse
from pathlib import Path

import numpy as np

from cnnx import (
    Adam,
    BatchNormalization,
    BinaryCrossEntropy,
    Convolutional,
    Dense,
    Dropout,
    Flatten,
    LeakyReLU,
    Network,
    ReLU,
    Reshape,
    Sigmoid,
    TransposedConvolutional,
)
from cnnx.data import preprocess_mnist_data
from cnnx.models import pretrained

BATCH = 16
LATENT = 32  # random numbers that an image is made of, beside the digit
DIGITS = 10
LEARNING_RATE = 0.001  # of the first step; it falls to 0 in a straight line
REAL = 0.9  # the target of real images: one-sided label smoothing (Salimans et al., 2016)
DECAY = 0.999  # of the averaged weights, a step
SAMPLES = 1000


def new_generator(seed):
    layers = [Dense(LATENT + DIGITS, 7 * 7 * 64), Reshape((7, 7, 64)), BatchNormalization(), ReLU()]
    layers += [TransposedConvolutional(32, 4, stride=2, padding='same'), BatchNormalization(), ReLU()]
    layers += [TransposedConvolutional(1, 4, stride=2, padding='same'), Sigmoid()]
    net = Network(layers, seed=seed)
    net.compile(loss=None, optimizer=Adam(beta_1=0.5))  # its gradient comes from the discriminator
    return net


def new_discriminator(seed, outputs):
    """Return a network with an output for each digit, positive for images that it takes for real ones of that digit."""
    layers = [Convolutional(32, 4, stride=2, padding='same', input_shape=(28, 28, 1)), LeakyReLU(0.2), Dropout(0.3)]
    layers += [Convolutional(64, 4, stride=2, padding='same'), LeakyReLU(0.2), Dropout(0.3)]
    layers += [Flatten(), Dense(output_size=outputs)]
    net = Network(layers, seed=seed)
    net.compile(BinaryCrossEntropy(from_logits=True), Adam(beta_1=0.5))
    return net


def draw_input(rng, digits):
    """Return what images of these digits are made of: normal numbers, and the digit as a one-hot row, times 3."""
    return np.concatenate([rng.standard_normal((len(digits), LATENT)), 3 * np.eye(DIGITS)[digits]], axis=1)


def loss_of_digits(discriminator, images, digits, targets):
    """Return the loss of the discriminator's outputs for these digits, and its gradient by all outputs."""
    outputs = discriminator.forward(images, training=True)
    chosen = np.arange(len(images)), digits % outputs.shape[1]  # of a single output, this one
    loss, gradient = discriminator.loss.value_and_gradient(outputs[chosen][:, np.newaxis], targets)
    dy = np.zeros_like(outputs)
    dy[chosen] = gradient[:, 0]
    return loss, dy


def train_step(generator, discriminator, real, digits, rate):
    """Train both networks on one batch; return the losses of the discriminator and of the generator."""
    count = len(real)
    drawn = generator.generator.integers(DIGITS, size=count)
    fake = generator.forward(draw_input(generator.generator, drawn), training=True)
    images, digits = np.concatenate([real, fake]), np.concatenate([digits, drawn])
    loss_apart, dy = loss_of_digits(discriminator, images, digits, np.repeat([REAL, 0], count))
    discriminator.backward(dy)
    discriminator.update(rate)

    # The generator's loss is small where the discriminator takes its images for real ones. Only the gradient with
    # respect to the images is used: the discriminator is not updated.
    loss, dy = loss_of_digits(discriminator, fake, drawn, np.ones(count))
    generator.backward(discriminator.backward(dy))
    generator.update(rate)
    return loss_apart, loss


def move_average(average, generator):
    """Move the averaged weights towards the generator's, which go back and forth (Yazici et al., 2019)."""
    for name, parameter in average.parameters.items():
        parameter.value += (1 - DECAY) * (generator.parameters[name].value - parameter.value)


def train(nets, x, digits, first_epoch, settings):
    generator, discriminator, average = nets.values()
    for epoch in range(first_epoch, settings.epochs + 1):
        order = generator.generator.permutation(len(x))
        batches = [order[i : i + BATCH] for i in range(0, len(x) - BATCH + 1, BATCH)]
        losses = []
        for step, batch in enumerate(batches):
            done = (epoch - 1 + step / len(batches)) / settings.epochs
            losses.append(train_step(generator, discriminator, x[batch], digits[batch], LEARNING_RATE * (1 - done)))
            move_average(average, generator)
        losses = np.mean(losses, axis=0)
        print(f'epoch {epoch}: loss of the discriminator {losses[0]:.3f}, of the generator {losses[1]:.3f}', flush=True)
        if settings.checkpoint_dir:
            for name, net in nets.items():
                net.save(file_of(settings.checkpoint_dir, name, epoch), optimizer_state=True)


def file_of(folder, name, epoch):
    return Path(folder) / f'gan_{name}_epoch_{epoch}.npz'


def last_saved_epoch(folder):
    """Return the last epoch that all networks were saved after, or 0."""
    epochs = [int(path.stem.rpartition('_')[2]) for path in Path(folder).glob('gan_average_epoch_*.npz')]
    return max(epochs, default=0)  # it is saved last


def frechet_distance(a, b):
    """Return the squared Frechet distance between Gaussians fitted to the rows of a and b.

    |mean_a - mean_b|^2 + trace(A + B - 2 sqrt(A B)), A and B being the covariances; the trace of the root is the sum of
    the roots of the eigenvalues of A B. Source: Heusel et al., "GANs trained by a two time-scale update rule", 2017.
    """
    covariance_a, covariance_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    eigenvalues = np.linalg.eigvals(covariance_a @ covariance_b).real
    root = np.sqrt(np.maximum(eigenvalues, 0)).sum()
    return np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2) + np.trace(covariance_a) + np.trace(covariance_b) - 2 * root


def report(samples, x_train, x_test):
    """Print what the judge says of samples, beside what it says of as many training images."""
    judge, features = pretrained('lenet5-mnist'), pretrained('lenet5-mnist')
    for _ in ('Softmax', 'Dense'):
        features.pop()  # what is left returns the 84 numbers that the last Dense reads
    of_test = features.predict(x_test)
    for name, images in ((f'{len(samples)} training images', x_train[: len(samples)]), ('gan', samples)):
        probabilities = judge.predict(images)
        clear = np.mean(probabilities.max(axis=1) > 0.9)
        digits = np.bincount(probabilities.argmax(axis=1), minlength=10) / len(images)
        print(f'{name}: fraction of each digit from 0 to 9', *(f'{fraction:.1%}' for fraction in digits))
        distance = frechet_distance(features.predict(images), of_test)
        print(f'{name}: {clear:.1%} read with more than 0.9, rarest digit {digits.min():.1%}, distance {distance:.2f}')


def draw(path, samples):
    from matplotlib.figure import Figure

    figure = Figure((8, 8))
    axes = figure.add_subplot()
    axes.imshow(samples[:100, :, :, 0].reshape(10, 10, 28, 28).swapaxes(1, 2).reshape(280, 280), cmap='gray')
    axes.axis('off')
    figure.savefig(path)


def parse_settings(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--quick', action='store_true', help='few images, epochs and samples, to see that it runs')
    parser.add_argument('--full', action='store_true', help='all of MNIST instead of the subset')
    parser.add_argument('--data-dir', metavar='DIR', help='the folder of the full MNIST (downloaded if not given)')
    parser.add_argument('--no-labels', action='store_true', help='do not tell the discriminator which digit is meant')
    parser.add_argument('--epochs', type=int, metavar='N', help='number of epochs (60; --full: 5; --quick: 2)')
    parser.add_argument('--seed', type=int, default=0, metavar='N', help='of weights, noise and samples (0)')
    parser.add_argument('--plot', metavar='FILE', help='draw the first 100 samples')
    parser.add_argument('--checkpoint-dir', metavar='DIR', help='save both networks there after each epoch')
    parser.add_argument('--resume', action='store_true', help='continue from the last epoch that is saved, exactly')
    settings = parser.parse_args(arguments)
    if settings.resume and not settings.checkpoint_dir:
        parser.error('--resume needs --checkpoint-dir')
    settings.epochs = settings.epochs or (2 if settings.quick else 5 if settings.full else 60)
    return settings


def main(arguments=None):
    settings = parse_settings(arguments)
    (x_train, y_train), (x_test, _) = preprocess_mnist_data(full=settings.full, data_dir=settings.data_dir)
    x = x_train[:512] if settings.quick else x_train
    nets = {
        'generator': new_generator(settings.seed),
        'discriminator': new_discriminator(settings.seed + 1, 1 if settings.no_labels else DIGITS),
        'average': new_generator(settings.seed),
    }
    saved = 0
    if settings.checkpoint_dir:
        Path(settings.checkpoint_dir).mkdir(parents=True, exist_ok=True)
    if settings.resume and (saved := last_saved_epoch(settings.checkpoint_dir)):
        nets = {name: Network.load(file_of(settings.checkpoint_dir, name, saved)) for name in nets}
    train(nets, x, y_train.argmax(axis=1), saved + 1, settings)

    rng = np.random.default_rng(settings.seed)
    samples = nets['average'].predict(draw_input(rng, rng.integers(DIGITS, size=200 if settings.quick else SAMPLES)))
    if settings.plot:
        draw(settings.plot, samples)
    report(samples, x_train, x_test)


if __name__ == '__main__':
    main()
