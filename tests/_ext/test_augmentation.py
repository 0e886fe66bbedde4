"""The augmentation kernels refuse images, weights and spacings that they cannot compute with."""

import numpy as np
import pytest
from hostile import COMPILED, each_backend, kernels_of, needs_compiled_kernels


@needs_compiled_kernels
@pytest.mark.parametrize('shape', [(1, 1, 2**24 - 3, 1), (1, 2**24 - 3, 1, 1), (0, 2**24, 2**24, 0)])
def test_an_image_whose_places_numbers_cannot_tell_is_not_resampled(shape):
    x = np.zeros(shape, np.float32)
    call = COMPILED['resample'], x, x, np.zeros((shape[0], 2, 3), np.float32), None, 'fill', 0.0, 1
    if x.size == 0:
        call[0](*call[1:])
    else:
        with pytest.raises(ValueError, match='x: expected images of up to 16777212 rows and columns'):
            call[0](*call[1:])


@each_backend
@pytest.mark.parametrize('outside', ['wrap', '', None])
def test_what_lies_outside_of_an_image_has_to_be_known(backend, outside):
    x = np.zeros((1, 2, 2, 1))
    with pytest.raises(ValueError, match="outside: expected 'fill', 'edge' or 'reflect', got"):
        kernels_of(backend)['resample'](x, x, np.zeros((1, 2, 3)), None, outside, 0.0, 1)


@each_backend
@pytest.mark.parametrize('spacing', [0, -1])
def test_a_field_without_weights_or_spacing_is_refused(backend, spacing):
    fields = kernels_of(backend)['elastic_fields']
    for weights, spaced in ((np.ones(0), 1), (np.ones(1), spacing)):
        with pytest.raises(ValueError, match='weights and a spacing of at least 1'):
            fields(np.zeros((1, 2, 3, 3)), weights, spaced, 1, 1.0, 1)
