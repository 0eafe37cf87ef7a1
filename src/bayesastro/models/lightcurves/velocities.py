"""Radial velocities of several instruments on their way into a program, and their noise there."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike

from bayesastro.models.lightcurves.series import checked_series
from bayesastro.units import in_unit, said_unit

__all__ = ["Velocities", "checked_velocities", "observe"]


class Velocities(NamedTuple):
    """In order of time and in one unit, ``unit``, which is empty if none was given."""

    time: np.ndarray
    velocity: np.ndarray
    sigma: np.ndarray
    instrument: np.ndarray
    unit: str

    @property
    def extent(self) -> float:
        """Range of the velocities; of a single one its error."""
        return float(np.ptp(self.velocity)) if self.velocity.size > 1 else float(self.sigma[0])

    @property
    def offset(self) -> np.ndarray:
        """Mean of each instrument, and the range of all: centre and width of a prior, shape (i, 2)."""
        codes = range(int(self.instrument.max()) + 1)
        return np.array([(np.mean(self.velocity[self.instrument == code]), self.extent) for code in codes])

    def jitter_scale(self, given: float | None) -> np.ndarray:
        """That given, or three times the median of the errors."""
        return np.asarray(3.0 * np.median(self.sigma) if given is None else float(given))


def checked_velocities(
    time: ArrayLike, velocity: ArrayLike, sigma: ArrayLike, instrument: ArrayLike, *, prefix: str = ""
) -> Velocities:
    """Velocities as a program takes them.

    Parameters
    ----------
    time : array, shape (r,) [day]
    velocity, sigma : arrays, shape (r,)
        In any unit, numbers or quantities.
    instrument : array of int, shape (r,)
        From 0.
    prefix : str
        Of the names of times and errors in messages.

    Raises
    ------
    ValueError
        As :func:`~bayesastro.models.lightcurves.series.checked_series` does, and if an instrument has no velocity.
    """
    unit = said_unit(velocity)
    velocity, sigma = in_unit(velocity, unit, "velocity"), in_unit(sigma, unit, f"{prefix}sigma")
    time = in_unit(time, "d", f"{prefix}time")
    series = checked_series("radial velocities", time=time, sigma=sigma, velocity=velocity, instrument=instrument)
    codes = series["instrument"].astype(int)
    counts = np.bincount(codes) if np.array_equal(codes, series["instrument"]) and codes.min() >= 0 else np.zeros(1)
    if not counts.all():
        raise ValueError(
            "`instrument` must number the instruments 0, 1, … without gaps, with a velocity for each, but "
            f"{sorted(set(series['instrument'].tolist()))} came. Leave out instruments without data."
        )
    return Velocities(series["time"], series["velocity"], series["sigma"], codes, unit)


def observe(
    velocity: Float[Array, " r"],
    sigma: Float[Array, " r"],
    instrument: Int[Array, " r"],
    offset: Float[Array, "i 2"],
    jitter_scale: Float[Array, ""],
) -> None:
    """Sites ``offset``, normal, and ``rv_jitter``, half-normal, of each instrument; observed ``velocity``.

    Parameters
    ----------
    velocity, sigma : arrays, shape (r,)
        Of the orbit alone, and errors.
    instrument : array of int, shape (r,)
    offset : array, shape (i, 2)
        Mean and standard deviation for each of i instruments.
    jitter_scale : scalar
    """
    with numpyro.plate("instruments", offset.shape[0]):
        system: Any = numpyro.sample("offset", dist.Normal(offset[:, 0], offset[:, 1]))
        jitter: Any = numpyro.sample("rv_jitter", dist.HalfNormal(jitter_scale))
    scale = jnp.sqrt(jnp.square(sigma) + jnp.square(jitter[instrument]))
    numpyro.sample("velocity", dist.Normal(system[instrument] + velocity, scale))
