"""`bayesastro calibrate`: models and engines by name, files, exit codes."""

import functools
import json
import re
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import planted
import pytest

import bayesastro as ba
from bayesastro.commands.naming import engine_named, problem_named
from bayesastro.inference import engines


@pytest.fixture
def calibrating(command):
    """Run `bayesastro calibrate`."""
    return functools.partial(command, "--no-cache", "calibrate")


@pytest.fixture
def with_planted(monkeypatch):
    """Offers the planted engine by name."""
    monkeypatch.setattr("bayesastro.commands.naming.engines", lambda: [planted.Planted, *engines()])


@pytest.mark.parametrize(("defect", "code"), [("none", 0), ("half width", 1)])
def test_the_exit_code_is_the_verdict(calibrating, with_planted, tmp_path, defect, code):
    options = ("--engine", "planted", "--set", f"defect={defect}", "--set", "num_draws=150", "--num", 150, "--quiet")
    found, out, err = calibrating("planted:problem", *options, "--out", "here")
    assert (found, err) == (code, "")
    assert out.startswith("pass: " if code == 0 else "fail: ")
    assert "Written to here/: calibration.nc, calibration.png" in out
    assert max(map(len, out.partition("coverage\n")[2].splitlines())) <= 80  # of the table, in two lines of names
    tree = ba.load(tmp_path / "here" / "calibration.nc")
    assert (tree.attrs["num_simulations"], tree.attrs["calibration"]) == (150, out[:4])
    assert (tree["pool"].sizes["member"]) == 151
    assert (tmp_path / "here" / "calibration.png").stat().st_size > 20_000
    assert not (tmp_path / "here" / "checkpoint").exists()


def test_failed_fits_are_told_with_the_reason(calibrating, with_planted, tmp_path):
    options = ("--engine", "planted", "--set", "num_draws=150", "--num", 80, "--quiet", "--out", "here")
    code, out, _ = calibrating("planted:problem", *options, "--set", "failing=0.1")
    told = re.search(
        r"\n(\d+) of 80 fits failed: draws that are not finite \(.*\).*; the group `fits` of calibration.nc is", out
    )
    outcomes = ba.load(tmp_path / "here" / "calibration.nc")["fits"]["outcome"]
    assert (outcomes != "fitted").sum() == int(told[1]) > 0
    code, out, _ = calibrating("planted:problem", *options, "--set", "failing=1", "--json")
    assert (code, json.loads(out)["failed"]) == (1, {"draws that are not finite": list(range(80))})
    code, out, _ = calibrating("planted:problem", *options, "--set", "failing=1")
    assert "Empty" not in out


def test_an_interrupted_calibration_goes_on_with_the_same_command(calibrating, with_planted, monkeypatch, tmp_path):
    options = ("--engine", "planted", "--set", "num_draws=150", "--num", 80, "--quiet", "--out", "here")
    with monkeypatch.context() as patch:
        asked = iter([False] * 10)
        patch.setattr("bayesastro.many.interruptions", lambda reporter: nullcontext(lambda: next(asked, True)))
        code, out, err = calibrating("planted:problem", *options)
    assert code == 130
    assert re.match(r"incomplete: Planted on \d+ of 80 simulations", out)
    assert (
        err == f"interrupted; to go on: bayesastro --no-cache calibrate planted:problem {' '.join(map(str, options))}\n"
    )
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["checkpoint"]
    code, out, err = calibrating("planted:problem", *options, "--seed", 7)
    assert (code, out) == (1, "")
    assert "here/checkpoint/fits` belongs to another run" in err
    assert "Give `--out` another folder, or delete that one." in err
    code, out, err = calibrating("planted:problem", *options)
    assert (code, err, out[:5]) == (0, "", "pass:")
    assert {path.name for path in (tmp_path / "here").iterdir()} == {"calibration.nc", "calibration.png"}


