"""Checkpoints: a run killed at any moment goes on bit by bit; what is damaged or another's is refused and left alone."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import child
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import bayesastro as ba
from bayesastro import drive
from bayesastro.checkpoint import Checkpoint, write_atomically
from bayesastro.compilation import compile_clock
from bayesastro.inference import engines

AT_ONCE = 1e-6
"""A time limit that ends after one block."""


@pytest.fixture(scope="module")
def small():
    return ba.fit(child.problem(), child.SMALL, seed=1, progress=False)


@pytest.fixture
def eager(monkeypatch):
    """Small blocks, and a checkpoint after each."""
    monkeypatch.setattr(drive, "BLOCK_SECONDS", 0.002)
    monkeypatch.setattr(drive, "CHECKPOINT_SECONDS", 0.0)


@pytest.fixture(scope="module")
def finished(small, tmp_path_factory):
    """The folder of a finished run, in several files; not to be changed."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drive, "BLOCK_SECONDS", 0.002)
        patch.setattr(drive, "CHECKPOINT_SECONDS", 0.0)
        go_on(folder)
    assert len(list(folder.glob("rows-*.npz"))) > 2
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of the finished run's folder."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def go_on(folder, problem=None, engine=child.SMALL, **options):
    return ba.fit(
        problem if problem is not None else child.problem(),
        engine,
        **{"seed": 1, "progress": False, "checkpoint": folder, **options},
    )


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def same_draws(one, other):
    return one["posterior"].equals(other["posterior"]) and one["sample_stats"].equals(other["sample_stats"])


def test_run_with_checkpoint_equals_run_without(small, eager, tmp_path):
    result = go_on(tmp_path / "new" / "run")
    assert same_draws(result, small)
    assert {path.name for path in (tmp_path / "new" / "run").iterdir()} >= {"run.json", "rows-000001.npz", "state.npz"}


@pytest.mark.parametrize("hash_seed", ["1", pytest.param("6", marks=pytest.mark.slow)])
def test_identity_is_the_same_in_every_process(hash_seed):
    script = "import child; print(child.problem().fingerprint)"
    found = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(child.__file__).parent,
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == child.problem().fingerprint


def test_killed_run_continues_bit_by_bit(tmp_path, tmp_path_factory):
    cache, run, out = tmp_path_factory.getbasetemp() / "compiled", tmp_path / "run", tmp_path / "out.nc"
    delays = random.Random(0)
    for mark, longest in [("compiling", 1.0), ("warm-up", 0.05), ("sampling", 0.3)]:
        process = child.start(cache, checkpoint=run)
        for line in process.stderr:
            if mark in line:
                time.sleep(delays.uniform(0.0, longest))
                break
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
    process = child.start(cache, checkpoint=run, out=out)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "going on from" in errors
    result = ba.load(out)
    assert result.attrs["status"] == "complete"
    assert same_draws(result, ba.fit(child.problem(), child.LONG, seed=1, progress=False))


@pytest.mark.slow
@pytest.mark.parametrize("engine", [name for name in child.LONGS if name != "NUTS"])
def test_killed_run_of_any_engine_continues_bit_by_bit(engine, tmp_path, tmp_path_factory):
    cache, run, out = tmp_path_factory.getbasetemp() / "compiled", tmp_path / "run", tmp_path / "out.nc"
    delays = random.Random(0)
    for _ in range(3):
        process = child.start(cache, engine=engine, checkpoint=run)
        for line in process.stderr:
            if re.search(r"\d+/\d+", line):
                time.sleep(delays.uniform(0.0, 0.3))
                break
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
    process = child.start(cache, engine=engine, checkpoint=run, out=out)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "going on from" in errors
    assert same_draws(ba.load(out), ba.fit(child.problem(), child.LONGS[engine], seed=1, progress=False))


def test_every_engine_is_killed():
    assert {type(engine) for engine in child.LONGS.values()} == set(engines())


def test_run_stopped_after_every_block_equals_the_whole(small, eager, tmp_path):
    num_draws = []
    for _ in range(1000):
        result = go_on(tmp_path / "run", time_limit=AT_ONCE)
        num_draws.append(result["posterior"].sizes["draw"])
        if result.attrs["status"] == "complete":
            break
    assert num_draws == sorted(num_draws)
    assert num_draws[0] == 0
    assert len(num_draws) > 3
    assert same_draws(result, small)


def test_finished_run_is_returned_without_sampling(small, folder, capsys):
    before = contents(folder)
    result = go_on(folder, progress=True)
    assert same_draws(result, small)
    assert result.attrs["status"] == "complete"
    assert contents(folder) == before
    assert [line.split("`")[0] for line in capsys.readouterr().err.splitlines()] == ["NUTS: going on from "]


