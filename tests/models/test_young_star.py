"""Young stars under dust and veiling: density by hand, closed forms, and a network that must be right at any signal-to-noise.

The slow tests train networks in a quarter of an hour, unless the environment variable YOUNG_STARS names a folder with them.
"""

import functools
from dataclasses import replace

import jax
import numpy as np
import pytest
from scipy import stats
from stellar_spectra import WAVELENGTH, networks, spectra, young

import bayesastro as ba
from bayesastro.models.spectra import young_star
from bayesastro.models.spectra.examples import young_apogee_star
from benchmarks import young_stars

GIVEN = networks()
USED = ~GIVEN.is_masked
LABELS = {"Teff": 5600.0, "logg": 4.3, "Fe_H": -0.2, "Mg_Fe": 0.1}
THETA = LABELS | {"A_V": 4.0, "R_V": 4.1, "veiling": 0.7}


def by_hand(theta):
    """Every pixel on its own: flux per unit wavelength, bins of eight, veiling, dust, mean one."""
    network, labels = GIVEN.unnormalised, [theta[name] for name in LABELS]
    s = (np.array(labels) - network.low) / (network.high - network.low) - 0.5
    (w0, w1), (b0, b1) = network.weights, network.offsets
    per_frequency = (w1 / (1 + np.exp(-(np.einsum("ijk,k->ij", w0, s) + b0)))).sum(axis=1) + b1
    flux = per_frequency / WAVELENGTH**2
    bins = [[i for i in range(first, first + 8) if USED[i]] for first in range(0, 80, 8)]
    star = np.array([flux[pixels].mean() for pixels in bins])
    x = 1e4 / np.array([WAVELENGTH[pixels].mean() for pixels in bins])
    # Cardelli et al. 1989, equations 2a and 2b; the last bin is nearest to λ₀.
    found = (star + theta.get("veiling", 0.0) * star[-1]) * 10 ** (
        -0.4 * theta["A_V"] * (0.574 - 0.527 / theta["R_V"]) * x**1.61
    )
    return found / found.mean()


@pytest.mark.parametrize("is_veiled", [True, False])
def test_the_density_is_that_by_hand(is_veiled):
    problem = young(max_veiling=2.0 * is_veiled, priors={"logg": (4.4, 0.2)}, R_V=(4.0, 0.6))
    theta = {name: value for name, value in THETA.items() if is_veiled or name != "veiling"}
    assert {site.name for site in problem.parameters} == set(theta)
    mean, seen = by_hand(theta), problem.observed
    likelihood = problem.log_likelihood(theta)
    expected = stats.norm(mean, 10 ** seen["log10_sigma"] * mean).logpdf(seen["flux"]).sum()
    assert float(np.sum(likelihood["flux"])) == pytest.approx(expected, rel=1e-9)
    assert float(np.sum(likelihood["log10_sigma"])) == pytest.approx(-np.log(2.0))
    low, high = GIVEN.unnormalised.low, GIVEN.unnormalised.high
    prior = {
        "Teff": -np.log(high[0] - low[0]),
        "logg": stats.truncnorm((low[1] - 4.4) / 0.2, (high[1] - 4.4) / 0.2, 4.4, 0.2).logpdf(4.3),
        "A_V": -np.log(10.0),
        "R_V": stats.truncnorm(-2 / 0.6, 2 / 0.6, 4.0, 0.6).logpdf(4.1),
    } | ({"veiling": -np.log(2.0)} if is_veiled else {})
    found = problem.log_prior(theta)
    for name, value in prior.items():
        assert float(found[name]) == pytest.approx(value, rel=1e-9), name


def test_dust_of_any_kind_is_one_number_in_the_infrared():
    """A_V (0.574 − 0.527 / R_V): what is known of R_V is its prior."""
    problem = young()
    ratio = (0.574 - 0.527 / THETA["R_V"]) / (0.574 - 0.527 / 3.1)
    other = THETA | {"R_V": 3.1, "A_V": THETA["A_V"] * ratio}
    one, two = (float(np.sum(problem.log_likelihood(theta)["flux"])) for theta in (THETA, other))
    assert one == pytest.approx(two, rel=1e-9)


