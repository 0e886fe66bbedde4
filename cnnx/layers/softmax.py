from cnnx.layers.activations import Activation


class Softmax(Activation):
    """exp(x) / sum of exp(x), row by row: any numbers become probabilities.

    Shape: (N, classes) -> (N, classes). Gradient: dx = y (dy - sum of y dy). In front of
    `CategoricalCrossEntropy` a network computes the two as one step.
    """

    kernel = 'softmax'

    def _output_shape(self, input_shape):
        if len(input_shape) != 1:
            raise ValueError(f'expected input (classes,), got {input_shape}; put a Flatten before it')
        return input_shape

    def _as_kernels_take_it(self, array):
        return array
