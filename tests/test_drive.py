"""The driver: the same draws however a run is cut up, stopped, or spread; and clear words where it cannot run."""

import os
import pty
import re
import signal
import termios
import threading
import warnings
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import child
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import bayesastro as ba
from bayesastro import drive
from bayesastro.compilation import compile_clock
from bayesastro.inference.alone import compile_ahead, functions_of
from bayesastro.precision import working_precision


@pytest.fixture(scope="module")
def small():
    return ba.fit(child.problem(), child.SMALL, seed=1, progress=False)


@pytest.fixture(scope="module")
def long():
    return ba.fit(child.problem(), child.LONG, seed=1, progress=False)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.getbasetemp() / "compiled"


def same_draws(one, other):
    return one["posterior"].equals(other["posterior"]) and one["sample_stats"].equals(other["sample_stats"])


def moments_in_standard_errors(result):
    """Posterior means off the exact ones, in Monte Carlo standard errors."""
    table = ba.summary(result, ["a", "b"], digits=8)
    return (table["mean"].to_numpy() - child.moments()[0]) / table["mcse_mean"].to_numpy()


def test_posterior_is_the_exact_one(long):
    mean, covariance = child.moments()
    draws = np.stack([long["posterior"][name].values.ravel() for name in ("a", "b")])
    np.testing.assert_allclose(draws.mean(1), mean, atol=0.005)
    np.testing.assert_allclose(np.cov(draws), covariance, atol=0.05 * covariance.max())
    assert not ba.diagnose(long)


def test_same_seed_gives_identical_draws_and_another_seed_others(small):
    again = ba.fit(child.problem(), child.SMALL, seed=1, progress=False)
    other = ba.fit(child.problem(), child.SMALL, seed=2, progress=False)
    assert same_draws(small, again)
    assert not np.isin(other["posterior"]["a"].values, small["posterior"]["a"].values).any()


@pytest.mark.parametrize("block_seconds", [1e-9, 1e-3, 1e3])
def test_blocks_change_no_draw_and_compile_nothing(small, monkeypatch, block_seconds):
    monkeypatch.setattr(drive, "BLOCK_SECONDS", block_seconds)
    with compile_clock() as clock:
        assert same_draws(small, ba.fit(child.problem(), child.SMALL, seed=1, progress=False))
    assert clock.count == 0


def test_second_data_set_of_equal_shapes_compiles_nothing_and_traces_nothing():
    calls = []

    def program(x):
        calls.append(1)
        a = numpyro.sample("a", dist.Normal(0.0, 10.0))
        numpyro.sample("y", dist.Normal(a * x, 1.0).to_event(1))

    engine = ba.NUTS(num_chains=2, num_warmup=50, num_draws=60)
    problem = ba.Problem(program, child.X, observed={"y": child.Y})
    first = ba.fit(problem, engine, seed=0, progress=False)
    num_calls = len(calls)
    with compile_clock() as clock:
        second = ba.fit(problem.replace(child.X + 1, observed={"y": -child.Y}), engine, seed=0, progress=False)
    assert (clock.count, clock.seconds, len(calls)) == (0, 0.0, num_calls)
    assert first.attrs["seconds_compiling"] > 0
    assert second.attrs["seconds_compiling"] == 0
    assert second.attrs["program_fingerprint"] == first.attrs["program_fingerprint"]
    assert second.attrs["data_fingerprint"] != first.attrs["data_fingerprint"]


def test_what_is_compiled_ahead_is_not_compiled_by_the_call():
    problem, engine = child.problem(), ba.NUTS(num_chains=2, num_warmup=51, num_draws=60)
    init, advance = functions_of(engine, problem.views())
    with working_precision("double"):
        key, data = jax.random.key(1), jax.device_put(problem.data)
        arguments = (key, init(key, data, None), data, jnp.asarray(1))
        with compile_clock() as ahead:
            compile_ahead(advance, *arguments)
        with compile_clock() as after:
            advance(*arguments)
    assert ahead.count > 0
    assert after.count == 0


