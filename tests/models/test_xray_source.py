"""One X-ray source: the density by hand, Sherpa's fit of two Chandra observations, and images that are refused."""

import jax
import numpy as np
import pytest
from scipy import optimize, stats
from scipy.signal import fftconvolve

import bayesastro as ba
from bayesastro.models.fields import xray_source
from bayesastro.models.fields.examples import chandra_source_settings
from bayesastro.simulators.fields import gaussian_source

RNG = np.random.default_rng(5)
PSF = np.outer(stats.norm.pdf(np.arange(-3, 4)), stats.norm.pdf(np.arange(-2, 3), scale=1.5))
PSF /= PSF.sum()


def disc(shape, y, x, radius):
    rows, columns = np.indices(shape)
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


SHAPES = [(30, 25), (22, 31)]
COUNTS = [RNG.poisson(0.5, shape) for shape in SHAPES]
MASKS = [disc(SHAPES[0], 14, 12, 8), disc(SHAPES[1], 11, 15, 6)]
ORIGINS = [[100.0, 200.0], [97.5, 203.25]]
KERNELS = [PSF, PSF.T]


def test_a_gaussian_has_unit_integral():
    image = np.asarray(gaussian_source((41, 51), 24.3, 20.7, 0.4, subpixels=9))
    assert image.sum() == pytest.approx(1.0, abs=1e-3)
    wide = np.asarray(gaussian_source((41, 51), 24.3, 20.7, 6.0))
    assert wide.sum() == pytest.approx(1.0, abs=1e-6)
    y, x = np.indices(wide.shape)
    np.testing.assert_allclose([(wide * x).sum(), (wide * y).sum()], [24.3, 20.7], atol=1e-5)
    assert float(gaussian_source((1, 7), 3.0, 0.0, 6.0)[0, 6] / gaussian_source((1, 7), 3.0, 0.0, 6.0)[0, 3]) == (
        pytest.approx(0.5)
    )


def test_density_of_two_observations():
    """Whose images and regions are cut; the sum is over whole images by hand."""
    problem = xray_source.build(COUNTS, KERNELS, MASKS, ORIGINS, exposure=[1.0, 0.6], subpixels=1)
    theta = {"xpos": 112.6, "ypos": 214.2, "fwhm": 3.0, "norm": 60.0, "background": 0.3}
    expected, factor = 0.0, 4 * np.log(2) / 9.0
    for counts, psf, mask, (x0, y0), time in zip(COUNTS, KERNELS, MASKS, ORIGINS, (1.0, 0.6), strict=True):
        y, x = np.indices(counts.shape)
        source = 60.0 * factor / np.pi * np.exp(-factor * ((x + x0 - 112.6) ** 2 + (y + y0 - 214.2) ** 2))
        rate = time * (fftconvolve(source, psf, mode="same") + 0.3)
        expected += stats.poisson(rate[mask]).logpmf(counts[mask]).sum()
    assert np.sum(problem.log_likelihood(theta)["counts"]) == pytest.approx(expected, rel=1e-6)
    prior = problem.log_prior(theta)
    assert prior["fwhm"] == pytest.approx(stats.loguniform(0.1, 20.0).logpdf(3.0))
    middles = [np.argwhere(mask).mean(0)[::-1] + origin for mask, origin in zip(MASKS, ORIGINS, strict=True)]
    assert prior["xpos"] == pytest.approx(stats.norm(np.mean(middles, 0)[0], 5.0).logpdf(112.6))


