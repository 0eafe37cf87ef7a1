r"""A log-normal field told by its two-point correlations, with a Gaussian likelihood or without one.

What most analyses keep of a field. Of a log-normal one most is lost, and the correlations of few pixels are not Gaussian, so
that a likelihood that says so is biased. Without a likelihood, `build(…, likelihood="none")` serves what learns from simulations. Beside
:mod:`bayesastro.models.fields.lognormal`, which takes all pixels.

References
----------
Leclercq & Heavens 2021, MNRAS 506, L85 (arXiv:2103.04158), equations 6-9.
"""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from bayesastro.models.fields.lognormal import checked_bounds, checked_image, lognormal_field
from bayesastro.problem import Problem

__all__ = [
    "build",
    "correlations",
    "distances",
    "expected_correlations",
    "gaussian_program",
    "simulated_program",
]

REACH = 4.0
"""Largest distance of pairs [pixel]. At the longest correlation of the prior theirs are below 0.002 beyond."""


@functools.lru_cache(maxsize=8)
def _offsets(reach: float) -> tuple[np.ndarray, tuple[tuple[tuple[int, int], ...], ...]]:
    """Distances of pairs, and for each the offsets, of two opposite ones that which points down or right."""
    size = int(reach)
    steps = [(dy, dx) for dy in range(size + 1) for dx in range(-size, size + 1) if dy > 0 or dx >= 0]
    squares = sorted({dy**2 + dx**2 for dy, dx in steps if dy**2 + dx**2 <= reach**2})
    groups = tuple(tuple(s for s in steps if s[0] ** 2 + s[1] ** 2 == square) for square in squares)
    return np.sqrt(squares), groups


def distances(reach: float = REACH) -> Float[np.ndarray, " r"]:
    """Distances between two pixels, without repetition, from 0 [pixel]."""
    return _offsets(reach)[0]


def correlations(y: Float[Array | np.ndarray, "ny nx"], reach: float = REACH) -> Float[Array, " r"]:
    """Means of products of two values, over all pairs at each distance.

    Parameters
    ----------
    y : array, shape (ny, nx)
    reach : float
        Largest distance [pixel].
    """
    y = jnp.asarray(y)
    ny, nx = y.shape
    found = []
    for group in _offsets(reach)[1]:
        total, number = jnp.zeros((), y.dtype), 0
        for dy, dx in group:
            first = y[: ny - dy, max(-dx, 0) : nx - max(dx, 0)]
            second = y[dy:, max(dx, 0) : nx + min(dx, 0)]
            total, number = total + jnp.sum(first * second), number + first.size
        found.append(total / number)
    return jnp.stack(found)


def expected_correlations(
    alpha: Float[ArrayLike, ""], beta: Float[ArrayLike, ""], sigma: Float[ArrayLike, ""], reach: float = REACH
) -> Float[Array, " r"]:
    r"""Of the field with its noise: :math:`(e^{\alpha^2 \xi(r)} - 1) / \alpha^2`, and :math:`\sigma^2` more at r = 0."""
    r = jnp.asarray(distances(reach), jnp.result_type(float))
    gaussian = jnp.exp(-jnp.square(r) / (4.0 * jnp.square(beta)))
    noise = jnp.where(r == 0, jnp.square(sigma), 0.0)
    return jnp.expm1(jnp.square(alpha) * gaussian) / jnp.square(alpha) + noise


def _parameters(alpha: Float[Array, " 2"], beta: Float[Array, " 2"]) -> tuple[Array, Array]:
    a = numpyro.sample("alpha", dist.Uniform(alpha[0], alpha[1]))
    b = numpyro.sample("beta", dist.Uniform(beta[0], beta[1]))
    return jnp.asarray(a), jnp.asarray(b)


