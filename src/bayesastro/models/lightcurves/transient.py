"""A supernova in two bands by the six-parameter form, with the prior of its class.

What a class looks like is the mean and covariance of twelve numbers, the same for every object; see
:mod:`bayesastro.models.lightcurves.transient_population`, which learns them.

References
----------
Villar et al. 2019, ApJ 884, 83 (arXiv:1905.07422); Muthukrishna et al. 2022, MNRAS 517, 393 (arXiv:2111.00036): class
priors, and intrinsic scatter in proportion to the amplitude.
"""

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
from bayesastro.problem import Problem
from bayesastro.simulators.lightcurves.transients import supernova

__all__ = ["BROAD", "SHAPE", "ClassPrior", "LightCurve", "build", "expected", "program"]

SHAPE = (
    "t0",
    *(
        f"{name}_{band}"
        for band in "gr"
        for name in ("log_amplitude", "log_plateau", "logit_slope", "log_rise", "log_fall")
    ),
    "log_scatter",
)
"""The twelve: time of the rise [day]; in each band logarithms of amplitude [µJy], plateau, rise and fall [day], and the
slope's logit; and the logarithm of the intrinsic scatter in units of the amplitude."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassPrior:
    """A normal law of the twelve numbers of `SHAPE`.

    Parameters
    ----------
    mean : array, shape (12,)
    covariance : array, shape (12, 12)

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
    band = [4.5, np.log(25.0), -0.5, np.log(4.0), np.log(30.0)]
    sd = [1.2, 0.8, 1.5, 0.8, 0.7]
    mean, spread = np.array([0.0, *band, *band, np.log(0.03)]), np.array([8.0, *sd, *sd, 0.8])
    return ClassPrior(mean=mean, covariance=np.diag(spread**2))


BROAD = _broad()
"""Of any supernova, before a class is learnt: about the medians of de Soto et al. 2024 (arXiv:2403.07975, table 2), and wide."""


class LightCurve(NamedTuple):
    """Flux by the form, and the standard deviation of the scatter about it [µJy]."""

    flux: Array
    scatter: Array


def expected(
    shape: Float[Array, "*objects k"], time: Float[Array, "*objects n"], band: Int[Array, "*objects n"]
) -> LightCurve:
    """Flux in the bands at the times.

    Parameters
    ----------
    shape : array, shape (..., 12)
        The numbers of `SHAPE`.
    time : array, shape (..., n) [day]
    band : array of int, shape (..., n)
        0 for g, 1 for r.
    """
    t0, log_scatter = shape[..., :1], shape[..., -1:]
    by_band = shape[..., 1:-1].reshape(*shape.shape[:-1], 2, 5)
    log_amplitude, log_plateau, logit_slope, log_rise, log_fall = (
        jnp.take_along_axis(by_band[..., i], band, axis=-1) for i in range(5)
    )
    amplitude = jnp.exp(log_amplitude)
    flux = supernova(
        time, amplitude, t0, jnp.exp(log_plateau), jax.nn.sigmoid(logit_slope), jnp.exp(log_rise), jnp.exp(log_fall)
    )
    return LightCurve(flux, amplitude * jnp.exp(log_scatter))


def program(
    time: Float[Array, " n"],
    band: Int[Array, " n"],
    sigma: Float[Array, " n"],
    is_real: Bool[Array, " n"],
    mean: Float[Array, " k"],
    tril: Float[Array, "k k"],
) -> None:
    """Fluxes of one supernova.

    Parameters
    ----------
    time : array, shape (n,) [day]
        Since the first detection.
    band : array of int, shape (n,)
    sigma : array, shape (n,) [µJy]
    is_real : array of bool, shape (n,)
        False at padding.
    mean : array, shape (12,)
    tril : array, shape (12, 12)
        Cholesky factor of the class's covariance, lower triangle.
    """
    shape = jnp.asarray(numpyro.sample("shape", dist.MultivariateNormal(mean, scale_tril=tril)))
    flux, scatter = expected(shape, time, band)
    with numpyro.plate("alert", time.shape[0]):
        numpyro.sample("flux", dist.Normal(flux, jnp.hypot(sigma, scatter)).mask(is_real))


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
    columns = checked(curve)
    return Problem(
        program,
        columns["time"],
        columns["band"],
        columns["sigma"],
        np.ones(len(columns["time"]), bool),
        np.asarray(prior.mean, float),
        np.linalg.cholesky(prior.covariance),
        observed={"flux": columns["flux"]},
    )


def checked(curve: AlertLightCurve) -> dict[str, np.ndarray]:
    """Times since the first detection, bands, fluxes and errors, in order of time.

    Raises
    ------
    ValueError
        If nothing was detected, an array has another length or is not finite, an error is not positive, or a band is
        unknown.
    """
    time = np.asarray(curve.time, float)
    if not np.any(curve.is_detection):
        raise ValueError(f"`{curve.name}` has no detection, from the first of which times count. Leave it out.")
    order = np.argsort(time, kind="stable")
    columns: dict[str, ArrayLike] = {"time": time, "band": curve.band, "flux": curve.flux, "sigma": curve.sigma}
    for name, column in columns.items():
        if np.shape(column) != time.shape or not np.isfinite(column).all():
            raise ValueError(f"`{name}` of `{curve.name}` must hold {time.size} finite numbers, one for each time.")
    if not (np.asarray(curve.sigma) > 0).all():
        raise ValueError(f"`sigma` of `{curve.name}` has values that are not above 0. Remove these points.")
    if not np.isin(curve.band, (0, 1)).all():
        raise ValueError(f"`band` of `{curve.name}` must hold 0 for g or 1 for r.")
    first = time[np.asarray(curve.is_detection)].min()
    found = {name: np.asarray(column)[order] for name, column in columns.items()}
    return found | {"time": found["time"] - first}
