"""Autoencoders of MNIST: a convolutional variational autoencoder (VAE), and one that takes noise away (denoising).

    python examples/autoencoder.py vae                  # samples of new digits
    python examples/autoencoder.py vae --latents 2      # the latent plane
    python examples/autoencoder.py denoising

An encoder makes a few numbers, the latents, of an image, and a decoder makes an image of them. The VAE's encoder gives
the mean and the log variance of each latent; the decoder gets a sample of that normal distribution. Trained is the
evidence lower bound of the log-likelihood (ELBO), in nats an image: log p(image | latents) - KL(encoder's || N(0, 1)).
Pixels are drawn black or white, anew for each epoch, with their grey value as the probability of white.
Sources: Kingma and Welling, 2014 (VAE); Vincent et al., 2008 (denoising).
"""

import argparse
from pathlib import Path
from statistics import NormalDist

import numpy as np

from cnnx import Adam, BinaryCrossEntropy, Network
from cnnx.data import preprocess_mnist_data
from cnnx.layers import Convolutional, Dense, Flatten, Input, ReLU, Reshape, Sigmoid, TransposedConvolutional
from cnnx.schedules import OneCycle

PIXELS = 28 * 28
BATCH = 100
RATE = OneCycle(0.002)


def encode(x, outputs):
    """Call the encoder's layers on images (28, 28, 1); return `outputs` numbers."""
    h = ReLU()(Convolutional(16, 5, stride=2, padding='same')(x))
    h = ReLU()(Convolutional(32, 5, stride=2, padding='same')(h))
    h = ReLU()(Dense(output_size=256)(Flatten()(h)))
    return Dense(output_size=outputs, kernel_initializer='glorot_normal')(h)


def decode(z):
    """Call the decoder's layers on latents; return the probability of white of each pixel, (28, 28, 1)."""
    h = ReLU()(Dense(output_size=256)(z))
    h = Reshape((7, 7, 32))(ReLU()(Dense(output_size=7 * 7 * 32)(h)))
    h = ReLU()(TransposedConvolutional(16, 4, stride=2, padding='same')(h))
    h = TransposedConvolutional(1, 4, stride=2, padding='same', kernel_initializer='glorot_normal')(h)
    return Sigmoid()(h)


class VAE:
    def __init__(self, latents, seed):
        x, z = Input((28, 28, 1)), Input((latents,))
        self.latents = latents
        self.encoder = Network(inputs=x, outputs=encode(x, 2 * latents), seed=seed)
        self.decoder = Network(inputs=z, outputs=decode(z), seed=seed + 1)
        self.encoder.compile(loss=None, optimizer=Adam())
        self.decoder.compile(BinaryCrossEntropy(), Adam())

    def step(self, x, rng, learning_rate):
        """Learn from images (N, 28, 28, 1); return their ELBO."""
        mean, log_variance = np.split(self.encoder.forward(x, training=True), 2, axis=1)
        deviation = np.exp(log_variance / 2)
        noise = rng.standard_normal(mean.shape, np.float32)
        probabilities = self.decoder.forward(mean + deviation * noise, training=True)
        # The loss is the mean over images and pixels, so all gradients are those of -ELBO / PIXELS.
        loss, dy = self.decoder.loss.value_and_gradient(probabilities, x)
        dz = self.decoder.backward(dy)
        scale = 1 / (len(x) * PIXELS)
        dmean = dz + scale * mean
        dlog_variance = dz * noise * deviation / 2 + scale * (deviation**2 - 1) / 2
        self.encoder.backward(np.concatenate([dmean, dlog_variance], axis=1))
        self.encoder.update(learning_rate)
        self.decoder.update(learning_rate)
        return -PIXELS * loss - divergence(mean, log_variance).mean()

    def elbo(self, x, rng):
        """Return the mean ELBO of images, and its two terms, with one sample of latents for each image."""
        mean, log_variance = np.split(self.encoder.predict(x), 2, axis=1)
        noise = rng.standard_normal(mean.shape, np.float32)
        loss, _ = self.decoder.loss.value_and_gradient(self.decoder.predict(mean + np.exp(log_variance / 2) * noise), x)
        terms = -PIXELS * loss, divergence(mean, log_variance).mean()
        return terms[0] - terms[1], *terms

    def reconstruct(self, x):
        return self.decoder.predict(self.encoder.predict(x)[:, : self.latents])


