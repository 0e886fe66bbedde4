"""Activation functions, number by number, and PReLU, which learns."""

import numpy as np

from cnnx import kernels
from cnnx._util import logits
from cnnx._util.foreign_names import LAYER_KEYWORDS
from cnnx._util.hints import explained
from cnnx._util.validation import non_negative, positive
from cnnx.layers.base import Layer


class Activation(Layer):
    """A function of each number by itself, whose gradient follows from its output or, where it says so, its input.

    A kind of activation calls its two kernels, which take flat arrays.
    """

    keeps_input = False

    def forward(self, x, training=False):
        x = self.check_input(x)
        y = self.empty('y', x.shape)
        self._saved = (x if self.keeps_input else y,)
        self._apply(x.reshape(-1), y.reshape(-1), kernels.threads_for(x.size))
        return y

    def backward(self, dy):
        dy = self.check_gradient(dy)
        (kept,) = self._saved
        dx = self.empty('dx', dy.shape)
        self._differentiate(kept.reshape(-1), dy.reshape(-1), dx.reshape(-1), kernels.threads_for(dy.size))
        return dx

    def _apply(self, x, y, threads):
        raise NotImplementedError

    def _differentiate(self, kept, dy, dx, threads):
        raise NotImplementedError


class ReLU(Activation):
    """max(0, x), element by element; with a largest value min(max(0, x), max_value).

    Shape: (N, ...) -> (N, ...). Gradient: dx = dy where the output is positive (and less than max_value), else 0.

    Args:
        max_value: where the output ends, a number of more than 0, such as the 6 of ReLU6; None for nowhere.
        input_shape: needed where it cannot be inferred from the layer before.

    Raises:
        ValueError: max_value is no such number.
    """

    planned = (*Layer.planned, 'max_value')

    @explained(LAYER_KEYWORDS)
    def __init__(self, input_shape=None, *, max_value=None):
        super().__init__(input_shape)
        self.max_value = None if max_value is None else positive(max_value, 'max_value')

    @property
    def is_plain(self):
        """Whether it has no largest value: blocks compute no others."""
        return self.max_value is None

    def settings(self):
        return {} if self.max_value is None else super().settings()

    def _apply(self, x, y, threads):
        kernels.current().relu_forward(x, y, threads)
        if self.max_value is not None:
            np.minimum(y, self.max_value, out=y)

    def _differentiate(self, y, dy, dx, threads):
        kernels.current().relu_backward(y, dy, dx, threads)
        if self.max_value is not None:
            dx *= y < self.max_value


class LeakyReLU(Activation):
    """x where it is positive, else negative_slope x, element by element: no input is without gradient.

    Shape: (N, ...) -> (N, ...). Gradient: dx = dy where the output is positive, else negative_slope dy.

    Source: Maas et al., "Rectifier nonlinearities improve neural network acoustic models", 2013.

    Args:
        negative_slope: a finite number of at least 0; 0 makes a ReLU, 1 the identity.
        input_shape: needed where it cannot be inferred from the layer before.

    Raises:
        ValueError: negative_slope is no such number.
    """

    adjustable = ('negative_slope',)
    planned = (*Layer.planned, 'negative_slope')

    @explained(LAYER_KEYWORDS)
    def __init__(self, negative_slope=0.01, *, input_shape=None):
        super().__init__(input_shape)
        self.negative_slope = non_negative(negative_slope, 'negative_slope')

    def _apply(self, x, y, threads):
        kernels.current().leaky_relu_forward(x, y, self.negative_slope, threads)

    def _differentiate(self, y, dy, dx, threads):
        kernels.current().leaky_relu_backward(y, dy, dx, self.negative_slope, threads)


class Sigmoid(Activation):
    """1 / (1 + exp(-x)), element by element: any number becomes one between 0 and 1.

    Shape: (N, ...) -> (N, ...). Gradient: dx = dy y (1 - y). Before `BinaryCrossEntropy` it is exact also where
    probabilities round to 0 or 1: the loss works on the layer's input, and the layer takes the gradient by it from the
    loss (see cnnx/_util/logits.py).
    """

    def forward(self, x, training=False):
        x = self.check_input(x)
        y = super().forward(x, training)
        # Most sigmoids are not the last layer: copies of x and y would be for nothing.
        logits.logits_by_probabilities.remember_source(y, x, _sigmoid)
        return y

    def backward(self, dy):
        dlogits = logits.dlogits_by_dy.find(dy)
        return super().backward(dy) if dlogits is None else dlogits

    def _apply(self, x, y, threads):
        kernels.current().sigmoid_forward(x, y, threads)

    def _differentiate(self, y, dy, dx, threads):
        kernels.current().sigmoid_backward(y, dy, dx, threads)


