"""The lens program: its density against a dense one, the linear light, bad input, and real lenses."""

import jax
import numpy as np
import pytest
from lenses import TRUTH, gaussian_psf, shapes, small_lens
from scipy import stats

import bayesastro as ba
from bayesastro.datasets.slacs import slacs_lenses
from bayesastro.models.lensing import parametric
from bayesastro.models.lensing.linear_light import FixedLight, LinearLight, orthogonal

SIZE, SCALE = 26, 0.12


@pytest.fixture(scope="module")
def lens():
    return small_lens()


def truth(problem):
    return {site.name: TRUTH[site.name] for site in problem.parameters}


def dense_logpdf(problem, theta):
    """The density of the used pixels, with the covariance of all amplitudes written out; shapes by lenstronomy."""
    noise, psf, mask, scale = (problem.covariates[name] for name in ("noise", "psf", "mask", "scale"))
    light, source = shapes(TRUTH | theta, SIZE, SCALE, psf)
    columns = np.stack([scale[0] * light, scale[1] * source, np.full_like(light, scale[2])])[:, mask]
    covariance = np.diag(noise[mask] ** 2) + columns.T @ columns
    return stats.multivariate_normal(np.zeros(mask.sum()), covariance).logpdf(problem.observed["image"][mask])


@pytest.mark.parametrize(
    "change", [{}, {"theta_E": 1.1, "gamma": 1.8}, {"source_n": 0.7, "lens_e1": 0.0, "gamma2": 0.1}]
)
def test_density_equals_the_dense_one(change):
    lens = small_lens(positive_sources=False)
    theta = truth(lens) | change
    assert lens.log_likelihood(theta)["image"] == pytest.approx(dense_logpdf(lens, theta), rel=1e-6)


def test_a_core_makes_two_rays_as_good_as_four():
    """Of a cusp they see what the places of the rays let them."""

    def difference(core):
        lenses = [small_lens("subtracted", size=16, supersampling=rays, light_core=core) for rays in (2, 4)]
        places = [truth(lenses[0]) | {"source_n": 3.9, "source_x": x} for x in np.linspace(0.05, 0.06, 9)]
        few, many = ([float(lens.log_likelihood(theta)["image"]) for theta in places] for lens in lenses)
        return np.ptp(np.subtract(few, many))

    by_default = small_lens("subtracted", size=16, light_core=None)
    core = by_default.static_program.arguments(by_default.data.arrays)[1]["light_core"]
    assert core == pytest.approx(0.4 * 0.12 / 2)
    assert difference(core) < 0.1 * difference(1e-5)


def test_isothermal_mass_is_the_power_law_of_slope_two(lens):
    isothermal = small_lens(mass="isothermal")
    theta = truth(lens) | {"gamma": 2.0}
    assert {site.name for site in lens.parameters} - {site.name for site in isothermal.parameters} == {"gamma"}
    without = {name: value for name, value in theta.items() if name != "gamma"}
    expected = lens.log_likelihood(theta)["image"]
    assert isothermal.log_likelihood(without)["image"] == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(
        parametric.light_of(isothermal, without).source, parametric.light_of(lens, theta).source, rtol=1e-6
    )


def test_a_lens_without_shear_is_one_whose_shear_is_zero(lens):
    alone, theta = small_lens(shear=False), truth(lens) | {"gamma1": 0.0, "gamma2": 0.0}
    assert {site.name for site in lens.parameters} - {site.name for site in alone.parameters} == {"gamma1", "gamma2"}
    without = {site.name: theta[site.name] for site in alone.parameters}
    expected = lens.log_likelihood(theta)["image"]
    assert alone.log_likelihood(without)["image"] == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(
        parametric.light_of(alone, without).source, parametric.light_of(lens, theta).source, rtol=1e-6
    )


def test_prior_density(lens):
    theta = truth(lens)
    prior = lens.log_prior(theta)
    assert prior["theta_E"] == pytest.approx(stats.lognorm(0.25, scale=1.25).logpdf(1.0))
    assert prior["gamma"] == pytest.approx(stats.truncnorm(-4, 4, 2.0, 0.25).logpdf(2.1))
    assert prior["lens_e1"] == pytest.approx(stats.norm(0.0, 0.1).logpdf(0.08))
    assert prior["gamma1"] == pytest.approx(stats.norm(0.0, 0.05).logpdf(0.03))
    assert prior["source_R"] == pytest.approx(stats.lognorm(0.5, scale=0.25).logpdf(0.2))
    assert prior["source_n"] == pytest.approx(-np.log(3.5))
    assert prior["source_e1"] == pytest.approx(stats.truncnorm(-3.5, 3.5, 0.0, 0.2).logpdf(0.1))
    assert prior["light_n"] == pytest.approx(-np.log(7.5))


