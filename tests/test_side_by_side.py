"""Rows computed a bounded number at a time are those of all at once."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import bayesastro as ba
from bayesastro import side_by_side
from bayesastro.side_by_side import over_rows
from bayesastro.views import simulator, site_terms


def of_a_row(row):
    key, values = row
    return {"drawn": jax.random.normal(key, (2,)) + values["a"], "none": jnp.zeros((0,))}


@pytest.mark.parametrize("together", [1, 3, 7, 20])
def test_rows_are_those_of_all_at_once(together):
    rows = jax.random.split(jax.random.key(1), 7), {"a": jnp.arange(7.0)}
    found, right = over_rows(of_a_row, rows, together), jax.vmap(of_a_row)(rows)
    assert found["none"].shape == (7, 0)
    np.testing.assert_allclose(found["drawn"], right["drawn"], rtol=1e-6)


def program(x):
    slope = numpyro.sample("slope", dist.Normal(0.0, 1.0))
    numpyro.deterministic("line", slope * x)
    numpyro.sample("y", dist.Normal(slope * x, 1.0).to_event(1))


def test_simulations_and_densities_do_not_depend_on_how_many_fit_into_memory(monkeypatch):
    problem = ba.Problem(program, np.linspace(0, 1, 5), observed={"y": np.zeros(5)})

    def everything():
        simulator.cache_clear(), site_terms.cache_clear()
        simulated = problem.simulate(11, key=jax.random.key(2))
        slopes = {"slope": np.linspace(-1, 1, 6).reshape(2, 3)}
        terms = problem.log_likelihood(slopes, batch_ndims=2), problem.replay(slopes, batch_ndims=2)
        return simulated.parameters, simulated.observables, *terms

    at_once = everything()
    monkeypatch.setattr(side_by_side, "VALUES_TOGETHER", 12)
    found = everything()
    simulator.cache_clear(), site_terms.cache_clear()
    assert found[2]["y"].shape == (2, 3, 5)
    assert found[3]["line"].shape == (2, 3, 5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), found, at_once)
