"""No input crashes the interpreter: what no one should pass is computed right, or refused with a message.

These run with every test; tests/torture/test_hostile_input.py runs them for longer, on every tier.
"""

import inspect

import hostile
import numpy as np
import pytest
from hostile import absurd, odd_numbers, quiet, samples, seeds, targets
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import example

import cnnx
from cnnx import kernels
from cnnx._util.validation import MAX_SIZE
from cnnx._util.windows import Window
from cnnx.layers import LAYERS
from cnnx.layers.parameter import Parameter
from cnnx.optimizers import OPTIMIZERS, SGD

BACKENDS = ('cython', 'numpy')
F32, F64, I32 = np.float32, np.float64, np.int32
# (N, H, W, C), (R, S, C, F), (P, Q): names of sizes stand for the same number in all arrays of a kernel, digits for
# themselves. i: integers; p: places, none of them odd, since of sums that overflow only the order tells the sign.
KERNELS = {
    'relu_forward': ('A', 'A'),
    'relu_backward': ('A', 'A', 'A'),
    'sigmoid_forward': ('A', 'A'),
    'sigmoid_backward': ('A', 'A', 'A'),
    'leaky_relu_forward': ('A', 'A', st.floats(0, 3)),
    'leaky_relu_backward': ('A', 'A', 'A', st.floats(0, 3)),
    'tanh_forward': ('A', 'A'),
    'tanh_backward': ('A', 'A', 'A'),
    'dropout_forward': ('A', 'A', st.integers(0, 2**64 - 1), st.floats(0, 1, exclude_max=True)),
    'dropout_backward': ('A', 'A', st.integers(0, 2**64 - 1), st.floats(0, 1, exclude_max=True)),
    'batchnorm_statistics': ('NC', 'C', 'C'),
    'batchnorm_forward': ('NC', 'C', 'C', 'C', 'C', 'NC', st.floats(1e-5, 1)),
    'batchnorm_backward_parameters': ('NC', 'C', 'C', 'NC', 'C', 'C', st.floats(1e-5, 1)),
    'batchnorm_backward_input': ('NC', 'C', 'C', 'C', 'NC', 'C', 'C', 'NC', st.floats(1e-5, 1), st.booleans()),
    'dense_forward': ('NI', 'IO', 'O', 'NO'),
    'dense_backward_weights': ('NI', 'NO', 'IO', 'O'),
    'dense_backward_input': ('IO', 'NO', 'NI'),
    'softmax_forward': ('NC', 'NC'),
    'softmax_backward': ('NC', 'NC', 'NC'),
    'softmax_cross_entropy_forward': ('NC', 'iN', 'NC', 'N', st.floats(0, 0.9)),
    'softmax_cross_entropy_backward': ('NC', 'iN', 'NC', st.floats(0, 0.9)),
    'convolution_forward': ('NHWC', 'RSCF', 'F', 'NPQF', Window),
    'convolution_backward_weights': ('NHWC', 'NPQF', 'RSCF', 'F', Window),
    'convolution_backward_input': ('RSCF', 'NPQF', 'NHWC', Window),
    'maxpool_forward': ('NHWC', 'NPQC', 'iNPQC', Window),
    'maxpool_backward': ('NPQC', 'iNPQC', 'NHWC', Window),
    'averagepool_forward': ('NHWC', 'NPQC', Window),
    'averagepool_backward': ('NPQC', 'NHWC', Window),
    'resample': ('NHWC', 'NHWC', 'pN23', 'pN2HW'),
    'elastic_fields': ('N2HW', 'R', st.integers(1, 6), st.integers(0, 2**64 - 1), st.floats(0, 50)),
    'erase': ('NHWC', 'iN4', st.integers(0, 2**64 - 1), st.floats(-1, 0), st.floats(0, 1)),
}
# Kernels over a table: of how many columns, and the arguments between it and the number of threads.
TABLE_KERNELS = {
    'all_finite': (2, (1,)),
    'sum_of_squares': (2, (1,)),
    'sgd_update': (3, (0.1, 0.9, False, 0.0, 1.0)),
    'adam_update': (4, (np.ones(1, np.int64), 0.1, 0.9, 0.999, 1e-8, 0.0, False, 1.0)),
    'rmsprop_update': (4, (0.1, 0.99, 1e-8, 0.9, 0.0, 1.0)),
    'adagrad_update': (3, (0.1, 1e-10, 0.0, 1.0)),
}


