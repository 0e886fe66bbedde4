"""What all layers share: building, shapes, parameters."""

import numpy as np
import pytest
from models import bits

import cnnx
from cnnx import Dense, Layer, Network


def test_parameters_are_there_as_soon_as_shapes_are():
    assert [parameter.name for parameter in Dense(4, 3).parameters] == ['weights', 'bias']
    assert Dense(output_size=3).parameters == []


def test_a_layer_that_fails_to_build_in_any_way_can_be_added_again():
    failing = iter([True, False])

    def initializer(rng, shape, dtype):
        if next(failing):
            raise TypeError('not yet')
        return np.ones(shape, dtype)

    net, layer = Network(), Dense(2, 2, kernel_initializer=initializer)
    with pytest.raises(TypeError, match='not yet'):
        net.add(layer)
    net.add(layer)
    assert net.predict([[1, 2]]).tolist() == [[3, 3]]


def test_an_unbuilt_layer_needs_a_batch():
    for x in (np.float32(1), np.zeros(3)):
        with pytest.raises(ValueError, match=r'ReLU: expected input \(N, ...\), got .*add a batch axis'):
            cnnx.ReLU().forward(x)


def test_a_wrong_seed_changes_nothing():
    layer = cnnx.Dropout(0.5)
    with pytest.raises(TypeError):
        layer.set_up((3,), rng='seed')
    assert (layer.input_shape, layer.dtype, layer.generator) == (None, None, None)


def test_a_layer_that_could_not_be_built_can_be_built_again():
    results = iter([np.zeros(3), np.ones((3, 2))])
    layer = cnnx.Dense(output_size=2, kernel_initializer=lambda rng, shape, dtype: next(results))
    with pytest.raises(ValueError, match=r'Dense: initializer of weights: expected .*\(3, 2\)'):
        layer.forward([[1, 2, 3]])
    assert layer.forward([[1, 2, 3]]).tolist() == [[6, 6]]


# Layers of one's own


class Swish(Layer):
    """x sigmoid(beta slope x), with a slope that is learned."""

    def __init__(self, beta=1.0):
        super().__init__()
        self.beta = beta

    def build(self, input_shape):
        self.slope = self.add_parameter('slope', (1,), 'ones')

    def forward(self, x, training):
        self.x = x
        self.gate = 1 / (1 + np.exp(-self.beta * self.slope.value * x))
        return x * self.gate

    def backward(self, dy):
        through_gate = self.x * self.gate * (1 - self.gate) * self.beta
        self.slope.grad = [(dy * self.x * through_gate).sum()]
        return dy * (self.gate + self.slope.value * through_gate)


class Halves(Layer):
    """The first half of each row: another shape than that of the input."""

    def output_shape(self, input_shape):
        return (input_shape[0] // 2,)

    def forward(self, x, training):
        return x[:, : self.shape[0]]

    def backward(self, dy):
        return np.concatenate([dy, np.zeros_like(dy)], axis=1)


def network_with(*layers, fused=True, dtype='float32'):
    net = Network(seed=0, dtype=dtype, fused=fused)
    for layer in (Dense(4, 6), *layers, Dense(output_size=3), cnnx.Softmax()):
        net.add(layer)
    net.compile(cnnx.CategoricalCrossEntropy(), cnnx.SGD(momentum=0.9))
    return net


def rows(n=40):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, n)
    return np.eye(4)[labels] + 0.1 * rng.normal(size=(n, 4)), labels


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('fused', [True, False])
def test_a_layer_of_ones_own_trains_and_its_gradients_are_checked(fused, dtype):
    net = network_with(Swish(2.0), Halves(), fused=fused, dtype=dtype)
    assert net.layers[1].slope.value.dtype == net.predict(rows()[0]).dtype == dtype
    history = net.train(*rows(), epochs=30, learning_rate=0.1, verbose=0)
    assert history['accuracy'][-1] > 0.95
    assert net.layers[1].slope.value != 1
    assert net.check_gradients(*rows(6))
    assert net.evaluate(*rows())['accuracy'] > 0.95


