"""Many data sets: batches, chunks, failures, and the same answers as one by one."""

import dataclasses
import os
import re
import signal
import threading
import time

import arviz_stats
import child
import distributed
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import planted
import pytest
import xarray as xr
from matrix import Z
from numpyro.handlers import mask as masked

import bayesastro as ba
from bayesastro import chunks, drive, many, many_checkpoint
from bayesastro.compilation import compile_clock
from bayesastro.inference import engines
from bayesastro.starting import draws_fingerprint

ENGINE = ba.NUTS(num_chains=2, num_warmup=200, num_draws=200)
NUM = 5
RNG = np.random.default_rng(4)
Y = 0.5 + 2.0 * child.X + child.SIGMA * RNG.normal(size=(NUM, len(child.X)))


@pytest.fixture(scope="module")
def together():
    return ba.fit_many(child.problem(), {"y": Y}, ENGINE, seed=3, chunk=2, progress=False)


def exact_means(y):
    design = np.stack([np.ones_like(child.X), child.X], axis=1)
    precision = design.T @ design / child.SIGMA**2 + np.eye(2) / child.PRIOR_SD**2
    return np.linalg.solve(precision, design.T @ y.T / child.SIGMA**2)


def test_each_data_set_has_its_own_posterior(together):
    posterior = together["posterior"].to_dataset()
    assert posterior["a"].dims == ("dataset", "chain", "draw")
    assert posterior.sizes == {"dataset": NUM, "chain": 2, "draw": 200}
    error = arviz_stats.mcse(posterior, method="mean")
    for name, exact in zip("ab", exact_means(Y), strict=True):
        off = np.abs(posterior[name].mean(("chain", "draw")) - exact) / error[name]
        assert (off < Z).all()
    np.testing.assert_allclose(posterior["end"], posterior["a"] + posterior["b"])


def test_groups_and_attributes(together):
    assert together["observed_data"]["y"].dims == ("dataset", "point")
    np.testing.assert_array_equal(together["observed_data"]["y"], Y)
    assert together["constant_data"]["x"].shape == child.X.shape
    assert not together["fits"]["failed"].any()
    assert together["fits"]["num_gradients"].dims == ("dataset",)
    assert (together.attrs["status"], together.attrs["num_failed"], together.attrs["engine"]) == ("complete", 0, "NUTS")
    assert together["sample_stats"]["diverging"].shape == (NUM, 2, 200)


def test_all_fits_are_diagnosed_together(together):
    diagnosis = ba.diagnose(together)
    for name, numbers in diagnosis.datasets.items():
        assert all(name in ba.diagnose(together, dataset=int(number)).ids for number in numbers)
    assert not {"failed", "incomplete", "divergences", "stuck"} & set(diagnosis.ids)


@pytest.mark.slow
def test_draws_do_not_depend_on_the_chunks(together):
    """Chunks of other sizes are other programs, which round differently; the first transitions still agree."""
    other = ba.fit_many(child.problem(), {"y": Y}, ENGINE, seed=3, chunk=3, progress=False)
    error = arviz_stats.mcse(together["posterior"].to_dataset(), method="mean")
    difference = (other["posterior"].to_dataset() - together["posterior"].to_dataset()).mean(("chain", "draw"))
    assert all((np.abs(difference[name]) < 1.5 * Z * error[name]).all() for name in "ab")


