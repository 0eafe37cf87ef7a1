"""Fluxes of catalogued sources from confused maps of several bands at once: XID+ with flat priors.

The confusion noise, of sources too faint for the catalogue, is white here as it is in the published program. That program's
text in NumPyro reads ``HalfCauchy(1, 0.5)``, whose second argument only switches validation on; the scale of 0.5 mJy/beam,
which it means, is the default here.

References
----------
Hurley et al. (2017), MNRAS 464, 885 (XID+); H-E-L-P/XID_plus, ``numpyro_fit/SPIRE.py`` (the program).
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float

from bayesastro.datasets.confused_maps import ConfusedMap
from bayesastro.problem import Problem
from bayesastro.simulators.spectra.pointing import pointing_matrix
from bayesastro.simulators.spectra.response import DenseMatrix, SparseMatrix

__all__ = ["Band", "FluxPrior", "bands_of", "build", "observe_maps", "program", "units_of"]

FluxPrior = Literal["uniform", "log_uniform"]


class Band(NamedTuple):
    """One map without its brightness: pointing matrix, noise [mJy/beam], and mean and sd of the background's prior."""

    pointing: DenseMatrix | SparseMatrix
    noise: Float[Array | np.ndarray, " p"]
    background: Float[Array | np.ndarray, " 2"]


def program(
    bands: tuple[Band, ...],
    lower: Float[Array, "b s"],
    upper: Float[Array, "b s"],
    *,
    names: tuple[str, ...],
    flux_prior: FluxPrior,
    confusion_scale: float | None,
) -> None:
    """Maps of point sources with independent fluxes.

    Parameters
    ----------
    bands : tuple of Band
    lower, upper : arrays, shape (b, s) [mJy]
        Bounds of the fluxes.
    names : tuple of str
        Of the bands.
    flux_prior : {"uniform", "log_uniform"}
    confusion_scale : float, optional [mJy/beam]
        See :func:`observe_maps`.
    """
    law = dist.Uniform if flux_prior == "uniform" else dist.LogUniform
    flux = jnp.asarray(numpyro.sample("flux", law(lower, upper).to_event(2)))
    observe_maps(flux, bands, names, confusion_scale)


def observe_maps(
    flux: Float[Array, "b s"], bands: tuple[Band, ...], names: tuple[str, ...], confusion_scale: float | None
) -> None:
    """Sample backgrounds, confusion noises and pixels: the sites ``background``, ``confusion`` and ``map_{name}``.

    Parameters
    ----------
    flux : array, shape (b, s) [mJy]
    bands : tuple of Band
    names : tuple of str
    confusion_scale : float, optional [mJy/beam]
        Of the half-Cauchy prior of each band's confusion noise, which adds to the instrument's in squares; without it
        there is none.
    """
    mean, spread = jnp.stack([jnp.asarray(band.background) for band in bands]).T
    background = jnp.asarray(numpyro.sample("background", dist.Normal(mean, spread).to_event(1)))
    confusion = jnp.zeros(len(bands))
    if confusion_scale is not None:
        law = dist.HalfCauchy(confusion_scale).expand([len(bands)]).to_event(1)
        confusion = jnp.asarray(numpyro.sample("confusion", law))
    for i, (name, band) in enumerate(zip(names, bands, strict=True)):
        noise = jnp.sqrt(jnp.square(band.noise) + jnp.square(confusion[i]))
        numpyro.sample(f"map_{name}", dist.Normal(band.pointing(flux[i]) + background[i], noise))


