"""The statistics of calibration on arrays: ranks, bands, intervals, distances, shared false-alarm rates."""

import numpy as np
import planted
import pytest
from scipy.stats import binomtest, kstest

from bayesastro.calibration.checks import assess
from bayesastro.calibration.coverage import binomial_interval, coverage_extremity
from bayesastro.calibration.exchange import joint_level, pooled, ranks, replicates
from bayesastro.calibration.misspecification import plausibility
from bayesastro.calibration.sbc import ecdf_band, ecdf_extremity, ecdf_grid
from bayesastro.calibration.tarp import bootstrap_band, distances, estimates


@pytest.fixture
def random():
    return np.random.default_rng(1)


def test_ranks_count_the_members_below(random):
    values = random.normal(size=(5, 8, 2))
    values[2, 6:] = np.nan
    found, sizes = ranks(values, random)
    np.testing.assert_array_equal(sizes, [8, 8, 6, 8, 8])
    below = (values[:, None] < values[:, :, None]).sum(2)
    is_member = ~np.isnan(values)
    np.testing.assert_array_equal(found[is_member], below[is_member])


def test_ties_are_broken_evenly(random):
    found, _ = ranks(np.zeros((4000, 5, 1)), random)
    np.testing.assert_allclose(np.bincount(found[:, 0, 0]) / 4000, 0.2, atol=0.03)
    np.testing.assert_array_equal(np.sort(found, axis=1)[0, :, 0], np.arange(5))


def test_fractional_ranks_of_pools_of_any_sizes_are_uniform(random):
    values = random.normal(size=(3000, 12, 1))
    values[::2, 5:] = np.nan
    found, sizes = ranks(values, random)
    pit = replicates(sizes, 0.1, random).pit(found[..., 0])
    assert kstest(pit[0], "uniform").pvalue > 1e-4
    assert kstest(pit[7], "uniform").pvalue > 1e-4
    assert (pit[0] != pit[7]).mean() > 0.8


def test_the_statistic_leaves_the_band_where_the_ecdf_does(random):
    pits = random.random((400, 80)) ** random.uniform(0.6, 1.6, (400, 1))
    limit = float(np.log(1e-3))
    low, high = ecdf_band(80, limit)
    ecdf = (pits[..., None] < ecdf_grid(80)).mean(1)
    leaves = ((ecdf < low) | (ecdf > high)).any(1)
    np.testing.assert_array_equal(leaves, ecdf_extremity(pits) <= limit)
    assert 0.1 < leaves.mean() < 0.9


def test_pointwise_tails_are_binomial():
    pit = np.array([[0.05] * 9 + [0.95]])
    smallest = min(binomtest(9, 10, z).pvalue for z in (0.1, 0.2))
    assert np.exp(ecdf_extremity(pit)[0]) == pytest.approx(2 * binomtest(9, 10, 0.1, alternative="greater").pvalue)
    assert smallest == pytest.approx(binomtest(9, 10, 0.1).pvalue)


@pytest.mark.parametrize(("count", "number"), [(0, 20), (7, 20), (20, 20)])
def test_binomial_intervals_are_those_of_clopper_and_pearson(count, number):
    expected = binomtest(count, number).proportion_ci(0.95, method="exact")
    np.testing.assert_allclose(binomial_interval(count, number), (expected.low, expected.high))


def test_coverage_sees_posteriors_too_narrow_and_too_wide(random):
    even = random.random((1, 300))
    assert coverage_extremity(even)[0] > np.log(1e-3)
    assert coverage_extremity(even**2)[0] < np.log(1e-6)
    assert coverage_extremity(np.sqrt(even))[0] < np.log(1e-6)


def test_distances_are_in_spreads_of_the_pool():
    values = np.array([[[0.0, 0.0], [2.0, 200.0], [np.nan, np.nan]]])
    found = distances(values, np.array([[0.0, 0.0]]))
    np.testing.assert_allclose(found, [[0.0, 2.0, np.nan]])
    assert np.isfinite(distances(np.array([[[0.0], [np.inf]]]), np.zeros((1, 1)))).all()