def _sigmoid(x):
    y = np.empty_like(x)
    kernels.current().sigmoid_forward(x.reshape(-1), y.reshape(-1), kernels.threads_for(x.size))
    return y


class Tanh(Activation):
    """The hyperbolic tangent, element by element: any number becomes one between -1 and 1.

    Shape: (N, ...) -> (N, ...). Gradient: dx = dy (1 - y^2).
    """

    def _apply(self, x, y, threads):
        kernels.current().tanh_forward(x, y, threads)

    def _differentiate(self, y, dy, dx, threads):
        kernels.current().tanh_backward(y, dy, dx, threads)


class ELU(Activation):
    """The exponential linear unit: x where it is positive, else alpha (exp(x) - 1), element by element.

    Shape: (N, ...) -> (N, ...). Gradient: dx = dy where the output is positive, else dy (y + alpha).

    Source: Clevert et al., "Fast and accurate deep network learning by exponential linear units (ELUs)", 2016.

    Args:
        alpha: a finite number of at least 0: large negative numbers become -alpha.
        input_shape: needed where it cannot be inferred from the layer before.

    Raises:
        ValueError: alpha is no such number.
    """

    adjustable = ('alpha',)

    def __init__(self, alpha=1.0, *, input_shape=None):
        super().__init__(input_shape)
        self.alpha = non_negative(alpha, 'alpha')

    def _apply(self, x, y, threads):
        kernels.current().elu_forward(x, y, self.alpha, threads)

    def _differentiate(self, y, dy, dx, threads):
        kernels.current().elu_backward(y, dy, dx, self.alpha, threads)


class SELU(Activation):
    """The scaled exponential linear unit: 1.0507 x where x is positive, else 1.7581 (exp(x) - 1), element by element.

    With weights of 'lecun_normal', outputs keep mean 0 and variance 1 from layer to layer.

    Shape: (N, ...) -> (N, ...). Gradient: dx = 1.0507 dy where the output is positive, else dy (y + 1.7581).

    Source: Klambauer et al., "Self-normalizing neural networks", 2017, equation 2.
    """

    alpha = 1.6732632423543772
    scale = 1.0507009873554805

    def _apply(self, x, y, threads):
        kernels.current().elu_forward(x, y, self.alpha, threads)
        y *= self.scale

    def _differentiate(self, y, dy, dx, threads):
        np.multiply(dy, np.where(y > 0, self.scale, y + self.alpha * self.scale), out=dx)


class HardSigmoid(Activation):
    """min(max(alpha x + beta, 0), 1), element by element: near to Sigmoid, and without exponentials.

    Shape: (N, ...) -> (N, ...). Gradient: dx = alpha dy where the output is between 0 and 1, else 0.

    Source: Courbariaux et al., "BinaryConnect", 2015, equation 3; the slope of 1/6 is that of Keras and PyTorch.

    Args:
        alpha, beta: the slope and the value at 0, finite numbers of at least 0.
        input_shape: needed where it cannot be inferred from the layer before.

    Raises:
        ValueError: alpha or beta is no such number.
    """

    adjustable = ('alpha', 'beta')

    def __init__(self, alpha=1 / 6, beta=0.5, *, input_shape=None):
        super().__init__(input_shape)
        self.alpha = non_negative(alpha, 'alpha')
        self.beta = non_negative(beta, 'beta')

    def _apply(self, x, y, threads):
        np.multiply(x, self.alpha, out=y)
        y += self.beta
        np.clip(y, 0, 1, out=y)

    def _differentiate(self, y, dy, dx, threads):
        np.multiply(dy, self.alpha, out=dx)
        dx *= (y > 0) & (y < 1)


