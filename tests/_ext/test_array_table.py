"""Tables of arrays refuse rows and columns that do not fit, and state of another shape."""

import numpy as np
import pytest
from hostile import COMPILED, needs_compiled_kernels

import cnnx
from cnnx.layers.parameter import Parameter
from cnnx.optimizers import SGD


@needs_compiled_kernels
@pytest.mark.parametrize(
    'row', [(), (np.ones(3, np.float32),), (np.ones(3, np.float32), np.ones(2, np.float32), np.ones(3, np.float32))]
)
def test_a_table_of_rows_that_do_not_agree_is_refused(row):
    with pytest.raises(ValueError, match='expected'):
        COMPILED['sgd_update'](COMPILED['ArrayTable']([row]), 0.1, 0.9, False, 0.0, 1.0, 1)


@needs_compiled_kernels
@pytest.mark.parametrize('column', [-1, 2, 2**31 - 1])
@pytest.mark.parametrize('kernel', ['all_finite', 'sum_of_squares'])
def test_a_column_that_a_table_has_not_is_refused(kernel, column):
    table = COMPILED['ArrayTable']([tuple(np.ones((2, 4), np.float32))])
    with pytest.raises(ValueError, match='expected one of 2 columns'):
        COMPILED[kernel](table, column, 1)


@needs_compiled_kernels
@pytest.mark.parametrize('value', [np.ones(3, np.int64), np.ones(3, np.float16), np.ones(3, '>f4')])
def test_parameters_of_other_dtypes_are_not_updated(value):
    parameter = Parameter('weights', value)
    with cnnx.use_backend('cython'), pytest.raises(ValueError, match='expected arrays of float32 or float64'):
        SGD().update([parameter], 0.1)


@needs_compiled_kernels
@pytest.mark.parametrize('wrong', [np.zeros(2, np.float32), np.zeros(3, np.float64)])
def test_state_of_an_optimizer_that_lost_its_shape_is_refused(wrong):
    parameter = Parameter('weights', np.ones(3, np.float32))
    parameter.state['velocity'] = wrong
    with cnnx.use_backend('cython'), pytest.raises(ValueError, match='contiguous and aligned, of shape'):
        SGD(momentum=0.9).update([parameter], 0.1)
    assert (parameter.value == 1).all()
