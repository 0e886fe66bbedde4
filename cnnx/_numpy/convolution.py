"""Convolution by im2col: every window of the image becomes a row of a matrix, and the convolution a matrix product.

Letters, here and in the compiled twin:
    N samples; H, W, C rows, columns and channels of the input; P, Q rows and columns of the output;
    R, S rows and columns of the filter; F filters; G channels that a filter sees: all C, or those of its group.
"""

import numpy as np


def padded_size(window, positions):
    """Return how many rows and columns windows at `positions` (P, Q) cover, padding included."""
    P, Q = positions
    return (
        (P - 1) * window.stride_height + (window.height - 1) * window.dilation_height + 1,
        (Q - 1) * window.stride_width + (window.width - 1) * window.dilation_width + 1,
    )


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
    row, column = r * window.dilation_height, s * window.dilation_width
    return (
        slice(row, row + P * window.stride_height, window.stride_height),
        slice(column, column + Q * window.stride_width, window.stride_width),
    )


def padded_image(x, window, positions):
    """Return x (N, H, W, C) with zeros around it: all pixels that windows at `positions` cover."""
    padded = np.zeros((len(x), *padded_size(window, positions), x.shape[3]), x.dtype)
    image = padded[:, *inside(window, positions, x.shape[1:3])]
    image[...] = x[:, : image.shape[1], : image.shape[2]]
    return padded


def crop_image(padded, window, positions, dx):
    """Copy the image without the padding to dx (N, H, W, C); pixels that no window covers become 0."""
    image = padded[:, *inside(window, positions, dx.shape[1:3])]
    dx[...] = 0
    dx[:, : image.shape[1], : image.shape[2]] = image


def im2col(x, window, positions):
    """Copy the windows of x (N, H, W, C) into rows: (N P Q, R S C)."""
    N, _, _, C = x.shape
    P, Q = positions
    padded = padded_image(x, window, positions)
    windows = np.empty((N, P, Q, window.height, window.width, C), x.dtype)
    for r, s in np.ndindex(window.height, window.width):
        windows[:, :, :, r, s] = padded[:, *pixels_under(window, positions, r, s)]
    return windows.reshape(N * P * Q, window.height * window.width * C)


def col2im(windows, window, positions, dx):
    """Add rows (N P Q, R S C) to the pixels of dx (N, H, W, C) that im2col copies them from: its transpose."""
    N, _, _, C = dx.shape
    P, Q = positions
    windows = windows.reshape(N, P, Q, window.height, window.width, C)
    padded = np.zeros((N, *padded_size(window, positions), C), dx.dtype)
    for r, s in np.ndindex(window.height, window.width):
        padded[:, *pixels_under(window, positions, r, s)] += windows[:, :, :, r, s]
    crop_image(padded, window, positions, dx)


def groups_of(channels, window, weights):
    """Yield the slices of channels and of filters (R, S, G, F) of each group; with G = channels, there is one.

    Raises:
        ValueError: the filters have not the size of the window, or do not make groups of that many channels.
    """
    R, S, G, F = weights.shape
    if (window.height, window.width) != (R, S):
        raise ValueError(f'weights: expected shape {(window.height, window.width, G, F)}, got {weights.shape}')
    if G < 1 or channels < 1 or channels % G or F % (channels // G):
        raise ValueError(f'weights: expected groups of {channels} channels and {F} filters, got {G} to a filter')
    filters = F // (channels // G)
    for group in range(channels // G):
        yield slice(group * G, (group + 1) * G), slice(group * filters, (group + 1) * filters)


def convolution_forward(x, weights, bias, y, window, num_threads):
    """Compute y = windows of x times weights, plus bias."""
    for channels, filters in groups_of(x.shape[3], window, weights):
        windows = im2col(x[..., channels], window, y.shape[1:3])
        multiply_windows(windows, weights[..., filters], bias[filters], y[..., filters])


def multiply_windows(windows, weights, bias, y):
    """Compute y (N, P, Q, F) = the rows of im2col times weights, plus bias."""
    product = windows @ weights.reshape(-1, weights.shape[-1])
    product += bias
    y[...] = product.reshape(y.shape)


def convolution_backward_weights(x, dy, dweights, dbias, window, num_threads):
    """Compute dweights = windows of x, transposed, times dy; dbias = sum of dy."""
    for channels, filters in groups_of(x.shape[3], window, dweights):
        windows = im2col(x[..., channels], window, dy.shape[1:3])
        multiply_windows_transposed(windows, dy[..., filters], dweights[..., filters], dbias[filters])


def multiply_windows_transposed(windows, dy, dweights, dbias):
    """Compute dweights = the rows of im2col, transposed, times dy (N, P, Q, F); dbias = sum of dy."""
    rows = dy.reshape(-1, dy.shape[-1])
    dweights[...] = (windows.T @ rows).reshape(dweights.shape)
    np.sum(rows, axis=0, out=dbias)


def convolution_backward_input(weights, dy, dx, window, num_threads):
    """Compute dx: each row of dy times weights, transposed, is added to the pixels of its window."""
    for channels, filters in groups_of(dx.shape[3], window, weights):
        part = weights[..., filters]
        windows = dy[..., filters].reshape(-1, part.shape[-1]) @ part.reshape(-1, part.shape[-1]).T
        col2im(windows, window, dy.shape[1:3], dx[..., channels])
