"""Evidence by importance sampling: reservoir, proposal, estimate, and when it is believed."""

import functools

import child
import evidences
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matrix import Z
from scipy import stats

import bayesastro as ba
from bayesastro.inference import refinement
from bayesastro.inference.volumes import Evidence

MEAN, SCALE = np.array([1.0, -2.0]), np.array([0.5, 3.0])


def in_double(function):
    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        with jax.enable_x64(True):
            return function(*args, **kwargs)

    return wrapped


@functools.cache
def proposal():
    with jax.enable_x64(True):
        draws = jnp.asarray(np.random.default_rng(1).normal(MEAN, SCALE, size=(500, 2)))
        return refinement.proposal(refinement.Reservoir(draws, jnp.zeros(500)))


@in_double
def test_a_reservoir_holds_draws_from_weighted_points():
    """However points come in parts; with few places, without replacement hardly differs from with it."""
    x = jnp.linspace(-4.0, 4.0, 4000)[:, None]
    now = refinement.begun(200, x).reservoir
    for i, part in enumerate(jnp.split(x[np.random.default_rng(0).permutation(4000)], 5)):
        now = refinement.gathered(jax.random.key(i), now, part, -0.5 * part[:, 0] ** 2)
    assert stats.kstest(np.asarray(now.position[:, 0]), "norm").pvalue > stats.norm.sf(Z)


@in_double
def test_places_not_filled_and_points_of_no_weight_do_no_harm():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(30, 2)))
    log_weight = jnp.where(jnp.arange(30) < 10, -jnp.inf, 0.0)
    now = refinement.gathered(jax.random.key(0), refinement.begun(100, x).reservoir, x, log_weight)
    made = refinement.proposal(now)
    assert np.isfinite(made.factor).all()
    assert {tuple(row) for row in np.asarray(made.centres)} == {tuple(row) for row in np.asarray(x[10:])}


@in_double
def test_the_density_of_the_proposal_is_that_of_its_draws():
    """It holds one in all, and the normal density that it was made about has the evidence one, with an honest error."""
    side = [np.linspace(m - 60 * s, m + 60 * s, 800) for m, s in zip(MEAN, SCALE, strict=True)]
    grid = jnp.asarray(np.stack(np.meshgrid(*side, indexing="ij"), -1).reshape(-1, 2))
    made = proposal()
    density = jnp.exp(jax.lax.map(lambda rows: refinement.log_densities(made, rows), grid.reshape(100, -1, 2)))
    assert float(density.sum()) * np.prod([s[1] - s[0] for s in side]) == pytest.approx(1.0, abs=0.01)
    z = refinement.draw(jax.random.key(2), made, 20_000)
    log_weight = stats.norm(MEAN, SCALE).logpdf(np.asarray(z)).sum(1) - np.asarray(refinement.log_densities(made, z))
    found = refinement.estimate(log_weight)
    assert abs(found.log_evidence) < Z * found.log_evidence_err
    assert found.ess > 0.7 * 20_000
    assert found.pareto_k < 0.5


def test_the_estimate_is_the_mean_weight_with_its_error():
    weight = np.random.default_rng(0).gamma(4.0, size=10_000)
    found = refinement.estimate(np.log(weight) - 700.0)
    assert found.log_evidence == pytest.approx(np.log(weight.mean()) - 700.0)
    assert found.log_evidence_err == pytest.approx(weight.std() / weight.mean() / 100, rel=1e-6)
    assert refinement.estimate(np.full(200, 3.0))[:3] == pytest.approx((3.0, 0.0, 200.0), abs=1e-7)
    assert refinement.estimate(np.array([0.0, -np.inf, np.nan])).log_evidence == pytest.approx(-np.log(3))
    for nothing in (np.zeros(0), np.full(3, -np.inf)):
        assert refinement.estimate(nothing).log_evidence_err == np.inf


@pytest.mark.parametrize(("tail", "is_refined"), [(8.0, 1), (0.8, 0)])
def test_weights_of_heavy_tail_are_not_believed(tail, is_refined):
    nested = Evidence(0.0, 0.1, 5.0, np.zeros(1))
    log_weight = np.log(np.random.default_rng(1).pareto(tail, size=4000) + 1)
    rows = {"log_prior": log_weight, "log_likelihood": 0 * log_weight, "log_proposal": 0 * log_weight}
    found = refinement.compared(nested, rows)
    assert found["is_refined"] == is_refined
    assert (found["log_evidence_err"] == 0.1) == (not is_refined)
    assert refinement.compared(nested, {})["is_refined"] == 0


