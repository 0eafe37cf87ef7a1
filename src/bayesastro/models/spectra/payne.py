"""The networks of :mod:`bayesastro.datasets.payne` as emulators, and two stars' light in one spectrum.

References
----------
El-Badry et al. 2018, MNRAS 473, 5043 (arXiv:1709.03983), section 3 (the sum of two stars' spectra).
"""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from bayesastro.datasets.payne import NetworkWeights, PayneNetworks, StellarSpectra
from bayesastro.simulators.emulators import Domain, Perceptron, PixelNetworks
from bayesastro.simulators.spectra.continuum import ContinuumFit, continuum_fit
from bayesastro.simulators.spectra.spectrograph import Spectrograph, spectrograph_of

__all__ = [
    "COMPANION_LABELS",
    "LABELS",
    "Stars",
    "blended_spectra",
    "companion_of",
    "companion_range",
    "continuum_fits",
    "flux_network",
    "renormalised",
    "require_wavelengths",
    "spectrum_network",
    "stars_of",
]

LABELS = ("Teff", "logg", "Fe_H", "Mg_Fe", "v_macro")
"""T_eff [K], log g [cm s⁻²], [Fe/H], [Mg/Fe], macroturbulence [km/s]."""

COMPANION_LABELS = ("Teff", "logg", "Fe_H", "mass_ratio")

NUM_RATIOS = 128
"""Mass ratios at which companions are looked at to find the range that the networks know."""

WAVELENGTH_TOLERANCE = 2e-6
"""Relative: a seventh of a pixel."""

MARGIN = 1e-3
"""Of what the networks know of a companion, this part is left out on either side: the range is interpolated."""


class Stars(NamedTuple):
    """What makes the spectrum of two stars.

    Parameters
    ----------
    lines : PixelNetworks
        Labels to flux over continuum.
    continuum : PixelNetworks
        The first four labels to flux density per unit wavelength, in any unit, at the pixels of the continuum.
    companion : Perceptron
        T_eff, log g, [Fe/H] and mass ratio to T_eff [1000 K] and log g.
    radius : Perceptron
        T_eff, log g, [Fe/H] to the radius [solar].
    """

    lines: PixelNetworks
    continuum: PixelNetworks
    companion: Perceptron
    radius: Perceptron


def spectrum_network(networks: PayneNetworks) -> PixelNetworks:
    """Labels to flux over continuum."""
    return _pixels(networks.normalised, LABELS)


def flux_network(networks: PayneNetworks, at: Bool[np.ndarray, " n"]) -> PixelNetworks:
    """The first four labels to flux density per unit wavelength, in any unit, with all its lines, at some of the pixels."""
    # Per unit wavelength: what is per unit frequency, over the squared wavelength.
    scale = (np.median(networks.wavelength) / networks.wavelength[at]) ** 2
    (hidden, output), (hidden_offset, output_offset) = networks.unnormalised.weights, networks.unnormalised.offsets
    per_wavelength = replace(
        networks.unnormalised,
        weights=(hidden[at], output[at] * scale[:, None]),
        offsets=(hidden_offset[at], output_offset[at] * scale),
    )
    return _pixels(per_wavelength, LABELS[:4])


def stars_of(networks: PayneNetworks) -> Stars:
    """All four networks."""
    return Stars(
        spectrum_network(networks),
        flux_network(networks, networks.is_continuum),
        _shared(networks.companion, COMPANION_LABELS),
        _shared(networks.radius, LABELS[:3]),
    )


def _pixels(network: NetworkWeights, names: tuple[str, ...]) -> PixelNetworks:
    (hidden, output), (hidden_offset, output_offset) = network.weights, network.offsets
    return PixelNetworks(
        domain=Domain(names, network.low, network.high),
        hidden=hidden,
        hidden_offset=hidden_offset,
        output=output,
        output_offset=output_offset,
    )


def _shared(network: NetworkWeights, names: tuple[str, ...]) -> Perceptron:
    domain = Domain(names, network.low, network.high)
    return Perceptron(domain=domain, weights=network.weights, offsets=network.offsets, activation="sigmoid")


def companion_of(
    stars: Stars, star: Float[Array, " 3"], place: Float[ArrayLike, ""]
) -> tuple[Float[Array, ""], Float[Array, " 3"]]:
    """Mass ratio, and Teff [K], logg and Fe_H, of a companion of the same age and composition.

    Parameters
    ----------
    stars : Stars
    star : array, shape (3,)
        Teff [K], logg and Fe_H of the more massive one. Where the networks know no companion of it, its twin is taken.
    place : scalar
        From 0, the least mass ratio whose companion the networks know, to 1, the largest.
    """
    low, high, is_known = companion_range(stars, star)
    ratio = low + (high - low) * jnp.asarray(place)
    return ratio, jnp.where(is_known, _companion(stars, star, ratio), star)


def _companion(stars: Stars, star: Float[Array, " 3"], mass_ratio: Float[Array, ""]) -> Float[Array, " 3"]:
    domain = stars.companion.domain
    labels = jnp.append(star, jnp.clip(mass_ratio, domain.low[3], domain.high[3]))
    Teff, logg = stars.companion(labels)
    return jnp.stack([1000.0 * Teff, logg, star[2]])


