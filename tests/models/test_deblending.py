"""Deblending: densities written by hand, exact conditionals, a sampler of another kind, blends, bad input, calibration."""

import dataclasses

import numpy as np
import pytest
from confused import (
    BACKGROUNDS,
    CONFUSION,
    FLUXES,
    dense,
    flat,
    sed,
    small_emulator,
    small_layers,
    small_map,
    small_maps,
)
from scipy import stats

import bayesastro as ba
from bayesastro.datasets import read_emulator_weights
from bayesastro.models.spectra import deblending, deblending_sed
from bayesastro.models.spectra.blended import blends, determination
from bayesastro.simulators.spectra.sed_emulator import CIGALE_INPUTS, cigale_emulator

FLAT = {"flux": FLUXES, "background": BACKGROUNDS, "confusion": CONFUSION}
SED = {
    "slope": 0.9,
    "level": 0.055,
    "sfr_spread": 0.4,
    "redshift": np.array([1.1, 0.7, 1.6, 0.4]),
    "agn_fraction": np.array([0.1, 0.2, 0.3, 0.05]),
    "attenuation": np.array([1.0, 2.0, 3.0, 2.5]),
    "dust_slope": np.array([2.0, 1.5, 2.5, 3.0]),
    "log_tau": np.array([3.4, 3.0, 3.6, 3.2]),
    "background": BACKGROUNDS,
    "confusion": CONFUSION,
}


def likelihood_by_hand(flux, background=BACKGROUNDS, confusion=CONFUSION):
    return {
        f"map_{name}": stats.norm(
            dense(one) @ flux[i] + background[i], np.sqrt(one.noise**2 + confusion[i] ** 2)
        ).logpdf(one.brightness)
        for i, (name, one) in enumerate(small_maps().items())
    }


def check(found, wanted):
    assert set(found) == set(wanted)
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-7)


def test_density_with_flat_fluxes():
    problem = flat()
    check(problem.log_likelihood(FLAT), likelihood_by_hand(FLUXES))
    priors = {
        "flux": -8 * np.log(40.0),
        "background": stats.norm(-5.0, 5.0).logpdf(BACKGROUNDS).sum(),
        "confusion": stats.halfcauchy(scale=0.5).logpdf(CONFUSION).sum(),
    }
    check(problem.log_prior(FLAT), priors)


def test_density_with_log_uniform_fluxes_and_no_confusion():
    problem = flat(flux_prior="log_uniform", faintest=0.1, confusion_scale=None)
    theta = {"flux": FLUXES, "background": BACKGROUNDS}
    check(problem.log_likelihood(theta), likelihood_by_hand(FLUXES, confusion=np.zeros(2)))
    assert problem.log_prior(theta)["flux"] == pytest.approx(stats.loguniform(0.1, 40.0).logpdf(FLUXES).sum())


def network(log_sfr):
    """Logarithms of fluxes in the two bands by the emulator at the fixed point, shape (s, 2)."""
    weights, biases = small_layers()
    columns = [SED.get(name, np.broadcast_to(log_sfr, 4)) for name in CIGALE_INPUTS]
    hidden = np.stack(columns, axis=1) @ weights[0] + biases[0]
    hidden = np.where(hidden > 0, hidden, 0.01 * hidden)
    return (hidden @ weights[1] + biases[1])[:, [6, 8]]


@pytest.mark.parametrize("is_proportional", [True, False])
def test_density_with_the_emulator(is_proportional):
    """The third source's rate lies far beyond the emulator's training, where fluxes scale; the emulator is proportional anyway."""
    shown = np.array([0.0, 0.3, 0.8, 1.0])
    share = np.array([[0.5, 0.5], [0.2, 0.8], [1.0, 0.0], [0.9, 0.1]])
    problem = sed(is_proportional=is_proportional).replace(shown=shown, share=share)
    assert problem.replay(SED | {"rate": np.zeros(4)})["intercept"] == pytest.approx(-0.8)  # the mean redshift is 0.95
    relation = SED["slope"] * SED["redshift"] - 0.8
    log_sfr = np.array([1.0, -0.5, 6.0, 0.4])
    per_rate = ((network(2.0) - 2.0 * np.log(10.0)) * share).sum(1) / np.log(10.0)
    scale = SED["sfr_spread"] ** (1 - shown)
    rate = (log_sfr - (1 - shown) * relation + shown * per_rate) / scale
    theta = SED | {"rate": rate}
    found = problem.replay(theta)
    np.testing.assert_allclose(found["log_sfr"], log_sfr)
    flux = np.exp(network(2.0) + np.log(10.0) * (log_sfr - 2.0)[:, None]).T
    np.testing.assert_allclose(found["flux"], flux, rtol=1e-7)
    check(problem.log_likelihood(theta), likelihood_by_hand(flux))

    def cut(name, mean, sd, low, high):
        return stats.truncnorm((low - mean) / sd, (high - mean) / sd, mean, sd).logpdf(SED[name]).sum()

    priors = {
        "slope": stats.norm(0.8, 0.4).logpdf(0.9),
        "level": stats.norm(-1.0, 0.5).logpdf(-0.8),
        "sfr_spread": stats.halfnorm(scale=0.5).logpdf(0.4),
        "redshift": cut("redshift", np.array([1.0, 0.8, 1.5, 0.5]), 0.3, 0.05, 6.0),
        "agn_fraction": stats.beta(1, 3).logpdf(SED["agn_fraction"]).sum(),
        "attenuation": cut("attenuation", 2.0, 1.0, 0.1, 3.6),
        "dust_slope": cut("dust_slope", 2.0, 1.0, 0.0625, 3.9375),
        "log_tau": cut("log_tau", 3.4, 0.3, 2.699, 3.778),
        # whatever the coordinate, the rate has the prior of the relation
        "rate": (stats.norm(relation, 0.4).logpdf(log_sfr) + np.log(scale)).sum(),
        "background": stats.norm(-5.0, 5.0).logpdf(BACKGROUNDS).sum(),
        "confusion": stats.halfcauchy(scale=0.5).logpdf(CONFUSION).sum(),
    }
    check(problem.log_prior(theta), priors)


