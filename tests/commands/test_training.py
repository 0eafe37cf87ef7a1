"""`bayesastro train`: a bank, networks that are an engine for every command, mistakes in one line."""

import json
import re
from contextlib import nullcontext

import numpy as np
import pytest

import bayesastro as ba
from bayesastro.commands.naming import engine_named

MODEL = """
import numpyro, numpyro.distributions as dist, numpy as np
import bayesastro as ba


def program():
    a = numpyro.sample("a", dist.Normal(0.0, 1.0))
    numpyro.sample("y", dist.Normal(a, 1.0).expand([3]).to_event(1))


def build():
    return ba.Problem(program, observed={"y": np.array([0.5, 1.0, 1.5])})
"""

QUICK = ("--num", 2000, "--set", "max_epochs=12", "--set", "hidden=16", "--quiet")


@pytest.fixture
def run(command_in_module):
    """A command, in a folder with a model of its own."""
    return command_in_module("drawn", MODEL)


def test_what_is_trained_is_an_engine_for_every_command(run, tmp_path):
    code, out, err = run("train", "drawn:build", *QUICK)
    assert (code, err) == (0, "")
    assert "2000 rows" in out
    assert re.search(r"network 1: validation loss -?\d.* in epoch \d+ of 1?\d, ended by ", out)
    assert "To use it: bayesastro fit drawn:build --engine trained/network" in out
    assert out.endswith("Written to trained/: bank, network\n")
    options = ("--engine", "trained/network", "--set", "num_draws=400", "--set", "num_chains=2", "--quiet")
    assert run("fit", "drawn:build", *options)[0] == 0
    posterior = ba.load(tmp_path / "fit" / "result.nc")["posterior"]
    assert dict(posterior.sizes) == {"chain": 2, "draw": 400}
    # In closed form the mean is 0.75 and the sd 0.5; a network of twelve epochs is within a third of the sd.
    assert float(posterior["a"].mean()) == pytest.approx(0.75, abs=0.17)
    assert float(posterior["a"].std()) == pytest.approx(0.5, abs=0.1)


def test_in_json_and_by_a_ratio(run, tmp_path):
    code, out, _ = run("train", "drawn:build", "--method", "NRE", *QUICK[:4], "--quiet", "--json", "--out", "ratio")
    told = json.loads(out)
    assert code == 0
    assert (told["method"], told["simulations"], told["written"]) == ("NRE", 2000, ["ratio/bank", "ratio/network"])
    assert np.isfinite(told["networks"][0]["validation_loss"])
    engine = engine_named(str(tmp_path / "ratio" / "network"), ["num_particles=64"])
    assert isinstance(engine, ba.Surrogate)
    assert engine.engine == ba.SMC(num_particles=64)
    with pytest.raises(ValueError, match="`--set patience=3`: give NAME=VALUE with a setting of `SMC`: num_islands"):
        engine_named(str(tmp_path / "ratio" / "network"), ["patience=3"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["drawn:build", "--method", "npp"],
            "There is no method `npp`; there are `npe`, `nle`, `nre`. Did you mean `npe`",
        ),
        (["drawn:build", "--set", "epochs=3"], "`--set epochs=3`: give NAME=VALUE with a setting of `NPE`: "),
        (["drawn:nothing"], "There is no function `nothing` in `drawn`"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_one(run, arguments, message):
    code, out, err = run("train", *arguments)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert message in err


def test_a_folder_of_other_simulations_is_told_by_the_option(run, monkeypatch):
    monkeypatch.setattr("bayesastro.inference.neural.npe.NPE.train", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("train", "drawn:build", *QUICK)
    code, _, err = run("train", "drawn:build", *QUICK, "--seed", 2)
    assert code == 1
    assert err.endswith("Give another `--out`, or delete it.\n")


def test_a_folder_without_an_engine_is_refused(run, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    code, _, err = run("fit", "drawn:build", "--engine", "empty")
    assert code == 1
    assert err.count("\n") == 1
    monkeypatch.setattr("bayesastro.commands.naming.load", lambda folder: object())
    assert "`empty` holds a `object`, which is no engine" in run("fit", "drawn:build", "--engine", "empty")[2]


def test_a_place_that_is_taken_is_told_before_anything_is_simulated(run, tmp_path, monkeypatch):
    monkeypatch.setattr("bayesastro.commands.training.simulate", lambda *_, **__: 1 / 0)
    (tmp_path / "trained" / "network").mkdir(parents=True)
    (tmp_path / "trained" / "network" / "thesis.tex").write_text("the user's own")
    code, out, err = run("train", "drawn:build", *QUICK)
    assert (code, out) == (1, "")
    assert err == (
        "bayesastro: `trained/network` exists and holds no saved network. Choose another folder. Name it with `--out`.\n"
    )
    assert [path.name for path in (tmp_path / "trained").iterdir()] == ["network"]


def test_simulations_that_were_interrupted_are_not_trained_on(run, monkeypatch):
    monkeypatch.setattr("bayesastro.inference.neural.npe.NPE.train", lambda *_, **__: 1 / 0)
    monkeypatch.setattr("bayesastro.banks.simulation.interruptions", lambda reporter: nullcontext(lambda: True))
    with pytest.warns(UserWarning, match="`simulate` was stopped at"):
        code, out, err = run("train", "drawn:build", "--num", 10**6, "--quiet")
    assert (code, out) == (130, "")
    assert err == "interrupted; to go on: bayesastro --no-cache train drawn:build --num 1000000 --quiet\n"
