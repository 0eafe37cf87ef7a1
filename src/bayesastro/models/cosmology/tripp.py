"""The expansion history from the light-curve fits of single type Ia supernovae: a hierarchical Tripp relation.

Each supernova has an absolute magnitude, a stretch and a colour of its own, from a normal population. These latents are
marginalised in closed form, or sampled, three for each supernova; the posterior of everything else is the same. What a
magnitude-limited survey did not find can be allowed for.

References
----------
March et al. 2011, MNRAS 418, 2308 (arXiv:1102.3237); Shariff et al. 2016, ApJ 827, 1 (arXiv:1510.05954; BAHAMAS);
selection: Rubin et al. 2015, ApJ 813, 137 (arXiv:1507.01602).
"""

from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float

from bayesastro.datasets import SupernovaTable
from bayesastro.models.cosmology.selection import DetectedNormal
from bayesastro.models.cosmology.universes import (
    DISTANCE_H0,
    DarkEnergy,
    check_dark_energy,
    check_redshifts,
    flat_universe,
)
from bayesastro.problem import Problem
from bayesastro.simulators.cosmology import heliocentric_distance_modulus, observed_moments, tripp_magnitude

__all__ = ["Latents", "build", "program"]

Latents = Literal["marginalised", "sampled"]

HEAVY_HOST = 10.0
"""log₁₀ of the stellar mass, in solar masses, at which the mass step is (Betoule et al. 2014, section 5.2)."""


def program(
    z_cmb: Float[Array, " n"],
    z_hel: Float[Array, " n"],
    covariance: Float[Array, "n 3 3"],
    is_heavy: Bool[Array, " n"] | None = None,
    limit: Float[Array, " n"] | None = None,
    softness: Float[Array, " n"] | None = None,
    dark_energy: DarkEnergy = "lambda",
    latents: Latents = "marginalised",
) -> None:
    """Apparent magnitudes, stretches and colours of supernovae in a flat universe.

    Parameters
    ----------
    z_cmb, z_hel : arrays, shape (n,)
        Redshifts in the frames of the microwave background and of the Sun.
    covariance : array, shape (n, 3, 3)
        Of the errors of magnitude [mag], stretch and colour.
    is_heavy : array of bool, shape (n,), optional
        Whether the host is a massive one; then there is a step in magnitude.
    limit, softness : arrays, shape (n,), optional [mag]
        Of the survey that found a supernova: the magnitude at which it finds half, and the width of that edge.
    dark_energy : {"lambda", "w", "w0wa"}
    latents : {"marginalised", "sampled"}
    """
    cosmology = flat_universe(DISTANCE_H0, dark_energy)
    M = numpyro.sample("M", dist.Normal(-19.3, 2.0))  # mean absolute magnitude [mag]
    alpha = numpyro.sample("alpha", dist.Uniform(0.0, 1.0))
    beta = numpyro.sample("beta", dist.Uniform(0.0, 6.0))
    scatter = numpyro.sample("scatter", dist.LogUniform(0.01, 1.0))  # of absolute magnitudes [mag]
    x1_mean = numpyro.sample("x1_mean", dist.Normal(0.0, 1.0))
    x1_sd = numpyro.sample("x1_sd", dist.LogUniform(0.1, 10.0))
    c_mean = numpyro.sample("c_mean", dist.Normal(0.0, 0.3))
    c_sd = numpyro.sample("c_sd", dist.LogUniform(0.01, 1.0))
    M_each: Any = M
    if is_heavy is not None:
        M_each = M + numpyro.sample("mass_step", dist.Normal(0.0, 0.2)) * is_heavy  # [mag]
    mu = heliocentric_distance_modulus(z_cmb, z_hel, cosmology)
    if latents == "marginalised":
        population = (x1_mean, c_mean), (scatter, x1_sd, c_sd)
        mean, spread = observed_moments(mu, M_each, *population, alpha, beta, covariance)
        numpyro.sample("fit", _observed(mean, spread, limit, softness))
        return
    # The magnitude as it would be seen without errors, which the data pin down, and not the absolute one: given these
    # three, each known for itself, the parameters that all share are nearly as uncertain as they are at all.
    x1 = numpyro.sample("x1", dist.Normal(x1_mean, x1_sd).expand(mu.shape).to_event(1))
    c = numpyro.sample("c", dist.Normal(c_mean, c_sd).expand(mu.shape).to_event(1))
    m = numpyro.sample("m", dist.Normal(tripp_magnitude(mu, M_each, x1, c, alpha, beta), scatter).to_event(1))
    numpyro.sample("fit", dist.MultivariateNormal(jnp.stack([m, x1, c], axis=-1), covariance))