def kernels_of(backend):
    """Return the kernels of a backend by name, or None where it is not there."""
    try:
        with cnnx.use_backend(backend):
            return vars(kernels.current())
    except cnnx.BackendError:
        return None


COMPILED, TWINS = (kernels_of(backend) for backend in BACKENDS)
needs_compiled_kernels = pytest.mark.skipif(COMPILED is None, reason='the compiled kernels are not there')
each_backend = pytest.mark.parametrize('backend', [pytest.param('cython', marks=needs_compiled_kernels), 'numpy'])
many = settings(max_examples=3 * settings.default.max_examples)


# Constructors and settings


@many
@given(
    data=st.data(),
    kind=st.sampled_from([*LAYERS.values(), *OPTIMIZERS.values(), cnnx.CategoricalCrossEntropy, cnnx.Network]),
)
def test_a_constructor_takes_its_arguments_or_refuses_them(kind, data):
    names = inspect.signature(kind).parameters
    chosen = {name: data.draw(absurd | st.integers(1, 4)) for name in names if data.draw(st.booleans())}
    made, _ = quiet(kind, **chosen)
    if isinstance(made, cnnx.Layer) and all(size < 1000 for size in made.input_shape or ()):
        y, refused = quiet(made.forward, data.draw(samples(made.input_shape or (5, 4, 2))))
        if refused is None:
            quiet(made.backward, y)


@pytest.mark.parametrize(
    'make',
    [
        lambda size: cnnx.Convolutional(1, 1, stride=size, input_shape=(4, 4, 1)),
        lambda size: cnnx.Convolutional(size, 1),
        lambda size: cnnx.Convolutional(1, size),
        lambda size: cnnx.MaxPooling(1, size),
        lambda size: cnnx.Dense(size, 1),
        lambda size: cnnx.Dense(1, size),
        lambda size: cnnx.ReLU(size),
    ],
)
def test_sizes_beyond_what_kernels_count_in_are_refused(make):
    for size in (MAX_SIZE + 1, 2**32, 2**63, 10**30):
        with pytest.raises(ValueError, match=f'expected at most {MAX_SIZE}, got {size}'):
            make(size)


@each_backend
def test_strides_whose_product_is_large_still_compute(backend):
    net = cnnx.Network(seed=0)
    net.add(cnnx.Convolutional(1, 1, MAX_SIZE, 'same', (4, 4, 1)))
    net.add(cnnx.MaxPooling(1, MAX_SIZE))
    x = np.ones((2, 4, 4, 1))
    with cnnx.use_backend(backend):
        np.testing.assert_array_equal(net.predict(x).ravel(), [net.layers[0].weights.item()] * 2)


def test_weights_that_no_memory_holds_are_refused_with_the_layer_that_asks_for_them():
    with pytest.raises((MemoryError, ValueError), match='Dense: '):
        cnnx.Dense(MAX_SIZE, MAX_SIZE).build()


@pytest.mark.parametrize('momentum', [np.complex64(0.5), 10**400, np.array([0.5]), np.bool_(True)])
def test_a_momentum_that_is_no_number_from_0_to_1_is_refused(momentum):
    with pytest.raises(ValueError, match='momentum: expected a finite number'):
        SGD(momentum=momentum)


@pytest.mark.parametrize('rate', [10**400, np.complex64(1), 'fast', True])
def test_a_learning_rate_beyond_all_floats_is_refused(rate):
    net, x, y = classifier()
    with pytest.raises(ValueError, match='learning_rate: expected a finite number'):
        net.train(x, y, learning_rate=rate, verbose=0)


