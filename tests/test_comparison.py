"""Comparison of models by evidence and by leave-one-out cross-validation."""

import json

import arviz_stats
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from scipy.stats import multivariate_normal, norm

import bayesastro as ba

X = np.linspace(-1.0, 1.0, 20)
Y = 1.0 + 0.8 * X + 0.3 * np.random.default_rng(0).normal(size=20)
SIGMA, PRIOR_SD = 0.3, 2.0


def constant(x, sigma, keep):
    a = numpyro.sample("a", dist.Normal(0.0, PRIOR_SD))
    with handlers.mask(mask=keep):
        numpyro.sample("y", dist.Normal(a + 0.0 * x, sigma))


def line(x, sigma, keep):
    a, b = (numpyro.sample(name, dist.Normal(0.0, PRIOR_SD)) for name in "ab")
    with handlers.mask(mask=keep):
        numpyro.sample("y", dist.Normal(a + b * x, sigma))


def factored(x, sigma, keep):
    line(x, sigma, keep)
    numpyro.factor("more", np.float64(-1.0) * sigma)


def design(columns):
    return np.stack([np.ones_like(X), X], axis=1)[:, :columns]


def log_evidence(columns):
    A = design(columns)
    return multivariate_normal.logpdf(Y, cov=SIGMA**2 * np.eye(len(Y)) + PRIOR_SD**2 * A @ A.T)


def elpd(columns, kept):
    """Exact: the predictive density of each datum given all the others."""
    total = 0.0
    for i in np.flatnonzero(kept):
        others = kept.copy()
        others[i] = False
        A = design(columns)
        precision = A[others].T @ A[others] / SIGMA**2 + np.eye(columns) / PRIOR_SD**2
        mean = np.linalg.solve(precision, A[others].T @ Y[others] / SIGMA**2)
        variance = SIGMA**2 + A[i] @ np.linalg.solve(precision, A[i])
        total += norm.logpdf(Y[i], A[i] @ mean, np.sqrt(variance))
    return total


ALL = np.ones(20, bool)


def fit(program, engine, *, y=Y, keep=ALL, log_likelihood=False):
    problem = ba.Problem(program, X, SIGMA, keep, observed={"y": y})
    return ba.fit(problem, engine, seed=3, progress=False, log_likelihood=log_likelihood)


NUTS = ba.NUTS(num_chains=4, num_warmup=300, num_draws=1000)


@pytest.fixture(scope="module")
def chains():
    return {name: fit(program, NUTS, log_likelihood=True) for name, program in MODELS.items()}


MODELS = {"constant": constant, "line": line}


@pytest.fixture(scope="module")
def with_evidence(chains):
    """The same results, as if they had exact evidences with errors."""
    results = {name: result.copy() for name, result in chains.items()}
    for columns, result in enumerate(results.values(), 1):
        result.attrs |= {"log_evidence": log_evidence(columns), "log_evidence_err": 0.1 * columns}
    return results


def test_evidences_and_their_errors(with_evidence):
    table = ba.compare(with_evidence)
    assert list(table.index) == ["line", "constant"]
    np.testing.assert_allclose(table["log_bayes_factor"], [0.0, log_evidence(1) - log_evidence(2)], rtol=1e-12)
    np.testing.assert_allclose(table["log_bayes_factor_err"], [0.0, np.hypot(0.1, 0.2)], rtol=1e-12)
    odds = table["probability"]["constant"] / table["probability"]["line"]
    assert odds == pytest.approx(np.exp(log_evidence(1) - log_evidence(2)))
    assert table["probability"].sum() == pytest.approx(1.0)
    assert "elpd" in table


def test_what_is_wrong_with_a_result_stands_beside_its_evidence(with_evidence):
    """As of particles that missed a needle: the islands' evidences scatter, and their error says nothing."""
    clean = ba.compare(with_evidence)
    assert list(clean["findings"]) == ["", ""]
    results = {name: result.copy() for name, result in with_evidence.items()}
    results["line"].attrs |= {"log_evidence_scatter": 3.0, "num_founders": 1}
    table = ba.compare(results)
    assert table.columns[-1] == "findings"
    assert table.loc["line", "findings"] == "few_founders, evidence_scatter"
    assert table.loc["constant", "findings"] == ""
    assert "evidence_scatter" in repr(table)
    assert json.loads(table.to_json(orient="index"))["line"]["findings"] == "few_founders, evidence_scatter"
    first, second = table.attrs["findings"]["line"]
    assert (second["id"], second["number"]) == ("evidence_scatter", 3.0)
    assert "`num_particles`" in first["remedy"]
    assert table.attrs["findings"]["constant"] == []
    json.dumps(table.attrs)


def test_a_mere_notice_is_not_held_against_a_result(with_evidence):
    results = {name: result.copy() for name, result in with_evidence.items()}
    results["line"]["sample_stats"]["diverging"].values[0, 0] = True
    table = ba.compare(results)
    assert list(table["findings"]) == ["", ""]
    assert [found["level"] for found in table.attrs["findings"]["line"]] == ["notice"]


