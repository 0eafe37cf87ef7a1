"""`bayesastro models, fit, crosscheck, compare, info, plot`: files, exit codes, JSON, going on after an interruption."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import matrix
import numpy as np
import planted
import pytest
import xarray as xr
from scipy.stats import multivariate_normal

import bayesastro as ba
from bayesastro import cli
from bayesastro.commands import crosschecking, fitting, plotting
from bayesastro.commands.options import ENGINES
from bayesastro.inference import engines
from bayesastro.models.catalogue import CATALOGUE

MODEL = """
import numpyro, numpyro.distributions as dist, numpy as np
import bayesastro as ba


def program(sigma):
    a = numpyro.sample("a", dist.Normal(0.0, 1.0))
    numpyro.sample("y", dist.Normal(a, sigma))


def build():
    return ba.Problem(program, np.ones(20), observed={"y": np.linspace(-1.0, 2.0, 20)})
"""

QUICK = ("--set", "num_chains=2", "--set", "num_warmup=200", "--set", "num_draws=300", "--quiet")


@pytest.fixture
def run(command_in_module):
    """A command, in a folder with a model of its own."""
    return command_in_module("mine", MODEL)


def is_picture(path):
    pixels = matplotlib.image.imread(path)
    return min(pixels.shape[:2]) > 100 and len(np.unique(pixels[..., 0])) > 20


def test_a_fit_writes_its_result_and_pictures(run, tmp_path):
    code, out, err = run("fit", "mine:build", *QUICK, "--out", "here")
    assert (code, err) == (0, "")
    assert str(ba.diagnose(ba.load(tmp_path / "here" / "result.nc"))) in out
    assert out.endswith("Written to here/: result.nc, trace.png, corner.png\n")
    result = ba.load(tmp_path / "here" / "result.nc")
    assert str(ba.summary(result)) in out
    # The posterior of a Gaussian mean, in closed form.
    assert float(result["posterior"]["a"].mean()) == pytest.approx(10 / 21, abs=5 * (1 / 21) ** 0.5 / 200**0.5)
    assert is_picture(tmp_path / "here" / "trace.png")
    assert is_picture(tmp_path / "here" / "corner.png")


def test_a_fit_in_json(run):
    code, out, _ = run("fit", "mine:build", "--engine", "smc", "--set", "num_particles=300", "--quiet", "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["engine"], found["status"]) == ("SMC", "complete")
    assert found["summary"]["a"]["mean"] == pytest.approx(10 / 21, abs=0.1)
    assert isinstance(found["log_evidence"], float)
    assert found["written"] == ["fit/result.nc", "fit/trace.png", "fit/corner.png"]


def test_a_fit_cut_short_goes_on_with_the_same_command(run, tmp_path):
    long = ("fit", "mine:build", "--set", "num_chains=2", "--set", "num_draws=100000", "--quiet")
    code, out, err = run(*long, "--time-limit", "1e-6")
    assert (code, out) == (124, "There are no draws yet.\n")
    assert err.startswith("time limit reached; to go on: ")
    assert not (tmp_path / "fit" / "result.nc").exists()
    for _ in range(50):  # however slow the machine, the first draws come some time
        if not (tmp_path / "fit" / "result.nc").exists():
            code, out, err = run(*long, "--time-limit", "2")
    assert (code, err.partition(";")[0]) == (124, "time limit reached")
    assert "incomplete [run]" in out
    assert ba.load(tmp_path / "fit" / "result.nc").attrs["status"] == "time limit reached"
    code, _, err = run(*long)
    assert (code, err) == (0, "")
    again = ba.load(tmp_path / "fit" / "result.nc")
    assert (again.attrs["status"], again["posterior"].sizes["draw"]) == ("complete", 100000)
    code, out, err = run(*long, "--seed", "7")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert err.endswith("differs in `--seed` (1 there, 7 here). Give `--out` another folder, or delete that one.\n")


def test_ctrl_c_leaves_a_result_and_exit_code_130(run, monkeypatch, tmp_path):
    """As `fit` itself returns it, after the block in which the signal came."""
    whole = fitting.fit

    def fit(*args, **kwargs):
        result = whole(*args, **kwargs)
        result.attrs["status"] = "interrupted"
        return result

    monkeypatch.setattr(fitting, "fit", fit)
    code, out, err = run("fit", "mine:build", *QUICK)
    assert code == 130
    assert err == f"interrupted; to go on: bayesastro --no-cache fit mine:build {' '.join(QUICK)}\n"
    assert "Written to fit/" in out
    assert ba.load(tmp_path / "fit" / "result.nc").attrs["status"] == "interrupted"


def test_a_fit_starts_from_the_result_of_another(run, tmp_path):
    assert run("fit", "mine:build", "--engine", "pathfinder", "--quiet", "--out", "first")[0] == 0
    assert run("fit", "mine:build", *QUICK, "--start", "first/result.nc", "--out", "second")[0] == 0
    assert ba.load(tmp_path / "second" / "result.nc").attrs["engine"] == "NUTS"
    first, second = (
        json.loads(run("info", f"{name}/result.nc", "--json")[1])["attributes"] for name in ("first", "second")
    )
    assert (second["start_engine"], second["start_seed"], second["start_file"]) == ("Pathfinder", 1, "first/result.nc")
    assert second["start_fingerprint"] == first["draws_fingerprint"] != second["draws_fingerprint"]
    assert second["model"] == "mine:build"
    assert not any(name.startswith("start_") for name in first)
    assert "start_file           first/result.nc\n" in run("info", "second/result.nc")[1]


def test_models_that_need_data_say_so(run):
    code, _, err = run("fit", "bayesastro.models.cosmology.tripp:build")
    assert code == 1
    assert "`bayesastro.models.cosmology.tripp:build` needs data: `table`. Write a function without arguments" in err


def test_a_model_of_the_package_is_fitted_to_its_example(run, tmp_path, published_data):
    """Whose data are told with whom to cite; published flat ΛCDM: Ω_m = 0.298 ± 0.022 (Scolnic et al. 2018, table 8)."""
    published_data("pantheon_binned")
    code, out, err = run("fit", "cosmology.hubble_diagram", *QUICK)
    assert (code, err) == (0, "")
    first = out.splitlines()[0]
    assert first.startswith(
        "Data: pantheon_binned, Hubble diagram of Pantheon: 40 bins with their covariance. Cite Scolnic"
    )
    assert float(ba.load(tmp_path / "fit" / "result.nc")["posterior"]["Omega_m"].mean()) == pytest.approx(
        0.298, abs=0.03
    )
    code, out, _ = run("fit", "cosmology.hubble_diagram", *QUICK, "--json")
    assert json.loads(out)["data"] == first
    code, out, _ = run("fit", "mine:build", *QUICK, "--json", "--out", "own")
    assert json.loads(out)["data"] is None


def test_missing_data_are_one_line(run, tmp_path, monkeypatch):
    monkeypatch.setenv("BAYESASTRO_DATA", str(tmp_path))
    monkeypatch.setattr("bayesastro.datasets.fetching.cache_folder", lambda: tmp_path / "cache")
    code, out, err = run("fit", "lightcurves.transit")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "HAT-P-7_kepler_Q0_short_cadence.npz` is not in the folder of data" in err


def test_crosscheck(run, tmp_path):
    code, out, err = run("crosscheck", "mine:build", "nuts", "smc", "--quiet")
    assert (code, err) == (0, "")
    assert out.startswith("pass: 2 engines")
    assert out.endswith("Written to crosscheck/: NUTS.nc, SMC.nc, agreement.png\n")
    assert is_picture(tmp_path / "crosscheck" / "agreement.png")
    code, out, _ = run("crosscheck", "mine:build", "nuts", "smc", "--quiet", "--json", "--out", "again")
    found = json.loads(out)
    assert (found["verdict"], found["pairs"]["NUTS – SMC"]["verdict"]) == ("pass", "pass")
    assert found["findings"] == {"NUTS": [], "SMC": []}
    code, out, err = run("crosscheck", "mine:build", "nuts")
    assert (code, out, err.count("\n")) == (1, "", 1)


def test_a_crosscheck_that_cannot_tell_has_an_exit_code_of_its_own(run, monkeypatch):
    def few_draws(problem, engines, **settings):
        short = ba.NUTS(num_chains=2, num_warmup=100, num_draws=20)
        return ba.crosscheck(problem, {"short": short, "SMC": engines[1]}, **settings)

    monkeypatch.setattr(crosschecking, "crosscheck", few_draws)
    code, out, err = run("crosscheck", "mine:build", "nuts", "smc", "--quiet")
    assert (code, err) == (3, "")
    assert out.startswith("undecided: 2 engines")
    assert "of `short`" in out
    code, out, _ = run("crosscheck", "mine:build", "nuts", "smc", "--quiet", "--json", "--out", "again")
    found = json.loads(out)
    assert (code, found["verdict"]) == (3, "undecided")
    assert "`a`" in found["pairs"]["short – SMC"]["reason"]
    assert found["findings"]["short"]


@pytest.fixture
def results(tmp_path):
    """Two results with evidences and a map, in folders of their own."""
    rng = np.random.default_rng(0)
    for name, evidence in (("one", -3.0), ("two", -5.0)):
        draws = {
            "a": (("chain", "draw"), rng.normal(size=(2, 200))),
            "m": (("chain", "draw", "y", "x"), rng.normal(size=(2, 200, 4, 5))),
        }
        tree = xr.DataTree.from_dict({"posterior": xr.Dataset(draws)})
        tree.attrs = {
            "engine": "SMC",
            "status": "complete",
            "log_evidence": evidence,
            "log_evidence_err": 0.1,
            "note": "x" * 300,
        }
        tree.attrs["program_fingerprint"] = name
        (tmp_path / name).mkdir()
        ba.save(tree, tmp_path / name / "result.nc")
    return "one/result.nc", "two/result.nc"


VECTORS = """
import numpyro, numpyro.distributions as dist, numpy as np
import bayesastro as ba


