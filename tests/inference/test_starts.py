"""Starting points from many draws of the prior."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import xarray as xr

import bayesastro as ba
from bayesastro.inference.metric import first_metric, metric_at
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


SD, CORRELATION = np.array([1e-3, 0.2, 5.0]), 0.95


def correlated(y=None):
    """A posterior of sds that differ by thousands, in units of the prior's."""
    shape = np.eye(3) + CORRELATION * (np.eye(3, k=1) + np.eye(3, k=-1)) / 2
    covariance = SD[:, None] * SD * shape
    x = numpyro.sample("x", dist.ImproperUniform(dist.constraints.real_vector, (), (3,)))
    numpyro.sample("y", dist.MultivariateNormal(x, covariance), obs=y)


def of_draws(values, precision="double"):
    """A result whose draws are these."""
    return xr.DataTree.from_dict(
        {"posterior": xr.Dataset({"x": (("chain", "draw", "x_dim"), np.asarray(values)[None].astype(precision))})}
    )


@pytest.mark.parametrize("num_distinct", [1, 2, 9])
@pytest.mark.parametrize("precision", ["double", "single"])
def test_few_points_repeated_tell_the_curvature(num_distinct, precision):
    """Those of importance weights that fell on few: their spread says nothing of the posterior's."""
    problem = ba.Problem(correlated, observed={"y": np.array([0.1, 1.0, -20.0])})
    chart, data = problem.views(precision).unconstrained, problem.data
    distinct = problem.observed["y"] + np.random.default_rng(0).normal(size=(num_distinct, 3)) * SD
    with working_precision(precision):
        start = jnp.asarray(np.resize(distinct, (40, 3)), float)
        points, chosen = starting_points(chart, jax.random.key(2), data, 40, start)
        dense = metric_at(points.position, points.gradient, jnp.eye(3))
        diagonal = first_metric(points.position, points.gradient)
    assert any(np.allclose(chosen.position, point, rtol=1e-6) for point in distinct)
    covariance = np.linalg.inv(-np.asarray(curvature(chart, data, chosen.position, precision)))
    np.testing.assert_allclose(np.sqrt(np.diag(dense)) / np.sqrt(np.diag(covariance)), 1.0, atol=0.1)
    np.testing.assert_allclose(np.log(np.sqrt(diagonal) / SD), 0.0, atol=1.0)


def curvature(chart, data, position, precision):
    with working_precision(precision):
        return jax.hessian(chart.log_density)(position, data)


def test_many_distinct_points_are_taken_as_they_are():
    problem = ba.Problem(correlated, observed={"y": np.zeros(3)})
    draws = np.random.default_rng(0).normal(size=(200, 3)) * SD
    with working_precision("double"):
        points, _ = starting_points(
            problem.views("double").unconstrained, jax.random.key(2), problem.data, 40, jnp.asarray(draws)
        )
    assert np.isin(np.asarray(points.position), draws).all()


@pytest.mark.parametrize("engine", [ba.Pathfinder(num_paths=2), ba.NUTS(num_chains=1, num_warmup=50, num_draws=50)])
@pytest.mark.parametrize(("of_start", "precision"), [("single", "double"), ("double", "single")])
def test_a_run_may_start_from_one_of_another_precision(engine, of_start, precision):
    problem = ba.Problem(narrow, observed={"y": np.array(1.5)})
    start = of_draws(np.random.default_rng(1).normal(0.5, 0.1, (60, 3)), of_start)
    result = ba.fit(problem, engine, seed=1, start=start, precision=precision, progress=False)
    assert abs(float(result["posterior"]["x"].sum("x_dim_0").mean()) - 1.5) < 0.2
