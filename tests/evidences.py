"""Problems of known log-evidence, for the engines that give one."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from scipy import stats
from scipy.special import logsumexp

import bayesastro as ba

SHELLS = {2: -1.75, 5: -5.67, 10: -14.59}
"""Feroz, Hobson & Bridges 2009, MNRAS 398, 1601, table 1: analytic log-evidence by dimension, to two digits."""


def shells(size: int) -> tuple[ba.Problem, float]:
    """Two spherical shells of radius 2 and width 0.1 at ±3.5 on the first axis, in a cube from −6 to 6."""

    def program():
        x = numpyro.sample("x", dist.Uniform(-6.0, 6.0).expand([size]).to_event(1))
        centres = 3.5 * jnp.eye(1, size) * jnp.array([[1.0], [-1.0]])
        distance = jnp.sqrt(jnp.sum((x - centres) ** 2, axis=1))
        numpyro.factor("shells", jnp.logaddexp(*dist.Normal(2.0, 0.1).log_prob(distance)))

    return ba.Problem(program), SHELLS[size]


def correlated_gaussian(size: int = 20) -> tuple[ba.Problem, float]:
    """Errors of 0.1, correlated by a half, within priors thirty times as wide."""
    errors = 0.01 * (0.5 * np.ones((size, size)) + 0.5 * np.eye(size))
    y = np.linspace(-1.0, 1.0, size)

    def program(tril):
        x = numpyro.sample("x", dist.Normal(0.0, 3.0).expand([size]).to_event(1))
        numpyro.sample("y", dist.MultivariateNormal(x, scale_tril=tril))

    truth = stats.multivariate_normal(np.zeros(size), errors + 9 * np.eye(size)).logpdf(y)
    return ba.Problem(program, np.linalg.cholesky(errors), observed={"y": y}), float(truth)


def two_modes() -> tuple[ba.Problem, float]:
    """Modes of weights 0.2 and 0.8, twenty of their widths apart, in three dimensions."""
    means, widths, weights = np.array([-3.0, 3.0]), np.array([0.3, 0.3]), np.array([0.2, 0.8])

    def program():
        x = numpyro.sample("x", dist.Normal(0.0, 4.0).expand([3]).to_event(1))
        modes = dist.Normal(jnp.asarray(means)[:, None], jnp.asarray(widths)[:, None]).log_prob(x).sum(1)
        numpyro.factor("modes", jnp.logaddexp(*(modes + jnp.log(jnp.asarray(weights)))))

    spread = np.sqrt(widths**2 + 16.0)
    return ba.Problem(program), float(logsumexp(3 * stats.norm.logpdf(means, 0, spread) + np.log(weights)))


def linear_regression() -> tuple[ba.Problem, float]:
    """Four coefficients, forty rows."""
    rng = np.random.default_rng(3)
    design = np.vander(np.linspace(-1, 1, 40), 4)
    y = design @ np.array([0.3, -1.0, 2.0, 0.5]) + 0.2 * rng.normal(size=40)

    def program(design):
        w = numpyro.sample("w", dist.Normal(0.0, 2.0).expand([4]).to_event(1))
        numpyro.sample("y", dist.Normal(design @ w, 0.2).to_event(1))

    covariance = 4 * design @ design.T + 0.04 * np.eye(40)
    return ba.Problem(program, design, observed={"y": y}), float(
        stats.multivariate_normal(np.zeros(40), covariance).logpdf(y)
    )


def pull(result, truth: float) -> float:
    """How many of its errors a log-evidence is off."""
    return (result.attrs["log_evidence"] - truth) / result.attrs["log_evidence_err"]
