"""Two stars in one spectrum, unresolved on the sky: in a single spectrum, or followed over several visits.

The companion has the age and composition of the more massive star, so that one mass ratio says what it is. Over several visits
velocities move against each other about that of the pair, by the ratio of masses that their orbit has; that it is the one that
the spectra tell of is a test, and not assumed.

References
----------
El-Badry et al. 2018, MNRAS 473, 5043 (arXiv:1709.03983), section 3, and MNRAS 476, 528 (arXiv:1711.08793), section 3.2.
"""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float, Int

from bayesastro.datasets.payne import PayneNetworks, StellarSpectra
from bayesastro.models.spectra.payne import (
    LABELS,
    Stars,
    blended_spectra,
    companion_of,
    continuum_fits,
    require_wavelengths,
    stars_of,
)
from bayesastro.models.spectra.star import (
    UNITS,
    VELOCITY_SD,
    LabelPriors,
    checked_spectra,
    continuum_basis,
    label_priors,
    observe_flux,
    sampled_labels,
)
from bayesastro.problem import Problem
from bayesastro.simulators.spectra.continuum import ContinuumFit
from bayesastro.simulators.spectra.spectrograph import Spectrograph, spectrograph_of

__all__ = ["build", "common_labels", "program"]

DYNAMICAL_RATIO = (0.1, 1.5)
"""Bounds of the mass ratio of the orbit. Above 1 the fainter one would be the more massive, as a close pair is."""


def program(
    stars: Stars,
    spectrograph: Spectrograph,
    pixels: Int[Array, " m"],
    fits: ContinuumFit,
    sigma: Float[Array, "visits n"],
    is_used: Bool[Array, "visits n"],
    priors: LabelPriors,
    basis: Float[Array, "n k"],
    *,
    given: tuple[str, ...],
    has_orbit: bool,
    has_companion: bool,
    continuum_sd: float,
) -> None:
    """Normalised flux of two stars, or of one in the same way.

    Sites: labels of the more massive star; ``companion``, the place of the mass ratio in the range that the networks know, and
    from it ``mass_ratio``, ``Teff_2`` and ``logg_2``; ``v_macro_2`` [km/s]; ``jitter``; ``velocity`` of each visit and star [km/s],
    or, with an orbit, ``velocity_1`` by visit, ``systemic`` and ``mass_ratio_orbit``, and from them ``velocity``. Observed: ``flux``.

    Parameters
    ----------
    stars : Stars
    spectrograph : Spectrograph
    pixels : array of int, shape (m,)
        Of the continuum.
    fits : ContinuumFit
        With a leading axis for visits.
    sigma, is_used, priors, basis, given, continuum_sd
        As for :func:`bayesastro.models.spectra.star.program`.
    has_orbit : bool
        Whether velocities of all visits move about one of the pair.
    has_companion : bool
        Whether there are two; one alone has its labels, ``velocity`` by visit, and ``jitter``.
    """
    first, num = sampled_labels(LABELS, priors, given), sigma.shape[0]
    if has_companion:
        labels = jnp.stack([first, _companion(stars, first, priors)])
        velocity = _orbit(num) if has_orbit else _free_velocities(num, 2)
    else:
        labels, velocity = first[None], _free_velocities(num, 1)
    expected = blended_spectra(stars, labels, velocity, spectrograph, pixels, fits)
    observe_flux(expected, sigma, is_used, basis, continuum_sd)


def _companion(stars: Stars, first: Float[Array, " 5"], priors: LabelPriors) -> Float[Array, " 5"]:
    place = jnp.asarray(numpyro.sample("companion", dist.Uniform(0.0, 1.0)))
    ratio, (Teff, logg, Fe_H) = companion_of(stars, first[:3], place)
    numpyro.deterministic("mass_ratio", ratio)
    numpyro.deterministic("Teff_2", Teff)
    numpyro.deterministic("logg_2", logg)
    v_macro = jnp.asarray(numpyro.sample("v_macro_2", dist.Uniform(priors.low[4], priors.high[4])))
    return jnp.stack([Teff, logg, Fe_H, first[3], v_macro])


