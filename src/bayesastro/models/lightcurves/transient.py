"""A supernova in two bands by the six-parameter form, and a second maximum in r, with the prior of its class.

What a class looks like is the mean and covariance of fifteen numbers, the same for every object; see
:mod:`bayesastro.models.lightcurves.transient_population`, which learns them. The numbers are such that light curves
pin them down one by one: time and flux at the middle of the plateau rather than at the rise, and band g relative to r.

References
----------
Villar et al. 2019, ApJ 884, 83 (arXiv:1905.07422); Muthukrishna et al. 2022, MNRAS 517, 393 (arXiv:2111.00036): class
priors, and intrinsic scatter in proportion to the amplitude; de Soto et al. 2024, ApJ 974, 169 (arXiv:2403.07975): one
band relative to the other; Kasen 2006, ApJ 649, 939 (arXiv:astro-ph/0606449): second maxima.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import ArrayLike

from bayesastro.datasets.alerts import AlertLightCurve
from bayesastro.models.lightcurves.censored_normal import CensoredNormal
from bayesastro.problem import Problem
from bayesastro.simulators.lightcurves.transients import supernova

__all__ = ["BROAD", "SHAPE", "ClassPrior", "LightCurve", "build", "checked", "expected", "flux_law", "program", "stack"]

_BAND = ("log_flux", "log_plateau", "logit_slope", "log_rise", "log_fall")

SHAPE = (
    "t_mid",
    *(f"{name}_r" for name in _BAND),
    *(f"{name}_g_r" for name in _BAND),
    "bump_r",
    "bump_delay_r",
    "log_scatter",
    "log_error_scale",
)
"""The fifteen: middle of the plateau in r [day]; in r logarithms of the flux there [µJy], of plateau, rise and fall [day],
and the slope's logit; for each of these how much more it is in g; a bump in r, its height in units of that flux, negative for a
dip, and its time since the middle [day]; the logarithm of the intrinsic scatter in units of that flux; and that of what the
errors are to be multiplied with. Type Ia dip in r before their second maximum. Alerts' errors are too large: of Sánchez-Sáez
et al.'s, pairs of one night and fainter than two limits differ by half of what they say."""

BUMP_WIDTH = 6.0
"""Standard deviation of the bump [day]."""

