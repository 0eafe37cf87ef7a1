"""Data one after the other: predictions, evidence and posterior against those in closed form."""

import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

import bayesastro as ba
from bayesastro.compilation import compile_clock
from bayesastro.inference.sequential import Sequential

RNG = np.random.default_rng(8)
N = 12
T = np.sort(RNG.uniform(-1, 1, N))
Y = 0.7 - 1.1 * T + 0.3 * RNG.normal(size=N)


def line(t, is_seen):
    a = numpyro.sample("a", dist.Normal(0.0, 1.0))
    b = numpyro.sample("b", dist.Normal(0.0, 1.0))
    with numpyro.plate("time", t.shape[0]):
        numpyro.sample("y", dist.Normal(a + b * t, 0.3).mask(is_seen))


@pytest.fixture(scope="module")
def problem():
    return ba.Problem(line, T, np.ones(N, bool), observed={"y": Y})


def exact(group):
    """Means and sds of one-step-ahead predictions, log-evidences of groups, and the posterior at the end."""
    design = np.stack([np.ones(N), T], axis=1)
    mean, sd, log_evidence = np.full(N, np.nan), np.full(N, np.nan), []
    for g in range(group.max() + 1):
        before, now = (group >= 0) & (group < g), group == g
        covariance = np.linalg.inv(np.eye(2) + design[before].T @ design[before] / 0.09)
        centre = covariance @ design[before].T @ Y[before] / 0.09
        law = design[now] @ centre, design[now] @ covariance @ design[now].T + 0.09 * np.eye(now.sum())
        mean[now], sd[now] = law[0], np.sqrt(np.diag(law[1]))
        log_evidence.append(stats.multivariate_normal(*law).logpdf(Y[now]) if now.any() else 0.0)
    used = group >= 0
    covariance = np.linalg.inv(np.eye(2) + design[used].T @ design[used] / 0.09)
    return mean, sd, np.array(log_evidence), covariance @ design[used].T @ Y[used] / 0.09, covariance


@pytest.mark.parametrize(
    "group",
    [np.arange(N), np.arange(N) // 4, np.zeros(N, int), np.where(np.arange(N) % 3 == 0, -1, np.arange(N))],
    ids=["one by one", "by fours", "all at once", "some left out"],
)
def test_predictions_and_evidence_are_those_in_closed_form(problem, group):
    """Errors by five runs of other seeds."""
    runs = [Sequential(num_particles=1000).follow(problem, group, seed=seed) for seed in range(5)]
    mean, sd, log_evidence, centre, covariance = exact(group)
    used = group >= 0
    for name, expected in (("mean", mean), ("sd", sd), ("log_predictive", stats.norm(mean, sd).logpdf(Y))):
        found = np.array([run[name].to_numpy() for run in runs])
        # Effective particles are half of 1000 at least; a t of four degrees of freedom has wide tails.
        tolerance = 5 * (np.std(found, axis=0, ddof=1) / np.sqrt(5) + 0.01 * sd)
        assert (np.abs(found.mean(0) - expected)[used] < tolerance[used]).all(), name
        assert np.isnan(found[:, ~used]).all()
    pit = np.mean([run["pit"].to_numpy() for run in runs], axis=0)
    assert (np.abs(pit - stats.norm(mean, sd).cdf(Y))[used] < 0.05).all()
    totals = np.array([float(run["log_evidence"].sum()) for run in runs])
    assert abs(totals.mean() - log_evidence.sum()) < 5 * (totals.std(ddof=1) + 0.02) / np.sqrt(5)
    drawn = np.concatenate([run["coordinates"].to_numpy() for run in runs])
    error = np.sqrt(np.diag(covariance) / 1000)
    assert (np.abs(drawn.mean(0) - centre) < 5 * error).all()
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.25 * covariance.max())