def test_frozen_layers_of_ones_own_stay_as_they_are():
    net = network_with(Swish())
    net.layers[1].trainable = False
    net.train(*rows(), epochs=2, verbose=0)
    assert net.layers[1].slope.value == 1


def test_a_run_with_a_layer_of_ones_own_resumes_with_the_same_bits(tmp_path):
    options = {'learning_rate': 0.1, 'verbose': 0, 'checkpoint_dir': tmp_path, 'resume_from_checkpoint': True}
    network_with(Swish()).train(*rows(), epochs=1, **options)
    resumed, whole = network_with(Swish()), network_with(Swish())
    resumed.train(*rows(), epochs=3, **options)
    whole.train(*rows(), epochs=3, learning_rate=0.1, verbose=0)
    assert bits(resumed) == bits(whole)


def test_a_layer_of_ones_own_is_saved_and_loaded(tmp_path):
    net, path = network_with(Swish(0.5)), tmp_path / 'net.npz'
    net.layers[1].slope.value = [3]
    with pytest.warns(UserWarning, match=r"net.npz: Network.load needs custom_objects=\{'Swish': Swish\}"):
        net.save(path)
    with pytest.raises(cnnx.CheckpointError, match=r"has a Swish, .* give custom_objects=\{'Swish': Swish\}"):
        Network.load(path)
    loaded = Network.load(path, custom_objects={'Swish': Swish})
    assert (loaded.layers[1].beta, loaded.layers[1].slope.value.tolist()) == (0.5, [3])
    np.testing.assert_array_equal(loaded.predict(rows()[0]), net.predict(rows()[0]))


def test_an_argument_that_is_not_kept_cannot_be_saved(tmp_path):
    class Forgetful(Swish):
        def __init__(self, scale):
            super().__init__(scale)

    with pytest.raises(
        TypeError, match=r'Forgetful: keep the argument scale in self.scale, or define Forgetful.settings'
    ):
        network_with(Forgetful(1.0)).save(tmp_path / 'net.npz')


def forgets_super(self):
    self.beta = 1.0


@pytest.mark.parametrize('fused', [True, False])
@pytest.mark.parametrize(
    ('methods', 'error', 'message'),
    [
        ({'forward': lambda self, x, training: None}, ValueError, r'Broken.forward to return an array, .* got None'),
        ({'forward': lambda self, x, training: x[:, :2]}, ValueError, r'Broken.forward .*float32 \(32, 6\), got .*2\)'),
        ({'forward': lambda self, x, training: x.astype('f8')}, ValueError, r'Broken.forward .* got float64'),
        ({'backward': lambda self, dy: None}, ValueError, r'Broken.backward to return an array, .* got None'),
        ({'backward': lambda self, dy: dy[:, :1]}, ValueError, r'Broken.backward .*\(32, 6\), got float32 \(32, 1\)'),
        ({'backward': lambda self, dy: dy.astype('f8')}, ValueError, r'Broken.backward .* got float64'),
        ({'output_shape': lambda self, input_shape: None}, ValueError, r'Broken.output_shape: expected a shape'),
        ({'build': lambda self, shape: self.add_parameter('a', (2,), 'best')}, ValueError, 'expected one of'),
        ({'__init__': forgets_super}, TypeError, r'Broken.__init__: call super\(\).__init__\(\) first'),
    ],
)
def test_what_is_wrong_with_a_layer_of_ones_own_is_named(methods, error, message, fused):
    complete = {'forward': lambda self, x, training: x, 'backward': lambda self, dy: dy}
    with pytest.raises(error, match=message):
        network_with(type('Broken', (Layer,), complete | methods)(), fused=fused).train(*rows(), epochs=1, verbose=0)


@pytest.mark.parametrize('missing', ['forward', 'backward'])
def test_what_a_layer_of_ones_own_leaves_out_is_named(missing):
    complete = {'forward': lambda self, x, training: x, 'backward': lambda self, dy: dy}
    del complete[missing]
    with pytest.raises(NotImplementedError, match=rf'Partial.{missing}: define {missing}\('):
        network_with(type('Partial', (Layer,), complete)()).train(*rows(), epochs=1, verbose=0)


