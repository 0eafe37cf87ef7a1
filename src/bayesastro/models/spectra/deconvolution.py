"""The spectrum that a detector saw, without a formula for it: a positive smooth function of energy, and Poisson counts.

The logarithm of the photon spectrum is an integrated Wiener process in log energy: a power law that bends. What the
detector cannot tell apart stays uncertain by the prior, which is explicit. GeoVI's intervals are a little narrow: of 95 % they
hold 92 % where the roughness is known, 90 % where it is sampled (spectra of some thousand counts, drawn from the prior).

References
----------
Enßlin, Frommert & Kitaura (2009), PRD 80, 105005 (lognormal fields and Poisson counts);
Frank, Leike & Enßlin (2021), Entropy 23, 853 (geoVI).
"""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float

from bayesastro.datasets.xray_spectra import XraySpectrum
from bayesastro.models.spectra.xray_background import (
    Background,
    BackgroundKind,
    background_of,
    checked_kind,
    observe,
    observed_counts,
)
from bayesastro.problem import Problem
from bayesastro.simulators.fields.processes import integrated_wiener_process
from bayesastro.simulators.spectra.response import Response, response_of

__all__ = ["build", "node_energies", "program"]


def program(
    nodes: Float[Array, " k"],
    level: Float[Array, ""],
    response: Response,
    background: Background,
    *,
    roughness: float | None,
    background_kind: BackgroundKind,
    background_shape: float,
) -> None:
    """Counts in groups of channels, and of a background region.

    Parameters
    ----------
    nodes : array, shape (k,)
        Logarithms of energies [keV], evenly spaced: the spectrum is a power law between two of them.
    level : scalar
        Logarithm of a typical spectrum [photons cm⁻² s⁻¹ keV⁻¹] at the first node.
    response : Response
    roughness : float, optional
        Change of slope over a unit of log energy, one standard deviation; sampled where none is given.
    background, background_kind, background_shape
        See :func:`bayesastro.models.spectra.xray_background.observe`.
    """
    offset = numpyro.sample("offset", dist.Normal(0.0, 2.0))
    slope = numpyro.sample("slope", dist.Normal(-1.0, 1.5))
    sigma = numpyro.sample("roughness", dist.LogNormal(0.0, 0.7)) if roughness is None else roughness
    xi = numpyro.sample("excitations", dist.Normal(0.0, 1.0).expand([nodes.shape[0] - 1, 2]).to_event(2))
    log_spectrum = integrated_wiener_process(xi, jnp.diff(nodes), sigma, start=(level + offset, slope))[:, 0]
    numpyro.deterministic("spectrum", jnp.exp(log_spectrum))
    log_edges = jnp.log(jnp.asarray(response.edges))
    middle, width = 0.5 * (log_edges[1:] + log_edges[:-1]), jnp.diff(log_edges)
    photons = width * jnp.exp(jnp.interp(middle, nodes, log_spectrum) + middle)
    observe(response(photons), background, kind=background_kind, shape=background_shape)


def node_energies(problem: Problem) -> Float[np.ndarray, " k"]:
    """Energies [keV] that the site ``spectrum`` of a problem from `build` is at."""
    return np.exp(problem.covariates["nodes"])


def build(
    spectrum: XraySpectrum,
    *,
    num_nodes: int = 64,
    roughness: float | None = None,
    background: BackgroundKind | None = None,
    background_shape: float = 1.0,
) -> Problem:
    """The program with a spectrum.

    The prior of the level is empirical in one number: the counts per effective area, exposure and width of the range.

    Parameters
    ----------
    spectrum : XraySpectrum
    num_nodes : int
        Of the smooth function, evenly spaced in log energy over the response.
    roughness : float, optional
        See :func:`program`; by default sampled.
    background : {"none", "marginal", "latent", "smooth"}, optional
        See :func:`bayesastro.models.spectra.xray_background.observe`. By default "latent" where there is a background:
        the metric that `GeoVI` needs is not known of "marginal".
    background_shape : float
        Of the Gamma prior of background rates.

    Raises
    ------
    ValueError
        If there are fewer than three nodes, the roughness is not positive, or the kind of background is unknown or one that the
        spectrum does not have.
    """
    if num_nodes < 3 or not (roughness is None or roughness > 0):
        raise ValueError(
            f"`num_nodes` must be at least 3 and `roughness` positive, but {num_nodes} and {roughness} came."
        )
    kind = checked_kind({"": spectrum}, background, "latent")
    edges = spectrum.edges
    sensitivity = spectrum.exposure * (spectrum.matrix @ np.diff(edges)).sum()
    return Problem(
        program,
        np.linspace(np.log(edges[0]), np.log(edges[-1]), num_nodes),
        np.log(max(spectrum.counts.sum(), 1) / sensitivity) - np.log(edges[0]),
        response_of(edges, spectrum.matrix, spectrum.exposure),
        background_of(spectrum, kind, background_shape),
        roughness=None if roughness is None else float(roughness),
        background_kind=kind,
        background_shape=float(background_shape),
        observed=observed_counts({"": spectrum}, kind),
    )
