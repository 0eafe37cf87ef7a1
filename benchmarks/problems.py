"""Posteriors on which samplers are timed: small and curved, wide, badly scaled, hierarchical."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from bayesastro import Problem
from bayesastro.models.cosmology import bao, expansion

__all__ = ["PROBLEMS"]


def eight_schools() -> Problem:
    """Rubin 1981, non-centred: ten parameters, heavy tails."""

    def program(sigma):
        mu = numpyro.sample("mu", dist.Normal(0.0, 5.0))
        tau = numpyro.sample("tau", dist.HalfCauchy(5.0))
        with numpyro.plate("school", sigma.shape[0]):
            offset = numpyro.sample("offset", dist.Normal(0.0, 1.0))
            numpyro.sample("y", dist.Normal(mu + tau * offset, sigma))

    sigma = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
    return Problem(program, sigma, observed={"y": np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])})


def logistic_regression() -> Problem:
    """25 coefficients, 1,000 simulated rows."""

    def program(x):
        scale = numpyro.sample("scale", dist.HalfNormal(1.0))
        w = numpyro.sample("w", dist.Normal(0.0, 1.0).expand([x.shape[1]]).to_event(1))
        numpyro.sample("y", dist.Bernoulli(logits=x @ (scale * w)).to_event(1))

    rng = np.random.default_rng(1)
    x = rng.normal(size=(1000, 25))
    y = (rng.random(1000) < 1 / (1 + np.exp(-x @ rng.normal(size=25)))).astype(int)
    return Problem(program, x, observed={"y": y})


def badly_scaled_regression() -> Problem:
    """A transit-like ephemeris: parameters known to 1e-6, 1e-3 and 1, correlated."""

    def program(epoch, sigma):
        period = numpyro.sample("period", dist.Normal(3.5, 0.1))
        start = numpyro.sample("start", dist.Normal(0.0, 1.0))
        level = numpyro.sample("level", dist.Normal(0.0, 100.0))
        numpyro.sample("time", dist.Normal(start + period * epoch, sigma).to_event(1))
        numpyro.sample("depth", dist.Normal(level, 1.0).expand([20]).to_event(1))

    rng = np.random.default_rng(2)
    epoch = np.arange(0.0, 400.0, 8.0)
    time = 0.2 + 3.5247486 * epoch + 1e-3 * rng.normal(size=epoch.size)
    return Problem(program, epoch, np.array(1e-3), observed={"time": time, "depth": 5 + rng.normal(size=20)})


def hierarchical_slopes() -> Problem:
    """200 groups with their own intercept and slope: 405 parameters."""

    def program(x, group):
        mean = numpyro.sample("mean", dist.Normal(0.0, 2.0).expand([2]).to_event(1))
        spread = numpyro.sample("spread", dist.HalfNormal(1.0).expand([2]).to_event(1))
        noise = numpyro.sample("noise", dist.HalfNormal(1.0))
        with numpyro.plate("groups", 200):
            offset = numpyro.sample("offset", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        lines = mean + spread * offset
        numpyro.sample("y", dist.Normal(lines[group, 0] + lines[group, 1] * x, noise).to_event(1))

    rng = np.random.default_rng(3)
    group = np.repeat(np.arange(200), 8)
    x, lines = rng.normal(size=1600), np.array([1.0, -0.5]) + 0.5 * rng.normal(size=(200, 2))
    return Problem(
        program, x, group, observed={"y": lines[group, 0] + lines[group, 1] * x + 0.3 * rng.normal(size=1600)}
    )


def correlated_gaussian() -> Problem:
    """100 dimensions, variances over four decades, rotated."""

    def program(tril):
        x = numpyro.sample("x", dist.Normal(0.0, 100.0).expand([100]).to_event(1))
        numpyro.sample("y", dist.MultivariateNormal(x, scale_tril=tril))

    rng = np.random.default_rng(4)
    rotation = np.linalg.qr(rng.normal(size=(100, 100)))[0]
    covariance = rotation * np.geomspace(1e-2, 1e2, 100) @ rotation.T
    return Problem(program, np.linalg.cholesky(covariance), observed={"y": jnp.zeros(100)})


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "eight schools (10)": eight_schools,
    "BAO ΛCDM (2)": bao.build,
    "BAO + clocks w₀wₐ (5)": lambda: expansion.build("w0wa"),
    "logistic regression (26)": logistic_regression,
    "badly scaled ephemeris (3)": badly_scaled_regression,
    "hierarchical slopes (405)": hierarchical_slopes,
    "correlated Gaussian (100)": correlated_gaussian,
}
