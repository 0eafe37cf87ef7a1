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
from bayesastro.models.lightcurves.transient import BROAD, SHAPE, ClassPrior, checked, expected
from bayesastro.problem import Problem

__all__ = ["build", "learnt", "program"]


def program(
    time: Float[Array, "s n"],
    band: Int[Array, "s n"],
    sigma: Float[Array, "s n"],
    is_real: Bool[Array, "s n"],
    centre: Float[Array, " k"],
    width: Float[Array, " k"],
) -> None:
    """Fluxes of several supernovae of a class.

    Parameters
    ----------
    time : array, shape (s, n) [day]
        Since the first detection of each.
    band : array of int, shape (s, n)
    sigma : array, shape (s, n) [µJy]
    is_real : array of bool, shape (s, n)
        False at padding.
    centre, width : arrays, shape (12,)
        Prior of the class's mean; `width` is the scale of the half-normal prior of its standard deviations too.
    """
    k = centre.shape[0]
    mean = jnp.asarray(numpyro.sample("mean", dist.Normal(centre, width).to_event(1)))
    sd = jnp.asarray(numpyro.sample("sd", dist.HalfNormal(width).to_event(1)))
    correlation = jnp.asarray(numpyro.sample("correlation", dist.LKJCholesky(k, concentration=2.0)))
    with numpyro.plate("supernova", time.shape[0]):
        z = jnp.asarray(numpyro.sample("z", dist.Normal(0.0, 1.0).expand([k]).to_event(1)))
        shape = jnp.asarray(numpyro.deterministic("shape", mean + z @ (sd[:, None] * correlation).T))
        flux, scatter = expected(shape, time, band)
        law = dist.Normal(flux, jnp.hypot(sigma, scatter)).mask(is_real)
        numpyro.sample("flux", law.to_event(1))


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
    rows = [checked(curve) for curve in curves]
    longest = max(len(row["time"]) for row in rows)
    padded = {
        name: np.stack([np.pad(row[name], (0, longest - len(row[name])), mode="edge") for row in rows])
        for name in rows[0]
    }
    is_real = np.arange(longest) < np.array([len(row["time"]) for row in rows])[:, None]
    width = np.sqrt(np.diag(prior.covariance))
    arrays = padded["time"], padded["band"], padded["sigma"], is_real, np.asarray(prior.mean, float), width
    return Problem(program, *arrays, observed={"flux": padded["flux"]})


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
