"""Input, layers that are called on values, and networks made from both ends."""

import numpy as np
import pytest

import cnnx
from cnnx import Add, Convolutional, Dense, Flatten, Input, Network, ReLU, Softmax

x = Input((6, 5, 2))


def test_a_layer_called_on_a_value_gives_a_value_with_its_shape():
    y = Convolutional(4, 3, padding='same')(x)
    assert y.shape == (6, 5, 4)
    assert Flatten()(y).shape == (120,)
    assert repr(y) == 'Convolutional: (6, 5, 4)'
    assert repr(x) == 'Input: (6, 5, 2)'


def test_a_layer_called_on_an_array_computes():
    array = np.arange(-3.0, 3).reshape(1, 6)
    assert ReLU()(array).tolist() == [[0, 0, 0, 0, 1, 2]]


def test_a_chain_has_the_same_weights_in_whichever_way_it_is_made():
    def layers():
        return Convolutional(4, 3, input_shape=(6, 5, 2)), ReLU(), Flatten(), Dense(output_size=3), Softmax()

    by_list, by_add = Network(layers(), seed=5), Network(seed=5)
    for layer in layers():
        by_add.add(layer)
    inputs = y = Input((6, 5, 2))
    for layer in layers():
        y = layer(y)
    by_call = Network(inputs=inputs, outputs=y, seed=5)
    assert by_list.reads == by_add.reads == by_call.reads == ((-1,), (0,), (1,), (2,), (3,))
    for name, parameter in by_list.parameters.items():
        assert (parameter.value == by_add.parameters[name].value).all()
        assert (parameter.value == by_call.parameters[name].value).all()


def test_weights_are_drawn_in_the_order_of_the_calls():
    inputs = Input((4,))
    b, a = Dense(output_size=4), Dense(output_size=4)
    second, first = b(inputs), a(inputs)
    net = Network(inputs=inputs, outputs=Add()([first, second]), seed=0)
    assert net.layers[:2] == (b, a)
    assert net.reads == ((-1,), (-1,), (1, 0))


def test_calls_that_do_not_lead_to_the_output_are_left_out():
    inputs = Input((4,))
    h = Dense(output_size=3)(inputs)
    aside = Dense(output_size=3)
    aside(inputs)
    net = Network(inputs=inputs, outputs=Softmax()(h))
    assert aside.index is None
    assert len(net.layers) == 2


def test_an_inner_value_can_be_the_input():
    inputs = Input((4,))
    h = Dense(output_size=3)(inputs)
    net = Network(inputs=h, outputs=Softmax()(h))
    assert net.input_shape == (3,)


def conv():
    return Convolutional(4, 3, padding='same')


USED = conv()
USED(x)
TAKEN = Flatten()
Network([TAKEN := Dense(2, 2)])
MISTAKES = {
    'a layer twice': (lambda: USED(x), ValueError, 'Convolutional: this layer has been called.*make another'),
    'a layer of a network': (lambda: TAKEN(Input((2,))), ValueError, 'in a network'),
    'shapes that do not fit': (lambda: Add()([conv()(x), x]), ValueError, r'Add: .*\(6, 5, 4\) and \(6, 5, 2\)'),
    'no list for a merge': (lambda: Add()(x), TypeError, 'Add: expected a list of at least two values, got Input'),
    'a list for another layer': (lambda: conv()([x, x]), TypeError, 'Convolutional: expected one value'),
    'one input for a merge': (lambda: Add()([x]), TypeError, 'Add: expected a list of at least two'),
    'an array among values': (lambda: Add()([x, np.ones(3)]), TypeError, 'Add: expected values'),
    'a wrong shape for a layer': (lambda: Dense(4, 2)(x), ValueError, r'Dense: .*\(6, 5, 2\)'),
    'another input': (lambda: Network(inputs=Input((6, 5, 2)), outputs=conv()(x)), ValueError, 'another Input'),
    'no path from the input': (lambda: Network(inputs=x, outputs=x), ValueError, 'do not depend'),
    'no outputs': (lambda: Network(inputs=x), TypeError, 'outputs=what a layer gave'),
    'layers and inputs': (lambda: Network([conv()], inputs=x, outputs=conv()(x)), TypeError, 'got both'),
    'no shape': (lambda: Input('a'), ValueError, 'Input: expected a shape'),
}


@pytest.mark.parametrize('name', MISTAKES)
def test_mistakes_get_clear_errors(name):
    make, kind, message = MISTAKES[name]
    with pytest.raises(kind, match=message):
        make()


def test_a_value_of_another_network_is_refused():
    inputs = Input((4,))
    h = Dense(output_size=3)(inputs)
    Network(inputs=inputs, outputs=h)
    with pytest.raises(ValueError, match=r'layer 0 \(Dense\) is in a network already'):
        Network(inputs=inputs, outputs=Softmax()(h))


def test_add_takes_places_to_read():
    net = Network(seed=0)
    net.add(Dense(4, 4))
    net.add(Dense(output_size=4), reads=[-1])
    net.add(Add(), reads=[0, 1])
    assert net.reads == ((-1,), (-1,), (0, 1))
    with pytest.raises(ValueError, match='reads: expected places of layers before layer 3'):
        net.add(Softmax(), reads=[3])
    with pytest.raises(ValueError, match='Add.*: expected several inputs, got 1'):
        net.add(Add())
    assert cnnx.Network([Dense(2, 2)]).reads == ((-1,),)
