"""X-ray images: densities by hand, components, masks, and images that are refused."""

import jax
import numpy as np
import pytest
from scipy import stats
from scipy.signal import fftconvolve

import bayesastro as ba
from bayesastro.models.fields import xray_image
from bayesastro.models.fields.bright_points import bright_points

RNG = np.random.default_rng(3)
PSF = np.outer(stats.norm.pdf(np.arange(-3, 4)), stats.norm.pdf(np.arange(-3, 4)))
PSF /= PSF.sum()


def test_density_of_several_observations_and_bands():
    """With points, spectral indices, a margin, and pixels without exposure."""
    exposure = RNG.uniform(1.0, 3.0, (2, 2, 12, 10))
    exposure[0, 0, :4] = 0.0
    counts = np.where(exposure > 0, RNG.poisson(2.0, exposure.shape), 0)
    psf = np.stack([PSF, np.roll(PSF, 1, 0)])
    problem = xray_image.build(counts, exposure, psf, 0.5, energies=[1.0, 2.0], margin=2)
    theta = problem.simulate(1, key=jax.random.key(1)).parameters
    theta = {name: value[0] for name, value in theta.items()}
    parts = problem.replay(theta)
    np.testing.assert_allclose(parts["sky_points"][1], theta["points"] * 2.0 ** theta["points_index"], rtol=1e-10)
    total = parts["sky_points"] + parts["sky_diffuse"]
    ratio = np.log(parts["sky_diffuse"][1] / parts["sky_diffuse"][0]) / np.log(2.0)
    assert ratio.std() > 0.01
    found = problem.log_likelihood(theta)["counts"]
    expected = 0.0
    for o in range(2):
        for b in range(2):
            rate = exposure[o, b] * fftconvolve(total[b], psf[o], mode="same")[2:-2, 2:-2]
            seen = exposure[o, b] > 0
            expected += stats.poisson(rate[seen]).logpmf(counts[o, b][seen]).sum()
    assert np.sum(found) == pytest.approx(expected, rel=1e-8)


def test_without_exposure_counts_tell_nothing():
    exposure = np.ones((8, 8))
    exposure[:, :3] = 0.0
    problem = xray_image.build(np.where(exposure > 0, 3, 0), exposure, PSF, 1.0, points=None)
    other = problem.replace(observed={"counts": np.where(exposure > 0, 3, 7)[None, None]})
    theta = {n: v[0] for n, v in problem.simulate(1, key=jax.random.key(1)).parameters.items()}
    assert "points" not in theta
    assert np.sum(problem.log_likelihood(theta)["counts"]) == pytest.approx(
        np.sum(other.log_likelihood(theta)["counts"])
    )


def test_backgrounds():
    """That of the sky is spread and exposed, that of particles is neither; pixels of too little exposure are left out."""
    exposure = RNG.uniform(1.0, 3.0, (2, 1, 12, 10))
    exposure[1, 0, 2, 3] = 0.5
    counts = RNG.poisson(2.0, exposure.shape)
    problem = xray_image.build(
        counts, exposure, PSF, 0.5, points=None, flat=(0.3, 0.1), particles=(0.2, 0.1), min_exposure=0.9, margin=3
    )
    theta = {n: v[0] for n, v in problem.simulate(1, key=jax.random.key(1)).parameters.items()}
    parts = problem.replay(theta)
    sky = parts["sky_diffuse"][0] + theta["flat"][0]
    expected = 0.0
    for o in range(2):
        rate = exposure[o, 0] * fftconvolve(sky, PSF, mode="valid") + theta["particles"][o, 0]
        np.testing.assert_allclose(
            parts["expected"][o, 0, 3:-3, 3:-3][exposure[o, 0] > 0.9], rate[exposure[o, 0] > 0.9]
        )
        seen = exposure[o, 0] > 0.9
        expected += stats.poisson(rate[seen]).logpmf(counts[o, 0][seen]).sum()
    assert np.sum(problem.log_likelihood(theta)["counts"]) == pytest.approx(expected, rel=1e-8)
    drawn = problem.simulate(4000, key=jax.random.key(2)).parameters["particles"][:, 0, 0]
    mean = counts[0].mean()
    assert drawn.mean() == pytest.approx(0.2 * mean, rel=0.05)
    assert drawn.std() == pytest.approx(0.1 * mean, rel=0.1)


