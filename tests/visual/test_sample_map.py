"""Principal components, and maps of samples."""

import numpy as np
import pytest
from visual_networks import classifier, figure, images, texts

import cnnx
from cnnx.visual import embedding, pca, plot_embedding


def test_components_are_those_of_the_covariance():
    vectors = np.random.default_rng(0).normal(size=(40, 5)) @ np.diag([1, 5, 2, 0.1, 3]) + 7
    found = pca(vectors, 3)
    variances = np.linalg.eigvalsh(np.cov(vectors.T))[::-1][:3]
    np.testing.assert_allclose(found.var(axis=0, ddof=1), variances)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.corrcoef(found.T), np.eye(3), atol=1e-12)


def test_by_hand_points_on_a_line():
    found = pca(np.array([[0.0, 0], [3, 4], [6, 8]]), 1)
    np.testing.assert_allclose(found.ravel(), [-5, 0, 5])  # the larger entry of the direction is positive


@pytest.mark.parametrize(
    ('vectors', 'components', 'words'),
    [
        (np.ones(4), 2, 'vectors: expected at least 2 of at least 2 numbers'),
        (np.ones((4, 1)), 2, 'vectors: expected at least 2'),
        (np.ones((1, 4)), 2, 'vectors: expected at least 2'),
        (np.full((3, 3), np.nan), 2, 'vectors: expected finite numbers'),
        (np.ones((3, 3)), 0, 'components: expected'),
    ],
)
def test_what_has_no_components_is_refused(vectors, components, words):
    with pytest.raises(ValueError, match=words):
        pca(vectors, components)


def test_the_map_is_of_what_the_last_dense_layer_reads():
    net, x = classifier(), images(20)
    np.testing.assert_allclose(embedding(net, x), pca(net.activations(x, [5])[0]))
    np.testing.assert_allclose(embedding(net, x, 1), pca(net.activations(x, [1])[0].reshape(20, -1)))
    with pytest.raises(ValueError, match='expected a network with a Dense layer after others'):
        embedding(cnnx.Network([cnnx.Dense(4, 2)], seed=0), np.ones((3, 4)))


def test_the_picture_has_the_points_of_each_class():
    net, x, y = classifier(), images(20), np.arange(20) % 2
    net.class_names = 'cat', 'dog', 'fox'
    drawn = figure(plot_embedding, net, x, y)
    points = embedding(net, x)
    clouds = [np.asarray(cloud.get_offsets()) for cloud in drawn.axes[0].collections]
    assert len(clouds) == 2
    np.testing.assert_allclose(clouds[1], points[1::2])
    assert {'cat', 'dog'} <= set(texts(drawn))
    one_hot = np.eye(3)[y]
    assert len(figure(plot_embedding, net, x, one_hot).axes[0].collections) == 2
    with pytest.raises(ValueError, match='expected as many samples as targets, got 20 and 19'):
        plot_embedding(net, x, y[:19])
