"""The pixels of a spectrograph, even in log wavelength on each of its detectors."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from bayesastro.simulators.spectra.broadening import LIGHT_SPEED, broadened, doppler_shifted_pixels, rotation_kernel

__all__ = ["Spectrograph", "binned", "spectrograph_of"]


class Spectrograph(eqx.Module):
    """Pixels even in log wavelength but for gaps between detectors; see :func:`spectrograph_of`.

    Parameters
    ----------
    step : float [km/s]
        Between pixels.
    detectors : tuple of (int, int)
        First pixel, and the one after the last, of each.
    """

    step: float = eqx.field(static=True)
    detectors: tuple[tuple[int, int], ...] = eqx.field(static=True)

    @property
    def parts(self) -> list[slice]:
        """The detectors' pixels."""
        return [slice(*ends) for ends in self.detectors]

    def shifted(self, flux: Float[Array, " n"], velocity: Float[ArrayLike, ""]) -> Float[Array, " n"]:
        """A spectrum shifted by a velocity [km/s]."""
        return doppler_shifted_pixels(flux, self.step, velocity, self.parts)

    def rotating(self, flux: Float[Array, " n"], v_sin_i: Float[ArrayLike, ""], largest: float) -> Float[Array, " n"]:
        """A spectrum broadened by rotation [km/s] of at most `largest`."""
        return broadened(flux, rotation_kernel(v_sin_i, self.step, int(largest / self.step) + 1), self.parts)

    def bins(self, size: int) -> Int[np.ndarray, " n"]:
        """The bin of each pixel: `size` neighbours on one detector, of which the last bin has also those left over."""
        places, first = [], 0
        for begin, end in self.detectors:
            number = max((end - begin) // size, 1)
            places.append(first + np.minimum(np.arange(end - begin) // size, number - 1))
            first += number
        return np.concatenate(places)


def binned(
    flux: Float[Array | np.ndarray, " n"], place: Int[Array | np.ndarray, " n"], num_bins: int
) -> Float[Array, " num_bins"]:
    """Means over the pixels of bins.

    Parameters
    ----------
    flux : array, shape (n,)
    place : array of int, shape (n,)
        The bin of each pixel, not falling; each has at least one.
    num_bins : int
    """

    def total(values: Array) -> Array:
        return jax.ops.segment_sum(values, place, num_bins, indices_are_sorted=True)

    values = jnp.asarray(flux)
    return total(values) / total(jnp.ones_like(values))


def spectrograph_of(wavelength: Float[np.ndarray, " n"]) -> Spectrograph:
    """The detectors of some wavelengths.

    Raises
    ------
    ValueError
        If they do not rise, or are not even in the logarithm but for gaps.
    """
    step = np.diff(np.log(wavelength))
    small = float(np.median(step))
    number = np.round(step / small)
    if not (number >= 1).all() or not np.allclose(step, number * small, rtol=0, atol=1e-3 * small):
        raise ValueError(
            "Wavelengths must rise and be even in the logarithm but for gaps, but steps in the logarithm from "
            f"{step.min():.3g} to {step.max():.3g} came. Interpolate the spectrum first."
        )
    ends = np.flatnonzero(number > 1) + 1
    bounds = zip([0, *ends], [*ends, len(wavelength)], strict=True)
    return Spectrograph(LIGHT_SPEED * small, tuple((int(a), int(b)) for a, b in bounds))
