"""Convolution by 3 x 3 filters with stride 1, by Winograd's method F(4 x 4, 3 x 3): a quarter of the multiplications.

Letters and method: see the compiled twin. In one dimension, with six inputs d and a filter g of three numbers, the four
outputs d[i] g[0] + d[i + 1] g[1] + d[i + 2] g[2] are A^T ((B^T d) * (G g)): six multiplications in place of twelve.
"""

import math

import numpy as np

from cnnx._numpy.activations import relu_backward, relu_forward
from cnnx._numpy.convolution import padded_image
from cnnx._numpy.program import Block

OUTPUTS, POINTS = 4, 6
# The points are 0, a, -a, b, -b and infinity. A row of A has the powers of a point; a row of G too, divided by what the
# Lagrange polynomial of the point needs.
a, b = 0.75, 1.5
A = np.array([
    [1, 0, 0, 0],
    [1, a, a**2, a**3],
    [1, -a, a**2, -(a**3)],
    [1, b, b**2, b**3],
    [1, -b, b**2, -(b**3)],
    [0, 0, 0, 1],
])  # fmt: skip
B_TRANSPOSED = np.array([
    [a**2 * b**2, 0, -(a**2) - b**2, 0, 1, 0],
    [0, -a * b**2, -(b**2), a, 1, 0],
    [0, a * b**2, -(b**2), -a, 1, 0],
    [0, -b * a**2, -(a**2), b, 1, 0],
    [0, b * a**2, -(a**2), -b, 1, 0],
    [0, a**2 * b**2, 0, -(a**2) - b**2, 0, 1],
])  # fmt: skip
na, nb = 1 / (2 * a**2 * (a**2 - b**2)), 1 / (2 * b**2 * (b**2 - a**2))
G = np.array([
    [1 / (a**2 * b**2), 0, 0],
    [na, na * a, na * a**2],
    [na, -na * a, na * a**2],
    [nb, nb * b, nb * b**2],
    [nb, -nb * b, nb * b**2],
    [0, 0, 1],
])  # fmt: skip


def on_both_sides(matrix, tiles):
    """Return matrix times tile times matrix, transposed, of tiles (n, m, ...)."""
    return np.einsum('in,jm,nm...->ij...', matrix, matrix, tiles, optimize=True)


def tiles_of(x, window, positions):
    """Return B^T d B of the tiles of x (N, H, W, C): (6, 6, N, tile rows, tile columns, C)."""
    P, Q = (-(-size // OUTPUTS) * OUTPUTS for size in positions)
    rows, columns = (slice(0, size, OUTPUTS) for size in (P, Q))
    padded = padded_image(x, window, (P, Q))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (POINTS, POINTS), axis=(1, 2))[:, rows, columns]
    return on_both_sides(B_TRANSPOSED.astype(x.dtype), np.moveaxis(windows, (-2, -1), (0, 1)))


def convolve(x, weights, y, window):
    """Compute y = windows of x times weights."""
    filters = on_both_sides(G, weights).astype(x.dtype)
    products = np.einsum('ijnpqc,ijcf->ijnpqf', tiles_of(x, window, y.shape[1:3]), filters, optimize=True)
    tiles = on_both_sides(A.T.astype(x.dtype), products)  # (4, 4, N, tile rows, tile columns, F)
    _, _, N, rows, columns, F = tiles.shape
    whole = tiles.transpose(2, 3, 0, 4, 1, 5).reshape(N, rows * OUTPUTS, columns * OUTPUTS, F)
    y[...] = whole[:, : y.shape[1], : y.shape[2]]


def winograd_forward(x, weights, bias, y, window, num_threads):
    """Compute y = windows of x times weights, plus bias."""
    check_window(window)
    convolve(x, weights, y, window)
    y += bias


def winograd_backward_weights(x, dy, dweights, dbias, window, num_threads):
    """Compute dweights = windows of x, transposed, times dy; dbias = sum of dy."""
    check_window(window)
    N, P, Q, F = dy.shape
    rows, columns = (-(-size // OUTPUTS) for size in (P, Q))
    whole = np.zeros((N, rows * OUTPUTS, columns * OUTPUTS, F), dy.dtype)
    whole[:, :P, :Q] = dy
    tiles = whole.reshape(N, rows, OUTPUTS, columns, OUTPUTS, F).transpose(2, 4, 0, 1, 3, 5)
    gradients = on_both_sides(A.astype(dy.dtype), tiles)
    dfilters = np.einsum('ijnpqc,ijnpqf->ijcf', tiles_of(x, window, (P, Q)), gradients, optimize=True)
    dweights[...] = on_both_sides(G.T, dfilters)
    dbias[...] = dy.sum(axis=(0, 1, 2))


def winograd_backward_input(weights, dy, dx, window, num_threads):
    """Compute dx = a convolution of dy by the filters, turned by half a turn."""
    check_window(window)
    H, W = dx.shape[1:3]
    # With two rows and columns of zeros around all of dy, and of what comes out the part that is not padding.
    full = window._replace(pad_top=2, pad_left=2)
    padded = np.zeros((len(dx), dy.shape[1] + 2, dy.shape[2] + 2, dx.shape[3]), dx.dtype)
    convolve(dy, weights[::-1, ::-1].swapaxes(2, 3), padded, full)
    dx[...] = 0
    inner = padded[:, window.pad_top :, window.pad_left :][:, :H, :W]
    dx[:, : inner.shape[1], : inner.shape[2]] = inner


def check_window(window):
    """Raise a ValueError unless the window is 3 x 3 with stride 1."""
    sizes = window.height, window.width, window.stride_height, window.stride_width
    if sizes != (3, 3, 1, 1) or (window.dilation_height, window.dilation_width) != (1, 1):
        raise ValueError(f'window: expected 3 x 3 with stride 1, got {tuple(window)}')


class WinogradBlock(Block):
    """Convolution by 3 x 3 filters with stride 1, then ReLU if `relu`."""

    large_bytes = math.inf

    def __init__(self, x, weights, bias, y, window, relu, dy=None, dx=None, dweights=None, dbias=None):
        self.x, self.weights, self.bias, self.y = x, weights, bias, y
        self.window, self.relu = window, relu
        self.dy, self.dx, self.dweights, self.dbias = dy, dx, dweights, dbias

    def forward(self, samples, training):
        y = self.y[:samples]
        winograd_forward(self.x[:samples], self.weights, self.bias, y, self.window, 1)
        if self.relu:
            relu_forward(y, y, 1)

    def backward(self, samples):
        if self.dy is None:
            return
        dy = self.dy[:samples]
        if self.relu:
            dy = dy.copy()
            relu_backward(self.y[:samples], dy, dy, 1)
        winograd_backward_weights(self.x[:samples], dy, self.dweights, self.dbias, self.window, 1)
        if self.dx is not None:
            winograd_backward_input(self.weights, dy, self.dx[:samples], self.window, 1)
