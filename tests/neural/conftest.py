"""A linear Gaussian program with its bank, and a posterior trained on it once."""

import linear as linear_gaussian
import pytest
import torch

import bayesastro as ba

torch.set_num_threads(1)  # small networks train no faster on more, and much slower where cores are shared


@pytest.fixture(scope="session")
def linear():
    return linear_gaussian.Linear()


@pytest.fixture(scope="session")
def npe():
    """Settings of a posterior that trains in seconds."""
    return ba.NPE(flow="affine", num_transforms=2, hidden=32, max_epochs=12, batch_size=128)


@pytest.fixture(scope="session")
def amortised(linear, npe):
    return npe.train(linear.problem, linear.bank, seed=1, progress=False)