def test_nested_clocks_keep_to_themselves():
    with compile_clock() as outer:
        with compile_clock() as inner:
            pass
        jax.jit(lambda x: x + 1.25)(np.ones(3))
    assert outer.count == 1
    assert inner.count == 0
    with compile_clock() as here:
        worker = threading.Thread(target=lambda: jax.jit(lambda x: x - 1.25)(np.ones(3)))
        worker.start()
        worker.join()
    assert here.count == 0


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"seed": True}, "seed"),
        ({"seed": "1"}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"time_limit": 0}, "time_limit"),
        ({"time_limit": -1.0}, "time_limit"),
        ({"time_limit": float("nan")}, "time_limit"),
        ({"time_limit": "10"}, "time_limit"),
        ({"precision": "half"}, "precision"),
        ({"precision": None}, "precision"),
        ({"deterministics": ["end", "ned"]}, "ned"),
        ({"deterministics": "ned"}, "ned"),
    ],
)
def test_bad_values_are_refused_in_one_clear_sentence(options, name):
    problem = child.problem()
    with compile_clock() as clock, pytest.raises(ValueError, match=f"`{name}`") as caught:
        ba.fit(problem, child.SMALL, **{"seed": 1, "progress": False, **options})
    assert "\n" not in str(caught.value)
    assert clock.count == 0


@pytest.mark.parametrize(
    ("wanted", "asked"), [(["end", "ende"], r" Did you mean `end`\?"), (["qqq"], "")], ids=["near", "unlike"]
)
def test_misspelt_deterministic_sites_are_told_with_the_one_that_was_meant(wanted, asked):
    told = rf"^`deterministics` names `{wanted[-1]}`, but the program's deterministic sites are `end`\.{asked}$"
    with pytest.raises(ValueError, match=told):
        ba.fit(child.problem(), child.SMALL, seed=1, progress=False, deterministics=wanted)


@pytest.mark.parametrize(
    ("problem", "engine", "options", "message"),
    [
        (child.line, child.SMALL, {}, "Problem"),
        (child.problem(), "NUTS", {}, "engine"),
        (child.problem(), ba.NUTS, {}, "engine"),
        (child.problem(), child.SMALL, {"deterministics": None}, "deterministics"),
    ],
)
def test_wrong_types_are_refused(problem, engine, options, message):
    with pytest.raises(TypeError, match=message):
        ba.fit(problem, engine, seed=1, progress=False, **options)


@pytest.mark.parametrize(
    ("wanted", "kept"), [(True, ["end"]), (False, []), (["end"], ["end"]), ("end", ["end"]), ((), [])]
)
def test_deterministic_sites_are_computed_as_asked(wanted, kept):
    result = ba.fit(child.problem(), child.SMALL, seed=1, progress=False, deterministics=wanted)
    assert set(result["posterior"].data_vars) == {"a", "b", *kept}


def prior(scale):
    a = numpyro.sample("a", dist.Normal(0.0, scale))
    numpyro.factor("weight", -(a**2))


