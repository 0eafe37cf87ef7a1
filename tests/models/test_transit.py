"""Transits with Gaussian processes and velocities: densities by hand, awkward light curves, calibration, real stars."""

import batman
import celerite2
import jax
import numpy as np
import pytest
import transits
from celerite2 import terms
from scipy import optimize, stats

import bayesastro as ba
from bayesastro.models.lightcurves import examples, transit, transit_rv
from bayesastro.simulators.lightcurves.orbits import GRAVITY

LOG_DENSITY = 0.2
THETA = {
    "period": 3.004, "t0": 0.002, "log_central_density": LOG_DENSITY - 1.5 * np.log(1 - (0.3 / 1.1) ** 2),
    "radius_ratio": 0.1, "impact": 0.3, "q1": 0.4, "q2": 0.3, "level": 1.0003, "jitter": 2e-4,
}  # fmt: skip
ROTATION = {"gp_sigma": 5e-4, "gp_period": 0.2, "gp_Q0": 1.0, "gp_dQ": 0.5, "gp_f": 0.3}
VELOCITIES = {
    "orbit_x": 0.3, "orbit_y": -0.4, "semi_amplitude": 55.0,
    "offset": np.array([1.0, 9.0]), "rv_jitter": np.array([2.0, 3.0]),
}  # fmt: skip


@pytest.fixture(scope="module")
def white():
    return transits.problem(exposure=0.02, num_samples=5, window=0.1)


@pytest.fixture(scope="module")
def rotating():
    return transits.problem(variability="rotation", mask=np.ones(60, bool))


@pytest.fixture(scope="module")
def joint():
    return transits.joint()


def axis(theta):
    grazing = theta["impact"] / (1 + theta["radius_ratio"])
    density = np.exp(theta["log_central_density"]) * (1 - grazing**2) ** 1.5
    return np.cbrt(GRAVITY * density * theta["period"] ** 2 / (3 * np.pi))


def batmans(time, theta, e=0.0, omega=np.pi / 2, **settings):
    a, root = axis(theta), np.sqrt(theta["q1"])
    parameters = batman.TransitParams()
    parameters.t0, parameters.per, parameters.a = theta["t0"], theta["period"], a
    parameters.inc = np.degrees(np.arccos(theta["impact"] / a * (1 + e * np.sin(omega)) / (1 - e**2)))
    parameters.rp, parameters.ecc, parameters.w = theta["radius_ratio"], e, np.degrees(omega)
    parameters.limb_dark, parameters.u = "quadratic", [2 * root * theta["q2"], root * (1 - 2 * theta["q2"])]
    return batman.TransitModel(parameters, time, **settings).light_curve(parameters)


def test_white_density(white):
    time, flux, sigma = transits.light_curve()
    model = batmans(time - 2459000.25, THETA, supersample_factor=5, exp_time=0.02 * 4 / 5)  # see tests of transits
    model[np.abs(time - 2459000.25) > 0.1] = 1.0
    expected = stats.norm(THETA["level"] * model, np.hypot(sigma, THETA["jitter"])).logpdf(flux)
    np.testing.assert_allclose(white.log_likelihood(THETA)["flux"], expected, atol=1e-3)  # 1e-7 of flux is 2e-4 σ
    lightest = np.log(3 * np.pi * 1.5**3 / (GRAVITY * 9.0))
    cut = (lightest - np.log(1.4)) / 0.3
    prior = (
        stats.norm(3.0, 0.01).logpdf(THETA["period"])
        + stats.norm(0.0, 0.005).logpdf(THETA["t0"])
        + stats.truncnorm(cut, np.inf, np.log(1.4), 0.3).logpdf(LOG_DENSITY)
        + stats.loguniform(0.003, 0.3).logpdf(0.1)
        - np.log(1.1)
        + stats.norm(1.0, 1e-3).logpdf(THETA["level"])
        + stats.halfnorm(0, 3 * np.median(sigma)).logpdf(THETA["jitter"])
    )
    assert sum(white.log_prior(THETA).values()) == pytest.approx(prior, rel=1e-9)


def test_density_with_a_rotating_star(rotating):
    time, flux, sigma = transits.light_curve()
    values = {name.removeprefix("gp_"): value for name, value in ROTATION.items()}
    process = celerite2.GaussianProcess(terms.RotationTerm(**values))
    process.compute(time - 2459000.25, diag=sigma**2 + THETA["jitter"] ** 2)
    expected = process.log_likelihood(flux - THETA["level"] * batmans(time - 2459000.25, THETA))
    found = rotating.log_likelihood(THETA | ROTATION)["flux"]
    assert found.shape == ()
    assert float(found) == pytest.approx(expected, abs=1e-3)


