"""Embeddings: shapes, order and masks of sets, and what does not fit."""

import json

import numpy as np
import pytest
import torch

from bayesastro.inference.neural.embeddings import (
    CNN1D,
    Dense,
    ResNet,
    SetNetwork,
    Transformer,
    default_for,
    embedding_of,
)

SHAPES = [
    (Dense(), (7,)),
    (Dense(width=16, depth=1), ()),
    (Dense(), (3, 2, 2)),
    (CNN1D(), (100,)),
    (CNN1D(depth=6), (9, 2)),
    (ResNet(), (48, 48)),
    (ResNet(width=8, depth=2), (10, 13, 3)),
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


def test_settings_survive_json():
    for embedding in (
        Dense(width=3),
        CNN1D(kernel=7),
        ResNet(),
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