def program(t):
    a = numpyro.sample("a", dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    curve = numpyro.deterministic("curve", a[0] + a[1] * t)
    b = numpyro.sample("b", dist.Normal(0.0, 1.0))
    numpyro.sample("y", dist.Normal(curve + b + a[2], 1.0))


def build():
    return ba.Problem(program, np.linspace(0.0, 1.0, 30), observed={"y": np.zeros(30)})
"""


def rows_of(text):
    """What the rows of the table begin with."""
    return re.findall(r"^(\w+(?:\[[\d, ]+\])?) +-?\d+\.\d+ ", text, re.MULTILINE)


def test_parameters_come_first_and_long_vectors_are_cut(command_in_module, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    run = command_in_module("vectors", VECTORS)
    first = ["a[0]", "a[1]", "a[2]", "b"]
    for arguments in (("fit", "vectors:build", *QUICK), ("info", "fit/result.nc")):
        code, out, err = run(*arguments)
        assert (code, err) == (0, "")
        assert rows_of(out) == [*first, *(f"curve[{i}]" for i in range(10))]
        assert "\n20 more rows of `curve`: `--var curve`\n" in out
        table = out[out.index("a[0]") : out.index("20 more rows")]
        assert max(map(len, table.splitlines())) <= 80
        assert "..." not in table
    for names, rows in (
        (["curve"], [f"curve[{i}]" for i in range(30)]),
        (["b", "curve[29]", "a"], ["b", "curve[29]", "a[0]", "a[1]", "a[2]"]),
    ):
        options = [option for name in names for option in ("--var", name)]
        code, out, err = run("info", "fit/result.nc", *options)
        assert (code, err, rows_of(out)) == (0, "", rows)
        assert "more rows" not in out
        assert list(json.loads(run("info", "fit/result.nc", *options, "--json")[1])["summary"]) == rows
    assert rows_of(run("fit", "vectors:build", *QUICK, "--var", "a[1]")[1]) == ["a[1]"]
    for command, name, message in (
        (("fit", "vectors:build", "--out", "new"), "curv", "`--var` names `curv`, but .* Did you mean `curve`"),
        (("info", "fit/result.nc"), "curv", "`--var` has `curv`, but the posterior has .* Did you mean `curve`"),
        (("info", "fit/result.nc"), "curve[30]", r"the rows of `curve` are `curve\[0\]` to `curve\[29\]`. Name one"),
    ):
        code, out, err = run(*command, "--var", name)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert re.search(message, err)


def test_info_of_many_fits_has_a_readable_number_of_rows(run, tmp_path):
    y = planted.simulated(40, np.random.default_rng(0))[1]
    many = ba.fit_many(planted.problem(), {"y": y}, planted.Planted(), seed=1, progress=False)
    ba.save(many, tmp_path / "many.nc")
    code, out, err = run("info", "many.nc")
    assert (code, err) == (0, "")
    assert rows_of(out)[:11] == [*(f"a[{i}]" for i in range(10)), "b[0]"]
    assert len(rows_of(out)) == 30
    assert "30 more rows of `a`: `--var a`" in out
    assert rows_of(run("info", "many.nc", "--var", "a[39]")[1]) == ["a[39]"]
    assert len(rows_of(run("info", "many.nc", "--var", "b")[1])) == 40


def test_info_tells_what_a_result_holds(run, results):
    code, out, err = run("info", results[0])
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert "engine               SMC" in lines
    assert "posterior: a 2×200, m 2×200×4×5" in lines
    assert f"note                 {'x' * 97}..." in lines
    code, out, _ = run("info", results[0], "--json")
    found = json.loads(out)
    assert found["attributes"]["log_evidence"] == -3.0
    assert found["groups"]["posterior"] == {"a": [2, 200], "m": [2, 200, 4, 5]}
    assert set(found["summary"]) == {"a", *(f"m[{i}, {j}]" for i in range(4) for j in range(5))}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kind", "corner", "--var", "a"], None),
        (["--kind", "trace", "--var", "a"], None),
        (["--kind", "rank", "--var", "a"], None),
        (["--kind", "field", "--var", "m"], None),
        (["--var", "a", "--var", "m[0, 1]", "--var", "m[3,4]"], None),
        (["--kind", "trace", "--var", "m[0]"], None),
        (["--var", "m[4, 0]"], "`m` has no entry `m[4, 0]`; its entries are `m[0, 0]` to `m[3, 4]`."),
        (["--kind", "field"], "needs one variable. Name it with `--var`"),
        (["--kind", "rank", "--var", "b"], "no variable `b`"),
        (["--kind", "evidence", "--var", "a"], "Draw it without `--var`"),
    ],
)
def test_pictures_of_one_result(run, results, tmp_path, arguments, message):
    code, out, err = run("plot", results[0], *arguments, "--out", "picture.png")
    if message:
        assert (code, out) == (1, "")
        assert message in err
        assert not (tmp_path / "picture.png").exists()
    else:
        assert (code, out, err) == (0, "Written: picture.png\n", "")
        assert is_picture(tmp_path / "picture.png")


def test_refusals_of_pictures_name_the_option(run, results, monkeypatch):
    monkeypatch.setattr("bayesastro.plots.variables.MOST_PANELS", 7)
    told = run("plot", results[0], "--kind", "trace", "--var", "m")[2]
    assert told.startswith("bayesastro: At most 7 scalars fit into a picture, but `--var` has more: ")


def test_pictures_of_several_results(run, results, tmp_path):
    for kind in ("corner", "evidence"):
        assert run("plot", *results, "--kind", kind, "--out", f"{kind}.png") == (0, f"Written: {kind}.png\n", "")
        assert is_picture(tmp_path / f"{kind}.png")
    code, _, err = run("plot", *results, "--kind", "trace")
    assert code == 1
    assert "is of one result, but 2 came" in err
    code, _, err = run("plot", results[0], results[0])
    assert code == 1
    assert "Two of the results have the same name" in err


def test_pictures_are_named_after_results_and_kind(run, results, tmp_path):
    for arguments, name in (
        ((results[0],), "one-corner.png"),
        ((results[0], "--kind", "trace", "--var", "a"), "one-trace.png"),
        ((*results, "--kind", "evidence"), "one-two-evidence.png"),
    ):
        assert run("plot", *arguments) == (0, f"Written: {name}\n", "")
        assert is_picture(tmp_path / name)
    for i in range(4):
        (tmp_path / f"{i}.nc").write_bytes((tmp_path / results[0]).read_bytes())
    assert run("plot", *(f"{i}.nc" for i in range(4)), "--var", "a")[1] == "Written: 0-and-3-more-corner.png\n"


def test_the_data_are_drawn_on_what_the_fit_predicts(run, tmp_path, monkeypatch):
    assert run("fit", "mine:build", *QUICK)[0] == 0
    for more in ((), ("--x", "sigma"), ("--var", "y"), ("--model", "mine:build")):
        assert run("plot", "fit/result.nc", "--kind", "predictive", *more, "--out", "p.png")[:2] == (
            0,
            "Written: p.png\n",
        )
        assert is_picture(tmp_path / "p.png")
        (tmp_path / "p.png").unlink()
    for more, message in (
        (("--x", "time"), "`--x time`: the program's array arguments are `sigma`. Name one."),
        (("--var", "y", "--var", "a"), "is of all observed sites, or of the one named with `--var`"),
        (("--model", "mine:other"), "There is no function `other` in `mine`"),
        (("--model", "cosmology.bao"), "The result is of another program than the problem"),
    ):
        code, out, err = run("plot", "fit/result.nc", "--kind", "predictive", *more)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert message in err
    assert "Add `--kind predictive`" in run("plot", "fit/result.nc", "--x", "sigma")[2]
    result = ba.load(tmp_path / "fit" / "result.nc")
    result.attrs["data_fingerprint"] = "0"
    ba.save(result, tmp_path / "other.nc")
    assert "has other data now than those that were fitted" in run("plot", "other.nc", "--kind", "predictive")[2]
    (tmp_path / "mine.py").rename(tmp_path / "moved.py")
    monkeypatch.delitem(sys.modules, "mine")
    importlib.invalidate_caches()
    code, out, err = run("plot", "fit/result.nc", "--kind", "predictive")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("bayesastro: There is no module `mine`.")
    assert err.endswith("if that has moved, say where it is with `--model module:function`.\n")
    assert run("plot", "fit/result.nc", "--kind", "predictive", "--model", "moved:build")[0] == 0


def test_data_are_drawn_over_phase(run, monkeypatch):
    assert run("fit", "mine:build", *QUICK)[0] == 0
    figures = []
    monkeypatch.setattr(plotting, "save_figure", lambda figure, out: figures.append(figure))
    draw = ("plot", "fit/result.nc", "--kind", "predictive")
    median = float(ba.load("fit/result.nc")["posterior"]["a"].median())
    for period, number in (("a", median), ("0.7", 0.7)):
        assert run(*draw, "--x", "sigma", "--period", period, "--epoch", "0.25")[0] == 0
        phase = (0.75 / number + 0.5) % 1 - 0.5
        np.testing.assert_allclose(figures[-1].axes[0].lines[0].get_xdata(), phase)
        assert figures[-1].axes[1].get_xlabel() == f"phase (period {number:.6g})"
    for more, message in (
        (("--period", "a"), "`--period` folds what `--x` names"),
        (("--x", "sigma", "--epoch", "a"), "Add `--x` and `--period`."),
        (("--x", "sigma", "--period", "P"), "The result has no variable `P` in `posterior`; it has a."),
        (("--x", "sigma", "--period", "-1"), "`period` must be one positive number, but -1.0 came."),
    ):
        code, out, err = run(*draw, *more)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert message in err


def test_other_data_are_refused_before_the_model_runs(run, tmp_path, monkeypatch):
    assert run("fit", "mine:build", *QUICK)[0] == 0
    result = ba.load(tmp_path / "fit" / "result.nc")
    result.attrs["data_fingerprint"] = "0"
    ba.save(result, tmp_path / "other.nc")
    monkeypatch.setattr(plotting, "predict", lambda *args, **kwargs: pytest.fail("The model ran."))
    assert "has other data now than those that were fitted" in run("plot", "other.nc", "--kind", "predictive")[2]


def test_predictions_in_a_file_need_no_model(run, tmp_path):
    ba.save(ba.predict(planted.problem(), num=100, seed=1), tmp_path / "prior.nc")
    assert run("plot", "prior.nc", "--kind", "predictive", "--out", "p.png")[0] == 0
    assert is_picture(tmp_path / "p.png")
    code, _, err = run("plot", "prior.nc")
    assert code == 1
    assert "The result has no group `posterior`; it has prior, prior_predictive, observed_data." in err


def test_a_result_that_names_no_model_needs_one(run, results):
    code, out, err = run("plot", results[0], "--kind", "predictive")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "the result does not say which it is. Name it with `--model`" in err


def test_a_calibration_is_drawn_as_its_page(run, results, tmp_path):
    report = ba.calibrate(planted.problem(), planted.Planted(), num_simulations=150, seed=1, progress=False)
    ba.save(report.to_datatree(), tmp_path / "calibration.nc")
    for more in ((), ("--kind", "calibration")):
        assert run("plot", "calibration.nc", *more, "--out", "page.png") == (0, "Written: page.png\n", "")
        assert is_picture(tmp_path / "page.png")
    assert run("plot", "calibration.nc") == (0, "Written: calibration.png\n", "")
    code, out, err = run("info", "calibration.nc")
    assert (code, err) == (0, "")
    assert f"\n{report.num_failed} of 150 fits failed" in out
    for more in (("--kind", "corner"), ("--var", "a"), (results[0],)):
        code, out, err = run("plot", "calibration.nc", *more)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert "A calibration has one picture, its page." in err
    assert "This is the result of a fit, and no calibration." in run("plot", results[0], "--kind", "calibration")[2]


def test_models_of_the_same_data_are_compared(run, results, tmp_path):
    for name, scale in (("near", 1.0), ("far", 30.0)):
        other = f"fit-{name}"
        (tmp_path / f"{name}.py").write_text(MODEL.replace("Normal(0.0, 1.0)", f"Normal(0.0, {scale})"))
        options = ("--engine", "smc", "--set", "num_particles=300", "--quiet", "--log-likelihood", "--out", other)
        assert run("fit", f"{name}:build", *options)[0] == 0
    files = ("fit-far/result.nc", "fit-near/result.nc")
    code, out, err = run("compare", *files, "--json")
    found = json.loads(out)
    assert (code, err, found["best"], found["findings"]["fit-near"]) == (0, "", "fit-near", [])
    # In closed form: the evidences of y ~ N(0, 1 + scale² J).
    y, sizes = np.linspace(-1.0, 2.0, 20), {"fit-near": 1.0, "fit-far": 30.0}
    exact = {n: multivariate_normal(np.zeros(20), np.eye(20) + s**2).logpdf(y) for n, s in sizes.items()}
    told = found["models"]["fit-far"]
    difference = exact["fit-far"] - exact["fit-near"]
    assert told["log_bayes_factor"] == pytest.approx(difference, abs=5 * told["log_bayes_factor_err"] + 0.05)
    assert told["num_data"] == 20
    assert found["bad_k"] == {"fit-near": {}, "fit-far": {}}
    code, out, err = run("compare", *files)
    assert (code, err) == (0, "")
    assert out.index("fit-near") < out.index("fit-far")
    assert "probability" in out
    for wrong, message in (
        (files[:1], "`compare` needs at least two results by name, but 1 came"),
        ((files[0], files[0]), "Two of the results have the same name"),
        ((files[0], results[0]), "of the same data can be compared"),
    ):
        code, out, err = run("compare", *wrong)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert message in err
    assert run("fit", "mine:build", *QUICK, "--out", "bare")[0] == 0
    code, out, err = run("compare", "bare/result.nc", "fit-near/result.nc")
    assert (code, err.endswith("Fit with `NestedSampler` or `SMC`, or with `--log-likelihood`.\n")) == (1, True)


@pytest.mark.parametrize("typed", [["plot"], ["info"], ["compare"], ["fit", "mine:build", "--start"]])
def test_what_is_no_result_is_told_with_what_to_give(run, tmp_path, monkeypatch, typed):
    (tmp_path / "disc.ecsv").write_text("# %ECSV 1.0")
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier" / "result.nc").touch()
    for path, told in (
        ("disc.ecsv", "`disc.ecsv` is no result: it is neither netCDF nor zarr. Give the file of one, such as "),
        ("earlier", "`earlier` is a folder; give `earlier/result.nc`."),
    ):
        code, out, err = run(*typed, path)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert err.startswith(f"bayesastro: {told}")
    monkeypatch.setattr("bayesastro.commands.reading.load", lambda path: ba.NUTS())
    code, out, err = run(*typed, "earlier")
    assert (code, out) == (1, "")
    assert err == "bayesastro: `earlier` holds trained networks (`NUTS`) and no result. Give that of a fit with them.\n"


def test_every_model_is_in_the_catalogue_and_described(run):
    code, out, _ = run("models", "--json")
    assert code == 0
    found = {entry["name"]: entry for entry in json.loads(out)["models"]}
    assert set(found) == {entry.name for entry in CATALOGUE} == {name.split()[0] for name in matrix.MODELS}
    for name, entry in found.items():
        assert entry["what"].endswith("."), name
        assert entry["data"], name
        assert "Cite " in entry["example"] or entry["example"].startswith(
            "simulated by the program itself with seed "
        ), name
        assert "`" not in entry["source"] + entry["what"], name
    text = run("models")[1]
    assert "cosmology.bao: Flat ΛCDM from baryon acoustic oscillations alone.\n" in text
    assert "    source   DESI Collaboration 2025, arXiv:2503.14738" in text
    assert "    example  hat_p_7, transits of HAT-P-7 b" in text


def test_help_of_every_command_has_an_example(run):
    for name in cli.cli.commands:
        code, out, _ = run(name, "--help")
        assert code == 0
        assert f"bayesastro {name}" in out.split("Example")[1]
        options = out[out.index("Options:") :]
        assert not re.search(r"^ +--\S+( [A-Z\[]\S*( RANGE)?)?( +\[default.*)?$(?!\n {20})", options, re.MULTILINE), (
            name
        )


def test_help_of_all_is_whole_and_names_what_there_is(run):
    """No line of the list of commands is cut, and the engines are all there, though none is loaded."""
    code, out, _ = run("--help")
    assert code == 0
    listed = out[out.index("Commands:") :]
    assert "..." not in listed
    assert all(re.search(rf"^  {name} +[A-Z].*\.$", listed, re.MULTILINE) for name in cli.cli.commands)
    assert set(ENGINES) == {engine.__name__.lower() for engine in engines()}


def test_the_installed_command_lists_models(tmp_path):
    script = Path(sys.executable).with_name("bayesastro")
    done = subprocess.run([script, "models"], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert "lensing.parametric: " in done.stdout
    assert done.stderr == ""
