"""Radial velocities alone: the curve and density by hand, priors, awkward data, a real planet."""

import astropy.units as u
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import transits
from scipy import optimize, stats

import bayesastro as ba
from bayesastro.models.lightcurves import examples, radial_velocities
from bayesastro.precision import working_precision
from bayesastro.simulators.lightcurves.orbits import Orbit, conjunction, keplerian_velocity

THETA = {
    "period": 2.98, "wave_x": 0.8, "wave_y": -0.9, "orbit_x": 0.5, "orbit_y": 0.6, "trend": 0.3,
    "offset": np.array([1.0, 9.0]), "rv_jitter": np.array([2.0, 3.0]),
}  # fmt: skip


@pytest.fixture(scope="module")
def problem():
    return transits.velocities()


def curve(time, theta, K, e, omega):
    """Kepler's equation solved by bisection."""
    mean = 2 * np.pi * time / theta["period"] + np.arctan2(theta["wave_y"], theta["wave_x"]) - omega
    E = np.array([optimize.brentq(lambda E, M=M: E - e * np.sin(E) - M, M - 1, M + 1, xtol=1e-14) for M in mean])
    f = 2 * np.arctan2(np.sqrt(1 + e) * np.sin(E / 2), np.sqrt(1 - e) * np.cos(E / 2))
    return K * (np.cos(omega + f) + e * np.cos(omega))


def test_density_by_hand(problem):
    data = problem.covariates
    K = data["largest_semi_amplitude"] * (1 - np.exp(-(0.8**2 + 0.9**2) / 2))
    e, omega = 0.95 * (1 - np.exp(-(0.5**2 + 0.6**2) / 2)), np.arctan2(0.6, 0.5)
    code = data["instrument"]
    mean = THETA["offset"][code] + THETA["trend"] * data["time"] + curve(data["time"], THETA, K, e, omega)
    sd = np.hypot(data["sigma"], THETA["rv_jitter"][code])
    expected = stats.norm(mean, sd).logpdf(problem.observed["velocity"])
    np.testing.assert_allclose(problem.log_likelihood(THETA)["velocity"], expected, rtol=1e-9)
    prior = problem.log_prior(THETA)
    assert prior["period"] == pytest.approx(stats.loguniform(2.9, 3.1).logpdf(2.98))
    assert prior["trend"] == pytest.approx(stats.norm(0, data["trend_scale"]).logpdf(0.3))
    found = problem.replay(THETA)
    assert (found["semi_amplitude"], found["eccentricity"], found["omega"]) == pytest.approx((K, e, omega))
    at = np.array([found["t0"], found["t_periastron"]])
    np.testing.assert_allclose(curve(at, THETA, K, e, omega), K * np.cos(omega) * np.array([e, 1 + e]), atol=1e-9)
    assert (np.abs(at) <= 2.98 / 2).all()


@pytest.mark.parametrize(("e", "omega"), [(0.0, 0.0), (0.4, 2.0), (0.9, -1.0)])
def test_velocity_is_that_of_an_orbit_told_by_its_conjunction(e, omega):
    with working_precision("double"):
        time = jnp.linspace(0.0, 10.0, 41)
        longitude = 2 * jnp.pi * (time - 1.0) / 5.0 + conjunction(e, omega) + omega
        orbit = Orbit(5.0, 1.0, 10.0, 0.0, e, omega) if e else Orbit(5.0, 1.0, 10.0, 0.0)
        found = keplerian_velocity(longitude, 30.0, e, omega)
        np.testing.assert_allclose(found, orbit.radial_velocity(time, 30.0), atol=1e-9)


def test_amplitude_eccentricity_and_angles_are_uniform(problem):
    drawn = problem.simulate(2000, key=jax.random.key(1)).parameters
    found = problem.replay(drawn, batch_ndims=1)
    largest = float(problem.covariates["largest_semi_amplitude"])
    for values, low, high in (
        (found["semi_amplitude"], 0.0, largest),
        (found["eccentricity"], 0.0, 0.95),
        (found["omega"], -np.pi, np.pi),
        (np.arctan2(drawn["wave_y"], drawn["wave_x"]), -np.pi, np.pi),
    ):
        assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-4


def test_circular_orbits_have_no_more_sites_than_they_need():
    found = transits.velocities(12, eccentric=False, trend=False)
    assert [site.name for site in found.parameters] == ["period", "wave_x", "wave_y", "offset", "rv_jitter"]
    assert found.views().deterministics == ("semi_amplitude", "t0")


def test_units_and_one_instrument():
    time, velocity = np.array([1.0, 2.5, 4.0, 7.5]), np.array([10.0, -20.0, 30.0, 0.0])
    plain = radial_velocities.build(time, velocity, 2.0, period=(2.0, 4.0), trend=True)
    assert plain.units["t0"] == "d"
    found = radial_velocities.build(
        time * u.d, velocity * u.m / u.s, 0.002 * u.km / u.s, period=(48 * u.h, 96 * u.h), trend=True
    )
    assert found.units["semi_amplitude"] == "m / s"
    assert found.units["trend"] == "m / (d s)"
    for name, array in plain.covariates.items():
        np.testing.assert_allclose(found.covariates[name], array)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"period": (4.0, 2.0)}, "`period` must be its least and greatest value"),
        ({"period": 3.0}, "`period` must be its least and greatest value"),
        ({"instrument": [0, 2, 0, 2]}, "without gaps"),
        ({"sigma": 0.0}, "not positive"),
        ({"velocity": [1.0, np.nan, 2.0, 3.0]}, "not finite"),
    ],
)
def test_bad_velocities_are_refused(change, message):
    given = {"time": np.arange(4.0), "velocity": np.arange(4.0), "sigma": 1.0, "period": (2.0, 4.0)}
    with pytest.raises(ValueError, match=message):
        radial_velocities.build(**{**given, **change})


@pytest.mark.slow
def test_a_published_planet(published_data):
    """K2-140 b: Giles et al. 2018, MNRAS 475, 1809: P = 6.5693 d, e = 0.12 ± 0.05; the mass of 1.019 ± 0.070 M_J makes K = 0.11 km/s."""
    published_data("k2_140_velocities")
    result = ba.fit(examples.k2_140_velocities(), ba.NUTS(target_accept=0.9), seed=1, progress=False)
    assert not ba.diagnose(result)
    posterior = result["posterior"]
    for name, value, error in (("period", 6.5693, 1e-4), ("semi_amplitude", 0.11, 0.01), ("eccentricity", 0.12, 0.05)):
        assert abs(float(posterior[name].mean()) - value) < 3 * np.hypot(float(posterior[name].std()), error), name
    assert float(posterior["period"].std()) < 0.02
    assert float(posterior["semi_amplitude"].std()) < 0.015
