"""The course of training: learning rates, and summaries that learn the parameters' means first."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import torch

import bayesastro as ba
from bayesastro.inference.neural.training import Schedule, rates

QUICK = {"flow": "affine", "num_transforms": 1, "hidden": 8, "max_epochs": 1, "batch_size": 128}


def test_a_cosine_rises_and_falls_to_nothing():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.AdamW([weight], lr=0.01)
    schedule = Schedule(
        learning_rate=0.01, decay="cosine", weight_decay=0.0, batch_size=8, max_epochs=4, patience=3, time_limit=None
    )
    after_step, after_epoch = rates(optimiser, schedule, 200)
    found = []
    for _ in range(200):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        after_step()
    after_epoch(1.0)
    assert found[0] < 0.11 * max(found)
    assert max(found) == pytest.approx(0.01)
    assert np.argmax(found) == 9
    assert found[105] == pytest.approx(0.005, rel=0.05)
    assert np.all(np.diff(found[10:]) < 0)
    assert optimiser.param_groups[0]["lr"] < 1e-5


def test_means_are_linear_in_the_summaries_after_a_regression():
    """Though they are not in the data; the density has learnt nothing yet."""

    def program():
        w = numpyro.sample("w", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(jnp.sin(jnp.arange(1.0, 9.0) * (w + 1)), 0.05).to_event(1))

    problem = ba.Problem(program, observed={"y": np.zeros(8)})
    bank = ba.simulate(problem, 3000, seed=1, progress=False)
    z, x = bank.rows(slice(0, 1000))
    left = {}
    for epochs, rate in ((0, 1e-7), (20, 0.005)):
        settings = ba.NPE(**QUICK | {"learning_rate": rate, "batch_size": 32, "regression_epochs": epochs})
        # One step of the density, which hardly moves anything, follows.
        posterior = (
            dataclasses.replace(settings, time_limit=1e-9).train(problem, bank, seed=1, progress=False).posterior
        )
        with torch.no_grad():
            context = posterior.networks[0].context(posterior.tensors(x)).numpy()
        design = np.column_stack([context, np.ones(len(z))])
        left[epochs] = (z - design @ np.linalg.lstsq(design, z, rcond=None)[0]).std()
    assert left[20] < 0.8 * left[0], left


def test_epochs_of_regression_are_checked():
    with pytest.raises(ValueError, match="`regression_epochs` of at least 0, but -1 came"):
        ba.NPE(regression_epochs=-1)