def test_joint_density(joint):
    e = (1 - 1.1 / axis(THETA)) * (1 - np.exp(-0.5 * (0.3**2 + 0.4**2)))
    omega = np.arctan2(-0.4, 0.3)
    theta = THETA | VELOCITIES
    replayed = joint.replay(theta)
    assert float(replayed["eccentricity"]) == pytest.approx(e)
    assert float(replayed["omega"]) == pytest.approx(omega)
    time, flux, sigma = transits.light_curve()
    model = THETA["level"] * batmans(time - 2459000.25, THETA, e, omega)
    expected = stats.norm(model, np.hypot(sigma, THETA["jitter"])).logpdf(flux)
    found = joint.log_likelihood(theta)
    np.testing.assert_allclose(found["flux"], expected, atol=1e-3)

    def eccentric_anomaly(M):
        return optimize.brentq(lambda E: E - e * np.sin(E) - M, M - 1, M + 1, xtol=1e-14)

    E0 = 2 * np.arctan(np.sqrt((1 - e) / (1 + e)) * np.tan((np.pi / 2 - omega) / 2))
    M = 2 * np.pi * (joint.covariates["rv_time"] - THETA["t0"]) / THETA["period"] + E0 - e * np.sin(E0)
    f = 2 * np.arctan(np.sqrt((1 + e) / (1 - e)) * np.tan(np.array([eccentric_anomaly(m) for m in M]) / 2))
    which = joint.covariates["instrument"]
    velocity = VELOCITIES["offset"][which] + 55.0 * (np.cos(omega + f) + e * np.cos(omega))
    scale = np.hypot(5.0, VELOCITIES["rv_jitter"][which])
    np.testing.assert_allclose(
        found["velocity"], stats.norm(velocity, scale).logpdf(joint.observed["velocity"]), rtol=1e-8
    )


def test_eccentricity_is_uniform_until_the_orbit_meets_the_star(joint):
    draws = joint.simulate(2000, key=jax.random.key(1)).parameters
    replayed = joint.replay({name: np.asarray(value) for name, value in draws.items()}, batch_ndims=1)
    largest = 1 - (1 + draws["radius_ratio"]) / replayed["scaled_axis"]
    assert stats.kstest(replayed["eccentricity"] / largest, "uniform").pvalue > 1e-4
    assert stats.kstest(replayed["omega"] / (2 * np.pi) + 0.5, "uniform").pvalue > 1e-4


def test_processes_generate_what_their_density_says(rotating):
    """A vector drawn from a normal has −2 log p + const distributed as χ² of its length, whatever its covariance."""
    drawn = rotating.simulate(1, key=jax.random.key(2))
    theta = {name: value[0] for name, value in drawn.parameters.items()}
    again = rotating.replace(observed={"flux": drawn.observables["flux"][0]})
    values = {name: float(theta[f"gp_{name}"]) for name in ("sigma", "period", "Q0", "dQ", "f")}
    process = celerite2.GaussianProcess(terms.RotationTerm(**values))
    time, _, sigma = transits.light_curve()
    process.compute(time - 2459000.25, diag=sigma**2 + float(theta["jitter"]) ** 2)
    mean = float(theta["level"]) * batmans(time - 2459000.25, theta)
    at_mean = process.log_likelihood(np.zeros(60))
    chi2 = 2 * (at_mean - float(again.log_likelihood(theta)["flux"]))
    assert 1e-4 < stats.chi2(60).cdf(chi2) < 1 - 1e-4
    assert process.log_likelihood(drawn.observables["flux"][0] - mean) == pytest.approx(at_mean - chi2 / 2, abs=1e-2)


def test_batches_of_unequal_lengths_have_the_densities_of_their_parts(rotating):
    time, flux, sigma = transits.light_curve()
    lengths = (60, 41)
    batch = rotating.batch(
        observed={"flux": [flux[:n] for n in lengths]},
        time=[time[:n] - 2459000.25 for n in lengths],
        sigma=[sigma[:n] for n in lengths],
        mask="mask",
    )
    values = {name.removeprefix("gp_"): value for name, value in ROTATION.items()}
    for i, n in enumerate(lengths):
        process = celerite2.GaussianProcess(terms.RotationTerm(**values))
        process.compute(time[:n] - 2459000.25, diag=sigma[:n] ** 2 + THETA["jitter"] ** 2)
        expected = process.log_likelihood(flux[:n] - THETA["level"] * batmans(time[:n] - 2459000.25, THETA))
        assert float(batch[i].log_likelihood(THETA | ROTATION)["flux"]) == pytest.approx(expected, abs=1e-3)


def test_order_of_times_does_not_matter(rotating):
    time, flux, sigma = transits.light_curve()
    shuffled = np.random.default_rng(1).permutation(60)
    again = transit.build(
        time[shuffled],
        flux[shuffled],
        sigma[shuffled],
        variability="rotation",
        mask=np.ones(60, bool),
        **transits.EPHEMERIS,
    )
    assert again.log_likelihood(THETA | ROTATION)["flux"] == rotating.log_likelihood(THETA | ROTATION)["flux"]
    times = rotating.covariates["time"]
    with pytest.raises(ValueError, match="`time` of its `GaussianProcess`"):
        rotating.replace(time=times[::-1].copy())