def test_data_are_means_of_used_pixels_in_any_unit():
    given = spectra()
    flux = given.flux * np.linspace(1.0, 2.0, 80)
    ruined = np.where(USED, 7.0 * flux, 99.0)
    plain, other = (
        young_star.build(replace(given, flux=values, sigma=0.02 * values), GIVEN, bin_size=8).observed
        for values in (np.where(USED, flux, 1.0), ruined)
    )
    bins = [[i for i in range(first, first + 8) if USED[i]] for first in range(0, 80, 8)]
    means = np.array([flux[0, pixels].mean() for pixels in bins])
    errors = [np.sqrt(((0.02 * flux[0, pixels]) ** 2).sum()) / len(pixels) for pixels in bins]
    for observed in (plain, other):
        np.testing.assert_allclose(observed["flux"], means / means.mean(), rtol=1e-12)
        assert observed["log10_sigma"] == pytest.approx(np.log10(np.median(errors / means)))


def test_bins_without_a_used_pixel_are_left_out():
    hole = np.broadcast_to(np.arange(80) // 8 != 3, (1, 80))
    found = young_star.binned_spectrum(replace(spectra(), is_used=hole), 8)
    assert len(found.flux) == 9
    assert np.diff(found.place).max() == 1
    assert found.place[-1] == 8


def test_predictions_scatter_by_the_error_they_come_with():
    problem = young()
    draws = problem.simulate(2000, key=jax.random.key(1))
    flux, log10_sigma = draws.observables["flux"], draws.observables["log10_sigma"]
    assert flux.shape == (2000, 10)
    assert log10_sigma.min() >= -3
    assert log10_sigma.max() <= -1
    expected = np.stack([by_hand({name: v[i] for name, v in draws.parameters.items()}) for i in range(200)])
    residual = (flux[:200] / expected - 1) / 10 ** log10_sigma[:200, None]
    assert stats.kstest(residual.ravel(), "norm").pvalue > 1e-4


def test_bad_spectra_and_priors_are_refused():
    given = spectra()
    half = {name: getattr(given, name)[:, :40] for name in ("flux", "sigma", "is_used")}
    with pytest.raises(ValueError, match=r"have 40 pixels, but \{'networks': 80\}"):
        young_star.build(replace(given, wavelength=WAVELENGTH[:40], **half), GIVEN)
    with pytest.raises(ValueError, match=r"has 2 visits\. Combine or choose one"):
        young_star.build(spectra(2), GIVEN)
    with pytest.raises(ValueError, match="`bin_size` must be a positive whole number of pixels, but 0 came"):
        young(bin_size=0)
    with pytest.raises(ValueError, match="mean flux is not positive"):
        young_star.build(replace(given, flux=given.flux - 1.0), GIVEN)
    with pytest.raises(ValueError, match="mean flux is not positive, or none"):
        young_star.build(replace(given, is_used=np.zeros((1, 80), bool)), GIVEN)
    with pytest.raises(ValueError, match=r"is 10\^-2\.4.*Widen the range"):
        young(log10_sigma_range=(-2.0, -1.0))
    with pytest.raises(ValueError, match=r"end below -0\.5"):
        young(log10_sigma_range=(-2.0, 0.0))
    with pytest.raises(ValueError, match="`max_A_V` must be positive and `max_veiling` not negative"):
        young(max_veiling=-1.0)
    with pytest.raises(ValueError, match="`R_V` must be a mean from 2 to 6"):
        young(R_V=(1.0, 0.5))
    with pytest.raises(ValueError, match="which are no labels"):
        young(priors={"v_macro": (1.0, 1.0)})


@pytest.fixture
def data(published_data):
    published_data("apogee_2m1948")


@functools.cache
def trained(max_veiling):
    """The program on APOGEE's pixels, and networks that know its posterior."""
    problem = young_apogee_star(max_veiling)
    name, settings = ("full", young_stars.SETTINGS) if max_veiling else ("unveiled", young_stars.UNVEILED)
    return problem, young_stars.network(problem, name, settings)[0]


@pytest.mark.slow
def test_the_network_is_right_where_noise_is_seen_and_careful_beyond(data):
    """Not better than this: above a ratio of 300 the networks know less than the data, and say so by wider posteriors."""
    problem, network = trained(2.0)
    report = ba.calibrate(problem, network, num_simulations=600, seed=4, progress=False)
    summary = report.summary()
    assert (summary["bias"].abs() < 4.5 * summary["bias_error"]).all(), summary
    table = report.coverage_by(10 ** -report.batch.data.observed["log10_sigma"], young_stars.SNR_EDGES)
    off = (table["coverage"] - table.index.get_level_values("level")) / table["error"]
    assert off.min() > -4.5, table
    assert off[table.index.get_level_values("to") <= 300].max() < 4.5, table


@pytest.mark.slow
def test_variances_of_the_data_fall_with_noise_and_those_of_training_remain(data):
    problem, network = trained(2.0)
    x = problem.simulate(400, key=jax.random.key(5)).observables
    parts, is_good = network.variances(problem, x, seed=1), x["log10_sigma"] < -2.0
    for name in ("Teff", "logg", "Fe_H", "veiling"):
        aleatoric, epistemic = (np.array(parts[name].sel(part=part)) for part in ("aleatoric", "epistemic"))
        share = epistemic / (aleatoric + epistemic)
        assert np.median(aleatoric[is_good]) < 0.5 * np.median(aleatoric[~is_good]), name
        assert np.median(share[~is_good]) < np.median(share[is_good]) < 0.3, name


@pytest.mark.slow
def test_network_and_nuts_agree(data):
    problem, network = trained(2.0)
    simulated = problem.simulate(60, key=jax.random.key(6))
    noisy = np.flatnonzero(np.abs(simulated.observables["log10_sigma"] + 1.7) < 0.2)[:3]
    for i in noisy:
        one = problem.replace(observed={name: values[i] for name, values in simulated.observables.items()})
        exact = ba.fit(one, young_stars.NUTS_ENGINE, seed=1, progress=False)
        assert float(ba.summary(exact)["r_hat"].max()) < 1.03
        fast = ba.fit(one, network, seed=1, progress=False)
        for name in simulated.parameters:
            a, b = exact["posterior"][name], fast["posterior"][name]
            assert abs(float(a.mean() - b.mean())) < 0.5 * float(a.std()), name
            assert 0.75 < float(b.std() / a.std()) < 1.4, name


@pytest.mark.slow
def test_who_ignores_veiling_finds_stars_too_hot(data):
    """By the networks of programs with and without veiling, of 600 stars, and by NUTS, of one."""
    (problem, network), (plain, unveiled) = trained(2.0), trained(0.0)
    simulated = problem.simulate(600, key=jax.random.key(7))
    fits = {
        name: ba.fit_many(one, simulated.observables, replace(engine, num_chains=1), seed=1, progress=False)
        for name, one, engine in (("with", problem, network), ("without", plain, unveiled))
    }
    table = young_stars.bias_table(simulated, fits)
    right, wrong = table.loc["with"], table.loc["without"]
    assert (right["bias"].abs() < 4 * right["error"]).all()
    assert (right["coverage"] > 0.9).all()
    much = wrong.iloc[2:]
    assert (much["bias"] > 5 * much["error"]).all()
    assert (much["bias"] > 200.0).all()
    assert (much["bias_sd"] > 2.0).all()
    assert (much["coverage"] < 0.6).all()
    truth, log10_sigma = simulated.parameters, simulated.observables["log10_sigma"]
    star = np.flatnonzero((truth["veiling"] > 0.8) & (truth["Teff"] < 5000) & (np.abs(log10_sigma + 2.2) < 0.2))[0]
    seen = {name: values[star] for name, values in simulated.observables.items()}
    off = {}
    for name, one in (("with", problem), ("without", plain)):
        found = ba.fit(one.replace(observed=seen), young_stars.NUTS_ENGINE, seed=1, progress=False)["posterior"]["Teff"]
        off[name] = float(found.mean() - truth["Teff"][star]) / float(found.std())
    assert abs(off["with"]) < 4
    assert off["without"] > 4
