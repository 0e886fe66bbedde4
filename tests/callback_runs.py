"""Small runs with callbacks, and callbacks that note or script what they get."""

from models import small_data

from cnnx.callbacks import HOOKS, Callback, EarlyStopping

N, BATCH, BATCHES = 22, 8, 3


def train(net, **options):
    x, y = small_data(N)
    settings = {'epochs': 3, 'batch_size': BATCH, 'learning_rate': 0.05, 'verbose': 0}
    return net.train(x, y, **(settings | {'validation_data': small_data(10, seed=1)} | options))


class Recorder(Callback):
    """Notes each hook with its arguments."""

    def __init__(self):
        self.calls = []
        for name in HOOKS:
            setattr(self, name, lambda *arguments, name=name: self.calls.append((name, *arguments)))


class Scripted(EarlyStopping):
    """Early stopping that gets other metrics than the run's."""

    def __init__(self, values, **settings):
        super().__init__(**settings)
        self.values = values

    def on_epoch_end(self, epoch, metrics):
        super().on_epoch_end(epoch, metrics | {self.monitor: self.values[epoch - 1]})