@functools.cache
def refined(refine, seed=1, **settings):
    engine = ba.NestedSampler(num_live=200, num_draws=250, refine=refine, **settings)
    return ba.fit(evidences.linear_regression()[0], engine, seed=seed, progress=False)


def test_a_refined_evidence_is_ten_times_as_exact():
    result, truth = refined(3000), evidences.linear_regression()[1]
    assert result.attrs["is_refined"]
    assert result.attrs["log_evidence_err"] < 0.1 * result.attrs["nested_log_evidence_err"]
    assert abs(evidences.pull(result, truth)) < Z
    assert not ba.diagnose(result)
    # The points of nested sampling are as without it.
    plain = ba.fit(
        evidences.linear_regression()[0],
        ba.NestedSampler(num_live=200, num_draws=250),
        seed=1,
        progress=False,
    )
    assert plain.attrs["log_evidence"] == pytest.approx(result.attrs["nested_log_evidence"], abs=1e-9)
    assert result.attrs["num_likelihoods"] == plain.attrs["num_likelihoods"] + 3000
    np.testing.assert_allclose(plain["nested"]["log_likelihood"], result["nested"]["log_likelihood"])


def test_interruptions_change_nothing(tmp_path):
    problem, _ = evidences.linear_regression()
    statuses, attributes = [], {}
    while not statuses or statuses[-1] != "complete":
        engine = ba.NestedSampler(num_live=200, num_draws=250, refine=3000)
        limits = {"checkpoint": tmp_path, "time_limit": 1e-6}
        attributes = ba.fit(problem, engine, seed=1, progress=False, **limits).attrs
        statuses.append(attributes["status"])
    assert len(statuses) > 3
    for name in ("nested_log_evidence", "refined_log_evidence", "refinement_pareto_k"):
        assert attributes[name] == refined(3000).attrs[name]


def test_too_few_likelihoods_for_it_are_reported():
    result = refined(40)
    assert not result.attrs["is_refined"]
    assert result.attrs["log_evidence"] == result.attrs["nested_log_evidence"]
    assert "not_refined" in ba.diagnose(result).ids


def test_evidences_that_do_not_agree_are_reported():
    result = refined(3000).copy()
    result.attrs |= {"nested_log_evidence": result.attrs["nested_log_evidence"] + 1.0}
    assert "refinement" in ba.diagnose(result).ids


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "error"),
    [
        (evidences.linear_regression, 0.01),
        (evidences.two_modes, 0.015),
        (functools.partial(evidences.correlated_gaussian, 10), 0.03),
        (functools.partial(evidences.shells, 5), 0.04),
    ],
)
def test_refined_errors_are_honest(build, error):
    """Over 20 seeds, as those of nested sampling; the shells' truth is known to 0.005."""
    problem, truth = build()
    engine = ba.NestedSampler(num_live=400, refine=6000)
    results = [ba.fit(problem, engine, seed=s, progress=False) for s in range(20)]
    pulls = [evidences.pull(result, truth) for result in results]
    assert np.mean([result.attrs["is_refined"] for result in results]) > 0.9
    assert max(result.attrs["refined_log_evidence_err"] for result in results) < error
    assert stats.chi2(20).ppf(1e-3) < np.sum(np.square(pulls)) < stats.chi2(20).isf(1e-3)


@pytest.mark.slow
def test_a_start_and_a_self_check_are_refined_too():
    checked = refined(1000, self_check=True)
    problem, truth = evidences.linear_regression()
    again = ba.fit(problem, ba.NestedSampler(num_live=200, refine=1000), seed=2, start=checked, progress=False)
    for result in (checked, again):
        assert result.attrs["is_refined"]
        assert abs(evidences.pull(result, truth)) < Z


@pytest.mark.slow
def test_evidences_of_many_data_sets_are_refined():
    """Of which the runs differ in length."""
    y = np.stack([child.Y, child.Y + 3.0, 10 * child.Y])
    engine = ba.NestedSampler(num_live=200, refine=2000)
    fits = ba.fit_many(child.problem(), {"y": y}, engine, seed=3, chunk=3, progress=False)["fits"].to_dataset()
    design = np.stack([np.ones_like(child.X), child.X], axis=1)
    covariance = child.SIGMA**2 * np.eye(len(child.X)) + child.PRIOR_SD**2 * design @ design.T
    truth = stats.multivariate_normal(np.zeros(len(child.X)), covariance).logpdf(y)
    assert fits["is_refined"].all()
    assert (fits["log_evidence_err"] < 0.03).all()
    assert (abs(fits["log_evidence"] - truth) < Z * fits["log_evidence_err"]).all()
    assert np.ptp(fits["num_iterations"].values) > 0
