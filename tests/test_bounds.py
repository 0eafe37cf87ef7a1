"""Cramér–Rao bounds against closed forms."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import bayesastro as ba


def test_a_linear_model_has_the_covariance_of_least_squares():
    """Prior and likelihood normal: with the prior, the bound is the posterior's standard deviation exactly."""
    rng = np.random.default_rng(1)
    design, sigma, spread = rng.normal(size=(30, 3)), rng.uniform(0.5, 2.0, 30), np.array([1.0, 2.0, 0.3])

    def program(design, sigma):
        weights = numpyro.sample("weights", dist.Normal(0.0, spread).to_event(1))
        numpyro.deterministic("sum", jnp.sum(weights))
        numpyro.sample("y", dist.Normal(design @ weights, sigma).to_event(1))

    problem = ba.Problem(program, design, sigma, observed={"y": np.zeros(30)})
    table = ba.cramer_rao(problem, {"weights": np.ones(3)}, names=["weights", "sum"])
    information = design.T @ (design / sigma[:, None] ** 2)
    alone, both = np.linalg.inv(information), np.linalg.inv(information + np.diag(spread**-2.0))
    assert list(table.index) == ["weights[0]", "weights[1]", "weights[2]", "sum"]
    np.testing.assert_allclose(table["value"], [1.0, 1.0, 1.0, 3.0])
    for column, covariance in (("data", alone), ("with_prior", both)):
        expected = np.sqrt([*np.diag(covariance), covariance.sum()])
        np.testing.assert_allclose(table[column], expected, rtol=1e-9)


def test_what_data_do_not_tell_has_no_bound_without_the_prior():
    def program():
        a = numpyro.sample("a", dist.Normal(0.0, 2.0))
        b = numpyro.sample("b", dist.Normal(0.0, 2.0))
        rate = numpyro.sample("rate", dist.LogNormal(1.0, 0.5))
        numpyro.sample("y", dist.Normal(a + b, 0.1))
        numpyro.sample("counts", dist.Poisson(rate).expand([20]).to_event(1))

    observed = {"y": np.array(0.3), "counts": np.full(20, 3)}
    table = ba.cramer_rao(ba.Problem(program, observed=observed), {"a": 0.1, "b": 0.2, "rate": 3.0})
    assert np.isinf(table.loc[["a", "b"], "data"]).all()
    assert table.loc["rate", "data"] == pytest.approx(np.sqrt(3.0 / 20))
    assert table.loc["rate", "with_prior"] == pytest.approx((20 / 3 + 1 / (0.5 * 3.0) ** 2) ** -0.5)
    assert table.loc["a", "with_prior"] == pytest.approx(np.sqrt(2.0 + 0.1**2 / 4), rel=1e-2)


def test_programs_without_a_metric_and_unknown_names_are_refused():
    def program():
        x = numpyro.sample("x", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Cauchy(x, 1.0))

    with pytest.raises(ValueError, match="`cramer_rao` needs a likelihood of known Fisher metric"):
        ba.cramer_rao(ba.Problem(program, observed={"y": np.array(0.0)}), {"x": 0.0})

    def known():
        x = numpyro.sample("x", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(x, 1.0))

    with pytest.raises(ValueError, match="which are no sites of the program"):
        ba.cramer_rao(ba.Problem(known, observed={"y": np.array(0.0)}), {"x": 0.0}, names=["z"])
