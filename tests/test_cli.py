"""The command line: help, exit codes, errors of one line, and the demonstration from end to end."""

import re
import shutil
import subprocess
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import matplotlib.image
import matplotlib.pyplot as plt
import numpy as np
import pytest
from click.testing import CliRunner

import bayesastro as ba
from bayesastro import cli

ENGINE = ba.NUTS(num_chains=2, num_warmup=150, num_draws=150, target_accept=0.9, mass_matrix="dense")
RESULTS = {
    "bao_lcdm.nc": {"Omega_m", "hrd"},
    "joint_lcdm.nc": {"Omega_m", "hrd", "H0", "r_d"},
    "joint_w0wa.nc": {"Omega_m", "hrd", "H0", "r_d", "w0", "w_early", "wa"},
}
PICTURES = ("corner.png", "dark_energy.png", "distances.png")


@pytest.fixture
def runs(monkeypatch):
    """Replaces the demonstration; holds what it was called with."""
    calls = []
    monkeypatch.setattr("bayesastro.demo.run", lambda out, **options: calls.append((out, options)))
    return calls


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# Help and usage


def test_help_lists_commands_and_options(command, tmp_path):
    for flag in ("--help", "-h"):
        code, out, err = command(flag)
        assert (code, err) == (0, "")
        for word in ("Usage: ", "demo", "--debug", "--no-cache", "--version", "Bayesian inference for astronomy"):
            assert word in out
    assert not list(tmp_path.iterdir())


def test_help_of_the_demonstration_tells_options_defaults_and_an_example(command):
    code, out, _ = command("demo", "--help")
    assert code == 0
    for word in ("--out", "--seed", "--quiet", "[default: demo]", "bayesastro demo --out demo --seed 1", "netCDF"):
        assert word in out


def test_version(command):
    assert command("--version") == (0, f"bayesastro, version {ba.__version__}\n", "")


def test_help_needs_none_of_the_heavy_packages():
    code = "import sys; from bayesastro.cli import main; main(); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    assert "Usage: " in done.stdout
    assert not any(f"'{name}'" in done.stdout for name in ("jax", "numpyro", "matplotlib", "xarray"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fti"], "No such command 'fti'"),
        (["demo", "--sed", "1"], "No such option '--sed'|No such option: --sed"),
        (["demo", "--seed", "-1"], "Invalid value for '--seed'"),
        (["demo", "--seed", "one"], "Invalid value for '--seed'"),
        (["demo", "--seed"], "'--seed' requires an argument"),
        (["demo", "extra"], "unexpected extra argument"),
        (["demo", "--out", "file"], "Invalid value for '--out'.*file"),
    ],
)
def test_wrong_usage_has_exit_code_two(command, runs, tmp_path, arguments, message):
    (tmp_path / "file").write_text("a file")
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert "Error: " in err
    assert re.search(message, err)
    assert not runs


def test_without_a_command_the_help_is_shown(command, runs):
    _, out, err = command()
    assert "Usage: " in out + err
    assert "demo" in out + err
    assert not runs


def test_options_reach_the_demonstration(command, runs, tmp_path):
    assert command("--no-cache", "demo")[0] == 0
    assert command("--no-cache", "demo", "--out", tmp_path / "here", "--seed", "7", "--quiet")[0] == 0
    (default, first), (out, second) = runs
    assert default == Path("demo")
    assert (first["seed"], first["progress"]) == (1, True)
    assert out == tmp_path / "here"
    assert (second["seed"], second["progress"]) == (7, False)


def test_compiled_programs_are_kept_unless_told_otherwise(command, runs, monkeypatch):
    calls = []
    monkeypatch.setattr("bayesastro.compilation.enable_compilation_cache", lambda: calls.append(1))
    assert command("--no-cache", "demo")[0] == 0
    assert not calls
    assert command("demo")[0] == 0
    assert calls == [1]
    assert len(runs) == 2


# Errors


@pytest.mark.parametrize("error", [ValueError, TypeError, OSError, ImportError])
def test_an_expected_error_is_one_line_and_exit_code_one(command, monkeypatch, error):
    def fail(*_, **__):
        raise error("`x` must be positive, but -1 came.")

    monkeypatch.setattr("bayesastro.demo.run", fail)
    assert command("--no-cache", "demo") == (1, "", "bayesastro: `x` must be positive, but -1 came.\n")
    with pytest.raises(error, match="`x` must be positive"):
        command("--debug", "--no-cache", "demo")