def test_progress_counts_the_data_sets_that_are_finished(capsys, monkeypatch, eager):
    monkeypatch.setattr("bayesastro.progress.LINE_INTERVAL", 0.0)
    ba.fit_many(child.problem(), {"y": Y}, ENGINE, seed=3, chunk=2)
    lines = [line for line in capsys.readouterr().err.splitlines() if "so far" not in line]
    assert lines[:2] == ["NUTS × 5: compiling and starting", "NUTS × 5: the first block"]
    assert sum("first block" in line for line in lines) == 1
    lines = [line for line in lines if "data sets" in line]
    counts = [int(re.match(r"NUTS × 5: data sets (\d)/5", line)[1]) for line in lines]
    assert counts == sorted(counts)
    assert set(counts) == {0, 2, 4, 5}
    assert re.fullmatch(r"NUTS × 5: data sets 0/5 done, the next 2 together: \d+ %", lines[0])
    assert not any("without draws" in line for line in lines)
    assert "data sets/s" in lines[-1]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Telling(planted.Planted):
    """Has figures that are arrays, of one length and of others, and words."""

    def finish(self, views, state, rows):
        draws = super().finish(views, state, rows)
        several = 2 + int(abs(draws.coordinates[0, 0, 0]) * 1e6) % 2 if self.defect == "shifted" else 2
        figures = {"number": 3, "rates": np.array([0.25, 0.75]), "steps": np.arange(several), "word": "none"}
        return dataclasses.replace(draws, attributes=figures)


@pytest.mark.parametrize(("defect", "kept"), [("none", {"number", "rates", "steps"}), ("shifted", {"number", "rates"})])
@pytest.mark.parametrize("chunk", [1, 16])
def test_figures_of_equal_shapes_are_kept(defect, kept, chunk):
    y = planted.simulated(16, np.random.default_rng(0))[1]
    engine = Telling(num_draws=50, defect=defect)
    result = ba.fit_many(planted.problem(), {"y": y}, engine, seed=1, chunk=chunk, progress=False)
    assert set(result["fits"].data_vars) == kept | {"failed", "reached", "started"}
    assert result["fits"]["rates"].dims == ("dataset", "rates_dim_0")
    np.testing.assert_array_equal(result["fits"]["rates"], np.tile([0.25, 0.75], (16, 1)))
    assert not {"number", "rates"} & set(result.isel(dataset=3)["posterior"].data_vars)
    ba.diagnose(result)


def test_the_second_batch_compiles_nothing(together):
    batch = child.problem().batch(observed={"y": Y + 1.0})
    with compile_clock() as clock:
        ba.fit_many(child.problem(), batch, ENGINE, seed=4, chunk=2, progress=False)
    assert clock.count == 0


def curve(t, sigma, is_real):
    level = numpyro.sample("level", dist.Normal(0.0, 10.0))
    with numpyro.plate("time", t.shape[0]), masked(mask=is_real):
        numpyro.sample("flux", dist.Normal(level, sigma))


@pytest.fixture(scope="module")
def ragged():
    times = [np.arange(float(n)) for n in (6, 4, 9)]
    fluxes = [RNG.normal(3.0, 0.5, len(t)) for t in times]
    problem = ba.Problem(curve, times[0], 0.5, np.ones(6, bool), observed={"flux": fluxes[0]})
    return problem, times, fluxes


def test_data_sets_of_unequal_length_are_padded_and_masked(ragged):
    problem, times, fluxes = ragged
    batch = problem.batch(t=times, observed={"flux": fluxes}, mask="is_real")
    assert batch.data.arrays[0].shape == (3, 9)
    np.testing.assert_array_equal(batch.data.arrays[1].sum(1), [6, 4, 9])
    theta = {"level": np.array(2.0)}
    for i, flux in enumerate(fluxes):
        alone = ba.Problem(curve, times[i], 0.5, np.ones(len(flux), bool), observed={"flux": flux})
        one, other = (p.log_likelihood(theta)["flux"].sum() for p in (batch[i], alone))
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_unequal_lengths_need_a_mask(ragged):
    problem, times, fluxes = ragged
    with pytest.raises(ValueError, match=r"differ in length\. Give `mask`"):
        problem.batch(t=times, observed={"flux": fluxes})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs at least one array"),
        ({"X": [child.X]}, "was given `X`, but the program's array arguments are .*Did you mean `x`"),
        ({"observed": {"Y": Y}}, "`observed` names `Y`.*Did you mean `y`"),
        ({"x": np.asarray(1.0)}, "needs the argument `x` with the data sets along its leading axis, but one number"),
        ({"x": np.stack([child.X] * 2), "observed": {"y": Y}}, "same number of data sets, but they hold: `x` 2, `y` 5"),
        ({"observed": {"y": Y[:, :-1]}}, "has shape"),
        ({"observed": {"y": np.where(np.arange(NUM)[:, None] == 3, np.nan, Y)}}, r"non-finite value.*index \(3, 0\)"),
    ],
)
def test_bad_batches_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        child.problem().batch(**options)