def divergence(mean, log_variance):
    """Return KL(N(mean, variance) || N(0, 1)) of each image, summed over latents: (N,)."""
    return (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(axis=1) / 2


def draw_pixels(x, rng):
    return (rng.random(x.shape, np.float32) < x).astype(np.float32)


def train_vae(vae, x, settings):
    """The training loop. What an epoch draws depends on the seed and its number alone: a resumed run is exact."""
    first = load_newest(vae, settings) if settings.resume else 0
    steps = len(x) // BATCH
    for epoch in range(first, settings.epochs):
        rng = np.random.default_rng((settings.seed, epoch + 1))
        total = 0.0
        for step, index in enumerate(rng.permutation(len(x)).reshape(steps, BATCH)):
            images = draw_pixels(x[index], rng)
            rate = RATE(epoch * steps + step, settings.epochs * steps, settings.epochs)
            total += vae.step(images, rng, rate)
        print(f'epoch {epoch + 1}: ELBO {total / steps:.2f} nats', flush=True)
        if settings.checkpoint_dir:
            save(vae, epoch + 1, settings)


def files(epoch, settings):
    name = f'vae_{settings.latents}_{settings.seed}'
    return [Path(settings.checkpoint_dir) / f'{name}_{part}_epoch_{epoch}.npz' for part in ('encoder', 'decoder')]


def save(vae, epoch, settings):
    """Save both networks, the decoder last, and remove the files of the epoch before."""
    Path(settings.checkpoint_dir).mkdir(parents=True, exist_ok=True)
    for net, path in zip((vae.encoder, vae.decoder), files(epoch, settings), strict=True):
        net.save(path, optimizer_state=True)
    for path in files(epoch - 1, settings):
        path.unlink(missing_ok=True)


def load_newest(vae, settings):
    """Load the networks that were saved last; return how many epochs they have learned, 0 where there are none."""
    _, pattern = files('*', settings)
    decoders = sorted(pattern.parent.glob(pattern.name), key=lambda path: path.stat().st_mtime)
    if not decoders:
        return 0
    epoch = int(decoders[-1].stem.rpartition('_')[2])
    vae.encoder, vae.decoder = (Network.load(path) for path in files(epoch, settings))
    return epoch


def run_vae(train, test, settings):
    vae = VAE(settings.latents, settings.seed)
    train_vae(vae, train, settings)
    rng = np.random.default_rng(settings.seed)
    images = draw_pixels(test[0], rng)
    elbo, likelihood, kl = vae.elbo(images, rng)
    if settings.plot and settings.latents == 2:
        plot(latent_plane(vae), settings.plot, vae.encoder.predict(test[0]), test[1].argmax(axis=1))
    elif settings.plot:
        samples = vae.decoder.predict(rng.standard_normal((64, settings.latents), np.float32))
        plot(np.concatenate([images[:16], vae.reconstruct(images[:16]), samples]), settings.plot)
    print(f'test ELBO: {elbo:.2f} nats an image (log p(image | latents) {likelihood:.2f}, KL {kl:.2f})')


def run_denoising(train, test, settings):
    """Train an autoencoder that gets images with noise, and is to give them without: new noise for each epoch."""
    x = Input((28, 28, 1))
    net = Network(inputs=x, outputs=decode(encode(x, settings.latents)), seed=settings.seed)
    net.compile(BinaryCrossEntropy(), Adam())

    def batches(epoch):
        rng = np.random.default_rng((settings.seed, epoch + 1))
        for index in rng.permutation(len(train)).reshape(-1, BATCH):
            yield add_noise(train[index], rng), train[index]

    checkpoints = {'checkpoint_dir': settings.checkpoint_dir, 'resume_from_checkpoint': settings.resume}
    net.train(batches, epochs=settings.epochs, learning_rate=RATE, checkpoint_prefix='denoising', **checkpoints)
    noisy = add_noise(test[0], np.random.default_rng(settings.seed))
    clean = net.predict(noisy)
    if settings.plot:
        plot(np.concatenate([noisy[:16], clean[:16], test[0][:16]]), settings.plot)
    before, after = (np.mean((images - test[0]) ** 2) for images in (noisy, clean))
    print(f'test mean squared error: {after:.4f}, of the noisy images {before:.4f}')


def add_noise(x, rng):
    return np.clip(x + 0.5 * rng.standard_normal(x.shape, np.float32), 0, 1)


def latent_plane(vae, size=16):
    """Return the images of size x size latents, spaced so that N(0, 1) has the same probability between them."""
    quantiles = [NormalDist().inv_cdf((i + 0.5) / size) for i in range(size)]
    return vae.decoder.predict(np.array([(a, b) for b in reversed(quantiles) for a in quantiles], np.float32))


def plot(images, path, latents=None, classes=None):
    """Draw images, 16 to a row; and where there are latents, (N, 2) or more, these as points, coloured by class."""
    from matplotlib.figure import Figure

    columns = 1 if latents is None else 2
    figure = Figure(figsize=(8 * columns, 8 if columns == 2 else len(images) / 32), layout='constrained')
    panels = figure.subplots(1, columns, squeeze=False)[0]
    panels[0].imshow(images.reshape(-1, 16, 28, 28).swapaxes(1, 2).reshape(-1, 16 * 28), cmap='gray')
    panels[0].axis('off')
    if columns == 2:
        points = panels[1].scatter(latents[:, 0], latents[:, 1], s=4, c=classes, cmap='tab10')
        panels[1].legend(*points.legend_elements())
    figure.savefig(path)


def parse_settings(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('kind', choices=('vae', 'denoising'))
    add('--latents', type=int, default=32, metavar='N', help='numbers between encoder and decoder (32)')
    add('--epochs', type=int, default=40, metavar='N', help='number of epochs (40)')
    add('--seed', type=int, default=0, metavar='N', help='of weights, orders, pixels and noise (0)')
    add('--full', action='store_true', help='all of MNIST instead of the subset')
    add('--data-dir', metavar='DIR', help='the folder of the full MNIST (downloaded if not given)')
    add('--quick', action='store_true', help='two epochs over 1,000 images, to see that it runs')
    add('--plot', metavar='FILE', help='draw images, and with two latents the latent plane')
    add('--checkpoint-dir', metavar='DIR', help='save checkpoints after each epoch')
    add('--resume', action='store_true', help='continue from the checkpoints in that folder')
    settings = parser.parse_args(arguments)
    if settings.resume and not settings.checkpoint_dir:
        parser.error('--resume goes with --checkpoint-dir')
    return settings


def main(arguments=None):
    settings = parse_settings(arguments)
    (x, _), test = preprocess_mnist_data(full=settings.full, data_dir=settings.data_dir)
    if settings.quick:
        x, settings.epochs = x[:1000], 2
    (run_vae if settings.kind == 'vae' else run_denoising)(x, test, settings)


if __name__ == '__main__':
    main()
