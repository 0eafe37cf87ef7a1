"""The program of Euclid-like images: against lenstronomy, its priors, bad input, and the real lens's files."""

import jax
import numpy as np
import pytest
from euclid_images import (
    EXPOSURE,
    OUTER,
    SKY_NOISE,
    TRUTH,
    ZERO_POINT,
    image_by_lenstronomy,
    small_euclid,
    with_neighbours,
)
from lenses import gaussian_psf
from scipy import stats

from bayesastro.datasets.euclid_lens import euclid_lens
from bayesastro.models.lensing import euclid

RADII = (1.2, 1.6)
PLACES = np.array([[1.1, -0.8], [-0.3, 1.25]])
SIZE, SCALE = 26, 0.12


@pytest.fixture(scope="module")
def lens():
    return small_euclid(2)


@pytest.fixture(scope="module")
def theta():
    return TRUTH | with_neighbours(PLACES, RADII)


@pytest.fixture(scope="module")
def model():
    return image_by_lenstronomy(TRUTH, PLACES, SIZE, SCALE, gaussian_psf())


def by_hand(image, model):
    sd = np.sqrt(SKY_NOISE**2 + np.maximum(model, 0) / EXPOSURE)
    return stats.norm(model, sd).logpdf(image)


def test_density_is_of_lenstronomys_image(lens, theta, model):
    """The image is 10⁴ to 10⁵ noise sds away from the model, whose neighbours it lacks: any pixel would tell."""
    expected = by_hand(lens.observed["image"], model).sum()
    assert lens.log_likelihood(theta)["image"].sum() == pytest.approx(expected, rel=1e-6)


def test_mean_image_is_lenstronomys(lens, theta, model):
    found = euclid.mean_image(lens, theta)
    np.testing.assert_allclose(found, model, atol=0.01 * SKY_NOISE)
    dark = euclid.mean_image(lens, theta | {"source_magnitude": 60.0})
    # Arcs are brighter than the source by its magnification.
    flux = 10 ** (0.4 * (ZERO_POINT - theta["source_magnitude"]))
    assert 2 < (found - dark).sum() / flux < 20


def test_the_source_has_its_magnitude(theta):
    x, y = np.meshgrid(*2 * [np.linspace(-4.0, 4.0, 1601)])
    total = np.sum(euclid.source_of(theta).brightness(x, y)) * 0.005**2
    assert -2.5 * np.log10(total) == pytest.approx(theta["source_magnitude"], abs=0.01)


def test_masked_pixels_have_no_say(theta, model):
    mask = np.ones((SIZE, SIZE), bool)
    mask[3:9, 5:12] = False
    image = np.where(mask, model + 0.003, np.nan)
    noise = euclid.NoiseLevels(np.where(mask, SKY_NOISE, -1.0), EXPOSURE)
    problem = euclid.build(image, noise, gaussian_psf(), SCALE, ZERO_POINT, mask=mask, companion_radii=RADII)
    expected = by_hand(image, model)[mask].sum()
    assert problem.log_likelihood(theta)["image"].sum() == pytest.approx(expected, rel=1e-6)


def test_a_second_profile_adds_to_the_lens_light(theta):
    problem = small_euclid(2, lens_light="double")
    expected = by_hand(
        problem.observed["image"], image_by_lenstronomy(TRUTH | OUTER, PLACES, SIZE, SCALE, gaussian_psf())
    )
    assert problem.log_likelihood(theta | OUTER)["image"].sum() == pytest.approx(expected.sum(), rel=1e-6)
    prior = problem.log_prior(theta | OUTER)
    assert prior["outer_gap"] == pytest.approx(stats.norm.logpdf(0.3))
    assert prior["outer_excess"] == pytest.approx(stats.lognorm(0.6, scale=1.5).logpdf(1.4))
    assert prior["outer_n"] == pytest.approx(-np.log(3.5))
    assert prior["outer_e2"] == pytest.approx(stats.truncnorm(-2.5, 2.5, 0, 0.2).logpdf(0.12))


