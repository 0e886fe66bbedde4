"""Weight initializers: He, Glorot (Xavier), LeCun, normal, uniform, orthogonal, zeros.

Each is a function of (rng, shape, dtype) that returns an array. The `shape` of weights ends in (..., inputs, outputs);
the sizes before these, height and width of a convolution's kernel, multiply both fan-in and fan-out. Numbers are drawn
in float64 and rounded, so that one seed gives the same weights in float32 and float64.
"""

import functools
import math

import numpy as np

from cnnx._util.hints import explain_names, public_names
from cnnx._util.validation import non_negative

__getattr__, __dir__ = explain_names(__name__), public_names(__name__)


def fans(shape):
    """Return fan-in and fan-out: how many inputs feed one output, and how many outputs one input feeds."""
    if len(shape) < 2:
        raise ValueError(
            f'initializer: expected a shape that ends in (..., inputs, outputs), got {shape}; for others there are '
            "'zeros', 'normal' and 'uniform'"
        )
    receptive_field = math.prod(shape[:-2])
    return receptive_field * shape[-2], receptive_field * shape[-1]


def he_normal(rng, shape, dtype):
    """Draw from a normal distribution of variance 2 / fan-in, made for ReLU layers.

    Source: He et al., "Delving deep into rectifiers", 2015, equation 10.
    """
    fan_in, _ = fans(shape)
    return rng.normal(0, math.sqrt(2 / fan_in), shape).astype(dtype)


def he_uniform(rng, shape, dtype):
    """Draw from a uniform distribution in +-sqrt(6 / fan-in), which has the variance of `he_normal`.

    Source: as for `he_normal`; a uniform distribution's variance is limit^2 / 3.
    """
    fan_in, _ = fans(shape)
    return _uniform(rng, shape, dtype, math.sqrt(6 / fan_in))


def glorot_normal(rng, shape, dtype):
    """Draw from a normal distribution of variance 2 / (fan-in + fan-out), made for Sigmoid and Tanh layers.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010, equation 12.
    """
    return rng.normal(0, math.sqrt(2 / sum(fans(shape))), shape).astype(dtype)


def glorot_uniform(rng, shape, dtype):
    """Draw from a uniform distribution in +-sqrt(6 / (fan-in + fan-out)), made for Sigmoid and Tanh layers.

    Source: as for `glorot_normal`, equation 16.
    """
    return _uniform(rng, shape, dtype, math.sqrt(6 / sum(fans(shape))))


def lecun_normal(rng, shape, dtype):
    """Draw from a normal distribution of variance 1 / fan-in, made for layers that are nearly linear.

    Source: LeCun et al., "Efficient BackProp", 1998, section 4.6.
    """
    fan_in, _ = fans(shape)
    return rng.normal(0, math.sqrt(1 / fan_in), shape).astype(dtype)


def orthogonal(rng, shape, dtype):
    """Draw a random matrix with orthonormal columns, or orthonormal rows where there are fewer rows than columns.

    The weights of a convolution, (R, S, C, F), are drawn as a matrix (R S C, F). It is the Q of the QR decomposition
    of a matrix of normal numbers, with signs such that the diagonal of R is positive, which makes Q uniform over all
    such matrices.

    Source: Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks", 2014; the signs after Mezzadri, "How to generate random matrices from the classical
    compact groups", 2007.
    """
    rows, columns = math.prod(shape[:-1]), shape[-1]
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q *= np.where(np.diagonal(r) < 0, -1, 1)
    return (q if rows >= columns else q.T).reshape(shape).astype(dtype)


def zeros(rng, shape, dtype):
    """Return zeros, for biases. Units with equal weights stay equal, so hidden layers need another initializer."""
    return np.zeros(shape, dtype)


def ones(rng, shape, dtype):
    """Return ones, for the scales of batch normalization."""
    return np.ones(shape, dtype)


def normal(rng, shape, dtype, standard_deviation=0.05):
    """Draw from a normal distribution of mean 0; `functools.partial(normal, standard_deviation=0.01)` sets another."""
    return rng.normal(0, non_negative(standard_deviation, 'standard_deviation'), shape).astype(dtype)


def uniform(rng, shape, dtype, limit=0.05):
    """Draw from a uniform distribution in +-limit; `functools.partial(uniform, limit=0.01)` sets the limit."""
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
    """Return an initializer: for its name, for what `describe_initializer` returned, or the function itself.

    Raises:
        ValueError: the name is unknown, or it is none of these.
    """
    if isinstance(initializer, dict):
        settings = dict(initializer)
        return functools.partial(get_initializer(settings.pop('name', None)), **settings)
    if callable(initializer):
        return initializer
    if isinstance(initializer, str) and initializer in INITIALIZERS:
        return INITIALIZERS[initializer]
    raise ValueError(
        f'initializer: expected one of {", ".join(INITIALIZERS)} or a function of '
        f'(rng, shape, dtype), got {initializer!r}'
    )


def describe_initializer(initializer):
    """Describe an initializer as values that JSON can hold: its name, with its settings if it has any.

    A function of the user is described by its name alone, as information: loading a network sets its weights, and
    draws none.
    """
    if isinstance(initializer, functools.partial) and initializer.func in INITIALIZERS.values():
        settings = {key: np.asarray(value).item() for key, value in initializer.keywords.items()}
        return {'name': initializer.func.__name__, **settings}
    name = getattr(initializer, '__name__', type(initializer).__name__)
    return name if initializer in INITIALIZERS.values() else f'custom: {name}'