def test_bright_points_are_found_and_extended_sources_are_not():
    """Three sources over a background, a blob and a faint source; fluxes to within their noise."""
    y, x = np.mgrid[:60, :70]
    flux = 0.2 + 60.0 * np.exp(-0.5 * ((y - 15) ** 2 + (x - 50) ** 2) / 6.0**2)
    places, bright = [(30, 20), (45, 55), (12, 12)], [100.0, 200.0, 60.0]
    for place, value in zip(places, bright, strict=True):
        flux[place] += value
    flux[50, 10] += 1.0
    exposure = np.where(x < 66, 2.0, 0.0)
    counts = RNG.poisson(np.maximum(exposure * fftconvolve(flux, PSF, mode="same"), 0.0))
    problem = xray_image.build(counts, exposure, PSF, 1.0, points=(1.5, 0.01))
    points = bright_points(problem)["points"]
    found = np.argwhere(points > 5.0)
    assert {tuple(place) for place in found} == set(places)
    for place, value in zip(places, bright, strict=True):
        assert abs(points[place] - value) < 5 * np.sqrt(value / 2.0 * 2.0)
    with pytest.raises(ValueError, match="no `points` to start from"):
        bright_points(xray_image.build(counts, exposure, PSF, 1.0, points=None))


def test_point_sources_are_few_and_bright():
    """The law's shape is 1.5: the brightest of 10⁴ pixels is hundreds of times the median."""
    problem = xray_image.build(np.full((100, 100), 2), np.ones((100, 100)), PSF, 1.0)
    points = problem.simulate(4, key=jax.random.key(1)).parameters["points"]
    assert 0.1 * 2 / 2.5 < np.median(points) < 0.1 * 2 / 0.8
    assert (points.max((1, 2)) > 50 * np.median(points)).all()


COUNTS, EXPOSURE = np.ones((9, 9), int), np.ones((9, 9))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"counts": COUNTS - 2}, "whole numbers, not below 0"),
        ({"counts": COUNTS + 0.5}, "whole numbers, not below 0"),
        ({"counts": np.where(COUNTS, np.nan, 1.0)}, "without NaN"),
        ({"counts": np.ones(9)}, "an image, images, or images by band"),
        ({"exposure": np.ones((8, 9))}, "does not fit `counts`"),
        ({"exposure": -EXPOSURE}, "finite and not below 0"),
        ({"exposure": 0 * EXPOSURE}, "No pixel has an exposure"),
        ({"exposure": EXPOSURE * (np.arange(9) > 0)}, "9 pixels without exposure have counts"),
        ({"psf": np.ones((4, 3))}, "needs odd sides"),
        ({"psf": np.ones((11, 11))}, "is larger than the field"),
        ({"psf": -PSF}, "not below 0"),
        ({"psf": np.ones((3, 1, 3, 3))}, "does not fit 1 observations"),
        ({"flat": (0.1, 0.0)}, "`flat` must be a positive mean and standard deviation"),
        ({"particles": 0.1}, "`particles` must be a positive mean and standard deviation"),
        ({"mean_flux": -1.0}, "`mean_flux` must be positive"),
        ({"min_exposure": 2.0}, "No pixel has `min_exposure`"),
        ({"counts": np.ones((1, 2, 9, 9), int)}, "`energies` must be 2 positive numbers"),
    ],
)
def test_wrong_images_are_refused(arguments, message):
    settings = {"counts": COUNTS, "exposure": EXPOSURE, "psf": PSF, "pixel_size": 1.0} | arguments
    with pytest.raises(ValueError, match=message):
        xray_image.build(**settings)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["NUTS", "MCLMC", "GeoVI"])
def test_pixels_and_spectrum_are_calibrated(engine):
    """A blurred image of 36 pixels with some counts each, two of them without exposure: the sky, its modes and their spectrum."""
    exposure = np.ones((6, 6))
    exposure[0, :2] = 0.0
    spread = np.outer([0.25, 0.5, 0.25], [0.25, 0.5, 0.25])
    priors = {"fluctuations": (1.0, 0.3), "slope": (-2.0, 0.5), "offset_sd": (0.5, 0.2)}
    problem = xray_image.build(
        (8 * exposure).astype(int), exposure, spread, 1.0, points=None, mean_flux=8.0, diffuse=priors
    )
    engines = {
        "NUTS": ba.NUTS(num_chains=1, num_warmup=300, num_draws=300),
        "MCLMC": ba.MCLMC(num_chains=1, num_warmup=3000, num_draws=1000),
        "GeoVI": ba.GeoVI(num_draws=300),
    }
    report = ba.calibrate(
        problem, engines[engine], num_simulations=150, seed=1, deterministics=["sky_diffuse"], chunk=1, progress=False
    )
    assert report.verdict == "pass", str(report)
