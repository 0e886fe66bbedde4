"""Where weights start: functions of (rng, shape, dtype) that return an array.

A weight's `shape` ends in (..., inputs, outputs); what stands before them, the kernel's height and
width, multiplies both. Numbers are drawn in float64 and rounded, so that one seed gives the same
weights in float32 and float64.
"""

import functools
import math

import numpy as np

from cnnx._util.validation import non_negative


def fans(shape):
    """Return how many inputs feed one output, and how many outputs one input feeds."""
    receptive_field = math.prod(shape[:-2])
    return receptive_field * shape[-2], receptive_field * shape[-1]


def he_normal(rng, shape, dtype):
    """Normal with variance 2 / inputs, which keeps the size of activations through ReLU layers.

    Source: He et al., "Delving deep into rectifiers", 2015, equation 10.
    """
    fan_in, _ = fans(shape)
    return rng.normal(0, math.sqrt(2 / fan_in), shape).astype(dtype)


def he_uniform(rng, shape, dtype):
    """Uniform in +-sqrt(6 / inputs): the variance of `he_normal`.

    Source: as for `he_normal`; a uniform distribution's variance is limit^2 / 3.
    """
    fan_in, _ = fans(shape)
    return _uniform(rng, shape, dtype, math.sqrt(6 / fan_in))


def glorot_normal(rng, shape, dtype):
    """Normal with variance 2 / (inputs + outputs), made for Sigmoid and Tanh layers.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010, equation 12.
    """
    return rng.normal(0, math.sqrt(2 / sum(fans(shape))), shape).astype(dtype)


def glorot_uniform(rng, shape, dtype):
    """Uniform in +-sqrt(6 / (inputs + outputs)), made for Sigmoid and Tanh layers.

    Source: as for `glorot_normal`, equation 16.
    """
    return _uniform(rng, shape, dtype, math.sqrt(6 / sum(fans(shape))))


def lecun_normal(rng, shape, dtype):
    """Normal with variance 1 / inputs, which keeps the size of activations through layers that are nearly linear.

    Source: LeCun et al., "Efficient BackProp", 1998, section 4.6.
    """
    fan_in, _ = fans(shape)
    return rng.normal(0, math.sqrt(1 / fan_in), shape).astype(dtype)


def orthogonal(rng, shape, dtype):
    """Columns, or rows where there are fewer of them, of length 1 and at right angles to each other.

    A convolution's weights (R, S, C, F) are such a matrix in the form (R S C, F). It is the Q of a normal
    matrix's QR decomposition, with the signs that make R's diagonal positive: so any rotation is as likely.

    Source: Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks", 2014; the signs after Mezzadri, "How to generate random matrices from the classical
    compact groups", 2007.
    """
    rows, columns = math.prod(shape[:-1]), shape[-1]
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q *= np.where(np.diagonal(r) < 0, -1, 1)
    return (q if rows >= columns else q.T).reshape(shape).astype(dtype)


def zeros(rng, shape, dtype):
    """All zeros. Units that start alike stay alike, so hidden layers need another initializer."""
    return np.zeros(shape, dtype)


def ones(rng, shape, dtype):
    """All 1."""
    return np.ones(shape, dtype)


def normal(rng, shape, dtype, standard_deviation=0.05):
    """Normal with a mean of 0; `functools.partial(normal, standard_deviation=0.01)` sets another width."""
    return rng.normal(0, non_negative(standard_deviation, 'standard_deviation'), shape).astype(dtype)


def uniform(rng, shape, dtype, limit=0.05):
    """Uniform in +-limit; `functools.partial(uniform, limit=0.01)` sets another one."""
    return _uniform(rng, shape, dtype, non_negative(limit, 'limit'))


def _uniform(rng, shape, dtype, limit):
    return rng.uniform(-limit, limit, shape).astype(dtype)


INITIALIZERS = {
    f.__name__: f
    for f in (
        *(he_normal, he_uniform, glorot_normal, glorot_uniform, lecun_normal),
        *(normal, uniform, zeros, ones, orthogonal),
    )
}


def get_initializer(initializer):
    """Return the function that a name stands for, or the callable itself.

    Raises:
        ValueError: the name is unknown, or what came is neither a name nor callable.
    """
    if isinstance(initializer, dict):
        settings = dict(initializer)
        return functools.partial(get_initializer(settings.pop('name', None)), **settings)
    if callable(initializer):
        return initializer
    if isinstance(initializer, str) and initializer in INITIALIZERS:
        return INITIALIZERS[initializer]
    raise ValueError(
        f'kernel_initializer: expected one of {", ".join(INITIALIZERS)} or a function of '
        f'(rng, shape, dtype), got {initializer!r}'
    )


def describe_initializer(initializer):
    """Return what JSON can hold of an initializer: its name, with its settings if it has any.

    A function of the user's own is described by its name alone, for the reader: loading a network
    sets the weights and draws none.
    """
    if isinstance(initializer, functools.partial) and initializer.func in INITIALIZERS.values():
        settings = {key: np.asarray(value).item() for key, value in initializer.keywords.items()}
        return {'name': initializer.func.__name__, **settings}
    name = getattr(initializer, '__name__', type(initializer).__name__)
    return name if initializer in INITIALIZERS.values() else f'custom: {name}'
