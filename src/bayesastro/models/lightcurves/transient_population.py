"""What supernovae of one class look like: the mean and covariance of their light curves' fifteen numbers, from a sample.

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
from jax.scipy.linalg import solve_triangular
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
    middle: Float[Array, "s k"],
    tril: Float[Array, "s k k"],
    *,
    is_centred: bool,
) -> None:
    """Fluxes of several supernovae of a class, 0 where they are not detected.

    The class's standard deviations are log-normal about 0.4 widths: no class is of one mould, and a funnel has no neck.
    What is sampled of a supernova, ``z``, are its numbers relative to a place and in units of a scale, which change nothing but
    the coordinates: either those of `middle` and `tril`, which make latents about standard normal if they are those of the
    posterior of a light curve of many points; or those of the class, which do for a few points.

    Parameters
    ----------
    time : array, shape (s, n) [day]
        Since the first detection of each.
    band : array of int, shape (s, n)
    sigma, limit : arrays, shape (s, n) [µJy]
    is_real : array of bool, shape (s, n)
        False at padding.
    centre, width : arrays, shape (15,)
        Prior of the class's mean.
    middle : array, shape (s, 15)
    tril : array, shape (s, 15, 15)
        Lower triangles.
    is_centred : bool
        Whether latents are relative to `middle` and `tril`.
    """
    k = centre.shape[0]
    mean = jnp.asarray(numpyro.sample("mean", dist.Normal(centre, width).to_event(1)))
    sd = jnp.asarray(numpyro.sample("sd", dist.LogNormal(jnp.log(TYPICAL_SPREAD * width), 0.5).to_event(1)))
    correlation = jnp.asarray(numpyro.sample("correlation", dist.LKJCholesky(k, concentration=2.0)))
    factor = jnp.broadcast_to(sd[:, None] * correlation, tril.shape)
    if is_centred:
        offset = solve_triangular(tril, (mean - middle)[..., None], lower=True)[..., 0]
        law = dist.MultivariateNormal(offset, scale_tril=solve_triangular(tril, factor, lower=True))
    else:
        law, middle, tril = dist.Normal(0.0, 1.0).expand(middle.shape).to_event(1), mean, factor
    with numpyro.plate("supernova", time.shape[0]):
        z = jnp.asarray(numpyro.sample("z", law))
        shape = jnp.asarray(numpyro.deterministic("shape", middle + jnp.einsum("ikl,il->ik", tril, z)))
        numpyro.sample("flux", flux_law(shape, time, band, sigma, limit).mask(is_real).to_event(1))


def build(
    curves: Sequence[AlertLightCurve],
    prior: ClassPrior = BROAD,
    *,
    draws: Float[np.ndarray, "curve draw k"] | None = None,
) -> Problem:
    """The program with a sample of light curves, padded to the longest.

    Parameters
    ----------
    curves : sequence of AlertLightCurve
    prior : ClassPrior
        Its mean and standard deviations say what is known of the class.
    draws : array, shape (curve, draw, 15), optional
        Of the posterior of each light curve alone. Their means and covariances make the coordinates of the latents,
        which changes how long sampling takes and not what it finds; without, the class's do, as suits a few points.

    Raises
    ------
    ValueError
        If there are fewer than two, one of them is not as it should be, or `draws` are not of all.
    """
    if len(curves) < 2:
        raise ValueError(f"A class is learnt from at least two light curves, but {len(curves)} came.")
    columns, k, num = stack(curves), len(SHAPE), len(curves)
    arrays = [columns[name] for name in ("time", "band", "sigma", "limit", "is_real")]
    centre, width = np.asarray(prior.mean, float), np.sqrt(np.diag(prior.covariance))
    middle, tril = np.tile(centre, (num, 1)), np.tile(np.diag(width), (num, 1, 1))
    if draws is not None:
        if np.ndim(draws) != 3 or (len(draws), np.shape(draws)[2]) != (num, k) or np.shape(draws)[1] <= k:
            raise ValueError(
                f"`draws` must have the shape ({num}, draw, {k}) with more than {k} draws, but {np.shape(draws)} came."
            )
        middle = np.mean(draws, axis=1)
        tril = np.linalg.cholesky([np.cov(some.T) for some in np.asarray(draws)])
    observed = {"flux": columns["flux"]}
    return Problem(program, *arrays, centre, width, middle, tril, is_centred=draws is not None, observed=observed)


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
