"""Networks that emulate spectra of stars in the H band, and spectra of APOGEE on the same wavelengths.

Networks and spectra are those that El-Badry et al. (2018) published with their code for unresolved binaries; the files are
public under the MIT licence. The fourth network gives radii. Wavelengths are in vacuum, spectra in the star's frame.

References
----------
Ting et al. 2019, ApJ 879, 69 (arXiv:1804.01530); El-Badry et al. 2018, MNRAS 473, 5043 (arXiv:1709.03983) and MNRAS 476, 528
(arXiv:1711.08793); Majewski et al. 2017, AJ 154, 94 (APOGEE).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Bool, Float

from bayesastro.units import in_unit

__all__ = [
    "NetworkWeights",
    "PayneNetworks",
    "StellarSpectra",
    "read_apogee_spectrum",
    "read_apogee_visits",
    "read_apstar",
    "read_payne",
    "stellar_spectra",
]

LARGEST_ERROR = 0.1
"""Pixels with a larger relative error are not used."""

_CITATION = "Majewski et al. 2017, AJ 154, 94 (APOGEE); {}"
_PUBLISHED = "spectrum published with El-Badry et al. 2018, MNRAS 473, 5043 and 476, 528"


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkWeights:
    """A network as published: matrices and offsets of its layers, and the inputs it was trained on.

    Parameters
    ----------
    weights, offsets : tuple of array
        By layer.
    low, high : arrays, shape (k,)
        Least and largest value of each input.
    """

    weights: tuple[np.ndarray, ...]
    offsets: tuple[np.ndarray, ...]
    low: Float[np.ndarray, " k"]
    high: Float[np.ndarray, " k"]


@dataclass(frozen=True, kw_only=True, eq=False)
class PayneNetworks:
    """Networks of spectra, radii and companions on one grid of wavelengths.

    Parameters
    ----------
    wavelength : array, shape (n,) [Å]
        In vacuum, even in the logarithm but for two gaps.
    normalised : NetworkWeights
        T_eff [K], log g [cm s⁻²], [Fe/H], [Mg/Fe], macroturbulence [km/s] to flux over continuum; one small network a pixel.
    unnormalised : NetworkWeights
        The first four to 10⁶ flux density per unit frequency.
    companion : NetworkWeights
        T_eff and log g of a star, its [Fe/H] and a mass ratio to T_eff [K] and log g of a companion of the same age.
    radius : NetworkWeights
        T_eff, log g, [Fe/H] to the radius [solar].
    is_continuum : array of bool, shape (n,)
        Pixels with hardly a line in them.
    is_masked : array of bool, shape (n,)
        Pixels that models describe badly.
    citation : str
    """

    wavelength: Float[np.ndarray, " n"]
    normalised: NetworkWeights
    unnormalised: NetworkWeights
    companion: NetworkWeights
    radius: NetworkWeights
    is_continuum: Bool[np.ndarray, " n"]
    is_masked: Bool[np.ndarray, " n"]
    citation: str


@dataclass(frozen=True, kw_only=True, eq=False)
class StellarSpectra:
    """One or several spectra of a star.

    Parameters
    ----------
    name : str
    wavelength : array, shape (n,) [Å]
        In vacuum.
    flux, sigma : arrays, shape (visits, n)
        Flux over continuum, or in any other unit, and its standard deviation.
    is_used : array of bool, shape (visits, n)
    time : array, shape (visits,) [day]
        Heliocentric Julian dates; NaN where they are not known.
    citation : str
    """

    name: str
    wavelength: Float[np.ndarray, " n"]
    flux: Float[np.ndarray, "visits n"]
    sigma: Float[np.ndarray, "visits n"]
    is_used: Bool[np.ndarray, "visits n"]
    time: Float[np.ndarray, " visits"]
    citation: str


def stellar_spectra(
    wavelength: Any,
    flux: Any,
    sigma: Any,
    *,
    name: str,
    is_used: Bool[ArrayLike, "..."] | None = None,
    time: Float[ArrayLike, "..."] | None = None,
    citation: str = "",
) -> StellarSpectra:
    """Spectra of one's own, with units or without.

    Parameters
    ----------
    wavelength : array or Quantity, shape (n,) [Å]
        In vacuum; also as frequencies, wave numbers or energies, in any order.
    flux : array or Quantity, shape (n,) or (visits, n)
    sigma : array or Quantity, of the same shape
        Standard deviations, in the unit of `flux` or another of its kind.
    name : str
    is_used : array of bool, of the same shape, optional
        By default where both are finite and the error is positive.
    time : scalar or array, shape (visits,) [day], optional
    citation : str

    Raises
    ------
    ValueError
        If shapes differ, units are not of their kind, or wavelengths are not positive and different.
    """
    if hasattr(sigma, "unit") and not hasattr(flux, "unit"):
        raise ValueError(f"`sigma` has the unit {sigma.unit} and `flux` none. Give both with units, or neither.")
    unit = str(getattr(flux, "unit", ""))
    values, errors = (np.atleast_2d(in_unit(a, unit, n)) for a, n in ((flux, "flux"), (sigma, "sigma")))
    at = np.atleast_1d(in_unit(wavelength, "Angstrom", "wavelength", spectral=True))
    order = np.argsort(at)
    if at.ndim != 1 or values.shape != errors.shape or values.shape[1] != len(at):
        raise ValueError(
            f"A spectrum needs as many fluxes and errors as wavelengths, but shapes {values.shape}, {errors.shape} and {at.shape} "
            "came."
        )
    if not (at[order][0] > 0 and (np.diff(at[order]) > 0).all()):
        raise ValueError("Wavelengths must be positive and different from each other.")
    is_good = np.isfinite(values) & np.isfinite(errors) & (errors > 0)
    given = np.ones_like(is_good) if is_used is None else np.broadcast_to(np.asarray(is_used, bool), is_good.shape)
    days = np.full(len(values), np.nan) if time is None else np.broadcast_to(np.asarray(time, float), len(values))
    return StellarSpectra(
        name=name,
        wavelength=at[order],
        flux=values[:, order],
        sigma=errors[:, order],
        is_used=(is_good & given)[:, order],
        time=np.array(days),
        citation=citation,
    )


def read_payne(folder: str | Path) -> PayneNetworks:
    """The networks of a folder.

    Parameters
    ----------
    folder : path
        With ``NN_normalized_spectra.npz``, ``NN_unnormalized_spectra.npz``, ``NN_Teff2_logg2.npz``, ``NN_radius.npz``,
        ``apogee_wavelength.npz``, ``apogee_mask.npz`` and ``cannon_cont_pixels_apogee.npz``.

    Raises
    ------
    FileNotFoundError
        If one is missing.
    """
    folder = Path(folder)
    return PayneNetworks(
        wavelength=_arrays(folder / "apogee_wavelength.npz")["wavelength"],
        normalised=_network(folder / "NN_normalized_spectra.npz"),
        unnormalised=_network(folder / "NN_unnormalized_spectra.npz"),
        companion=_network(folder / "NN_Teff2_logg2.npz"),
        radius=_network(folder / "NN_radius.npz"),
        is_continuum=_arrays(folder / "cannon_cont_pixels_apogee.npz")["pixels_cannon"],
        is_masked=_arrays(folder / "apogee_mask.npz")["apogee_mask"],
        citation="Ting et al. 2019, ApJ 879, 69; El-Badry et al. 2018, MNRAS 473, 5043 and 476, 528",
    )


def read_apogee_spectrum(path: str | Path, networks: PayneNetworks) -> StellarSpectra:
    """A combined spectrum, normalised, on the wavelengths of the networks.

    Raises
    ------
    FileNotFoundError
    ValueError
        If it has another number of pixels than the networks.
    """
    file = _arrays(Path(path))
    return _spectra(path, networks, file["spectrum"][None], file["spec_err"][None], np.array([np.nan]), _PUBLISHED)


def read_apogee_visits(path: str | Path, networks: PayneNetworks) -> StellarSpectra:
    """Spectra of single visits, normalised, on the wavelengths of the networks.

    Raises
    ------
    FileNotFoundError
    ValueError
        If they have another number of pixels than the networks.
    """
    file = _arrays(Path(path))
    return _spectra(path, networks, file["spectra"], file["spec_errs"], file["hjds"], _PUBLISHED)


def read_apstar(path: str | Path, networks: PayneNetworks) -> StellarSpectra:
    """The combined spectrum of an apStar file, cut to the wavelengths of the networks and divided by its median.

    Raises
    ------
    FileNotFoundError
    ValueError
        If its pixels are not those of the networks.
    """
    from astropy.io import fits  # slow to load

    with fits.open(path) as opened:
        file: Any = opened
        header = file[1].header
        flux, sigma, bits = (np.atleast_2d(file[i].data)[0] for i in (1, 2, 3))
        log_wavelength = header["CRVAL1"] + header["CDELT1"] * np.arange(flux.size)
        name, days = str(file[0].header["OBJID"]), float(file[0].header.get("JD", np.nan))
    place = np.searchsorted(log_wavelength, np.log10(networks.wavelength) - 0.5 * header["CDELT1"])
    if place.max() >= flux.size or not np.allclose(10 ** log_wavelength[place], networks.wavelength, rtol=1e-7):
        raise ValueError(f"`{path}` has other pixels than the networks: an apStar file of APOGEE is needed.")
    flux, sigma, bits = flux[place].astype(float), sigma[place].astype(float), bits[place]
    bad = (bits & _BAD_BITS) > 0
    level = np.median(flux[~bad])
    flux, sigma = flux / level, sigma / level
    found = _spectra(path, networks, flux[None], sigma[None], np.array([days]), "SDSS DR17")
    return StellarSpectra(**{**vars(found), "name": name, "is_used": found.is_used & ~bad})


_BAD_BITS = sum(1 << bit for bit in (0, 1, 2, 3, 4, 5, 6, 7, 12))
"""Of APOGEE_PIXMASK: bad or saturated pixels, cosmic rays, unfixable ones, bad dark, flat or error, no sky, a significant sky line."""


def _spectra(
    path: str | Path, networks: PayneNetworks, flux: np.ndarray, sigma: np.ndarray, time: np.ndarray, source: str
) -> StellarSpectra:
    if flux.shape[1] != len(networks.wavelength) or sigma.shape != flux.shape:
        raise ValueError(
            f"`{path}` must have {len(networks.wavelength)} pixels, as the networks have, but fluxes of shape {flux.shape} and "
            f"errors of shape {sigma.shape} came."
        )
    is_good = np.isfinite(flux) & np.isfinite(sigma) & (sigma > 0) & (sigma < LARGEST_ERROR)
    return StellarSpectra(
        name=Path(path).name.removesuffix("_.npz"),
        wavelength=networks.wavelength,
        flux=np.asarray(flux, float),
        sigma=np.asarray(sigma, float),
        is_used=is_good & ~networks.is_masked,
        time=np.asarray(time, float),
        citation=_CITATION.format(source),
    )


def _network(path: Path) -> NetworkWeights:
    file = _arrays(path)
    depth = sum(name.startswith("w_array_") for name in file)
    return NetworkWeights(
        weights=tuple(np.asarray(file[f"w_array_{i}"], float) for i in range(depth)),
        offsets=tuple(np.asarray(file[f"b_array_{i}"], float) for i in range(depth)),
        low=file["x_min"],
        high=file["x_max"],
    )


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, encoding="latin1") as file:
        return {name: file[name] for name in file.files}