def _free_velocities(num: int, num_stars: int) -> Float[Array, "visits k"]:
    law = dist.Normal(0.0, VELOCITY_SD).expand([num, num_stars]).to_event(2)
    return jnp.asarray(numpyro.sample("velocity", law))


def _orbit(num: int) -> Float[Array, "visits 2"]:
    systemic = jnp.asarray(numpyro.sample("systemic", dist.Normal(0.0, VELOCITY_SD)))
    ratio = jnp.asarray(numpyro.sample("mass_ratio_orbit", dist.Uniform(*DYNAMICAL_RATIO)))
    first = jnp.asarray(numpyro.sample("velocity_1", dist.Normal(systemic, VELOCITY_SD).expand([num]).to_event(1)))
    velocity = jnp.stack([first, systemic + (systemic - first) / ratio], axis=1)
    numpyro.deterministic("velocity", velocity)
    return velocity


def build(
    spectra: StellarSpectra,
    networks: PayneNetworks,
    *,
    priors: Mapping[str, tuple[float, float]] | None = None,
    has_orbit: bool | None = None,
    has_companion: bool = True,
    continuum_order: int | None = None,
    continuum_sd: float = 0.02,
) -> Problem:
    """The program with the spectra of a star that may be two.

    Spectra must be normalised by polynomials of fourth order through the networks' pixels of continuum, as
    :func:`bayesastro.models.spectra.payne.renormalised` does it.

    Parameters
    ----------
    spectra : StellarSpectra
    networks : PayneNetworks
    priors : mapping of str to (float, float), optional
        Mean and standard deviation of labels of the more massive star.
    has_orbit : bool, optional
        By default where there are two stars and several visits.
    has_companion : bool
        False for the program of one star, normalised in the same way: what the evidence of two is to be compared with.
    continuum_order, continuum_sd
        As for :func:`bayesastro.models.spectra.star.build`.

    Raises
    ------
    ValueError
        As there, if an orbit is asked for one visit, or a detector has too few pixels of continuum.
    """
    arrays = checked_spectra(spectra, {"networks": len(networks.wavelength)})
    require_wavelengths(spectra, networks)
    if not continuum_sd > 0:
        raise ValueError(f"`continuum_sd` must be positive, but {continuum_sd} came.")
    visits, wavelength = len(arrays["flux"]), networks.wavelength
    has_orbit = has_companion and visits > 1 if has_orbit is None else has_orbit
    if has_orbit and (visits == 1 or not has_companion):
        raise ValueError("An orbit needs two stars and more than one visit. Use `has_orbit=False`.")
    stars, spectrograph = stars_of(networks), spectrograph_of(wavelength)
    low, high = common_labels(stars)
    bounds = {name: (float(a), float(b)) for name, a, b in zip(LABELS, low, high, strict=True)}
    return Problem(
        program,
        stars,
        spectrograph,
        np.flatnonzero(networks.is_continuum),
        continuum_fits(arrays["sigma"], arrays["is_used"], networks),
        arrays["sigma"],
        arrays["is_used"],
        label_priors(bounds, priors or {}),
        continuum_basis(wavelength, spectrograph, continuum_order),
        given=tuple(priors or {}),
        has_orbit=bool(has_orbit),
        has_companion=bool(has_companion),
        continuum_sd=float(continuum_sd),
        observed={"flux": arrays["flux"]},
    ).with_units(UNITS)


def common_labels(stars: Stars) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the labels that the networks of lines, continuum, radius and companions all know."""
    low, high = np.array(stars.lines.domain.low), np.array(stars.lines.domain.high)
    for emulator, number in ((stars.continuum, 4), (stars.radius, 3), (stars.companion, 3)):
        low[:number] = np.maximum(low[:number], np.asarray(emulator.domain.low)[:number])
        high[:number] = np.minimum(high[:number], np.asarray(emulator.domain.high)[:number])
    return low, high
