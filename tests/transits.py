"""Small made-up light curves and velocities of a transiting planet, which several tests are about."""

import jax.numpy as jnp
import numpy as np

from bayesastro.models.lightcurves import radial_velocities, transit, transit_rv
from bayesastro.problem import Problem
from bayesastro.simulators.lightcurves.orbits import keplerian_velocity

EPHEMERIS = {"period": (3.0, 0.01), "t0": (2459000.25, 0.005), "density": (1.4, 0.3)}
RNG_SEED = 5


def light_curve(num: int = 60) -> tuple[np.ndarray, ...]:
    """Times in BJD over one transit, fluxes and errors."""
    rng = np.random.default_rng(RNG_SEED)
    time = 2459000.25 + np.arange(-num // 2, num - num // 2) / 256
    sigma = rng.uniform(4e-4, 6e-4, num)
    return time, 1.0 - 0.01 * (np.abs(time - 2459000.25) < 0.05) + sigma * rng.normal(size=num), sigma


def problem(num: int = 60, **settings) -> Problem:
    """The transit of one night."""
    return transit.build(*light_curve(num), **{**EPHEMERIS, **settings})


def joint(num: int = 60, **settings) -> Problem:
    """The same with a dozen velocities of two instruments, not in order."""
    rng = np.random.default_rng(RNG_SEED + 1)
    rv_time, instrument = 2459000.0 + rng.uniform(0, 60, 12), np.arange(12) % 2
    velocity = 10.0 * instrument - 60.0 * np.sin(2 * np.pi * (rv_time - 2459000.25) / 3.0) + 5.0 * rng.normal(size=12)
    return transit_rv.build(
        *light_curve(num), rv_time, velocity, np.full(12, 5.0), instrument, **{**EPHEMERIS, **settings}
    )


def velocities(num: int = 24, **settings) -> Problem:
    """Velocities alone of an eccentric orbit of 3 days, by two instruments, with a trend."""
    rng = np.random.default_rng(RNG_SEED + 2)
    time, instrument = 2459000.0 + rng.uniform(0, 60, num), np.arange(num) % 2
    longitude = 2 * np.pi * (time - 2459000.0) / 3.0
    curve = keplerian_velocity(jnp.asarray(longitude), 60.0, 0.3, 1.0)
    velocity = 10.0 * instrument + 0.2 * (time - 2459000.0) + np.asarray(curve) + 5.0 * rng.normal(size=num)
    return radial_velocities.build(
        time, velocity, np.full(num, 5.0), instrument, **{"period": (2.9, 3.1), "trend": True, **settings}
    )