def test_arguments_of_any_name_are_stacked():
    """Also those called as `batch`'s own keywords, and the fields of trees."""

    def program(mask, lens):
        x = numpyro.sample("x", dist.Normal(0.0, 1.0))
        with numpyro.handlers.mask(mask=mask):
            numpyro.sample("y", dist.Normal(x * lens["q"], 1.0).expand([3]))

    problem = ba.Problem(program, np.ones(3, bool), {"q": np.array(0.5)}, observed={"y": np.zeros(3)})
    masks, ratios = np.array([[True, True, False], [True, False, False]]), np.array([0.7, 0.9])
    batch = problem.batch({"mask": masks, "lens.q": ratios}, observed={"y": np.ones((2, 3))})
    for i, one in enumerate((batch[0], batch[1])):
        np.testing.assert_array_equal(one.covariates["mask"], masks[i])
        assert one.covariates["lens.q"] == ratios[i]
    with pytest.raises(ValueError, match=r"`q`, but the program's array arguments are"):
        problem.batch({"q": ratios})


def test_a_value_outside_its_domain_is_named_with_its_data_set():
    def program(sigma):
        mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(mean, sigma).to_event(1))

    problem = ba.Problem(program, np.ones(3), observed={"y": np.zeros(3)})
    sigma = np.ones((4, 3))
    problem.batch(sigma=sigma)
    sigma[2, 1] = 0.0
    with pytest.raises(ValueError, match="Data set 2 of the batch: Site `y`: `scale`"):
        problem.batch(sigma=sigma)


def test_a_failed_fit_is_reported_and_the_others_stand():
    def program(limit):
        x = numpyro.sample("x", dist.Normal(0.0, 1.0))
        numpyro.factor("cut", jax.numpy.where(x < limit, 0.0, -jax.numpy.inf))

    problem = ba.Problem(program, np.array(1.0))
    result = ba.fit_many(
        problem,
        problem.batch(limit=np.array([1.0, -50.0, 2.0])),
        ba.NUTS(num_warmup=50, num_draws=50),
        seed=0,
        progress=False,
    )
    np.testing.assert_array_equal(result["fits"]["failed"], [False, True, False])
    np.testing.assert_array_equal(result["fits"]["started"], [True, False, True])
    assert result.attrs["num_failed"] == 1
    assert np.isnan(result["posterior"]["x"][1]).all()
    assert np.isfinite(result["posterior"]["x"][[0, 2]]).all()
    np.testing.assert_array_equal(ba.diagnose(result).datasets["failed"], [1])


def test_bounds_of_priors_are_known_where_all_data_sets_share_them():
    def program(sigma):
        x = numpyro.sample("x", dist.Uniform(0.0, 10.0))
        numpyro.sample("y", dist.Normal(x, sigma))

    problem = ba.Problem(program, np.array(1.0), observed={"y": 5.0})
    engine = ba.NUTS(num_warmup=100, num_draws=100)
    result = ba.fit_many(problem, {"y": np.array([5.0, -3.0])}, engine, seed=0, progress=False)
    assert result["posterior"]["x"].attrs["prior_upper"] == 10.0
    np.testing.assert_array_equal(ba.diagnose(result).datasets["prior_edge"], [1])


