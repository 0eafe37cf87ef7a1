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
from jaxtyping import Array, Bool, Float

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
    mass_step: bool | None = None,
) -> None:
    """The process of :func:`bayesastro.models.cosmology.supernova_survey.program`, summarised.

    Parameters
    ----------
    nodes, rate, limit, softness, covariance
        See :class:`bayesastro.models.cosmology.supernova_survey.Survey`.
    size : int
        Explosions: up to 1000, or a multiple.
    num_bins : int
        Of redshift, with equally many explosions expected in each.
    dark_energy : {"lambda", "w", "w0wa"}
    mass_step : bool, optional
        Whether the second half of each thousand, in massive hosts, has another magnitude, or not; these then have bins of
        their own, after the others. By default no host is a massive one.
    """
    cosmology = flat_universe(DISTANCE_H0, dark_energy)
    drawn = population(bool(mass_step))
    followed = numpyro.sample("followed", dist.Uniform(0.3, 1.0))
    offset = modulus(nodes, cosmology) - modulus(nodes, FIDUCIAL)
    mean, spread = drawn.moments(offset, 0.0, covariance)
    root, edge = jnp.linalg.cholesky(spread), limit - fiducial_magnitude(nodes)
    # Tables by the part of the explosions that are nearer, evenly spaced: no search for the place of each supernova.
    part = jnp.linspace(0.0, 1.0, NUM_CELLS + 1)
    z = jnp.interp(part, _below(nodes, rate, jnp), nodes)
    tables = jnp.stack([*(jnp.interp(z, nodes, column) for column in mean.T), jnp.interp(z, nodes, edge)])
    tables, root, edge_width, chance = (jnp.asarray(a, jnp.float32) for a in (tables, root, softness, followed))
    together = min(size, CHUNK)
    heavy = jnp.arange(together) >= together // 2 if mass_step is not None else jnp.zeros(together, bool)
    step, num_rows = jnp.asarray(drawn.mass_step, jnp.float32) * heavy, num_bins * (1 if mass_step is None else 2)

    def some(sums: Array, key: Any) -> tuple[Array, None]:
        keys = jax.random.split(key)
        where, luck = jax.random.uniform(keys[0], (2, together), jnp.float32)
        normals = jax.random.normal(keys[1], (4, together), jnp.float32)
        cell = jnp.minimum((where * NUM_CELLS).astype(int), NUM_CELLS - 1)
        within = where * NUM_CELLS - cell
        at = tables[:, cell] + within * (tables[:, cell + 1] - tables[:, cell])
        fit = (at[:3] + root @ normals[:3]).at[0].add(step)
        is_found = (fit[0] + edge_width * normals[3] < at[3]) & (luck < chance)
        return sums + _sums(jnp.where(is_found, fit, 0.0), is_found, where, heavy, num_rows, num_bins), None

    start = jnp.zeros((num_rows, NUM_CHANNELS), nodes.dtype)
    sums, _ = jax.lax.scan(some, start, jax.random.split(jnp.asarray(numpyro.prng_key()), size // together))
    numpyro.sample("summary", dist.Delta(_moments(sums)).to_event(2))


def _below(nodes: Any, rate: Any, xp: Any) -> Any:
    """Part of the explosions nearer than each node."""
    mass = xp.concatenate([xp.zeros(1), xp.cumsum(rate[1:] + rate[:-1])])
    return mass / mass[-1]


def _sums(fit: Array, is_found: Array, where: Array, heavy: Array, num_rows: int, num_bins: int) -> Array:
    """By bin: the number, and the sums of what is observed and of its products; of `fit` of shape (3, n)."""
    products = [fit[i] * fit[j] for i, j in zip(*_PAIRS, strict=True)]
    columns = jnp.stack([is_found.astype(fit.dtype), *fit, *products], axis=-1)
    place = jnp.clip((where * num_bins).astype(int), 0, num_bins - 1) + num_bins * heavy
    return (place == jnp.arange(num_rows)[:, None]).astype(fit.dtype) @ columns


def _moments(sums: Float[Array, "bin 10"]) -> Float[Array, "bin 10"]:
    """log(1 + number), means and covariances; zeros where none is found."""
    number = sums[:, :1]
    first, second = sums[:, 1:4] / jnp.maximum(number, 1.0), sums[:, 4:] / jnp.maximum(number, 1.0)
    central = second - first[:, _PAIRS[0]] * first[:, _PAIRS[1]]
    return jnp.concatenate([jnp.log1p(number), first, central], axis=-1)


def summary(
    catalogue: Mapping[str, np.ndarray],
    survey: Survey,
    num_bins: int = 40,
    is_heavy: Bool[np.ndarray, " n"] | None = None,
) -> Float[np.ndarray, "bin 10"]:
    """What the program observes, of a catalogue.

    Parameters
    ----------
    catalogue : mapping of str to array
        ``found``, ``redshift`` and ``fit`` as in :func:`bayesastro.models.cosmology.supernova_survey.build`.
    survey : Survey
    num_bins : int
    is_heavy : array of bool, shape (n,), optional
        Whether the host of an explosion is a massive one; these have bins of their own, after the others.

    Returns
    -------
    array, shape (num_bins, 10), or (2 num_bins, 10)
        By bin: log(1 + number), means of magnitude, stretch and colour, and their covariances.
    """
    is_found = np.asarray(catalogue["found"]) > 0
    z, fit = (np.asarray(catalogue[name], float)[is_found] for name in ("redshift", "fit"))
    where = np.interp(z, survey.redshift, _below(survey.redshift, survey.rate, np))
    heavy = np.zeros(len(z), bool) if is_heavy is None else np.asarray(is_heavy)[is_found]
    num_rows = num_bins * (1 if is_heavy is None else 2)
    with jax.enable_x64(True):
        arrays = jnp.asarray(fit.T), jnp.ones(len(z), bool), jnp.asarray(where), jnp.asarray(heavy)
        sums = _sums(*arrays, num_rows, num_bins)
        return np.asarray(_moments(sums))


def build(
    observed: Float[np.ndarray, "bin 10"],
    size: int,
    survey: Survey,
    dark_energy: DarkEnergy = "w",
    *,
    mass_step: bool | None = None,
) -> Problem:
    """The program with the summary of a catalogue.

    Parameters
    ----------
    observed : array, shape (bin, 10)
        See :func:`summary`.
    size : int
        Explosions, found or not: up to 1000, or a multiple.
    survey : Survey
    dark_energy : {"lambda", "w", "w0wa"}
    mass_step : bool, optional
        See :func:`program`; with True or False the summary is one by hosts, half of them massive.

    Raises
    ------
    ValueError
        If a setting is none of those known, or `observed` is no such summary.
    """
    check_dark_energy(dark_energy)
    if size < 1 or (size > CHUNK and size % CHUNK):
        raise ValueError(f"`size` must be at most {CHUNK} or a multiple of it, but {size!r} came.")
    if np.ndim(observed) != 2 or np.shape(observed)[1] != NUM_CHANNELS:
        raise ValueError(
            f"`observed` must have shape (bin, {NUM_CHANNELS}), but {np.shape(observed)} came: use `summary`."
        )
    arrays = (survey.redshift, survey.rate, survey.limit, survey.softness, survey.covariance)
    return Problem(
        program,
        *(np.asarray(array, float) for array in arrays),
        size=int(size),
        num_bins=len(observed) // (1 if mass_step is None else 2),
        dark_energy=dark_energy,
        mass_step=mass_step,
        observed={"summary": np.asarray(observed, float)},
    ).with_units(dict.fromkeys(("M", "scatter", "mass_step"), "mag"))