def test_estimates_follow_the_data(random):
    theta, y = planted.simulated(2000, random)
    _, x = planted.simulated(300, random)
    off = estimates(y, theta, x, 0) - planted.posterior(x)[0]
    assert (off.std(0) < 0.6 * np.sqrt(np.diag(planted.posterior(x)[1]))).all()
    single = estimates(y, theta[:, :1], x, 0)
    assert single.shape == (300, 1)


def test_the_bootstrap_band_holds_the_curve(random):
    pit, grid = random.random(200), np.linspace(0, 1, 11)
    low, high = bootstrap_band(pit, grid, random)
    curve = (pit[:, None] <= grid).mean(0)
    assert ((low <= curve) & (curve <= high)).all()
    np.testing.assert_allclose((high - low)[5], 4 * 0.5 / np.sqrt(200), rtol=0.3)


def test_one_rate_is_shared_by_all_checks(random):
    """Independent checks each get their share of it; those that say the same cost it only once."""
    apart = {str(i): random.random(20_001) for i in range(4)}
    _, level = joint_level(apart, 0.1)
    assert level == pytest.approx(1 - 0.9**0.25, rel=0.15)
    same = random.random(20_001)
    _, level = joint_level({"a": same, "b": same + 1, "c": 2 * same}, 0.1)
    assert level == pytest.approx(0.1, rel=0.02)
    p, level = joint_level({"a": np.append(-1.0, same), "b": np.append(0.5, same)}, 0.01)
    assert p["a"] <= level < p["b"]


def test_failed_fits_count_by_what_they_could_hide():
    from dataclasses import replace

    pool = planted.pool_of("none", 300, seed=1)
    few, many = (assess(replace(pool, num_failed=n), false_alarm=0.01, seed=1).checks.loc["fits"] for n in (1, 60))
    assert few["passed"]
    assert not many["passed"]
    coverage = assess(replace(pool, num_failed=60), false_alarm=0.01, seed=1).coverage.loc[("a", 0.9)]
    assert coverage["worst"] == pytest.approx(coverage["coverage"] * 300 / 360)
    assert coverage["best"] == pytest.approx((coverage["coverage"] * 300 + 60) / 360)


def test_moments_of_a_shifted_and_of_a_narrow_posterior():
    shifted = assess(planted.pool_of("shifted", 300, seed=2), false_alarm=0.01, seed=2).parameters
    assert shifted.loc["a", "bias"] == pytest.approx(0.5, abs=4 * shifted.loc["a", "bias_error"])
    narrow = assess(planted.pool_of("half width", 300, seed=2), false_alarm=0.01, seed=2).parameters
    assert (narrow["spread"].between(1.7, 2.3)).all()
    exact = 1 - np.diag(planted.posterior(np.zeros((1, 8)))[1]) / planted.PRIOR_SD**2
    right = assess(planted.pool_of("none", 300, seed=2), false_alarm=0.01, seed=2).parameters
    np.testing.assert_allclose(1 - right["shrinkage"], 1 - exact, rtol=0.3)


def test_plausibility_ranks_data_sets_by_their_likeness(random):
    simulated = random.normal(size=(300, 6)) * np.array([1, 10, 0.1, 1, 1, 1])
    labels = [("y", str(i)) for i in range(6)]
    assert plausibility(simulated, np.zeros(6), labels, 0.01).verdict == "pass"
    far = plausibility(simulated, np.array([0, 0, 0.9, 0, 0, 8.0]), labels, 0.01)
    assert far.verdict == "fail"
    assert far.p == pytest.approx(1 / 301)
    assert set(far.features["p"].nsmallest(2).index) == {("y", "2"), ("y", "5")}
    typical = [plausibility(np.delete(simulated, i, 0), simulated[i], labels, 0.1).p for i in range(100)]
    assert kstest(typical, "uniform").pvalue > 1e-3


def test_a_pool_is_the_truth_and_the_draws(random):
    theta, draws = random.normal(size=(3, 2)), random.normal(size=(3, 5, 2))
    np.testing.assert_array_equal(pooled(theta, draws)[:, 0], theta)
    np.testing.assert_array_equal(pooled(theta, draws)[:, 1:], draws)
