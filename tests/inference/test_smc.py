"""Sequential Monte Carlo: evidences, modes, starts, and what it says of a population that failed."""

import dataclasses
import functools

import evidences
import numpy as np
import pytest
from matrix import PROBLEMS, Z
from scipy import stats

import bayesastro as ba

SMALL = ba.SMC(num_islands=8, num_particles=100)


@functools.cache
def regression():
    return evidences.linear_regression()


@functools.cache
def regression_result():
    return ba.fit(regression()[0], SMALL, seed=1, progress=False)


def test_evidence_of_a_linear_regression():
    assert abs(evidences.pull(regression_result(), regression()[1])) < Z


@pytest.mark.parametrize("moves", ["hamiltonian", pytest.param("random_walk", marks=pytest.mark.slow)])
def test_weights_of_separated_modes(moves):
    problem, truth = evidences.two_modes()
    result = ba.fit(problem, ba.SMC(moves=moves), seed=1, progress=False)
    assert abs(evidences.pull(result, truth)) < Z
    in_mode = (result["posterior"]["x"][..., 0] > 0).mean("draw").values
    assert abs(in_mode.mean() - 0.8) < Z * in_mode.std(ddof=1) / np.sqrt(in_mode.size)


@pytest.mark.slow
@pytest.mark.parametrize(
    "build", [functools.partial(evidences.shells, 10), evidences.linear_regression, evidences.correlated_gaussian]
)
def test_errors_are_honest(build):
    """Over 20 seeds; the pulls are of Student's t with 7 degrees of freedom, scaled to unit variance."""
    problem, truth = build()
    pulls = [evidences.pull(ba.fit(problem, ba.SMC(), seed=s, progress=False), truth) for s in range(20)]
    t = stats.t(7, scale=np.sqrt(5 / 7))
    simulated = np.square(t.rvs((20_000, 20), random_state=1)).sum(1)
    low, high = np.quantile(simulated, [1e-3, 1 - 1e-3])
    assert low < np.sum(np.square(pulls)) < high


@pytest.mark.slow
def test_a_start_gives_the_same_evidence_with_less_to_do():
    problem, truth = regression()
    again = ba.fit(problem, SMALL, seed=2, start=regression_result(), progress=False)
    assert abs(evidences.pull(again, truth)) < Z
    assert again.attrs["num_temperatures"] < 0.5 * regression_result().attrs["num_temperatures"]


def test_temperatures_rise_to_one():
    ladder = regression_result().attrs["inverse_temperatures"]
    assert (np.diff(ladder) > 0).all()
    assert ladder[-1] == 1.0
    assert len(ladder) == regression_result().attrs["num_temperatures"]


@pytest.mark.slow
def test_a_population_short_of_the_posterior_gives_no_draws():
    result = ba.fit(regression()[0], dataclasses.replace(SMALL, max_temperatures=3), seed=1, progress=False)
    assert result["posterior"].sizes["draw"] == 0
    assert np.isnan(result.attrs["log_evidence"])
    assert ba.diagnose(result)


@pytest.mark.slow
def test_islands_that_disagree_are_found():
    problem, _ = evidences.correlated_gaussian(20)
    poor = ba.SMC(num_islands=4, num_particles=12, moves="random_walk", num_moves=1, target_ess=0.3)
    assert "evidence_scatter" in ba.diagnose(ba.fit(problem, poor, seed=1, progress=False)).ids


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_islands": 3}, "even number of islands"),
        ({"num_islands": 5}, "even number of islands"),
        ({"num_particles": 0}, "`num_particles`"),
        ({"target_ess": 1.5}, "`target_ess`"),
        ({"moves": "walk"}, "`moves`"),
        ({"num_moves": 0}, "`num_moves`"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        ba.SMC(**settings)


def test_particles_must_outnumber_parameters():
    problem = PROBLEMS["correlated_gaussian"]().problem
    with pytest.raises(ValueError, match="4 came for 5"):
        ba.fit(problem, ba.SMC(num_islands=4, num_particles=1), seed=1)