class Softplus(Activation):
    """log(1 + exp(x)), element by element: a smooth ReLU, always positive.

    Shape: (N, ...) -> (N, ...). Gradient: dx = dy / (1 + exp(-x)).

    Source: Dugas et al., "Incorporating second-order functional knowledge for better option pricing", 2001.
    """

    keeps_input = True

    def _apply(self, x, y, threads):
        kernels.current().softplus_forward(x, y, threads)

    def _differentiate(self, x, dy, dx, threads):
        kernels.current().softplus_backward(x, dy, dx, threads)


class SiLU(Activation):
    """The sigmoid linear unit, or swish: x / (1 + exp(-x)), element by element.

    Shape: (N, ...) -> (N, ...). Gradient: dx = dy s (1 + x (1 - s)), with s = 1 / (1 + exp(-x)).

    Source: Ramachandran et al., "Searching for activation functions", 2017.
    """

    keeps_input = True

    def _apply(self, x, y, threads):
        kernels.current().silu_forward(x, y, threads)

    def _differentiate(self, x, dy, dx, threads):
        kernels.current().silu_backward(x, dy, dx, threads)


class GELU(Activation):
    """The Gaussian error linear unit: x F(x), element by element, F being the normal distribution function.

    F(x) = (1 + erf(x / sqrt(2))) / 2, exactly: the default of Keras and PyTorch, not their approximation by tanh.

    Shape: (N, ...) -> (N, ...). Gradient: dx = dy (F(x) + x exp(-x^2 / 2) / sqrt(2 pi)).

    Source: Hendrycks and Gimpel, "Gaussian error linear units (GELUs)", 2016.
    """

    keeps_input = True

    def _apply(self, x, y, threads):
        kernels.current().gelu_forward(x, y, threads)

    def _differentiate(self, x, dy, dx, threads):
        kernels.current().gelu_backward(x, dy, dx, threads)


class HardSwish(Activation):
    """x min(max(x + 3, 0), 6) / 6, element by element: near to SiLU, and without exponentials.

    Shape: (N, ...) -> (N, ...). Gradient: dx = 0 where x < -3, dy where x > 3, else dy (2 x + 3) / 6.

    Source: Howard et al., "Searching for MobileNetV3", 2019, section 5.2.
    """

    keeps_input = True

    def _apply(self, x, y, threads):
        kernels.current().hard_swish_forward(x, y, threads)

    def _differentiate(self, x, dy, dx, threads):
        kernels.current().hard_swish_backward(x, dy, dx, threads)


class PReLU(Layer):
    """The parametric ReLU: x where it is positive, else alpha x, with an alpha of each channel that is learned.

    Shape: (N, ..., C) -> (N, ..., C). alpha: (C,). (Keras learns one for each number of a sample, unless told which
    axes share theirs.) Gradient: dalpha = sum of dy x where x is not positive; dx = dy where x is positive, else alpha
    dy.

    Source: He et al., "Delving deep into rectifiers", 2015, section 2.1.

    Args:
        initial_alpha: where the alphas start, a finite number of at least 0.
        input_shape: needed where it cannot be inferred from the layer before.

    Raises:
        ValueError: initial_alpha is no such number.
    """

    def __init__(self, initial_alpha=0.25, *, input_shape=None):
        super().__init__(input_shape)
        self.initial_alpha = non_negative(initial_alpha, 'initial_alpha')

    def build(self, input_shape):
        self.add_parameter('alpha', input_shape[-1:], lambda rng, shape, dtype: np.full(shape, self.initial_alpha))

    def forward(self, x, training=False):
        x = self.check_input(x)
        self._saved = (x,)
        y = self.empty('y', x.shape)
        np.multiply(np.minimum(x, 0), self._parameters[0].value, out=y)
        y += np.maximum(x, 0)
        return y

    def backward(self, dy):
        dy = self.check_gradient(dy)
        (x,) = self._saved
        alpha = self._parameters[0]
        if self.trainable:
            of_alpha = dy * np.minimum(x, 0)
            alpha.grad = of_alpha.sum(axis=tuple(range(1, x.ndim - 1))).sum(axis=0)
        dx, positive = self.empty('dx', x.shape), x > 0
        np.multiply(positive + ~positive * alpha.value, dy, out=dx)  # several times faster than np.where
        return dx