def test_a_checkpoint_keeps_finished_chunks(tmp_path, monkeypatch, together):
    fitted = []
    fit_chunk = many.fit_chunk
    monkeypatch.setattr(many, "fit_chunk", lambda *args: fitted.append(list(args[3])) or fit_chunk(*args))
    arguments = (child.problem(), {"y": Y}, ENGINE)
    options = {"seed": 3, "chunk": 2, "progress": False, "checkpoint": tmp_path / "run"}
    part = ba.fit_many(*arguments, **options, time_limit=1e-6)
    assert part.attrs["status"] == "0 of 5 data sets reached"
    assert part["fits"]["failed"].all()
    assert ba.diagnose(part).ids == ("incomplete",)
    limited = iter([True, True, False, False, False])
    monkeypatch.setattr(many, "interruptions", lambda reporter: _Stop(limited))
    ba.fit_many(*arguments, **options)
    assert fitted[:1] == [[0, 1]]
    monkeypatch.undo()
    whole = ba.fit_many(*arguments, **options)
    assert whole.attrs["status"] == "complete"
    assert whole["posterior"].equals(together["posterior"])
    with pytest.raises(ValueError, match=r"belongs to another run.*`seed`"):
        ba.fit_many(*arguments, **{**options, "seed": 4})


@pytest.fixture
def eager(monkeypatch):
    """Small blocks, and what they made kept after each."""
    monkeypatch.setattr(drive, "BLOCK_SECONDS", 0.005)
    monkeypatch.setattr(drive, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(many_checkpoint, "REST", 0)


def stopped_after(monkeypatch, blocks):
    """Runs are interrupted after so many blocks."""
    monkeypatch.setattr(many, "interruptions", lambda reporter: _Stop(iter([True] * blocks)))


def test_a_chunk_interrupted_goes_on_bit_by_bit(tmp_path, monkeypatch, eager, together):
    arguments = (child.problem(), {"y": Y}, ENGINE)
    options = {"seed": 3, "chunk": 2, "progress": False, "checkpoint": tmp_path / "run"}
    reached = []
    for _ in range(1000):
        stopped_after(monkeypatch, 3)
        result = ba.fit_many(*arguments, **options)
        reached.append(int(result["fits"]["reached"].sum()))
        assert (tmp_path / "run" / "chunk").exists() or reached[-1] > 0
        if reached[-1] == NUM:
            break
    assert len(reached) > 4
    assert reached == sorted(reached)
    assert reached[0] == 0
    assert whole_is(result, together)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"run.json", "state.npz", *rows_files(3)}


def test_an_interruption_while_it_compiles_ends_before_the_first_block(tmp_path, monkeypatch, together):
    arguments = (child.problem(), {"y": Y}, ENGINE)
    options = {"seed": 3, "chunk": 2, "progress": False, "checkpoint": tmp_path / "run"}
    stopped_after(monkeypatch, 2)
    ba.fit_many(*arguments, **options)
    assert {path.name for path in (tmp_path / "run" / "chunk").iterdir()} == {"run.json", "state.npz"}
    monkeypatch.undo()
    assert whole_is(ba.fit_many(*arguments, **options), together)


def test_a_run_whose_time_limit_ends_while_it_compiles_gets_on(tmp_path, monkeypatch):
    options = {"seed": 3, "chunk": 2, "progress": False, "checkpoint": tmp_path / "run"}
    with monkeypatch.context() as patch:
        stopped_after(patch, 2)
        ba.fit_many(child.problem(), {"y": Y}, ENGINE, **options)
    state = tmp_path / "run" / "chunk" / "state.npz"
    before = state.read_bytes()
    ahead, now, later = chunks.compile_ahead, time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now() + later[0])
    monkeypatch.setattr(chunks, "compile_ahead", lambda *args: (ahead(*args), later.__setitem__(0, 2000.0)))
    ba.fit_many(child.problem(), {"y": Y}, ENGINE, **options, time_limit=1000.0)
    assert state.read_bytes() != before