DETECTED_FROM, DETECTION_BLUR, LOST = 0.75, 0.18, 0.05
"""Flux of which half are detected, and the spread of the detection statistic about it, in units of the limiting flux; and
the part of detections that is lost whatever their flux.

Alerts need a matched filter's significance of five. Of the 784 alerts of Sánchez-Sáez et al.'s thirty supernovae, those
with a significance below 15 and an error below 0.3 limits (318) have five times flux over significance at 0.76 limits in
the median, and half the range from the 16th to the 84th percentile is 0.18. Of exposures between two detections of the
same band within four days, both above two limits, 6 of 123 of the Ia among them have no detection."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassPrior:
    """A normal law of the fifteen numbers of `SHAPE`.

    Parameters
    ----------
    mean : array, shape (15,)
    covariance : array, shape (15, 15)

    Raises
    ------
    ValueError
        If a shape is another, or the covariance is not positive definite.
    """

    mean: Float[np.ndarray, " k"]
    covariance: Float[np.ndarray, "k k"]

    def __post_init__(self) -> None:
        k = len(SHAPE)
        if np.shape(self.mean) != (k,) or np.shape(self.covariance) != (k, k):
            raise ValueError(
                f"`ClassPrior` needs a mean of shape ({k},) and a covariance of shape ({k}, {k}), but {np.shape(self.mean)} "
                f"and {np.shape(self.covariance)} came."
            )
        if not (np.linalg.eigvalsh(self.covariance) > 0).all():
            raise ValueError("The covariance of `ClassPrior` is not positive definite.")


def _broad() -> ClassPrior:
    red, red_sd = [4.5, np.log(25.0), -1.0, np.log(4.0), np.log(30.0)], [1.2, 0.8, 1.2, 0.8, 0.7]
    green, green_sd = [0.0, -0.1, 0.0, -0.1, -0.3], [0.5, 0.4, 1.0, 0.4, 0.4]
    mean = np.array([10.0, *red, *green, 0.0, 22.0, np.log(0.03), 0.0])
    spread = np.array([12.0, *red_sd, *green_sd, 0.15, 6.0, 0.8, 0.4])
    return ClassPrior(mean=mean, covariance=np.diag(spread**2))


BROAD = _broad()
"""Of any supernova, before a class is learnt: about the medians of de Soto et al. 2024 (arXiv:2403.07975, table 2), and wide."""


class LightCurve(NamedTuple):
    """Flux by the form, the standard deviation of the scatter about it [µJy], and the scale of the errors."""

    flux: Array
    scatter: Array
    error_scale: Array


def expected(
    shape: Float[Array, "*objects k"], time: Float[Array, "*objects n"], band: Int[Array, "*objects n"]
) -> LightCurve:
    """Flux in the bands at the times.

    Parameters
    ----------
    shape : array, shape (..., 15)
        The numbers of `SHAPE`.
    time : array, shape (..., n) [day]
    band : array of int, shape (..., n)
        0 for g, 1 for r.
    """
    t_mid, red, green = shape[..., :1], shape[..., 1:6], shape[..., 6:11]
    by_band = jnp.stack([red + green, red], axis=-2)
    log_flux, log_plateau, logit_slope, log_rise, log_fall = (
        jnp.take_along_axis(by_band[..., i], band, axis=-1) for i in range(5)
    )
    t0 = t_mid - 0.5 * jnp.exp(red[..., 1:2])
    slope, middle = jax.nn.sigmoid(logit_slope), jnp.exp(log_flux)
    amplitude = middle / (1.0 - 0.5 * slope)
    flux = supernova(time, amplitude, t0, jnp.exp(log_plateau), slope, jnp.exp(log_rise), jnp.exp(log_fall))
    height, delay, log_scatter, log_error_scale = jnp.split(shape[..., 11:], 4, axis=-1)
    bump = height * jnp.exp(-0.5 * jnp.square((time - t_mid - delay) / BUMP_WIDTH))
    flux += jnp.exp(red[..., :1]) * jnp.where(band == 1, bump, 0.0)
    return LightCurve(flux, middle * jnp.exp(log_scatter), jnp.exp(log_error_scale))


def flux_law(
    shape: Float[Array, "*objects k"],
    time: Float[Array, "*objects n"],
    band: Int[Array, "*objects n"],
    sigma: Float[Array, "*objects n"],
    limit: Float[Array, "*objects n"],
) -> CensoredNormal:
    """What an image gives: a flux, or 0 where nothing is detected.

    Parameters
    ----------
    shape, time, band
        As for :func:`expected`.
    sigma, limit : arrays, shape (..., n) [µJy]
        Error, and limiting flux of five standard deviations of the background.
    """
    flux, scatter, error_scale = expected(shape, time, band)
    sd = jnp.hypot(error_scale * sigma, scatter)
    return CensoredNormal(flux, sd, DETECTED_FROM * limit, DETECTION_BLUR * limit, LOST)


def program(
    time: Float[Array, " n"],
    band: Int[Array, " n"],
    sigma: Float[Array, " n"],
    limit: Float[Array, " n"],
    is_real: Bool[Array, " n"],
    mean: Float[Array, " k"],
    tril: Float[Array, "k k"],
) -> None:
    """Fluxes of one supernova, 0 where it is not detected.

    Parameters
    ----------
    time : array, shape (n,) [day]
        Since the first detection.
    band : array of int, shape (n,)
    sigma, limit : arrays, shape (n,) [µJy]
    is_real : array of bool, shape (n,)
        False at padding.
    mean : array, shape (15,)
    tril : array, shape (15, 15)
        Cholesky factor of the class's covariance, lower triangle.
    """
    shape = jnp.asarray(numpyro.sample("shape", dist.MultivariateNormal(mean, scale_tril=tril)))
    with numpyro.plate("alert", time.shape[0]):
        numpyro.sample("flux", flux_law(shape, time, band, sigma, limit).mask(is_real))


def build(curve: AlertLightCurve, prior: ClassPrior = BROAD) -> Problem:
    """The program with a light curve.

    Parameters
    ----------
    curve : AlertLightCurve
    prior : ClassPrior
        By default that of any supernova.

    Raises
    ------
    ValueError
        If nothing was detected, or an array is not as it should be.
    """
    columns = {name: column[0] for name, column in stack([curve]).items()}
    flux = columns.pop("flux")
    mean, tril = np.asarray(prior.mean, float), np.linalg.cholesky(prior.covariance)
    units = {"time": "d", "sigma": "uJy", "limit": "uJy", "flux": "uJy"}
    return Problem(program, **columns, mean=mean, tril=tril, observed={"flux": flux}, units=units)


def stack(curves: Sequence[AlertLightCurve], length: int | None = None) -> dict[str, np.ndarray]:
    """Columns of several light curves as :func:`checked` has them, padded; and ``is_real``.

    Parameters
    ----------
    curves : sequence of AlertLightCurve
    length : int, optional
        At least that of the longest, which is the default.

    Returns
    -------
    dict of str to array, shape (curve, n)
    """
    rows = [checked(curve) for curve in curves]
    sizes = np.array([len(row["time"]) for row in rows])
    length = int(sizes.max()) if length is None else length
    padded = {
        name: np.stack([np.pad(row[name], (0, length - len(row[name])), mode="edge") for row in rows])
        for name in rows[0]
    }
    return padded | {"is_real": np.arange(length) < sizes[:, None]}


def checked(curve: AlertLightCurve) -> dict[str, np.ndarray]:
    """Times since the first detection, bands, fluxes, errors and limits, in order of time.

    The flux is 0 where nothing was detected, and where the source is fainter than on the reference image: the program's
    detections are of positive fluxes.

    Raises
    ------
    ValueError
        If nothing was detected, an array has another length or is not finite, an error or limit is not positive, or a
        band is unknown.
    """
    time = np.asarray(curve.time, float)
    is_seen = np.asarray(curve.is_detection, bool) & ~(np.asarray(curve.flux) <= 0)
    if not np.any(is_seen):
        raise ValueError(f"`{curve.name}` has no detection, from the first of which times count. Leave it out.")
    order = np.argsort(time, kind="stable")
    columns: dict[str, ArrayLike] = {
        "time": time,
        "band": curve.band,
        "flux": curve.flux,
        "sigma": curve.sigma,
        "limit": curve.limit,
    }
    for name, column in columns.items():
        if np.shape(column) != time.shape or not np.isfinite(column).all():
            raise ValueError(f"`{name}` of `{curve.name}` must hold {time.size} finite numbers, one for each time.")
        if name in ("sigma", "limit") and not (np.asarray(column) > 0).all():
            raise ValueError(f"`{name}` of `{curve.name}` has values that are not above 0. Remove these points.")
    if not np.isin(curve.band, (0, 1)).all():
        raise ValueError(f"`band` of `{curve.name}` must hold 0 for g or 1 for r.")
    columns |= {"time": time - time[is_seen].min(), "flux": np.where(is_seen, curve.flux, 0.0)}
    return {name: np.asarray(column)[order] for name, column in columns.items()}