def test_a_print_in_a_forward_pass_is_seen(capsys):
    net = network_with(cnnx.ReLU(), fused=False)
    forward = net.layers[1].forward

    def loud(x, training=False):
        print('x is', x.shape)
        return forward(x, training)

    net.layers[1].forward = loud
    net.train(*rows(), epochs=1, verbose=0)
    net.layers[0].trainable = False  # a new plan runs the layers one by one, too
    net.train(*rows(), epochs=1, verbose=0)
    assert capsys.readouterr().out.count('x is (32, 6)') == 2


class Rowed(Layer):
    """Keeps an argument where networks keep the shape of the output."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape


class Early(Layer):
    """Adds a parameter before its shapes are known."""

    def __init__(self):
        super().__init__()
        self.add_parameter('w', (2,))


def test_what_networks_set_is_no_place_for_arguments():
    with pytest.raises(TypeError, match='Rowed: self.shape is what networks set; use another name'):
        network_with(Rowed((2, 3)))
    with pytest.raises(RuntimeError, match='Early: call add_parameter in build'):
        Early()


def test_a_file_decides_over_what_build_writes_into_a_parameter(tmp_path):
    class Ramp(Swish):
        def build(self, input_shape):
            super().build(input_shape)
            self.slope.value = [5]

    net = network_with(Ramp())
    net.layers[1].slope.value = [2]
    with pytest.warns(UserWarning, match='custom_objects'):
        net.save(tmp_path / 'net.npz')
    assert Network.load(tmp_path / 'net.npz', custom_objects={'Ramp': Ramp}).layers[1].slope.value == 2


def test_l2_of_a_layer_of_ones_own_penalizes_its_weights():
    class Scale(Swish):
        def build(self, input_shape):
            self.slope = self.add_parameter('weights', (1,), 'ones')

    net = network_with(Scale())
    plain = net.evaluate(*rows())['loss']
    net.layers[1].l2 = 0.5
    assert net.evaluate(*rows())['loss'] == pytest.approx(plain + 0.5)
    assert net.check_gradients(*rows(6))
    with pytest.raises(ValueError, match='l2: expected'):
        net.layers[1].l2 = -1


def test_a_layer_of_cnnx_with_fewer_arguments_is_saved_and_loaded(tmp_path):
    class Narrow(Dense):
        def __init__(self, output_size):
            super().__init__(output_size=output_size, kernel_initializer='glorot_uniform')

    net = network_with(Narrow(5))
    with pytest.warns(UserWarning, match='custom_objects'):
        net.save(tmp_path / 'net.npz')
    loaded = Network.load(tmp_path / 'net.npz', custom_objects={'Narrow': Narrow})
    np.testing.assert_array_equal(loaded.predict(rows()[0]), net.predict(rows()[0]))
    with pytest.raises(TypeError, match='custom_objects: expected classes by name'):
        Network.load(tmp_path / 'net.npz', custom_objects=Narrow)


def test_a_run_with_a_layer_of_ones_own_that_diverges_says_so():
    with pytest.raises(cnnx.DivergenceError, match='epoch 1, batch'), np.errstate(all='ignore'):
        network_with(Swish()).train(*rows(), epochs=5, learning_rate=1e30, verbose=0)


def test_a_constructor_that_leaves_out_the_one_of_layer_is_named_in_a_graph_and_alone_too():
    class Careless(cnnx.Layer):
        def __init__(self):
            self.slope = 2

    for use in (lambda layer: layer(cnnx.Input((4,))), lambda layer: layer.add_parameter('w', (4,))):
        with pytest.raises(TypeError, match=r'Careless\.__init__: call super'):
            use(Careless())


def test_shapes_of_parameters():
    class Own(cnnx.Layer):
        def __init__(self, shape, initializer):
            super().__init__()
            self.shape_, self.initializer = shape, initializer

        def build(self, input_shape):
            self.add_parameter('w', self.shape_, self.initializer)

    assert Own(6, 'normal').set_up((3,)).parameters[0].value.shape == (6,)
    with pytest.raises(ValueError, match=r"ends in \(..., inputs, outputs\), got \(6,\); for others there are 'zeros'"):
        Own((6,), 'he_normal').set_up((3,))