def rows_files(number):
    return {f"rows-{i:06d}.npz" for i in range(1, number + 1)}


def whole_is(result, other):
    return all(result[name].equals(other[name]) for name in ("posterior", "sample_stats", "fits"))


def test_a_chunk_killed_goes_on_from_what_was_last_written(tmp_path, monkeypatch, eager, together):
    """A kill between two writings leaves an older state, or no state at all."""
    options = {"seed": 3, "chunk": 2, "progress": False, "checkpoint": tmp_path / "run"}

    def killed(at_block):
        write, written = many_checkpoint.KeptChunk.write, []

        def wrapped(self, *args):
            if len(written) == at_block:
                raise KeyboardInterrupt
            written.append(1)
            write(self, *args)

        with monkeypatch.context() as patch:
            patch.setattr(many_checkpoint.KeptChunk, "write", wrapped)
            with pytest.raises(KeyboardInterrupt):
                ba.fit_many(child.problem(), {"y": Y}, ENGINE, **options)

    for at_block in (0, 2, 5):
        killed(at_block)
    (tmp_path / "run" / "chunk" / "state.npz").unlink()
    for path in (tmp_path / "run" / "chunk").glob("rows-*"):
        path.unlink()
    (tmp_path / "run" / ".chunk.unfinished").mkdir()
    assert whole_is(ba.fit_many(child.problem(), {"y": Y}, ENGINE, **options), together)


def test_a_chunk_under_way_keeps_its_size_unless_smaller_ones_are_asked_for(tmp_path, monkeypatch, eager, together):
    fitted, fit_chunk = [], many.fit_chunk
    monkeypatch.setattr(many, "fit_chunk", lambda *args: fitted.append((list(args[3]), args[4])) or fit_chunk(*args))
    options = {"seed": 3, "progress": False, "checkpoint": tmp_path / "run"}
    for chunk, expected in [(2, ([0, 1], 2)), ("auto", ([0, 1], 2)), (1, ([0], 1))]:
        stopped_after(monkeypatch, 2)
        ba.fit_many(child.problem(), {"y": Y}, ENGINE, chunk=chunk, **options)
        assert fitted.pop() == expected
    monkeypatch.undo()
    assert ba.fit_many(child.problem(), {"y": Y}, ENGINE, chunk=2, **options).attrs["status"] == "complete"