def test_draws_of_the_prior_are_told_at_the_line_of_the_fit():
    engine = ba.NUTS(num_chains=1, num_warmup=10, num_draws=4)
    problem = ba.Problem(prior, np.array(1.0), prior_factors=["weight"])
    told = "^Nothing is observed: these are draws of the prior. Give the data by site name"
    with pytest.warns(UserWarning, match=told) as caught:
        ba.fit(problem, engine, seed=1, progress=False)
    assert [Path(warning.filename).name for warning in caught] == ["test_drive.py"]
    with pytest.warns(UserWarning, match=told) as caught:
        ba.fit_many(problem, problem.batch(scale=np.ones(2)), engine, seed=1, progress=False)
    assert [Path(warning.filename).name for warning in caught] == ["test_drive.py"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ba.fit(ba.Problem(prior, np.array(1.0)), engine, seed=1, progress=False)  # a likelihood without data
        ba.fit(child.problem(), engine, seed=1, progress=False)


def scattered():
    numpyro.sample("y", dist.Normal(0.0, numpyro.sample("scatter", dist.Normal(0.0, 1.0))).expand([3]))


def test_a_scale_that_may_be_negative_is_told_at_the_line_of_the_fit():
    problem, told = (
        ba.Problem(scattered, observed={"y": np.ones(3)}),
        "^Site `y`: `scale` of its `Normal` must be positive",
    )
    engine = ba.NUTS(num_chains=1, num_warmup=10, num_draws=4)
    for fit in (ba.fit, ba.fit_many):
        data = [{"y": np.ones((2, 3))}] if fit is ba.fit_many else []
        with pytest.warns(UserWarning, match=told) as caught:
            result = fit(problem, *data, engine, seed=1, progress=False)
        assert [Path(warning.filename).name for warning in caught] == ["test_drive.py"]
        (finding,) = (finding for finding in ba.diagnose(result) if finding.id == "prior_domain")
        assert finding.level == "warning"
        assert "`scale` of its `Normal` must be positive" in finding.text
        assert "HalfNormal" in finding.remedy


def test_undefined_likelihoods_are_told_by_site():
    def overflowing(x):
        a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        numpyro.factor("fine", -(a**2))
        numpyro.factor("rooted", jnp.sqrt(a - x))

    engine = ba.NestedSampler(num_live=50, self_check=False)
    result = ba.fit(ba.Problem(overflowing, np.array(0.0)), engine, seed=1, progress=False)
    (finding,) = (finding for finding in ba.diagnose(result) if finding.id == "undefined_likelihoods")
    assert finding.where == "rooted"
    assert "site `rooted`" in finding.remedy
    with pytest.warns(UserWarning, match="^Site `y`"):
        result = ba.fit(ba.Problem(scattered, observed={"y": np.ones(3)}), engine, seed=1, progress=False)
    (finding,) = (finding for finding in ba.diagnose(result) if finding.id == "undefined_likelihoods")
    assert finding.where == "y"
    assert "`scale` of its `Normal`" in finding.text
    assert "HalfNormal" in finding.remedy


def test_settings_may_be_numpy_scalars(small):
    engine = replace(child.SMALL, num_chains=np.int64(2), num_draws=np.int32(300))
    with compile_clock() as clock:
        result = ba.fit(child.problem(), engine, seed=np.int64(1), progress=False)
    assert clock.count == 0
    assert result.attrs["settings"] == small.attrs["settings"]
    assert same_draws(result, small)


def test_time_limit_stops_with_the_draws_so_far(long, monkeypatch, tmp_path):
    monkeypatch.setattr(drive, "BLOCK_SECONDS", 0.01)
    limit, num_draws = 0.05, 0
    while not num_draws:
        limit *= 2
        result = ba.fit(child.problem(), child.LONG, seed=1, progress=False, time_limit=limit)
        num_draws = result["posterior"].sizes["draw"]
    assert result.attrs["status"] == "time limit reached"
    assert num_draws < child.LONG.num_draws
    np.testing.assert_array_equal(result["posterior"]["a"], long["posterior"]["a"][:, :num_draws])
    assert "incomplete" in ba.diagnose(result).ids
    ba.save(result, tmp_path / "part.nc")
    assert ba.load(tmp_path / "part.nc").identical(result)


def test_time_limit_in_the_warmup_gives_a_result_without_draws(tmp_path):
    result = ba.fit(child.problem(), child.LONG, seed=1, progress=False, time_limit=1e-6, log_likelihood=True)
    assert result.attrs["status"] == "time limit reached"
    assert result["posterior"].sizes["draw"] == 0
    (finding,) = ba.diagnose(result)
    assert finding.id == "incomplete"
    assert "with 0 draws" in finding.text
    with pytest.raises(ValueError, match="no draws"):
        ba.summary(result)
    for name in ("none.nc", "none.zarr"):
        ba.save(result, tmp_path / name)
        assert ba.load(tmp_path / name).identical(result)


def test_interruption_returns_the_draws_so_far(long, cache, tmp_path):
    process = child.start(cache, out=tmp_path / "part.nc")
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "sampling" in line:
            process.send_signal(signal.SIGINT)
            break
    rest = process.stderr.read()
    assert process.wait(60) == 0, "".join(lines) + rest
    assert "stopping after this block; press Ctrl-C again" in rest
    result = ba.load(tmp_path / "part.nc")
    num_draws = result["posterior"].sizes["draw"]
    assert result.attrs["status"] == "interrupted"
    assert 0 < num_draws < child.LONG.num_draws
    np.testing.assert_array_equal(result["posterior"]["a"], long["posterior"]["a"][:, :num_draws])
    assert "incomplete" in ba.diagnose(result).ids


def test_interrupt_handler_is_put_back(small):
    before = signal.getsignal(signal.SIGINT)
    ba.fit(child.problem(), child.SMALL, seed=1, progress=False)
    assert signal.getsignal(signal.SIGINT) is before


def test_fit_works_in_another_thread(small):
    found = []
    worker = threading.Thread(target=lambda: found.append(ba.fit(child.problem(), child.SMALL, seed=1, progress=False)))
    worker.start()
    worker.join(60)
    assert same_draws(found[0], small)


def test_density_finite_nowhere_names_the_site():
    def program(x):
        a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        numpyro.sample("fine", dist.Normal(a, 1.0))
        numpyro.factor("hopeless", jnp.where(a < 1e6, -jnp.inf, 0.0) * x.sum())

    problem = ba.Problem(program, np.ones(3), observed={"fine": 0.0})
    with pytest.raises(ValueError, match="`hopeless`") as caught:
        ba.fit(problem, ba.NUTS(num_chains=2, num_warmup=20, num_draws=20), seed=1, progress=False)
    assert "`fine`" not in str(caught.value)


def test_inputs_are_left_as_they_were(small):
    x, y = child.X.copy(), child.Y.copy()
    x.flags.writeable = y.flags.writeable = False
    problem = child.problem(y, x)
    result = ba.fit(problem, child.SMALL, seed=1, progress=False)
    np.testing.assert_array_equal(x, child.X)
    np.testing.assert_array_equal(y, child.Y)
    assert same_draws(result, small)


def test_global_precision_is_left_as_it_was():
    assert not jax.config.jax_enable_x64
    result = ba.fit(child.problem(), child.SMALL, seed=1, progress=False)
    assert not jax.config.jax_enable_x64
    assert jnp.ones(2).dtype == jnp.float32
    assert result["posterior"]["a"].dtype == np.float64


def test_single_precision_gives_floats_of_that_size_and_the_same_posterior():
    result = ba.fit(child.problem(), child.SMALL, seed=1, progress=False, precision="single")
    assert {v.dtype for v in result["posterior"].data_vars.values()} == {np.dtype("float32")}
    assert result.attrs["precision"] == "single"
    assert np.abs(moments_in_standard_errors(result)).max() < 5


def test_chains_spread_over_two_devices(small, cache, tmp_path):
    process = child.start(cache, devices=2, out=tmp_path / "two.nc", num_draws=2000, progress=False)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    result = ba.load(tmp_path / "two.nc")
    assert result.attrs["device"] == "2 × cpu"
    assert small.attrs["device"] == "1 × cpu"
    assert dict(result["posterior"].sizes) == {"chain": 2, "draw": 2000}
    assert np.abs(moments_in_standard_errors(result)).max() < 5
    assert not ba.diagnose(result)


def test_progress_is_plain_lines_where_there_is_no_terminal(capsys):
    ba.fit(child.problem(), child.SMALL, seed=1)
    lines = [line for line in capsys.readouterr().err.splitlines() if "so far" not in line]
    assert lines[:2] == ["NUTS: compiling and starting", "NUTS: the first block"]
    assert re.fullmatch(r"NUTS: sampling 400/400(, [\d.e+]+ (steps/s|s per step))?, \d+ divergences", lines[-1])
    assert not any("\r" in line for line in lines)


def test_an_interruption_while_it_compiles_ends_after_one_step(monkeypatch, capsys, tmp_path):
    with monkeypatch.context() as patch:
        patch.setattr("bayesastro.drive.interruptions", lambda reporter: nullcontext(lambda: True))
        part = ba.fit(child.problem(), child.SMALL, seed=1, checkpoint=tmp_path / "run")
    assert part.attrs["status"] == "interrupted"
    assert capsys.readouterr().err.splitlines()[-1].startswith("NUTS: warm-up 1/400")
    whole = ba.fit(child.problem(), child.SMALL, seed=1, checkpoint=tmp_path / "run", progress=False)
    assert whole["posterior"].equals(ba.fit(child.problem(), child.SMALL, seed=1, progress=False)["posterior"])


def test_progress_can_be_silent(capfd):
    ba.fit(child.problem(), child.SMALL, seed=1, progress=False)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_progress_is_a_bar_on_a_terminal(cache):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 120))
    process = child.start(cache, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # how a pseudo-terminal says that the other end is closed
        pass
    finally:
        os.close(ours)
    assert process.wait(60) == 0
    text = shown.decode()
    total = child.LONG.num_warmup + child.LONG.num_draws
    assert text.startswith("\rNUTS: compiling")
    bar = rf"NUTS sampling:\s+\d+%\|.*\| \d+/{total}, [\d.e+]+ steps/s, \d+ s to go, \d+ divergences, \d\d:\d\d"
    assert re.search(bar, text)
    assert f"{total}/{total}" in text
    assert text.count("\n") <= 2
