"""What supernovae of one class look like: the mean and covariance of their light curves' twelve numbers, from a sample.

References
----------
Muthukrishna et al. 2022, MNRAS 517, 393 (arXiv:2111.00036), section 3 (class priors); the numbers are those of
:mod:`bayesastro.models.lightcurves.transient`.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import xarray as xr
from jaxtyping import Array, Bool, Float, Int

from bayesastro.datasets.alerts import AlertLightCurve
from bayesastro.models.lightcurves.transient import BROAD, SHAPE, ClassPrior, flux_law, stack
from bayesastro.problem import Problem

__all__ = ["build", "learnt", "program"]

TYPICAL_SPREAD = 0.4
"""Of a class, in units of what any supernova may be."""


def program(
    time: Float[Array, "s n"],
    band: Int[Array, "s n"],
    sigma: Float[Array, "s n"],
    limit: Float[Array, "s n"],
    is_real: Bool[Array, "s n"],
    centre: Float[Array, " k"],
    width: Float[Array, " k"],
) -> None:
    """Fluxes of several supernovae of a class, 0 where they are not detected.

    The class's standard deviations are log-normal about 0.4 widths: no class is of one mould, and without the neck of a
    funnel the numbers of each supernova can be latents themselves, which light curves of many points need.

    Parameters
    ----------
    time : array, shape (s, n) [day]
        Since the first detection of each.
    band : array of int, shape (s, n)
    sigma, limit : arrays, shape (s, n) [µJy]
    is_real : array of bool, shape (s, n)
        False at padding.
    centre, width : arrays, shape (12,)
        Prior of the class's mean.
    """
    k = centre.shape[0]
    mean = jnp.asarray(numpyro.sample("mean", dist.Normal(centre, width).to_event(1)))
    sd = jnp.asarray(numpyro.sample("sd", dist.LogNormal(jnp.log(TYPICAL_SPREAD * width), 0.5).to_event(1)))
    correlation = jnp.asarray(numpyro.sample("correlation", dist.LKJCholesky(k, concentration=2.0)))
    with numpyro.plate("supernova", time.shape[0]):
        law = dist.MultivariateNormal(mean, scale_tril=sd[:, None] * correlation)
        shape = jnp.asarray(numpyro.sample("shape", law))
        numpyro.sample("flux", flux_law(shape, time, band, sigma, limit).mask(is_real).to_event(1))


def build(curves: Sequence[AlertLightCurve], prior: ClassPrior = BROAD) -> Problem:
    """The program with a sample of light curves, padded to the longest.

    Parameters
    ----------
    curves : sequence of AlertLightCurve
    prior : ClassPrior
        Its mean and standard deviations say what is known of the class.

    Raises
    ------
    ValueError
        If there are fewer than two, or one of them is not as it should be.
    """
    if len(curves) < 2:
        raise ValueError(f"A class is learnt from at least two light curves, but {len(curves)} came.")
    columns = stack(curves)
    arrays = [columns[name] for name in ("time", "band", "sigma", "limit", "is_real")]
    width = np.sqrt(np.diag(prior.covariance))
    return Problem(program, *arrays, np.asarray(prior.mean, float), width, observed={"flux": columns["flux"]})


def learnt(result: xr.DataTree) -> ClassPrior:
    """The law of one more supernova of the class: its mean and covariance over the posterior.

    Parameters
    ----------
    result : DataTree
        Of a fit of this program.
    """
    posterior = result["posterior"].to_dataset().stack(sample=("chain", "draw"))
    mean = posterior["mean"].transpose("sample", ...).to_numpy()
    sd = posterior["sd"].transpose("sample", ...).to_numpy()
    factor = sd[:, :, None] * posterior["correlation"].transpose("sample", ...).to_numpy()
    within = np.einsum("sij,skj->ik", factor, factor) / len(factor)
    return ClassPrior(mean=mean.mean(0), covariance=within + np.cov(mean.T).reshape(len(SHAPE), len(SHAPE)))
