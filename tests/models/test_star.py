"""Stars and pairs of stars by networks: densities by hand, published labels, and whether they are right."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from scipy import optimize, stats
from stellar_spectra import HIGH, LOW, WAVELENGTH, networks, spectra

import bayesastro as ba
from bayesastro.datasets import read_apogee_spectrum, read_apogee_visits, read_apstar, read_payne
from bayesastro.models.spectra import binary_star, star
from bayesastro.models.spectra.payne import (
    LABELS,
    blended_spectra,
    companion_of,
    companion_range,
    continuum_fits,
    renormalised,
    spectrum_network,
    stars_of,
)
from bayesastro.models.spectra.velocity_pairs import start_at, velocity_pairs
from bayesastro.simulators.spectra.broadening import LIGHT_SPEED, doppler_shifted
from bayesastro.simulators.spectra.spectrograph import spectrograph_of

GIVEN = networks()


def layers(network, labels):
    s = (np.asarray(labels) - network.low) / (network.high - network.low) - 0.5
    (w0, w1), (b0, b1) = network.weights, network.offsets
    if w0.ndim == 2:
        return w1 @ (1 / (1 + np.exp(-(w0 @ s + b0)))) + b1
    return (w1 / (1 + np.exp(-(np.einsum("ijk,k->ij", w0, s) + b0)))).sum(axis=1) + b1


def shifted(flux, velocity):
    """Catmull and Rom's cubic on each detector, pixel by pixel."""
    step = LIGHT_SPEED * 4e-5
    beta = velocity / LIGHT_SPEED
    move = 0.5 * np.log((1 - beta) / (1 + beta)) * LIGHT_SPEED / step
    found = np.empty_like(flux)
    for first in (0, 40):
        values = flux[first : first + 40]
        for i in range(40):
            k = int(np.floor(i + move))
            t = i + move - k
            p = [values[min(max(k + j, 0), 39)] for j in (-1, 0, 1, 2)]
            found[first + i] = p[1] + 0.5 * t * (
                p[2] - p[0] + t * (2 * p[0] - 5 * p[1] + 4 * p[2] - p[3] + t * (3 * (p[1] - p[2]) + p[3] - p[0]))
            )
    return found


def normal(flux, mean, sd, used):
    return np.where(used, stats.norm.logpdf(flux, mean, sd), 0.0)


def test_the_density_of_a_star_is_that_by_hand():
    given = spectra(2)
    problem = star.build(
        given, spectrum_network(GIVEN), max_veiling=2.0, continuum_order=1, priors={"logg": (4.4, 0.2)}
    )
    labels = np.array([5600.0, 4.3, -0.2, 0.1, 11.0])
    coefficients = np.array([[0.01, -0.02, 0.0, 0.03], [0.0, 0.01, -0.01, 0.0]])
    theta = dict(zip(LABELS, labels, strict=True))
    theta |= {"velocity": np.array([13.0, -7.5]), "veiling": 0.4, "continuum": coefficients, "jitter": 0.02}
    x = np.concatenate([np.linspace(-1, 1, 40)] * 2)
    x = (
        2 * (WAVELENGTH - np.repeat(WAVELENGTH[[0, 40]], 40)) / np.repeat(np.ptp(WAVELENGTH.reshape(2, 40), axis=1), 40)
        - 1
    )
    on = np.repeat(np.eye(2), 40, axis=0)
    basis = np.stack([on[:, 0], on[:, 0] * x, on[:, 1], on[:, 1] * x], axis=1)
    veiled = (layers(GIVEN.normalised, labels) + 0.4) / 1.4
    mean = np.stack([shifted(veiled, v) * (1 + basis @ c) for v, c in zip((13.0, -7.5), coefficients, strict=True)])
    sd = np.hypot(given.sigma, 0.02)
    found = problem.log_likelihood(theta)["flux"]
    assert float(np.sum(found)) == pytest.approx(normal(given.flux, mean, sd, given.is_used).sum(), rel=1e-9)
    prior = {
        "logg": stats.truncnorm((LOW[1] - 4.4) / 0.2, (HIGH[1] - 4.4) / 0.2, 4.4, 0.2).logpdf(4.3),
        "Teff": -np.log(HIGH[0] - LOW[0]),
        "velocity": stats.norm(0, 50).logpdf(theta["velocity"]).sum(),
        "veiling": -np.log(2.0),
        "continuum": stats.norm(0, 0.02).logpdf(coefficients).sum(),
        "jitter": stats.halfnorm(scale=0.02).logpdf(0.02),
    }
    by_site = problem.log_prior(theta)
    for name, value in prior.items():
        assert float(by_site[name]) == pytest.approx(value, rel=1e-9), name


