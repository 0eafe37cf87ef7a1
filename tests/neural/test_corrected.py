"""Importance weights: the exact posterior and evidence from a rough network, and what happens where it is too rough."""

import dataclasses

import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import bayesastro as ba
from bayesastro.inference.importance import evidence_of, resampled, weights_of
from bayesastro.inference.neural.moving import Proposals, moved

NUM = 4000
"""Proposals; errors below are in Monte Carlo errors of the effective number of them."""


@pytest.fixture(scope="session")
def rough(linear):
    """A posterior that is visibly wrong, and yet covers the exact one."""
    settings = ba.NPE(flow="affine", num_transforms=1, hidden=8, max_epochs=3, batch_size=128)
    return settings.train(linear.problem, linear.bank, seed=1, progress=False)


@pytest.fixture(scope="session")
def misplaced(amortised):
    """A posterior a quarter as wide as it should be, some sds away."""
    p = amortised.posterior
    scale = dataclasses.replace(p.scale, mean=p.scale.mean + 1.5, sd=0.25 * p.scale.sd)
    return dataclasses.replace(amortised, posterior=dataclasses.replace(p, scale=scale))


def deviations(linear, result, y):
    """Of mean and variances from the exact ones, in Monte Carlo errors."""
    x, ess = result["posterior"]["x"].values.reshape(-1, 2), result.attrs["ess"]
    variance = np.diag(linear.covariance)
    of_mean = (x.mean(0) - linear.mean(y)) / np.sqrt(variance / ess)
    return np.concatenate([of_mean, (x.var(0) / variance - 1) / np.sqrt(2 / ess)])


def test_a_rough_posterior_becomes_the_exact_one(linear, rough):
    y = linear.problem.observed["y"]
    before = ba.fit(linear.problem, rough, seed=2, progress=False)
    assert np.abs(deviations(linear, before, y)).max() > 10
    result = ba.fit(linear.problem, ba.Corrected(rough, num_draws=2000), seed=2, progress=False)
    assert np.abs(deviations(linear, result, y)).max() < 4.5
    assert 200 < result.attrs["ess"] < 0.9 * NUM
    assert result.attrs["exactness"] == "amortised+is"
    error = result.attrs["log_evidence"] - linear.log_evidence(y)
    assert abs(error) < 4.5 * result.attrs["log_evidence_err"] < 0.2
    assert result.attrs["khat"] < 0.7
    assert result["weights"].sizes["point"] == NUM
    weight = np.exp(result["weights"]["log_weight"].values - result.attrs["log_evidence"])
    assert weight.mean() == pytest.approx(1.0)


def test_lp_is_the_density_of_the_draws(linear, rough):
    result = ba.fit(linear.problem, ba.Corrected(rough, num_draws=10), seed=2, progress=False)
    theta = {"x": result["posterior"]["x"].values}
    terms = linear.problem.log_prior(theta, batch_ndims=2)["x"] + linear.problem.log_likelihood(theta, batch_ndims=2)[
        "y"
    ].sum(-1)
    np.testing.assert_allclose(result["sample_stats"]["lp"], terms, rtol=1e-9)


def test_many_data_sets_are_as_one_by_one(linear, rough):
    y = linear.bank.rows(slice(0, 40))[1]["y"]
    many = ba.fit_many(linear.problem, {"y": y}, ba.Corrected(rough), seed=2, progress=False)
    evidence = np.array([linear.log_evidence(one) for one in y])
    z = (many["fits"]["log_evidence"].values - evidence) / many["fits"]["log_evidence_err"].values
    good = many["fits"]["khat"].values < 0.7
    assert good.sum() > 30
    assert np.abs(z[good]).max() < 4.5
    again = ba.fit_many(linear.problem, {"y": y[:3]}, ba.Corrected(rough), seed=2, chunk=2, progress=False)
    # Weights differ in their last digits by how many data sets are evaluated together, and at times another draw is chosen.
    is_same = np.isclose(many["posterior"]["x"][:3], again["posterior"]["x"], atol=1e-4)
    assert is_same.mean() > 0.999


def test_weights_that_mean_nothing_are_told(linear, misplaced):
    result = ba.fit(linear.problem, ba.Corrected(misplaced), seed=2, progress=False)
    assert result.attrs["khat"] > 0.7
    assert "khat" in ba.diagnose(result).ids


def test_rounds_move_to_the_posterior(linear, misplaced):
    """From draws whose weights mean nothing; the evidence is right, too."""
    y = linear.problem.observed["y"]
    engine = ba.Corrected(misplaced, num_draws=2000, num_rounds=10)
    result = ba.fit(linear.problem, engine, seed=2, progress=False)
    assert np.abs(deviations(linear, result, y)).max() < 4.5
    assert result.attrs["ess"] > 0.7 * NUM
    assert result.attrs["khat"] < 0.5
    error = result.attrs["log_evidence"] - linear.log_evidence(y)
    assert abs(error) < 4.5 * result.attrs["log_evidence_err"] < 0.1
    assert ba.fit(linear.problem, engine, seed=2, progress=False).equals(result)
    many = ba.fit_many(linear.problem, {"y": np.stack([y, y + 0.3])}, engine, seed=2, progress=False)
    for i, mean in enumerate(linear.mean(np.stack([y, y + 0.3]))):
        error = many["posterior"]["x"].values[i].reshape(-1, 2).mean(0) - mean
        assert np.all(np.abs(error) < 4.5 * np.sqrt(np.diag(linear.covariance) / (0.7 * NUM)))