def test_prior_density(lens, theta):
    prior = lens.log_prior(theta)
    assert prior["theta_E"] == pytest.approx(-np.log(2.1))
    assert prior["lens_e1"] == pytest.approx(stats.truncnorm(-0.4 / 0.15, 0.4 / 0.15, 0, 0.15).logpdf(0.08))
    assert prior["lens_x"] == pytest.approx(stats.norm(0, 0.1).logpdf(0.03))
    assert prior["gamma2"] == pytest.approx(stats.norm(0, 0.05).logpdf(-0.02))
    assert prior["light_magnitude"] == pytest.approx(-np.log(4.5))
    assert prior["light_R"] == pytest.approx(stats.lognorm(0.5).logpdf(0.8))
    assert prior["light_n"] == pytest.approx(-np.log(6.5))
    assert prior["light_e2"] == pytest.approx(stats.truncnorm(-2.5, 2.5, 0, 0.2).logpdf(-0.05))
    assert prior["source_magnitude"] == pytest.approx(-np.log(4.5))
    assert prior["source_R"] == pytest.approx(stats.lognorm(0.5, scale=0.25).logpdf(0.2))
    assert prior["source_x"] == pytest.approx(stats.norm(0.03, 0.35).logpdf(0.15))
    assert prior["sky"] == pytest.approx(stats.norm(0, 0.5 * SKY_NOISE).logpdf(0.001))
    assert prior["companion_gap"] == pytest.approx(stats.lognorm(0.6, scale=2.5).logpdf([1.5, 2.5]).sum())
    assert prior["companion_R"] == pytest.approx(stats.lognorm(0.4, scale=0.3).logpdf([0.3, 0.2]).sum())
    assert prior["companion_place"] == pytest.approx(stats.norm.logpdf(theta["companion_place"]).sum())


def test_neighbours_lie_in_their_ring_evenly():
    place = np.random.default_rng(1).normal(size=(4000, 2, 2))
    parameters = {"companion_gap": np.ones(2), "companion_R": np.ones(2)}
    with jax.enable_x64(True):

        def squared(place):
            found = euclid._companions(parameters | {"companion_place": place}, (3.0, 5.5))
            return [light.center_x**2 + light.center_y**2 for light in found]

        r2 = np.ravel(jax.vmap(squared)(place))
    assert stats.kstest(r2, stats.uniform(9.0, 5.5**2 - 9.0).cdf).pvalue > 1e-3


def test_noise_levels_come_back(model):
    rng = np.random.default_rng(2)
    image = model + 0.004 * rng.normal(size=model.shape)
    rms = np.sqrt(SKY_NOISE**2 + np.maximum(image, 0) / EXPOSURE)
    sky, exposure = euclid.noise_levels(image, rms)
    assert sky == pytest.approx(SKY_NOISE, rel=0.02)
    assert exposure == pytest.approx(EXPOSURE, rel=0.02)
    with pytest.raises(ValueError, match="ten pixels brighter"):
        euclid.noise_levels(np.zeros((9, 9)), np.ones((9, 9)))


GOOD = {
    "image": np.ones((12, 12)),
    "noise": euclid.NoiseLevels(0.1, 1000.0),
    "psf": gaussian_psf(),
    "pixel_scale": 0.1,
    "zero_point": 24.6,
}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"psf": np.full((4, 4), 1 / 16)}, "odd sides"),
        ({"psf": 2 * gaussian_psf()}, "must have the sum 1, but has 2"),
        ({"noise": euclid.NoiseLevels(np.full((12, 11), 0.1), 1e3)}, r"`image`, `noise.sky` and `mask`.*\(12, 11\)"),
        ({"image": np.full((12, 12), np.nan)}, "`image` is not finite at 144 used pixels. Set `mask`"),
        ({"noise": euclid.NoiseLevels(0.0, 1e3)}, "`noise.sky` must be positive"),
        ({"noise": euclid.NoiseLevels(-1.0, 1e3)}, "`noise.sky` must be positive"),
        ({"noise": euclid.NoiseLevels(0.1, -5.0)}, "`noise.exposure` must be a positive number of photons"),
        ({"mask": np.zeros((12, 12), bool)}, "leaves no pixel"),
        ({"zero_point": np.nan}, "`zero_point` must be a magnitude"),
        ({"pixel_scale": 0.0}, "`pixel_scale` must be a positive number"),
        ({"lens_light": "smooth"}, '`lens_light` must be "sersic" or "double"'),
        ({"num_companions": -1}, "`num_companions` must be at least 0"),
        ({"companion_radii": (5.0, 3.0)}, "two increasing radii"),
    ],
)
def test_bad_input_is_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        euclid.build(**(GOOD | bad))


def test_the_real_lens_is_read(published_file):
    folder = published_file("lens_euclid_q1/mask_extra_galaxies.fits").parent
    lens = euclid_lens(folder)
    assert lens.image.shape == lens.rms.shape == lens.mask.shape == (100, 100)
    assert (lens.pixel_scale, lens.zero_point, lens.psf.shape) == (0.1, 24.6, (21, 21))
    assert lens.psf.sum() == pytest.approx(1.0, abs=1e-12)
    assert int((~lens.mask).sum()) == 987
    assert np.unravel_index(np.argmax(np.where(lens.mask, lens.image, 0)), (100, 100)) == (50, 49)
    levels = euclid.noise_levels(lens.image, lens.rms, lens.mask)
    assert levels == pytest.approx((0.00429, 3364), rel=0.01)
    assert euclid_lens(folder, "DES_G").zero_point == 30.0
    with pytest.raises(ValueError, match="`band` must be one of"):
        euclid_lens(folder, "WFC3")


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"fits\.gz"):
        euclid_lens(tmp_path)