def test_the_density_of_a_pair_is_that_by_hand():
    given = spectra(2)
    problem = binary_star.build(given, GIVEN)
    labels = np.array([5600.0, 4.3, -0.2, 0.1, 11.0])
    theta = dict(zip(LABELS, labels, strict=True)) | {
        "companion": 0.6,
        "v_macro_2": 4.0,
        "jitter": 0.01,
        "systemic": 5.0,
        "mass_ratio_orbit": 0.8,
        "velocity_1": np.array([20.0, -12.0]),
    }
    values = problem.replay(theta)
    with jax.enable_x64(True):
        low, high, is_known = (float(end) for end in companion_range(stars_of(GIVEN), np.asarray(labels[:3])))
    assert is_known
    ratio = low + 0.6 * (high - low)
    assert float(values["mass_ratio"]) == pytest.approx(ratio)
    Teff, logg = layers(GIVEN.companion, [*labels[:3], ratio]) * [1000.0, 1.0]
    assert float(values["Teff_2"]) == pytest.approx(Teff)
    both = [labels, np.array([Teff, logg, labels[2], labels[3], 4.0])]
    second = 5.0 + (5.0 - theta["velocity_1"]) / 0.8
    np.testing.assert_allclose(values["velocity"], np.stack([theta["velocity_1"], second], axis=1))
    at, expected = GIVEN.is_continuum, []
    x = np.concatenate([np.linspace(-1, 1, 40)] * 2)
    x = (
        2 * (WAVELENGTH - np.repeat(WAVELENGTH[[0, 40]], 40)) / np.repeat(np.ptp(WAVELENGTH.reshape(2, 40), axis=1), 40)
        - 1
    )
    for visit in range(2):

        def fitted(flux, visit=visit):
            curve = np.empty(80)
            for part in (slice(0, 40), slice(40, 80)):
                chosen = at[part] & given.is_used[visit, part]
                curve[part] = np.polyval(np.polyfit(x[part][chosen], flux[part][chosen], 4), x[part])
            return curve

        total = np.zeros(80)
        for each, v in zip(both, (theta["velocity_1"][visit], second[visit]), strict=True):
            light = layers(GIVEN.unnormalised, each[:4]) * (np.median(WAVELENGTH) / WAVELENGTH) ** 2
            radius = layers(GIVEN.radius, each[:3])[0]
            total += fitted(radius**2 * light) * shifted(layers(GIVEN.normalised, each), v)
        expected.append(total / fitted(total))
    found = float(np.sum(problem.log_likelihood(theta)["flux"]))
    # Fits are weighted by errors, here all alike.
    logs = normal(given.flux, np.stack(expected), np.hypot(given.sigma, 0.01), given.is_used)
    assert found == pytest.approx(logs.sum(), rel=1e-7)


def test_one_star_alone_is_a_pair_of_itself():
    """Twins at one velocity: what divides the sum by the continuum leaves the spectrum of one."""
    given, labels = spectra(), np.array([5600.0, 4.3, -0.2, 0.1, 11.0])
    problem = binary_star.build(given, GIVEN, has_companion=False)
    theta = dict(zip(LABELS, labels, strict=True)) | {"velocity": np.array([[13.0]]), "jitter": 0.02}
    with jax.enable_x64(True):
        fits, pixels = continuum_fits(given.sigma, given.is_used, GIVEN), np.flatnonzero(GIVEN.is_continuum)
        expected = np.asarray(
            blended_spectra(
                stars_of(GIVEN),
                np.stack([labels, labels]),
                np.full((1, 2), 13.0),
                spectrograph_of(WAVELENGTH),
                pixels,
                fits,
            )
        )
    found = float(np.sum(problem.log_likelihood(theta)["flux"]))
    logs = normal(given.flux, expected, np.hypot(given.sigma, 0.02), given.is_used)
    assert found == pytest.approx(logs.sum(), rel=1e-9)
    with pytest.raises(ValueError, match="needs two stars"):
        binary_star.build(spectra(2), GIVEN, has_companion=False, has_orbit=True)