@pytest.mark.parametrize("size", [1, 20])
def test_moved_proposals_find_what_is_far_and_narrow(size):
    """A correlated normal, a hundredth as wide as the first draws and three of their sds away."""
    rng = np.random.default_rng(1)
    factor = 0.01 * np.linalg.cholesky(0.5 * np.eye(size) + 0.5)

    def log_density(z):
        z = np.linalg.solve(factor, (z - 3.0 / np.sqrt(size)).T)
        return -0.5 * (z**2).sum(0)

    first = rng.normal(size=(3000, size))
    found = moved(
        Proposals(first, -0.5 * (first**2).sum(1) - 0.5 * size * np.log(2 * np.pi), log_density(first)),
        log_density,
        60,
        rng,
    )
    weights = weights_of(found.lp - found.log_prob)
    assert weights.ess > 0.3 * len(first)
    deviation = np.linalg.solve(factor, weights.weight @ found.coordinates - 3.0 / np.sqrt(size)) * np.sqrt(weights.ess)
    assert np.abs(deviation).max() < 5.0
    evidence, error = evidence_of(found.lp - found.log_prob)
    exact = 0.5 * size * np.log(2 * np.pi) + np.log(np.diag(factor)).sum()
    assert abs(evidence - exact) < 4.5 * error < 0.3


def test_without_a_finite_weight_the_first_draws_stay():
    first = Proposals(np.zeros((50, 2)), np.zeros(50), np.full(50, -np.inf))
    assert moved(first, lambda z: np.full(len(z), -np.inf), 3, np.random.default_rng(1)) is first


def test_it_falls_back_to_an_engine_when_asked(linear, misplaced, rough):
    nuts = ba.NUTS(num_warmup=200, num_draws=500)
    result = ba.fit(linear.problem, ba.Corrected(misplaced, fallback=nuts), seed=2, progress=False)
    assert result.attrs["fell_back"] == 1
    assert "khat" not in ba.diagnose(result).ids
    assert np.isnan(result.attrs["log_evidence"])
    assert np.abs(deviations(linear, result, linear.problem.observed["y"])).max() < 4.5
    assert result["posterior"]["x"].shape == (4, 500, 2)
    result = ba.fit(linear.problem, ba.Corrected(rough, fallback=nuts), seed=2, progress=False)
    assert result.attrs["fell_back"] == 0


def test_draws_outside_the_likelihoods_support_have_no_weight():
    def program():
        low = numpyro.sample("low", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Uniform(low, low + 1.0))

    problem = ba.Problem(program, observed={"y": 0.3})
    bank = ba.simulate(problem, 2000, seed=1, progress=False)
    amortised = ba.NPE(flow="mixture", max_epochs=5).train(problem, bank, seed=1, progress=False)
    result = ba.fit(problem, ba.Corrected(amortised), seed=1, progress=False)
    assert 0 < result.attrs["num_undefined"] < NUM
    low = result["posterior"]["low"]
    assert float(low.min()) > -0.7
    assert float(low.max()) < 0.3
    exact = np.log(np.diff(dist.Normal().cdf(np.array([-0.7, 0.3])))[0])
    assert abs(result.attrs["log_evidence"] - exact) < 4.5 * result.attrs["log_evidence_err"]


def test_what_does_not_fit_is_refused(linear, amortised):
    with pytest.raises(TypeError, match="needs an `Amortised` posterior"):
        ba.Corrected(ba.NUTS())
    with pytest.raises(TypeError, match=r"needs an engine such as `NUTS\(\)` as `fallback`"):
        ba.Corrected(amortised, fallback="nuts")
    with pytest.raises(ValueError, match="`num_proposals` to be a whole number"):
        ba.Corrected(amortised, num_proposals=0)
    with pytest.raises(ValueError, match="`num_rounds` of at least 0, but -1 came"):
        ba.Corrected(amortised, num_rounds=-1)
    other = linear.problem.replace(2 * np.asarray(linear.problem.data.arrays[0]))
    with pytest.raises(ValueError, match="was trained on"):
        ba.fit(other, ba.Corrected(amortised), seed=1, progress=False)
    start = ba.fit(linear.problem, amortised, seed=1, progress=False)
    with pytest.raises(ValueError, match="takes no `start`"):
        ba.fit(linear.problem, ba.Corrected(amortised), seed=1, start=start, progress=False)


def test_weights():
    random = np.random.default_rng(1)
    equal = weights_of(np.zeros(1000) + 1e-9 * random.standard_normal(1000))
    np.testing.assert_allclose(equal.weight, 1e-3, rtol=1e-6)
    assert equal.ess == pytest.approx(1000)
    some = weights_of(np.where(np.arange(1000) < 500, random.standard_normal(1000), -np.inf))
    assert some.weight[500:].sum() == 0
    assert some.weight.sum() == pytest.approx(1)
    assert weights_of(random.standard_cauchy(4000) * 3).khat > 0.7
    log_mean, error = evidence_of(np.log(np.array([1.0, 3.0, 0.0, 4.0]) + 1e-300))
    assert log_mean == pytest.approx(np.log(2.0))
    assert error == pytest.approx(np.std([1, 3, 0, 4]) / 2 / np.sqrt(4))
    chosen = resampled(np.array([0.5, 0.0, 0.25, 0.25]), 400, random)
    assert set(np.unique(chosen, return_counts=True)[1]) == {200, 100}
