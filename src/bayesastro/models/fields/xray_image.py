r"""X-ray images: counts of several observations and bands, from diffuse emission and point sources.

The sky is, pixel by pixel and at energy E,

.. math:: s(E) = e^{d + \gamma \ln(E / E_0)} + p \, (E / E_0)^{\gamma_p} + f_E

with a correlated field d, one of its spectral index γ where there are several bands, point sources p of an
inverse-gamma law in every pixel, most of them too faint to matter, and if wanted a sky background f, the same everywhere.
Each observation sees it through its point-spread function, which may change over the image, and its exposure; particles
that hit the detector, and pass no mirror, may add as many counts in every pixel. Counts are Poisson. Pixels without
exposure tell nothing.

References
----------
Westerkamp et al. 2024, A&A 684, A155 (arXiv:2308.09176), section 2 (the sky), 3 (several observations); Guglielmetti et al.
2009, MNRAS 396, 165 (arXiv:0903.2342) and Selig & Enßlin 2015, A&A 574, A74 (arXiv:1311.1888): inverse-gamma point sources.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from bayesastro.models.fields.correlated_field import correlated_field
from bayesastro.models.fields.priors import Prior, log_normal_law
from bayesastro.problem import Problem
from bayesastro.simulators.counts import require_counts
from bayesastro.simulators.fields.grids import RegularGrid, regular_grid
from bayesastro.simulators.instruments.variant_psf import variant_convolved

__all__ = ["DIFFUSE", "INDEX", "build", "program", "sky"]

DIFFUSE: dict[str, Prior] = {
    "offset_sd": (0.5, 0.2),
    "fluctuations": (1.0, 0.5),
    "slope": (-2.0, 0.5),
    "flexibility": (0.3, 0.2),
}
"""Priors of the logarithm of the diffuse emission, as for :func:`correlated_field`."""

INDEX: dict[str, Prior] = {"offset_sd": (0.5, 0.2), "fluctuations": (0.3, 0.15), "slope": (-2.5, 0.4)}
"""Of the spectral index of the diffuse emission."""


def program(
    grid: RegularGrid,
    exposure: Float[Array, "o b ny nx"],
    psf: Float[Array, "o b gy gx py px"],
    log_energy: Float[Array, " b"],
    offset: Float[Array, ""],
    points: Float[Array, " 2"] | None = None,
    flat: Float[Array, "b 2"] | None = None,
    particles: Float[Array, "o b 2"] | None = None,
    diffuse: tuple[tuple[str, Any], ...] = tuple(DIFFUSE.items()),
    index: tuple[tuple[str, Any], ...] = tuple(INDEX.items()),
) -> None:
    """Counts of all observations and bands.

    Sites: those of the correlated fields ``diffuse`` and, with several bands, ``index``; ``points``, the flux of point
    sources at the reference energy, and ``points_index``; ``flat``, the flux of the sky background by band; ``particles``,
    counts in a pixel by observation and band. Observed: ``counts``. Deterministic: ``expected``, their means.

    Parameters
    ----------
    grid : RegularGrid
    exposure : array, shape (o, b, ny, nx)
        What turns flux into expected counts; 0 where nothing is seen.
    psf : array, shape (o, b, gy, gx, py, px)
        As for :func:`bayesastro.simulators.instruments.variant_psf.variant_convolved`.
    log_energy : array, shape (b,)
        Logarithms of the bands' energies over the reference.
    offset : scalar
        Mean of the logarithm of the diffuse flux.
    points : array, shape (2,), optional
        Shape and scale of the inverse-gamma law of point sources; by default there are none.
    flat : array, shape (b, 2), optional
        Mean and standard deviation of the log-normal law of the sky background; by default there is none.
    particles : array, shape (o, b, 2), optional
        The same of counts in a pixel from particles.
    diffuse, index : tuples of (name, prior)
    """
    parts = sky(grid, log_energy, offset, points, diffuse, index)
    total = sum(parts.values())
    if flat is not None:
        law = log_normal_law(flat[:, 0], flat[:, 1])
        total = total + jnp.asarray(numpyro.sample("flat", law.to_event(1)))[:, None, None]

    def seen(exposure: Array, psf: Array) -> Array:  # of one observation; one band after the other
        spread = jax.lax.map(lambda now: variant_convolved(*now), (total, psf))
        return exposure * spread

    # Far tails of the transform by FFT may be below zero by rounding.
    expected = jnp.maximum(jax.lax.map(lambda now: seen(*now), (exposure, psf)), 1e-12)
    if particles is not None:
        law = log_normal_law(particles[..., 0], particles[..., 1])
        expected = expected + jnp.asarray(numpyro.sample("particles", law.to_event(2)))[:, :, None, None]
    is_seen = exposure > 0
    rate = numpyro.deterministic("expected", jnp.where(is_seen, expected, 1.0))
    numpyro.sample("counts", dist.Poisson(rate).mask(is_seen).to_event(4))


def sky(
    grid: RegularGrid,
    log_energy: Float[Array, " b"],
    offset: Float[Array, ""],
    points: Float[Array, " 2"] | None,
    diffuse: tuple[tuple[str, Any], ...],
    index: tuple[tuple[str, Any], ...],
) -> dict[str, Float[Array, "b ny nx"]]:
    """Flux by component and band; declares the latents, and ``sky_diffuse`` and ``sky_points`` as deterministic sites."""
    energy = log_energy[:, None, None]
    log_flux = correlated_field("diffuse", grid, offset_mean=offset, **dict(diffuse))[None]
    if log_energy.shape[0] > 1:
        log_flux = log_flux + correlated_field("index", grid, **dict(index)) * energy
    parts = {"diffuse": jnp.exp(jnp.broadcast_to(log_flux, (log_energy.shape[0], *grid.shape)))}
    if points is not None:
        law = dist.InverseGamma(points[0], points[1]).expand(list(grid.shape)).to_event(2)
        flux = jnp.asarray(numpyro.sample("points", law))[None]
        if log_energy.shape[0] > 1:
            slope: Any = numpyro.sample("points_index", dist.Normal(0.0, 1.0).expand(list(grid.shape)).to_event(2))
            flux = flux * jnp.exp(slope * energy)
        parts["points"] = jnp.broadcast_to(flux, parts["diffuse"].shape)
    return {name: jnp.asarray(numpyro.deterministic(f"sky_{name}", value)) for name, value in parts.items()}


def build(
    counts: ArrayLike,
    exposure: ArrayLike,
    psf: ArrayLike,
    pixel_size: float,
    *,
    energies: ArrayLike | None = None,
    points: tuple[float, float] | None = (1.5, 0.1),
    flat: tuple[float, float] | None = None,
    particles: tuple[float, float] | None = None,
    mean_flux: float | None = None,
    min_exposure: float = 0.0,
    margin: int = 0,
    padding: float = 1.0,
    diffuse: Mapping[str, Prior] | None = None,
    index: Mapping[str, Prior] | None = None,
) -> Problem:
    """The program with counts.

    Parameters
    ----------
    counts : array, shape (ny, nx), (o, ny, nx) or (o, b, ny, nx)
        Of o observations of the same sky on the same pixels, in b bands.
    exposure : array
        Of the shape of `counts`, or one that broadcasts to it.
    psf : array
        Of shape (py, px), (o, py, px), (o, b, py, px) or (o, b, gy, gx, py, px), of odd sides.
    pixel_size : float
        In the unit of length in which wave numbers are to be told.
    energies : array, shape (b,)
        Of the bands, relative to the reference energy; needed of several.
    points : (float, float), optional
        Shape of the inverse-gamma law of point sources, and its scale in units of the mean flux; None for no points.
    flat : (float, float), optional
        Mean and standard deviation of the sky background, in units of the mean flux; by default there is none.
    particles : (float, float), optional
        The same of counts from particles, in units of the mean counts of a pixel that is seen.
    mean_flux : float, optional
        What priors are relative to; by default counts over exposure. Stages that start from each other need the same.
    min_exposure : float
        Pixels with less, such as at the edges of chips, are left out with their counts.
    margin : int
        Pixels of sky beyond each edge of the image, from which light is spread into it.
    padding : float
        As for :func:`correlated_field`.
    diffuse, index : mapping of str to prior, optional
        In place of some of `DIFFUSE` and `INDEX`.

    Raises
    ------
    ValueError
        If counts are negative or not whole, shapes do not fit, an exposure or point-spread function is negative or not
        finite, the latter is larger than the field or of even sides, no pixel has exposure, energies are missing, or a
        background or the mean flux is not positive.
    """
    seen, time = _counts(counts, exposure, min_exposure)
    spread = _psf(psf, seen.shape, margin)
    ratio = np.ones(1) if energies is None else np.atleast_1d(np.asarray(energies, float))
    if ratio.shape != seen.shape[1:2] or not (ratio > 0).all():
        raise ValueError(
            f"`energies` must be {seen.shape[1]} positive numbers, one for each band, but {energies} came."
        )
    _require_positive(flat, particles, mean_flux)
    edges = ((0, 0), (0, 0), (margin, margin), (margin, margin))
    seen, time = np.pad(seen, edges), np.pad(time, edges)
    mean = max(seen.sum(), 1.0) / time.sum() if mean_flux is None else mean_flux
    in_pixel = np.maximum(seen.sum((2, 3)), 1.0) / np.maximum((time > 0).sum((2, 3)), 1)
    return Problem(
        program,
        grid=regular_grid(seen.shape[2:], pixel_size, padding=padding),
        exposure=time,
        psf=spread,
        log_energy=np.log(ratio),
        offset=np.asarray(np.log(mean)),
        points=None if points is None else np.array([points[0], points[1] * mean]),
        flat=None if flat is None else np.tile(np.multiply(flat, mean), (seen.shape[1], 1)),
        particles=None if particles is None else np.multiply.outer(in_pixel, particles),
        diffuse=tuple((DIFFUSE | dict(diffuse or {})).items()),
        index=tuple((INDEX | dict(index or {})).items()),
        observed={"counts": seen},
    )


def _require_positive(flat: Any, particles: Any, mean_flux: float | None) -> None:
    for name, pair in (("flat", flat), ("particles", particles)):
        if pair is not None and (np.shape(pair) != (2,) or not all(value > 0 for value in pair)):
            raise ValueError(f"`{name}` must be a positive mean and standard deviation, but {pair} came.")
    if mean_flux is not None and not mean_flux > 0:
        raise ValueError(f"`mean_flux` must be positive, but {mean_flux} came.")


def _counts(counts: ArrayLike, exposure: ArrayLike, min_exposure: float) -> tuple[np.ndarray, np.ndarray]:
    """Of shape (o, b, ny, nx); 0 both where there is too little exposure."""
    found = np.asarray(counts)
    if not 2 <= found.ndim <= 4:
        raise ValueError(
            f"`counts` must be an image, images, or images by band, but an array of shape {found.shape} came."
        )
    require_counts(found)
    found = _by_observation_and_band(found.astype(int))
    try:
        time = np.broadcast_to(_by_observation_and_band(np.asarray(exposure, float)), found.shape).copy()
    except ValueError:
        raise ValueError(
            f"`exposure` of shape {np.shape(exposure)} does not fit `counts` of shape {np.shape(counts)}."
        ) from None
    if not np.isfinite(time).all() or (time < 0).any():
        raise ValueError("`exposure` must be finite and not below 0. Set it to 0 where nothing was seen.")
    if not (time > 0).any():
        raise ValueError("No pixel has an exposure.")
    if strays := int((found[time == 0] > 0).sum()):
        raise ValueError(f"{strays} pixels without exposure have counts. Are images and exposure maps aligned?")
    kept = time >= min_exposure
    if not kept.any():
        raise ValueError(f"No pixel has `min_exposure`, {min_exposure}; the largest is {time.max():.4g}.")
    return np.where(kept, found, 0), np.where(kept, time, 0.0)


def _by_observation_and_band(image: np.ndarray) -> np.ndarray:
    """Images of one observation or one band with axes for these."""
    if image.ndim == 2:
        return image[None, None]
    return image[:, None] if image.ndim == 3 else image


def _psf(psf: ArrayLike, shape: tuple[int, ...], margin: int) -> np.ndarray:
    """Of shape (o, b, gy, gx, py, px)."""
    found = np.asarray(psf, float)
    if found.ndim in (2, 3, 4):
        found = _by_observation_and_band(found)[:, :, None, None]
    if found.ndim != 6:
        raise ValueError(
            "`psf` must be an image, images, images by band, or (o, b, gy, gx, py, px) images at nodes, but an array of "
            f"shape {np.shape(psf)} came."
        )
    if not np.isfinite(found).all() or (found < 0).any():
        raise ValueError("`psf` must be finite and not below 0.")
    if found.shape[-2] % 2 == 0 or found.shape[-1] % 2 == 0:
        raise ValueError(f"`psf` needs odd sides, so that it has a middle pixel, but {found.shape[-2:]} came.")
    if found.shape[-2] > shape[-2] + 2 * margin or found.shape[-1] > shape[-1] + 2 * margin:
        raise ValueError(f"`psf` of {found.shape[-2:]} pixels is larger than the field of {shape[-2:]}. Cut its wings.")
    try:
        return np.broadcast_to(found, (*shape[:2], *found.shape[2:])).copy()
    except ValueError:
        raise ValueError(
            f"`psf` of shape {np.shape(psf)} does not fit {shape[0]} observations in {shape[1]} bands."
        ) from None
