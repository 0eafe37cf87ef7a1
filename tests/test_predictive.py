"""Predictive draws and checks: right fits pass, and what is planted in the data is found and named."""

import matplotlib.pyplot as plt
import numpy as np
import numpyro
import numpyro.distributions as dist
import planted
import pytest
from numpyro.handlers import mask as masked

import bayesastro as ba


@pytest.fixture(scope="module")
def problem():
    return planted.problem()


def fitted(problem, seed=1):
    return ba.fit(problem, planted.Planted(num_draws=400), seed=seed, progress=False)


def test_prior_predictions_have_the_moments_of_the_program(problem):
    tree = ba.predict(problem, num=4000, seed=1)
    assert tree["prior_predictive"]["y"].dims == ("chain", "draw", "point")
    covariance = planted.DESIGN @ np.diag(planted.PRIOR_SD**2) @ planted.DESIGN.T + planted.SIGMA**2 * np.eye(8)
    y = tree["prior_predictive"]["y"].values[0]
    np.testing.assert_allclose(np.cov(y.T), covariance, atol=0.4)
    assert tree["prior"]["a"].shape == (1, 4000)
    np.testing.assert_array_equal(tree["observed_data"]["y"], problem.observed["y"])


def test_posterior_predictions_are_of_the_draws(problem):
    result = fitted(problem)
    tree = ba.predict(problem, result, num=200, seed=2)
    assert tree["posterior_predictive"]["y"].shape == (1, 200, 8)
    mean = tree["posterior"]["a"].values[0][:, None] + tree["posterior"]["b"].values[0][:, None] * planted.T
    residual = (tree["posterior_predictive"]["y"].values[0] - mean) / planted.SIGMA
    assert residual.mean() == pytest.approx(0, abs=0.12)
    assert residual.std() == pytest.approx(1, abs=0.1)
    assert set(tree["posterior"]["a"].values.ravel()) <= set(result["posterior"]["a"].values.ravel())
    again = ba.predict(problem, result, num=200, seed=2)
    assert again.equals(tree)
    assert ba.predict(problem, result, num=10_000, seed=2)["posterior"].sizes["draw"] == 400


def test_a_right_fit_passes(problem):
    report = ba.check_fit(problem, fitted(problem), seed=1)
    assert report.verdict == "pass", report.summary()
    assert set(report.loo_pit) == {"y"}
    assert ((report.loo_pit["y"] > 0) & (report.loo_pit["y"] < 1)).all()
    assert str(report).startswith("pass: 16 discrepancies at a false-alarm rate of at most 0.01")


def test_leave_one_out_predictions_are_those_of_the_other_data(problem):
    """In closed form: the posterior by all data but one, and its prediction of that one."""
    from scipy.stats import norm

    y, exact = problem.observed["y"], []
    for i in range(8):
        others = np.arange(8) != i
        mean, covariance = planted.posterior(y[None], others)
        at = planted.DESIGN[i]
        exact.append(norm.cdf(y[i], mean[0] @ at, np.sqrt(at @ covariance @ at + planted.SIGMA**2)))
    result = ba.fit(problem, planted.Planted(num_draws=3000), seed=1, progress=False)
    found = ba.check_fit(problem, result, num=12_000, seed=1).loo_pit["y"]
    np.testing.assert_allclose(found, exact, atol=0.04)


@pytest.mark.parametrize(
    ("change", "discrepancy"),
    [
        (np.array([0, 0, 0, 6.0, 0, 0, 0, 0]), "residuals: largest"),
        (np.array([2.0, -2.0] * 4), "residuals: square"),
        (3 * np.cos(np.linspace(0, 2 * np.pi, 8)), "residuals: square"),
    ],
)
def test_what_is_planted_in_the_data_is_found(problem, change, discrepancy):
    problem = planted.problem(problem.observed["y"] + change)
    report = ba.check_fit(problem, fitted(problem), seed=1)
    assert report.verdict == "fail"
    assert not report.table.loc[("y", discrepancy), "passed"]
    assert f"FAIL  `y`, {discrepancy}" in str(report)


