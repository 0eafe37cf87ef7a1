"""Crosschecks of engines: agreement found where draws are of one posterior, and each planted defect found."""

import matplotlib.pyplot as plt
import numpy as np
import numpyro
import numpyro.distributions as dist
import planted
import pytest
import xarray as xr

import bayesastro as ba

CORRELATION = 0.6
FACTOR = np.linalg.cholesky([[1.0, CORRELATION], [CORRELATION, 1.0]])


def program(sigma):
    a = numpyro.sample("a", dist.Normal(0.0, 2.0))
    b = numpyro.sample("b", dist.Normal(a, 1.0))
    numpyro.sample("y", dist.Normal(a + b, sigma))


@pytest.fixture(scope="module")
def problem():
    return ba.Problem(program, 0.5, observed={"y": 1.0})


def result_like(problem, draws, **attributes):
    """A result with given draws of (a, b), of shape (chain, draw, 2)."""
    posterior = xr.Dataset({name: (("chain", "draw"), draws[..., i]) for i, name in enumerate("ab")})
    tree = xr.DataTree.from_dict({"posterior": posterior})
    tree.attrs = {"program_fingerprint": problem.fingerprint} | attributes
    return tree


def gaussian(seed, num=1000, factor=FACTOR, shift=0.0, scale=1.0):
    draws = np.random.default_rng(seed).normal(size=(4, num, 2)) @ factor.T
    return draws * np.array([scale, 1.0]) + np.array([shift, 0.0])


def compared(problem, first, second, **options):
    return ba.crosscheck(problem, {"first": first, "second": second}, seed=0, **options)


def test_draws_of_one_posterior_agree(problem):
    report = compared(problem, result_like(problem, gaussian(1)), result_like(problem, gaussian(2)))
    assert report.verdict == "pass"
    row = report.summary().loc[("first", "second")]
    assert row["largest_mean_shift"] < 0.08
    assert 0.45 < row["accuracy"] < 0.55
    assert "pass: 2 engines" in str(report)


def heavy_tailed(seed):
    """The same draws through a map that leaves no moments."""
    return np.tan(np.arctan(gaussian(seed)) * 0.9999) ** 3


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_asked_for(problem):
    """80 pairs at a rate of 5 %: more than 12 would happen once in 10⁴ times, were the rate 5 %."""
    failed = [
        compared(
            problem,
            result_like(problem, gaussian(2 * i), log_evidence=float(np.random.default_rng(i).normal(0, 0.1)), log_evidence_err=0.1),
            result_like(problem, gaussian(2 * i + 1), log_evidence=0.0, log_evidence_err=1e-9),
            tolerance=0.0,
            false_alarm=0.05,
        ).verdict
        == "fail"
        for i in range(80)
    ]  # fmt: skip
    assert sum(failed) <= 12


