"""Checks of arguments."""

import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from cnnx._util import validation
from cnnx._util.validation import MAX_SIZE, positive_int
from cnnx._util.windows import shape_of_sample

BELOW_1 = partial(validation.non_negative, below=1)
UP_TO_5 = partial(validation.whole_number, most=5)


def test_a_whole_number_of_any_kind():
    assert positive_int(np.int64(3), 'n') == 3
    assert shape_of_sample(np.int32(5), 'n') == (5,)


@pytest.mark.parametrize(
    ('check', 'value', 'result'),
    [
        (UP_TO_5, np.uint8(5), 5),
        (validation.checked_size, MAX_SIZE, MAX_SIZE),
        (validation.non_negative, 0, 0.0),
        (validation.positive, np.float32(0.5), 0.5),
        (BELOW_1, np.nextafter(1, 0), math.nextafter(1, 0)),
        (validation.true_or_false, np.True_, True),
    ],
)
def test_values_come_out_as_pythons_own(check, value, result):
    found = check(value, 'n')
    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize(
    ('check', 'wrong', 'message'),
    [
        (
            positive_int,
            [0, -1, 1.0, '3', None, True, np.timedelta64(3, 's'), [1]],
            'n: expected a whole number of at least 1',
        ),
        (UP_TO_5, [-1, 6, 2.0, False, None], 'n: expected a whole number of at least 0'),
        (validation.checked_size, [MAX_SIZE + 1, 10**400], f'n: expected at most {MAX_SIZE}'),
        (
            validation.non_negative,
            [-1e-9, np.nan, np.inf, '1', True, None, 10**400, 1j],
            'n: expected a finite number of',
        ),
        (validation.positive, [0, -1, np.nan, np.inf, False], 'n: expected a finite number of more than 0, got'),
        (BELOW_1, [1, 1.5], 'n: expected a finite number of at least 0 and less than 1, got'),
        (validation.true_or_false, [0, 1, 'yes', None], 'n: expected True or False, got'),
    ],
)
def test_wrong_values_are_refused_by_name(check, wrong, message):
    for value in wrong:
        with pytest.raises(ValueError, match=message):
            check(value, 'n')


@pytest.mark.parametrize('dtype', ['float32', np.float32, np.dtype('f4'), '<f4', '>f4'])
def test_a_dtype_by_any_of_its_names(dtype):
    assert validation.check_dtype(dtype) == np.float32
    assert validation.check_dtype(dtype).isnative


@pytest.mark.parametrize('dtype', ['float16', 'int32', 'real', 7, None])
def test_other_dtypes_are_refused_with_those_that_there_are(dtype):
    with pytest.raises(ValueError, match='dtype: expected one of float32, float64, got'):
        validation.check_dtype(dtype)


def test_paths_are_text_or_path_objects():
    for path in ('a.npz', Path('a.npz')):
        assert validation.path_of_file(path) is path
    for wrong in ('', None, 3, b'a.npz'):
        with pytest.raises(ValueError, match='path: expected the path of a file, got'):
            validation.path_of_file(wrong)


@pytest.mark.parametrize('function', [lambda epoch: 0, lambda *arguments: 0, max, partial(pow, 2)])
def test_functions_that_can_be_called_with_the_arguments_are_returned(function):
    assert validation.function_of(function, 'x', 'epoch') is function


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        (lambda: 0, r'x: expected a function of \(epoch\), got one of \(\)'),
        (lambda epoch, steps: 0, r'x: expected a function of \(epoch\), got one of \(epoch, steps\)'),
        (3, r'x: expected a function of \(epoch\), got 3'),
    ],
)
def test_other_functions_are_refused_with_what_they_take(wrong, message):
    with pytest.raises(ValueError, match=message):
        validation.function_of(wrong, 'x', 'epoch')


def test_errors_show_values_in_one_short_line():
    with pytest.raises(ValueError, match=r'got array\(\[\[0\., 0\..*\.\.\.$') as caught:
        positive_int(np.zeros((50, 50)), 'epochs')
    assert len(str(caught.value)) < 140
    assert validation.shown('x' * 78) == repr('x' * 78)
