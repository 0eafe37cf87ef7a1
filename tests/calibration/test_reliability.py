"""Reliability of probabilities: exact false-alarm rates, power against bold ones, and its tables and pictures."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import two_models
from scipy.stats import binom

import bayesastro as ba
from bayesastro.calibration.reliability import assessed


def judged(number, num_models, seed, *, stretch=1.0, spread=1.5, false_alarm=0.1):
    """Models drawn from probabilities, and these judged with their logarithms stretched."""
    random = np.random.default_rng(seed)
    logits = spread * random.normal(size=(number, num_models))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = (random.random((number, 1)) > p.cumsum(1)[:, :-1]).sum(1)
    stated = p**stretch / (p**stretch).sum(1, keepdims=True)
    names = [str(i) for i in range(num_models)]
    prior = dict.fromkeys(names, 1 / num_models)
    table = pd.DataFrame(stated, columns=names)
    return assessed(table, truth, prior=prior, num_bins=10, false_alarm=false_alarm, seed=seed)


@pytest.mark.parametrize(("num_models", "spread"), [(2, 1.5), (3, 6.0)])
def test_right_probabilities_fail_at_the_stated_rate(num_models, spread):
    reports = [judged(150, num_models, seed, spread=spread) for seed in range(120)]
    failed = sum(report.verdict == "fail" for report in reports)
    below = sum(report.checks.at["calibration_error", "p"] <= 0.1 for report in reports)
    for count in (failed, below):
        assert binom.sf(count - 1, 120, 0.1) > 1e-4
        assert binom.cdf(count, 120, 0.1) > 1e-4


def test_bold_and_cautious_probabilities_fail():
    for stretch in (0.6, 1.7):
        reports = [judged(1000, 2, seed, stretch=stretch, false_alarm=0.01) for seed in range(10)]
        assert sum(report.verdict == "fail" for report in reports) >= 9
        assert np.mean([r.calibration_error / r.checks.at["calibration_error", "expected"] for r in reports]) > 1.5


@pytest.fixture(scope="module")
def problems():
    return two_models.problems()


def test_the_exact_classifier_passes_and_bold_ones_fail(problems):
    settings = {"num_simulations": 1000, "seed": 1, "progress": False}
    exact = ba.reliability(two_models.Exact(), problems, **settings)
    assert exact.verdict == "pass"
    assert str(exact).startswith("pass: probabilities of 2 models for 1000 simulations")
    for stretch in (0.5, 2.0):
        wrong = ba.reliability(two_models.Exact(stretch), problems, **settings)
        assert wrong.verdict == "fail"
        assert wrong.scores["log_score"] > exact.scores["log_score"]
        assert "FAIL  log_score" in str(wrong)
    again = ba.reliability(two_models.Exact(), problems, **settings)
    pd.testing.assert_frame_equal(again.checks, exact.checks)


def test_tables(problems):
    report = ba.reliability(two_models.Exact(), problems, num_simulations=400, seed=2, num_bins=8, progress=False)
    assert list(report.probabilities.columns) == ["narrow", "wide"]  # as the prior has them
    p, truth = report.probabilities.to_numpy(), report.truth
    assert (report.curve.groupby("model")["number"].sum() == 400).all()
    assert len(report.curve) == 16
    inside = report.curve[["frequency_low", "frequency", "frequency_high"]].to_numpy()
    assert (np.diff(inside, axis=1) >= 0).all()
    assert report.scores["accuracy"] == (p.argmax(1) == truth).mean()
    assert report.scores["brier"] == pytest.approx(2 * ((p[:, 0] - (truth == 0)) ** 2).mean())
    assert report.scores["log_score"] == pytest.approx(-np.log(p[np.arange(400), truth]).mean())
    assert report.scores["prior_log_score"] == pytest.approx(np.log(2))
    summary = report.summary()
    assert summary["calibration_error"].mean() == pytest.approx(report.calibration_error)
    np.testing.assert_allclose(summary["probability"], p.mean(0))
    figure = report.plot()
    assert len(figure.axes) == 2
    plt.close(figure)


def test_equal_probabilities_share_a_bin():
    random = np.random.default_rng(1)
    truth = (random.random(500) > 0.3).astype(int)
    prior = {"a": 0.3, "b": 0.7}
    right = pd.DataFrame({"a": np.full(500, 0.3), "b": 0.7})
    report = assessed(right, truth, prior=prior, num_bins=10, false_alarm=0.01, seed=1)
    assert len(report.curve) == 2
    assert report.verdict == "pass"
    wrong = assessed(right[["b", "a"]].set_axis(["a", "b"], axis=1), truth, prior=prior, num_bins=10, false_alarm=0.01, seed=1)  # fmt: skip
    assert wrong.verdict == "fail"


def test_the_prior_is_drawn_from(problems):
    class Prior(two_models.Exact):
        prior = {"narrow": 0.9, "wide": 0.1}  # noqa: RUF012

        def __init__(self):
            pass

        def probabilities(self, observed):
            return pd.DataFrame(self.prior, index=range(len(observed["y"])))

    report = ba.reliability(Prior(), problems, num_simulations=500, seed=1, progress=False)
    assert report.verdict == "pass"  # right, and of no use
    assert report.scores["log_score"] == pytest.approx(report.scores["prior_log_score"])
    assert 0.05 < report.truth.mean() < 0.15


def test_what_does_not_fit_is_refused(problems):
    def run(**settings):
        arguments = {"problems": problems, "num_simulations": 200, "seed": 1, "progress": False} | settings
        ba.reliability(two_models.Exact(), **arguments)

    with pytest.raises(ValueError, match=r"needs problems of the classifier's models \['narrow', 'wide'\]"):
        run(problems={"narrow": problems["narrow"]})
    with pytest.raises(ValueError, match="at least 100, but 50"):
        run(num_simulations=50)
    with pytest.raises(ValueError, match="from 1 to a tenth"):
        run(num_bins=50)
    with pytest.raises(ValueError, match=r"must be from 0.0001 to 1"):
        run(false_alarm=0.0)
