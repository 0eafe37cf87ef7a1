"""NUTS: what a mass matrix from the curvature saves, and that it changes no posterior."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from arviz_stats.base import array_stats

import bayesastro as ba

SIZE = 20
RNG = np.random.default_rng(2)
DESIGN = (
    np.linalg.qr(RNG.normal(size=(60, SIZE)))[0]
    * np.geomspace(1.0, 3000.0, SIZE)
    @ np.linalg.qr(RNG.normal(size=(SIZE, SIZE)))[0]
)
"""Nothing is known better than a hundred times what another is; each of many parameters is a mixture of them."""


def program(design):
    theta = numpyro.sample("theta", dist.Normal(0.0, 1.0).expand([SIZE]).to_event(1))
    numpyro.sample("y", dist.Normal(jnp.asarray(design) @ theta, 1.0).to_event(1))


def test_a_stiff_posterior_is_exact_in_few_gradients():
    y = DESIGN @ RNG.normal(size=SIZE) + RNG.normal(size=60)
    problem = ba.Problem(program, DESIGN, observed={"y": y})
    covariance = np.linalg.inv(DESIGN.T @ DESIGN + np.eye(SIZE))
    mean = covariance @ DESIGN.T @ y
    start = ba.fit(problem, ba.Pathfinder(num_paths=2, num_draws=50, max_iterations=200), seed=1, progress=False)
    cost = {}
    for mass_matrix in ("dense", "hessian"):
        engine = ba.NUTS(num_chains=2, num_warmup=60, num_draws=500, mass_matrix=mass_matrix, max_tree_depth=8)
        result = ba.fit(problem, engine, start=start, seed=3, progress=False)
        cost[mass_matrix] = result.attrs["num_gradients"]
    assert cost["hessian"] < 0.3 * cost["dense"]
    draws = result["posterior"]["theta"].values
    for values, expected in ((draws, mean), ((draws - mean) ** 2, np.diag(covariance))):
        ess = np.array([array_stats.ess(values[..., i], method="mean") for i in range(SIZE)])
        z = (values.mean((0, 1)) - expected) / (values.std((0, 1)) / np.sqrt(ess))
        assert np.abs(z).max() < 4.5


def test_mass_matrices_have_names():
    with pytest.raises(
        ValueError, match='`NUTS` needs `mass_matrix` "diagonal", "dense" or "hessian", but \'full\' came'
    ):
        ba.NUTS(mass_matrix="full")
