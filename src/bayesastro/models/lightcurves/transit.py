"""A planet's transits in one light curve, with white noise or a Gaussian process of the star's variability.

References
----------
Winn 2010, arXiv:1001.2010 (transits); Foreman-Mackey et al. 2017, AJ 154, 220 (arXiv:1703.09710), section 6.4 (a transit
and a Gaussian process in one likelihood). Priors: see :func:`~bayesastro.models.lightcurves.planet.planet`,
:func:`~bayesastro.models.lightcurves.planet.transit_flux` and
:func:`~bayesastro.models.lightcurves.gaussian_process.kernel_prior`.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import ArrayLike

from bayesastro.models.lightcurves.gaussian_process import GaussianProcess, Variability, kernel_prior
from bayesastro.models.lightcurves.planet import planet, transit_flux
from bayesastro.models.lightcurves.series import checked_pair, checked_series, near_transit
from bayesastro.problem import Problem
from bayesastro.units import in_unit

__all__ = ["UNITS", "build", "observe", "program"]

UNITS = {**dict.fromkeys(("time", "exposure", "period", "t0", "gp_rho", "gp_period"), "d"), "omega": "rad"}
"""Of arguments and sites."""


def program(
    time: Float[Array, " n"],
    sigma: Float[Array, " n"],
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
    eccentric: bool = False,
    num_samples: int = 1,
) -> None:
    """Transits in one light curve.

    Parameters
    ----------
    time : array, shape (n,) [day]
        Ascending, in the same system as `t0`.
    sigma : array, shape (n,)
        Errors of the relative flux.
    period, t0, log_density : arrays, shape (2,)
        Priors; see :func:`~bayesastro.models.lightcurves.planet.planet`.
    level_scale : scalar
        Standard deviation of the normal prior, about 1, of the flux outside transit.
    jitter_scale : scalar
        Scale of the half-normal prior of the noise beyond `sigma`, added in quadrature.
    exposure : scalar or array, shape (n,) [day]
    near : array of int, shape (m,), optional
        Places in `time` where a transit can be; by default everywhere.
    mask : array of bool, shape (n,), optional
        False at padding.
    gp_sigma, gp_time : arrays, shape (2,), optional
        Priors of the kernel.
    variability : {"matern", "rotation"}, optional
        By default the noise is white.
    eccentric : bool
        By default the orbit is circular.
    num_samples : int
        Parts into which an exposure is divided.
    """
    body = planet(period, t0, log_density, eccentric)
    flux = transit_flux(body, time, exposure, near, num_samples)
    observe(flux, time, sigma, level_scale, jitter_scale, mask, gp_sigma, gp_time, variability)


def observe(
    flux: Float[Array, " n"],
    time: Float[Array, " n"],
    sigma: Float[Array, " n"],
    level_scale: Float[Array, ""],
    jitter_scale: Float[Array, ""],
    mask: Bool[Array, " n"] | None,
    gp_sigma: Float[Array, " 2"] | None,
    gp_time: Float[Array, " 2"] | None,
    variability: Variability | None,
) -> None:
    """The observed site ``flux`` about a predicted one: level, jitter, and the star's variability.

    Sites: ``level``, normal about 1; ``jitter``, half-normal; those of the kernel.
    Parameters as for `program`.
    """
    level = numpyro.sample("level", dist.Normal(1.0, level_scale))
    jitter = numpyro.sample("jitter", dist.HalfNormal(jitter_scale))
    scale = jnp.sqrt(jnp.square(sigma) + jnp.square(jitter))
    if variability is None or gp_sigma is None or gp_time is None:
        white = dist.Normal(level * flux, scale)
        numpyro.sample("flux", white if mask is None else white.mask(mask))
    else:
        kernel = kernel_prior(variability, gp_sigma, gp_time)
        numpyro.sample("flux", GaussianProcess(kernel, time, level * flux, scale, mask))


def build(
    time: ArrayLike,
    flux: ArrayLike,
    sigma: ArrayLike,
    *,
    period: tuple[float, float],
    t0: tuple[float, float],
    density: tuple[float, float] = (1.0, 1.5),
    variability: Variability | None = None,
    gp_sigma: tuple[float, float] | None = None,
    gp_time: tuple[float, float] = (3.0, 1.5),
    eccentric: bool = False,
    exposure: ArrayLike = 0.0,
    num_samples: int = 1,
    window: float | None = None,
    level_scale: float = 1e-3,
    jitter_scale: float | None = None,
    mask: ArrayLike | None = None,
) -> Problem:
    """The program with a light curve.

    Times, in any order, enter relative to the prior mean of `t0`, from which the site ``t0`` is the shift. Julian dates in
    double precision are multiples of 40 microseconds: where these count, give times relative to a date nearby.

    Parameters
    ----------
    time, flux, sigma : arrays, shape (n,)
        Times of mid-exposure [day], flux divided by its level outside transit, and its errors; times may be quantities.
    period, t0 : (float, float) [day]
        Mean and standard deviation of the priors. Of all transits that nearest to the middle of the data is best for
        `t0`, for there it is least correlated with the period.
    density : (float, float)
        The star's mean density [g/cm³], and the standard deviation of its logarithm; by default all but unknown.
    variability : {"matern", "rotation"}, optional
        Gaussian process of the star; by default white noise.
    gp_sigma, gp_time : (float, float), optional
        Median and standard deviation of the logarithm, of the process' standard deviation, by default that of `flux`
        and 1.5, and of ρ or the period of rotation [day].
    eccentric : bool
    exposure : scalar or array, shape (n,) [day]
    num_samples : int
        Parts into which an exposure is divided: 1 for minutes, 7 or more for half an hour.
    window : float, optional [day]
        The transit is computed so near to expected ones and taken to be over elsewhere; by default everywhere.
    level_scale : float
        Standard deviation of the prior, about 1, of the flux outside transit.
    jitter_scale : float, optional
        Scale of the half-normal prior of the noise beyond `sigma`; by default three times the median of `sigma`.
    mask : array of bool, shape (n,), optional
        False at points to leave out; needed for batches of light curves of unequal lengths.

    Raises
    ------
    ValueError
        If arrays differ in length, are empty or not finite, an error is not positive, a prior has no width, no point is
        within `window`, or an option is unknown.
    """
    time, exposure = in_unit(time, "d", "time"), in_unit(exposure, "d", "exposure")
    series = checked_series("light curve", time=time, flux=flux, sigma=sigma, exposure=exposure, mask=mask)
    periods, epoch = checked_pair("period", period, unit="d", is_positive=True), checked_pair("t0", t0, unit="d")
    median, spread = checked_pair("density", density, is_positive=True)
    relative = series["time"] - epoch[0]
    optional = {"mask": series.get("mask"), **_priors(variability, gp_sigma, gp_time, float(np.std(series["flux"])))}
    if window is not None:
        optional["near"] = near_transit(relative, periods[0], float(in_unit(window, "d", "window")))
    return Problem(
        program,
        time=relative,
        sigma=series["sigma"],
        period=periods,
        t0=np.array([0.0, epoch[1]]),
        log_density=np.array([np.log(median), spread]),
        level_scale=np.asarray(float(level_scale)),
        jitter_scale=np.asarray(3.0 * np.median(series["sigma"]) if jitter_scale is None else float(jitter_scale)),
        exposure=series["exposure"],
        variability=variability,
        eccentric=eccentric,
        num_samples=num_samples,
        **{name: value for name, value in optional.items() if value is not None},
        observed={"flux": series["flux"]},
    ).with_units(UNITS)


def _priors(
    variability: str | None, sigma: tuple[float, float] | None, timescale: tuple[float, float], spread: float
) -> dict[str, Any]:
    """Priors of the kernel, if there is one, by argument of the program."""
    if variability not in (None, "matern", "rotation"):
        raise ValueError(f'`variability` must be None, "matern" or "rotation", but {variability!r} came.')
    if variability is None:
        return {}
    # A light curve of one point has no spread; its process is then a part in a million wide, give or take 1.5 in the log.
    return {
        "gp_sigma": checked_pair("gp_sigma", sigma or (max(spread, 1e-6), 1.5)),
        "gp_time": checked_pair("gp_time", timescale, unit="d"),
    }