def test_julian_dates_are_taken_off_exactly():
    """Times are multiples of 2⁻⁸ day, exact as Julian dates and as differences."""
    time, flux, sigma = transits.light_curve(8)
    near = transit.build(time - 2459000.0, flux, sigma, **{**transits.EPHEMERIS, "t0": (0.25, 0.005)})
    np.testing.assert_array_equal(near.covariates["time"], transits.problem(8).covariates["time"])


def test_one_point_is_a_light_curve():
    one = transit.build([2459000.25], [0.99], [1e-3], variability="matern", **transits.EPHEMERIS)
    theta = THETA | {"gp_sigma": 5e-4, "gp_rho": 1.0}
    sd = np.sqrt(1e-6 + THETA["jitter"] ** 2 + 25e-8)
    expected = stats.norm(THETA["level"] * batmans(np.array([0.0]), THETA), sd).logpdf(0.99)[0]
    assert float(one.log_likelihood(theta)["flux"]) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"sigma": np.zeros(60)}, "not positive"),
        ({"flux": np.full(60, np.nan)}, "not finite"),
        ({"time": []}, "at least one time"),
        ({"flux": np.ones(59)}, "60 times, but `flux`"),
        ({"period": (3.0, 0.0)}, "`period` must be a centre"),
        ({"density": (-1.0, 0.1)}, "must be positive"),
        ({"variability": "sho"}, "`variability` must be"),
        ({"window": 1e-9, "t0": (2459001.2512, 0.1)}, "No point is within"),
        ({"gp_time": (1.0, -1.0), "variability": "matern"}, "`gp_time` must be"),
    ],
)
def test_bad_light_curves_are_refused(change, match):
    time, flux, sigma = transits.light_curve()
    settings = {"time": time, "flux": flux, "sigma": sigma, **transits.EPHEMERIS, **change}
    with pytest.raises(ValueError, match=match):
        transit.build(settings.pop("time"), settings.pop("flux"), settings.pop("sigma"), **settings)


def test_bad_velocities_are_refused():
    time, flux, sigma = transits.light_curve()
    for instrument, rv_sigma, match in (([0, 2], 1.0, "without gaps"), ([0, 1], 0.0, "not positive")):
        with pytest.raises(ValueError, match=match):
            transit_rv.build(time, flux, sigma, time[:2], [1.0, 2.0], rv_sigma, instrument, **transits.EPHEMERIS)


SAMPLER = ba.NUTS(num_chains=2, num_warmup=400, num_draws=300, target_accept=0.9, mass_matrix="dense")


@pytest.mark.slow
def test_transits_are_calibrated():
    """Forty points of one transit of a star known to 30 %, white noise."""
    problem = transits.problem(40)
    report = ba.calibrate(problem, SAMPLER, num_simulations=100, seed=1, chunk=1, progress=False)
    assert report.verdict == "pass", str(report)


@pytest.mark.slow
def test_transits_before_a_variable_star_are_calibrated():
    problem = transits.problem(30, variability="matern", gp_sigma=(1e-3, 0.5), gp_time=(0.1, 0.5))
    report = ba.calibrate(problem, SAMPLER, num_simulations=100, seed=2, chunk=1, progress=False)
    assert report.verdict == "pass", str(report)


def assert_near(posterior, published, tolerance=4.0):
    """Means within so many standard deviations, the published error added in quadrature."""
    for name, (value, error) in published.items():
        distance = (float(posterior[name].mean()) - value) / np.hypot(float(posterior[name].std()), error)
        assert abs(distance) < tolerance, f"{name}: {distance:.1f} standard deviations"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("star", "published"),
    [
        ("hat_p_7", {"period": (2.204735, 1e-6), "radius_ratio": (0.0776, 3e-4), "impact": (0.496, 0.02)}),
        ("wasp_126", {"period": (3.2888, 1e-4), "radius_ratio": (0.0781, 0.0013)}),
    ],
)
def test_published_planets(star, published, published_data):
    """HAT-P-7 b: Morris et al. 2013, ApJL 764, L22; WASP-126 b: Maxted et al. 2016, A&A 591, A55 (transit depth 0.0061)."""
    published_data(star)
    problem = getattr(examples, star)()
    engine = ba.NUTS(num_warmup=600, num_draws=1000, target_accept=0.9, mass_matrix="dense", max_tree_depth=7)
    result = ba.fit(problem, engine, seed=1, progress=False)
    assert float(ba.summary(result)["r_hat"].max()) < 1.01
    assert_near(result["posterior"], published)


@pytest.mark.slow
def test_planet_seen_in_transit_and_velocity(published_data):
    """K2-140 b: Giles et al. 2018, MNRAS 475, 1809 (P = 6.5693 d, e = 0.12 ± 0.05)."""
    published_data("k2_140")
    published_data("k2_140_velocities")
    problem = examples.k2_140()
    engine = ba.NUTS(num_warmup=500, num_draws=1600, target_accept=0.9, mass_matrix="dense", max_tree_depth=7)
    result = ba.fit(problem, engine, seed=1, progress=False)
    assert float(ba.summary(result)["r_hat"].max()) < 1.01
    assert_near(result["posterior"], {"period": (6.5693, 1e-4), "eccentricity": (0.12, 0.05)})
