"""Orbits and transits: batman as the oracle, closed forms, gradients where formulas are singular, Julian dates."""

import batman
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy import constants, units

from bayesastro.simulators.lightcurves import orbits
from bayesastro.simulators.lightcurves.orbits import Orbit, axis_of_density, density_of_axis
from bayesastro.simulators.lightcurves.transits import exposed, limb_darkening, transit

BATMAN = 1e-7
"""How far batman's own polynomial elliptic integrals may be off."""


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def batmans(time, period, a, inclination, k, e, omega, u, **settings):
    parameters = batman.TransitParams()
    parameters.t0, parameters.per, parameters.a, parameters.inc = 0.0, period, a, np.degrees(inclination)
    parameters.rp, parameters.ecc, parameters.w = k, e, np.degrees(omega)
    parameters.limb_dark, parameters.u = "quadratic", list(u)
    return batman.TransitModel(parameters, time, **settings).light_curve(parameters)


@jax.jit
def circular(time, period, a, b, k, u):
    return 1 + transit(time, Orbit(period, 0.0, a, b), k, u)


@jax.jit
def eccentric(time, period, a, b, k, u, e, omega):
    return 1 + transit(time, Orbit(period, 0.0, a, b, e, omega), k, u)


def ours(time, period, a, inclination, k, e, omega, u):
    b = a * np.cos(inclination) * (1 - e**2) / (1 + e * np.sin(omega))
    u = jnp.asarray(u, time.dtype)
    if e == 0:
        return circular(jnp.asarray(time), period, a, b, k, u)
    return eccentric(jnp.asarray(time), period, a, b, k, u, e, omega)


def test_stored_values_of_batman():
    time = np.array([-0.06, -0.04, -0.02, 0, 0.03, 0.05])
    expected = [1, 0.99059663, 0.98879855, 0.98839293, 0.98942029, 0.99591587]
    flux = ours(time, 3.0, 8.0, np.radians(87), 0.1, 0.1, np.radians(60), (0.4, 0.2))
    np.testing.assert_allclose(flux, expected, atol=1e-8)


@pytest.mark.parametrize("is_circular", [True, False])
def test_light_curves_equal_batmans(is_circular):
    rng = np.random.default_rng(1)
    for _ in range(25):
        period, a = rng.uniform(1, 20), rng.uniform(4, 30)
        k = np.exp(rng.uniform(np.log(0.005), np.log(0.3)))
        e, omega = (0.0, np.pi / 2) if is_circular else (rng.uniform(0.01, 0.6), rng.uniform(-np.pi, np.pi))
        u = np.asarray(limb_darkening(*rng.uniform(size=2)))
        b = rng.uniform(0, 1 + k)
        inclination = np.arccos(b / a * (1 + e * np.sin(omega)) / (1 - e**2))
        time = np.sort(rng.uniform(-0.5, 0.5, 200)) * period / a
        expected = batmans(time, period, a, inclination, k, e, omega, u)
        np.testing.assert_allclose(ours(time, period, a, inclination, k, e, omega, u), expected, atol=BATMAN)


def test_exposures_equal_batmans_supersampling():
    """batman averages over points from the first moment to the last; those of an exposure shorter by a seventh are the
    midpoints of the sevenths."""
    time, length = np.linspace(-0.15, 0.15, 60), 0.0204
    settings = {"supersample_factor": 7, "exp_time": length * 6 / 7}
    expected = batmans(time, 6.57, 14.0, np.radians(89), 0.116, 0.1, 1.0, (0.5, 0.1), **settings)
    b = 14.0 * np.cos(np.radians(89)) * (1 - 0.01) / (1 + 0.1 * np.sin(1.0))
    orbit = Orbit(6.57, 0.0, 14.0, b, 0.1, 1.0)
    flux = exposed(lambda t: transit(t, orbit, 0.116, jnp.array([0.5, 0.1])), length, 7)(jnp.asarray(time))
    np.testing.assert_allclose(1 + flux, expected, atol=BATMAN)
    each = exposed(lambda t: transit(t, orbit, 0.116, jnp.array([0.5, 0.1])), jnp.full(60, length), 7)
    np.testing.assert_allclose(each(jnp.asarray(time)), flux, rtol=1e-12)


def test_twenty_nodes_are_enough():
    rng = np.random.default_rng(2)
    for k in (0.005, 0.05, 0.1, 0.3):
        b = np.concatenate([rng.uniform(0, 1 + k, 300), 1 - k + np.geomspace(1e-6, 1e-2, 50)])
        time = np.arcsin(np.clip(b / 20, -1, 1)) / (2 * np.pi)
        orbit, u = Orbit(1.0, 0.0, 20.0, 0.0), jnp.array([0.4, 0.3])
        few, many = (transit(jnp.asarray(time), orbit, k, u, order=order) for order in (20, 60))
        assert np.abs(few - many).max() < 1e-6 * k**2


def test_planet_behind_its_star_takes_no_light_and_has_no_gradient():
    def flux(k):
        return transit(jnp.array([1.5, 1.6]), Orbit(3.0, 0.0, 8.0, 0.1), k, jnp.array([0.4, 0.2]))

    values, slopes = jax.jit(lambda k: jax.jvp(flux, (k,), (1.0,)))(0.1)
    assert np.all(np.asarray(values) == 0)
    assert np.all(np.asarray(slopes) == 0)


def test_limb_darkening_covers_the_triangle_of_positive_falling_profiles():
    q = np.random.default_rng(3).uniform(size=(2, 500))
    u1, u2 = np.asarray(jax.vmap(limb_darkening)(*jnp.asarray(q))).T
    np.testing.assert_allclose((u1 + u2) ** 2, q[0])
    np.testing.assert_allclose(0.5 * u1 / (u1 + u2), q[1])
    assert (u1 + u2 < 1).all()
    assert (u1 > 0).all()
    assert (u1 + 2 * u2 > 0).all()


