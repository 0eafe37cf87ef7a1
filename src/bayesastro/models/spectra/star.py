"""A star's spectrum by an emulator: labels, velocity, rotation and veiling, in one visit or several.

The program asks of an emulator that its outputs be flux over continuum on the wavelengths observed; its labels become the sites.

References
----------
Ting et al. 2019, ApJ 879, 69 (arXiv:1804.01530), section 4 (labels and velocity from APOGEE spectra).
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from bayesastro.datasets.payne import StellarSpectra
from bayesastro.problem import Problem
from bayesastro.simulators.emulators import Emulator
from bayesastro.simulators.spectra.continuum import polynomials
from bayesastro.simulators.spectra.dust import veiled
from bayesastro.simulators.spectra.spectrograph import Spectrograph, spectrograph_of

__all__ = [
    "UNITS",
    "LabelPriors",
    "build",
    "checked_spectra",
    "continuum_basis",
    "label_priors",
    "observe_flux",
    "program",
    "sampled_labels",
]

UNITS = {
    "Teff": "K",
    "Teff_2": "K",
    **dict.fromkeys(("velocity", "velocity_1", "systemic", "v_sin_i", "v_macro", "v_macro_2"), "km / s"),
}
"""Of the sites of stars and pairs of stars."""

VELOCITY_SD = 50.0
"""Prior standard deviation of velocities [km/s]."""

JITTER = 0.02
"""Scale of the half-normal prior of what is added to the errors in quadrature, in units of the continuum."""


class LabelPriors(NamedTuple):
    """Bounds of labels, and mean and standard deviation of those whose prior is normal.

    Parameters
    ----------
    low, high, mean, sd : arrays, shape (k,)
    """

    low: Float[Array | np.ndarray, " k"]
    high: Float[Array | np.ndarray, " k"]
    mean: Float[Array | np.ndarray, " k"]
    sd: Float[Array | np.ndarray, " k"]


def sampled_labels(names: tuple[str, ...], priors: LabelPriors, given: tuple[str, ...]) -> Float[Array, " k"]:
    """Sites of the labels: uniform within their bounds, or normal for those of `given`."""
    found = []
    for name, low, high, mean, sd in zip(names, *(jnp.asarray(part) for part in priors), strict=True):
        law = dist.TruncatedNormal(mean, sd, low=low, high=high) if name in given else dist.Uniform(low, high)
        found.append(jnp.asarray(numpyro.sample(name, law)))
    return jnp.stack(found)


def program(
    emulator: Emulator,
    spectrograph: Spectrograph,
    sigma: Float[Array, "visits n"],
    is_used: Bool[Array, "visits n"],
    priors: LabelPriors,
    basis: Float[Array, "n k"],
    *,
    given: tuple[str, ...],
    max_rotation: float,
    max_veiling: float,
    continuum_sd: float,
) -> None:
    """Normalised flux of one star.

    Sites: the emulator's labels; ``velocity`` of each visit [km/s]; ``v_sin_i`` [km/s], ``veiling`` and ``continuum`` where they
    are asked for; ``jitter``. Observed: ``flux``.

    Parameters
    ----------
    emulator : Emulator
        Labels to flux over continuum at the pixels.
    spectrograph : Spectrograph
    sigma : array, shape (visits, n)
    is_used : array of bool, shape (visits, n)
    priors : LabelPriors
    basis : array, shape (n, k)
        Polynomials of a continuum that is off by a little; none of them for k = 0.
    given : tuple of str
        Labels whose prior is normal.
    max_rotation, max_veiling : float
        Upper ends of the uniform priors of the projected rotation [km/s] and of the excess continuum in units of the
        star's; 0 for none.
    continuum_sd : float
        Of the polynomials' coefficients.
    """
    labels = sampled_labels(emulator.domain.names, priors, given)
    num = sigma.shape[0]
    velocity = jnp.asarray(numpyro.sample("velocity", dist.Normal(0.0, VELOCITY_SD).expand([num]).to_event(1)))
    flux = emulator(labels)
    if max_rotation > 0:
        v_sin_i = jnp.asarray(numpyro.sample("v_sin_i", dist.Uniform(0.0, max_rotation)))
        flux = spectrograph.rotating(flux, v_sin_i, max_rotation)
    if max_veiling > 0:
        excess = jnp.asarray(numpyro.sample("veiling", dist.Uniform(0.0, max_veiling)))
        flux = veiled(flux, excess, 1.0) / (1.0 + excess)
    expected = jnp.stack([spectrograph.shifted(flux, velocity[i]) for i in range(num)])
    observe_flux(expected, sigma, is_used, basis, continuum_sd, emulator.error)


def observe_flux(
    expected: Float[Array, "visits n"],
    sigma: Float[Array, "visits n"],
    is_used: Bool[Array, "visits n"],
    basis: Float[Array, "n k"],
    continuum_sd: float,
    error: Float[ArrayLike, "..."] = 0.0,
) -> None:
    """The sites ``continuum``, if there are polynomials, ``jitter``, and ``flux``, which is observed.

    Parameters
    ----------
    expected, sigma : arrays, shape (visits, n)
    is_used : array of bool, shape (visits, n)
    basis : array, shape (n, k)
    continuum_sd : float
        See :func:`program`.
    error : scalar or array, shape (n,)
        Of the emulator.
    """
    if basis.shape[1]:
        shape = [expected.shape[0], basis.shape[1]]
        law = dist.Normal(0.0, continuum_sd).expand(shape).to_event(2)
        expected = expected * (1.0 + jnp.asarray(numpyro.sample("continuum", law)) @ jnp.asarray(basis).T)
    jitter = jnp.asarray(numpyro.sample("jitter", dist.HalfNormal(JITTER)))
    sd = jnp.sqrt(jnp.square(sigma) + jnp.square(jitter) + jnp.square(jnp.asarray(error)))
    numpyro.sample("flux", dist.Normal(expected, sd).mask(jnp.asarray(is_used)).to_event(2))


def build(
    spectra: StellarSpectra,
    emulator: Emulator,
    *,
    priors: Mapping[str, tuple[float, float]] | None = None,
    max_rotation: float = 0.0,
    max_veiling: float = 0.0,
    continuum_order: int | None = None,
    continuum_sd: float = 0.02,
) -> Problem:
    """The program with the spectra of a star.

    Parameters
    ----------
    spectra : StellarSpectra
    emulator : Emulator
        Such as :func:`bayesastro.models.spectra.payne.spectrum_network` gives.
    priors : mapping of str to (float, float), optional
        Mean and standard deviation of labels of which more is known than the emulator's domain.
    max_rotation : float [km/s]
    max_veiling : float
        See :func:`program`; by default neither rotation, beyond what the emulator has, nor veiling.
    continuum_order : int, optional
        Of polynomials on each detector and visit, that the continuum may be off by. By default it is known.
    continuum_sd : float

    Raises
    ------
    ValueError
        If the emulator has another number of pixels, the spectra or a prior are not as they should be, or a number is negative.
    """
    arrays = checked_spectra(spectra, {"emulator": emulator(0.5 * (emulator.domain.low + emulator.domain.high)).size})
    if max_rotation < 0 or max_veiling < 0 or not continuum_sd > 0:
        raise ValueError(
            f"`max_rotation` and `max_veiling` must not be negative and `continuum_sd` be positive, but {max_rotation}, "
            f"{max_veiling} and {continuum_sd} came."
        )
    domain, wavelength = emulator.domain, spectra.wavelength
    bounds = dict(zip(domain.names, zip(domain.low, domain.high, strict=True), strict=True))
    spectrograph = spectrograph_of(wavelength)
    return Problem(
        program,
        emulator,
        spectrograph,
        arrays["sigma"],
        arrays["is_used"],
        label_priors(bounds, priors or {}),
        continuum_basis(wavelength, spectrograph, continuum_order),
        given=tuple(priors or {}),
        max_rotation=float(max_rotation),
        max_veiling=float(max_veiling),
        continuum_sd=float(continuum_sd),
        observed={"flux": arrays["flux"]},
    ).with_units(UNITS)


def continuum_basis(
    wavelength: Float[np.ndarray, " n"], spectrograph: Spectrograph, order: int | None
) -> Float[np.ndarray, "n k"]:
    """Polynomials on each detector that the continuum may be off by; without an order none, k = 0."""
    if order is None:
        return np.zeros((len(wavelength), 0))
    return polynomials(wavelength, spectrograph.parts, order)


def label_priors(bounds: Mapping[str, tuple[float, float]], given: Mapping[str, tuple[float, float]]) -> LabelPriors:
    """Priors of labels within bounds.

    Raises
    ------
    ValueError
        If there is no such label, a standard deviation is not positive, or a mean is outside of the bounds.
    """
    if unknown := sorted(set(given) - set(bounds)):
        raise ValueError(f"`priors` has {unknown}, which are no labels. There are {list(bounds)}.")
    for name, (mean, sd) in given.items():
        low, high = bounds[name]
        if not (low <= mean <= high and np.isfinite(sd) and sd > 0):
            raise ValueError(
                f"The prior of `{name}` must have a mean from {low:g} to {high:g}, which the emulator knows, and a positive "
                f"standard deviation, but {(mean, sd)} came."
            )
    low, high = np.array(list(bounds.values()), float).T
    law = np.array([given.get(name, (0.5 * (a + b), b - a)) for name, (a, b) in bounds.items()], float)
    return LabelPriors(low, high, law[:, 0], law[:, 1])


def checked_spectra(spectra: StellarSpectra, sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Flux, errors and which pixels are used, as arrays of shape (visits, n); 1 and 1 at pixels that are not.

    Parameters
    ----------
    spectra : StellarSpectra
    sizes : mapping of str to int
        Numbers of pixels that must be the spectra's.

    Raises
    ------
    ValueError
        If shapes differ, a flux that is used is not finite, or an error is not positive.
    """
    n = len(spectra.wavelength)
    flux, sigma, is_used = (np.atleast_2d(a) for a in (spectra.flux, spectra.sigma, spectra.is_used))
    shapes = {"flux": flux.shape, "sigma": sigma.shape, "is_used": is_used.shape}
    if set(shapes.values()) != {(flux.shape[0], n)}:
        raise ValueError(f"Spectra must have {n} pixels, as `wavelength` has, but {shapes} came.")
    if wrong := {name: size for name, size in sizes.items() if size != n}:
        raise ValueError(f"The spectra have {n} pixels, but {wrong} came: give an emulator on the same wavelengths.")
    used = is_used.astype(bool)
    if not np.isfinite(flux[used]).all() or not (np.isfinite(sigma[used]) & (sigma[used] > 0)).all():
        raise ValueError(
            f"`{spectra.name}` has fluxes that are not finite, or errors that are not positive. Set `is_used` to False there."
        )
    return {"flux": np.where(used, flux, 1.0), "sigma": np.where(used, sigma, 1.0), "is_used": used}
