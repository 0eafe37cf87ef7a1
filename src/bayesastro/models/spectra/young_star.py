r"""A young star's spectrum behind dust and under veiling, at a resolution of a few thousand and any signal-to-noise ratio.

.. math:: F(\lambda) \propto [S(\lambda; T_\mathrm{eff}, \log g, \ldots) + r\, S(\lambda_0)]\, 10^{-0.4 A_V (a(\lambda) + b(\lambda) / R_V)}

S is the star's flux with its lines; its shape is seen and its level is not, so that fluxes are normalised by their mean. The
relative error is an observed number like the fluxes: the simulator draws it from a range, so that one network serves spectra
of all signal-to-noise ratios, and a likelihood takes it as known.

In the infrared a and b are the same power of wavelength (Cardelli et al. 1989): only A_V (a + b / R_V) is measured there, and
what is found of R_V is its prior.

References
----------
Kang et al. 2023, A&A 674, A175, and 2025, A&A 697, A39 (model, priors, errors as a condition); Cardelli, Clayton & Mathis 1989,
ApJ 345, 245 (extinction); Ting et al. 2019, ApJ 879, 69 and El-Badry et al. 2018, MNRAS 473, 5043 (networks of spectra).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float, Int

from bayesastro.datasets.payne import PayneNetworks, StellarSpectra
from bayesastro.models.spectra.payne import flux_network, require_wavelengths
from bayesastro.models.spectra.star import UNITS, LabelPriors, checked_spectra, label_priors, sampled_labels
from bayesastro.problem import Problem
from bayesastro.simulators.emulators import Emulator
from bayesastro.simulators.spectra.dust import extinction_curve, reddened, veiled
from bayesastro.simulators.spectra.spectrograph import binned, spectrograph_of

__all__ = ["BinnedSpectrum", "binned_spectrum", "build", "normalised_flux", "program"]

VEILED_AT = 16145.0
"""Wavelength [Å] of S(λ₀): stars of all labels have hardly a line within 66 km/s of it."""

LEAST_LOGG = 2.5
"""Young stars are no giants; the networks know giants too."""

R_V_RANGE = (2.0, 6.0)

ExtinctionArrays = tuple[Float[Array | np.ndarray, " m"], Float[Array | np.ndarray, " m"]]


@dataclass(frozen=True, kw_only=True, eq=False)
class BinnedSpectrum:
    """A spectrum as the program has it.

    Parameters
    ----------
    wavelength : array, shape (m,) [Å]
        Means of the bins' pixels.
    flux : array, shape (m,)
        Means of the bins' pixels over the mean of all bins.
    log10_sigma : float
        Decadic logarithm of the bins' relative error, the median of all.
    place : array of int, shape (n,)
        The bin of each pixel that is used.
    """

    wavelength: Float[np.ndarray, " m"]
    flux: Float[np.ndarray, " m"]
    log10_sigma: float
    place: Int[np.ndarray, " n"]


def normalised_flux(
    emulator: Emulator,
    labels: Float[Array, " k"],
    place: Int[Array | np.ndarray, " n"],
    curve: ExtinctionArrays,
    at: Int[Array | np.ndarray, ""],
    *,
    A_V: Float[Array | float, ""],
    R_V: Float[Array | float, ""],
    veiling: Float[Array | float, ""],
) -> Float[Array, " m"]:
    """Veiled and reddened flux in bins, of mean one.

    Parameters
    ----------
    emulator : Emulator
        Labels to flux density per unit wavelength at pixels.
    labels : array, shape (k,)
    place : array of int, shape (n,)
        The bin of each pixel.
    curve : two arrays, shape (m,)
        Extinction at the bins.
    at : int
        The bin of λ₀.
    A_V : scalar [mag]
    R_V : scalar
    veiling : scalar
        Excess continuum in units of S(λ₀).
    """
    flux = binned(emulator(labels), place, np.shape(curve[0])[0])
    flux = reddened(veiled(flux, veiling, flux[at]), curve, A_V, R_V)
    return flux / jnp.mean(flux)


def program(
    emulator: Emulator,
    place: Int[Array, " n"],
    curve: ExtinctionArrays,
    at: Int[Array, ""],
    priors: LabelPriors,
    R_V_prior: Float[Array, " 2"],
    *,
    given: tuple[str, ...],
    max_A_V: float,
    max_veiling: float,
    log10_sigma_range: tuple[float, float],
) -> None:
    """Binned flux of one star, over its mean.

    Sites: the emulator's labels; ``A_V`` [mag]; ``R_V``; ``veiling``, where it is asked for. Observed: ``log10_sigma``, the
    decadic logarithm of the relative error of each bin, and ``flux``.

    Parameters
    ----------
    emulator, place, curve, at
        See :func:`normalised_flux`.
    priors : LabelPriors
    R_V_prior : array, shape (2,)
        Mean and standard deviation; the range is `R_V_RANGE`.
    given : tuple of str
        Labels whose prior is normal.
    max_A_V, max_veiling : float
        Upper ends of uniform priors; 0 for no veiling.
    log10_sigma_range : (float, float)
    """
    labels = sampled_labels(emulator.domain.names, priors, given)
    A_V = jnp.asarray(numpyro.sample("A_V", dist.Uniform(0.0, max_A_V)))
    low, high = R_V_RANGE
    R_V_law = dist.TruncatedNormal(jnp.asarray(R_V_prior)[0], jnp.asarray(R_V_prior)[1], low=low, high=high)
    R_V = jnp.asarray(numpyro.sample("R_V", R_V_law))
    excess = numpyro.sample("veiling", dist.Uniform(0.0, max_veiling)) if max_veiling > 0 else 0.0
    expected = normalised_flux(emulator, labels, place, curve, at, A_V=A_V, R_V=R_V, veiling=jnp.asarray(excess))
    sigma = 10.0 ** jnp.asarray(numpyro.sample("log10_sigma", dist.Uniform(*log10_sigma_range)))
    numpyro.sample("flux", dist.Normal(expected, sigma * expected).to_event(1))


def binned_spectrum(spectrum: StellarSpectra, bin_size: int = 16) -> BinnedSpectrum:
    """Means of neighbouring pixels, over the mean of all; bins of which no pixel is used are left out.

    Parameters
    ----------
    spectrum : StellarSpectra
        Of one visit, in any unit per wavelength.
    bin_size : int
        Pixels of a bin. APOGEE's have 4.1 km/s: with 16, two bins are a resolving power of 2300.

    Raises
    ------
    ValueError
        If there are several visits, wavelengths are not even in the logarithm, the bin size is not positive, or no flux is left.
    """
    arrays = checked_spectra(spectrum, {})
    if len(arrays["flux"]) != 1:
        raise ValueError(
            f"One spectrum is needed, but `{spectrum.name}` has {len(arrays['flux'])} visits. Combine or choose one."
        )
    if not isinstance(bin_size, int | np.integer) or bin_size < 1:
        raise ValueError(f"`bin_size` must be a positive whole number of pixels, but {bin_size!r} came.")
    used = arrays["is_used"][0]
    kept, place = np.unique(spectrograph_of(spectrum.wavelength).bins(bin_size)[used], return_inverse=True)
    with jax.enable_x64(True):
        wavelength, flux, variance = (
            np.asarray(binned(values[used], place, len(kept)))
            for values in (spectrum.wavelength, arrays["flux"][0], arrays["sigma"][0] ** 2)
        )
    if not len(kept) or not (flux > 0).all():
        raise ValueError(
            f"`{spectrum.name}` has bins whose mean flux is not positive, or none. Set `is_used` to False there."
        )
    relative = np.sqrt(variance / np.bincount(place)) / flux
    return BinnedSpectrum(
        wavelength=wavelength, flux=flux / flux.mean(), log10_sigma=float(np.log10(np.median(relative))), place=place
    )


def build(
    spectrum: StellarSpectra,
    networks: PayneNetworks,
    *,
    priors: Mapping[str, tuple[float, float]] | None = None,
    bin_size: int = 16,
    max_A_V: float = 10.0,
    R_V: tuple[float, float] = (4.4, 0.5),
    max_veiling: float = 2.0,
    log10_sigma_range: tuple[float, float] = (-3.0, -1.0),
) -> Problem:
    """The program with the spectrum of a star, at rest and on the networks' wavelengths.

    A network that was trained on it serves all spectra of which the same pixels are used: take `is_used` from what the networks
    describe badly, ``~networks.is_masked``, for all stars alike.

    Parameters
    ----------
    spectrum : StellarSpectra
        Of one visit, in any unit per wavelength, not divided by its continuum.
    networks : PayneNetworks
    priors : mapping of str to (float, float), optional
        Mean and standard deviation of labels; the others are uniform in the networks' domain, log g from 2.5.
    bin_size : int
        See :func:`binned_spectrum`.
    max_A_V : float [mag]
    R_V : (float, float)
        Mean and standard deviation of a normal prior from 2 to 6; by default about that of Carina.
    max_veiling : float
        Upper end of the uniform prior of the excess continuum in units of the star's; 0 for none.
    log10_sigma_range : (float, float)
        Of the decadic logarithm of a bin's relative error: signal-to-noise ratios from 10 to 1000.

    Raises
    ------
    ValueError
        If the spectrum is not on the networks' wavelengths or noisier or better than the range, or a prior makes no sense.
    """
    checked_spectra(spectrum, {"networks": len(networks.wavelength)})
    require_wavelengths(spectrum, networks)
    _check_priors(max_A_V, R_V, max_veiling, log10_sigma_range)
    given = binned_spectrum(spectrum, bin_size)
    low, high = log10_sigma_range
    if not low <= given.log10_sigma <= high:
        raise ValueError(
            f"The relative error of a bin of `{spectrum.name}` is 10^{given.log10_sigma:.3g}, but `log10_sigma_range` is from "
            f"{low:g} to {high:g}. Widen the range, or change `bin_size`."
        )
    emulator = flux_network(networks, np.atleast_2d(spectrum.is_used)[0].astype(bool))
    domain = emulator.domain
    bounds = {n: (float(a), float(b)) for n, a, b in zip(domain.names, domain.low, domain.high, strict=True)}
    bounds["logg"] = (max(bounds["logg"][0], LEAST_LOGG), bounds["logg"][1])
    return Problem(
        program,
        emulator,
        given.place,
        extinction_curve(given.wavelength, "CCM89"),
        np.asarray(np.argmin(np.abs(given.wavelength - VEILED_AT))),
        label_priors(bounds, priors or {}),
        np.asarray(R_V, float),
        given=tuple(priors or {}),
        max_A_V=float(max_A_V),
        max_veiling=float(max_veiling),
        log10_sigma_range=(float(low), float(high)),
        observed={"log10_sigma": np.asarray(given.log10_sigma), "flux": given.flux},
    ).with_units(UNITS | {"A_V": "mag"})


def _check_priors(
    max_A_V: float, R_V: tuple[float, float], max_veiling: float, log10_sigma_range: tuple[float, float]
) -> None:
    if not max_A_V > 0 or not max_veiling >= 0:
        raise ValueError(
            f"`max_A_V` must be positive and `max_veiling` not negative, but {max_A_V} and {max_veiling} came."
        )
    mean, sd = R_V
    if not (R_V_RANGE[0] <= mean <= R_V_RANGE[1] and np.isfinite(sd) and sd > 0):
        raise ValueError(
            f"`R_V` must be a mean from {R_V_RANGE[0]:g} to {R_V_RANGE[1]:g} and a positive standard deviation, but {R_V} came."
        )
    low, high = log10_sigma_range
    if not low < high < -0.5:
        # Beyond this the error's Gaussian has much of its mass at negative fluxes.
        raise ValueError(
            f"`log10_sigma_range` must rise and end below -0.5, where errors are a third of the flux, but {log10_sigma_range} came."
        )
