"""Banks of truncated priors: exactly the prior between the bounds, and refused where that cannot be."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

import bayesastro as ba

NUM = 4000


def program():
    a = numpyro.sample("a", dist.Normal(1.0, 2.0))
    b = numpyro.sample("b", dist.LogUniform(0.1, 100.0))
    c = numpyro.sample("c", dist.Uniform(-1.0, 1.0).expand([3]).to_event(1))
    numpyro.sample("d", dist.Normal(a, b))
    numpyro.sample("e", dist.Dirichlet(jnp.ones(3)))
    numpyro.sample("y", dist.Normal(a + c.sum(), b))


@pytest.fixture(scope="module")
def problem():
    return ba.Problem(program, observed={"y": 0.0})


WITHIN = {"a": (2.0, np.inf), "b": (1.0, 5.0), "c": ([-1.0, 0.2, -0.5], [1.0, 0.3, 0.5])}


def test_draws_are_of_the_prior_between_the_bounds(problem):
    bank = ba.simulate(problem, NUM, seed=1, within=WITHIN, progress=False)
    theta = bank.parameters(problem, slice(None))
    laws = {
        "a": stats.truncnorm(0.5, np.inf, 1.0, 2.0),
        "b": stats.loguniform(1.0, 5.0),
    }
    samples = {name: theta[name] for name in laws}
    for i, (low, high) in enumerate(zip(*WITHIN["c"], strict=True)):
        laws[f"c{i}"], samples[f"c{i}"] = stats.uniform(low, high - low), theta["c"][:, i]
    for name, law in laws.items():
        assert stats.kstest(samples[name], law.cdf).pvalue > 1e-4, name
    # What is not bounded is drawn given what is.
    assert stats.kstest((theta["d"] - theta["a"]) / theta["b"], "norm").pvalue > 1e-4
    _, observed = bank.rows(slice(None))
    assert stats.kstest((observed["y"] - theta["a"] - theta["c"].sum(1)) / theta["b"], "norm").pvalue > 1e-4
    assert set(bank.within) == {"a", "b", "c"}


def test_a_bank_is_continued_with_the_same_bounds_only(problem, tmp_path):
    ba.simulate(problem, 50, seed=1, within={"a": (0.0, 1.0)}, path=tmp_path / "bank", progress=False)
    more = ba.simulate(problem, 80, seed=1, within={"a": (0.0, 1.0)}, path=tmp_path / "bank", progress=False)
    whole = ba.simulate(problem, 80, seed=1, within={"a": (0.0, 1.0)}, progress=False)
    np.testing.assert_array_equal(more.rows(slice(None))[0], whole.rows(slice(None))[0])
    for within in (None, {"a": (0.0, 2.0)}):
        with pytest.raises(ValueError, match="other bounds of the prior"):
            ba.simulate(problem, 90, seed=1, within=within, path=tmp_path / "bank", progress=False)
    assert ba.Bank.open(tmp_path / "bank").within == {"a": [0.0, 1.0]}


@pytest.mark.parametrize(
    ("within", "message"),
    [
        ({"z": (0, 1)}, "names `z`, but the latent sites are"),
        ({"a": 3.0}, "a lower and an upper bound"),
        ({"c": ([0, 0], [1, 1])}, "a lower and an upper bound"),
        ({"a": (1.0, 1.0)}, "lower bounds below the upper"),
        ({"b": (200.0, 300.0)}, "has nothing between the bounds"),
        ({"d": (0.0, 1.0)}, "its prior depends on other latent sites"),
        ({"e": (0.0, 0.5)}, "is not drawn entry by entry"),
    ],
)
def test_bounds_that_cannot_be_kept_are_refused(problem, within, message):
    with pytest.raises(ValueError, match=message):
        ba.simulate(problem, 10, seed=1, within=within, progress=False)
