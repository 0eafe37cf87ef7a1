"""One transiting planet: its orbit and radius with their priors, for the programs that see it."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float

from bayesastro.simulators.lightcurves.orbits import Orbit, axis_of_density, density_of_axis
from bayesastro.simulators.lightcurves.transits import exposed, limb_darkening, transit

__all__ = ["CLOSEST", "LARGEST", "Planet", "planet", "transit_flux"]

SMALLEST, LARGEST = 0.003, 0.3
"""Limits of the prior of R_p/R*."""

CLOSEST = 1.5
"""Least a/R* that the prior of the star's density allows."""

MOST_GRAZING = 1.0 - 1e-6
"""Of b/(1 + k), where a transit's length is still told from that of a central one."""


class Planet(NamedTuple):
    """An orbit, and the planet's radius in units of the star's."""

    orbit: Orbit
    radius_ratio: Array


def planet(
    period: Float[Array, " 2"], t0: Float[Array, " 2"], log_density: Float[Array, " 2"], eccentric: bool
) -> Planet:
    r"""A planet whose transits were found before.

    Sites:

    * ``period``, ``t0``: normal.
    * ``radius_ratio``: log-uniform from 0.003 to 0.3.
    * ``impact``: uniform from 0 to 1 + k, grazing transits included.
    * ``log_central_density``: of the star whose central transits last as long,
      :math:`\ln\rho_* - \tfrac32 \ln(1 - b^2/(1+k)^2)`. Data tell it well, and density and impact apart badly (Seager &
      Mallén-Ornelas 2003, arXiv:astro-ph/0206228), so that it is sampled. Its prior is that of the density of the star,
      which is normal in the logarithm, cut where a/R* would be below 1.5 at the prior mean of the period.
    * ``orbit_x``, ``orbit_y`` where `eccentric`: standard normals, with
      :math:`e = e_{max} (1 - e^{-(x^2 + y^2)/2})` and ω their polar angle. They make e uniform from 0 to
      :math:`e_{max} = 1 - (1 + k)/a`, beyond which the orbit runs into the star, and ω uniform; near a circular orbit
      they are proportional to :math:`\sqrt e \cos\omega, \sqrt e \sin\omega` (Eastman, Gaudi & Agol 2013,
      arXiv:1206.5798, section 2), and they have neither edge nor seam.

    Deterministic: ``log_density`` [g/cm³], ``scaled_axis``, and ``eccentricity`` and ``omega``.

    Parameters
    ----------
    period, t0 : arrays, shape (2,) [day]
        Mean and standard deviation.
    log_density : array, shape (2,)
        Mean and standard deviation of ln ρ* / (g/cm³).
    eccentric : bool
    """
    P = numpyro.sample("period", dist.Normal(period[0], period[1]))
    time = numpyro.sample("t0", dist.Normal(t0[0], t0[1]))
    lightest = jnp.log(density_of_axis(CLOSEST, period[0]))
    k: Any = numpyro.sample("radius_ratio", dist.LogUniform(SMALLEST, LARGEST))
    b: Any = numpyro.sample("impact", dist.Uniform(0.0, 1.0 + k))
    shorter = -1.5 * jnp.log1p(-jnp.square(jnp.minimum(b / (1.0 + k), MOST_GRAZING)))
    law = dist.TruncatedNormal(log_density[0] + shorter, log_density[1], low=lightest + shorter)
    density = numpyro.deterministic("log_density", numpyro.sample("log_central_density", law) - shorter)
    axis = numpyro.deterministic("scaled_axis", axis_of_density(jnp.exp(density), P))
    if not eccentric:
        return Planet(Orbit(P, time, axis, b), k)
    x: Any = numpyro.sample("orbit_x", dist.Normal(0.0, 1.0))
    y: Any = numpyro.sample("orbit_y", dist.Normal(0.0, 1.0))
    e = numpyro.deterministic("eccentricity", (1.0 - (1.0 + k) / axis) * -jnp.expm1(-0.5 * (x**2 + y**2)))
    omega = numpyro.deterministic("omega", jnp.arctan2(y, x))
    return Planet(Orbit(P, time, axis, b, e, omega), k)


def transit_flux(
    planet: Planet,
    time: Float[Array, " n"],
    exposure: Float[Array, ""] | Float[Array, " n"],
    near: Float[Array, " m"] | None,
    num_samples: int,
) -> Float[Array, " n"]:
    """Flux relative to the star's alone, 1 outside transit.

    Sites ``q1``, ``q2``: limb darkening, uniform from 0 to 1 (Kipping 2013, arXiv:1308.0009).

    Parameters
    ----------
    planet : Planet
    time : array, shape (n,) [day]
    exposure : scalar or array, shape (n,) [day]
    near : array of int, shape (m,), optional
        Places in `time` where a transit can be; all others are taken to be outside.
    num_samples : int
        Parts of an exposure.
    """
    q1 = numpyro.sample("q1", dist.Uniform(0.0, 1.0))
    q2 = numpyro.sample("q2", dist.Uniform(0.0, 1.0))
    u = limb_darkening(q1, q2)

    def change(time: Array) -> Array:
        return transit(time, planet.orbit, planet.radius_ratio, u)

    if near is None:
        return 1.0 + exposed(change, exposure, num_samples)(time)
    lengths = jnp.broadcast_to(exposure, time.shape)[near]
    return jnp.ones_like(time).at[near].add(exposed(change, lengths, num_samples)(time[near]))