def test_coordinates_of_rates_know_which_sources_the_maps_show():
    arrays = sed().covariates
    assert ((arrays["shown"] > 0.5) & (arrays["shown"] < 1.0)).all()
    np.testing.assert_allclose(arrays["share"].sum(1), 1.0)
    assert arrays["share"][2, 0] > 0.5  # 20 ± 0.9 mJy in blue and 12 ± 1.4 in red
    dark = {n: dataclasses.replace(m, brightness=np.full(m.noise.size, -4.0)) for n, m in small_maps().items()}
    outputs = {"blue": "spire_250", "red": "spire_500"}
    arrays = deblending_sed.build(dark, small_emulator(), redshift=(1.0, 0.3), outputs=outputs).covariates
    np.testing.assert_allclose(arrays["shown"], 0.0, atol=1e-3)
    np.testing.assert_allclose(arrays["share"], 0.5, atol=0.5)


def test_beyond_its_training_the_published_variant_scales(published_file):
    """Proportional or asked at each rate: the same at the rate in the middle, and not elsewhere."""
    layers = read_emulator_weights(published_file("xidplus/cigale_emulator.npz"))
    emulator = cigale_emulator(layers.weights, layers.biases)
    spire = {"blue": "spire_250", "red": "spire_500"}
    found = []
    for is_proportional in (True, False):
        problem = deblending_sed.build(
            small_maps(), emulator, redshift=(0.95, 0.3), outputs=spire, is_proportional=is_proportional
        ).replace(shown=np.zeros(4))
        relation = SED["slope"] * SED["redshift"] - 0.8
        rate = (np.array([2.0, 3.0, 0.0, 7.4]) - relation) / SED["sfr_spread"]
        found.append(np.log(problem.replay(SED | {"rate": rate})["flux"]))
    difference = np.abs(found[0] - found[1])
    np.testing.assert_allclose(difference[:, 0], 0.0, atol=1e-6)
    assert (difference[:, 1:] > 1e-4).all()
    assert (difference[:, 1:] < 0.7).all()


def test_with_known_noise_the_posterior_is_the_closed_form():
    """Without confusion and far from the bounds it is Gaussian: its gradient is that of the exact mean and covariance."""
    wide = {
        n: dataclasses.replace(m, flux_upper=np.full(4, 1e4), flux_lower=np.zeros(4)) for n, m in small_maps().items()
    }
    problem = deblending.build(wide, confusion_scale=None)

    def log_posterior(flux, background):
        theta = {"flux": flux, "background": background}
        return sum(x.sum() for part in (problem.log_prior(theta), problem.log_likelihood(theta)) for x in part.values())

    for band, one in enumerate(wide.values()):
        design = np.column_stack([dense(one), np.ones(one.noise.size)])
        precision = (design.T / one.noise**2) @ design + np.diag([0, 0, 0, 0, 1 / 25.0])
        mean = np.linalg.solve(precision, design.T @ (one.brightness / one.noise**2) + np.array([0, 0, 0, 0, -0.2]))
        flux, background = FLUXES.copy(), BACKGROUNDS.copy()
        flux[band], background[band] = mean[:4], mean[4]
        best = log_posterior(flux, background)
        for step in np.random.default_rng(band).normal(0.0, 0.5, (5, 5)):
            moved, level = flux.copy(), background.copy()
            moved[band] += step[:4]
            level[band] += step[4]
            fall = log_posterior(moved, level) - best
            assert fall == pytest.approx(-0.5 * step @ precision @ step, rel=1e-6)


