"""Doppler shifts, and broadening by rotation, turbulence and instruments, of spectra on a grid even in log wavelength.

References
----------
Gray 2005, The Observation and Analysis of Stellar Photospheres, equation 18.14 (rotation); Keys 1981, IEEE Trans. ASSP 29,
1153 (cubic convolution).
"""

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import scipy.constants
from jax.scipy.signal import fftconvolve
from jax.typing import ArrayLike
from jaxtyping import Array, Float

__all__ = [
    "LIGHT_SPEED",
    "broadened",
    "doppler_shifted",
    "doppler_shifted_pixels",
    "gaussian_kernel",
    "rotation_kernel",
]

LIGHT_SPEED = 1e-3 * scipy.constants.speed_of_light
"""km/s"""


def doppler_shifted(
    flux: Float[Array, " n"],
    wavelength: Float[Array | np.ndarray, " n"],
    velocity: Float[ArrayLike, ""],
    *,
    order: Literal["linear", "cubic"] = "cubic",
) -> Float[Array, " n"]:
    r"""The spectrum of a source that recedes, at the same wavelengths: :math:`f(\lambda \sqrt{(1 - v/c) / (1 + v/c)})`.

    Beyond the ends the spectrum is that of the last pixel.

    Parameters
    ----------
    flux : array, shape (n,)
    wavelength : array, shape (n,)
        Rising.
    velocity : scalar [km/s]
    order : {"linear", "cubic"}
        Of the interpolation between pixels. The cubic one has a continuous gradient.
    """
    beta = jnp.asarray(velocity) / LIGHT_SPEED
    rest = jnp.asarray(wavelength) * jnp.sqrt((1.0 - beta) / (1.0 + beta))
    if order == "linear":
        return jnp.interp(rest, jnp.asarray(wavelength), flux)
    last = flux.shape[0] - 1
    place = jnp.interp(rest, jnp.asarray(wavelength), jnp.arange(last + 1.0))
    below = jax.lax.stop_gradient(jnp.clip(jnp.floor(place), 0, last - 1)).astype(int)
    taps = [flux[jnp.clip(below + k, 0, last)] for k in (-1, 0, 1, 2)]
    return _between(taps, place - below)


def doppler_shifted_pixels(
    flux: Float[Array, " n"],
    step: Float[ArrayLike, ""],
    velocity: Float[ArrayLike, ""],
    detectors: Sequence[slice] | None = None,
) -> Float[Array, " n"]:
    """As :func:`doppler_shifted` with cubic interpolation, on wavelengths that are even in the logarithm, where it is quicker.

    Beyond the ends of a detector the spectrum is that of its last pixel.

    Parameters
    ----------
    flux : array, shape (n,)
    step : scalar [km/s]
        Between pixels: the speed of light times the step in log wavelength.
    velocity : scalar [km/s]
    detectors : sequence of slice, optional
        Stretches of pixels without a gap; by default all.
    """
    beta = jnp.asarray(velocity) / LIGHT_SPEED
    pixels = 0.5 * (jnp.log1p(-beta) - jnp.log1p(beta)) * LIGHT_SPEED / step
    below = jax.lax.stop_gradient(jnp.floor(pixels))
    moved = []
    for part in detectors or [slice(None)]:
        values = flux[part]
        n = values.shape[0]
        padded = jnp.pad(values, n + 2, mode="edge")
        first = jnp.clip(below.astype(int) + n + 2, 1, 2 * n + 1)
        taps = [jax.lax.dynamic_slice_in_dim(padded, first + k, n) for k in (-1, 0, 1, 2)]
        moved.append(_between(taps, pixels - below))
    return jnp.concatenate(moved)


def _between(taps: Sequence[Array], t: Array) -> Array:
    """The cubic through the two in the middle of four, with slopes from neighbours, at the place t from 0 to 1 between them."""
    before, first, second, after = taps
    slope, next_slope = 0.5 * (second - before), 0.5 * (after - first)
    return (
        (1.0 + t**2 * (2.0 * t - 3.0)) * first
        + t**2 * (3.0 - 2.0 * t) * second
        + t * (1.0 - t) ** 2 * slope
        + t**2 * (t - 1.0) * next_slope
    )


def rotation_kernel(
    v_sin_i: Float[ArrayLike, ""], step: float, half_width: int, *, limb_darkening: Float[ArrayLike, ""] = 0.6
) -> Float[Array, " m"]:
    """The profile of a line that only rotation broadens, integrated over pixels.

    Parameters
    ----------
    v_sin_i : scalar [km/s]
        Of at most `half_width` steps; 0 for none.
    step : float [km/s]
        Between pixels.
    half_width : int
        Pixels on either side of the middle.
    limb_darkening : scalar
        Linear coefficient.

    Returns
    -------
    array, shape (2 half_width + 1,)
        Of unit sum.
    """
    edges = step * (np.arange(2 * half_width + 2) - half_width - 0.5)
    v, epsilon = jnp.asarray(v_sin_i), jnp.asarray(limb_darkening)
    scaled = edges / jnp.where(v > 0, v, 1.0)
    scaled = jnp.where(v > 0, scaled, jnp.inf * jnp.sign(edges))
    is_within = jnp.abs(scaled) < 1.0
    x = jnp.where(is_within, scaled, 0.0)
    disc = 0.5 * (x * jnp.sqrt(1.0 - x**2) + jnp.arcsin(x))
    inside = ((1.0 - epsilon) * 2.0 * disc + 0.5 * jnp.pi * epsilon * (x - x**3 / 3.0)) / (
        jnp.pi * (1.0 - epsilon / 3.0)
    )
    return jnp.diff(jnp.where(is_within, inside, 0.5 * jnp.sign(scaled)))


def gaussian_kernel(sigma: Float[ArrayLike, ""], step: float, half_width: int) -> Float[Array, " m"]:
    """A normal profile, integrated over pixels and cut at `half_width`.

    Parameters
    ----------
    sigma : scalar [km/s]
        Above 0.
    step, half_width
        As for :func:`rotation_kernel`.

    Returns
    -------
    array, shape (2 half_width + 1,)
        Of unit sum.
    """
    edges = step * (np.arange(2 * half_width + 2) - half_width - 0.5)
    profile = jnp.diff(jax.scipy.stats.norm.cdf(edges / jnp.asarray(sigma)))
    return profile / jnp.sum(profile)


def broadened(
    flux: Float[Array, " n"], kernel: Float[Array, " m"], detectors: Sequence[slice] | None = None
) -> Float[Array, " n"]:
    """A spectrum convolved with a kernel; beyond the ends it is that of the last pixel.

    Parameters
    ----------
    flux : array, shape (n,)
    kernel : array, shape (2 k + 1,)
    detectors : sequence of slice, optional
        Stretches of pixels without a gap, each convolved for itself.
    """
    half = kernel.shape[0] // 2
    parts = [jnp.pad(flux[part], half, mode="edge") for part in detectors or [slice(None)]]
    # Not `jnp.convolve`: many spectra, each with its kernel, become a grouped convolution, a thousand times as slow on CPU.
    return jnp.concatenate([fftconvolve(part, kernel, mode="valid") for part in parts])