def test_arrays_where_words_are_wanted_are_refused_by_name():
    with pytest.raises(ValueError, match='padding: expected one of'):
        cnnx.Convolutional(1, 1, padding=np.array(['valid', 'same']))
    with pytest.raises(ValueError, match='input_shape: expected a shape'):
        cnnx.Dense(3, 2, input_shape=np.array([3, 4]))
    with pytest.raises(ValueError, match='from_logits: expected True or False'):
        cnnx.CategoricalCrossEntropy('logits')


# Layers, losses and networks


@needs_compiled_kernels
@many
@given(data=st.data(), kind=st.sampled_from(sorted(LAYERS)))
def test_a_layer_computes_what_its_twin_does_or_refuses(kind, data):
    layer, shape = example(kind)
    layer.build(shape)
    x, dy = data.draw(samples(shape)), data.draw(samples(layer.output_shape))
    passes = []
    for name in BACKENDS:
        with cnnx.use_backend(name):
            y, refused = quiet(layer.forward, x)
            dx, refused_back = quiet(layer.backward, dy) if refused is None else (None, refused)
        passes.append((y, dx, type(refused), type(refused_back)))
    (y, dx, *refusals), (other_y, other_dx, *other_refusals) = passes
    assert refusals == other_refusals
    for ours, expected in ((y, other_y), (dx, other_dx)):
        if expected is not None:
            assert_near(ours, expected)


def assert_near(ours, expected):
    """Hold numbers to a tolerance, but for what overflows: sums around 1e38 do in one order and not in another."""
    assert ours.dtype == expected.dtype
    assert ours.shape == expected.shape
    calm = (np.abs(ours) < 1e30) & (np.abs(expected) < 1e30)
    np.testing.assert_allclose(ours[calm], expected[calm], rtol=1e-4, atol=1e-4)


def classifier():
    net = cnnx.Network(seed=0)
    net.add(cnnx.Convolutional(2, 2, input_shape=(4, 4, 1)))
    for layer in (cnnx.ReLU(), cnnx.MaxPooling(2), cnnx.Flatten(), cnnx.Dense(output_size=3), cnnx.Softmax()):
        net.add(layer)
    net.compile(cnnx.CategoricalCrossEntropy(), SGD(momentum=0.9))
    return net, np.random.default_rng(0).random((6, 4, 4, 1)), np.array([0, 1, 2, 0, 1, 2])


def weights(net):
    return {name: parameter.value.tobytes() for name, parameter in net.parameters.items()}


@each_backend
@given(data=st.data())
def test_a_network_that_refuses_has_changed_no_weight(backend, data):
    with cnnx.use_backend(backend):
        train_and_use(data)


def train_and_use(data):
    net, x, y = classifier()
    before = weights(net)
    x = data.draw(st.just(x) | samples((4, 4, 1)))
    y = data.draw(st.just(y) | targets(3, 3))
    settings = {'batch_size': 2, 'epochs': 1, 'learning_rate': 0.1}
    for name in settings:
        if data.draw(st.integers(0, 9)) == 0:
            wrong = data.draw(absurd)
            # Asked for so many epochs, a network trains so many.
            settings[name] = 0 if name == 'epochs' and isinstance(wrong, int) and wrong > 1 else wrong
    try:
        _, refused = quiet(net.train, x, y, **settings, verbose=0)
    except cnnx.DivergenceError:
        refused = None
    if refused is not None:
        assert weights(net) == before, refused
    for call in (net.evaluate, lambda x, y: net.predict(x), lambda x, y: net.predict_classes(x)):
        now = weights(net)
        quiet(call, x, y)
        assert weights(net) == now


