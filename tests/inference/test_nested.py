"""Nested sampling: evidences, honest errors, plateaus, guards, self-check, starts and ranks."""

import dataclasses
import functools

import evidences
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from matrix import Z
from scipy import stats

import bayesastro as ba
from bayesastro.inference import volumes

SMALL = ba.NestedSampler(num_live=200, num_draws=250)


@functools.cache
def regression():
    return evidences.linear_regression()


@functools.cache
def regression_result():
    return ba.fit(regression()[0], SMALL, seed=1, progress=False)


@pytest.mark.parametrize("size", [2, 5, pytest.param(10, marks=pytest.mark.slow)])
def test_evidence_of_gaussian_shells(size):
    problem, truth = evidences.shells(size)
    result = ba.fit(problem, ba.NestedSampler(num_live=400), seed=1, progress=False)
    assert abs(evidences.pull(result, truth)) < 3
    # Both shells weigh the same.
    right = float((result["posterior"]["x"][..., 0] > 0).mean())
    assert abs(right - 0.5) < 4 * 0.5 / np.sqrt(result.attrs["ess"])
    # Shells are thin: regions about the live points pay in the beginning only.
    assert 0 < result.attrs["drawn_from_regions"] < 1


def test_evidence_and_posterior_of_a_linear_regression():
    assert abs(evidences.pull(regression_result(), regression()[1])) < 3
    assert not ba.diagnose(regression_result())


@pytest.mark.slow
@pytest.mark.parametrize("build", [evidences.two_modes, evidences.correlated_gaussian])
def test_evidence_of_separated_modes_and_of_a_correlated_gaussian(build):
    problem, truth = build()
    result = ba.fit(problem, ba.NestedSampler(num_live=400), seed=1, progress=False)
    assert abs(evidences.pull(result, truth)) < 3


@pytest.mark.slow
@pytest.mark.parametrize("use_regions", [True, False])
@pytest.mark.parametrize(
    "build",
    [functools.partial(evidences.shells, 5), functools.partial(evidences.shells, 10), evidences.linear_regression],
)
def test_errors_are_honest(build, use_regions):
    """Over 20 seeds the square deviations from the truth, in errors, are those of a standard normal."""
    problem, truth = build()
    engine = ba.NestedSampler(num_live=400, use_regions=use_regions)
    pulls = [evidences.pull(ba.fit(problem, engine, seed=s, progress=False), truth) for s in range(20)]
    chi_square = np.sum(np.square(pulls))
    assert stats.chi2(20).ppf(1e-3) < chi_square < stats.chi2(20).isf(1e-3)
    assert max(map(abs, pulls)) < Z


