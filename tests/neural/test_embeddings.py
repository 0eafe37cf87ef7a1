"""Embeddings: shapes, order and masks of sets, and what does not fit."""

import json

import numpy as np
import pytest
import torch

from bayesastro.inference.neural.embeddings import (
    CNN1D,
    Dense,
    PolarResNet,
    Regression,
    ResNet,
    SetNetwork,
    Transformer,
    default_for,
    embedding_of,
)
from bayesastro.inference.neural.regression import ridge_regression

SHAPES = [
    (Dense(), (7,)),
    (Dense(width=16, depth=1), ()),
    (Dense(), (3, 2, 2)),
    (Regression(), (7,)),
    (CNN1D(), (100,)),
    (CNN1D(depth=6), (9, 2)),
    (ResNet(), (48, 48)),
    (ResNet(width=8, depth=2), (10, 13, 3)),
    (PolarResNet(width=8), (21, 26)),
]


@pytest.mark.parametrize(("embedding", "shape"), SHAPES)
def test_networks_take_rows_of_their_shape(embedding, shape):
    network = embedding.network(np.ones(shape, bool), 0, 5, 0.1).eval()
    x = torch.randn(4, *shape)
    assert network(x).shape == (4, 5)
    torch.testing.assert_close(network(x)[1:2], network(x[1:2]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("embedding", [SetNetwork(), SetNetwork(num_factors=3), Transformer()])
@pytest.mark.parametrize("channels", [1, 2])
def test_sets_have_no_order_and_no_padding(embedding, channels):
    network = embedding.network(np.ones((6, channels), bool), 2, 5, 0.0).eval()
    values, companions = torch.randn(3, 6, channels), torch.randn(3, 6, 2)
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2, [False] * 6])
    found = network(values, companions, mask)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(network(values[:, order], companions[:, order], mask[:, order]), found)
    elsewhere = torch.where(mask[..., None], values, 100.0)
    torch.testing.assert_close(network(elsewhere, companions, mask), found)
    assert torch.isfinite(found).all()
    shorter = network(values[1:2, :4], companions[1:2, :4], mask[1:2, :4])
    assert not torch.allclose(shorter[0], found[0])


def test_dropped_entries_have_no_influence():
    kept = np.array([True, False, True])
    network = Dense().network(kept, 0, 4, 0.0)
    x = torch.randn(2, 3)
    torch.testing.assert_close(network(x), network(x * torch.tensor([1.0, 7.0, 1.0])))


def test_regressions_are_those_of_least_squares():
    """Where rows are many and noise is little; of batches as of all rows together."""
    rng = np.random.default_rng(1)
    # Values correlated to one part in a thousand, as those that a nuisance moves together.
    x = rng.normal(size=(3000, 1)) + 1e-3 * rng.normal(size=(3000, 4))
    slopes = rng.normal(size=(2, 4))
    z = x @ slopes.T + [1e-5, 0.1] * rng.normal(size=(3000, 2))
    found = ridge_regression([(z[:1000], x[:1000]), (z[1000:], x[1000:])])
    np.testing.assert_allclose(found[0], slopes[0], atol=1e-2)
    off = z[:, 1] - x @ found[1]
    assert 0.095 < off.std() < 0.105
    # The slopes are so uncertain that a ridge keeps them small.
    exact = np.linalg.lstsq(x, z[:, 1], rcond=None)[0]
    assert np.abs(found[1]).max() < np.abs(exact).max()


def test_a_ridge_is_chosen_where_values_are_more_than_rows():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(50, 80))
    z = x[:, :1] + 0.3 * rng.normal(size=(50, 1))
    slopes = ridge_regression([(z, x)])
    fresh = rng.normal(size=(2000, 80))
    assert np.isfinite(slopes).all()
    assert (fresh[:, 0] - fresh @ slopes[0]).std() < 1.0


def test_the_regression_network_passes_the_regressions_on():
    kept = np.array([True, False, True, True])
    network = Regression(width=8, depth=1).network(kept, 0, 3, 0.0)
    x = torch.randn(500, 4)
    z = x @ torch.tensor([[1.0, 5.0, 0.0, 2.0], [0.0, 5.0, -1.0, 0.0]]).T - 5 * x[:, 1:2]
    network.prepare([(z[:300], x[:300]), (z[300:], x[300:])])
    wanted = torch.tensor([[1.0, 0.0, 2.0], [0.0, -1.0, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(network.slopes, wanted, atol=1e-2, rtol=0)
    again = Regression(width=8, depth=1).network(kept, 0, 3, 0.0)
    again.load_state_dict(network.state_dict())
    torch.testing.assert_close(again(x), network(x))


def test_settings_survive_json():
    for embedding in (
        Dense(width=3),
        Regression(width=3),
        CNN1D(kernel=7),
        ResNet(),
        PolarResNet(num_angles=64),
        SetNetwork(features=("time",), mask="seen", num_factors=4),
    ):
        assert embedding_of(json.loads(json.dumps(embedding.described()))) == embedding


def test_defaults_and_refusals():
    assert default_for((48, 48)) == ResNet()
    assert default_for((48, 40)) == Dense()
    assert default_for((5,)) == Dense()
    with pytest.raises(ValueError, match=r"`ResNet` is for sites of 2 or 3 axes, but `flux` has shape \(40,\)"):
        ResNet().check("flux", (40,))
    with pytest.raises(ValueError, match="`Dense` needs `width` to be a whole number of at least 1, but 0 came"):
        Dense(width=0)
    with pytest.raises(ValueError, match="`SetNetwork` needs `num_factors` to be a whole number of at least 0"):
        SetNetwork(num_factors=-1)
    with pytest.raises(ValueError, match="`width` that `num_heads` divides"):
        Transformer(width=10, num_heads=3).network(np.ones(4, bool), 0, 5, 0.0)