def _observed(mean: Array, covariance: Array, limit: Array | None, softness: Array | None) -> dist.Distribution:
    if limit is None or softness is None:
        return dist.MultivariateNormal(mean, covariance)
    return DetectedNormal(mean, covariance, limit, softness)


def build(
    table: SupernovaTable,
    dark_energy: DarkEnergy = "lambda",
    *,
    latents: Latents = "marginalised",
    mass_step: bool = True,
    limit: Any = None,
    softness: Any = None,
) -> Problem:
    """The program with a table of supernovae.

    Parameters
    ----------
    table : SupernovaTable
        Such as :func:`bayesastro.datasets.read_jla` gives.
    dark_energy : {"lambda", "w", "w0wa"}
    latents : {"marginalised", "sampled"}
        Whether the three latents of each supernova are integrated over or sampled.
    mass_step : bool
        Whether supernovae in massive hosts have another magnitude.
    limit, softness : float or array of shape (survey,), optional [mag]
        Of each survey: the magnitude at which it finds half of the supernovae, and the width of that edge.

    Raises
    ------
    ValueError
        If a setting is none of those known, redshifts or covariances make no sense, one of `limit` and `softness` is
        missing, or selection is to be combined with sampled latents.
    """
    check_dark_energy(dark_energy)
    if latents not in ("marginalised", "sampled"):
        raise ValueError(f'`latents` must be "marginalised" or "sampled", but {latents!r} came.')
    if (limit is None) != (softness is None):
        raise ValueError("`limit` and `softness` describe a survey together, but one of them is missing. Give both.")
    if limit is not None and latents == "sampled":
        raise ValueError('Selection needs the latents integrated over. Leave `latents="marginalised"`.')
    _check_table(table)
    cuts = (
        (None, None) if limit is None else (_by_survey(table, "limit", limit), _by_survey(table, "softness", softness))
    )
    if cuts[1] is not None and not (cuts[1] > 0).all():
        raise ValueError(f"`softness` must be above 0, but {softness!r} came.")
    return Problem(
        program,
        table.z_cmb,
        table.z_hel,
        table.covariance,
        table.host_mass > HEAVY_HOST if mass_step else None,
        *cuts,
        dark_energy=dark_energy,
        latents=latents,
        observed={"fit": table.fit},
    ).with_units(dict.fromkeys(("M", "scatter", "mass_step", "m"), "mag"))


def _check_table(table: SupernovaTable) -> None:
    check_redshifts(table.z_cmb)
    lowest = np.linalg.eigvalsh(table.covariance)[:, 0]
    if not (lowest > 0).all():
        worst = table.name[int(np.argmin(lowest))]
        raise ValueError(
            f"The covariance of supernova `{worst}` is not positive definite. Correct it, or leave it out."
        )


def _by_survey(table: SupernovaTable, name: str, value: Any) -> np.ndarray:
    """A figure of each supernova's survey."""
    array = np.asarray(value, float)
    if array.shape not in ((), (len(table.survey_names),)) or not np.isfinite(array).all():
        raise ValueError(
            f"`{name}` must be one finite number or one for each of {list(table.survey_names)}, but {value!r} came."
        )
    return np.broadcast_to(array, (len(table.survey_names),))[table.survey]
