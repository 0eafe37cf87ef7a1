"""The ensemble sampler: when it stops, where it starts, and what it refuses."""

import functools

import child
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from emcee.autocorr import integrated_time

import bayesastro as ba
from bayesastro.compilation import compile_clock
from bayesastro.inference.history import CAPACITY, autocorrelation_time, extended, no_history


@functools.cache
def finished():
    return ba.fit(child.problem(), ba.Ensemble(), seed=1, progress=False)


def autoregression(num_steps, num_walkers, coefficient, seed):
    """Series of known autocorrelation time (1 + c) / (1 − c)."""
    random = np.random.default_rng(seed)
    x = np.zeros((num_steps, num_walkers, 1))
    for t in range(1, num_steps):
        x[t] = coefficient * x[t - 1] + random.normal(size=(num_walkers, 1))
    return x


def test_a_bounded_history_tells_the_autocorrelation_time_of_a_long_run():
    coefficient, num_steps = 0.98, 9 * CAPACITY + 57
    x = autoregression(num_steps, 16, coefficient, 1)
    history = no_history(16, 1)
    for positions in x:
        history = extended(history, positions)
    stride = int(history.stride)
    assert stride == 16
    num_kept = num_steps // stride
    np.testing.assert_array_equal(history.positions[:num_kept], x[stride - 1 :: stride])
    (tau,) = autocorrelation_time(history, 0.2)
    assert tau == pytest.approx((1 + coefficient) / (1 - coefficient), rel=0.15)
    assert tau == pytest.approx(integrated_time(x[num_steps // 5 :])[0], rel=0.1)


def test_a_walker_that_never_moved_has_no_autocorrelation_time():
    history = no_history(4, 1)
    for positions in autoregression(200, 4, 0.5, 2):
        positions[3] = 1.0
        history = extended(history, positions)
    assert np.isinf(autocorrelation_time(history, 0.2)).all()


def test_the_run_ends_when_it_is_long_enough_and_says_so():
    attributes = finished().attrs
    assert attributes["is_converged"]
    assert attributes["tau"] <= attributes["tau_wanted"]
    assert attributes["num_steps"] < ba.Ensemble().max_steps
    assert attributes["num_dropped"] > 5 * attributes["tau"]
    assert not ba.diagnose(finished())


def test_a_run_cut_short_by_its_budget_is_reported():
    result = ba.fit(child.problem(), ba.Ensemble(max_steps=300), seed=1, progress=False)
    assert result.attrs["status"] == "complete"
    assert result.attrs["num_steps"] == 300
    (finding,) = [f for f in ba.diagnose(result) if f.id == "autocorrelation"]
    assert "max_steps" in finding.remedy


def test_walkers_are_not_judged_by_rhat():
    assert finished().attrs["chains_are"] == "walkers"
    assert "r_hat" not in ba.summary(finished())
    assert "rhat" not in ba.diagnose(finished()).ids


def test_walkers_start_at_the_draws_of_another_result():
    problem = child.problem()
    start = ba.fit(problem, child.SMALL, seed=1, progress=False)
    result = ba.fit(problem, ba.Ensemble(max_steps=1, num_walkers=8), seed=1, start=start, progress=False)
    known = np.stack([start["posterior"][name].values.ravel() for name in ("a", "b")], 1)
    found = np.stack([result["posterior"][name].values.ravel() for name in ("a", "b")], 1)
    mean, covariance = child.moments()
    off = np.einsum("ni,ij,nj->n", found - mean, np.linalg.inv(covariance), found - mean)
    assert off.max() < 40
    assert np.isclose(found[:, None], known).all(-1).any(1).sum() >= 2  # those whose first move was rejected


@pytest.mark.parametrize("num_draws", [1, 5])
def test_a_start_of_few_draws_is_spread(num_draws):
    problem = child.problem()
    start = finished().isel(chain=slice(0, 1), draw=slice(0, num_draws))
    result = ba.fit(problem, ba.Ensemble(num_walkers=16), seed=1, start=start, progress=False)
    assert not ba.diagnose(result)
    found = ba.summary(result, ["a", "b"], digits=8)
    off = (found["mean"].to_numpy() - child.moments()[0]) / found["mcse_mean"].to_numpy()
    assert np.abs(off).max() < 8


def test_a_start_within_a_subspace_is_refused():
    start = finished().copy()
    start["posterior"]["b"] = start["posterior"]["a"] * 2
    with pytest.raises(ValueError, match="subspace"):
        ba.fit(child.problem(), ba.Ensemble(), seed=1, start=start, progress=False)


def test_one_parameter_is_enough():
    def program():
        numpyro.sample("x", dist.Gamma(3.0, 2.0))

    result = ba.fit(ba.Problem(program), ba.Ensemble(), seed=1, progress=False)
    assert not ba.diagnose(result)
    assert float(result["posterior"]["x"].mean()) == pytest.approx(1.5, abs=0.15)


def test_walkers_avoid_prior_draws_without_density():
    def program():
        x = numpyro.sample("x", dist.Normal(0.0, 1.0))
        numpyro.factor("cut", jnp.where(x > 0.5, 0.0, -jnp.inf))

    result = ba.fit(ba.Problem(program), ba.Ensemble(num_starts=4, num_walkers=16), seed=1, progress=False)
    assert float(result["posterior"]["x"].min()) > 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_walkers": 0}, "`num_walkers`"),
        ({"num_draws": 0}, "`num_draws`"),
        ({"max_steps": 1.5}, "`max_steps`"),
        ({"tau_factor": 2.0}, "`tau_factor` of at least 10"),
        ({"stretch": 1.0}, "`stretch` greater than 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ba.Ensemble(**settings)


@pytest.mark.parametrize("num_walkers", [2, 5])
def test_too_few_or_odd_walkers_are_refused_before_anything_compiles(num_walkers):
    with compile_clock() as clock, pytest.raises(ValueError, match="even `num_walkers` of at least 4"):
        ba.fit(child.problem(), ba.Ensemble(num_walkers=num_walkers), seed=1)
    assert clock.count == 0