def test_bad_spectra_and_priors_are_refused():
    given, network = spectra(), spectrum_network(GIVEN)
    with pytest.raises(ValueError, match="not finite, or errors that are not positive"):
        star.build(replace(given, flux=np.full_like(given.flux, np.nan)), network)
    half = {name: getattr(given, name)[:, :40] for name in ("flux", "sigma", "is_used")}
    with pytest.raises(ValueError, match=r"have 40 pixels, but \{'emulator': 80\}"):
        star.build(replace(given, wavelength=WAVELENGTH[:40], **half), network)
    with pytest.raises(ValueError, match="even in the logarithm"):
        star.build(replace(given, wavelength=WAVELENGTH[::-1]), network)
    with pytest.raises(ValueError, match="which are no labels"):
        star.build(given, network, priors={"age": (1.0, 1.0)})
    with pytest.raises(ValueError, match=r"mean from 4 to 4\.98, which the emulator knows"):
        star.build(given, network, priors={"logg": (2.0, 0.1)})
    with pytest.raises(ValueError, match="must not be negative"):
        star.build(given, network, max_veiling=-1.0)
    with pytest.raises(ValueError, match=r"80 wavelengths from 1\.55 to .*takes wavelengths with units"):
        binary_star.build(replace(given, wavelength=given.wavelength / 1e4), GIVEN)
    with pytest.raises(ValueError, match="`continuum_sd` must be positive"):
        binary_star.build(given, GIVEN, continuum_sd=0.0)
    with pytest.raises(ValueError, match="more than one visit"):
        binary_star.build(given, GIVEN, has_orbit=True)
    with pytest.raises(ValueError, match="needs more than 4 pixels on each detector"):
        binary_star.build(given, replace(GIVEN, is_continuum=np.arange(80) < 40))


def test_predictions_of_the_prior_are_spectra():
    for problem in (star.build(spectra(2), spectrum_network(GIVEN)), binary_star.build(spectra(2), GIVEN)):
        draws = problem.simulate(100, key=jax.random.key(1))
        flux = np.asarray(draws.observables["flux"])
        assert flux.shape == (100, 2, 80)
        assert np.isfinite(flux).all()


@pytest.fixture
def published(published_file):
    """The networks, and a function from a name to the path of a file beside them."""
    folder = "payne_apogee"
    return read_payne(published_file(f"{folder}/NN_normalized_spectra.npz").parent), lambda name: published_file(
        f"{folder}/{name}"
    )


def test_companions_are_ones_that_the_published_networks_know(published):
    """Over the prior of the more massive star: within all domains, and a twin where none is known."""
    stars, rng = stars_of(published[0]), np.random.default_rng(1)
    low, high = binary_star.common_labels(stars)
    first = (low + rng.uniform(size=(4000, 5)) * (high - low))[:, :3]
    with jax.enable_x64(True):
        ends = jax.vmap(lambda s: companion_range(stars, s))(first)
        ratio, second = jax.vmap(lambda s, u: companion_of(stars, s, u))(first, rng.uniform(size=4000))
        assert 0.85 < ends[2].mean() < 0.95
        np.testing.assert_array_equal(second[~ends[2]], first[~ends[2]])
        assert ((ratio >= ends[0]) & (ratio <= ends[1])).all()
        for emulator in (stars.lines, stars.continuum, stars.radius):
            k = len(emulator.domain.names)
            labels = np.concatenate([second, np.zeros((4000, 1)), np.full((4000, 1), 10.0)], axis=1)[:, :k]
            assert jax.vmap(emulator.domain.contains)(labels).all()


def test_renormalised_spectra_have_no_continuum_left():
    given = spectra(2)
    once = renormalised(replace(given, flux=given.flux * np.linspace(2.0, 2.5, 80)), GIVEN)
    np.testing.assert_allclose(renormalised(once, GIVEN).flux, once.flux, rtol=1e-3)
    assert np.median(once.flux) == pytest.approx(1.0, abs=0.05)
    half = {name: getattr(given, name)[:, :40] for name in ("flux", "sigma", "is_used")}
    with pytest.raises(ValueError, match=r"has 40 wavelengths from 15500 to .* networks have 80"):
        renormalised(replace(given, wavelength=WAVELENGTH[:40], **half), GIVEN)