@each_backend
@given(
    data=st.data(), n=st.integers(0, 4), classes=st.integers(1, 5), kind=st.sampled_from(['logits', 'mean', 'plain'])
)
def test_a_loss_computes_or_refuses(backend, data, n, classes, kind):
    loss = cnnx.MeanSquaredError() if kind == 'mean' else cnnx.CategoricalCrossEntropy(kind == 'logits')
    predictions = data.draw(samples((classes,)))
    with cnnx.use_backend(backend):
        value, refused = quiet(loss.forward, predictions, data.draw(targets(classes, n)))
        if refused is None:
            assert isinstance(value, float)
            gradient, _ = quiet(loss.backward)
            assert gradient.shape == np.shape(predictions)


def replace_loss(net):
    net.loss = cnnx.MeanSquaredError()


def replace_last_layers(net):
    net.layers[-2:] = [cnnx.Dense(2, 2).build(), cnnx.Softmax().build((2,))]


@each_backend
@pytest.mark.parametrize('change', [replace_loss, replace_last_layers])
def test_what_is_assigned_to_a_network_in_use_counts_from_then_on(backend, change):
    with cnnx.use_backend(backend):
        net, x, y = classifier()
        net.train(x, y, epochs=1, verbose=0)
        change(net)
        y = np.minimum(y, 1) if change is replace_last_layers else y
        found = net.evaluate(x, y)
        net.compile(net.loss, net.optimizer)
        assert net.evaluate(x, y) == found


def replace_a_layer(net):
    net.layers[4] = cnnx.Dense(10**6, 3).build()


def change_the_dtype(net):
    net.dtype = np.dtype('float64')


@each_backend
@pytest.mark.parametrize('change', [replace_a_layer, change_the_dtype])
def test_layers_that_no_longer_fit_are_refused(backend, change):
    with cnnx.use_backend(backend):
        net, x, y = classifier()
        net.train(x, y, epochs=1, verbose=0)
        change(net)
        for call in (lambda: net.train(x, y, epochs=1, verbose=0), lambda: net.predict(x)):
            with pytest.raises(ValueError, match='build the network with Network.add'):
                call()


@each_backend
def test_an_input_shape_changed_by_hand_lets_nothing_be_read_beyond_its_end(backend):
    with cnnx.use_backend(backend):
        net, x, _ = classifier()
        net.predict(x)
        net.layers[0].input_shape = (2, 2, 1)
        with pytest.raises(ValueError, match='expected|shape'):
            net.predict(x[:, :2, :2])


@needs_compiled_kernels
def test_samples_that_a_source_has_not_are_not_gathered():
    gather = COMPILED['Gather'](np.zeros((4, 3), F32))
    program = COMPILED['Program']([gather], 4)
    gather.read_from(np.ones((2, 3), F32))
    for order in ([0, 1, 2], [-1], [10**12], None):
        order = order and np.array(order)
        with pytest.raises(IndexError, match='expected'):
            program.run(3 if order is None else len(order), False, True, False, 1, order)
    for source in (np.ones((2, 2), F32), np.ones((2, 3))):
        with pytest.raises(ValueError, match='expected samples of 12 bytes'):
            gather.read_from(source)


def test_misaligned_numbers_are_copied_before_kernels_see_them():
    layer, shape = example('Dense')
    x = np.ndarray((2, *shape), F32, np.zeros(25, np.uint8), 1)
    x[...] = [[1, 2, 3], [4, 5, 6]]
    y = layer.forward(x)
    assert layer._saved[0].flags.aligned
    np.testing.assert_array_equal(y, layer.forward(x.copy()))


@needs_compiled_kernels
@pytest.mark.parametrize('value', [np.ones(3, np.int64), np.ones(3, np.float16), np.ones(3, '>f4')])
def test_parameters_of_other_dtypes_are_not_updated(value):
    parameter = Parameter('weights', value)
    with cnnx.use_backend('cython'), pytest.raises(ValueError, match='expected arrays of float32 or float64'):
        SGD().update([parameter], 0.1)


