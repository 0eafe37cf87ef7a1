"""`calibrate` from end to end: verdicts, reports, posterior SBC, recalibration, plausibility, and refusals."""

import dataclasses
import importlib
import re
from contextlib import nullcontext

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import planted
import pytest

import bayesastro as ba
from bayesastro.calibration.calibrate import least_simulations
from bayesastro.calibration.local import doubled
from bayesastro.calibration.page import Page, page_of
from bayesastro.calibration.sbc import ecdf_extremity
from bayesastro.inference.engine import Draws

NUM = 200

calibrating = importlib.import_module("bayesastro.calibration.calibrate")
"""The module, which the function of the same name hides."""


def calibrated(defect="none", num=NUM, failing=0.0, **options):
    engine = planted.Planted(defect=defect, failing=failing, num_draws=200)
    return ba.calibrate(planted.problem(), engine, num_simulations=num, seed=3, progress=False, **options)


@pytest.fixture(scope="module")
def right():
    return calibrated()


def test_a_right_posterior_passes(right):
    assert right.verdict == "pass", str(right)
    assert right.num_failed == 0
    assert next(iter(right.checks.index)) == "fits"
    assert str(right).startswith("pass: Planted on 200 simulations from the prior, at a false-alarm rate of 0.01")
    np.testing.assert_allclose(right.summary()["coverage_90"], 0.9, atol=0.07)
    assert (right.summary()["bias"].abs() < 4 * right.summary()["bias_error"]).all()


def test_coverage_in_bins_is_that_of_their_simulations(right):
    values = np.arange(NUM) % 7
    table = right.coverage_by(values, [0.0, 2.0, 7.0])
    central = np.abs(2 * right.assessment.pit["b"].to_numpy() - 1)
    for low, high, number in ((0.0, 2.0, 58), (2.0, 7.0, 142)):
        row = table.loc["b", low, high, 0.68]
        inside = central[(values >= low) & (values < high)] <= 0.68
        assert (row["number"], row["coverage"]) == (number, pytest.approx(inside.mean()))
        assert row["error"] == pytest.approx(np.sqrt(0.68 * 0.32 / number))
        assert row["low"] < row["coverage"] < row["high"]
    with pytest.raises(ValueError, match=r"must be 200, one for each simulation, but shape \(3,\)"):
        right.coverage_by(values[:3], [0, 1])
    with pytest.raises(ValueError, match="numbers that rise"):
        right.coverage_by(values, [1, 1])
    with pytest.raises(ValueError, match="No simulation lies from 8 to 9"):
        right.coverage_by(values, [8, 9])


