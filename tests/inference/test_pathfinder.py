"""Pathfinder: right where its weights are good, told where they are not, and a start for the other engines."""

import functools

import child
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from blackjax.optimizers.lbfgs import minimize_lbfgs

import bayesastro as ba
from bayesastro.inference.importance import resampled, weights_of
from bayesastro.inference.pathfinder import _gaussians, _moments_khat

NARROW = {"a": 1e-4, "b": 1e-3}


def narrow():
    """A posterior ten thousand times narrower than its prior, which short warm-ups do not find."""

    def program():
        a = numpyro.sample("a", dist.Normal(0.0, 10.0))
        b = numpyro.sample("b", dist.Normal(0.0, 10.0))
        numpyro.sample("y", dist.Normal(a, NARROW["a"]))
        numpyro.sample("z", dist.Normal(b, NARROW["b"]))

    return ba.Problem(program, observed={"y": 3.0, "z": -4.0})


@functools.cache
def found():
    return ba.fit(narrow(), ba.Pathfinder(), seed=1, progress=False)


def test_an_independent_gaussian_is_found_whatever_its_scales():
    assert not ba.diagnose(found())
    assert found().attrs["khat"] < 0.7
    for name, mean in (("a", 3.0), ("b", -4.0)):
        draws = found()["posterior"][name].values
        assert draws.mean() == pytest.approx(mean, abs=0.15 * NARROW[name])
        assert draws.std() == pytest.approx(NARROW[name], rel=0.1)
    evidence = sum(-0.5 * np.log(2 * np.pi * 100) - mean**2 / 200 for mean in (3.0, -4.0))
    assert found().attrs["elbo"] == pytest.approx(evidence, abs=0.1)


def test_a_gaussian_before_the_optimum_has_its_mean_there():
    """It is x + H ∇log p; with the other sign it would be twice as far off as the iterate x."""
    mean, covariance = np.array([1.0, -2.0, 3.0]), np.array([[1.0, 0.8, 0.0], [0.8, 4.0, 0.0], [0.0, 0.0, 0.25]])

    @jax.jit
    def approximated(key):
        precision = jnp.linalg.inv(jnp.asarray(covariance))
        _, path = minimize_lbfgs(lambda x: 0.5 * (x - mean) @ precision @ (x - mean), jnp.zeros(3), maxiter=5, maxcor=6)
        last = jax.tree.map(lambda array: array[5], _gaussians(path, 6))
        return last.position, *last.draw(key, 20_000)

    with jax.enable_x64(True):
        position, draws, log_q = map(np.asarray, approximated(jax.random.key(0)))
    assert np.linalg.norm(position - mean) > 0.5
    np.testing.assert_allclose(draws.mean(0), mean, atol=0.06)
    own, deviations = np.cov(draws.T), draws - draws.mean(0)
    expected = -0.5 * np.einsum("ni,ij,nj->n", deviations, np.linalg.inv(own), deviations)
    expected -= 0.5 * np.linalg.slogdet(2 * np.pi * own)[1]
    np.testing.assert_allclose(log_q, expected, atol=0.3)


def test_smoothed_weights_tell_a_light_tail_from_a_heavy_one():
    random = np.random.default_rng(1)
    x = random.normal(size=8000)
    for sd, is_good in ((0.9, True), (2.5, False)):  # of the target, under draws of sd 1
        log_weight = 0.5 * x**2 - 0.5 * (x / sd) ** 2 - np.log(sd)
        weight, khat = weights_of(log_weight)
        assert weight.sum() == pytest.approx(1.0)
        assert (khat < 0.7) == is_good
        if is_good:
            assert np.sqrt(weight @ x**2) == pytest.approx(sd, rel=0.05)


def test_weights_of_hundreds_of_orders_of_magnitude_have_a_tail_without_a_warning():
    log_weight = np.concatenate([np.linspace(-1.0, 0.0, 60), np.linspace(-700.0, -355.0, 940)])
    weight, khat = weights_of(log_weight)
    assert khat > 100
    assert np.isfinite(weight).all()
    assert weight.sum() == pytest.approx(1.0)