def test_light_comes_back(lens):
    parts = parametric.light_of(lens, truth(lens))
    np.testing.assert_allclose(parts.amplitudes, [1.0, 2.0], rtol=0.15)
    assert parts.sky == pytest.approx(0.1, abs=0.05)
    residual = (lens.observed["image"] - parts.model) / 0.1
    assert np.mean(residual**2) == pytest.approx(1.0, abs=4 * np.sqrt(2 / residual.size))
    drawn = [parametric.light_of(lens, truth(lens), key=jax.random.key(i)).amplitudes[1] for i in range(40)]
    assert np.mean(drawn) == pytest.approx(parts.amplitudes[1], abs=5 * np.std(drawn) / np.sqrt(40))


def linear_light():
    rng = np.random.default_rng(5)
    shape = (4, 5)
    noise, mask = rng.uniform(0.5, 1.0, shape), rng.random(shape) > 0.2
    fixed = rng.normal(size=(6, *shape))
    columns, loc = 2 * rng.normal(size=(2, *shape)), rng.normal(size=shape)
    return loc, noise, columns, fixed, mask


def test_linear_light_is_the_gaussian_with_all_amplitudes_integrated_out():
    loc, noise, columns, fixed, mask = linear_light()
    value = 3 * np.random.default_rng(6).normal(size=noise.shape)
    every = np.concatenate([columns, fixed])[:, mask]
    covariance = np.diag(noise[mask] ** 2) + every.T @ every
    expected = stats.multivariate_normal(loc[mask], covariance).logpdf(value[mask])
    with jax.enable_x64(True):
        light = LinearLight(loc, noise, columns, orthogonal(fixed, noise, mask), mask)
        assert float(light.log_prob(value)) == pytest.approx(expected, rel=1e-10)
        # Posterior means of all light against the ordinary formula.
        amplitudes, smooth = light.amplitudes(value)
        gain = np.linalg.solve(covariance, value[mask] - loc[mask])
        np.testing.assert_allclose(amplitudes, columns[:, mask] @ gain, atol=1e-9)
        np.testing.assert_allclose(np.asarray(smooth)[mask], fixed[:, mask].T @ (fixed[:, mask] @ gain), atol=1e-9)


def test_draws_of_linear_light_have_its_moments():
    loc, noise, columns, fixed, mask = linear_light()
    every = np.concatenate([columns, fixed])[:, mask]
    covariance = np.diag(noise[mask] ** 2) + every.T @ every
    number = 20_000
    with jax.enable_x64(True):
        light = LinearLight(loc, noise, columns, orthogonal(fixed, noise, mask), mask)
        draws = np.asarray(light.sample(jax.random.key(0), (number,)))[:, mask]
        amplitudes = jax.vmap(lambda key: light.amplitudes(loc, key)[0])(jax.random.split(jax.random.key(1), number))
    spread = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(draws.mean(0), loc[mask], atol=5 * spread.max() / np.sqrt(number))
    error = np.sqrt((np.outer(spread, spread) ** 2 + covariance**2) / number)
    assert np.all(np.abs(np.cov(draws.T) - covariance) < 5 * error)
    gain = np.linalg.solve(covariance, columns[:, mask].T)
    exact = np.eye(2) - columns[:, mask] @ gain
    np.testing.assert_allclose(np.cov(np.asarray(amplitudes).T), exact, atol=0.05 * exact.max())


def test_masked_pixels_have_no_say(lens):
    """Whatever stands there, NaN and impossible noise included."""
    image, noise = lens.observed["image"], np.full((SIZE, SIZE), 0.1)
    mask = np.ones((SIZE, SIZE), bool)
    mask[3:9, 5:12] = False
    broken, wrong = image.copy(), noise.copy()
    broken[~mask], wrong[~mask] = np.nan, -1.0
    theta = truth(lens)
    found = []
    for first, second in ((image, noise), (broken, wrong)):
        settings = {"positive_sources": False, "light_core": 1e-5}
        problem = parametric.build(first, second, gaussian_psf(), SCALE, mask=mask, **settings)
        found.append(problem.log_likelihood(theta)["image"])
        assert found[-1] == pytest.approx(dense_logpdf(problem, theta), rel=1e-6)
    assert found[0] == found[1]