@pytest.mark.slow
def test_right_fits_raise_no_more_alarms_than_stated():
    """40 data sets at 10 %: more than 13 once in 10⁴ times."""
    _, y = planted.simulated(40, np.random.default_rng(8))
    problems = [planted.problem(values) for values in y]
    assert sum(ba.check_fit(p, fitted(p), seed=1, false_alarm=0.1).verdict == "fail" for p in problems) <= 13


def test_the_prior_is_checked_without_a_result(problem):
    assert ba.check_fit(problem, seed=1).verdict == "pass"
    far = planted.problem(problem.observed["y"] + 40.0)
    report = ba.check_fit(far, seed=1)
    assert not report.table.loc[("y", "data mean"), "passed"]
    assert not report.loo_pit


def test_counts_and_masks_and_joint_sites():
    counts = np.array([2, 0, 1, 3, 2, 4])
    is_real = np.array([True] * 5 + [False])

    def program(is_real):
        rate = numpyro.sample("rate", dist.Gamma(2.0, 1.0))
        with masked(mask=is_real):
            numpyro.sample("counts", dist.Poisson(rate).expand([6]))
        numpyro.sample("joint", dist.MultivariateNormal(rate * np.ones(3), np.eye(3)))

    problem = ba.Problem(program, is_real, observed={"counts": counts, "joint": np.array([1.0, 2.0, 2.5])})
    result = ba.fit(problem, ba.NUTS(num_chains=1, num_warmup=200, num_draws=300), seed=1, progress=False)
    report = ba.check_fit(problem, result, seed=1)
    assert report.verdict == "pass", report.summary()
    assert {name: len(pit) for name, pit in report.loo_pit.items()} == {"counts": 5}
    assert report.table.loc[("counts", "data max"), "observed"] == 3  # the masked 4 is no datum
    seen = ba.predict(problem, result, num=2, seed=1)["observed_data"]["counts"].values
    np.testing.assert_array_equal(seen, [2, 0, 1, 3, 2, np.nan])
    figure = report.plot()
    assert len(figure.axes) == 4
    plt.close(figure)


def test_data_gathered_in_one_event_are_left_out_one_by_one(monkeypatch):
    def program(x):
        a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(a * x, 1.0).to_event(1))

    x = np.linspace(1.0, 2.0, 12)
    problem = ba.Problem(program, x, observed={"y": x + np.random.default_rng(0).normal(size=12)})
    result = ba.fit(problem, ba.NUTS(num_chains=1, num_warmup=200, num_draws=300), seed=1, progress=False)
    whole = ba.check_fit(problem, result, seed=1).loo_pit["y"]
    assert whole.shape == (12,)
    monkeypatch.setattr("bayesastro.predictive_checks.MAX_LEFT_OUT", 3)
    np.testing.assert_allclose(ba.check_fit(problem, result, seed=1).loo_pit["y"], whole[[0, 5, 11]])


def test_what_makes_no_sense_is_refused(problem):
    with pytest.raises(ValueError, match="`num` must be a whole number of at least 1, but 0 came"):
        ba.predict(problem, num=0, seed=1)
    with pytest.raises(ValueError, match=r"needs `num` of at least 3200 at a false-alarm rate of 0\.01 for 16"):
        ba.check_fit(problem, num=100, seed=1)
    with pytest.raises(ValueError, match="`false_alarm` must be between 0 and 1"):
        ba.check_fit(problem, seed=1, false_alarm=2.0)
    other = ba.Problem(planted.program, planted.T[:4], observed={"y": np.zeros(4)})
    with pytest.raises(ValueError, match="of another program"):
        ba.check_fit(other, fitted(problem), seed=1)

    def improper():
        a = numpyro.sample("a", dist.ImproperUniform(dist.constraints.real, (), ()))
        numpyro.sample("y", dist.Normal(a, 1.0))

    with pytest.raises(ValueError, match=r"`predict` needs .* but site `a` has `ImproperUniform`"):
        ba.predict(ba.Problem(improper, observed={"y": 1.0}), seed=1)