@needs_compiled_kernels
@pytest.mark.parametrize('wrong', [np.zeros(2, F32), np.zeros(3, F64)])
def test_memory_of_an_optimizer_that_lost_its_shape_is_refused(wrong):
    parameter = Parameter('weights', np.ones(3, F32))
    parameter.state['velocity'] = wrong
    with cnnx.use_backend('cython'), pytest.raises(ValueError, match='contiguous and aligned, of shape'):
        SGD(momentum=0.9).update([parameter], 0.1)
    assert (parameter.value == 1).all()


# Kernels


@st.composite
def kernel_call(draw, name, wrong):
    """Draw the arguments of a kernel, sizes that agree with each other unless `wrong`; the threads come last."""
    letters = {letter: draw(st.integers(0 if draw(st.integers(0, 5)) == 0 else 1, 5)) for letter in 'ANIOCHWFRSPQ'}
    letters |= {digit: int(digit) for digit in '234'}
    window = Window(letters['R'], letters['S'], draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    window = window._replace(pad_top=draw(st.integers(0, 3)), pad_left=draw(st.integers(0, 3)))
    if 'pool' in name:
        window = window._replace(pad_top=min(window.pad_top, max(window.height - 1, 0)))
        window = window._replace(pad_left=min(window.pad_left, max(window.width - 1, 0)))
        # Of the last window, a row at least lies in the image.
        letters['H'] = max((letters['P'] - 1) * window.stride_height - window.pad_top, 0) + draw(st.integers(1, 4))
        letters['W'] = max((letters['Q'] - 1) * window.stride_width - window.pad_left, 0) + draw(st.integers(1, 4))
    seed, dtype, arguments = draw(seeds), draw(st.sampled_from([F32, F64])), []
    for shape in KERNELS[name]:
        if shape is Window:
            arguments.append(window)
            continue
        if not isinstance(shape, str):
            arguments.append(draw(shape))
            continue
        sizes = tuple(letters[letter] for letter in shape.lstrip('ip'))
        seed += 1
        if shape[0] == 'i':
            most = max(letters['C'] if shape == 'iN' else letters['R'] * letters['S'], 1)
            arguments.append(np.random.default_rng(seed).integers(0, most, sizes).astype(I32))
        elif shape[0] == 'p':
            arguments.append(2 * np.random.default_rng(seed).normal(size=sizes).astype(dtype))
        else:
            arguments.append(odd_numbers(sizes, seed, dtype))
    arguments.append(draw(st.integers(1, 3)))
    places = st.lists(st.integers(0, len(arguments) - 1), min_size=1, max_size=2, unique=True)
    for place in draw(places) if wrong else ():
        arguments[place] = draw(wrong_argument(arguments[place]))
    return arguments


@st.composite
def wrong_argument(draw, right):
    if isinstance(right, Window):
        number = st.sampled_from([-(2**40), -1, 0, 1, 2, 7, 2**31, 2**62, 2**64, 1.5, None])
        return draw(absurd | st.just(right._replace(**{draw(st.sampled_from(Window._fields)): draw(number)})))
    if isinstance(right, float):
        return draw(absurd | st.sampled_from([-1.0, 1.0, 1e300, np.nan, np.inf, -np.inf]))
    if isinstance(right, int):
        return draw(st.sampled_from([-(2**31), -1, 0, 257, 10**5, 2**31, 2**40, None, 1.5, '1']))
    kind = draw(st.sampled_from(['absurd', 'size', 'axis', 'dtype', 'strided', 'read-only', 'swapped', 'numbers']))
    if kind == 'absurd':
        return draw(absurd)
    sizes = list(right.shape)
    axis = draw(st.integers(0, len(sizes) - 1))
    if kind == 'size':
        sizes[axis] = draw(st.sampled_from([0, 1, sizes[axis] + 1, sizes[axis] + 1000]))
        return np.zeros(sizes, right.dtype)
    if kind == 'axis':
        return right[None] if draw(st.booleans()) else right.reshape(-1)
    if kind == 'dtype':
        # Records crash Cython's own look at an array; layers and networks refuse them.
        kinds = [dtype for dtype in (*hostile.DTYPES, *hostile.NO_NUMBERS) if np.dtype(dtype).names is None]
        return np.zeros(sizes, draw(st.sampled_from(kinds)))
    if kind == 'strided':
        return np.repeat(right, 2, axis=axis)[(*[slice(None)] * axis, slice(None, None, 2))]
    if kind == 'swapped':
        return right.astype(right.dtype.newbyteorder())
    if kind == 'numbers' and right.dtype == I32:
        return np.full(sizes, draw(st.sampled_from([-1, 5, 255, 2**28, 2**31 - 1, -(2**31)])), I32)
    right = right.copy()
    right.flags.writeable = False
    return right


def run(kernel, arguments):
    """Call a kernel on copies; return them, and the error that it refused with."""
    copies = [
        a.copy() if isinstance(a, np.ndarray) and a.flags.writeable and a.flags.c_contiguous else a for a in arguments
    ]
    try:
        return copies, quiet(kernel, *copies)[1]
    except (AttributeError, BufferError) as error:  # what is no array at all, or has no memory to write to
        return copies, error


def hold_to_twin(name, arguments):
    """A kernel gives what NumPy gives, or refuses."""
    ours, refused = run(COMPILED[name], arguments)
    if refused is not None:
        return
    expected, refused_there = run(TWINS[name], arguments)
    # What NumPy cannot do, such as the largest of nothing, has no right answer to compare with.
    if refused_there is None:
        for mine, other in zip(ours, expected, strict=True):
            if isinstance(mine, np.ndarray) and mine.dtype.kind == 'f':
                assert_near(mine, other)


names = st.sampled_from(sorted(KERNELS))


@needs_compiled_kernels
@many
@given(data=st.data(), name=names)
def test_a_kernel_computes_what_its_twin_does(name, data):
    hold_to_twin(name, data.draw(kernel_call(name, wrong=False)))


@needs_compiled_kernels
@many
@given(data=st.data(), name=names)
def test_a_kernel_of_wrong_arguments_refuses_or_computes(name, data):
    hold_to_twin(name, data.draw(kernel_call(name, wrong=True)))


@many
@given(data=st.data(), name=names)
def test_a_twin_of_wrong_arguments_refuses_or_computes(name, data):
    run(TWINS[name], data.draw(kernel_call(name, wrong=True)))


def pooling_calls(k, x, y, window):
    argmax = np.zeros(y.shape, I32)
    return (
        lambda: k['maxpool_forward'](x, y, argmax, window, 1),
        lambda: k['maxpool_backward'](y, argmax, x, window, 1),
        lambda: k['averagepool_forward'](x, y, window, 1),
        lambda: k['averagepool_backward'](y, x, window, 1),
    )


@each_backend
@pytest.mark.parametrize(
    'window',
    [
        Window(2, 2, 4, 2),
        Window(2, 2, 2, 4),
        Window(2, 2, 2, 2, pad_top=2),
        Window(2, 2, 2, 2, pad_left=2),
        Window(2, 2, 2**31 - 1, 2**31 - 1),
        Window(2**16, 2**15),
    ],
)
def test_a_pooling_window_that_lies_outside_of_the_image_or_is_too_large_is_refused(backend, window):
    for call in pooling_calls(kernels_of(backend), np.zeros((1, 4, 4, 1)), np.zeros((1, 2, 2, 1)), window):
        with pytest.raises(ValueError, match='window'):
            call()


@each_backend
def test_a_large_window_over_the_edges_takes_no_memory(backend):
    x, y, window = np.ones((1, 4, 4, 1)), np.zeros((1, 2, 2, 1)), Window(2**16, 2**14, 2, 2, 2**16 - 1, 2**14 - 1)
    forward, backward, average, share_out = pooling_calls(kernels_of(backend), x, y, window)
    for pool, spread in ((forward, backward), (average, share_out)):
        pool()
        assert (y == 1).all()
        spread()
        assert x.sum() == pytest.approx(4)
        x[...] = 1


@each_backend
@pytest.mark.parametrize('rate', [-0.1, 1.0, np.nan, np.inf])
def test_a_rate_that_is_no_probability_stops_a_kernel(backend, rate):
    k = kernels_of(backend)
    for name in ('dropout_forward', 'dropout_backward'):
        with pytest.raises(ValueError, match='rate: expected at least 0 and less than 1'):
            k[name](np.ones(3), np.ones(3), 1, rate, 1)


@each_backend
@pytest.mark.parametrize('height', [3, 2**31 - 1, 2**62])
def test_a_window_that_no_image_has_is_refused_before_memory_is_taken(backend, height):
    k, x, y = kernels_of(backend), np.zeros((1, 4, 4, 1)), np.zeros((1, 2, 2, 1))
    weights, window = np.zeros((2, 2, 1, 1)), Window(height, 2, 2, 2)
    for call in (
        lambda: k['convolution_forward'](x, weights, np.zeros(1), y, window, 1),
        lambda: k['convolution_backward_weights'](x, y, weights, np.zeros(1), window, 1),
        lambda: k['convolution_backward_input'](weights, y, x, window, 1),
    ):
        with pytest.raises(ValueError, match='window|weights'):
            call()


@needs_compiled_kernels
@pytest.mark.parametrize('shape', [(1, 1, 2**24 - 3, 1), (1, 2**24 - 3, 1, 1), (0, 2**24, 2**24, 0)])
def test_an_image_whose_places_numbers_cannot_tell_is_not_resampled(shape):
    x = np.zeros(shape, F32)
    call = COMPILED['resample'], x, x, np.zeros((shape[0], 2, 3), F32), None, 1
    if x.size == 0:
        call[0](*call[1:])
    else:
        with pytest.raises(ValueError, match='x: expected images of up to 16777212 rows and columns'):
            call[0](*call[1:])


@each_backend
@pytest.mark.parametrize('spacing', [0, -1])
def test_a_field_without_weights_or_spacing_is_refused(backend, spacing):
    fields = kernels_of(backend)['elastic_fields']
    for weights, spaced in ((np.ones(0), 1), (np.ones(1), spacing)):
        with pytest.raises(ValueError, match='weights and a spacing of at least 1'):
            fields(np.zeros((1, 2, 3, 3)), weights, spaced, 1, 1.0, 1)


def test_every_kernel_is_tried():
    functions = {name for name, kernel in TWINS.items() if inspect.isfunction(kernel)}
    assert functions == {*KERNELS, *TABLE_KERNELS, 'multiply_adds'}


@needs_compiled_kernels
@pytest.mark.parametrize('threads', [0, -1, 257, 2**31 - 1])
def test_a_number_of_threads_that_openmp_dies_of_is_refused(threads):
    for call in (
        lambda: COMPILED['relu_forward'](np.ones(3), np.ones(3), threads),
        lambda: COMPILED['multiply_adds'](100, threads),
        *(lambda name=name: call_over_table(name, threads=threads) for name in TABLE_KERNELS),
    ):
        with pytest.raises(ValueError, match=f'num_threads: expected 1 to 256, got {threads}'):
            call()


def call_over_table(name, more_columns=0, threads=1):
    columns, arguments = TABLE_KERNELS[name]
    table = COMPILED['ArrayTable']([tuple(np.ones((columns + more_columns, 4), F32))])
    return COMPILED[name](table, *arguments, threads)


@needs_compiled_kernels
@pytest.mark.parametrize('name', [name for name in TABLE_KERNELS if name.endswith('_update')])
def test_a_table_of_other_columns_is_refused_by_an_update(name):
    call_over_table(name)
    for more in (-1, 1):
        with pytest.raises(
            ValueError, match=f'expected rows of .*, got rows of {TABLE_KERNELS[name][0] + more} arrays'
        ):
            call_over_table(name, more)


@needs_compiled_kernels
@pytest.mark.parametrize(('name', 'momentum'), [('sgd_update', 1), ('rmsprop_update', 3)])
def test_a_velocity_that_momentum_needs_is_asked_for(name, momentum):
    columns, arguments = TABLE_KERNELS[name]
    table = COMPILED['ArrayTable']([tuple(np.ones((columns, 4), F32))])
    without = [0.0 if i == momentum else argument for i, argument in enumerate(arguments)]
    with pytest.raises(ValueError, match=f'got rows of {columns} arrays'):
        COMPILED[name](table, *without, 1)


@each_backend
@pytest.mark.parametrize('count', [0, 1, 3])
def test_counts_of_updates_that_are_not_one_a_row_are_refused(backend, count):
    k = kernels_of(backend)
    table = k['ArrayTable']([tuple(np.ones((4, 4), F32)), tuple(np.ones((4, 5), F32))])
    with pytest.raises(ValueError, match=r'updates: expected shape \(2,\)|zip'):
        k['adam_update'](table, np.ones(count, np.int64), *TABLE_KERNELS['adam_update'][1][1:], 1)


@each_backend
@pytest.mark.parametrize('label', [-1, 3, 255, 2**31 - 1])
def test_a_label_that_is_no_class_stops_a_kernel(backend, label):
    k, labels = kernels_of(backend), np.array([0, label], I32)
    rows, losses = np.ones((2, 3), F32), np.empty(2, F32)
    for call in (
        lambda: k['softmax_cross_entropy_forward'](rows, labels, rows.copy(), losses, 0.0, 1),
        lambda: k['softmax_cross_entropy_backward'](rows, labels, rows.copy(), 0.0, 1),
    ):
        with pytest.raises(ValueError, match=f'labels: expected 0 to 2, got {label} at position 1'):
            call()


@each_backend
@pytest.mark.parametrize('dtype', [F32, np.float64])
@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf, np.finfo(F32).max, 1e-45, -0.0])
def test_numbers_that_are_not_finite_are_found_wherever_they_are(backend, dtype, value):
    k = kernels_of(backend)
    for size in (1, 17, 4096, 9000):
        for place in {0, size // 2, size - 1}:
            values, gradients = np.zeros(size, dtype), np.ones(size, dtype)
            gradients[place] = value
            table = k['ArrayTable']([(np.zeros(5, dtype), np.ones(5, dtype)), (values, gradients)])
            for threads in (1, 2):
                assert k['all_finite'](table, 0, threads) is True
                assert k['all_finite'](table, 1, threads) is bool(np.isfinite(value))


@needs_compiled_kernels
@pytest.mark.parametrize('column', [-1, 2, 2**31 - 1])
@pytest.mark.parametrize('kernel', ['all_finite', 'sum_of_squares'])
def test_a_column_that_a_table_has_not_is_refused(kernel, column):
    table = COMPILED['ArrayTable']([tuple(np.ones((2, 4), F32))])
    with pytest.raises(ValueError, match='expected one of 2 columns'):
        COMPILED[kernel](table, column, 1)


@needs_compiled_kernels
@pytest.mark.parametrize('row', [(), (np.ones(3, F32),), (np.ones(3, F32), np.ones(2, F32), np.ones(3, F32))])
def test_a_table_of_rows_that_do_not_agree_is_refused(row):
    with pytest.raises(ValueError, match='expected'):
        COMPILED['sgd_update'](COMPILED['ArrayTable']([row]), *TABLE_KERNELS['sgd_update'][1], 1)


def test_a_twin_of_no_classes_refuses_them():
    none = np.empty((0, 0), F32)
    with pytest.raises(ValueError, match='at least one class'):
        TWINS['softmax_cross_entropy_backward'](none, np.empty(0, I32), none, 0.0, 1)
