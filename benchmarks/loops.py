"""A simple convolutional network: NumPy for arithmetic, Python loops over positions and windows.

It has only what LeNet-5 needs. Images are (N, H, W, C), weights as in cnnx.
"""

import numpy as np

import cnnx


class Convolution:
    def __init__(self, layer):
        self.values = [layer.weights.copy(), layer.bias.copy()]
        self.size = layer.kernel_size[0]
        self.before = (self.size - 1) // 2 if layer.padding == 'same' else 0
        self.after = self.size - 1 - self.before if layer.padding == 'same' else 0

    def forward(self, x):
        x = np.pad(x, ((0, 0), (self.before, self.after), (self.before, self.after), (0, 0)))
        self.padded_shape = x.shape
        N, H, W, C = x.shape
        P, Q, k = H - self.size + 1, W - self.size + 1, self.size
        self.columns = np.empty((N, P, Q, k * k * C), x.dtype)
        for n in range(N):
            for p in range(P):
                for q in range(Q):
                    self.columns[n, p, q] = x[n, p : p + k, q : q + k].ravel()
        weights, bias = self.values
        return self.columns @ weights.reshape(-1, weights.shape[3]) + bias

    def backward(self, dy):
        weights, _ = self.values
        filters, k = weights.shape[3], self.size
        flat = dy.reshape(-1, filters)
        columns = self.columns.reshape(len(flat), -1)
        self.gradients = [(columns.T @ flat).reshape(weights.shape), flat.sum(axis=0)]
        dcolumns = dy @ weights.reshape(-1, filters).T
        dx = np.zeros(self.padded_shape, dy.dtype)
        N, P, Q, _ = dy.shape
        for n in range(N):
            for p in range(P):
                for q in range(Q):
                    dx[n, p : p + k, q : q + k] += dcolumns[n, p, q].reshape(k, k, -1)
        return dx[:, self.before : dx.shape[1] - self.after, self.before : dx.shape[2] - self.after]


class MaxPooling:
    def __init__(self, layer):
        self.size = layer.pool_size[0]

    def forward(self, x):
        N, H, W, C = x.shape
        s = self.size
        self.x_shape = x.shape
        y = np.empty((N, H // s, W // s, C), x.dtype)
        self.places = np.empty(y.shape, int)
        for n in range(N):
            for p in range(H // s):
                for q in range(W // s):
                    for c in range(C):
                        window = x[n, p * s : p * s + s, q * s : q * s + s, c]
                        self.places[n, p, q, c] = window.argmax()
                        y[n, p, q, c] = window.max()
        return y

    def backward(self, dy):
        N, P, Q, C = dy.shape
        s = self.size
        dx = np.zeros(self.x_shape, dy.dtype)
        for n in range(N):
            for p in range(P):
                for q in range(Q):
                    for c in range(C):
                        row, column = divmod(self.places[n, p, q, c], s)
                        dx[n, p * s + row, q * s + column, c] = dy[n, p, q, c]
        return dx


class ReLU:
    def __init__(self, layer):
        pass

    def forward(self, x):
        self.positive = x > 0
        return x * self.positive

    def backward(self, dy):
        return dy * self.positive


class Flatten:
    def __init__(self, layer):
        pass

    def forward(self, x):
        self.x_shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dy):
        return dy.reshape(self.x_shape)


class Dense:
    def __init__(self, layer):
        self.values = [layer.weights.copy(), layer.bias.copy()]

    def forward(self, x):
        self.x = x
        return x @ self.values[0] + self.values[1]

    def backward(self, dy):
        self.gradients = [self.x.T @ dy, dy.sum(axis=0)]
        return dy @ self.values[0].T


LAYERS = {
    cnnx.Convolutional: Convolution,
    cnnx.MaxPooling: MaxPooling,
    cnnx.ReLU: ReLU,
    cnnx.Flatten: Flatten,
    cnnx.Dense: Dense,
}


class LoopNetwork:
    """A network with the layers and weights of a cnnx network whose last layer is Softmax."""

    def __init__(self, net, rate, momentum):
        self.layers = [LAYERS[type(layer)](layer) for layer in net.layers[:-1]]
        self.rate, self.momentum = rate, momentum
        self.velocities = [[np.zeros_like(value) for value in getattr(layer, 'values', ())] for layer in self.layers]

    def step(self, x, labels):
        """Take one step of stochastic gradient descent and return the mean of the losses."""
        for layer in self.layers:
            x = layer.forward(x)
        exponentials = np.exp(x - x.max(axis=1, keepdims=True))
        probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
        samples = np.arange(len(labels))
        loss = -np.log(probabilities[samples, labels]).mean()
        gradient = probabilities
        gradient[samples, labels] -= 1
        gradient /= len(labels)
        for layer in reversed(self.layers):
            gradient = layer.backward(gradient)
        self._update()
        return loss

    def _update(self):
        for layer, velocities in zip(self.layers, self.velocities, strict=True):
            if velocities:
                for value, gradient, velocity in zip(layer.values, layer.gradients, velocities, strict=True):
                    velocity *= self.momentum
                    velocity += gradient
                    value -= self.rate * velocity
