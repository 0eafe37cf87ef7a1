"""Censored fluxes: probabilities add up, draws follow the density, and the distribution function both."""

from itertools import pairwise

import jax
import numpy as np
import pytest
from matrix import Z
from scipy import integrate, stats

from bayesastro.models.lightcurves.censored_normal import CensoredNormal

CASES = [
    (0.0, 5.0, 20.0, 4.0, 0.0),
    (22.0, 5.0, 20.0, 4.0, 0.1),
    (60.0, 30.0, 20.0, 1.0, 0.02),
    (18.0, 3.0, 20.0, 0.01, 0.0),
    (9e3, 20.0, 20.0, 4.0, 0.05),
]


def law(case):
    return CensoredNormal(*map(np.array, case))


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def integral(case, stop):
    """Of the density of detections up to `stop`, by quadrature over the flux."""
    loc, scale, threshold, blur, _ = case
    points = sorted(
        {loc - 9 * scale, loc, loc + 9 * scale, threshold - 8 * blur, threshold, threshold + 8 * blur, stop}
    )

    def density(x):
        return float(np.exp(law(case).log_prob(np.array(x)))) if x else 0.0

    ends = [p for p in points if loc - 9 * scale <= p <= stop]
    return sum(integrate.quad(density, a, b)[0] for a, b in pairwise(ends))


@pytest.mark.parametrize("case", CASES)
def test_probabilities_add_up_to_one(case):
    mass = np.exp(float(law(case).log_prob(np.array(0.0))))
    assert integral(case, case[0] + 9 * case[1]) + mass == pytest.approx(1.0, abs=1e-7)
    assert float(law(case).cdf(np.array(case[0] + 9 * case[1]))) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_the_distribution_function_is_the_integral_of_the_density(case):
    mass = np.exp(float(law(case).log_prob(np.array(0.0))))
    for value in (case[0] - case[1], case[0] + 0.3 * case[1], case[2] + 2 * case[3]):
        expected = integral(case, value) + mass * (value > 0)
        assert float(law(case).cdf(np.array(value))) == pytest.approx(expected, abs=1e-5)
        assert float(law(case).cdf_below(np.array(value))) == pytest.approx(expected, abs=1e-5)
    step = law(case).cdf(np.array(0.0)) - law(case).cdf_below(np.array(0.0))
    assert float(step) == pytest.approx(mass)


@pytest.mark.parametrize("case", CASES)
def test_draws_have_the_moments_and_the_probabilities(case):
    num = 200_000
    draws = np.asarray(law(case).sample(jax.random.key(2), (num,)))
    mean, variance = float(law(case).mean), float(law(case).variance)
    assert abs(draws.mean() - mean) < Z * np.sqrt(variance / num) + 1e-12
    kurtosis = np.mean((draws - draws.mean()) ** 4)
    assert abs(draws.var() - variance) < Z * np.sqrt((kurtosis - draws.var() ** 2) / num) + 1e-12
    ties = np.random.default_rng(1).uniform(size=2000)
    below, up_to = (np.asarray(f(draws[:2000])) for f in (law(case).cdf_below, law(case).cdf))
    assert stats.kstest(below + ties * (up_to - below), "uniform").pvalue > 2 * stats.norm.sf(Z)


def test_a_sharp_threshold_is_the_textbook_case():
    sharp = CensoredNormal(np.array(18.0), np.array(3.0), np.array(20.0), np.array(1e-9))
    assert float(sharp.log_prob(np.array(0.0))) == pytest.approx(stats.norm(18, 3).logcdf(20.0))
    assert float(sharp.log_prob(np.array(21.0))) == pytest.approx(stats.norm(18, 3).logpdf(21.0))
    np.testing.assert_allclose(
        sharp.cdf(np.array([19.0, 20.5, 24.0])), stats.norm(18, 3).cdf([20.0, 20.5, 24.0]), atol=1e-6
    )


@pytest.mark.parametrize("loc", [-1e4, 0.0, 20.0, 1e6])
@pytest.mark.parametrize("value", [0.0, 21.0])
@pytest.mark.parametrize("lost", [0.0, 0.05])
def test_gradients_are_finite(loc, value, lost):
    def density(loc, scale):
        return CensoredNormal(loc, scale, np.array(20.0), np.array(4.0), lost).log_prob(np.array(value))

    assert np.isfinite(jax.grad(density, argnums=(0, 1))(loc, 5.0)).all()


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="threshold"):
        CensoredNormal(np.array(1.0), np.array(1.0), np.array(-1.0), np.array(1.0), validate_args=True)
