"""A conjugate model whose posterior is known exactly, and posteriors of it that are wrong in known ways.

θ = (a, b) ~ N(0, diag(4, 1)); the data are eight numbers N(a + b t, 0.7²). Nothing is run: draws are made here.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist

import bayesastro as ba
from bayesastro.calibration.checks import Pool
from bayesastro.calibration.exchange import pooled
from bayesastro.inference.engine import Block, Draws, Engine, Progress

T = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4])
SIGMA = 0.7
PRIOR_SD = np.array([2.0, 1.0])
DESIGN = np.stack([np.ones_like(T), T], axis=1)


def posterior(y, used=slice(None)):
    """Means (simulation, 2) and the covariance, from some of the data."""
    design = DESIGN[used]
    covariance = np.linalg.inv(design.T @ design / SIGMA**2 + np.diag(1 / PRIOR_SD**2))
    return y[:, used] @ design @ covariance / SIGMA**2, covariance


def simulated(num, random):
    theta = random.normal(size=(num, 2)) * PRIOR_SD
    return theta, theta @ DESIGN.T + SIGMA * random.normal(size=(num, len(T)))


DEFECTS = (
    "none",
    "shifted",
    "half width",
    "double width",
    "wrong correlation",
    "prior returned",
    "half the data",
    "cut edge",
    "parameters swapped",
)


def draws_of(defect, y, num_draws, random):
    """Posterior draws (simulation, draw, 2) with a defect."""
    mean, covariance = posterior(y, slice(None, None, 2) if defect == "half the data" else slice(None))
    sd = np.sqrt(np.diag(covariance))
    factor = np.linalg.cholesky(covariance)
    if defect == "wrong correlation":  # the right sds, and a correlation of the other sign
        factor = np.linalg.cholesky(covariance * np.array([[1, -1], [-1, 1]]))
    normals = random.normal(size=(len(y), num_draws, 2))
    if defect == "prior returned":
        return normals * PRIOR_SD
    if defect == "cut edge":  # no draw beyond one sd above the mean in `a`, as if a bound lay there
        normals[..., 0] = np.where(normals[..., 0] > 1, -np.abs(normals[..., 0] - 2), normals[..., 0])
    scale = {"half width": 0.5, "double width": 2.0}.get(defect, 1.0)
    draws = mean[:, None] + scale * normals @ factor.T
    if defect == "shifted":
        draws = draws + 0.5 * sd * np.array([1.0, 0.0])
    return draws[..., ::-1] if defect == "parameters swapped" else draws


def pool_of(defect, num_simulations, seed, num_draws=100):
    random = np.random.default_rng(seed)
    theta, y = simulated(num_simulations, random)
    members = pooled(theta, draws_of(defect, y, num_draws, random))
    residual = (y[:, None] - members @ DESIGN.T) / SIGMA
    log_likelihood = -0.5 * (residual**2).sum(-1)
    log_density = log_likelihood - 0.5 * ((members / PRIOR_SD) ** 2).sum(-1)
    references = {"tarp": random.normal(size=theta.shape) * PRIOR_SD, "tarp_data": posterior(y)[0]}
    return Pool(
        labels=["a", "b"],
        theta=members,
        coordinates=members,
        log_likelihood=log_likelihood,
        log_density=log_density,
        references=references,
        numbers=np.arange(num_simulations),
    )


def program(t):
    a = numpyro.sample("a", dist.Normal(0.0, PRIOR_SD[0]))
    b = numpyro.sample("b", dist.Normal(0.0, PRIOR_SD[1]))
    line = numpyro.deterministic("line", a + b * t)
    with numpyro.plate("point", len(t)):
        numpyro.sample("y", dist.Normal(line, SIGMA))


def problem(y=None):
    return ba.Problem(program, T, observed={"y": simulated(1, np.random.default_rng(0))[1][0] if y is None else y})


@dataclass(frozen=True, kw_only=True)
class Planted(Engine):
    """Draws from the exact posterior, or with a defect; a fraction of the fits fails."""

    needs: ClassVar[frozenset[str]] = frozenset({"density"})
    exactness: ClassVar[str] = "exact"
    references: ClassVar[tuple[str, ...]] = ()
    is_traced: ClassVar[bool] = False
    defect: str = "none"
    num_draws: int = 100
    failing: float = 0.0

    def block_size(self, views):
        return 1

    def init(self, views, key, data, start):
        random = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        draws = draws_of(self.defect, np.asarray(data.observed["y"])[None], self.num_draws, random)
        if random.random() < self.failing:
            draws = np.full_like(draws, np.nan)
        return {"draws": draws, "done": np.zeros((), int)}

    def advance(self, views, key, state, data, num_steps):
        return state | {"done": state["done"] + 1}, Block(0, {})

    def started(self, state: Any):
        return np.ones(1, bool)

    def progress(self, state):
        return Progress(int(state["done"]), 1, "drawing", {})

    def finish(self, views, state, rows):
        return Draws(coordinates=state["draws"], chart="unconstrained")