def test_a_damaged_chunk_is_refused(tmp_path, monkeypatch, eager):
    options = {"seed": 3, "chunk": 2, "progress": False, "checkpoint": tmp_path / "run"}
    stopped_after(monkeypatch, 3)
    ba.fit_many(child.problem(), {"y": Y}, ENGINE, **options)
    (tmp_path / "run" / "chunk" / "state.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"run/chunk` is damaged: `state\.npz`"):
        ba.fit_many(child.problem(), {"y": Y}, ENGINE, **options)


def test_data_sets_fitted_one_after_the_other_are_kept_when_done(tmp_path, monkeypatch):
    """Whatever the chunk, an interruption costs at most the one under way."""
    engine, y = planted.Planted(num_draws=50), np.zeros((6, len(planted.T)))
    options = {"seed": 3, "progress": False, "checkpoint": tmp_path / "run"}
    stopped_after(monkeypatch, 4)
    part = ba.fit_many(planted.problem(), {"y": y}, engine, **options)
    np.testing.assert_array_equal(part["fits"]["reached"], np.arange(6) < 4)
    np.testing.assert_array_equal(part["fits"]["failed"], np.arange(6) >= 4)
    assert (part.attrs["status"], part.attrs["num_failed"]) == ("4 of 6 data sets reached", 0)
    monkeypatch.undo()
    monkeypatch.setattr(drive, "CHECKPOINT_SECONDS", 0.0)
    whole = ba.fit_many(planted.problem(), {"y": y}, engine, **options)
    alone = ba.fit_many(planted.problem(), {"y": y}, engine, seed=3, progress=False)
    assert whole["posterior"].equals(alone["posterior"])
    assert {path.name for path in (tmp_path / "run").glob("rows-*")} == rows_files(3)


class _Stop:
    """Stands in for the handler of Ctrl-C: pressed once the given answers are used up."""

    def __init__(self, going):
        self.going = going

    def __enter__(self):
        return lambda: not next(self.going, False)

    def __exit__(self, *error):
        return False


def test_chunks_are_halved_when_memory_runs_out(monkeypatch, capsys, together):
    fit_chunk, sizes = many.fit_chunk, []

    def small_machine(batch, engine, seed, numbers, size, *rest):
        sizes.append(size)
        if size > 2:
            raise MemoryError
        return fit_chunk(batch, engine, seed, numbers, size, *rest)

    monkeypatch.setattr(many, "fit_chunk", small_machine)
    result = ba.fit_many(child.problem(), {"y": Y}, ENGINE, seed=3)
    assert sizes[:2] == [5, 2]
    assert "out of memory; going on with 2 data sets at a time" in capsys.readouterr().err
    assert result["posterior"].equals(together["posterior"])
    with pytest.raises(MemoryError):
        ba.fit_many(child.problem(), {"y": Y}, ENGINE, seed=3, chunk=4, progress=False)


@pytest.mark.parametrize("chunk", [0, -1, 1.5, "all"])
def test_bad_chunks_are_refused(chunk):
    with pytest.raises(ValueError, match='`chunk` must be "auto" or a whole number of at least 1'):
        ba.fit_many(child.problem(), {"y": Y}, ENGINE, seed=3, chunk=chunk)


ENGINES = {
    "MCLMC": ba.MCLMC(num_chains=2, num_warmup=1000, num_draws=500),
    "MCLMC adjusted": ba.MCLMC(num_chains=2, num_warmup=500, num_draws=500, adjusted=True),
    "NestedSampler": ba.NestedSampler(num_live=200),
    "SMC": ba.SMC(num_islands=4, num_particles=250),
    "GeoVI": ba.GeoVI(num_draws=1000),
    "Pathfinder": ba.Pathfinder(num_draws=1000),
    "Ensemble": ba.Ensemble(max_steps=4000),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_fits_many(name):
    """Means in posterior sds; a tenth beyond five errors of 200 independent draws."""
    result = ba.fit_many(child.problem(), {"y": Y[:3]}, ENGINES[name], seed=3, chunk=2, progress=False)
    assert (result.attrs["status"], result.attrs["num_failed"]) == ("complete", 0)
    posterior = result["posterior"].to_dataset()
    for parameter, exact in zip("ab", exact_means(Y[:3]), strict=True):
        draws = posterior[parameter]
        off = np.abs(draws.mean(("chain", "draw")) - exact) / draws.std(("chain", "draw"))
        assert (off < 0.1 + 5 / np.sqrt(200)).all()
    if name in ("NestedSampler", "SMC"):
        assert result["fits"]["log_evidence"].dims == ("dataset",)
    if name == "NestedSampler":
        assert (result["fits"]["drawn_from_regions"] == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_interrupted_goes_on_bit_by_bit(name, tmp_path, monkeypatch, eager):
    arguments, options = (child.problem(), {"y": Y[:2]}, ENGINES[name]), {"seed": 3, "progress": False}
    for blocks in (2, 3):
        with monkeypatch.context() as patch:
            stopped_after(patch, blocks)
            part = ba.fit_many(*arguments, **options, checkpoint=tmp_path / "run")
    assert part.attrs["status"] != "complete" or name == "Ensemble"
    assert whole_is(ba.fit_many(*arguments, **options, checkpoint=tmp_path / "run"), ba.fit_many(*arguments, **options))


def test_every_engine_is_among_them():
    assert {type(engine) for engine in ENGINES.values()} | {ba.NUTS} == set(engines())


def test_a_worker_killed_in_mid_run_loses_nothing(tmp_path):
    flux = np.concatenate([Y, Y + 1.0, Y - 1.0])
    alone = ba.fit_many(child.problem(), {"y": flux}, ENGINE, seed=3, chunk=1, progress=False)
    killed = []
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        victim = next(iter(client.run(os.getpid).values()))

        def kill():
            while not any(tmp_path.glob("run/rows-*")):  # a chunk is done, others are under way
                time.sleep(0.01)
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)

        threading.Thread(target=kill, daemon=True).start()
        result = ba.fit_many(
            child.problem(),
            {"y": flux},
            ENGINE,
            seed=3,
            chunk=1,
            progress=False,
            client=client,
            checkpoint=tmp_path / "run",
        )
    assert killed
    assert (result.attrs["status"], result.attrs["num_failed"]) == ("complete", 0)
    assert result["posterior"].equals(alone["posterior"])


def test_a_time_limit_ends_the_work_of_a_cluster():
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        result = ba.fit_many(
            child.problem(), {"y": Y}, ENGINE, seed=3, chunk=1, progress=False, client=client, time_limit=0.1
        )
    assert result.attrs["status"] == "0 of 5 data sets reached"


def two_signs():
    x = numpyro.sample("x", dist.Normal(0.0, 10.0))
    numpyro.sample("y", dist.Normal(jnp.abs(x), 0.1).expand([1]).to_event(1))


def draws_about(x):
    """A result with these means by data set, or with one for all."""
    noise = 0.05 * np.random.default_rng(1).normal(size=(*np.shape(x), 2, 30))
    dims = ("dataset", "chain", "draw")[1 - np.ndim(x) :]
    return xr.DataTree.from_dict({"posterior": xr.Dataset({"x": (dims, np.asarray(x)[..., None, None] + noise)})})


SIGNED = ba.Problem(two_signs, observed={"y": np.array([3.0])})
MAGNITUDES = np.array([[3.0], [4.0], [5.0]])


@pytest.mark.parametrize("engine", [ENGINE, ba.NestedSampler(num_live=100)], ids=["NUTS", "NestedSampler"])
def test_every_data_set_starts_from_its_own_draws(engine, tmp_path):
    """Of two modes far apart each is found where the start has it; a data set that failed there fails."""
    start = draws_about(np.array([3.0, -4.0, np.nan]))
    settings = {"seed": 1, "chunk": 2, "progress": False, "checkpoint": tmp_path / "run"}
    result = ba.fit_many(SIGNED, {"y": MAGNITUDES}, engine, start=start, **settings)
    assert (np.sign(result["posterior"]["x"][:2].mean(("chain", "draw"))) == [1, -1]).all()
    np.testing.assert_array_equal(result["fits"]["failed"], [False, False, True])
    with pytest.raises(ValueError, match="start"):
        ba.fit_many(SIGNED, {"y": MAGNITUDES}, engine, start=draws_about(np.array([3.0, 4.0, 5.0])), **settings)


def test_all_data_sets_start_from_one_fit():
    start = draws_about(-4.0)
    result = ba.fit_many(SIGNED, {"y": MAGNITUDES}, ENGINE, seed=1, start=start, progress=False)
    assert (result["posterior"]["x"] < 0).all()
    assert result.attrs["start_fingerprint"] == draws_fingerprint(start)


def test_starts_are_checked():
    with pytest.raises(ValueError, match="`start` is of 2 data sets, but the batch has 3"):
        ba.fit_many(SIGNED, {"y": MAGNITUDES}, ENGINE, seed=1, start=draws_about(np.ones(2)))
    with pytest.raises(ValueError, match="no posterior draws"):
        ba.fit_many(SIGNED, {"y": MAGNITUDES}, ENGINE, seed=1, start=xr.DataTree())
