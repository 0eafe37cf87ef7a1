"""Predictive draws and checks: right fits pass, and what is planted in the data is found and named."""

import jax.numpy as jnp
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


GRID = np.linspace(-1.0, 5.0, 30)


def test_predictions_at_other_arguments_are_of_the_same_draws(problem):
    result = fitted(problem)
    tree = ba.predict(problem, result, arguments={"t": GRID}, num=200, seed=2)
    assert set(tree.children) == {"posterior", "posterior_predictive"}
    assert tree["posterior_predictive"]["y"].dims == ("chain", "draw", "point")
    there, here = tree["posterior"].to_dataset(), ba.predict(problem, result, num=200, seed=2)["posterior"].to_dataset()
    np.testing.assert_array_equal(there["a"], here["a"])
    line = there["a"].values[0][:, None] + there["b"].values[0][:, None] * GRID
    np.testing.assert_allclose(there["line"].values[0], line)
    residual = (tree["posterior_predictive"]["y"].values[0] - line) / planted.SIGMA
    assert residual.mean() == pytest.approx(0, abs=5 / np.sqrt(6000))
    assert residual.std() == pytest.approx(1, abs=5 / np.sqrt(2 * 6000))
    assert tree.attrs["program_fingerprint"] == result.attrs["program_fingerprint"]


def test_predictions_at_the_problem_s_own_arguments_are_those_without(problem):
    result = fitted(problem)
    same, plain = (ba.predict(problem, result, seed=2, **more) for more in ({"arguments": {"t": planted.T}}, {}))
    assert same["posterior_predictive"].equals(plain["posterior_predictive"])


def test_prior_predictions_at_other_arguments_have_the_moments_of_the_program(problem):
    tree = ba.predict(problem, arguments={"t": GRID[:3]}, num=4000, seed=1)
    design = np.stack([np.ones(3), GRID[:3]], axis=1)
    covariance = design @ np.diag(planted.PRIOR_SD**2) @ design.T + planted.SIGMA**2 * np.eye(3)
    np.testing.assert_allclose(np.cov(tree["prior_predictive"]["y"].values[0].T), covariance, atol=0.4)
    assert set(tree["prior"].data_vars) == {"a", "b", "line"}


def by_default_none(t, sigma=1.0, y=None):
    a = numpyro.sample("a", dist.Normal(0.0, 2.0))
    with numpyro.plate("point", len(t) if y is None else len(y)):
        numpyro.sample("y", dist.Normal(a * t, sigma), obs=y)


def always_observed(t, y):
    a = numpyro.sample("a", dist.Normal(0.0, 2.0))
    numpyro.sample("y", dist.Normal(a * t, 1.0), obs=y)


@pytest.mark.parametrize(
    "problem",
    [
        ba.Problem(by_default_none, planted.T, 1.0, planted.T),
        ba.Problem(by_default_none, planted.T, y=planted.T),
        ba.Problem(by_default_none, t=planted.T, observed={"y": planted.T}),
        ba.Problem(always_observed, planted.T, planted.T),
        ba.Problem(always_observed, planted.T, y=planted.T),
    ],
)
def test_values_observed_within_the_program_are_not_observed_elsewhere(problem):
    a = np.array([-2.0, 0.0, 3.0])
    result = ba.start_from(problem, {"a": 3.0}, seed=1, num=400)
    result.attrs["program_fingerprint"] = problem.fingerprint
    tree = ba.predict(problem, result, arguments={"t": a}, seed=1)
    y = tree["posterior_predictive"]["y"].values[0]
    assert y.shape == (400, 3)
    np.testing.assert_allclose(y.mean(0), 3 * a, atol=5 / np.sqrt(400))
    np.testing.assert_allclose(y.std(0), 1, atol=5 / np.sqrt(800))
    assert set(tree["posterior"].data_vars) == {"a"}