def test_real_spectra_are_read(published):
    given, path = published
    single = read_apogee_spectrum(path("spectrum_ap_id_2M13012770+5754582_.npz"), given)
    visits = read_apogee_visits(path("visit_spectra_ap_id_2M06133561+2433362_.npz"), given)
    late = read_apstar(path("apStar-dr17-2M19485057+5005279.fits.gz"), given)
    assert [s.flux.shape for s in (single, visits, late)] == [(1, 7214), (3, 7214), (1, 7214)]
    assert np.diff(visits.time) == pytest.approx([5.03, 271.3], abs=0.1)
    for spectrum in (single, visits, late):
        assert 0.6 < spectrum.is_used.mean() < 0.9
        assert np.isfinite(spectrum.flux[spectrum.is_used]).all()
        assert np.median(spectrum.flux[spectrum.is_used]) == pytest.approx(1.0, abs=0.05)


def test_the_published_fit_of_one_star_is_found_again(published):
    """El-Badry's networks and spectrum, linear interpolation, all pixels of errors below 0.1: labels, velocity and χ² per pixel."""
    given, path = published
    single = read_apogee_spectrum(path("spectrum_ap_id_2M13012770+5754582_.npz"), given)
    network, used = spectrum_network(given), single.sigma[0] < 0.1
    flux, weight = np.where(used, single.flux[0], 1.0), np.where(used, single.sigma[0] ** -2.0, 0.0)

    @jax.jit
    def chi2(x, network, wavelength, flux, weight):
        model = doppler_shifted(network.evaluated(x[:5]), wavelength, 10.0 * x[5], order="linear")
        return jax.numpy.sum(weight * (flux - model) ** 2)

    with jax.enable_x64(True):
        data = (network, single.wavelength, flux, weight)
        slope = jax.jit(jax.grad(chi2))
        found = optimize.minimize(
            lambda x: float(chi2(x, *data)),
            np.zeros(6),
            jac=lambda x: np.asarray(slope(x, *data)),
            bounds=[(-0.5, 0.5)] * 5 + [(-5.0, 5.0)],
        )
    domain = network.domain
    labels = domain.low + (found.x[:5] + 0.5) * (domain.high - domain.low)
    np.testing.assert_allclose(labels, [4942, 4.526, -0.187, 0.111, 16.1], rtol=5e-3, atol=1e-3)
    assert 10.0 * found.x[5] == pytest.approx(0.98, abs=0.02)
    assert found.fun / used.sum() == pytest.approx(4.41, abs=0.01)


@pytest.mark.slow
def test_one_star_is_found_again_as_well_as_can_be(published):
    """A spectrum simulated with errors of 1 %: labels within their errors, which are about the Cramér–Rao bounds."""
    given, path = published
    real = read_apogee_spectrum(path("spectrum_ap_id_2M13012770+5754582_.npz"), given)
    truth = dict(zip(LABELS, [5800.0, 4.44, 0.0, 0.0, 5.0], strict=True)) | {"velocity": 10.0}
    network, rng = spectrum_network(given), np.random.default_rng(1)
    with jax.enable_x64(True):
        flux = np.asarray(doppler_shifted(network(np.array(list(truth.values())[:5])), given.wavelength, 10.0))
    seen = replace(real, flux=flux + 0.01 * rng.normal(size=(1, flux.size)), sigma=np.full((1, flux.size), 0.01))
    problem = star.build(seen, network)
    result = ba.fit(
        problem, ba.NUTS(num_warmup=400, num_draws=700, mass_matrix="dense", target_accept=0.95), seed=1, progress=False
    )
    posterior = result["posterior"]
    means = {name: posterior[name].mean(("chain", "draw")).values for name in [*truth, "jitter"]}
    bounds = ba.cramer_rao(problem, means)
    for name, value in truth.items():
        mean, sd = float(means[name].squeeze()), float(posterior[name].std())
        assert abs(mean - value) < 4 * sd, name
        bound = bounds.filter(like=name, axis=0).iloc[0]["with_prior"]
        assert 0.9 < sd / bound < 1.15, name
    assert not ba.diagnose(result), str(ba.diagnose(result))