DEFECTS = {
    "shifted": ({"shift": 0.3}, "the mean of `a`"),
    "too narrow": ({"scale": 0.75}, "the sd of `a`"),
    "too wide": ({"scale": 1.35}, "the sd of `a`"),
    "without the correlation": ({"factor": np.eye(2)}, "a classifier tells apart"),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_found_and_named(problem, defect):
    options, words = DEFECTS[defect]
    report = compared(problem, result_like(problem, gaussian(3)), result_like(problem, gaussian(4, **options)))
    assert report.verdict == "fail"
    assert words in report.pairs["reason"].iloc[0]
    assert "they differ in" in str(report)


def test_a_shift_within_the_tolerance_is_no_defect(problem):
    results = result_like(problem, gaussian(5, 10_000)), result_like(problem, gaussian(6, 10_000, shift=0.1))
    assert compared(problem, *results, tolerance=0.2).verdict == "pass"
    assert compared(problem, *results, tolerance=0.0).verdict == "fail"


def test_tails_without_moments_do_no_harm(problem):
    first, second = (result_like(problem, heavy_tailed(seed)) for seed in (1, 2))
    assert compared(problem, first, second).verdict == "pass"
    shifted = result_like(problem, heavy_tailed(2) + np.array([0.5, 0.0]))
    assert "`a`" in compared(problem, first, shifted).pairs["reason"].iloc[0]


def test_evidences_are_compared_in_their_errors(problem):
    first = result_like(problem, gaussian(1), log_evidence=-3.0, log_evidence_err=0.1)
    near = result_like(problem, gaussian(2), log_evidence=-2.8, log_evidence_err=0.1)
    far = result_like(problem, gaussian(2), log_evidence=-2.0, log_evidence_err=0.1)
    assert compared(problem, first, near).verdict == "pass"
    assert "log-evidence by 1 ± 0.14" in compared(problem, first, far).pairs["reason"].iloc[0]


def test_dependent_draws_are_not_taken_for_independent_ones(problem):
    """Every draw a hundred times: fewer independent ones than a classifier needs, and large errors of means."""
    slow = [result_like(problem, np.repeat(gaussian(seed, 10), 100, axis=1)) for seed in (1, 2)]
    report = compared(problem, *slow)
    assert report.verdict == "undecided"
    assert np.isnan(report.pairs["accuracy"].iloc[0])


def test_errors_that_could_hide_a_shift_leave_the_verdict_open(problem):
    """28 draws have an error of 0.19 sd, so that with a z of 3.5 a shift of 0.7 sd could be there unseen."""
    good = result_like(problem, gaussian(1))
    report = compared(problem, good, result_like(problem, gaussian(2, 7)))
    assert (report.verdict, report.pairs["verdict"].iloc[0]) == ("undecided", "undecided")
    reason = report.pairs["reason"].iloc[0]
    assert "the mean of `" in reason
    assert "most of it of `second`" in reason
    assert f"undecided: {reason}" in str(report)
    assert compared(problem, good, result_like(problem, gaussian(2, 100))).verdict == "pass"


def test_chains_that_did_not_mix_leave_the_verdict_open(problem):
    """A period with aliases: one engine's chains in four of them, the other's all in the right one."""
    aliases = gaussian(1) * np.array([0.02, 1.0])
    aliases[..., 0] += np.array([31.4, 31.4, 48.0, 60.0])[:, None]
    right = gaussian(2) * np.array([0.02, 1.0]) + np.array([31.4, 0.0])
    report = compared(problem, result_like(problem, aliases), result_like(problem, right))
    assert report.verdict == "undecided"
    assert "the chains of `first` did not mix in `a` (R̂ " in report.pairs["reason"].iloc[0]
    moved = result_like(problem, right + np.array([0.0, 2.0]))
    assert "the mean of `b`" in compared(problem, result_like(problem, aliases), moved).pairs["reason"].iloc[0]


def test_a_shift_that_few_draws_show_is_a_difference(problem):
    report = compared(problem, result_like(problem, gaussian(1)), result_like(problem, gaussian(2, 10, shift=5.0)))
    assert report.verdict == "fail"


def test_of_several_pairs_the_worst_verdict_counts(problem):
    good, short = result_like(problem, gaussian(1)), result_like(problem, gaussian(2, 7))
    shifted = result_like(problem, gaussian(3, shift=0.5))
    report = ba.crosscheck(problem, {"good": good, "short": short, "shifted": shifted}, seed=0)
    assert report.verdict == "fail"
    assert report.pairs["verdict"]["good", "short"] == "undecided"
    assert report.pairs["verdict"]["good", "shifted"] == "fail"


def test_evidences_of_large_errors_leave_the_verdict_open(problem):
    first = result_like(problem, gaussian(1), log_evidence=-3.0, log_evidence_err=0.1)
    vague = result_like(problem, gaussian(2), log_evidence=-5.0, log_evidence_err=2.0)
    report = compared(problem, first, vague)
    assert report.verdict == "undecided"
    assert "the log-evidences could differ by" in report.pairs["reason"].iloc[0]
    assert "most of it of `second`" in report.pairs["reason"].iloc[0]


def test_engines_are_run_and_drawn(problem, tmp_path):
    engines = [ba.NUTS(num_chains=2, num_warmup=300, num_draws=1000), ba.SMC(num_islands=4, num_particles=500)]
    report = ba.crosscheck(problem, engines, seed=1, progress=False)
    assert report.verdict == "pass", str(report)
    assert list(report.results) == ["NUTS", "SMC"]
    figure = report.plot()
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b"]
    plt.close(figure)


@pytest.mark.parametrize(
    ("engines", "options", "error", "message"),
    [
        ([ba.NUTS()], {}, ValueError, "at least two engines, but 1 came"),
        ([ba.NUTS(), ba.NUTS()], {}, ValueError, "several engines of the kind `NUTS`. Give them names"),
        ([ba.NUTS(), ba.SMC()], {"tolerance": -0.1}, ValueError, "`tolerance` must be from 0 to 1, but -0.1 came"),
        ([ba.NUTS(), ba.SMC()], {"false_alarm": 0.0}, ValueError, "`false_alarm` must be between 0 and 1"),
        ({"a": ba.NUTS(), "b": 3}, {}, TypeError, "needs engines or results, but `b` is 3"),
        ({"a": ba.NUTS(), "b": xr.DataTree()}, {}, ValueError, "`b` is of another program"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(problem, engines, options, error, message):
    with pytest.raises(error, match=message):
        ba.crosscheck(problem, engines, seed=0, **options)


def test_results_without_draws_are_refused(problem):
    good, bad = result_like(problem, gaussian(1)), gaussian(2)
    with pytest.raises(ValueError, match="`second` has no draws to compare"):
        compared(problem, good, result_like(problem, bad[:, :0]))
    bad[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="`second` has draws that are not finite"):
        compared(problem, good, result_like(problem, bad))


def test_ctrl_c_ends_all_fits(monkeypatch):
    def interrupted(problem, engine, **options):
        result = ba.fit(problem, engine, **options)
        result.attrs["status"] = "interrupted"
        fitted.append(engine)
        return result

    fitted = []
    monkeypatch.setattr("bayesastro.agreement.fit", interrupted)
    engines = [planted.Planted(), ba.SMC()]
    with pytest.raises(KeyboardInterrupt, match="The fit by `Planted` was interrupted"):
        ba.crosscheck(planted.problem(), engines, seed=1, progress=False)
    assert fitted == engines[:1]