def test_density_and_axis():
    sun = 3 * constants.M_sun / (4 * np.pi * constants.R_sun**3)
    year = np.sqrt(4 * np.pi**2 * constants.au**3 / (constants.G * constants.M_sun)).to_value(units.day)
    a = axis_of_density(sun.to_value(units.g / units.cm**3), year)
    assert float(a) == pytest.approx(float(constants.au / constants.R_sun), rel=1e-9)
    assert float(density_of_axis(a, year)) == pytest.approx(sun.to_value(units.g / units.cm**3), rel=1e-9)
    assert pytest.approx(constants.G.to_value(units.cm**3 / units.g / units.day**2), rel=1e-10) == orbits.GRAVITY


@pytest.mark.parametrize("e", [0.0, 0.3, 0.8])
def test_velocity_is_that_of_the_position(e):
    """The star recedes while the planet approaches: v ∝ d/dt of the planet's height above the sky plane."""
    omega = 0.7
    orbit = Orbit(5.0, 1.0, 10.0, 0.0, e, omega) if e else Orbit(5.0, 1.0, 10.0, 0.0)

    def height(t):
        sin_wf, _, distance = orbit._anomaly(t)
        return distance * sin_wf

    time = jnp.linspace(0.0, 5.0, 21)
    rate = jax.vmap(jax.grad(height))(time) * 5.0 / (2 * np.pi) * np.sqrt(1 - e**2)
    np.testing.assert_allclose(orbit.radial_velocity(time, 30.0), 30.0 * rate, atol=1e-9)
    np.testing.assert_allclose(orbit.separation(jnp.array([1.0]))[0], 0.0, atol=1e-12)


def test_kepler_values():
    """M, e → f, from checks of the literature: here by ω = π/2, where conjunction is periastron."""
    for M, e, sin_f, cos_f in ((0.3, 0.1, 0.35883328, 0.93340167), (1.7, 0.6, 0.48374297, -0.87521011)):
        orbit = Orbit(2 * np.pi, 0.0, 10.0, 0.0, e, np.pi / 2)
        sin_wf, cos_wf, _ = orbit._anomaly(jnp.array([M]))
        np.testing.assert_allclose([sin_wf[0], cos_wf[0]], [cos_f, -sin_f], atol=1e-8)


def test_gradients_equal_finite_differences_and_are_finite_at_hard_points():
    def flux(theta, time):
        t0, a, b, k, q1, q2, e, omega = theta
        return transit(time, Orbit(3.0, t0, a, b, e, omega), k, limb_darkening(q1, q2))

    theta = jnp.array([0.001, 9.0, 0.3, 0.1, 0.4, 0.3, 0.2, 0.5])
    time = jnp.array([-0.05, -0.02, 0.01, 0.03])
    jacobian = jax.jit(jax.vmap(jax.jacrev(flux), in_axes=(0, None)))
    gradient = jacobian(theta[None], time)[0]
    steps = 1e-6 * jnp.eye(8)
    up, down = (jax.jit(jax.vmap(flux, in_axes=(0, None)))(theta + sign * steps, time) for sign in (1, -1))
    np.testing.assert_allclose(gradient.T, (up - down) / 2e-6, atol=2e-8, rtol=1e-5)
    # The centre of the disc, the contacts, and the planet's limb upon the centre.
    places = jnp.array([(0.1, 0.0), (0.1, 0.9), (0.1, 1.1), (0.3, 0.3), (0.3, 0.7)])
    hard = jnp.stack([theta.at[jnp.array([0, 2, 3])].set(jnp.array([0.0, b, k])) for k, b in places])
    assert np.isfinite(jacobian(hard, jnp.array([0.0, 1e-9, 1.0, 1.5]))).all()


def test_times_in_julian_dates_lose_nothing():
    """A planet's phase is the same for times about zero and for the same times in BJD, down to the dates' own digits."""
    reference, day = 2457582.0, 86400.0
    time = np.arange(-400, 400) / 1024  # binary fractions of a day: exact in both systems
    k, u = 0.1, jnp.array([0.4, 0.2])
    near = transit(jnp.asarray(time), Orbit(0.75, 0.125, 4.0, 0.2), k, u)
    far = transit(jnp.asarray(time + reference), Orbit(0.75, reference + 0.125, 4.0, 0.2), k, u)
    np.testing.assert_allclose(near, far, atol=1e-15)
    moved = transit(jnp.asarray(time), Orbit(0.75, 0.125 + 1e-6 / day, 4.0, 0.2), k, u)
    slope = jax.jvp(lambda t: transit(jnp.asarray(time), Orbit(0.75, t, 4.0, 0.2), k, u), (0.125,), (1.0,))[1]
    ingress = np.abs(slope) > 0.05
    np.testing.assert_allclose((moved - near)[ingress] / np.asarray(slope)[ingress] * day, 1e-6, rtol=1e-3)


def test_orbits_refuse_half_an_eccentricity():
    with pytest.raises(ValueError, match="both `eccentricity` and `omega`"):
        Orbit(1.0, 0.0, 5.0, 0.1, eccentricity=0.1)
    with pytest.raises(ValueError, match="`num_samples`"):
        exposed(jnp.sin, 0.1, 0)


def test_single_precision():
    time = np.linspace(-0.1, 0.1, 50)
    double = ours(time, 3.0, 8.0, np.radians(88), 0.1, 0.2, 1.0, (0.4, 0.2))
    with jax.enable_x64(False):
        single = ours(time.astype(np.float32), 3.0, 8.0, np.radians(88), 0.1, 0.2, 1.0, (0.4, 0.2))
        assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, double, atol=3e-6)
