"""How objects are printed, and described as JSON."""

import pytest

import cnnx
from cnnx.schedules import Cosine


@pytest.mark.parametrize(
    ('thing', 'shown'),
    [
        (cnnx.SGD(momentum=0.9), 'SGD(momentum=0.9, nesterov=False, weight_decay=0.0, clip_norm=None)'),
        (Cosine(0.1, warmup=2), 'Cosine(initial=0.1, final=0.0, warmup=2.0)'),
        (cnnx.callbacks.CSVLogger('log.csv'), "CSVLogger(path='log.csv')"),
        (cnnx.CategoricalCrossEntropy(), 'CategoricalCrossEntropy(from_logits=False, label_smoothing=0.0)'),
        (cnnx.metrics.TopK(3), 'TopK(k=3)'),
    ],
    ids=lambda thing: type(thing).__name__,
)  # fmt: skip
def test_things_are_shown_as_they_were_made(thing, shown):
    assert repr(thing) == shown
