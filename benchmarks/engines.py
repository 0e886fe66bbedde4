"""Inference engines as sides of a row: ONNX Runtime, OpenVINO, LiteRT. Each is imported where it is used."""

import importlib.util

import numpy as np

from benchmarks.data import samples_for
from benchmarks.onnx_model import onnx_model
from cnnx import BatchNormalization, Convolutional, Dense, Flatten, MaxPooling, ReLU, Softmax


class Engine:
    """A network in an inference engine, float32 throughout.

    A subclass sets `packages`, the modules that it needs, and has `compiled(batch_size)`, which returns a function of
    samples in the engine's layout that returns the probabilities.

    Args:
        net: the cnnx network, a chain.
        x: samples as cnnx takes them, (N, H, W, C).
        threads: how many it uses.
    """

    packages = ()
    channels_first = True

    def __init__(self, net, x, threads):
        self.net, self.threads, self._functions = net, threads, {}
        self.x = np.ascontiguousarray(x.transpose(0, 3, 1, 2) if self.channels_first else x)

    def infer(self, count, times=1, batch_size=None):
        """Compute the probabilities of the first samples, several times."""
        for _ in range(times):
            self.predict(count, batch_size or count)

    def probabilities(self, count):
        """Return the probabilities of the first samples' classes, (count, classes)."""
        return np.concatenate(self.predict(count, count))

    def predict(self, count, batch_size):
        """Return the probabilities of the first samples, batch by batch."""
        outputs = []
        for first in range(0, count, batch_size):
            batch = self.x[first : min(first + batch_size, count)]
            if len(batch) not in self._functions:
                self._functions[len(batch)] = self.compiled(len(batch))
            outputs.append(self._functions[len(batch)](batch))
        return outputs


class OnnxRuntime(Engine):
    packages = 'onnx', 'onnxruntime'

    def compiled(self, batch_size):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        session = onnxruntime.InferenceSession(onnx_model(self.net), options, providers=['CPUExecutionProvider'])
        return lambda batch: session.run(None, {'x': batch})[0]


class OpenVino(Engine):
    packages = 'onnx', 'openvino'

    def compiled(self, batch_size):
        import openvino

        core = openvino.Core()
        model = core.read_model(onnx_model(self.net))
        model.reshape([batch_size, *self.x.shape[1:]])
        settings = {
            'INFERENCE_NUM_THREADS': self.threads,
            'INFERENCE_PRECISION_HINT': 'f32',
            'PERFORMANCE_HINT': 'LATENCY',
        }
        request = core.compile_model(model, 'CPU', settings).create_infer_request()

        def run(batch):
            # A tensor that is set costs half of what an array passed to infer does.
            request.set_input_tensor(openvino.Tensor(batch, shared_memory=True))
            request.infer(share_outputs=True)
            return request.get_output_tensor().data.copy()

        return run


class LiteRT(Engine):
    """LiteRT, which was TensorFlow Lite, with the model that TensorFlow's converter makes."""

    packages = 'tensorflow', 'ai_edge_litert'
    channels_first = False

    def compiled(self, batch_size):
        import tensorflow as tf
        from ai_edge_litert.interpreter import Interpreter

        spec = tf.TensorSpec((batch_size, *self.x.shape[1:]), tf.float32)
        function = tf.function(lambda x: _in_tensorflow(self.net, x)).get_concrete_function(spec)
        model = tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module()).convert()
        interpreter = Interpreter(model_content=model, num_threads=self.threads)
        interpreter.allocate_tensors()
        source, result = interpreter.get_input_details()[0]['index'], interpreter.get_output_details()[0]['index']

        def run(batch):
            interpreter.set_tensor(source, batch)
            interpreter.invoke()
            return interpreter.get_tensor(result)

        return run


ENGINES = {'ONNX Runtime': OnnxRuntime, 'OpenVINO': OpenVino, 'LiteRT': LiteRT}


def missing(name):
    """Return None if what an engine needs is installed, else a message."""
    absent = [package for package in ENGINES[name].packages if importlib.util.find_spec(package) is None]
    if not absent:
        return None
    where = 'tensorflow-cpu ai-edge-litert' if name == 'LiteRT' else '-e ".[bench]"'
    return f'{name}: {" and ".join(absent)} not installed: pip install {where}'


def make_engine(name, build, source, threads):
    """Return an `Engine` with the weights of a network of `build`, seed 0, and samples of `source` (see data.py)."""
    net = build()
    return ENGINES[name](net, samples_for(net, source)[0], threads)


def _in_tensorflow(net, x):
    """Return what a chain of layers gives for a tensor x, by TensorFlow's functions."""
    import tensorflow as tf

    for layer in net.layers:
        kind = type(layer)
        if kind is Convolutional and layer.is_plain and isinstance(layer.padding, str):
            y = tf.nn.conv2d(x, layer.weights, layer.stride, layer.padding.upper())
            x = tf.nn.bias_add(y, layer.bias_arrays()[0])
        elif kind is BatchNormalization:
            gamma, beta, mean, variance = (parameter.value for parameter in layer.parameters)
            x = tf.nn.batch_normalization(x, mean, variance, beta, gamma, layer.epsilon)
        elif kind is MaxPooling:
            x = tf.nn.max_pool2d(x, layer.pool_size, layer.stride, layer.padding.upper())
        elif kind is Flatten:
            x = tf.reshape(x, (x.shape[0], *layer.shape))
        elif kind is Dense:
            x = tf.nn.bias_add(tf.linalg.matmul(x, layer.weights), layer.bias_arrays()[0])
        elif kind in (ReLU, Softmax):
            x = tf.nn.relu(x) if kind is ReLU else tf.nn.softmax(x)
        else:
            raise NotImplementedError(f'no function of TensorFlow for {layer!r}')
    return x