@pytest.mark.parametrize("masked", [0, 6])
def test_leaving_one_out_agrees_with_the_closed_form(chains, masked):
    keep = ALL.copy()
    keep[:masked] = False
    results = chains if not masked else {n: fit(p, NUTS, keep=keep, log_likelihood=True) for n, p in MODELS.items()}
    table = ba.compare(results)
    assert "log_evidence" not in table
    assert list(table.index) == ["line", "constant"]
    for columns, name in ((1, "constant"), (2, "line")):
        # 4000 draws, of which some 2000 are independent: of 20 terms with spreads of about 0.1 each.
        assert table.loc[name, "elpd"] == pytest.approx(elpd(columns, keep), abs=0.15)
    assert table.loc["line", "elpd_diff"] == 0 == table.loc["line", "elpd_diff_err"]
    assert table.loc["constant", "elpd_diff"] < -5
    assert table["num_bad_k"].sum() == 0
    assert table["stacking_weight"].sum() == pytest.approx(1.0)


def test_data_that_cannot_be_left_out_are_named(chains):
    y = Y.copy()
    y[[3, 17]] += 12.0
    results = {name: fit(program, NUTS, y=y, log_likelihood=True) for name, program in MODELS.items()}
    table = ba.compare(results)
    assert table["num_bad_k"].min() > 0
    for name, bad in table.attrs["bad_k"].items():
        assert len(bad) == table.loc[name, "num_bad_k"]
        assert {"y[3]", "y[17]"} <= set(bad) < {f"y[{i}]" for i in range(20)}
        assert min(bad.values()) > 0.7
    for told in (str(table), str(table[["elpd"]])):
        note = " ".join(told.split()).partition("num_bad_k: ")[2]
        assert note.startswith(
            "the posterior without one of these data cannot be computed from its draws (k̂ above 0.7)"
        )
        assert "constant: `y[3]`, `y[17]` (k̂ up to " in note
        assert " line: `y[3]`, " in note
        assert "`StudentT`" in note
    assert "num_bad_k: " in table._repr_html_()
    json.dumps(table.attrs)
    good = ba.compare(chains)
    assert good.attrs["bad_k"] == {"constant": {}, "line": {}}
    assert "num_bad_k: " not in str(good)


def test_data_gathered_in_one_event_are_left_out_one_by_one(chains):
    def gathered(x, sigma, keep):
        a = numpyro.sample("a", dist.Normal(0.0, PRIOR_SD))
        numpyro.sample("y", dist.Normal(a + 0.0 * x, sigma).mask(keep).to_event(1))

    def together(x, sigma, keep):
        a = numpyro.sample("a", dist.Normal(0.0, PRIOR_SD))
        numpyro.sample("y", dist.MultivariateNormal(a + 0.0 * x, sigma**2 * np.eye(20)))

    result = fit(gathered, NUTS, log_likelihood=True)
    table = ba.compare({"gathered": result, "line": chains["line"]})
    assert list(table["num_data"]) == [20, 20]
    assert table.loc["gathered", "elpd"] == pytest.approx(elpd(1, ALL), abs=0.15)
    assert arviz_stats.loo(result).elpd == pytest.approx(table.loc["gathered", "elpd"], abs=0.05)
    assert "datum" not in result["log_likelihood"]["y"].attrs
    whole = fit(together, NUTS, log_likelihood=True)
    assert whole["log_likelihood"]["y"].attrs["datum"].startswith("all entries along the last 1 axes of `y` together")
    assert list(ba.compare({"one": whole, "other": whole})["num_data"]) == [1, 1]


def test_two_sites_are_left_out_as_one_set_of_data():
    def split(x, sigma):
        a = numpyro.sample("a", dist.Normal(0.0, PRIOR_SD))
        numpyro.sample("first", dist.Normal(a + 0.0 * x[:8], sigma))
        numpyro.sample("second", dist.Normal(a + 0.0 * x[8:], sigma))

    problem = ba.Problem(split, X, SIGMA, observed={"first": Y[:8], "second": Y[8:]})
    result = ba.fit(problem, NUTS, seed=3, progress=False, log_likelihood=True)
    table = ba.compare({"one": result, "same": result})
    assert table["elpd"].iloc[0] == pytest.approx(elpd(1, ALL), abs=0.15)
    assert arviz_stats.loo(result, var_name="first").elpd > table["elpd"].iloc[0]


def test_models_of_other_data_are_refused(chains):
    other = fit(line, NUTS, y=Y + 1.0)
    with pytest.raises(ValueError, match="the observed `y` of `other` is not that of `line`"):
        ba.compare({"line": chains["line"], "other": other})


def test_results_without_names_are_refused(chains):
    line = chains["line"]
    for given, kind in (([line, line], "list"), (line, "DataTree")):
        with pytest.raises(TypeError, match=rf"^`compare` needs results by name, such as .*, but a `{kind}` came\.$"):
            ba.compare(given)
    with pytest.raises(TypeError, match=r"`other` .*ba\.load"):
        ba.compare({"line": line, "other": "line.nc"})


def test_nothing_to_compare_by_is_refused(chains):
    with pytest.raises(ValueError, match="at least two results by name, but 1 came"):
        ba.compare({"line": chains["line"]})
    with pytest.raises(ValueError, match=r"not all have an evidence, and `bare` no pointwise likelihood\. Fit with"):
        ba.compare({"line": chains["line"], "bare": fit(line, NUTS)})


def test_a_factor_has_no_datum_to_leave_out(chains):
    with_factor = fit(factored, NUTS, log_likelihood=True)
    with pytest.raises(ValueError, match="`factored` no pointwise likelihood"):
        ba.compare({"line": chains["line"], "factored": with_factor})