def gaussian_program(
    sigma: Float[Array, ""], tril: Float[Array, "r r"], alpha: Float[Array, " 2"], beta: Float[Array, " 2"]
) -> None:
    """Correlations that are normal about what is expected, with a covariance that is known.

    Sites: ``alpha``, ``beta``. Observed: ``correlations``.

    Parameters
    ----------
    sigma, alpha, beta
        As for :func:`bayesastro.models.fields.lognormal.program`.
    tril : array, shape (r, r)
        Cholesky factor of the covariance, lower triangle.
    """
    a, b = _parameters(alpha, beta)
    expected = expected_correlations(a, b, sigma)
    numpyro.sample("correlations", dist.MultivariateNormal(expected, scale_tril=tril))


def simulated_program(
    sigma: Float[Array, ""], shape: tuple[int, int], alpha: Float[Array, " 2"], beta: Float[Array, " 2"]
) -> None:
    """Correlations of a field that is drawn: the exact law, but without a density.

    Sites and parameters as for :func:`gaussian_program`; `shape` is that of the field.
    """
    a, b = _parameters(alpha, beta)
    numpyro.sample("correlations", dist.Delta(_drawn(jnp.asarray(numpyro.prng_key()), a, b, sigma, shape)).to_event(1))


def _drawn(
    key: Array,
    alpha: Float[ArrayLike, ""],
    beta: Float[ArrayLike, ""],
    sigma: Float[ArrayLike, ""],
    shape: tuple[int, int],
) -> Float[Array, " r"]:
    """Correlations of a field and its noise."""
    keys = jax.random.split(key)
    field = lognormal_field(alpha, beta, shape).sample(keys[0])
    return correlations(field + sigma * jax.random.normal(keys[1], shape))


def build(
    y: ArrayLike,
    sigma: float = 0.01,
    *,
    likelihood: Literal["gaussian", "none"] = "gaussian",
    fiducial: tuple[float, float] = (1.0, 0.5),
    alpha: tuple[float, float] = (0.0, 2.0),
    beta: tuple[float, float] = (0.2, 0.8),
    num_simulations: int = 5000,
    seed: int = 0,
) -> Problem:
    """The program with the correlations of a field.

    Parameters
    ----------
    y, sigma, alpha, beta
        As for :func:`bayesastro.models.fields.lognormal.build`.
    likelihood : {"gaussian", "none"}
        Whether correlations are normal, or told by simulations alone: by a program without a density.
    fiducial : (float, float)
        α and β of the simulations that the covariance of a Gaussian likelihood is from.
    num_simulations, seed : int
        Of these.

    Raises
    ------
    ValueError
        As there, if the likelihood is none of these, or if `fiducial` lies outside the priors.
    """
    image, settings = checked_image(y, sigma), checked_bounds(alpha, beta)
    settings |= {"sigma": np.asarray(float(sigma))}
    if likelihood == "none":
        return Problem(simulated_program, shape=image.shape, **settings, observed={"correlations": _seen(image)})
    if likelihood != "gaussian":
        raise ValueError(f'`likelihood` must be "gaussian" or "none", but {likelihood!r} came.')
    if not all(low <= value <= high for value, (low, high) in zip(fiducial, (alpha, beta), strict=True)):
        raise ValueError(f"`fiducial` must lie within the priors {alpha} and {beta}, but {fiducial} came.")
    tril = _covariance_factor(image.shape, sigma, fiducial, num_simulations, seed)
    return Problem(gaussian_program, tril=tril, **settings, observed={"correlations": _seen(image)})


def _covariance_factor(
    shape: tuple[int, ...], sigma: float, fiducial: tuple[float, float], num_simulations: int, seed: int
) -> Float[np.ndarray, "r r"]:
    drawn = jax.jit(jax.vmap(lambda key: _drawn(key, *fiducial, sigma, (shape[0], shape[1]))))
    draws = np.asarray(drawn(jax.random.split(jax.random.key(seed), num_simulations)), float)
    return np.linalg.cholesky(np.cov(draws.T))


def _seen(image: Float[np.ndarray, "ny nx"]) -> Float[np.ndarray, " r"]:
    with jax.enable_x64(True):
        return np.asarray(correlations(jnp.asarray(image)))