def test_many_data_sets_come_out_as_one_by_one(problem):
    flux, group = np.stack([Y, Y + 0.5, Y[::-1]]), np.stack([np.arange(N), np.arange(N) // 3, np.arange(N)])
    group[2, 9:] = -1
    batch = problem.batch(observed={"y": flux})
    settings = Sequential(num_particles=1000)
    found = settings.follow_many(batch, group, seed=4, chunk=2)
    assert found["log_predictive"].shape == (3, N)
    for i in range(3):
        one = settings.follow(problem.replace(observed={"y": flux[i]}), group[i], seed=5)
        size = one.sizes["group"]
        assert abs(float(found["log_evidence"][i].sum() - one["log_evidence"].sum())) < 0.5
        np.testing.assert_allclose(found["mean"][i], one["mean"], atol=0.1)
        assert (found["log_evidence"][i, size:] == 0).all()


def test_going_on_is_as_never_having_stopped(problem):
    settings = Sequential(num_particles=1000)
    place = np.arange(N)
    first = settings.follow(problem, np.where(place < 8, place, -1), seed=6)
    second = settings.follow(problem, np.where(place < 8, -2, place - 8), seed=7, start=first)
    mean, sd, log_evidence, centre, covariance = exact(place)
    np.testing.assert_allclose(second["mean"][8:], mean[8:], atol=0.3 * sd[8:].max())
    assert abs(float(second["log_evidence"].sum()) - log_evidence[8:].sum()) < 0.5
    assert (np.abs(second["coordinates"].mean("particle") - centre) < 5 * np.sqrt(np.diag(covariance) / 500)).all()
    batch = problem.batch(observed={"y": np.stack([Y, Y])})
    many = settings.follow_many(batch, np.tile(np.where(place < 8, place, -1), (2, 1)), seed=6)
    more = settings.follow_many(batch, np.tile(np.where(place < 8, -2, place - 8), (2, 1)), seed=7, start=many)
    np.testing.assert_allclose(more["mean"][:, 8:], np.tile(mean[8:], (2, 1)), atol=0.3 * sd[8:].max())
    with pytest.raises(ValueError, match="must hold particles of shape"):
        Sequential(num_particles=100).follow(problem, place, seed=1, start=first)


def test_a_value_of_its_own_probability_has_a_uniform_part_of_it():
    """A count, predicted from the prior alone: its probability is spread over (F(k - 1), F(k))."""

    def counts(shape):
        rate = numpyro.sample("rate", dist.LogNormal(0.0, 1e-6))
        with numpyro.plate("count", shape.shape[0]):
            numpyro.sample("k", dist.Poisson(2.0 * rate * shape))

    seen = RNG.poisson(2.0, 400)
    found = Sequential(num_particles=20).follow(
        ba.Problem(counts, np.ones(400), observed={"k": seen}), np.zeros(400, int), seed=2
    )
    low, high = stats.poisson(2.0).cdf(seen - 1), stats.poisson(2.0).cdf(seen)
    assert ((found["pit"] > low - 1e-4) & (found["pit"] < high + 1e-4)).all()
    assert stats.kstest((found["pit"] - low) / (high - low), "uniform").pvalue > 1e-4
    assert np.isnan(found["atom_low"]).all()


def test_groups_without_data_change_nothing(problem):
    group = np.arange(N) + 5 * (np.arange(N) > 5)
    found = Sequential(num_particles=200).follow(problem, group, seed=1)
    assert found.sizes["group"] == N + 5
    np.testing.assert_allclose(found["log_evidence"][6:11], 0.0, atol=1e-12)


def test_the_same_seed_gives_the_same_and_new_data_compile_nothing(problem):
    settings = Sequential(num_particles=200)
    first, again = (settings.follow(problem, np.arange(N), seed=3) for _ in range(2))
    assert first.identical(again)
    with compile_clock() as clock:
        other = settings.follow(problem.replace(observed={"y": Y + 1.0}), np.arange(N), seed=3)
    assert clock.count == 0
    assert float(other["log_evidence"].sum()) < float(first["log_evidence"].sum())


@pytest.mark.parametrize(
    ("group", "message"),
    [
        (np.arange(N - 1), "a whole number for each datum of `y`, whose shape is"),
        (np.arange(N) / 2, "a whole number for each datum"),
        (np.full(N, -1), "have one at least"),
        (np.arange(N) - 3, "number groups from 0"),
    ],
)
def test_wrong_groups_are_refused(problem, group, message):
    with pytest.raises(ValueError, match=message):
        Sequential().follow(problem, group, seed=1)


def test_what_cannot_be_followed_is_refused(problem):
    with pytest.raises(ValueError, match="`z` is not observed"):
        Sequential().follow(problem, np.arange(N), seed=1, site="z")
    with pytest.raises(ValueError, match="`seed` must be a whole number"):
        Sequential().follow(problem, np.arange(N), seed=-1)
    for settings, message in (
        ({"num_particles": 11}, "even `num_particles`"),
        ({"target_ess": 1.5}, "between 0 and 1"),
    ):
        with pytest.raises(ValueError, match=message):
            Sequential(**settings)

    def joint(t):
        a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.MultivariateNormal(a * t, np.eye(N)))

    with pytest.raises(ValueError, match=r"likelihood of each datum for itself, but `y` has one of shape \(\)"):
        Sequential().follow(ba.Problem(joint, T, observed={"y": Y}), np.arange(N), seed=1)


def test_data_gathered_in_one_event_come_one_by_one():
    def program(t, gather):
        a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        law = dist.Normal(a * t, 0.3)
        numpyro.sample("y", law.to_event(1) if gather else law)

    problems = [ba.Problem(program, T, gather, observed={"y": Y}) for gather in (True, False)]
    one, other = (Sequential(num_particles=100).follow(p, np.arange(N) // 6, seed=1) for p in problems)
    np.testing.assert_allclose(one["log_predictive"], other["log_predictive"])
