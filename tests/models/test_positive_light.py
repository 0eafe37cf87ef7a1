"""Positive amplitudes of light: probabilities, means and draws against integration by scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lenses import small_lens
from scipy import integrate, stats
from scipy.special import log_ndtr

from bayesastro.models.lensing.linear_light import LinearLight, orthogonal
from bayesastro.models.lensing.positive import log_positive, positive_draw, positive_mean

SPREADS = np.array([0.3, 0.02])


def gaussian(z, correlation):
    covariance = np.outer(SPREADS, SPREADS) * np.array([[1.0, correlation], [correlation, 1.0]])
    return SPREADS * np.array(z), covariance


def quadrant(z, correlation):
    """Probability, means and mean product of the two numbers above zero, by integration over slices."""
    (m1, m2), covariance = gaussian(z, correlation)
    ratio = covariance[0, 1] / covariance[0, 0]
    spread = SPREADS[1] * np.sqrt(1 - correlation**2)

    def integral(power):
        def slice_of(x):
            inner = m2 + ratio * (x - m1)
            above = stats.norm.cdf(inner / spread)
            parts = {"one": above, "second": inner * above + spread * stats.norm.pdf(inner / spread)}
            value = {"one": above, "first": x * above, "second": parts["second"]}.get(power)
            return (x * parts["second"] if value is None else value) * stats.norm.pdf(x, m1, SPREADS[0])

        top = max(m1, 0.0) + 12 * SPREADS[0]
        return integrate.quad(slice_of, 0.0, top, points=np.linspace(0, top, 60)[1:-1], limit=400, epsabs=0)[0]

    probability = integral("one")
    return probability, *(integral(name) / probability for name in ("first", "second", "product"))


CASES = [([1.0, 2.0], 0.3), ([-1.0, 0.5], -0.8), ([-3.0, -2.0], 0.99), ([4.0, -1.0], -0.97), ([20.0, 30.0], 0.5)]


@pytest.mark.parametrize(("z", "correlation"), CASES)
def test_probability_and_mean_against_integration(z, correlation):
    probability, *means, _ = quadrant(z, correlation)
    with jax.enable_x64(True):
        mean, covariance = (jnp.asarray(a) for a in gaussian(z, correlation))
        assert float(log_positive(mean, covariance)) == pytest.approx(np.log(probability), abs=1e-7)
        np.testing.assert_allclose(positive_mean(mean, covariance), means, rtol=1e-6)


def test_probability_far_out_and_its_derivative():
    """Independent numbers fifty standard deviations below zero, where the probability itself underflows."""
    z = np.array([-50.0, -30.0])
    with jax.enable_x64(True):
        value, slope = jax.value_and_grad(log_positive)(*(jnp.asarray(a) for a in gaussian(z, 0.0)))
        assert float(value) == pytest.approx(log_ndtr(z).sum(), rel=1e-9)
        np.testing.assert_allclose(slope * SPREADS, np.exp(stats.norm.logpdf(z) - log_ndtr(z)), rtol=1e-6)
        one = log_positive(jnp.array([-0.5]), jnp.array([[0.01]]))
        assert float(one) == pytest.approx(log_ndtr(-5.0))
    single = log_positive(*(jnp.asarray(a, jnp.float32) for a in gaussian([-20.0, 3.0], -0.9)))
    with jax.enable_x64(True):
        double = log_positive(*(jnp.asarray(a) for a in gaussian([-20.0, 3.0], -0.9)))
    assert float(single) == pytest.approx(float(double), rel=1e-5)


@pytest.mark.parametrize(("z", "correlation"), CASES[:4])
def test_draws_have_the_moments_of_the_quadrant(z, correlation):
    number = 20_000
    _, first, second, product = quadrant(z, correlation)
    with jax.enable_x64(True):
        mean, covariance = (jnp.asarray(a) for a in gaussian(z, correlation))
        keys = jax.random.split(jax.random.key(2), number)
        draws = np.asarray(jax.vmap(lambda key: positive_draw(key, mean, covariance))(keys))
    assert draws.min() >= 0
    for values, expected in ((draws[:, 0], first), (draws[:, 1], second), (draws.prod(1), product)):
        assert values.mean() == pytest.approx(expected, abs=5 * values.std() / np.sqrt(number))


def an_image():
    """Noise, shapes of three amplitudes, fixed shapes, mask and an image; the first two amplitudes are positive."""
    rng = np.random.default_rng(5)
    shape = (4, 5)
    noise, mask = rng.uniform(0.5, 1.0, shape), rng.random(shape) > 0.2
    fixed, shapes = rng.normal(size=(3, *shape)), 0.5 * rng.normal(size=(3, *shape))
    image = np.tensordot([0.4, -0.3, 0.7], shapes, 1) + noise * rng.normal(size=shape)
    return noise, shapes, fixed, mask, image


def light_of(noise, shapes, fixed, mask):
    return LinearLight(jnp.zeros(noise.shape), noise, shapes, orthogonal(fixed, noise, mask), mask, (0, 1))


def test_density_is_the_integral_over_positive_amplitudes():
    noise, shapes, fixed, mask, image = an_image()
    others = np.concatenate([shapes[2:], fixed])[:, mask]
    rest = stats.multivariate_normal(cov=np.diag(noise[mask] ** 2) + others.T @ others)
    side = np.linspace(0, 5, 401)
    a, b = np.meshgrid(side, side, indexing="ij")
    model = np.tensordot(np.stack([a, b], -1), shapes[:2][:, mask], 1)
    density = rest.pdf(image[mask] - model) * 4 * stats.norm.pdf(a) * stats.norm.pdf(b)
    weight = density / density.sum()
    total = integrate.simpson(integrate.simpson(density, side), side)
    with jax.enable_x64(True):
        light = light_of(noise, shapes, fixed, mask)
        assert float(light.log_prob(image)) == pytest.approx(np.log(total), abs=1e-5)
        means = np.asarray(light.amplitudes(image)[0])
        draws = np.asarray(
            jax.vmap(lambda key: light.amplitudes(image, key)[0])(jax.random.split(jax.random.key(3), 9999))
        )
    # The grid counts its edges in full: the means are right to half a cell.
    np.testing.assert_allclose(means[:2], [(weight * a).sum(), (weight * b).sum()], atol=0.01)
    residual = image[mask] - model
    gain = np.linalg.solve(rest.cov, shapes[2][mask])
    np.testing.assert_allclose(means[2], (weight * (residual @ gain)).sum(), atol=0.01)
    assert draws[:, :2].min() >= 0
    np.testing.assert_allclose(draws.mean(0), means, atol=0.03 * draws.std(0).max())


def test_simulated_amplitudes_are_positive():
    noise, shapes, fixed, mask, _ = an_image()
    with jax.enable_x64(True):
        light = light_of(1e-9 * noise, shapes, 0 * fixed, mask)
        images = np.asarray(light.sample(jax.random.key(1), (2000,))).reshape(2000, -1)
    amplitudes = np.linalg.lstsq(shapes.reshape(3, -1).T, images.T, rcond=None)[0]
    assert amplitudes[:2].min() > -1e-6
    np.testing.assert_allclose(amplitudes.mean(1), [np.sqrt(2 / np.pi)] * 2 + [0.0], atol=5 / np.sqrt(2000))
    np.testing.assert_allclose(amplitudes.std(1), [np.sqrt(1 - 2 / np.pi)] * 2 + [1.0], rtol=0.1)


def test_more_than_two_are_refused():
    with pytest.raises(ValueError, match="At most 2 amplitudes can be positive"):
        small_lens(num_sources=3)
    assert small_lens(num_sources=3, positive_sources=False).parameters
