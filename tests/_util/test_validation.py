"""Checks of arguments."""

import numpy as np

from cnnx._util.validation import positive_int
from cnnx._util.windows import shape_of_sample


def test_a_whole_number_of_any_kind():
    assert positive_int(np.int64(3), 'n') == 3
    assert shape_of_sample(np.int32(5), 'n') == (5,)