def test_an_unforeseen_error_is_not_hidden(command, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("a defect")

    monkeypatch.setattr("bayesastro.demo.run", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        command("--no-cache", "demo")


@pytest.mark.parametrize("below", ["out", "out/further"])
def test_a_folder_that_cannot_be_written_is_refused_before_anything_runs(command, monkeypatch, tmp_path, below):
    def fail(*_, **__):
        raise AssertionError("the fits began")

    monkeypatch.setattr("bayesastro.demo.fit", fail)
    (tmp_path / "file").write_text("a file")
    code, out, err = command("--no-cache", "demo", "--out", tmp_path / "file" / below)
    assert (code, out) == (1, "")
    assert err.startswith(f"bayesastro: The output folder `{tmp_path / 'file' / below}` cannot be written to (")
    assert err.endswith("Choose another with `--out`.\n")
    assert err.count("\n") == 1
    assert contents(tmp_path) == {"file": b"a file"}


def test_exit_codes_and_tracebacks_of_the_installed_command(tmp_path):
    (tmp_path / "file").write_text("a file")
    script = Path(sys.executable).with_name("bayesastro")
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path}
    last = ["--no-cache", "demo", "--out", "file/out"]
    plain, debug = (subprocess.Popen([script, *first, *last], **options) for first in ([], ["--debug"]))
    out, err = plain.communicate(timeout=120)
    assert (plain.returncode, out) == (1, "")
    assert err.startswith("bayesastro: The output folder `file/out` cannot be written to")
    assert err.count("\n") == 1
    out, err = debug.communicate(timeout=120)
    assert (debug.returncode, out) == (1, "")
    assert err.startswith("Traceback (most recent call last)")
    assert err.splitlines()[-1].startswith("OSError: The output folder `file/out`")
    assert contents(tmp_path) == {"file": b"a file"}


# The demonstration


class Demonstration(NamedTuple):
    """Folder and printed text of two runs of the demonstration, with the folder's files destroyed between them."""

    folder: Path
    text: str
    draws: dict
    text_again: str


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory):
    plt.close("all")  # figures of other tests in this process
    folder = tmp_path_factory.mktemp("demonstration") / "made" / "by it"
    arguments = ["--no-cache", "demo", "--out", str(folder), "--seed", "3", "--quiet"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bayesastro.demo.ENGINE", ENGINE)
        first = CliRunner().invoke(cli.cli, arguments, catch_exceptions=False)
        draws = {name: ba.load(folder / name)["posterior"].to_dataset() for name in RESULTS}
        for path in folder.iterdir():
            path.write_bytes(b"destroyed")
        (folder / "notes.txt").write_text("the user's own")
        second = CliRunner().invoke(cli.cli, arguments, catch_exceptions=False)
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert first.stderr == second.stderr == ""
    return Demonstration(folder, first.stdout, draws, second.stdout)


def test_demonstration_writes_results_and_pictures_and_leaves_other_files_alone(demonstration):
    assert set(contents(demonstration.folder)) == {*RESULTS, *PICTURES, "notes.txt"}
    assert (demonstration.folder / "notes.txt").read_text() == "the user's own"
    assert not plt.get_fignums()


@pytest.mark.parametrize("name", RESULTS)
def test_results_can_be_loaded_and_are_replaced_by_a_second_run(demonstration, name):
    result = ba.load(demonstration.folder / name)
    assert set(result["posterior"].data_vars) == RESULTS[name]
    assert dict(result["posterior"].sizes) == {"chain": 2, "draw": 150}
    assert (result.attrs["seed"], result.attrs["status"], result.attrs["engine"]) == (3, "complete", "NUTS")
    assert result["posterior"].to_dataset().equals(demonstration.draws[name])  # the same seed, the same draws


def test_results_are_those_of_the_data(demonstration):
    """DESI Collaboration 2025, arXiv:2503.14738, table 5, at the precision of few draws."""
    draws = demonstration.draws["bao_lcdm.nc"]
    assert float(draws["Omega_m"].mean()) == pytest.approx(0.2975, abs=0.005)
    assert float(draws["hrd"].mean()) == pytest.approx(101.5, abs=0.5)


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_show_something(demonstration, name):
    path = demonstration.folder / name
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert path.stat().st_size > 20_000
    pixels = matplotlib.image.imread(path)
    assert min(pixels.shape[:2]) > 400
    assert 0.01 < np.mean(pixels[..., :3].min(-1) < 0.9) < 0.9  # neither blank nor filled
    assert len(np.unique((255 * pixels[..., :3]).astype(int) @ [1, 256, 65536])) > 100  # colours


def test_tables_and_diagnoses_are_printed(demonstration):
    for name in RESULTS:
        result = ba.load(demonstration.folder / name)
        assert f"{name.removesuffix('.nc')}: Problem(program: parameters " in demonstration.text
        assert str(ba.summary(result)) in demonstration.text
        assert str(ba.diagnose(result)) in demonstration.text
    assert "ess_bulk" in demonstration.text
    last = demonstration.text.splitlines()[-1]
    assert last.startswith(f"Written to {demonstration.folder}/: ")
    assert all(name in last for name in (*RESULTS, *PICTURES))
    assert demonstration.text_again == demonstration.text


@pytest.mark.parametrize("how", ["stopped after a block", "stopped at once"])
def test_interruption_keeps_what_was_written_before(command, demonstration, monkeypatch, tmp_path, how):
    folder = tmp_path / "out"
    shutil.copytree(demonstration.folder, folder)
    before = contents(folder)
    done = []

    def fit(problem, engine, *, seed, **options):
        done.append(problem)
        if len(done) == 2 and how == "stopped at once":
            raise KeyboardInterrupt
        name = list(RESULTS)[len(done) - 1]
        result = ba.load(demonstration.folder / name)
        result.attrs |= {"seed": seed, "status": "interrupted" if len(done) == 2 else "complete"}
        return result

    monkeypatch.setattr("bayesastro.demo.fit", fit)
    code, out, err = command("--no-cache", "demo", "--out", folder, "--seed", "99", "--quiet")
    assert code == 130
    assert err.strip() == "interrupted"
    assert len(done) == 2
    assert "bao_lcdm: " in out
    assert "joint_lcdm: " not in out
    assert ba.load(folder / "bao_lcdm.nc").attrs["seed"] == 99  # the fit before the interruption
    after = contents(folder)
    assert after.keys() == before.keys()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"bao_lcdm.nc"}


