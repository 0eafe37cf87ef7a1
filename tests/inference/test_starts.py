"""Starting points from many draws of the prior."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import bayesastro as ba
from bayesastro.inference.starts import MAX_GRADIENTS, best, first_points, starting_points
from bayesastro.precision import to_numpy, working_precision


def narrow(y=None):
    x = numpyro.sample("x", dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    numpyro.sample("y", dist.Normal(x.sum(), 0.01), obs=y)


def without_gradient_at_its_peak(y=None):
    x = numpyro.sample("x", dist.Normal(0.0, 1.0))
    # Beyond 2.5 the gradient of the root is not a number.
    numpyro.sample("y", dist.Normal(x + 0.1 * jnp.sqrt(jnp.maximum(2.5 - x, 0.0)), 1.0), obs=y)


@pytest.mark.parametrize("number", [MAX_GRADIENTS, 400])
def test_the_best_of_all_draws_is_taken(number):
    problem = ba.Problem(narrow, observed={"y": np.array(1.5)})
    chart, data, key = problem.views("double").unconstrained, problem.data, jax.random.key(3)
    with working_precision("double"):
        points, chosen = to_numpy(starting_points(chart, key, data, number, None))
        every = first_points(chart, key, data, number)
        highest = to_numpy(best(every))
        every = to_numpy(every)
    assert len(points.log_density) == MAX_GRADIENTS
    np.testing.assert_allclose(chosen.position, highest.position)
    np.testing.assert_allclose(points.gradient, every.gradient[:MAX_GRADIENTS])


def test_a_start_has_a_finite_gradient():
    problem = ba.Problem(without_gradient_at_its_peak, observed={"y": np.array(10.0)})
    chart, data, key = problem.views("double").unconstrained, problem.data, jax.random.key(1)
    with working_precision("double"):
        every = to_numpy(first_points(chart, key, data, 400))
        _, chosen = to_numpy(starting_points(chart, key, data, 400, None))
    assert np.max(every.position) > 2.5
    assert np.isfinite(chosen.gradient).all()
    assert 1.9 < chosen.position < 2.5
