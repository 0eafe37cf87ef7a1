"""Posteriors as priors for other data, and what happens to who takes them for the same."""

import functools

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

import bayesastro as ba

NUM = 10


def line(x, sigma):
    """A slope, a level that is positive, and one more parameter that the data do not tell of."""
    slope = numpyro.sample("slope", dist.Normal(0.0, 3.0))
    level = numpyro.sample("level", dist.LogNormal(0.0, 1.0))
    numpyro.sample("idle", dist.Beta(2.0, 5.0))
    numpyro.sample("y", dist.Normal(level + slope * x, sigma).to_event(1))


X = np.linspace(-1.0, 1.0, NUM)
NUTS = ba.NUTS(num_chains=2, num_warmup=300, num_draws=500)


def problem(seed=1):
    y = 2.0 + 0.7 * X + 0.5 * np.random.default_rng(seed).normal(size=NUM)
    return ba.Problem(line, X, 0.5, observed={"y": y})


@functools.cache
def first():
    return ba.fit(problem(1), NUTS, seed=1, progress=False)


def test_two_data_sets_one_after_the_other_are_both_at_once():
    def both(x, sigma):
        slope = numpyro.sample("slope", dist.Normal(0.0, 3.0))
        level = numpyro.sample("level", dist.LogNormal(0.0, 1.0))
        for i in (1, 2):
            numpyro.sample(f"y{i}", dist.Normal(level + slope * x, sigma).to_event(1))

    y = {f"y{i}": problem(i).observed["y"] for i in (1, 2)}
    together = ba.fit(ba.Problem(both, X, 0.5, observed=y), NUTS, seed=3, progress=False)["posterior"]
    after = ba.fit(ba.informed(problem(2), first()), NUTS, seed=4, progress=False)["posterior"]
    for name in ("slope", "level"):
        assert abs(float(after[name].mean() - together[name].mean())) < 0.3 * float(together[name].std())
        assert float(after[name].std() / together[name].std()) == pytest.approx(1.0, abs=0.2)


def test_the_prior_is_the_mixture():
    """Its density in the parameters' own units, Jacobian and all; parameters that are not named keep theirs."""
    found = ba.informed(problem(2), first(), names=["slope", "level"], max_components=1)
    draws = first()["posterior"]
    z = np.stack([draws["slope"].values.ravel(), np.log(draws["level"].values).ravel()], axis=1)
    law = stats.multivariate_normal(z.mean(axis=0), np.cov(z.T, bias=True) + 1e-6 * np.eye(2))
    for theta in ({"slope": 0.7, "level": 2.1, "idle": 0.2}, {"slope": -0.4, "level": 1.3, "idle": 0.6}):
        wanted = law.logpdf([theta["slope"], np.log(theta["level"])]) - np.log(theta["level"])
        wanted += stats.beta(2, 5).logpdf(theta["idle"])
        assert sum(float(v) for v in found.log_prior(theta).values()) == pytest.approx(wanted, rel=1e-6)
    assert "simulate" in found.lacks


def test_components_are_as_many_as_draws_show():
    """Two modes of a sign: a single normal would lie between."""

    def squared(sigma):
        x = numpyro.sample("x", dist.Normal(0.0, 3.0))
        numpyro.sample("y", dist.Normal(x**2, sigma))

    two = ba.Problem(squared, 0.3, observed={"y": 4.0})
    found = ba.fit(two, ba.SMC(num_particles=400), seed=1, progress=False)
    after = ba.informed(two.replace(observed={"y": 4.1}), found)
    density = [sum(map(float, after.log_prior({"x": x}).values())) for x in (-2.0, 0.0, 2.0)]
    assert min(density[0], density[2]) > density[1] + 5


def test_supports_are_those_of_each_draw():
    """A part of a whole that is drawn, too: coordinates of the part are relative to its own draw of the whole."""

    def nested(sigma):
        whole = numpyro.sample("whole", dist.LogNormal(0.0, 0.5))
        part = numpyro.sample("part", dist.Uniform(0.0, whole))
        numpyro.sample("y", dist.Normal(whole + part, sigma))

    one = ba.Problem(nested, 0.2, observed={"y": 1.5})
    found = ba.fit(one, NUTS, seed=1, progress=False)
    other = ba.informed(one.replace(observed={"y": 1.6}), found, max_components=1)
    draws = found["posterior"]
    whole, part = (draws[name].values.ravel() for name in ("whole", "part"))
    z = np.stack([np.log(whole), np.log(part / (whole - part))], axis=1)
    law = stats.multivariate_normal(z.mean(axis=0), np.cov(z.T, bias=True) + 1e-6 * np.eye(2))
    theta, share = {"whole": 1.1, "part": 0.3}, 0.3 / 1.1
    wanted = law.logpdf([np.log(1.1), np.log(0.3 / 0.8)]) - np.log(1.1) - np.log(1.1 * share * (1 - share))
    assert sum(map(float, other.log_prior(theta).values())) == pytest.approx(wanted, rel=1e-6)


def test_the_same_data_are_refused():
    with pytest.raises(ValueError, match=r"from the same `y` that the problem has.*twice.*use `Corrected`"):
        ba.informed(problem(1), first())
    ba.informed(problem(1), first(), again=True)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="but not"):
        ba.informed(problem(2), first(), names=["width"])
    with pytest.raises(ValueError, match="already informed"):
        ba.informed(ba.informed(problem(2), first()), first())
    few = first().isel(draw=slice(0, 5))
    with pytest.raises(ValueError, match=r"20 finite draws for each of 3 coordinates, but the result has 10"):
        ba.informed(problem(2), few)


@pytest.mark.slow
def test_data_that_count_twice_are_not_calibrated():
    """Of 150 simulations: what is informed by the data's own posterior covers the truth as an interval √2 too narrow does."""
    empty = problem(1)
    drawn = empty.simulate(150, key=jax.random.key(2))
    engine = ba.NUTS(num_chains=2, num_warmup=200, num_draws=250)
    hits = {"right": [], "twice": []}
    for i in range(150):
        one = empty.replace(observed={"y": drawn.observables["y"][i]})
        once = ba.fit(one, engine, seed=i, progress=False)
        twice = ba.fit(ba.informed(one, once, again=True), engine, seed=i, progress=False)
        for name, result in (("right", once), ("twice", twice)):
            low, high = np.quantile(result["posterior"]["slope"].values, [0.16, 0.84])
            hits[name].append(low < drawn.parameters["slope"][i] < high)
    error = np.sqrt(0.68 * 0.32 / 150)
    assert np.mean(hits["right"]) == pytest.approx(0.68, abs=3.5 * error)
    narrow = 2 * stats.norm.cdf(0.5**0.5 * stats.norm.ppf(0.84)) - 1
    assert np.mean(hits["twice"]) == pytest.approx(narrow, abs=3.5 * error)
    assert np.mean(hits["twice"]) < 0.68 - 2 * error