def build(
    maps: Mapping[str, ConfusedMap],
    *,
    flux_prior: FluxPrior = "uniform",
    faintest: float = 0.01,
    confusion_scale: float | None = 0.5,
) -> Problem:
    """The program with maps.

    Parameters
    ----------
    maps : mapping of str to ConfusedMap
        By the names of the bands, with the same sources in the same order. The brightness of a band is the observed site
        ``map_{name}``; fluxes are the site ``flux``, shape (band, source).
    flux_prior : {"uniform", "log_uniform"}
        Between the maps' bounds.
    faintest : float [mJy]
        With "log_uniform", the lower bound where the map's is below it.
    confusion_scale : float, optional [mJy/beam]
        See :func:`observe_maps`.

    Raises
    ------
    ValueError
        If there is no map, bands have different sources, pixels or noise are not finite, noise is not positive, bounds of
        fluxes are negative or not in order, a place of a pointing matrix lies outside its map, or a setting is not known or positive.
    """
    if flux_prior not in ("uniform", "log_uniform"):
        raise ValueError(f'`flux_prior` must be "uniform" or "log_uniform", but {flux_prior!r} came.')
    if not faintest > 0:
        raise ValueError(f"`faintest` must be a positive flux in mJy, but {faintest!r} came.")
    bands = bands_of(maps, confusion_scale)
    lower, upper = (np.stack([getattr(m, f"flux_{end}") for m in maps.values()]) for end in ("lower", "upper"))
    if flux_prior == "log_uniform":
        lower = np.maximum(lower, faintest)
    if not (np.isfinite(upper).all() and (lower >= 0).all() and (upper > lower).all()):
        band, source = np.argwhere(~(np.isfinite(upper) & (lower >= 0) & (upper > lower)))[0]
        raise ValueError(
            "Bounds of fluxes must be finite, not negative, and the upper above the lower, but those of source "
            f"{source} in {list(maps)[band]} are {lower[band, source]:g} and {upper[band, source]:g} mJy."
        )
    return Problem(
        program,
        bands,
        lower,
        upper,
        names=tuple(maps),
        flux_prior=flux_prior,
        confusion_scale=None if confusion_scale is None else float(confusion_scale),
        observed={f"map_{name}": np.asarray(m.brightness, float) for name, m in maps.items()},
    ).with_units(units_of(maps))


def units_of(maps: Mapping[str, ConfusedMap]) -> dict[str, str]:
    """Of fluxes and brightnesses."""
    sites = ("background", "confusion", *(f"map_{name}" for name in maps))
    return {"flux": "mJy", **dict.fromkeys(sites, "mJy / beam")}


def bands_of(maps: Mapping[str, ConfusedMap], confusion_scale: float | None) -> tuple[Band, ...]:
    """The maps as arguments of a program, checked.

    Raises
    ------
    ValueError
        As of :func:`build`.
    """
    if not maps:
        raise ValueError("`maps` must hold at least one map, but is empty.")
    if not (confusion_scale is None or 0 < confusion_scale < np.inf):
        raise ValueError(
            f"`confusion_scale` must be positive, in mJy/beam, or None for no confusion, but {confusion_scale!r} came."
        )
    sizes = {name: len(m.source_x) for name, m in maps.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"All bands must have the same sources, but they have {sizes}. Cut one catalogue for all.")
    return tuple(_band(name, m) for name, m in maps.items())


def _band(name: str, one: ConfusedMap) -> Band:
    brightness, noise = np.asarray(one.brightness, float), np.asarray(one.noise, float)
    if brightness.shape != noise.shape or brightness.ndim != 1 or not brightness.size:
        raise ValueError(
            f"Brightness and noise of {name} must be of one length, a value for each pixel, but their shapes are "
            f"{brightness.shape} and {noise.shape}."
        )
    bad = ~(np.isfinite(brightness) & np.isfinite(noise) & (noise > 0))
    if bad.any():
        raise ValueError(
            f"Pixels need a finite brightness and a positive noise, but {bad.sum()} of {bad.size} of {name} do not, as "
            f"pixel {np.argmax(bad)} with {brightness[bad][0]:g} ± {noise[bad][0]:g} mJy/beam. Leave them out, and their rows of the "
            "pointing matrix."
        )
    for end in ("lower", "upper"):
        if getattr(one, f"flux_{end}").shape != one.source_x.shape:
            raise ValueError(
                f"`flux_{end}` of {name} must hold a bound for each of {one.source_x.size} sources, but has the shape "
                f"{getattr(one, f'flux_{end}').shape}."
            )
    if not one.background[1] > 0:
        raise ValueError(
            f"The background's standard deviation must be positive, but that of {name} is {one.background[1]!r}."
        )
    pointing = pointing_matrix(one.beam, one.pixel, one.source, noise.size, one.source_x.size)
    return Band(pointing, noise, np.asarray(one.background, float))
