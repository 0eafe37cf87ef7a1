"""Truncated marginal ratios, where the marginals are known; and surrogates of a part of the prior."""

import dataclasses

import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

import bayesastro as ba


def program(sigma):
    """Two parameters of interest with wide flat priors, and twenty nuisances."""
    a = numpyro.sample("a", dist.Uniform(-10.0, 10.0))
    b = numpyro.sample("b", dist.Uniform(0.0, 50.0).expand([2]).to_event(1))
    noise = numpyro.sample("nuisance", dist.Normal(0.0, 1.0).expand([20]).to_event(1))
    numpyro.sample("x", dist.Normal(a + 0.3 * noise[:10], sigma).to_event(1))
    numpyro.sample("y", dist.Normal(b[0] - a + 0.3 * noise[10:], sigma).to_event(1))


SIGMA = 0.4
SCATTER = np.sqrt((0.3**2 + SIGMA**2) / 10)
"""Of the mean of ten values about `a`: the sd of its posterior, for the prior is flat."""


@pytest.fixture(scope="module")
def problem():
    empty = ba.Problem(program, SIGMA, observed={"x": np.zeros(10), "y": np.zeros(10)})
    random = np.random.default_rng(5)
    x = 2.0 + 0.5 * random.standard_normal(10)
    y = 18.0 + 0.5 * random.standard_normal(10)
    return empty.replace(observed={"x": x, "y": y})


@pytest.fixture(scope="module")
def settings():
    return ba.TMNRE(
        marginals=["a", ("a", "b[0]")], num_simulations=3000, max_rounds=4, hidden=64, max_epochs=25, batch_size=64
    )


@pytest.fixture(scope="module")
def marginals(problem, settings):
    return settings.train(problem, seed=1, progress=False)


def test_marginals_are_learnt_and_the_prior_is_truncated(problem, marginals):
    table = marginals.summary()
    x, y = problem.observed["x"].mean(), problem.observed["y"].mean()
    assert abs(table.loc["a", "mean"] - x) < 0.35 * SCATTER
    assert abs(table.loc["b[0]", "mean"] - x - y) < 0.35 * SCATTER * 2**0.5
    assert table.loc["a", "sd"] == pytest.approx(SCATTER, rel=0.3)
    assert table.loc["b[0]", "sd"] == pytest.approx(SCATTER * 2**0.5, rel=0.3)
    pairs = marginals.draws(("a", "b[0]"), 4000, seed=1)
    assert pairs.corr().iloc[0, 1] == pytest.approx(0.5**0.5, abs=0.15)
    assert len(marginals.rounds) >= 2
    assert 1e-5 < marginals.rounds["share"].iloc[-1] < 0.02
    low, high = marginals.bank.within["a"]
    assert low < x - 3 * SCATTER
    assert high > x + 3 * SCATTER
    assert marginals.bank.within["b"][0][1] == -np.inf
    assert set(marginals.to_dataset()) == {"a", "b[0]", "weight a", "weight b[0]", "weight a × b[0]"}
    assert len(marginals.plot().axes) == 3


def test_coverage_is_tested_over_the_truncated_prior(problem, marginals):
    table = marginals.coverage(problem, 200, seed=7)
    assert len(table) == 3 * 4
    assert table["passed"].all(), str(table)
    with pytest.raises(ValueError, match="another program"):
        marginals.coverage(problem.replace(0.5), 50, seed=7)
    narrow = dataclasses.replace(marginals, networks=tuple(_Bold(network) for network in marginals.networks))
    assert not narrow.coverage(problem, 200, seed=7)["passed"].all()


class _Bold:
    """Ratios that are four times too sure."""

    def __init__(self, network):
        self.network, self.marginals, self.context = network, network.marginals, network.context

    def log_ratio(self, *args):
        return 4 * self.network.log_ratio(*args)


def test_rounds_on_disk_are_not_simulated_again(problem, settings, tmp_path):
    quick = dataclasses.replace(settings, num_simulations=300, max_rounds=1, max_epochs=2)
    first = quick.train(problem, seed=1, path=tmp_path, progress=False)
    again = quick.train(problem, seed=1, path=tmp_path, progress=False)
    np.testing.assert_array_equal(first.weights("a"), again.weights("a"))
    assert (tmp_path / "round 0").is_dir()


def test_what_does_not_fit_is_refused(problem):
    with pytest.raises(ValueError, match=r"no parameter `b`; those with a coordinate each are .*b\[0\]"):
        ba.TMNRE(marginals=["b"]).train(problem, seed=1)
    with pytest.raises(ValueError, match="needs `marginals` such as"):
        ba.TMNRE(marginals="a")
    with pytest.raises(ValueError, match="`epsilon` from"):
        ba.TMNRE(marginals=["a"], epsilon=2.0)


@pytest.mark.parametrize("kind", ["NLE", "NRE"])
def test_surrogates_keep_to_the_part_of_the_prior_that_they_know(kind):
    def line():
        mean = numpyro.sample("mean", dist.Normal(0.0, 10.0))
        numpyro.sample("y", dist.Normal(mean, 1.0).expand([2]).to_event(1))

    problem = ba.Problem(line, observed={"y": np.array([1.0, 1.4])})
    bank = ba.simulate(problem, 2000, seed=1, within={"mean": (-1.0, 1.0)}, progress=False)
    engine = ba.SMC(num_islands=4, num_particles=250)
    options = {"hidden": 32, "max_epochs": 15, "batch_size": 64, "engine": engine}
    surrogate = getattr(ba, kind)(**options).train(problem, bank, seed=1, progress=False)
    result = ba.fit(problem, surrogate, seed=1, progress=False)
    mean = result["posterior"]["mean"].values.ravel()
    assert mean.min() > -1
    assert mean.max() < 1
    exact = stats.truncnorm((-1 - 1.2) * 2**0.5, (1 - 1.2) * 2**0.5, 1.2, 0.5**0.5)
    assert mean.mean() == pytest.approx(exact.mean(), abs=0.07)
    assert mean.std() == pytest.approx(exact.std(), rel=0.15)
    with pytest.raises(ValueError, match="trained on a part of it only"):
        ba.calibrate(problem, surrogate, num_simulations=200, seed=1, progress=False)
    with pytest.raises(ValueError, match="`NPE` needs draws from the whole prior"):
        ba.NPE().train(problem, bank, seed=1, progress=False)
