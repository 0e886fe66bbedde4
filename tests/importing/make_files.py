"""Write the files in tests/importing/files, with PyTorch and Keras: weights of one small network, and its outputs.

KERAS_BACKEND=torch python tests/importing/make_files.py
"""

from pathlib import Path

import keras
import numpy as np
import safetensors.torch
import torch
from keras import layers
from torch import nn

FILES = Path(__file__).parent / 'files'


def write_keras(rng, x):
    net = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(3, 3, padding='same'),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.DepthwiseConv2D(3, depth_multiplier=2),
            layers.Conv2DTranspose(2, 3, strides=2, padding='same'),
            layers.PReLU(shared_axes=[1, 2]),
            layers.MaxPooling2D(4),
            layers.Flatten(),
            layers.Dense(6),
            layers.Dense(6, use_bias=False),
            layers.LayerNormalization(epsilon=1e-5),
            layers.Softmax(),
        ]
    )
    net.set_weights([rng.uniform(0.2, 1.5, weights.shape) for weights in net.weights])
    net.save_weights(FILES / 'keras.weights.h5')
    net.save(FILES / 'keras.h5')
    np.savez(FILES / 'keras.npz', *net.get_weights())
    return net.predict(x, verbose=0)


class Net(nn.Module):
    """Names that sort in another order than that of the layers."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 6, 3, groups=3), nn.PReLU(6)
        )
        self.up = nn.ConvTranspose2d(6, 4, 2, stride=2)
        self.norm = nn.BatchNorm1d(4 * 8 * 8)
        self.classifier = nn.Sequential(nn.Linear(4 * 8 * 8, 5), nn.Softmax(1))

    def forward(self, x):
        return self.classifier(self.norm(self.up(self.features(x)).flatten(1)))


def write_torch(rng, x):
    net = Net().eval()
    state = net.state_dict()
    for name, tensor in state.items():
        if tensor.is_floating_point():
            numbers = torch.from_numpy(rng.uniform(0.2, 1.5, tensor.shape)).to(torch.bfloat16)
            state[name] = numbers.to(torch.float32)
    net.load_state_dict(state)
    np.savez(FILES / 'torch.npz', **{name: tensor.numpy() for name, tensor in state.items()})
    small = {
        name: tensor.to(torch.bfloat16) if tensor.is_floating_point() else tensor for name, tensor in state.items()
    }
    safetensors.torch.save_file(small, FILES / 'torch.safetensors')
    images = torch.from_numpy(x).movedim(-1, 1)
    names = {'input_names': ['x'], 'output_names': ['y'], 'dynamic_axes': {'x': {0: 'n'}, 'y': {0: 'n'}}}
    torch.onnx.export(net, images, FILES / 'torch.onnx', opset_version=17, dynamo=False, **names)
    return net(images).detach().numpy()


def main():
    FILES.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 6, 6, 2)).astype(np.float32)
    np.savez(FILES / 'outputs.npz', x=x, keras=write_keras(rng, x), torch=write_torch(rng, x))


if __name__ == '__main__':
    main()
