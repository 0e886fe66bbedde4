"""Hints: calls, attributes and names of modules that are explained. What users write is in tests/test_habits.py."""

import pytest

from cnnx._util.hints import Hinted, check_format, check_keywords, explain_names, explained, hint_of_names


class Box(Hinted):
    _elsewhere = {'len': 'width'}  # noqa: RUF012

    @explained({'w': 'width='}, 'see help')
    def __init__(self, width, *, depth=1):
        self.width = width + 0

    @property
    def broken(self):
        return self.no_such_thing


def test_a_call_that_fits_is_made():
    assert Box(3).width == Box(width=3, depth=2).width == 3


@pytest.mark.parametrize(
    ('arguments', 'settings', 'line'),
    [
        ((), {'w': 3}, 'Box(w=...): here width='),
        ((), {'x': 3}, 'Box: no argument x; expected width, depth'),
        ((), {}, "Box: missing a required argument: 'width'; see help"),
        (
            (1, 2),
            {},
            'Box: only width can be given without a name, got 2; see help; give the others by name: depth',
        ),
    ],
)
def test_a_call_that_does_not_fit_is_explained(arguments, settings, line):
    with pytest.raises(TypeError) as caught:
        Box(*arguments, **settings)
    assert str(caught.value) == line


def test_an_error_of_the_function_itself_stays():
    with pytest.raises(TypeError, match='can only concatenate str'):
        Box('3')


def test_arguments_by_place_are_checked_first():
    seen = []
    add = explained({}, check=seen.append)(lambda first, second: first + second)
    assert add(1, second=2) == 3
    assert seen == [(1,)]


def test_attributes_are_explained_and_errors_of_properties_stay():
    with pytest.raises(AttributeError, match=r'Box\.len: here width'):
        Box(1).len  # noqa: B018
    with pytest.raises(AttributeError, match="'Box' object has no attribute 'no_such_thing'"):
        Box(1).broken  # noqa: B018
    assert not hasattr(Box(1), 'len')


def test_keywords_that_the_class_takes_are_not_explained():
    check_keywords(Box, {'depth': 2}, {'depth': 'something else'})
    with pytest.raises(TypeError, match=r'Box\(w=\.\.\.\): here width='):
        check_keywords(Box, {'w': 2}, {'w': 'width='})


def test_names_of_modules_are_explained():
    explain = explain_names('boxes')
    with pytest.raises(AttributeError, match=r'boxes\.Linear: here Dense'):
        explain('Linear')
    with pytest.raises(AttributeError, match="module 'boxes' has no attribute 'Lines'"):
        explain('Lines')


def test_formats_of_other_libraries_are_refused(tmp_path):
    for path in ('m', 'm.npz', 'm.pt.npz', tmp_path / 'a.h5' / 'model', 3, b'm.npz'):
        check_format(path, 'save')
    for path in ('m.PT', tmp_path / 'm.weights.h5'):
        with pytest.raises(ValueError, match=r'save: .* is the name of a file of (PyTorch|Keras); cnnx has .npz files'):
            check_format(path, 'save')


def test_names_of_other_libraries_are_recognized():
    assert hint_of_names(['weights_0', 'bias_0']) == ''
    assert "fc.bias is a name of PyTorch: give layout='torch'" in hint_of_names(['weights_0', 'fc.bias'])
    assert "dense/kernel:0 is a name of Keras: give layout='keras'" in hint_of_names(['dense/kernel:0'])
    assert 'Its arrays have no names' in hint_of_names(['arr_0', 'arr_1'])


def test_files_of_keras_are_named_with_the_way_from_and_to_keras():
    with pytest.raises(ValueError, match=r"model\.export\('m\.onnx', format='onnx'\)"):
        check_format('m.keras', 'load_weights')
    with pytest.raises(ValueError, match="With layout='keras', Keras takes its arrays by set_weights"):
        check_format('m.weights.h5', 'save_weights')