def companion_range(
    stars: Stars, star: Float[Array, " 3"]
) -> tuple[Float[Array, ""], Float[Array, ""], Bool[Array, ""]]:
    """Least and largest mass ratio whose companion is one that the networks know, and whether there is any; else 1 and 1.

    Parameters
    ----------
    stars : Stars
    star : array, shape (3,)
        Teff [K], logg and Fe_H of the more massive one.
    """
    domain, known = stars.companion.domain, stars.lines.domain
    ratio = jnp.linspace(domain.low[3], domain.high[3], NUM_RATIOS)
    places = jax.vmap(lambda q: known.scaled(jnp.pad(_companion(stars, star, q), (0, 2)))[:2])(ratio)
    # Not `max` or `min`, whose gradients compare values that compilers may compute twice, a rounding apart.
    room = 0.5 - MARGIN - jnp.maximum(jnp.abs(places[:, 0]), jnp.abs(places[:, 1]))
    is_known = room >= 0
    begins, ends = is_known[1:] & ~is_known[:-1], is_known[:-1] & ~is_known[1:]
    rise = jnp.where(begins | ends, jnp.diff(room), 1.0)
    edge = ratio[:-1] - jnp.where(begins | ends, room[:-1], 0.0) / rise * jnp.diff(ratio)
    low = jnp.where(is_known[0], ratio[0], jnp.sum(jnp.where(begins & (jnp.cumsum(begins) == 1), edge, 0.0)))
    high = jnp.where(is_known[-1], ratio[-1], jnp.sum(jnp.where(ends & (jnp.cumsum(ends) == 1), edge, 0.0)))
    is_any = is_known.any()
    return jnp.where(is_any, low, 1.0), jnp.where(is_any, high, 1.0), is_any


def require_wavelengths(spectra: StellarSpectra, networks: PayneNetworks) -> None:
    """Refuse spectra on other wavelengths than the networks'.

    Raises
    ------
    ValueError
    """
    seen, wanted = spectra.wavelength, networks.wavelength
    if seen.shape == wanted.shape and np.allclose(seen, wanted, rtol=WAVELENGTH_TOLERANCE, atol=0):
        return
    raise ValueError(
        f"`{spectra.name}` has {len(seen)} wavelengths from {seen[0]:.6g} to {seen[-1]:.6g} Å, and the networks have "
        f"{len(wanted)} from {wanted[0]:.6g} to {wanted[-1]:.6g} Å. Give spectra on these, in vacuum; `stellar_spectra` takes "
        "wavelengths with units."
    )


def renormalised(spectra: StellarSpectra, networks: PayneNetworks) -> StellarSpectra:
    """Spectra divided by the continuum that is fitted to them, as models of pairs are.

    Raises
    ------
    ValueError
        If they are not on the networks' wavelengths, or a detector has too few pixels of continuum.
    """
    require_wavelengths(spectra, networks)
    fits = continuum_fits(spectra.sigma, spectra.is_used, networks)
    pixels = np.flatnonzero(networks.is_continuum)
    with jax.enable_x64(True):
        seen = np.where(spectra.is_used, spectra.flux, 1.0)[:, pixels]
        level = np.asarray(jax.vmap(lambda fit, flux: fit(flux))(fits, seen))
    return replace(spectra, flux=spectra.flux / level, sigma=spectra.sigma / level)


def continuum_fits(
    sigma: Float[np.ndarray, "visits n"], is_used: Bool[np.ndarray, "visits n"], networks: PayneNetworks
) -> ContinuumFit:
    """Fits of polynomials to the pixels of the continuum, with a leading axis for visits.

    Raises
    ------
    ValueError
        If a detector has too few pixels of continuum.
    """
    spectrograph, pixels = spectrograph_of(networks.wavelength), np.flatnonzero(networks.is_continuum)
    weights = np.where(is_used, np.where(is_used, sigma, 1.0) ** -2.0, 0.0)[:, pixels]
    fits = [continuum_fit(networks.wavelength, spectrograph.parts, pixels, weight) for weight in weights]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *fits)


def blended_spectra(
    stars: Stars,
    labels: Float[Array, "k 5"],
    velocity: Float[Array, "visits k"],
    spectrograph: Spectrograph,
    pixels: Int[Array | np.ndarray, " m"],
    fits: ContinuumFit,
) -> Float[Array, "visits n"]:
    """Normalised spectra of stars whose light is not resolved.

    Each star's lines are shifted by its velocity, and weighed by its continuum and its disc; the sum is divided by the
    continuum that is fitted to it, as the data are.

    Parameters
    ----------
    stars : Stars
    labels : array, shape (k, 5)
        Of `LABELS`, for each star.
    velocity : array, shape (visits, k) [km/s]
    spectrograph : Spectrograph
    pixels : array of int, shape (m,)
        Of the continuum.
    fits : ContinuumFit
        With a leading axis for visits.
    """
    lines = [stars.lines(each) for each in labels]
    light = [jnp.square(stars.radius(each[:3])[0]) * stars.continuum(each[:4]) for each in labels]
    spectra = []
    for i in range(velocity.shape[0]):
        fit = jax.tree.map(lambda leaf, i=i: jnp.asarray(leaf)[i], fits)
        parts = [
            fit(level) * spectrograph.shifted(line, v) for level, line, v in zip(light, lines, velocity[i], strict=True)
        ]
        total = jnp.stack(parts).sum(axis=0)
        spectra.append(total / fit(total[jnp.asarray(pixels)]))
    return jnp.stack(spectra)