def test_blends_are_found_and_numbered_as_in_the_closed_form():
    """Draws of the Gaussian posterior: correlation and errors are those of the inverse of the design's precision."""
    maps, rng = small_maps(), np.random.default_rng(1)
    covariances = [np.linalg.inv((dense(m).T / m.noise**2) @ dense(m)) for m in maps.values()]
    draws = np.stack([rng.multivariate_normal(FLUXES[i], c, (4, 5000)) for i, c in enumerate(covariances)], axis=-2)
    table = blends(draws, maps, least=0.5)
    assert list(table.band) == ["red", "blue"]  # of the same beam in larger pixels, so worse blended
    assert (table[["first", "second"]] == [0, 1]).all(axis=None)
    for row, covariance, scale in zip(table.itertuples(), covariances[::-1], (1.5, 1.0), strict=True):
        sd = np.sqrt(np.diag(covariance))
        assert row.correlation == pytest.approx(covariance[0, 1] / (sd[0] * sd[1]), abs=0.02)
        assert row.separation == pytest.approx(np.hypot(1.1, 0.4) / scale)
        assert row.sd_sum == pytest.approx(np.sqrt(covariance[:2, :2].sum()), rel=0.03)
        assert row.sd_sum < 0.7 * row.sd_first
    every = determination(draws, maps)
    assert len(every) == 8
    assert every.partner[:2].tolist() == [1, 0]
    np.testing.assert_allclose(every.sd[:4], np.sqrt(np.diag(covariances[0])), rtol=0.03)
    np.testing.assert_allclose(every.of_prior, every.sd * np.sqrt(12) / 40.0)
    np.testing.assert_allclose((every.high - every.low) / 2, every.sd, rtol=0.05)


def changed(**parts):
    return {"blue": dataclasses.replace(small_map(0), **parts), "red": small_map(1)}


def with_value(name, value):
    array = getattr(small_map(0), name).copy()
    array[3] = value
    return changed(**{name: array})


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (lambda: {}, "at least one map"),
        (lambda: with_value("brightness", np.nan), r"1 of 81 of blue do not, as pixel 3 with nan ±"),
        (lambda: with_value("noise", 0.0), "positive noise, but 1 of 81"),
        (lambda: with_value("noise", np.inf), "positive noise, but 1 of 81"),
        (lambda: with_value("pixel", 81), "`pixel` must hold numbers from 0 to 80"),
        (lambda: with_value("source", -1), "`source` must hold numbers from 0 to 3"),
        (lambda: with_value("beam", np.nan), "beam must be finite"),
        (lambda: with_value("flux_lower", -1.0), "source 3 in blue are -1 and 40"),
        (lambda: with_value("flux_upper", 0.0), "source 3 in blue are 0 and 0"),
        (lambda: with_value("flux_upper", np.inf), "must be finite"),
        (lambda: changed(background=(0.0, 0.0)), "standard deviation must be positive"),
        (
            lambda: {"blue": small_map(0), "red": fewer(small_map(1))},
            r"same sources, but they have {'blue': 4, 'red': 3}",
        ),
    ],
)
def test_maps_that_cannot_be_fitted_are_refused(maps, message):
    with pytest.raises(ValueError, match=message):
        deblending.build(maps())


def fewer(one):
    kept = one.source < 3
    parts = {name: getattr(one, name)[:3] for name in ("source_x", "source_y", "flux_lower", "flux_upper")}
    return dataclasses.replace(one, beam=one.beam[kept], pixel=one.pixel[kept], source=one.source[kept], **parts)


def test_settings_that_make_no_sense_are_refused():
    maps, emulator = small_maps(), small_emulator()
    spire = {"blue": "spire_250", "red": "spire_500"}
    for call, message in [
        (lambda: flat(flux_prior="gamma"), "`flux_prior` must be"),
        (lambda: flat(faintest=0.0), "`faintest` must be a positive flux"),
        (lambda: flat(confusion_scale=-1.0), "`confusion_scale` must be positive"),
        (lambda: deblending_sed.build(maps, emulator, redshift=(1.0, 0.3)), r"`outputs` gives {'blue': None"),
        (lambda: deblending_sed.build(maps, emulator, redshift=(7.0, 0.3), outputs=spire), "`redshift` from 0.05 to 6"),
        (lambda: deblending_sed.build(maps, emulator, redshift=(1.0, 0.0), outputs=spire), "must be positive"),
        (
            lambda: deblending_sed.build(maps, emulator, redshift=(np.ones(3), 0.1), outputs=spire),
            r"one for each of 4 sources, but shapes \[\(3,\), \(\)\]",
        ),
        (lambda: blends(np.zeros((10, 2, 3)), maps), r"last axes \(2, 4\)"),
        (lambda: blends(np.zeros((10, 2, 4)), maps, least=2.0), "`least` must be a correlation"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_other_maps_of_equal_shapes_compile_nothing_again():
    problem = flat()
    other = deblending.build({"blue": small_map(0, seed=7), "red": small_map(1, seed=7)})
    assert other.fingerprint == problem.fingerprint


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "engine"),
    [
        (flat, ba.NUTS(num_chains=2, num_warmup=500, num_draws=300, target_accept=0.9, max_tree_depth=8)),
        (flat, ba.MCLMC(num_chains=2, num_warmup=2000, num_draws=300)),
        (sed, ba.NUTS(num_chains=2, num_warmup=500, num_draws=300, target_accept=0.9, max_tree_depth=8)),
    ],
    ids=["flat nuts", "flat mclmc", "sed nuts"],
)
def test_programs_are_calibrated(program, engine):
    report = ba.calibrate(program(), engine, num_simulations=100, seed=4, chunk=1, progress=False)
    assert report.verdict == "pass", str(report)
