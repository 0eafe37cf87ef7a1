"""Microcanonical dynamics: tuning, the check at half the step, thinning, and what is told of trouble."""

import child
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import bayesastro as ba
from bayesastro.compilation import compile_clock
from bayesastro.inference.halving import halving_shift
from bayesastro.inference.step_tuning import autocorrelation, step_tuner, step_updated

SIZE = 20


def wide():
    """Independent normals whose sds span four decades."""
    sds = np.logspace(-2, 2, SIZE)

    def program():
        numpyro.sample("x", dist.Normal(0.0, jnp.asarray(sds)).to_event(1))

    return ba.Problem(program), sds


@pytest.mark.parametrize("is_final", [False, True])
def test_the_step_is_tuned_to_the_energy_variance_asked_for(is_final):
    """Energy errors of sd c ε³ must lead to ε = (V / c²)^(1/6)."""
    variance, scale = 0.01, 3.0
    errors = np.random.default_rng(1).normal(size=4000)
    with jax.enable_x64(True):

        def one(tuner, error):
            error = scale * tuner.step_size**3 * error
            return step_updated(tuner, error, jnp.isfinite(error), variance, jnp.asarray(is_final)), None

        tuner, _ = jax.lax.scan(one, step_tuner(jnp.asarray(1.0)), errors)
    # Down-weighting large and small errors leaves a bias of some per cent, which a last phase without it takes away.
    assert float(tuner.step_size) == pytest.approx((variance / scale**2) ** (1 / 6), rel=0.02 if is_final else 0.2)


def test_steps_stay_below_one_that_led_to_a_nan():
    with jax.enable_x64(True):
        tuner = step_updated(step_tuner(jnp.asarray(1.0)), jnp.nan, jnp.asarray(False), 0.01, jnp.asarray(False))
        for _ in range(5):
            tuner = step_updated(tuner, jnp.asarray(0.0), jnp.asarray(True), 0.01, jnp.asarray(False))
    assert float(tuner.step_size) == pytest.approx(0.8)


@pytest.mark.slow
def test_autocorrelation_is_that_of_an_autoregression():
    random, x = np.random.default_rng(3), np.zeros((4000, 8))
    for t in range(1, len(x)):
        x[t] = 0.9 * x[t - 1] + random.normal(size=8)
    assert float(autocorrelation(jnp.asarray(x))) == pytest.approx(19.0, rel=0.2)
    assert np.isnan(autocorrelation(jnp.ones((100, 2))))


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (0.4, 1.0), (0.0, 1.4)])
def test_the_shift_at_half_the_step_is_measured_in_posterior_sds(mean, sd):
    random = np.random.default_rng(4)
    draws = 5.0 + 3.0 * random.normal(size=(4, 2000, 3))
    checks = 5.0 + 3.0 * random.normal(size=(4, 2000, 3))
    checks[..., 1] = 5.0 + 3.0 * (mean + sd * random.normal(size=(4, 2000)))
    found = halving_shift(draws, checks)
    expected = max(mean, (sd**2 - 1) / 2)
    assert abs(found["halving_shift"] - expected) < 4.5 * found["halving_error"]
    assert 0 < found["halving_error"] <= found["halving_error_max"] < 0.05
    assert halving_shift(draws, checks[:, :10]) == {}


def test_a_good_step_passes_its_check_and_a_bad_one_does_not():
    problem, _ = wide()
    good = ba.fit(problem, ba.MCLMC(self_check=True, num_draws=2000), seed=1, progress=False)
    assert good.attrs["exactness"] == "biased"
    assert good.attrs["halving_shift"] < 0.1
    assert ba.diagnose(good).ids == ()
    assert good["posterior"].sizes["draw"] == 2000
    bad = ba.fit(problem, ba.MCLMC(self_check=True, energy_variance=2.0, num_draws=2000), seed=1, progress=False)
    assert "step_bias" in ba.diagnose(bad).ids


@pytest.mark.slow
def test_a_check_too_short_to_tell_says_so():
    result = ba.fit(child.problem(), ba.MCLMC(self_check=True, num_draws=60), seed=1, progress=False)
    assert "step_bias_unknown" in ba.diagnose(result).ids


@pytest.mark.parametrize("adjusted", [pytest.param(False, marks=pytest.mark.slow), True])
def test_badly_scaled_parameters_are_found(adjusted):
    problem, sds = wide()
    result = ba.fit(problem, ba.MCLMC(adjusted=adjusted), seed=1, progress=False)
    assert ba.diagnose(result).ids == ()
    assert result.attrs["exactness"] == ("exact" if adjusted else "biased")
    np.testing.assert_allclose(result["posterior"]["x"].std(("chain", "draw")), sds, rtol=0.15)


@pytest.mark.slow
def test_thinning_is_as_asked_or_the_chains_choice():
    thinned = ba.fit(child.problem(), ba.MCLMC(num_draws=100, thin=7), seed=1, progress=False)
    assert thinned.attrs["num_gradients"] == 2 * 4 * (2000 + 7 * 100)
    free = ba.fit(child.problem(), ba.MCLMC(num_draws=100), seed=1, progress=False)
    assert len(free.attrs["thin"]) == 4
    assert free.attrs["num_gradients"] == 2 * (4 * 2000 + 100 * sum(free.attrs["thin"]))


def test_steps_into_nans_are_counted_and_reported():
    def program():
        x = numpyro.sample("x", dist.Normal(0.0, 1.0).expand([3]).to_event(1))
        numpyro.factor("hole", jnp.where(x[0] > 1.0, jnp.nan, 0.0))

    result = ba.fit(ba.Problem(program), ba.MCLMC(), seed=1, progress=False)
    assert result.attrs["num_nans"] == result["sample_stats"]["num_nans"].sum() > 0
    assert "nans" in ba.diagnose(result).ids
    assert np.isfinite(result["posterior"]["x"]).all()
    assert float(result["posterior"]["x"][..., 0].max()) <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("adjusted", [False, True])
def test_chains_start_at_the_draws_of_another_result(adjusted):
    """Two far modes: chains that start in one of them stay there."""

    def program():
        parts = dist.Normal(jnp.array([-30.0, 30.0]), 1.0)
        numpyro.sample("x", dist.MixtureSameFamily(dist.Categorical(jnp.array([0.5, 0.5])), parts))
        numpyro.sample("y", dist.Normal(0.0, 1.0))

    problem = ba.Problem(program)
    start = ba.fit(problem, ba.NUTS(num_warmup=50, num_draws=50), seed=1, progress=False)
    for sign in (-1, 1):
        start["posterior"]["x"] = sign * abs(start["posterior"]["x"])
        engine = ba.MCLMC(num_warmup=200, num_draws=50, adjusted=adjusted)
        result = ba.fit(problem, engine, seed=1, start=start, progress=False)
        assert (sign * result["posterior"]["x"] > 20).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_chains": 0}, "`num_chains`"),
        ({"thin": 0}, "`thin`"),
        ({"energy_variance": 0.0}, "positive `energy_variance`"),
        ({"target_accept": 1.0}, "`target_accept` between 0 and 1"),
        ({"adjusted": True, "self_check": True}, "no bias to check"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with compile_clock() as clock, pytest.raises(ValueError, match=message):
        ba.MCLMC(**settings)
    assert clock.count == 0
