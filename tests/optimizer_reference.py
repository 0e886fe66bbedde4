"""What PyTorch makes of the gradients that tests/test_optimizers.py hands to the optimizers of cnnx.

    python tests/optimizer_reference.py    # with PyTorch: writes tests/data/optimizers.json

The file holds the values of both parameters after some of the steps, in float64.
"""

import json
from pathlib import Path

import numpy as np

FILE = Path(__file__).parent / 'data' / 'optimizers.json'
STEPS = 100
KEPT = (1, 60, 100)
SHAPES = ((3, 7), (5,))
# The second parameter is not trained in these steps, so that its updates are counted apart.
FROZEN = range(20, 41)
RATE = 0.02
CASES = [
    ('SGD', {}),
    ('SGD', {'weight_decay': 0.1}),
    ('SGD', {'clip_norm': 2.0, 'weight_decay': 0.1}),
    ('SGD', {'momentum': 0.9}),
    ('SGD', {'momentum': 0.9, 'weight_decay': 0.1}),
    ('SGD', {'momentum': 0.9, 'clip_norm': 2.0}),
    ('SGD', {'momentum': 0.9, 'nesterov': True}),
    ('SGD', {'momentum': 0.5, 'nesterov': True, 'weight_decay': 0.1, 'clip_norm': 2.0}),
    ('Adam', {}),
    ('Adam', {'beta_1': 0.5, 'beta_2': 0.9, 'epsilon': 0.01}),
    ('Adam', {'beta_1': 0.0, 'beta_2': 0.0, 'epsilon': 0.01}),
    ('Adam', {'weight_decay': 0.1}),
    ('Adam', {'weight_decay': 0.1, 'clip_norm': 2.0}),
    ('AdamW', {}),
    ('AdamW', {'weight_decay': 0.3, 'clip_norm': 2.0}),
    ('RMSprop', {}),
    ('RMSprop', {'rho': 0.5, 'epsilon': 0.01, 'weight_decay': 0.1}),
    ('RMSprop', {'momentum': 0.9}),
    ('RMSprop', {'momentum': 0.9, 'weight_decay': 0.1, 'clip_norm': 2.0}),
    ('Adagrad', {}),
    ('Adagrad', {'epsilon': 0.01, 'weight_decay': 0.1, 'clip_norm': 2.0}),
]


def key_of(kind, arguments):
    return f'{kind}({", ".join(f"{name}={value}" for name, value in arguments.items())})'


def first_values():
    return [np.cos(np.arange(np.prod(shape)) + len(shape)).reshape(shape) for shape in SHAPES]


def gradients(step):
    """Return the gradients of a step, from 1: each eighth one is large, and a number of each is 0 for ever."""
    size = 5.0 if step % 8 == 0 else 0.5
    arrays = [size * np.sin(1.7 * step + np.arange(np.prod(shape))).reshape(shape) for shape in SHAPES]
    for array in arrays:
        array[..., 2] = 0
    return arrays


def torch_steps(kind, arguments):
    """Yield the values after each step, as PyTorch computes them."""
    import torch

    given = {'lr': RATE, **arguments}
    clip_norm = given.pop('clip_norm', None)
    for ours, theirs in (('epsilon', 'eps'), ('rho', 'alpha')):
        if ours in given:
            given[theirs] = given.pop(ours)
    if 'beta_1' in given:
        given['betas'] = given.pop('beta_1'), given.pop('beta_2')
    parameters = [torch.nn.Parameter(torch.tensor(value)) for value in first_values()]
    optimizer = getattr(torch.optim, kind)(parameters, **given)
    for step in range(1, STEPS + 1):
        for parameter, gradient in zip(parameters, gradients(step), strict=True):
            parameter.grad = torch.tensor(gradient)
        if step in FROZEN:
            parameters[1].grad = None
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(parameters, clip_norm)
        optimizer.step()
        yield [parameter.detach().numpy().copy() for parameter in parameters]


def kept_steps(steps):
    return {str(step): [value.ravel().tolist() for value in values] for step, values in steps if step in KEPT}


def main():
    reference = {key_of(*case): kept_steps(enumerate(torch_steps(*case), 1)) for case in CASES}
    lines = [f'{json.dumps(key)}: {json.dumps(steps)}' for key, steps in reference.items()]
    FILE.write_text('{\n' + ',\n'.join(lines) + '\n}\n')


if __name__ == '__main__':
    main()