def with_latents(t, sigma, offsets=0):
    numpyro.sample("a", dist.Normal(0.0, 2.0))
    if offsets:
        numpyro.sample("offset", dist.Normal().expand([offsets]))
    field = numpyro.sample("field", dist.Normal(jnp.zeros_like(t)))
    numpyro.sample("y", dist.Normal(field, sigma))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"t": GRID}, ValueError, r"Give `sigma` for them, too: the shape is that of the old ones"),
        (
            {"t": GRID, "sigma": 1.0},
            ValueError,
            r"the parameter `field` has shape \(30,\), but \(8,\) where it was fitted",
        ),
        ({"offsets": 2}, ValueError, "the program has another parameter, `offset`. Its parameters must be those"),
        ({"sigma": -np.ones(8)}, ValueError, "Errors and scales must be positive"),
        ({"tt": GRID}, TypeError, r"`with_latents\(t, sigma, offsets=0\)` has no argument `tt`\. Did you mean `t`\?"),
        ([GRID], TypeError, "`arguments` must map names"),
    ],
)
def test_arguments_at_which_nothing_can_be_predicted_are_refused(arguments, error, message):
    problem = ba.Problem(with_latents, planted.T, np.ones(8), observed={"y": planted.T})
    with pytest.raises(error, match=message):
        ba.predict(problem, arguments=arguments, seed=1)


def test_a_parameter_that_goes_is_refused():
    problem = ba.Problem(with_latents, planted.T, np.ones(8), offsets=1, observed={"y": planted.T})
    with pytest.raises(ValueError, match="the program has no parameter `offset`"):
        ba.predict(problem, arguments={"offsets": 0}, seed=1)


@pytest.fixture(scope="module")
def several(problem):
    """A batch of three data sets far from each other, and their fits."""
    batch = problem.batch(observed={"y": np.outer([-50.0, 0.0, 50.0], np.ones(8))})
    return batch, ba.fit_many(problem, batch, planted.Planted(num_draws=400), seed=1, progress=False)


USES = {
    "predict": lambda problem, result: ba.predict(problem, result, seed=1),
    "check_fit": lambda problem, result: ba.check_fit(problem, result, seed=1),
    "fit": lambda problem, result: ba.fit(problem, planted.Planted(), seed=1, start=result, progress=False),
    "start_from": lambda problem, result: ba.start_from(problem, result, seed=1),
    "informed": lambda problem, result: ba.informed(problem, result, again=True),
    "compare": lambda problem, result: ba.compare({"one": result, "two": result}),
    "crosscheck": lambda problem, result: ba.crosscheck(problem, {"one": result, "two": result}, seed=1),
    "corner": lambda problem, result: ba.plot.corner(result, "a"),
    "trace": lambda problem, result: ba.plot.trace(result, "a"),
    "rank": lambda problem, result: ba.plot.rank(result, "a"),
    "field": lambda problem, result: ba.plot.field(result, "line"),
    "evidence": lambda problem, result: ba.plot.evidence({"one": result}),
}


@pytest.mark.parametrize("use", USES)
def test_draws_of_several_data_sets_are_not_mixed(several, use):
    batch, results = several
    with pytest.raises(
        ValueError, match=r"is of 3 data sets \(`fit_many`\)\. Take one of them with `\.isel\(dataset=i\)`"
    ):
        USES[use](batch[0], results)


def test_one_of_several_data_sets_is_predicted_by_its_own_draws(several):
    batch, results = several
    for i, level in enumerate((-50.0, 0.0, 50.0)):
        one = results.isel(dataset=i)
        predicted = ba.predict(batch[i], one, seed=1)["posterior_predictive"]["y"].values[0]
        assert predicted.mean() == pytest.approx(posterior_mean(level), abs=0.5)
        np.testing.assert_array_equal(one["posterior"]["a"], results["posterior"]["a"].values[i])


def posterior_mean(level):
    """Of all data, which are all the same."""
    return float((planted.posterior(np.full((1, 8), level))[0] @ planted.DESIGN.T).mean())


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
