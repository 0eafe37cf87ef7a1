"""Backgrounds of X-ray spectra: a rate for each group of channels, sampled or integrated out, or a smooth one.

References
----------
Loredo (1992), in Statistical Challenges in Modern Astronomy, 275 (background with a prior instead of subtracted).
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float
from scipy import stats

from bayesastro.datasets.xray_spectra import XraySpectrum
from bayesastro.models.spectra.counted_background import CountsOnBackground, Terms, terms_up_to

__all__ = [
    "Background",
    "BackgroundKind",
    "background_level",
    "background_of",
    "checked_kind",
    "observe",
    "observed_counts",
]

BackgroundKind = Literal["none", "marginal", "latent", "smooth"]

KNOTS, LENGTH = 12, 0.7
"""Of a smooth background: number of knots in log energy, and correlation length there."""

NEGLIGIBLE = 1e-10
"""Probability that a background has more counts than the sum over them goes to."""


class Background(NamedTuple):
    """What is known beforehand of a background, for each group of channels.

    Parameters
    ----------
    scale : array, shape (g,)
        Background expected in the source region per background expected in the background region.
    level : array, shape (g,)
        Counts expected in the background region before it is looked at, but for its total.
    design : array, shape (g, k)
        From standard normals to logarithms, of a smooth background.
    terms : Terms
        Of the sums over background counts, where rates are integrated out.
    """

    scale: Float[Array | np.ndarray, " g"]
    level: Float[Array | np.ndarray, " g"]
    design: Float[Array | np.ndarray, "g k"]
    terms: Terms


def background_of(spectrum: XraySpectrum, kind: BackgroundKind, shape: float) -> Background:
    """What a kind of background needs of a spectrum.

    Parameters
    ----------
    spectrum : XraySpectrum
        With a background, unless the kind is "none".
    kind, shape
        As for :func:`observe`.
    """
    size = spectrum.counts.size
    scale, level, design, terms = np.ones(size), np.ones(size), np.zeros((size, 0)), terms_up_to(np.zeros(size, int))
    if kind != "none" and spectrum.background_counts is not None and spectrum.background_scale is not None:
        scale, level = np.asarray(spectrum.background_scale, float), background_level(spectrum)
        if kind == "marginal":
            terms = terms_up_to(_largest(scale, level, spectrum.background_counts, shape))
    if kind == "smooth":
        design = _smooth(0.5 * (spectrum.e_min + spectrum.e_max))
    return Background(scale, level, design, terms)


def checked_kind(
    spectra: Mapping[str, XraySpectrum], kind: BackgroundKind | None, default: BackgroundKind
) -> BackgroundKind:
    """The kind of background of some spectra: that asked for, else the default where all have one, else "none".

    Raises
    ------
    ValueError
        If there is no such kind, or a spectrum has no background and one is asked for.
    """
    if kind is None:
        return default if all(s.background_counts is not None for s in spectra.values()) else "none"
    kinds = get_args(BackgroundKind)
    if kind not in kinds:
        raise ValueError(f"`background` must be one of {list(kinds)}, but {kind!r} came.")
    without = [s.name for s in spectra.values() if s.background_counts is None]
    if kind != "none" and without:
        raise ValueError(f'`background={kind!r}` needs a background, but {without} have none. Use "none".')
    return kind


def observed_counts(spectra: Mapping[str, XraySpectrum], kind: BackgroundKind) -> dict[str, np.ndarray]:
    """What the sites of :func:`observe` saw, by their names; the keys of `spectra` are what these begin with."""
    observed = {f"{prefix}counts": s.counts for prefix, s in spectra.items()}
    if kind != "none":
        observed |= {f"{prefix}background_counts": np.asarray(s.background_counts) for prefix, s in spectra.items()}
    return observed


def background_level(spectrum: XraySpectrum) -> Float[np.ndarray, " g"]:
    """Counts that the prior expects in the background region: those counted there, spread evenly over energy.

    Raises
    ------
    ValueError
        If the spectrum has no background.
    """
    if spectrum.background_counts is None:
        raise ValueError(f"`{spectrum.name}` has no background. Read it with one.")
    width = spectrum.e_max - spectrum.e_min
    return width * max(spectrum.background_counts.sum(), 1) / width.sum()


def observe(
    expected: Float[Array, " g"],
    background: Background,
    *,
    kind: BackgroundKind,
    shape: float = 1.0,
    prefix: str = "",
) -> None:
    """The observed sites ``counts`` and ``background_counts`` of one detector.

    Parameters
    ----------
    expected : array, shape (g,)
        Counts of the source.
    background : Background
    kind : {"none", "marginal", "latent", "smooth"}
        No background; a rate for each group, with a Gamma prior, integrated out or sampled; or one whose logarithm is a
        smooth function of log energy, a Gaussian process of sampled spread.
    shape : float
        Of the Gamma prior: 1 for an exponential one.
    prefix : str
        Of the names of sites.
    """
    scale, level, design, terms = background
    with numpyro.plate(f"{prefix}group", expected.shape[0]):
        if kind == "none":
            numpyro.sample(f"{prefix}counts", dist.Poisson(expected))
            return
        if kind == "marginal":
            prior_rate = shape / jnp.asarray(level)
            elsewhere = jnp.asarray(numpyro.sample(f"{prefix}background_counts", dist.GammaPoisson(shape, prior_rate)))
            law = CountsOnBackground(expected, shape + elsewhere, (prior_rate + 1.0) / scale, terms)
            numpyro.sample(f"{prefix}counts", law)
            return
        if kind == "latent":
            rate = numpyro.sample(f"{prefix}background", dist.Gamma(shape, shape / jnp.asarray(level)))
    if kind == "smooth":
        offset = numpyro.sample(f"{prefix}background_offset", dist.Normal(0.0, 1.0))
        spread = numpyro.sample(f"{prefix}background_spread", dist.HalfNormal(1.0))
        with numpyro.plate(f"{prefix}knot", design.shape[1]):
            knots = numpyro.sample(f"{prefix}background_knots", dist.Normal(0.0, 1.0))
        rate = level * jnp.exp(offset + spread * (jnp.asarray(design) @ jnp.asarray(knots)))
    with numpyro.plate(f"{prefix}group", expected.shape[0]):
        numpyro.sample(f"{prefix}background_counts", dist.Poisson(rate))
        numpyro.sample(f"{prefix}counts", dist.Poisson(expected + scale * rate))


def _smooth(energy: np.ndarray) -> np.ndarray:
    """From knots of independent standard normals to a Matérn-3/2 process of unit variance in log energy."""
    x = np.log(energy)
    knots = np.linspace(x.min(), x.max(), KNOTS)

    def covariance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        r = np.sqrt(3.0) * np.abs(a[:, None] - b) / LENGTH
        return (1.0 + r) * np.exp(-r)

    tril = np.linalg.cholesky(covariance(knots, knots) + 1e-9 * np.eye(KNOTS))
    return np.linalg.solve(tril, covariance(knots, x)).T


def _largest(scale: np.ndarray, level: np.ndarray, counts: np.ndarray, shape: float) -> np.ndarray:
    """Counts that neither the background observed nor one of the prior exceeds in the source region."""
    prior_rate = shape / level
    prior = stats.nbinom.isf(NEGLIGIBLE, shape, prior_rate / (prior_rate + scale))
    rate = (prior_rate + 1.0) / scale
    seen = stats.nbinom.isf(NEGLIGIBLE, shape + counts, rate / (rate + 1.0))
    return np.maximum(prior, seen).astype(int)