PASSED = SimpleNamespace(verdict="pass", attributes={"status": "complete"})


@pytest.mark.parametrize(
    ("arguments", "module", "returned", "goes_on"),
    [
        (["demo"], "demo", None, False),
        (["fit", "m:f"], "commands.fitting", SimpleNamespace(attrs={"status": "complete"}), True),
        (["train", "m:f"], "commands.training", None, True),
        (["calibrate", "m:f"], "commands.calibrating", PASSED, True),
        (["crosscheck", "m:f", "nuts", "smc"], "commands.crosschecking", "pass", False),
    ],
)
def test_the_second_ctrl_c_ends_every_command_that_takes_long(
    command, monkeypatch, arguments, module, returned, goes_on
):
    told, within = [], []

    @contextmanager
    def second_interrupt_ends(text):
        told.append(text)
        yield
        told.append("left")

    monkeypatch.setattr("bayesastro.commands.leaving.second_interrupt_ends", second_interrupt_ends)
    monkeypatch.setattr(f"bayesastro.{module}.run", lambda *_, **__: within.extend(told) or returned)
    assert command("--no-cache", *arguments) == (0, "", "")
    going_on = f"; to go on: bayesastro --no-cache {' '.join(arguments)}" if goes_on else ""
    assert within == [f"stopped at once{going_on}"]
    assert told[1:] == ["left"]


def test_warnings_are_one_line(command, monkeypatch):
    monkeypatch.setattr(
        cli.cli, "main", lambda *_, **__: print(warnings.formatwarning("a\n b", UserWarning, "file", 1))
    )
    code, out, _ = command("models")
    assert (code, out) == (0, "bayesastro: a b\n\n")
    assert warnings.formatwarning("a", UserWarning, "file", 1).startswith("file:1")
