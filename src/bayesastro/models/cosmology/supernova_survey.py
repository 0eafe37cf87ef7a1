"""A survey for type Ia supernovae, from the explosions to the catalogue of those found, for inference by simulation.

Supernovae explode at redshifts drawn from a rate; the faint among them are lost (Malmquist 1922), and some are not
followed. How many are found, where and with which magnitudes all depends on the parameters. The catalogue has a place
for each explosion, empty where none was found, and a likelihood in closed form, so that what networks learn of it can
be checked: latents of single supernovae are integrated over as in :mod:`bayesastro.models.cosmology.tripp`.

References
----------
Karchev, Trotta & Weniger 2023, MNRAS 520, 1056 (arXiv:2209.06733); selection learnt: Karchev & Trotta 2024
(arXiv:2409.03837), and in closed form: Rubin et al. 2015, ApJ 813, 137 (arXiv:1507.01602).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.scipy.special import log_ndtr
from jaxtyping import Array, Bool, Float

from bayesastro.models.cosmology.selection import DetectedNormal, Tabulated, WhereFound
from bayesastro.models.cosmology.universes import (
    DISTANCE_H0,
    DarkEnergy,
    check_dark_energy,
    check_redshifts,
    flat_universe,
)
from bayesastro.problem import Problem
from bayesastro.simulators.cosmology import Cosmology, heliocentric_distance_modulus, observed_moments

__all__ = ["FIDUCIAL", "Population", "Survey", "build", "fiducial_magnitude", "modulus", "population", "program"]

FIDUCIAL = Cosmology(H0=DISTANCE_H0, Omega_m=0.3)
"""The universe whose Hubble diagram magnitudes are told relative to; any would do, this one keeps numbers small."""

FIDUCIAL_M = -19.1
"""Absolute magnitude of the same."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Survey:
    """What a survey watches and what it finds.

    Parameters
    ----------
    redshift : (k,) array
        Evenly spaced, from the nearest explosions to the farthest.
    rate : (k,) array
        Explosions in its fields at these redshifts, up to a factor; linear between them.
    limit, softness : float [mag]
        Magnitude at which it finds half, and the width of that edge.
    covariance : (3, 3) array
        Of the errors of magnitude [mag], stretch and colour.
    """

    redshift: Float[np.ndarray, " k"] = field(default_factory=lambda: np.linspace(0.03, 0.9, 513))
    rate: Float[np.ndarray, " k"] = field(default_factory=lambda: np.linspace(1.03, 1.9, 513))
    limit: float = 23.4
    softness: float = 0.15
    covariance: Float[np.ndarray, "3 3"] = field(
        default_factory=lambda: np.array([[0.0081, 0.006, 0.0018], [0.006, 0.09, 0.0015], [0.0018, 0.0015, 0.0016]])
    )

    def __post_init__(self) -> None:
        z, rate = np.asarray(self.redshift, float), np.asarray(self.rate, float)
        check_redshifts(z)
        if z.ndim != 1 or len(z) < 3 or not np.allclose(np.diff(z), (z[-1] - z[0]) / (len(z) - 1)) or z[-1] <= z[0]:
            raise ValueError("`redshift` must be at least three evenly spaced, increasing numbers: use `np.linspace`.")
        if rate.shape != z.shape or not (np.isfinite(rate) & (rate >= 0)).all() or not rate.any():
            raise ValueError(f"`rate` must be a number of at least 0 for each of {len(z)} redshifts, and not all 0.")
        if not self.softness > 0:
            raise ValueError(f"`softness` must be above 0, but {self.softness!r} came.")
        if np.shape(self.covariance) != (3, 3) or not (np.linalg.eigvalsh(self.covariance) > 0).all():
            raise ValueError("`covariance` must be a positive definite matrix of shape (3, 3).")


@dataclass(frozen=True)
class Population:
    """Parameters of supernovae, as the program draws them."""

    M: Any
    alpha: Any
    beta: Any
    scatter: Any
    x1_mean: Any
    x1_sd: Any
    c_mean: Any
    c_sd: Any
    mass_step: Any

    def moments(self, offset: Float[Array, " n"], step: Any, covariance: Any) -> tuple[Array, Array]:
        """Mean, shape (n, 3), and covariance, shape (3, 3), of what is observed at offsets of the distance modulus."""
        means, dispersions = (self.x1_mean, self.c_mean), (self.scatter, self.x1_sd, self.c_sd)
        M = self.M - FIDUCIAL_M + self.mass_step * step
        return observed_moments(offset, M, means, dispersions, self.alpha, self.beta, covariance)


def population(mass_step: bool) -> Population:
    """Parameters of supernovae, of which other samples have told (Betoule et al. 2014, arXiv:1401.4064).

    Parameters
    ----------
    mass_step : bool
        Whether massive hosts matter.
    """
    M = numpyro.sample("M", dist.Normal(FIDUCIAL_M, 0.2))  # mean absolute magnitude [mag]
    alpha = numpyro.sample("alpha", dist.Uniform(0.0, 0.5))
    beta = numpyro.sample("beta", dist.Uniform(0.0, 6.0))
    scatter = numpyro.sample("scatter", dist.LogNormal(np.log(0.1), 0.3))  # of absolute magnitudes [mag]
    x1_mean = numpyro.sample("x1_mean", dist.Normal(0.0, 0.3))
    x1_sd = numpyro.sample("x1_sd", dist.LogNormal(0.0, 0.2))
    c_mean = numpyro.sample("c_mean", dist.Normal(0.0, 0.03))
    c_sd = numpyro.sample("c_sd", dist.LogNormal(np.log(0.08), 0.2))
    step = numpyro.sample("mass_step", dist.Normal(0.0, 0.1)) if mass_step else 0.0  # [mag]
    return Population(M, alpha, beta, scatter, x1_mean, x1_sd, c_mean, c_sd, step)


