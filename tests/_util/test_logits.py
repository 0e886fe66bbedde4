"""Arrays that belong to other arrays: logits to probabilities."""

import gc

import numpy as np

from cnnx._util.logits import Companions


def test_a_companion_is_found_by_the_array_alone():
    companions, array = Companions(), np.array([1.0, 2.0])
    companions.remember(array, np.array([3.0]))
    assert companions.find(array).tolist() == [3.0]
    assert companions.find(array.copy()) is None
    assert companions.find(array[:]) is None


def test_an_array_that_was_changed_has_none():
    companions, array = Companions(), np.array([1.0, 2.0])
    companions.remember(array, np.array([3.0]))
    array[0] = 5
    assert companions.find(array) is None
    array[0] = 1
    assert companions.find(array).tolist() == [3.0]


def test_a_companion_is_a_copy():
    companions, array, companion = Companions(), np.array([1.0]), np.array([3.0])
    companions.remember(array, companion)
    companion[0] = 4
    assert companions.find(array).tolist() == [3.0]


def test_nothing_is_kept_of_arrays_that_are_gone():
    companions, array = Companions(), np.array([1.0])
    companions.remember(array, np.array([3.0]))
    del array
    gc.collect()
    assert companions._found == {}


def test_what_an_array_was_made_from_is_found_while_the_function_gives_it_again():
    companions, source = Companions(), np.array([3.0, 4.0])
    array = np.square(source)
    companions.remember_source(array, source, np.square)
    assert companions.find(array) is source
    source[0] = 5
    assert companions.find(array) is None
    array[0] = 25
    assert companions.find(array) is source
    del array
    gc.collect()
    assert companions._found == {}
