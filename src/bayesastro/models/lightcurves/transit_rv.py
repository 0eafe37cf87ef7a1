"""One planet seen in transit and in the star's radial velocity: two observed sites, one orbit.

References
----------
Winn 2010, arXiv:1001.2010, sections 2 and 3 (what each of the two measures); Giles et al. 2018, MNRAS 475, 1809
(arXiv:1706.06865) for K2-140, whose light curve and velocities this program is tested on.
"""

from typing import Any

import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import ArrayLike

from bayesastro.models.lightcurves import transit
from bayesastro.models.lightcurves.gaussian_process import Variability
from bayesastro.models.lightcurves.planet import planet, transit_flux
from bayesastro.models.lightcurves.series import checked_pair
from bayesastro.models.lightcurves.velocities import checked_velocities, observe
from bayesastro.problem import Problem

__all__ = ["build", "program"]

VELOCITIES = ("velocity", "rv_sigma", "semi_amplitude", "offset", "rv_jitter")
"""Sites and arguments in the unit of the velocities."""


def program(
    time: Float[Array, " n"],
    sigma: Float[Array, " n"],
    rv_time: Float[Array, " r"],
    rv_sigma: Float[Array, " r"],
    instrument: Int[Array, " r"],
    offset: Float[Array, "i 2"],
    semi_amplitude_scale: Float[Array, ""],
    rv_jitter_scale: Float[Array, ""],
    period: Float[Array, " 2"],
    t0: Float[Array, " 2"],
    log_density: Float[Array, " 2"],
    level_scale: Float[Array, ""],
    jitter_scale: Float[Array, ""],
    exposure: Float[Array, ""] | Float[Array, " n"],
    near: Int[Array, " m"] | None = None,
    mask: Bool[Array, " n"] | None = None,
    gp_sigma: Float[Array, " 2"] | None = None,
    gp_time: Float[Array, " 2"] | None = None,
    variability: Variability | None = None,
    eccentric: bool = True,
    num_samples: int = 1,
) -> None:
    """Transits and radial velocities.

    Sites beyond those of :mod:`bayesastro.models.lightcurves.transit`: ``semi_amplitude``, half-normal;
    ``offset``, the velocity of the system as each instrument sees it, normal; ``rv_jitter`` of each instrument,
    half-normal. Observed: ``flux`` and ``velocity``.

    Parameters
    ----------
    time, sigma : arrays, shape (n,)
        Of the light curve.
    rv_time : array, shape (r,) [day]
        In the system of `time`.
    rv_sigma : array, shape (r,)
        In the unit of the velocities, as all that follow.
    instrument : array of int, shape (r,)
    offset : array, shape (i, 2)
        Mean and standard deviation for each of i instruments.
    semi_amplitude_scale, rv_jitter_scale : scalars
    period, t0, log_density, level_scale, jitter_scale, exposure, near, mask, gp_sigma, gp_time, variability, eccentric, num_samples
        As for :func:`bayesastro.models.lightcurves.transit.program`.
    """
    body = planet(period, t0, log_density, eccentric)
    flux = transit_flux(body, time, exposure, near, num_samples)
    transit.observe(flux, time, sigma, level_scale, jitter_scale, mask, gp_sigma, gp_time, variability)
    K = numpyro.sample("semi_amplitude", dist.HalfNormal(semi_amplitude_scale))
    observe(body.orbit.radial_velocity(rv_time, K), rv_sigma, instrument, offset, rv_jitter_scale)


def build(
    time: ArrayLike,
    flux: ArrayLike,
    sigma: ArrayLike,
    rv_time: ArrayLike,
    velocity: ArrayLike,
    rv_sigma: ArrayLike,
    instrument: ArrayLike,
    *,
    period: tuple[float, float],
    t0: tuple[float, float],
    eccentric: bool = True,
    semi_amplitude_scale: float | None = None,
    rv_jitter_scale: float | None = None,
    **settings: Any,
) -> Problem:
    """The program with a light curve and radial velocities.

    Parameters
    ----------
    time, flux, sigma : arrays, shape (n,)
        As for :func:`bayesastro.models.lightcurves.transit.build`.
    rv_time, velocity, rv_sigma : arrays, shape (r,)
        Times in the system of `time`, velocities and errors in any unit; in any order. Of quantities the unit of the
        velocities is that of results.
    instrument : array of int, shape (r,)
        From 0; every instrument has at least one velocity.
    period, t0 : (float, float) [day]
        Mean and standard deviation of the priors.
    eccentric : bool
    semi_amplitude_scale : float, optional
        Of the half-normal prior; by default the range of the velocities.
    rv_jitter_scale : float, optional
        Of the half-normal priors; by default three times the median of `rv_sigma`.
    **settings
        As for :func:`bayesastro.models.lightcurves.transit.build`.

    Raises
    ------
    ValueError
        As there, and if an instrument has no velocity.
    """
    series = checked_velocities(rv_time, velocity, rv_sigma, instrument, prefix="rv_")
    light = transit.build(time, flux, sigma, period=period, t0=t0, eccentric=eccentric, **settings)
    _, arguments = light.static_program.arguments(light.data.arrays)
    return Problem(
        program,
        rv_time=series.time - checked_pair("t0", t0, unit="d")[0],
        rv_sigma=series.sigma,
        instrument=series.instrument,
        offset=series.offset,
        semi_amplitude_scale=np.asarray(series.extent if semi_amplitude_scale is None else float(semi_amplitude_scale)),
        rv_jitter_scale=series.jitter_scale(rv_jitter_scale),
        **arguments,
        observed={**light.observed, "velocity": series.velocity},
    ).with_units(transit.UNITS | {"rv_time": "d"} | (dict.fromkeys(VELOCITIES, series.unit) if series.unit else {}))