def test_resampling_is_in_proportion_to_the_weights():
    weight = np.array([0.5, 0.0, 0.3, 0.2])
    counts = np.bincount(resampled(weight, 1000, np.random.RandomState(1)), minlength=4)
    np.testing.assert_allclose(counts, 1000 * weight, atol=1)


def test_weights_that_cannot_be_trusted_are_reported():
    def program():
        numpyro.sample("x", dist.StudentT(2.0, 0.0, 1.0).expand([4]).to_event(1))

    result = ba.fit(ba.Problem(program), ba.Pathfinder(), seed=1, progress=False)
    (finding,) = [f for f in ba.diagnose(result) if f.id == "khat"]
    assert "start=" in finding.remedy


def test_without_resampling_draws_keep_the_spread_of_the_best_gaussian():
    """Where the weights are those of a few draws, a start for others wants more than those."""

    def program():
        numpyro.sample("x", dist.StudentT(1.0, -5.0, 0.1).expand([4]).to_event(1))

    distinct = {}
    for psis in (True, False):
        engine = ba.Pathfinder(num_paths=6, num_draws=50, psis_resample=psis)
        draws = ba.fit(ba.Problem(program), engine, seed=1, progress=False)["posterior"]["x"].values[0]
        distinct[psis] = len(np.unique(draws, axis=0))
    assert distinct[False] == 50 > distinct[True]
    assert np.abs(np.median(draws, axis=0) + 5.0).max() < 0.2


def test_draws_at_infinity_have_no_say_in_the_tails():
    random = np.random.default_rng(1)
    position, log_weight = random.normal(size=(200, 3)), 0.3 * random.normal(size=200)
    alone = _moments_khat(log_weight, weights_of(log_weight).weight, position)
    further = np.append(log_weight, [-np.inf, np.nan])
    weight = weights_of(further).weight
    assert _moments_khat(further, weight, np.concatenate([position, np.full((2, 3), np.inf)])) == pytest.approx(alone)
    assert _moments_khat(log_weight[:1], np.ones(1), position[:1]) == 0.0


@pytest.mark.parametrize(
    "engine",
    [
        ba.NUTS(num_warmup=150, num_draws=250),
        ba.MCLMC(num_warmup=400, num_draws=500),
        ba.Ensemble(),
        ba.Pathfinder(num_paths=2),
    ],
    ids=lambda engine: type(engine).__name__,
)
def test_every_engine_starts_from_its_draws(engine):
    result = ba.fit(narrow(), engine, seed=2, start=found(), progress=False)
    for name, mean in (("a", 3.0), ("b", -4.0)):
        assert float(result["posterior"][name].mean()) == pytest.approx(mean, abs=0.3 * NARROW[name])
        assert float(result["posterior"][name].std()) == pytest.approx(NARROW[name], rel=0.2)


def test_a_density_finite_nowhere_is_refused():
    def program():
        a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        numpyro.factor("hopeless", jnp.where(a < 1e6, -jnp.inf, 0.0))

    with pytest.raises(ValueError, match="`hopeless`"):
        ba.fit(ba.Problem(program), ba.Pathfinder(num_paths=2), seed=1, progress=False)


@pytest.mark.slow
def test_a_run_stopped_after_some_paths_has_the_draws_of_those():
    result = ba.fit(child.problem(), ba.Pathfinder(num_paths=400), seed=1, progress=False, time_limit=1e-6)
    assert result.attrs["status"] == "time limit reached"
    assert result["posterior"].sizes["draw"] == 1000
    assert "incomplete" in ba.diagnose(result).ids


@pytest.mark.parametrize("name", ["num_paths", "num_draws", "num_elbo_draws", "max_iterations", "history"])
def test_settings_out_of_range_are_refused(name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        ba.Pathfinder(**{name: 0})