def other_prior(x, sigma):
    a = numpyro.sample("a", dist.Normal(0.0, 11.0))
    b = numpyro.sample("b", dist.Normal(0.0, 10.0))
    numpyro.deterministic("end", a + b)
    with numpyro.plate("point", len(x)):
        numpyro.sample("y", dist.Normal(a + b * x, sigma))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"seed": 2}, "seed"),
        ({"problem": child.problem(child.Y + 1)}, "data_fingerprint"),
        ({"problem": child.problem(x=child.X * 2)}, "data_fingerprint"),
        ({"problem": ba.Problem(other_prior, child.X, 0.3, observed={"y": child.Y})}, "program_fingerprint"),
        ({"engine": replace(child.SMALL, num_draws=301)}, "num_draws"),
        ({"engine": replace(child.SMALL, target_accept=0.9)}, "target_accept"),
        ({"precision": "single"}, "precision"),
    ],
)
def test_another_runs_checkpoint_is_refused_by_what_differs(folder, options, name):
    before = contents(folder)
    with compile_clock() as clock, pytest.raises(ValueError, match="belongs to another run") as caught:
        go_on(folder, **options)
    assert f"`{name}`" in str(caught.value)
    if "program" not in name:
        assert str(caught.value).count(" there, ") == 1
    assert clock.count == 0
    assert contents(folder) == before


def test_other_engine_and_versions_are_named(tmp_path):
    identity = {"engine": "NUTS", "settings": {"num_draws": 3, "thin": 1}, "versions": {"jax": "0.10"}}
    Checkpoint(tmp_path, identity).open()
    other = {"engine": "Pathfinder", "settings": {"num_draws": 4, "thin": 1}, "versions": {"jax": "0.11"}}
    with pytest.raises(ValueError, match=r"`engine`.*`num_draws` \(3 there, 4 here\).*`jax`") as caught:
        Checkpoint(tmp_path, other).open()
    assert "thin" not in str(caught.value)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def flip_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x41
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [truncate, empty, flip_byte, Path.unlink])
@pytest.mark.parametrize("name", ["rows-000001.npz", "rows-000002.npz", "state.npz", "run.json"])
def test_damaged_checkpoint_is_refused_and_left_alone(folder, name, damage):
    damage(folder / name)
    before = contents(folder)
    with pytest.raises(ValueError, match=r"Give `checkpoint` another folder") as caught:
        go_on(folder)
    assert f"`{name}`" in str(caught.value) or (damage is Path.unlink and "holds no checkpoint" in str(caught.value))
    assert str(folder) in str(caught.value)
    assert contents(folder) == before


def test_every_flipped_byte_of_the_state_is_noticed(folder):
    content = (folder / "state.npz").read_bytes()
    for place in random.Random(0).sample(range(len(content)), 30):
        changed = bytearray(content)
        changed[place] ^= 1
        (folder / "state.npz").write_bytes(changed)
        with pytest.raises(ValueError, match=r"damaged: `state\.npz`"):
            go_on(folder)


def test_folder_with_other_content_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("All of it.")
    with compile_clock() as clock, pytest.raises(ValueError, match="not empty and holds no checkpoint"):
        go_on(tmp_path)
    assert clock.count == 0
    assert contents(tmp_path) == {"thesis.tex": b"All of it."}


def test_unwritable_folder_fails_before_anything_is_compiled(tmp_path):
    (tmp_path / "file").write_text("")
    engine = ba.NUTS(num_chains=2, num_warmup=11, num_draws=11)
    for place in (tmp_path / "file" / "run", tmp_path / "file"):
        with compile_clock() as clock, pytest.raises(OSError, match="file"):
            go_on(place, engine=engine)
        assert clock.count == 0


def test_crash_between_rows_and_state_costs_only_those_rows(small, eager, tmp_path):
    run, rows = tmp_path / "run", []
    while len(rows) < 2:
        before = contents(run) if run.exists() else {}
        go_on(run, time_limit=AT_ONCE)
        rows = sorted(run.glob("rows-*.npz"))
    (run / "state.npz").write_bytes(before["state.npz"])
    assert same_draws(go_on(run), small)


def test_crash_before_the_first_state_begins_anew(small, eager, folder):
    for path in folder.iterdir():
        if path.name not in ("run.json", "rows-000001.npz"):
            path.unlink()
    assert same_draws(go_on(folder), small)


@pytest.mark.parametrize("name", [".run.json.7.unfinished", ".state.npz.7.unfinished"])
def test_unfinished_file_of_a_killed_run_is_no_hindrance(small, name, finished, tmp_path):
    (tmp_path / name).write_bytes(b"{")
    if "state" in name:
        (tmp_path / "run.json").write_bytes((finished / "run.json").read_bytes())
    assert same_draws(go_on(tmp_path), small)


def test_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    (tmp_path / "kept").write_bytes(b"old")
    with pytest.raises(TypeError):
        write_atomically(tmp_path / "kept", "no bytes")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_atomically(tmp_path / "folder", b"new")
    assert {path.name for path in tmp_path.iterdir()} == {"kept", "folder"}
    assert (tmp_path / "kept").read_bytes() == b"old"


def test_numpy_dtypes_survive(tmp_path):
    rows = {"flag": np.array([True, False]), "count": np.arange(2), "x": np.ones((2, 3), np.float32)}
    leaves = [np.float64(1.5), np.zeros((0, 2)), np.array(3, np.uint32)]
    first = Checkpoint(tmp_path, {"seed": 1})
    assert first.open() is None
    first.append(leaves, rows)
    found = Checkpoint(tmp_path, {"seed": 1}).open()
    assert found is not None
    for there, here in zip(found[0], leaves, strict=True):
        assert there.dtype == here.dtype
        np.testing.assert_array_equal(there, here)
    (block,) = found[1]
    assert {name: array.dtype for name, array in block.items()} == {name: a.dtype for name, a in rows.items()}