def test_densities_are_those_of_the_program(right):
    """log p(x | θ) at every member, against the closed form up to its constant."""
    x = right.batch.data.observed["y"]
    residual = (x[:, None] - right.pool.theta @ planted.DESIGN.T) / planted.SIGMA
    exact = -0.5 * (residual**2).sum(-1) - len(planted.T) * np.log(planted.SIGMA * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(right.pool.log_likelihood, exact)
    prior = -0.5 * ((right.pool.theta / planted.PRIOR_SD) ** 2).sum(-1) - np.log(2 * np.pi * planted.PRIOR_SD.prod())
    np.testing.assert_allclose(right.pool.log_density, exact + prior)
    np.testing.assert_allclose(right.pool.coordinates, right.pool.theta)


@pytest.mark.parametrize(
    ("defect", "check", "words"),
    [
        ("shifted", "ranks", "truths are not spread evenly among the draws of `a`"),
        ("half width", "coverage", "central regions hold the truth too often or too seldom"),
        ("prior returned", "log_likelihood", "data are left out or weighted wrongly"),
        ("half the data", "tarp_data", "data are not made use of"),
    ],
)
def test_a_defect_fails_and_is_put_into_words(defect, check, words):
    report = calibrated(defect)
    assert report.verdict == "fail"
    assert not report.checks.loc[check, "passed"]
    assert words in str(report)


def test_the_same_seed_gives_the_same_report(right):
    again = calibrated()
    assert again.checks.equals(right.checks)
    assert not calibrated(false_alarm=0.02).checks["p"].equals(right.checks["p"])


def test_failed_fits_are_counted(right):
    few = calibrated(failing=0.01)
    assert 0 < few.num_failed < 10
    assert few.verdict == "pass", str(few)
    named = ", ".join(map(str, np.flatnonzero(few.fits["outcome"] != "fitted")))
    assert str(few).splitlines()[1] == (
        f"{few.num_failed} of 200 fits failed: draws that are not finite (simulation{'s' * (few.num_failed > 1)} {named}); "
        "`report.fits` is the table"
    )
    assert few.num_failed <= tolerated(few)
    many = calibrated(failing=0.3)
    assert many.verdict == "fail"
    assert many.checks.loc["fits", "where"].startswith(f"{many.num_failed} of 200 failed, at most ")
    assert many.num_failed > tolerated(many)
    assert f"{many.num_failed} of 200 fits failed: draws that are not finite ({many.num_failed} simulations, " in str(
        many
    )
    assert "so many that other checks might have failed with them" in str(many)
    assert (many.coverage["worst"] < many.coverage["best"]).all()
    figure = many.plot()
    title = f"fail: Planted, {NUM - many.num_failed} of 200 simulations ({many.num_failed} failed)"
    assert figure.get_suptitle() == title
    plt.close(figure)
    none_left = calibrated(failing=1.0)
    assert (none_left.verdict, none_left.num_failed) == ("fail", NUM)
    with pytest.raises(
        ValueError, match=r"0 of 200 simulations are fitted, but the picture needs at least 20; 200 of 200"
    ):
        none_left.plot()
    assert len(none_left.to_datatree()["checks"].to_dataset()["p"]) == 1
    assert "fewer than" not in str(few)


def tolerated(report):
    return int(re.search(r"at most (\d+) may", report.checks.loc["fits", "where"])[1])


@pytest.mark.parametrize("defect", ["none", "shifted"])
def test_as_many_fits_may_fail_as_could_not_make_a_check_fail(defect):
    """Wherever the truths of those that failed lie; a check that fails anyway is no measure."""
    report = calibrated(defect, failing=0.05)
    pool, assessment = report.pool, report.assessment

    def harmless(number, label):
        least = assessment.extremity["ranks" if label in pool.labels else label]
        ends = [np.append(assessment.pit[label], np.full(number, end)) for end in (0.0, 1.0)]
        return (ecdf_extremity(np.stack(ends)) > least).all()

    told, passing = tolerated(report), [label for label in assessment.pit if harmless(0, label)]
    assert all(harmless(number, label) for number in range(told + 1) for label in passing)
    assert not all(harmless(told + 1, label) for label in passing)
    assert (len(passing) < len(assessment.pit.columns)) == (defect != "none")


def test_where_no_check_of_ranks_passes_failed_fits_are_not_to_blame():
    report = calibrated("half width", failing=0.05)
    assert not report.checks.loc[["ranks", "log_likelihood", "hpd", "tarp", "tarp_data"], "passed"].any()
    assert report.checks.loc["fits", "passed"]
    assert report.checks.loc["fits", "where"] == f"{report.num_failed} of 200 failed"


class Losing(planted.Planted):
    """Finds no start in one data set of eight, and stands still in another."""

    def started(self, state):
        return np.array([int(abs(state["draws"][0, 0, 0]) * 1e6) % 8 != 0])

    def finish(self, views, state, rows):
        draws = state["draws"].copy()
        if int(abs(draws[0, 0, 0]) * 1e6) % 8 == 1:
            draws[0] = np.repeat(draws[0, ::50], 50, axis=0)
        return Draws(coordinates=draws, chart="unconstrained")


def test_why_fits_failed_is_told_and_kept(tmp_path):
    report = ba.calibrate(planted.problem(), Losing(num_draws=200), num_simulations=80, seed=3, progress=False)
    counts = report.fits["outcome"].value_counts()
    assert set(counts.index) == {"fitted", "no finite start", "fewer than 10 effective draws"}
    assert report.num_failed == 80 - counts["fitted"]
    assert (report.fits.loc[report.fits["outcome"] == "no finite start", "effective_draws"] == 0).all()
    least = report.fits.loc[report.fits["outcome"] == "fitted", "effective_draws"].min()
    assert least >= 10
    assert f" in the median, {least:.0f} at least; " in str(report)
    assert re.search(r"fewer than 10 effective draws \([^()]*\): raise `num_warmup` and `num_draws`;", str(report))
    ba.save(report.to_datatree(), tmp_path / "report.nc")
    kept = ba.load(tmp_path / "report.nc")["fits"]["outcome"].values
    np.testing.assert_array_equal(kept.astype(str), report.fits["outcome"])


@pytest.fixture
def interrupted_after(monkeypatch):
    """Interrupts the fits of a calibration once they have been asked so many times whether to go on."""

    def interrupt(number):
        asked = iter([False] * number)
        monkeypatch.setattr("bayesastro.many.interruptions", lambda reporter: nullcontext(lambda: next(asked, True)))

    return interrupt


def test_an_interrupted_calibration_is_incomplete_and_goes_on(right, interrupted_after, monkeypatch, tmp_path):
    """Fits that were not reached are no failures, and there is no verdict before all are done."""
    interrupted_after(5)
    begun = calibrated(checkpoint=tmp_path / "run")
    assert (begun.verdict, begun.num_failed) == ("incomplete", 0)
    assert 0 < begun.reached.sum() <= 5
    assert str(begun).splitlines()[1] == (
        f"{begun.reached.sum()} of 200 simulations were fitted before it was stopped, which is no verdict. "
        f"The same call goes on from `{tmp_path / 'run'}`."
    )
    assert len(str(begun).splitlines()) == 3
    assert not any(word in str(begun) for word in ("fails", "failed", "false-alarm"))
    interrupted_after(60)
    part = calibrated("half width", failing=0.5)
    assert part.verdict == "incomplete"
    assert 50 < part.reached.sum() == part.pool.size + part.num_failed <= 60
    assert str(part).startswith(f"incomplete: Planted on {part.reached.sum()} of 200 simulations from the prior")
    assert "Nothing is kept: give `checkpoint` a folder" in str(part)
    assert "FAIL" in str(part)
    assert "The checks so far, at a false-alarm rate of 0.01 (p ≤ 0.0" in str(part)
    figure = part.plot()
    left = 200 - part.reached.sum()
    assert figure.get_suptitle().endswith(f" of 200 simulations ({part.num_failed} failed, {left} not reached)")
    plt.close(figure)
    assert part.to_datatree().attrs["calibration"] == "incomplete"
    monkeypatch.undo()
    whole = calibrated(checkpoint=tmp_path / "run")
    assert whole.verdict == "pass"
    assert whole.checks.equals(right.checks)


@pytest.mark.parametrize("number", [0, 1, 2, 5])
def test_too_few_fits_are_told_in_one_sentence(interrupted_after, tmp_path, number):
    interrupted_after(number)
    report = calibrated(num=80, checkpoint=tmp_path / "run")
    done = int(report.reached.sum())
    assert (report.verdict, len(report.summary()), len(report.coverage)) == ("incomplete", 0, 0)
    ba.save(report.to_datatree(), tmp_path / "report.nc")
    result = ba.fit(planted.problem(), planted.Planted(), seed=1, progress=False)
    refusing = {
        "the picture needs at least 20": [report.plot, lambda: page_of(ba.load(tmp_path / "report.nc"))],
        "`recalibrate` needs at least 40": [report.recalibrate],
        "coverage needs at least 20": [lambda: report.coverage_by(np.arange(80.0), [0, 80])],
        "`plausibility` needs at least 20": [lambda: report.plausibility(planted.problem(), result)],
    }
    for needed, functions in refusing.items():
        for function in functions:
            how = f"The same call goes on from `{tmp_path / 'run'}`."
            with pytest.raises(ValueError, match=f"^{done} of 80 simulations are fitted, but {needed}. {how}$"):
                function()


def test_a_time_limit_ends_it_as_ctrl_c_does(right, tmp_path):
    part = calibrated(checkpoint=tmp_path / "run", time_limit=1e-6)
    assert (part.verdict, part.attributes["status"]) == ("incomplete", "time limit reached")
    assert not part.reached.any()
    whole = calibrated(checkpoint=tmp_path / "run", time_limit=600.0)
    assert (whole.verdict, whole.attributes["status"]) == ("pass", "complete")
    assert whole.checks.equals(right.checks)
    options = {"num_simulations": NUM, "seed": 3, "near": "observed", "progress": False, "time_limit": 1e-6}
    with pytest.raises(TimeoutError, match=r"did not end within the time limit\. Nothing is kept: give `checkpoint`"):
        ba.calibrate(planted.problem(), ba.NUTS(num_chains=1, num_draws=100_000), **options)


@pytest.mark.parametrize("time_limit", [0.0, -1.0, "1"])
def test_a_time_limit_that_makes_no_sense_is_refused(time_limit):
    with pytest.raises(ValueError, match="`time_limit` must be a positive number of seconds"):
        calibrated(time_limit=time_limit)
    with pytest.raises(ValueError, match="`time_limit` must be a positive number of seconds"):
        ba.fit_many(planted.problem(), {"y": np.zeros((2, 8))}, planted.Planted(), seed=1, time_limit=time_limit)


def test_the_report_is_kept_in_a_file(right, tmp_path):
    ba.save(right.to_datatree(), tmp_path / "report.nc")
    tree = ba.load(tmp_path / "report.nc")
    assert (tree.attrs["calibration"], tree.attrs["num_simulations"], tree.attrs["engine"]) == ("pass", NUM, "Planted")
    np.testing.assert_array_equal(tree["pool"]["theta"], right.pool.theta)
    np.testing.assert_array_equal(tree["checks"]["p"], right.checks["p"])
    assert tree["coverage"]["coverage"].sizes == {"quantity": 3, "level": 4}


def test_the_picture_shows_ranks_coverage_tarp_and_bias(right):
    figure = right.plot()
    assert len(figure.axes) == 6
    legends = [axis.get_legend() for axis in figure.axes if axis.get_legend()] + figure.legends
    labels = [text.get_text() for legend in legends for text in legend.get_texts()]
    assert {"a", "b", "log_likelihood", "hpd", "random references", "estimates from the data"} <= set(labels)
    figure.canvas.draw()
    panels = [axis.get_window_extent() for axis in figure.axes]
    assert not any(legend.get_window_extent().overlaps(panel) for legend in legends for panel in panels)
    plt.close(figure)


def test_of_many_parameters_those_furthest_off_are_named(right):
    quantities = {f"q{i}": np.random.default_rng(i).random(NUM) ** (1 + i) for i in range(8)}
    pool = dataclasses.replace(right.pool, labels=list(quantities))
    many = Page(dataclasses.replace(right.assessment, pit=pd.DataFrame(quantities)), pool)
    ordered = many.furthest_off_last()
    assert set(ordered[3:]) == {"q3", "q4", "q5", "q6", "q7"}
    styles = many.styles(ordered)
    assert [style["label"] for style in styles.values()] == ["3 others", None, None, *ordered[3:]]
    assert len({style["color"] for style in styles.values()}) == 6
    assert [style["label"] for style in many.styles(["a", "b"]).values()] == ["a", "b"]
    assert [style["label"] for style in many.styles(ordered[2:]).values()] == ordered[2:]


def test_the_page_of_a_file_is_that_of_the_report(right, tmp_path):
    ba.save(right.to_datatree(), tmp_path / "report.nc")
    figures = [right.plot(), page_of(ba.load(tmp_path / "report.nc"))]
    pixels = []
    for figure in figures:
        figure.set_dpi(40)
        figure.canvas.draw()
        pixels.append(np.asarray(figure.canvas.buffer_rgba()))
        plt.close(figure)
    np.testing.assert_array_equal(*pixels)


def test_nuts_passes_and_a_checkpoint_is_gone_on_from(tmp_path):
    engine = ba.NUTS(num_chains=1, num_warmup=200, num_draws=200)
    options = {"num_simulations": 80, "seed": 1, "progress": False, "checkpoint": tmp_path / "run", "chunk": 80}
    report = ba.calibrate(planted.problem(), engine, **options)
    assert report.verdict == "pass", str(report)
    assert 50 < np.median(report.effective_draws) <= 200
    again = ba.calibrate(planted.problem(), engine, **options)
    assert again.checks.equals(report.checks)


def test_the_seconds_are_those_of_all_calls(interrupted_after, monkeypatch, tmp_path):
    interrupted_after(5)
    parts = [calibrated(num=80, checkpoint=tmp_path / "run") for _ in range(2)]
    monkeypatch.undo()
    whole = calibrated(num=80, checkpoint=tmp_path / "run")
    assert [report.attributes["calls"] for report in (*parts, whole)] == [1, 2, 3]
    assert whole.attributes["seconds"] > parts[1].attributes["seconds"] > parts[0].attributes["seconds"]
    assert whole.attributes["seconds_running"] > parts[1].attributes["seconds_running"]
    assert f"; {whole.attributes['seconds']:.1f} s in 3 calls\n" in str(whole)
    with pytest.raises(ValueError, match="belongs to another run"):
        calibrated("shifted", num=80, checkpoint=tmp_path / "run")
    assert calibrated(num=80, checkpoint=tmp_path / "run").attributes["calls"] == 4


# Posterior SBC


def test_the_doubled_program_observes_two_data_sets_under_one_set_of_latents():
    twice = doubled(planted.problem())
    assert [site.name for site in twice.parameters] == ["a", "b"]
    assert set(twice.observed) == {"y", "replicate/y"}
    assert twice.provides >= {"simulate", "proper_prior", "gradient"}
    theta = {"a": np.array(0.3), "b": np.array(-0.2)}
    once = planted.problem().log_likelihood(theta)["y"]
    both = twice.replace(observed={"replicate/y": np.zeros(len(planted.T))}).log_likelihood(theta)
    np.testing.assert_allclose(both["y"], once)
    np.testing.assert_allclose(
        both["replicate/y"], planted.problem(np.zeros(len(planted.T))).log_likelihood(theta)["y"]
    )


def test_inline_observations_are_doubled_too():
    def program(y):
        a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        numpyro.deterministic("double", 2 * a)
        numpyro.sample("y", dist.Normal(a, 1.0).expand([3]), obs=y)

    problem = ba.Problem(program, np.arange(3.0))
    twice = doubled(problem).replace(observed={"replicate/y": np.zeros(3)})
    assert [site.name for site in twice.parameters] == ["a"]
    found = twice.log_likelihood({"a": np.array(0.0)})
    np.testing.assert_allclose(found["y"], problem.log_likelihood({"a": np.array(0.0)})["y"])
    np.testing.assert_allclose(found["replicate/y"], -0.5 * np.log(2 * np.pi))


class Twice(planted.Planted):
    """The exact posterior of two data sets, by the mean of both; or of the replicate alone, a planted defect."""

    def init(self, views, key, data, start):
        random = np.random.default_rng(int(np.asarray(key._base_array if hasattr(key, "_base_array") else 0).sum()))
        first = np.asarray(data.observed["y"])
        second = np.asarray(data.observed.get("replicate/y", first))
        design, n = planted.DESIGN, 1 + ("replicate/y" in data.observed)
        y = first + second if n == 2 else first
        if self.defect == "half the data":
            y, n = second, 1
        covariance = np.linalg.inv(n * design.T @ design / planted.SIGMA**2 + np.diag(1 / planted.PRIOR_SD**2))
        mean = covariance @ design.T @ y / planted.SIGMA**2
        draws = random.multivariate_normal(mean, covariance, size=(1, self.num_draws))
        return {"draws": draws, "done": np.zeros((), int)}


@pytest.mark.parametrize("defect", ["none", "half the data"])
def test_calibration_near_the_observed_data(defect):
    problem = planted.problem()
    posterior = ba.fit(problem, planted.Planted(num_draws=2000), seed=1, progress=False)
    report = ba.calibrate(
        problem, Twice(defect=defect), num_simulations=NUM, seed=1, near="observed", posterior=posterior, progress=False
    )
    assert report.verdict == {"none": "pass", "half the data": "fail"}[defect], str(report)
    mean, covariance = planted.posterior(problem.observed["y"][None])
    np.testing.assert_allclose(report.pool.theta[:, 0].mean(0), mean[0], atol=5 * np.sqrt(covariance.max() / NUM))
    with pytest.raises(ValueError, match="needs simulations from the prior"):
        report.recalibrate()


@pytest.mark.parametrize("given", [False, True])
def test_near_the_observed_data_fits_start_from_draws_of_their_posterior(monkeypatch, tmp_path, given):
    """Chains that never move then return these; from the prior they would return the prior."""
    problem, engine = planted.problem(), Started(num_draws=250)
    posterior = ba.fit(problem, planted.Planted(num_draws=2000), seed=1, progress=False)
    asked = []
    monkeypatch.setattr(calibrating, "fit", lambda *args, **options: asked.append(options) or posterior)
    options = {"num_simulations": 80, "seed": 1, "near": "observed", "progress": False}
    report = ba.calibrate(problem, engine, **options, checkpoint=tmp_path, posterior=posterior if given else None)
    assert [o["checkpoint"] for o in asked] == ([] if given else [tmp_path / "posterior"])
    members = report.pool.theta[:, 1:].reshape(-1, 2)
    members = members[np.isfinite(members[:, 0])]
    drawn = np.stack([posterior["posterior"][name].values.ravel() for name in "ab"], axis=1)
    assert np.isin(members[:, 0].round(9), drawn[:, 0].round(9)).all()
    assert not report.checks.loc["log_likelihood", "passed"]


class Started(planted.Planted):
    """Returns what it starts from."""

    def init(self, views, key, data, start):
        return {"draws": np.asarray(start)[None, : self.num_draws], "done": np.zeros((), int)}


def test_an_interrupted_fit_of_the_observed_data_says_how_to_go_on(monkeypatch, tmp_path):
    part = ba.fit(planted.problem(), planted.Planted(), seed=1, progress=False)
    part.attrs["status"] = "interrupted"
    monkeypatch.setattr(calibrating, "fit", lambda *args, **options: part)
    options = {"num_simulations": 80, "seed": 1, "near": "observed", "progress": False}
    with pytest.raises(KeyboardInterrupt, match=r"observed data was interrupted\. The same call goes on from `"):
        ba.calibrate(planted.problem(), Twice(), **options, checkpoint=tmp_path)


@pytest.mark.slow
def test_nuts_is_calibrated_near_the_observed_data():
    engine = ba.NUTS(num_chains=2, num_warmup=200, num_draws=200)
    report = ba.calibrate(planted.problem(), engine, num_simulations=80, seed=1, near="observed", progress=False)
    assert report.verdict == "pass", str(report)


# What follows from a report


def test_deterministic_sites_are_checked_beside_the_parameters(right):
    report = calibrated(deterministics=["line"])
    assert report.verdict == "pass", str(report)
    assert report.pool.labels == ["a", "b", *(f"line[{i}]" for i in range(8))]
    theta = report.pool.theta
    np.testing.assert_allclose(theta[..., 2:], theta[..., :2] @ planted.DESIGN.T)
    np.testing.assert_array_equal(theta[..., :2], right.pool.theta)
    wide = calibrated("wrong correlation", num=400, deterministics=["line"])
    assert not wide.checks.loc["coverage", "passed"]
    assert str(wide.checks.loc["coverage", "where"]).startswith("line[")
    after = wide.recalibrate()
    assert after.verdict == "pass", after.after.checks
    assert len(after.after.parameters) == 10


@pytest.mark.parametrize(
    "defect",
    [
        pytest.param("shifted", marks=pytest.mark.slow),
        "half width",
        pytest.param("double width", marks=pytest.mark.slow),
        "wrong correlation",
    ],
)
def test_an_affine_defect_is_recalibrated_with_proof(defect):
    report = calibrated(defect, num=400)
    correction = report.recalibrate()
    assert not correction.before.checks["passed"].all()
    assert correction.verdict == "pass", correction.after.checks
    assert correction.is_full
    assert str(correction).startswith("pass: affine map learnt from 200 simulations, on 200 held out\n")
    assert "  pass  ranks: p = " in str(correction)
    result = ba.fit(planted.problem(), planted.Planted(defect=defect, num_draws=5000), seed=1, progress=False)
    better = correction.apply(planted.problem(), result)
    assert better.attrs["recalibrated"] == "affine map learnt from 200 simulations; pass on those held out"
    mean, covariance = planted.posterior(planted.problem().observed["y"][None])
    draws = np.stack([better["posterior"][name].values.ravel() for name in "ab"])
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(draws.mean(1), mean[0], atol=0.3 * sd.max())
    np.testing.assert_allclose(np.cov(draws) / np.outer(sd, sd), covariance / np.outer(sd, sd), atol=0.35)


def test_what_no_affine_map_mends_is_not_said_to_be_mended():
    assert calibrated("prior returned", num=400).recalibrate().verdict == "fail"


def test_conformal_regions_hold_the_truth_as_often_as_wanted():
    """Learnt from 200 simulations and seen in 200 others: four sds of both."""
    table = calibrated("half width", num=400).recalibrate().conformal
    wanted = table.index.to_numpy()
    assert (np.abs(table["coverage"] - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / 100)).all()
    assert ((table["low"] < table["coverage"]) & (table["coverage"] < table["high"])).all()
    assert (table["credibility"] > table.index).all()
    wide = calibrated("double width", num=400).recalibrate().conformal
    assert (wide["credibility"] < wide.index).all()


def test_implausible_data_are_told_from_plausible_ones(right):
    _, y = planted.simulated(10, np.random.default_rng(5))
    problem = planted.problem(y[0])

    def found(y):
        problem = planted.problem(y)
        result = ba.fit(problem, planted.Planted(num_draws=200), seed=1, progress=False)
        return right.plausibility(problem, result)

    assert sum(found(values).p < 0.1 for values in y) <= 5
    noisy = found(problem.observed["y"] + np.array([3, -3, 3, -3, 3, -3, 3, -3]))
    assert noisy.verdict == "fail"
    assert "as unlike the others as the observed data" in str(noisy)
    assert found(y[0] + 3.0 * (np.arange(8) == 4)).p < 0.05


# Refusals


def improper(t):
    a = numpyro.sample("a", dist.ImproperUniform(dist.constraints.real, (), ()))
    numpyro.sample("y", dist.Normal(a + t, 1.0))


def with_factor(t):
    a = numpyro.sample("a", dist.Normal(0.0, 1.0))
    numpyro.factor("likelihood", -0.5 * ((a - t) ** 2).sum())


def unobserved():
    numpyro.sample("a", dist.Normal(0.0, 1.0))


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (lambda: ba.Problem(improper, planted.T, observed={"y": planted.T}), "site `a` has `ImproperUniform`"),
        (
            lambda: ba.Problem(with_factor, planted.T),
            "site `likelihood` is a `numpyro.factor`, which generates nothing",
        ),
        (lambda: ba.Problem(unobserved), "the problem observes nothing"),
    ],
)
def test_programs_that_generate_no_data_are_refused(problem, message):
    with pytest.raises(ValueError, match=message):
        ba.calibrate(problem(), ba.NUTS(), num_simulations=300, seed=0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_simulations": 20}, ValueError, "needs `num_simulations` of at least 65 at a false-alarm rate of 0.01"),
        ({"false_alarm": 0.0}, ValueError, "`false_alarm` must be from 0.0001 to 1"),
        ({"near": "there"}, ValueError, '`near` must be "prior" or "observed"'),
        ({"posterior": 1}, ValueError, "`posterior` is what to draw from"),
        ({"seed": -1}, ValueError, "seed"),
        (
            {"deterministics": ["lines"]},
            ValueError,
            r"names `lines`, but the program's deterministic sites are `line`\. Did you mean `line`\?",
        ),
        ({"deterministics": "line", "num_simulations": 20}, ValueError, "needs `num_simulations`"),
        ({"engine": "nuts"}, TypeError, "needs an engine such as"),
        ({"problem": 3}, TypeError, "needs a `Problem`"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(options, error, message):
    settings = {"problem": planted.problem(), "engine": ba.NUTS(), "num_simulations": 300, "seed": 0} | options
    with pytest.raises(error, match=message):
        ba.calibrate(settings.pop("problem"), settings.pop("engine"), **settings)


def test_bands_need_more_simulations_for_more_parameters_and_rarer_alarms():
    assert least_simulations(1, 0.1) < least_simulations(1, 0.01) < least_simulations(100, 0.01) < 150


def test_results_of_other_programs_are_refused(right):
    other = ba.Problem(planted.program, planted.T[:4], observed={"y": np.zeros(4)})
    result = ba.fit(planted.problem(), planted.Planted(), seed=1, progress=False)
    with pytest.raises(ValueError, match="another program than the one calibrated"):
        right.plausibility(other, result)
    with pytest.raises(ValueError, match="was learnt on another program"):
        right.recalibrate().apply(other, result)


def without_density(scale):
    """Noise from keys of the program's own."""
    mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
    noise = jax.random.normal(jnp.asarray(numpyro.prng_key()), (3,))
    numpyro.sample("y", dist.Delta(mean + scale * noise).to_event(1))


def test_programs_without_a_density_are_calibrated_by_what_they_have():
    problem = ba.Problem(without_density, np.array(0.5), observed={"y": np.zeros(3)})
    bank = ba.simulate(problem, 2000, seed=1, progress=False)
    network = ba.NPE(flow="mixture", hidden=16, max_epochs=10).train(problem, bank, seed=1, progress=False)
    report = ba.calibrate(problem, network, num_simulations=100, seed=2, progress=False)
    assert {"ranks", "coverage", "tarp"} <= set(report.checks.index)
    assert not {"log_likelihood", "hpd"} & set(report.checks.index)
    with pytest.raises(ValueError, match="the program has no density"):
        report.recalibrate()
    assert "no density" in report.plot().axes[1].get_title()