@pytest.mark.slow
def test_a_double_lined_binary_is_weighed_twice(published):
    """2M06133561+2433362 (El-Badry et al. 2018, MNRAS 476, 528): three visits, the mass ratio of spectra and of the orbit.

    The orbit's velocities are those of a grid search to a pixel, and spectra and orbit agree within 5 %.
    """
    given, path = published
    visits = renormalised(read_apogee_visits(path("visit_spectra_ap_id_2M06133561+2433362_.npz"), given), given)
    problem = binary_star.build(visits, given)
    pairs = velocity_pairs(visits, given)
    engine = ba.NUTS(num_chains=2, num_warmup=300, num_draws=300, mass_matrix="dense")
    result = ba.fit(problem, engine, start=start_at(problem, pairs), seed=1, progress=False)
    posterior = result["posterior"]
    np.testing.assert_allclose(posterior["velocity"].mean(("chain", "draw")), pairs, atol=4.0)
    mean = {
        name: float(posterior[name].mean()) for name in ("mass_ratio", "mass_ratio_orbit", "Teff", "Teff_2", "jitter")
    }
    assert mean["mass_ratio_orbit"] == pytest.approx(mean["mass_ratio"], rel=0.05)
    assert 4400 < mean["Teff_2"] < mean["Teff"] < 5100
    assert mean["jitter"] < 0.5 * np.median(visits.sigma)


@pytest.mark.slow
def test_stars_are_calibrated():
    """A random network in noise: with less of it the posterior has as many modes as the velocity has lines to fit."""
    given = spectra(2, sigma=0.2)
    problem = star.build(given, spectrum_network(GIVEN), max_rotation=40.0, max_veiling=1.0, continuum_order=0)
    engine = ba.NUTS(num_chains=2, num_warmup=400, num_draws=300, target_accept=0.9, max_tree_depth=8)
    report = ba.calibrate(problem, engine, num_simulations=100, seed=3, chunk=1, progress=False)
    assert report.verdict == "pass", str(report)


@pytest.mark.slow
def test_pairs_are_calibrated():
    """Either star may be the one that moves: several modes, which chains do not cross and particles do."""
    problem = binary_star.build(spectra(2, sigma=0.3), GIVEN)
    report = ba.calibrate(
        problem, ba.SMC(num_islands=4, num_particles=100), num_simulations=110, seed=3, chunk=1, progress=False
    )
    assert report.verdict == "pass", str(report)


def test_velocities_of_a_simulated_pair_are_found(published):
    """Three visits of two stars, the second with nine tenths of the first's mass, with errors of 1 %."""
    given, path = published
    visits = read_apogee_visits(path("visit_spectra_ap_id_2M06133561+2433362_.npz"), given)
    problem = binary_star.build(visits, given)
    truth = dict(zip(LABELS, [5200.0, 4.55, -0.1, 0.05, 6.0], strict=True)) | {
        "companion": 0.7,
        "v_macro_2": 5.0,
        "jitter": 0.005,
        "systemic": -10.0,
        "mass_ratio_orbit": 0.9,
        "velocity_1": np.array([35.0, -50.0, 12.0]),
    }
    moved = problem.replay(truth)["velocity"]
    with jax.enable_x64(True):
        stars = stars_of(given)
        first = np.array([truth[name] for name in LABELS])
        _, second = companion_of(stars, first[:3], 0.7)
        labels = np.stack([first, [*np.asarray(second), 0.05, 5.0]])
        fits = continuum_fits(visits.sigma, visits.is_used, given)
        pixels = np.flatnonzero(given.is_continuum)
        flux = np.asarray(blended_spectra(stars, labels, moved, spectrograph_of(given.wavelength), pixels, fits))
    rng = np.random.default_rng(1)
    seen = replace(visits, flux=flux + 0.01 * rng.normal(size=flux.shape), sigma=np.full(flux.shape, 0.01))
    pairs = velocity_pairs(seen, given)
    # In the last visit the two are 46 km/s apart, and in none does the order matter to a pixel.
    np.testing.assert_allclose(pairs, moved, atol=4.0)
    start = start_at(binary_star.build(seen, given), pairs, num_draws=50, num_kept=5)["posterior"]
    assert start.sizes["draw"] == 5
    np.testing.assert_allclose(start["mass_ratio_orbit"], 0.9, atol=0.1)
    with pytest.raises(ValueError, match="needs velocities of shape"):
        start_at(binary_star.build(seen, given), pairs[:2])