def constant_program():
    x = numpyro.sample("x", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
    numpyro.factor("constant", 0.0 * x.sum() - 7.25)


def test_a_constant_likelihood_gives_itself():
    result = ba.fit(ba.Problem(constant_program), SMALL, seed=1, progress=False)
    assert result.attrs["log_evidence"] == pytest.approx(-7.25, abs=1e-12)
    assert result.attrs["log_evidence_err"] < 1e-12
    assert abs(result["posterior"]["x"].mean()) < 0.3


@pytest.mark.parametrize("floor", [-np.inf, pytest.param(-50.0, marks=pytest.mark.slow)])
def test_plateaus_are_crossed(floor):
    """A box of likelihood one that holds a sixteenth of the prior, and beyond it a plateau, of zero or nearly."""

    def program():
        x = numpyro.sample("x", dist.Uniform(0.0, 1.0).expand([2]).to_event(1))
        numpyro.factor("box", jnp.where(jnp.all(jnp.abs(x - 0.5) < 0.125), 0.0, floor))

    result = ba.fit(ba.Problem(program), SMALL, seed=1, progress=False)
    assert abs(evidences.pull(result, np.log(1 / 16))) < 3
    assert (np.abs(result["posterior"]["x"] - 0.5) < 0.125).all()


def test_self_check_compares_with_twice_the_steps():
    problem, truth = regression()
    checked = ba.fit(problem, dataclasses.replace(SMALL, self_check=True), seed=1, progress=False)
    assert abs(checked.attrs["self_check_shift"]) < 4
    assert checked.attrs["num_inner_steps"] == 2 * regression_result().attrs["num_inner_steps"]
    assert abs(evidences.pull(checked, truth)) < 3
    # The points of the first run are not among the result's.
    assert checked["nested"].sizes["point"] < 1.2 * regression_result()["nested"].sizes["point"]


def test_regions_take_a_tenth_of_the_likelihoods_and_give_the_same():
    problem, truth = regression()
    walked = ba.fit(problem, dataclasses.replace(SMALL, use_regions=False), seed=1, progress=False)
    assert regression_result().attrs["drawn_from_regions"] == 1
    assert walked.attrs["drawn_from_regions"] == 0
    assert regression_result().attrs["num_likelihoods"] < 0.1 * walked.attrs["num_likelihoods"]
    assert abs(evidences.pull(walked, truth)) < 3


@pytest.mark.slow
def test_regions_are_for_up_to_ten_parameters():
    problem, _ = evidences.correlated_gaussian(11)
    result = ba.fit(problem, dataclasses.replace(SMALL, max_iterations=2), seed=1, progress=False)
    assert result.attrs["drawn_from_regions"] == 0


@pytest.mark.slow
def test_walks_too_short_are_found():
    problem, _ = evidences.correlated_gaussian(8)
    engine = dataclasses.replace(SMALL, num_inner_steps=2, use_regions=False)
    short = ba.fit(problem, engine, seed=1, progress=False)
    assert "short_walks" in ba.diagnose(short).ids


@pytest.mark.slow
def test_a_start_gives_the_same_evidence_with_less_to_do():
    problem, truth = regression()
    again = ba.fit(problem, SMALL, seed=2, start=regression_result(), progress=False)
    assert abs(evidences.pull(again, truth)) < 3
    assert again.attrs["num_iterations"] < 0.7 * regression_result().attrs["num_iterations"]
    assert again.attrs["log_evidence_err"] < regression_result().attrs["log_evidence_err"]


def test_the_nested_group_tells_the_whole_run():
    points = regression_result()["nested"].to_dataset()
    likelihood, birth = points["log_likelihood"].values, points["log_likelihood_birth"].values
    assert (np.diff(likelihood) >= 0).all()
    assert (birth < likelihood).all()
    assert np.isneginf(birth).sum() == SMALL.num_live
    assert np.exp(points["log_weight"]).sum() == pytest.approx(1.0)
    ranks = points["insertion_rank"].values[points["birth_iteration"].values >= 0]
    assert stats.kstest(ranks, "uniform").pvalue > 1e-4
    w = (np.exp(points["log_weight"]) * points["w"]).sum("point")
    np.testing.assert_allclose(w, regression_result()["posterior"]["w"].mean(("chain", "draw")), atol=0.02)


@pytest.mark.slow
def test_the_bound_on_iterations_is_reported():
    result = ba.fit(regression()[0], dataclasses.replace(SMALL, max_iterations=10), seed=1, progress=False)
    assert result.attrs["num_iterations"] == 10
    assert "not_converged" in ba.diagnose(result).ids


def test_more_live_points_than_parameters_are_needed():
    problem, _ = evidences.correlated_gaussian(20)
    with pytest.raises(ValueError, match="`num_live` is 20 for 20"):
        ba.fit(problem, ba.NestedSampler(num_live=20), seed=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_live": 0}, "`num_live`"),
        ({"num_delete": 300}, "at most half"),
        ({"num_inner_steps": 0}, "`num_inner_steps`"),
        ({"remaining_evidence": 1.0}, "between 0 and 1"),
        ({"use_regions": "never"}, "`use_regions`"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        ba.NestedSampler(**settings)


def test_side_by_side_there_are_no_regions_unless_asked_for():
    assert SMALL.side_by_side() == dataclasses.replace(SMALL, use_regions=False)
    asked = dataclasses.replace(SMALL, use_regions=True)
    assert asked.side_by_side() == asked


def test_an_improper_prior_is_refused():
    def program():
        x = numpyro.sample("x", dist.ImproperUniform(dist.constraints.real, (), ()))
        numpyro.sample("y", dist.Normal(x, 1.0))

    with pytest.raises(ValueError, match="needs a proper prior, but site `x` has `ImproperUniform`"):
        ba.fit(ba.Problem(program, observed={"y": 1.0}), SMALL, seed=1)


def test_numbers_alive_fall_within_batches_and_at_the_end():
    assert volumes.numbers_alive(9, 5, 2).tolist() == [5, 4, 5, 4, 5, 4, 3, 2, 1]
    assert volumes.numbers_alive(3, 3, 1).tolist() == [3, 2, 1]


def test_draws_of_equal_weight_follow_the_weights():
    rng = np.random.default_rng(1)
    weights = np.array([0.5, 0.25, 0.25, 0.0])
    chosen = volumes.equal_weights(np.log(np.maximum(weights, 1e-300)), 400, rng)
    np.testing.assert_allclose(np.bincount(chosen, minlength=4), 400 * weights, atol=1)
    assert volumes.kish(np.log(weights[:3])) == pytest.approx(1 / (0.25 + 2 * 0.0625))
