"""Layers and networks of cnnx in PyTorch: functions of a layer's settings, of tensors (N, C, H, W), and its weights."""

import math

import numpy as np
import torch

F = torch.nn.functional


def padded(layer, x, value=0.0):
    """Pad a tensor (N, C, H, W) as the layer's window over it needs: 'same' has the odd row or column at the end."""
    window, sides = layer.window, []
    sizes = zip(x.shape[2:], (1, *layer.shape)[-3:-1], window[0:2], window[2:4], window[4:6], window[6:8], strict=True)
    for size, output, reads, stride, before, apart in sizes:
        after = (output - 1) * stride + apart * (reads - 1) + 1 - size - before
        sides = [before, max(after, 0), *sides]
    return F.pad(x, sides, value=value)


def convolution(layer, x, weights, bias=None):
    weights = weights.permute(3, 2, 0, 1).contiguous()
    return F.conv2d(padded(layer, x), weights, bias, layer.stride, 0, layer.dilation, layer.groups)


def transposed_convolution(layer, x, weights, bias=None):
    """With padding 'same': what is more than the input's size times the stride is cut off, the odd one at the end."""
    y = F.conv_transpose2d(x, weights.permute(3, 2, 0, 1).contiguous(), bias, layer.stride)
    (height, width), (more_rows, more_columns) = layer.shape[:2], np.subtract(y.shape[2:], layer.shape[:2]) // 2
    return y[:, :, more_rows : more_rows + height, more_columns : more_columns + width]


def average_pooling(layer, x):
    """The mean of the pixels that lie inside the image."""
    sums = F.avg_pool2d(padded(layer, x), layer.pool_size, layer.stride)
    return sums / F.avg_pool2d(padded(layer, torch.ones_like(x)), layer.pool_size, layer.stride)


def batch_normalization(layer, x, gamma, beta, mean, variance, training):
    """In training, mean and variance are moved on in place."""
    return F.batch_norm(x, mean, variance, gamma, beta, training, 1 - layer.momentum, layer.epsilon)


def up_sampling(layer, x):
    options = {'align_corners': False} if layer.interpolation == 'bilinear' else {}
    return F.interpolate(x, scale_factor=layer.size, mode=layer.interpolation, **options)


def layer_normalization(layer, x, gamma, beta):
    return F.layer_norm(x.movedim(1, -1), x.shape[1:2], gamma, beta, layer.epsilon).movedim(-1, 1)


def dropout(layer, x, training):
    return F.dropout(x, layer.rate, training)


def zero_padding(layer, x):
    (top, bottom), (left, right) = layer.padding
    return F.pad(x, (left, right, top, bottom))


def cropping(layer, x):
    (top, _), (left, _) = layer.cropping
    height, width = layer.shape[:2]
    return x[:, :, top : top + height, left : left + width]


def concatenate(layer, *x):
    axis = layer.axis % len(layer.shape)  # of (H, W, C), or of (C,)
    return torch.cat(x, 1 if axis == len(layer.shape) - 1 else axis + 2)


# PyTorch's function of (layer, inputs, parameters) for each kind of layer; those that differ in training are told.
TWINS = {
    'Add': lambda layer, *x: sum(x[1:], x[0]),
    'AveragePooling': average_pooling,
    'BatchNormalization': batch_normalization,
    'Concatenate': concatenate,
    'Convolutional': convolution,
    'Cropping': cropping,
    'Dense': lambda layer, x, weights, bias: F.linear(x, weights.T, bias),
    'Dropout': dropout,
    'Flatten': lambda layer, x: x.movedim(1, -1).flatten(1),
    'ELU': lambda layer, x: F.elu(x, layer.alpha),
    'GELU': lambda layer, x: F.gelu(x),
    'GlobalAveragePooling': lambda layer, x: x.flatten(2).mean(2),
    # Of equal maxima the first one has the gradient, in both; amax would share it out.
    'GlobalMaxPooling': lambda layer, x: F.max_pool1d(x.flatten(2), math.prod(x.shape[2:])).flatten(1),
    'GroupNormalization': lambda layer, x, *parameters: F.group_norm(x, layer.groups, *parameters, layer.epsilon),
    'HardSwish': lambda layer, x: F.hardswish(x),
    'LayerNormalization': layer_normalization,
    'LeakyReLU': lambda layer, x: F.leaky_relu(x, layer.negative_slope),
    'MaxPooling': lambda layer, x: F.max_pool2d(padded(layer, x, -np.inf), layer.pool_size, layer.stride),
    'Multiply': lambda layer, *x: torch.stack(x).prod(0),
    'PReLU': lambda layer, x, alpha: F.prelu(x, alpha),
    'ReLU': lambda layer, x: F.relu(x),
    'Reshape': lambda layer, x: x.movedim(1, -1).reshape(-1, *layer.shape).movedim(-1, 1),
    'SiLU': lambda layer, x: F.silu(x),
    'Sigmoid': lambda layer, x: torch.sigmoid(x),
    'Softmax': lambda layer, x: x.softmax(1),
    'Softplus': lambda layer, x: F.softplus(x),
    'Tanh': lambda layer, x: torch.tanh(x),
    'TransposedConvolutional': transposed_convolution,
    'UpSampling': up_sampling,
    'ZeroPadding': zero_padding,
}


TOLD = {'BatchNormalization', 'Dropout'}


def run(layers, reads, x, parameters, training):
    """Run layers that read each other, or -1, the input x; parameters is a list of tensors for each layer."""
    values = []
    for layer, places, weights in zip(layers, reads, parameters, strict=True):
        kind = type(layer).__name__
        inputs = [x if place < 0 else values[place] for place in places]
        if kind.endswith('1D'):  # a signal is an image of one row
            values.append(TWINS[kind[:-2]](layer, inputs[0].unsqueeze(2), *weights).squeeze(2))
        else:
            values.append(TWINS[kind](layer, *inputs, *weights, **({'training': training} if kind in TOLD else {})))
    return values[-1]
