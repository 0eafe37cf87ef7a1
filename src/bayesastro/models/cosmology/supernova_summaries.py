"""A survey of as many supernovae as will be found, simulated one by one and told by their moments in bins of redshift.

With 10⁵ supernovae a catalogue is too much to be kept ten thousand times. Of what single supernovae are, the
moments of a bin say nearly all that the catalogue does, for a bin's are drawn from nearly one law: counts, means and
covariances are the features that are averaged over the set, chosen and not learnt, and what follows them is learnt.
Nothing but simulations is asked of this program: it has no density.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float

from bayesastro.models.cosmology.supernova_survey import (
    FIDUCIAL,
    Survey,
    fiducial_magnitude,
    modulus,
    population,
)
from bayesastro.models.cosmology.universes import DISTANCE_H0, DarkEnergy, check_dark_energy, flat_universe
from bayesastro.problem import Problem

__all__ = ["build", "program", "summary"]

CHUNK = 1000
"""Supernovae that are simulated together: what is in memory does not grow with their number."""

NUM_CELLS = 2048
"""Of tables of what depends on redshift."""

NUM_CHANNELS = 10
"""Of a bin: log(1 + number), three means, six covariances."""

_PAIRS = np.triu_indices(3)


def program(
    nodes: Float[Array, " k"],
    rate: Float[Array, " k"],
    limit: Float[Array, ""],
    softness: Float[Array, ""],
    covariance: Float[Array, "3 3"],
    size: int,
    num_bins: int,
    dark_energy: DarkEnergy = "w",
) -> None:
    """The process of :func:`bayesastro.models.cosmology.supernova_survey.program`, no host a massive one, summarised.

    Parameters
    ----------
    nodes, rate, limit, softness, covariance
        See :class:`bayesastro.models.cosmology.supernova_survey.Survey`.
    size : int
        Explosions, a multiple of 1000.
    num_bins : int
        Of redshift, with equally many explosions expected in each.
    dark_energy : {"lambda", "w", "w0wa"}
    """
    cosmology = flat_universe(DISTANCE_H0, dark_energy)
    drawn = population(False)
    followed = numpyro.sample("followed", dist.Uniform(0.3, 1.0))
    offset = modulus(nodes, cosmology) - modulus(nodes, FIDUCIAL)
    mean, spread = drawn.moments(offset, 0.0, covariance)
    root, edge = jnp.linalg.cholesky(spread), limit - fiducial_magnitude(nodes)
    # Tables by the part of the explosions that are nearer, evenly spaced: no search for the place of each supernova.
    part = jnp.linspace(0.0, 1.0, NUM_CELLS + 1)
    z = jnp.interp(part, _below(nodes, rate, jnp), nodes)
    tables = jnp.stack([*(jnp.interp(z, nodes, column) for column in mean.T), jnp.interp(z, nodes, edge)])
    tables, root, edge_width, chance = (a.astype(jnp.float32) for a in (tables, root, softness, followed))

    def some(sums: Array, key: Array) -> tuple[Array, None]:
        keys = jax.random.split(key)
        where, luck = jax.random.uniform(keys[0], (2, CHUNK), jnp.float32)
        normals = jax.random.normal(keys[1], (4, CHUNK), jnp.float32)
        cell = jnp.minimum((where * NUM_CELLS).astype(int), NUM_CELLS - 1)
        within = where * NUM_CELLS - cell
        at = tables[:, cell] + within * (tables[:, cell + 1] - tables[:, cell])
        fit = at[:3] + root @ normals[:3]
        is_found = (fit[0] + edge_width * normals[3] < at[3]) & (luck < chance)
        return sums + _sums(jnp.where(is_found, fit, 0.0), is_found, where, num_bins), None

    start = jnp.zeros((num_bins, NUM_CHANNELS), nodes.dtype)
    sums, _ = jax.lax.scan(some, start, jax.random.split(numpyro.prng_key(), size // CHUNK))
    numpyro.sample("summary", dist.Delta(_moments(sums)).to_event(2))


def _below(nodes: Any, rate: Any, xp: Any) -> Any:
    """Part of the explosions nearer than each node."""
    mass = xp.concatenate([xp.zeros(1), xp.cumsum(rate[1:] + rate[:-1])])
    return mass / mass[-1]


def _sums(fit: Array, is_found: Array, where: Array, num_bins: int) -> Array:
    """By bin: the number, and the sums of what is observed and of its products; of `fit` of shape (3, n)."""
    products = [fit[i] * fit[j] for i, j in zip(*_PAIRS, strict=True)]
    columns = jnp.stack([is_found.astype(fit.dtype), *fit, *products], axis=-1)
    place = jnp.clip((where * num_bins).astype(int), 0, num_bins - 1)
    return (place == jnp.arange(num_bins)[:, None]).astype(fit.dtype) @ columns


def _moments(sums: Float[Array, "bin 10"]) -> Float[Array, "bin 10"]:
    """log(1 + number), means and covariances; zeros where none is found."""
    number = sums[:, :1]
    first, second = sums[:, 1:4] / jnp.maximum(number, 1.0), sums[:, 4:] / jnp.maximum(number, 1.0)
    central = second - first[:, _PAIRS[0]] * first[:, _PAIRS[1]]
    return jnp.concatenate([jnp.log1p(number), first, central], axis=-1)


def summary(catalogue: Mapping[str, np.ndarray], survey: Survey, num_bins: int = 40) -> Float[np.ndarray, "bin 10"]:
    """What the program observes, of a catalogue.

    Parameters
    ----------
    catalogue : mapping of str to array
        ``found``, ``redshift`` and ``fit`` as in :func:`bayesastro.models.cosmology.supernova_survey.build`.
    survey : Survey
    num_bins : int

    Returns
    -------
    array, shape (num_bins, 10)
        By bin: log(1 + number), means of magnitude, stretch and colour, and their covariances.
    """
    is_found = np.asarray(catalogue["found"]) > 0
    z, fit = (np.asarray(catalogue[name], float)[is_found] for name in ("redshift", "fit"))
    where = np.interp(z, survey.redshift, _below(survey.redshift, survey.rate, np))
    with jax.enable_x64(True):
        sums = _sums(jnp.asarray(fit.T), jnp.ones(len(z), bool), jnp.asarray(where), num_bins)
        return np.asarray(_moments(sums))


def build(observed: Float[np.ndarray, "bin 10"], size: int, survey: Survey, dark_energy: DarkEnergy = "w") -> Problem:
    """The program with the summary of a catalogue.

    Parameters
    ----------
    observed : array, shape (bin, 10)
        See :func:`summary`.
    size : int
        Explosions, found or not: a multiple of 1000.
    survey : Survey
    dark_energy : {"lambda", "w", "w0wa"}

    Raises
    ------
    ValueError
        If a setting is none of those known, or `observed` is no such summary.
    """
    check_dark_energy(dark_energy)
    if size < CHUNK or size % CHUNK:
        raise ValueError(f"`size` must be a multiple of {CHUNK}, but {size!r} came.")
    if np.ndim(observed) != 2 or np.shape(observed)[1] != NUM_CHANNELS:
        raise ValueError(
            f"`observed` must have shape (bin, {NUM_CHANNELS}), but {np.shape(observed)} came: use `summary`."
        )
    arrays = (survey.redshift, survey.rate, survey.limit, survey.softness, survey.covariance)
    return Problem(
        program,
        *(np.asarray(array, float) for array in arrays),
        size=int(size),
        num_bins=len(observed),
        dark_energy=dark_energy,
        observed={"summary": np.asarray(observed, float)},
    )
