r"""One planet in the radial velocities of its star, by one or several instruments.

References
----------
Murray & Correia 2010, arXiv:1009.1738 (in *Exoplanets*, ed. Seager), section 4 (the velocity of a Keplerian orbit);
Eastman, Gaudi & Agol 2013, arXiv:1206.5798, section 2 (coordinates of eccentricity and periastron).
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from astropy.units import Unit
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike

from bayesastro.models.lightcurves.velocities import checked_velocities, observe
from bayesastro.problem import Problem
from bayesastro.simulators.lightcurves.orbits import conjunction, keplerian_velocity
from bayesastro.units import in_unit

__all__ = ["build", "program"]

MOST_ECCENTRIC = 0.95
"""End of the prior of the eccentricity."""

VELOCITIES = ("velocity", "sigma", "semi_amplitude", "largest_semi_amplitude", "offset", "rv_jitter", "jitter_scale")
"""Sites and arguments in the unit of the velocities."""

DAYS = ("time", "period", "t0", "t_periastron")


def _polar(name: str) -> tuple[Array, Array]:
    """A number uniform from 0 to 1 and an angle uniform from −π to π, of two standard normals without edge or seam."""
    x: Any = numpyro.sample(f"{name}_x", dist.Normal(0.0, 1.0))
    y: Any = numpyro.sample(f"{name}_y", dist.Normal(0.0, 1.0))
    return -jnp.expm1(-0.5 * (x**2 + y**2)), jnp.arctan2(y, x)


def program(
    time: Float[Array, " r"],
    sigma: Float[Array, " r"],
    instrument: Int[Array, " r"],
    period: Float[Array, " 2"],
    largest_semi_amplitude: Float[Array, ""],
    offset: Float[Array, "i 2"],
    jitter_scale: Float[Array, ""],
    trend_scale: Float[Array, ""] | None = None,
    eccentric: bool = True,
) -> None:
    r"""Radial velocities.

    Sites:

    * ``period``: log-uniform.
    * ``wave_x``, ``wave_y``: standard normals, with :math:`K = K_{max} (1 - e^{-(x^2 + y^2)/2})` and the mean longitude
      λ = M + ω at time 0 their polar angle: K is uniform from 0 to its largest, and λ uniform.
    * ``orbit_x``, ``orbit_y`` where `eccentric`: the same for e, uniform from 0 to 0.95, and ω.
    * ``offset``, the velocity of the system as each instrument sees it, normal, and ``rv_jitter`` of each, half-normal.
    * ``trend`` where `trend_scale` is given: normal, per day.

    Deterministic: ``semi_amplitude``, ``eccentricity`` and ``omega`` [rad] (of the star's orbit); ``t0``, the time of
    inferior conjunction, and ``t_periastron``, both the nearest to time 0. Observed: ``velocity``.

    Parameters
    ----------
    time : array, shape (r,) [day]
        From a time amid the velocities.
    sigma : array, shape (r,)
        In the unit of the velocities, as all that follow.
    instrument : array of int, shape (r,)
    period : array, shape (2,) [day]
        Least and greatest.
    largest_semi_amplitude : scalar
    offset : array, shape (i, 2)
        Mean and standard deviation for each of i instruments.
    jitter_scale, trend_scale : scalars
    eccentric : bool
    """
    P: Any = numpyro.sample("period", dist.LogUniform(period[0], period[1]))
    fraction, longitude = _polar("wave")
    K = numpyro.deterministic("semi_amplitude", largest_semi_amplitude * fraction)
    e, omega = jnp.zeros(()), jnp.zeros(())
    if eccentric:
        fraction, angle = _polar("orbit")
        e = numpyro.deterministic("eccentricity", MOST_ECCENTRIC * fraction)
        omega = numpyro.deterministic("omega", angle)
    numpyro.deterministic("t0", P * _turn(conjunction(e, omega) + omega - longitude))
    if eccentric:
        numpyro.deterministic("t_periastron", P * _turn(omega - longitude))
    velocity = keplerian_velocity(2.0 * jnp.pi * time / P + longitude, K, e, omega)
    if trend_scale is not None:
        velocity = velocity + time * numpyro.sample("trend", dist.Normal(0.0, trend_scale))
    observe(velocity, sigma, instrument, offset, jitter_scale)


def _turn(angle: Any) -> Any:
    """In turns, from −1/2 to 1/2."""
    return (angle / (2.0 * jnp.pi) + 0.5) % 1.0 - 0.5


def build(
    time: ArrayLike,
    velocity: ArrayLike,
    sigma: ArrayLike,
    instrument: ArrayLike | None = None,
    *,
    period: tuple[Any, Any],
    eccentric: bool = True,
    trend: bool = False,
    largest_semi_amplitude: float | None = None,
    jitter_scale: float | None = None,
    trend_scale: float | None = None,
) -> Problem:
    """The program with radial velocities.

    Where velocities leave several periods open, take `NestedSampler`; `NUTS` wants a range about one of them, some
    :math:`P^2` over the span of the data wide.

    Parameters
    ----------
    time, velocity, sigma : arrays, shape (r,)
        Times [day], velocities and errors in any unit; in any order. Of quantities the unit of the velocities is that of
        results. The program counts days from the mean of the times rounded to a day, which is taken off ``t0`` and
        ``t_periastron``, too.
    instrument : array of int, shape (r,), optional
        From 0; every instrument has at least one velocity. By default there is one.
    period : (float, float) [day]
        Least and greatest.
    eccentric, trend : bool
        Whether the orbit may be eccentric, and whether the velocity of the system may change, such as by a companion far
        out.
    largest_semi_amplitude : float, optional
        End of the uniform prior; by default the range of the velocities.
    jitter_scale : float, optional
        Of the half-normal priors; by default three times the median of `sigma`.
    trend_scale : float, optional
        Of the normal prior, per day; by default the range of the velocities over that of the times.

    Raises
    ------
    ValueError
        If times, velocities, errors or instruments are not such, or `period` is no range of positive times.
    """
    codes = np.zeros(np.shape(time), int) if instrument is None else instrument
    series = checked_velocities(time, velocity, sigma, codes)
    ends = np.array([in_unit(end, "d", "period") for end in period]) if np.iterable(period) else np.zeros(1)
    if ends.shape != (2,) or not 0.0 < ends[0] < ends[1] < np.inf:
        raise ValueError(f"`period` must be its least and greatest value, both positive, but {period!r} came.")
    span = float(np.ptp(series.time)) or 1.0
    slope = series.extent / span if trend_scale is None else float(trend_scale)
    units: dict[str, Any] = dict.fromkeys(DAYS, "d") | {"omega": "rad"}
    if series.unit:
        units |= dict.fromkeys(VELOCITIES, series.unit)
        units |= dict.fromkeys(("trend", "trend_scale"), Unit(series.unit) / Unit("d"))
    return Problem(
        program,
        series.time - np.round(np.mean(series.time)),
        series.sigma,
        series.instrument,
        ends,
        np.asarray(series.extent if largest_semi_amplitude is None else float(largest_semi_amplitude)),
        series.offset,
        series.jitter_scale(jitter_scale),
        np.asarray(slope) if trend else None,
        eccentric,
        observed={"velocity": series.velocity},
    ).with_units(units)
