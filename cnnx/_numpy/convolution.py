"""Convolution by im2col: every window of the image becomes a row of a matrix, and the convolution a matrix product.

Letters, here and in the compiled twin:
    N samples; H, W, C rows, columns and channels of the input; P, Q rows and columns of the output;
    R, S rows and columns of the filter; F filters; K = R S C, the numbers that one window covers.
"""

import numpy as np


def padded_size(window, positions):
    """Return how many rows and columns windows at `positions` (P, Q) cover, padding included."""
    P, Q = positions
    return (P - 1) * window.stride_height + window.height, (Q - 1) * window.stride_width + window.width


def inside(window, positions, image):
    """Return the slices of the padded image that hold the image (H, W) itself."""
    rows, columns = padded_size(window, positions)
    H, W = image
    return (
        slice(window.pad_top, min(window.pad_top + H, rows)),
        slice(window.pad_left, min(window.pad_left + W, columns)),
    )


def pixels_under(window, positions, r, s):
    """Return the slices of the padded image that element (r, s) of the window covers at all positions."""
    P, Q = positions
    return (
        slice(r, r + P * window.stride_height, window.stride_height),
        slice(s, s + Q * window.stride_width, window.stride_width),
    )


def im2col(x, window, positions):
    """Copy the windows of x (N, H, W, C) into rows: (N P Q, R S C)."""
    N, H, W, C = x.shape
    P, Q = positions
    rows, columns = inside(window, positions, (H, W))
    padded = np.zeros((N, *padded_size(window, positions), C), x.dtype)
    image = padded[:, rows, columns]
    image[...] = x[:, : image.shape[1], : image.shape[2]]
    windows = np.empty((N, P, Q, window.height, window.width, C), x.dtype)
    for r, s in np.ndindex(window.height, window.width):
        windows[:, :, :, r, s] = padded[:, *pixels_under(window, positions, r, s)]
    return windows.reshape(N * P * Q, window.height * window.width * C)


def col2im(windows, window, positions, dx):
    """Add rows (N P Q, R S C) to the pixels of dx (N, H, W, C) that im2col copies them from: its transpose."""
    N, H, W, C = dx.shape
    P, Q = positions
    windows = windows.reshape(N, P, Q, window.height, window.width, C)
    padded = np.zeros((N, *padded_size(window, positions), C), dx.dtype)
    for r, s in np.ndindex(window.height, window.width):
        padded[:, *pixels_under(window, positions, r, s)] += windows[:, :, :, r, s]
    image = padded[:, *inside(window, positions, (H, W))]
    dx[...] = 0
    dx[:, : image.shape[1], : image.shape[2]] = image


def check_filters(window, weights):
    """Raise a ValueError unless filters (R, S, C, F) have the size of the window."""
    expected = (window.height, window.width, *weights.shape[2:])
    if weights.shape != expected:
        raise ValueError(f'weights: expected shape {expected}, got {weights.shape}')


def convolution_forward(x, weights, bias, y, window, num_threads):
    """Compute y = windows of x times weights, plus bias."""
    check_filters(window, weights)
    multiply_windows(im2col(x, window, y.shape[1:3]), weights, bias, y)


def multiply_windows(windows, weights, bias, y):
    """Compute y (N, P, Q, F) = the rows of im2col times weights, plus bias."""
    F = weights.shape[-1]
    np.matmul(windows, weights.reshape(-1, F), out=y.reshape(-1, F))
    y += bias


def convolution_backward_weights(x, dy, dweights, dbias, window, num_threads):
    """Compute dweights = windows of x, transposed, times dy; dbias = sum of dy."""
    check_filters(window, dweights)
    multiply_windows_transposed(im2col(x, window, dy.shape[1:3]), dy, dweights, dbias)


def multiply_windows_transposed(windows, dy, dweights, dbias):
    """Compute dweights = the rows of im2col, transposed, times dy (N, P, Q, F); dbias = sum of dy."""
    F = dy.shape[-1]
    rows = dy.reshape(-1, F)
    np.matmul(windows.T, rows, out=dweights.reshape(-1, F))
    np.sum(rows, axis=0, out=dbias)


def convolution_backward_input(weights, dy, dx, window, num_threads):
    """Compute dx: each row of dy times weights, transposed, is added to the pixels of its window."""
    check_filters(window, weights)
    F = weights.shape[-1]
    windows = dy.reshape(-1, F) @ weights.reshape(-1, F).T
    col2im(windows, window, dy.shape[1:3], dx)