def test_prior_predictive_is_sane():
    problem = xray_source.build(COUNTS, KERNELS, MASKS, ORIGINS)
    drawn = problem.simulate(200, key=jax.random.key(1))
    assert (drawn.observables["counts"] >= 0).all()
    assert drawn.observables["counts"][drawn.parameters["background"] > 1.0].mean() > 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"psf": KERNELS[:1]}, "as many `counts`, `psf`, `regions`"),
        ({"origins": [0.0, 1.0]}, "as many `counts`, `psf`, `regions`"),
        ({"counts": [COUNTS[0] + 0.5, COUNTS[1]]}, "whole numbers"),
        ({"regions": MASKS[::-1]}, "does not fit counts of shape"),
        ({"regions": [MASKS[0], MASKS[1] & False]}, "or is empty"),
        ({"psf": [PSF[1:], PSF]}, "needs odd sides"),
        ({"exposure": [1.0, 0.0]}, "must be 2 positive numbers"),
    ],
)
def test_wrong_images_are_refused(changes, message):
    settings = {"counts": COUNTS, "psf": KERNELS, "regions": MASKS, "origins": ORIGINS} | changes
    with pytest.raises(ValueError, match=message):
        xray_source.build(**settings)


@pytest.fixture
def catalogue(published_data):
    """Arguments of `build` of the Chandra Source Catalog's cut-outs."""
    published_data("chandra_source")
    return chandra_source_settings()


def c_statistic(problem, fwhm, x, y, ampl, background):
    """Twice the logarithm of the likelihood of rates that equal the counts, over that of the model."""
    norm = ampl * np.pi * fwhm**2 / (4 * np.log(2))
    theta = {"xpos": x, "ypos": y, "fwhm": fwhm, "norm": norm, "background": background}
    counts = problem.observed["counts"][problem.covariates["is_used"]]
    best = np.where(counts > 0, stats.poisson.logpmf(counts, np.maximum(counts, 1)), 0.0).sum()
    return 2 * (best - float(np.sum(problem.log_likelihood(theta)["counts"])))


def test_sherpa_s_statistic(catalogue):
    """Sherpa's test `lev3fft`: 558.987 in 3,307 pixels at its best fit, from 6,483.84 at its start."""
    problem = xray_source.build(**catalogue, subpixels=1)
    assert problem.covariates["is_used"].sum() == 3307
    assert c_statistic(problem, 1.48914, 3142.84, 4519.72, 9.11268, 0.0118703) == pytest.approx(558.987, abs=0.02)


@pytest.mark.slow
def test_fit_of_the_catalogue_s_source(catalogue):
    """Best fit at Sherpa's, and NUTS about it; where the extent is not resolved it has only an upper bound."""
    problem = xray_source.build(**catalogue, subpixels=1)
    best = optimize.minimize(
        lambda p: c_statistic(problem, np.exp(p[0]), p[1], p[2], np.exp(p[3]), np.exp(p[4])),
        [np.log(2.0), 3142.0, 4520.5, np.log(5.0), np.log(0.02)],
        method="Nelder-Mead",
        options={"xatol": 1e-3, "fatol": 1e-4, "maxiter": 1000},
    )
    assert best.fun == pytest.approx(558.987, abs=0.02)
    np.testing.assert_allclose(best.x[1:3], [3142.84, 4519.72], atol=0.05)
    np.testing.assert_allclose(np.exp(best.x[4]), 0.0118703, rtol=0.02)  # an eighth of its error, from forty counts
    result = ba.fit(
        xray_source.build(**catalogue), ba.NUTS(num_chains=2, num_warmup=500, num_draws=1000), seed=1, progress=False
    )
    assert result["posterior"]["fwhm"].shape == (2, 1000)
    assert (ba.summary(result)["r_hat"].astype(float) < 1.02).all()
    posterior = result["posterior"]
    for name, value in (("xpos", 3142.84), ("ypos", 4519.72), ("background", 0.0118703)):
        assert abs(float(posterior[name].mean()) - value) < 0.5 * float(posterior[name].std())
    counts = sum(image[mask].sum() for image, mask in zip(catalogue["counts"], catalogue["regions"], strict=True))
    predicted = 2 * posterior["norm"] + 3307 * posterior["background"]
    assert abs(float(predicted.mean()) - counts) < 0.5 * np.sqrt(counts)