GOOD = {"image": np.ones((12, 12)), "noise": np.full((12, 12), 0.1), "psf": gaussian_psf(), "pixel_scale": 0.1}


def changed(name, value, place=(2, 3)):
    array = GOOD[name].copy()
    array[place] = value
    return {name: array}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"psf": np.full((4, 4), 1 / 16)}, "odd sides"),
        ({"psf": 2 * gaussian_psf()}, "must have the sum 1, but has 2"),
        (changed("psf", np.nan), "must have the sum 1"),
        ({"noise": np.full((12, 11), 0.1)}, r"one shape, but \(12, 12\), \(12, 11\)"),
        ({"image": np.ones(12)}, "one shape"),
        ({"mask": np.ones((3, 3), bool)}, "one shape"),
        ({"mask": np.ones((12, 12))}, "must be boolean"),
        ({"mask": np.zeros((12, 12), bool)}, "leaves no pixel"),
        (changed("image", np.nan), "`image` is not finite at 1 used pixels. Set `mask`"),
        (changed("noise", np.inf), "`noise` is not finite"),
        (changed("noise", 0.0), "`noise` must be positive, but is not at 1"),
        (changed("noise", -0.1), "`noise` must be positive"),
        ({"pixel_scale": 0.0}, "`pixel_scale` must be a positive number"),
        ({"lens_light": "gaussian"}, '"sersic", "smooth" or "subtracted"'),
        ({"num_sources": 0}, "must be at least 1"),
        ({"light_core": 0.0}, "must be a positive radius in arcsec"),
        ({"mass": "nfw"}, '`mass` must be "power_law" or "isothermal", but \'nfw\' came'),
    ],
)
def test_bad_input_is_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        parametric.build(**(GOOD | bad))


def test_smooth_light_follows_a_galaxy_and_not_the_arcs():
    """Within the noise, though the galaxy is no Sérsic profile; the source's light stays the source's."""
    problem = small_lens("smooth", size=40)
    parts = parametric.light_of(problem, truth(problem))
    light, _ = shapes(TRUTH, 40, SCALE, gaussian_psf())
    assert np.mean(((problem.observed["image"] - parts.model) / 0.1) ** 2) == pytest.approx(1.0, abs=0.12)
    assert parts.amplitudes[0] == pytest.approx(2.0, rel=0.05)
    np.testing.assert_allclose(parts.lens + parts.sky, light + 0.1, atol=0.3)


def test_fixed_light_may_be_absent():
    loc, noise, columns, _, mask = linear_light()
    with jax.enable_x64(True):
        none = FixedLight(np.zeros((0, *noise.shape)), np.zeros(0))
        light = LinearLight(loc, noise, columns, none, mask)
        covariance = np.diag(noise[mask] ** 2) + columns[:, mask].T @ columns[:, mask]
        expected = stats.multivariate_normal(loc[mask], covariance).logpdf(np.zeros(mask.sum()))
        assert float(light.log_prob(np.zeros_like(loc))) == pytest.approx(expected)


@pytest.fixture
def slacs(published_file):
    return slacs_lenses(published_file("lens_slacs63_hst/slacs63_f814w.npz").parent)


def test_slacs_lenses_are_read(slacs):
    assert len(slacs) == 63
    one = slacs["J0252+0039"]
    assert (one.z_l, one.z_s, one.b_SIE, one.q_SIE) == pytest.approx((0.2803, 0.9818, 1.04, 0.93))
    for lens in slacs.values():
        assert lens.image.shape == lens.noise.shape == lens.mask.shape == (111, 111)
        assert np.isfinite(lens.image).all()
        assert np.all(lens.noise > 0)
        assert lens.psf.sum() == pytest.approx(1.0, abs=1e-12)
        assert 0.6 < lens.b_SIE < 1.9
    assert sum(int((~lens.mask).sum()) for lens in slacs.values()) == 32_139


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"slacs63_f814w\.npz"):
        slacs_lenses(tmp_path)


@pytest.mark.slow
def test_posterior_finds_the_truth():
    problem = small_lens("subtracted")
    engine = ba.NUTS(num_chains=2, num_warmup=300, num_draws=300, num_starts=200, mass_matrix="dense")
    result = ba.fit(problem, engine, seed=1, progress=False)
    posterior = result["posterior"]
    assert float(ba.summary(result)["r_hat"].max()) < 1.05
    for name, value in truth(problem).items():
        assert abs(float(posterior[name].mean()) - value) < 4 * float(posterior[name].std()), name