def test_the_time_limit_leaves_what_the_same_command_goes_on_from(calibrating, with_planted):
    options = ("--engine", "planted", "--set", "num_draws=200", "--num", 80, "--quiet", "--out", "here")
    code, out, err = calibrating("planted:problem", *options, "--time-limit", "1e-6")
    assert (code, out.splitlines()[0]) == (124, "incomplete: Planted on 0 of 80 simulations from the prior")
    assert err.startswith("time limit reached; to go on: bayesastro --no-cache calibrate planted:problem")
    code, out, _ = calibrating("planted:problem", *options, "--time-limit", "1e-6", "--json")
    assert (code, json.loads(out)["status"]) == (124, "time limit reached")
    code, out, err = calibrating("planted:problem", *options, "--time-limit", "600")
    assert (code, err, out[:5]) == (0, "", "pass:")
    long = ("--set", "num_draws=100000", "--near", "observed", "--quiet", "--out", "observed")
    code, out, err = calibrating("planted:problem", *long, "--time-limit", "1e-6")
    assert (code, out) == (124, "")  # before there is a posterior to simulate from
    assert err.startswith("time limit reached; to go on: ")


def begun(tmp_path, mark):
    """A calibration in a process of its own, once its standard error has the mark."""
    settings = ("--set", "num_chains=1", "--set", "num_draws=100000", "--num", "80")
    process = subprocess.Popen(
        [sys.executable, "-m", "bayesastro", "calibrate", "planted:problem", *settings, "--out", str(tmp_path)],
        cwd=Path(planted.__file__).parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if mark in line:
            break
    return process


def test_ctrl_c_keeps_the_blocks_done(tmp_path):
    process = begun(tmp_path, "80 data sets together")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert out.startswith("incomplete: NUTS on 0 of 80 simulations")
    assert "interrupted; to go on: bayesastro calibrate planted:problem --set" in err
    assert (tmp_path / "checkpoint" / "fits" / "chunk" / "state.npz").stat().st_size > 1000


def test_the_second_ctrl_c_ends_the_command_at_once(tmp_path):
    """Also in the midst of compiling, where Python looks at no signal."""
    process = begun(tmp_path, "compiling")
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    _, err = process.communicate(timeout=5)
    assert process.returncode == 130, err
    assert err.splitlines()[-1].startswith("stopped at once; to go on: bayesastro calibrate planted:problem --set")


def test_help_tells_the_options_and_examples(calibrating):
    code, out, _ = calibrating("--help")
    assert code == 0
    for word in (
        "MODEL",
        "--engine",
        "--set",
        "--num",
        "--near",
        "--false-alarm",
        "--time-limit",
        "bayesastro calibrate cosmology.bao",
    ):
        assert word in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cosmology.baoo"], "There is no model `cosmology.baoo`. Did you mean `cosmology.bao`"),
        (["planted:nothing"], "There is no function `nothing` in `planted`"),
        (["planted:posterior_sd"], "There is no function `posterior_sd`"),
        (["planted:draws_total"], "There is no"),
        (["builtins:dict"], "must return a `Problem`, but {} came"),
        (["planted:problem", "--engine", "nutz"], "There is no engine `nutz`; there are .*Did you mean `nuts`"),
        (["planted:problem", "--set", "draws=3"], "`--set draws=3`: give NAME=VALUE with a setting of `NUTS`: num_"),
        (["planted:problem", "--set", "num_draw=3"], "num_draws, .*Did you mean `num_draws`"),
        (["planted:problem", "--set", "num_draws=0"], "`NUTS` needs `--set num_draws=...` to be a whole number of at"),
        (["planted:problem", "--num", "10"], "`calibrate` needs `--num` of at least"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_one(calibrating, arguments, message):
    code, out, err = calibrating(*arguments)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert re.search(message, err), err


def test_models_and_engines_by_name():
    assert [site.name for site in problem_named("cosmology.bao").parameters] == ["Omega_m", "hrd"]
    engine = engine_named("NUTS", ["num_draws=77", "mass_matrix=dense", "target_accept=0.9"])
    assert engine == ba.NUTS(num_draws=77, mass_matrix="dense", target_accept=0.9)
    assert {type(engine_named(e.__name__.lower(), [])) for e in engines()} == set(engines())