def program(
    is_heavy: Bool[Array, " n"],
    nodes: Float[Array, " k"],
    rate: Float[Array, " k"],
    limit: Float[Array, ""],
    softness: Float[Array, ""],
    covariance: Float[Array, "3 3"],
    dark_energy: DarkEnergy = "w",
    mass_step: bool = False,
) -> None:
    """Which explosions are found, their redshifts, and their magnitudes, stretches and colours.

    Of each that is found, ``fit`` has the magnitude above that of :func:`fiducial_magnitude`, the stretch and the colour.

    Parameters
    ----------
    is_heavy : array of bool, shape (n,)
        Whether the host of an explosion is a massive one. There are as many explosions as entries.
    nodes, rate : arrays, shape (k,)
    limit, softness : scalars [mag]
    covariance : array, shape (3, 3)
        See :class:`Survey`.
    dark_energy : {"lambda", "w", "w0wa"}
    mass_step : bool
        Whether supernovae in massive hosts have another magnitude.
    """
    cosmology = flat_universe(DISTANCE_H0, dark_energy)
    drawn = population(mass_step)
    followed = numpyro.sample("followed", dist.Uniform(0.3, 1.0))  # part of the bright ones that are
    kind, middle = is_heavy.astype(int), nodes[nodes.shape[0] // 2]
    offset = modulus(nodes, cosmology) - modulus(nodes, FIDUCIAL)
    mean, spread = drawn.moments(offset, 0.0, covariance)
    magnitude = mean[:, 0] + fiducial_magnitude(nodes) + drawn.mass_step * jnp.arange(2.0)[:, None]
    seen = rate * jnp.exp(log_ndtr((limit - magnitude) / jnp.sqrt(spread[0, 0] + softness**2)))
    part = jnp.trapezoid(seen, axis=-1) / jnp.trapezoid(rate)
    found: Any = numpyro.sample("found", dist.Bernoulli(followed * jnp.where(is_heavy, part[1], part[0])).to_event(1))
    found = found > 0
    redshift = numpyro.sample("redshift", WhereFound(Tabulated(nodes, seen, kind), found, middle).to_event(1))
    z = jnp.where(found, redshift, middle)
    moments = drawn.moments(modulus(z, cosmology) - modulus(z, FIDUCIAL), 1.0 * is_heavy, covariance)
    law = DetectedNormal(*moments, limit - fiducial_magnitude(z), softness)
    numpyro.sample("fit", WhereFound(law, found, moments[0][0]).to_event(1))


def modulus(z: Float[Array, " n"], cosmology: Cosmology) -> Float[Array, " n"]:
    """Distance modulus of many redshifts [mag]."""
    return heliocentric_distance_modulus(z, z, cosmology)


def fiducial_magnitude(z: Float[Array, " n"]) -> Float[Array, " n"]:
    """Apparent magnitude, by redshift, that those of the catalogue are told relative to [mag]."""
    return modulus(z, FIDUCIAL) + FIDUCIAL_M


def build(
    catalogue: Mapping[str, np.ndarray],
    survey: Survey,
    dark_energy: DarkEnergy = "w",
    *,
    is_heavy: Bool[np.ndarray, " n"] | None = None,
    mass_step: bool = False,
) -> Problem:
    """The program with the catalogue of a survey.

    Parameters
    ----------
    catalogue : mapping of str to array
        ``found``, shape (n,), 1 or 0 for each explosion; ``redshift``, shape (n,), and ``fit``, shape (n, 3), zeros where
        none was found. Such as ``problem.simulate`` gives.
    survey : Survey
        One with a limit of 99 mag is the analysis that ignores selection.
    dark_energy : {"lambda", "w", "w0wa"}
    is_heavy : array of bool, shape (n,), optional
        Whether the host of an explosion is a massive one; by default none is.
    mass_step : bool
        Whether supernovae in massive hosts have another magnitude.

    Raises
    ------
    ValueError
        If a setting is none of those known, or the catalogue does not fit together or to the survey.
    """
    check_dark_energy(dark_energy)
    observed = {name: np.asarray(catalogue[name]) for name in ("found", "redshift", "fit") if name in catalogue}
    shapes = {name: array.shape for name, array in observed.items()}
    n = shapes.get("found", (0,))[0]
    if shapes != {"found": (n,), "redshift": (n,), "fit": (n, 3)}:
        raise ValueError(
            f"`catalogue` needs `found` and `redshift` of shape (n,) and `fit` of shape (n, 3), but {shapes} came."
        )
    is_found, z = observed["found"] > 0, observed["redshift"]
    ends = survey.redshift[0], survey.redshift[-1]
    if not ((z[is_found] >= ends[0]) & (z[is_found] <= ends[1])).all():
        raise ValueError(f"Redshifts must lie within the survey's, from {ends[0]:g} to {ends[1]:g}, but some do not.")
    heavy = np.zeros(n, bool) if is_heavy is None else np.asarray(is_heavy, bool)
    if heavy.shape != (n,):
        raise ValueError(f"`is_heavy` must have shape ({n},), as the catalogue has, but {heavy.shape} came.")
    return Problem(
        program,
        heavy,
        np.asarray(survey.redshift, float),
        np.asarray(survey.rate, float),
        np.asarray(survey.limit, float),
        np.asarray(survey.softness, float),
        np.asarray(survey.covariance, float),
        dark_energy=dark_energy,
        mass_step=mass_step,
        observed=observed,
    ).with_units(dict.fromkeys(("M", "scatter", "mass_step"), "mag"))
