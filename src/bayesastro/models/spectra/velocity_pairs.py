"""Velocities of two stars in a spectrum, by least squares with two shifted templates: where samplers of pairs start.

Posteriors of two stars' velocities have a mode wherever a line of one falls on a line of the other, and few chains find the
highest from the prior. A grid over both velocities does, in a second.

References
----------
Zucker & Mazeh 1994, ApJ 420, 806 (two templates, correlated in two dimensions).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float

from bayesastro.datasets.payne import PayneNetworks, StellarSpectra
from bayesastro.models.spectra.payne import spectrum_network
from bayesastro.models.spectra.star import checked_spectra
from bayesastro.problem import Problem
from bayesastro.simulators.spectra.spectrograph import spectrograph_of

__all__ = ["start_at", "velocity_pairs"]

COLLINEAR = 1e-3
"""Templates whose Gram determinant is below this part of its largest value are at one velocity."""


def velocity_pairs(
    spectra: StellarSpectra,
    networks: PayneNetworks,
    *,
    template: Sequence[float] = (5000.0, 4.5, 0.0, 0.0, 8.0),
    largest: float = 200.0,
    step: float = 2.0,
) -> Float[np.ndarray, "visits 2"]:
    """The two velocities of each visit at which two copies of a template describe its lines best.

    Parameters
    ----------
    spectra : StellarSpectra
    networks : PayneNetworks
    template : sequence of 5 floats
        Labels of the template: T_eff [K], log g, [Fe/H], [Mg/Fe], macroturbulence [km/s].
    largest, step : float [km/s]
        Of the grid of velocities, on either side of 0.

    Returns
    -------
    array, shape (visits, 2) [km/s]
        First that of the star with the stronger lines.

    Raises
    ------
    ValueError
        If the spectra are not as they should be, or are not on the networks' wavelengths.
    """
    arrays = checked_spectra(spectra, {"networks": len(networks.wavelength)})
    spectrograph, velocity = spectrograph_of(networks.wavelength), np.arange(-largest, largest + step, step)
    with jax.enable_x64(True):
        flux = spectrum_network(networks)(np.asarray(template, float))
        depth = 1.0 - np.asarray(jax.vmap(lambda v: spectrograph.shifted(flux, v))(jnp.asarray(velocity)))
    rows = zip(arrays["flux"], arrays["sigma"], arrays["is_used"], strict=True)
    return np.stack([velocity[_best(1.0 - y, np.where(used, sigma**-2.0, 0.0), depth)] for y, sigma, used in rows])


def _best(seen: np.ndarray, weight: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Places of the two templates with positive weights, the first of larger weight, that lower χ² most."""
    seen = seen - weight @ seen / weight.sum()
    depth = depth - (depth @ weight / weight.sum())[:, None]
    gram, along = (depth * weight) @ depth.T, depth @ (weight * seen)
    size = np.diag(gram)
    determinant = np.outer(size, size) - gram**2
    determinant = np.where(determinant > COLLINEAR * determinant.max(), determinant, np.inf)
    first = (along[:, None] * size - gram * along) / determinant
    second = (along * size[:, None] - gram * along[:, None]) / determinant
    gain = np.where((second > 0) & (first >= second), first * along[:, None] + second * along, -np.inf)
    return np.array(np.unravel_index(int(gain.argmax()), gain.shape))


def start_at(
    problem: Problem,
    velocities: Float[np.ndarray, "visits 2"],
    *,
    num_draws: int = 2000,
    num_kept: int = 20,
    seed: int = 0,
) -> xr.DataTree:
    """Points to start a sampler of two stars from: the best of many draws of the prior, with given velocities.

    Parameters
    ----------
    problem : Problem
        From :func:`bayesastro.models.spectra.binary_star.build`.
    velocities : array, shape (visits, 2) [km/s]
        Such as :func:`velocity_pairs` finds.
    num_draws, num_kept : int
        Of how many draws the best are kept, and how many.
    seed : int

    Returns
    -------
    DataTree
        For ``fit(…, start=…)``.

    Raises
    ------
    ValueError
        If the problem has no such velocities.
    """
    names = {site.name for site in problem.parameters}
    theta = {k: np.array(v) for k, v in problem.simulate(num_draws, key=jax.random.key(seed)).parameters.items()}
    if "velocity_1" in names and theta["velocity_1"].shape[1:] == velocities.shape[:1]:
        theta["velocity_1"][:] = velocities[:, 0]
        slope, _ = np.polyfit(velocities[:, 0], velocities[:, 1], 1)
        ratio = np.clip(-1.0 / slope if slope < 0 else 1.0, 0.2, 1.4)
        theta["mass_ratio_orbit"][:] = ratio
        theta["systemic"][:] = np.mean(velocities @ [1.0 / ratio, 1.0]) / (1.0 + 1.0 / ratio)
    elif "velocity" in names and theta["velocity"].shape[1:] == velocities.shape:
        theta["velocity"][:] = velocities
    else:
        raise ValueError(
            f"The problem needs velocities of shape {velocities.shape}, but has the sites {sorted(names)}."
        )
    terms = problem.log_likelihood(theta, batch_ndims=1).values()
    score = sum(np.asarray(term).reshape(num_draws, -1).sum(axis=1) for term in terms)
    best = np.argsort(-np.nan_to_num(score, nan=-np.inf))[:num_kept]
    kept = {
        name: xr.DataArray(values[best][None], dims=["chain", "draw", *(f"{name}_{i}" for i in range(values.ndim - 1))])
        for name, values in theta.items()
    }
    return xr.DataTree.from_dict({"posterior": xr.Dataset(kept)})
