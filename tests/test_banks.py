"""Simulation banks: the same rows however they are made, nothing lost by a kill, nothing of another program mixed in."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import child
import distributed
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from astropy.utils.masked import Masked
from matrix import Z
from numpyro.handlers import mask as masked

import bayesastro as ba
from bayesastro.banks import reading, simulation, store
from bayesastro.banks.identity import identity_of
from bayesastro.precision import working_precision

NUM = 2000


@pytest.fixture(scope="module")
def bank():
    return ba.simulate(child.problem(), NUM, seed=1, progress=False)


@pytest.fixture
def small_chunks(monkeypatch):
    """Many chunks, and windows of three."""
    monkeypatch.setattr(store, "MAX_CHUNK_ROWS", 128)
    monkeypatch.setattr(reading, "WINDOW_BYTES", 3 * 128 * (12 + 2) * 8 + 3 * 128)


def make(path, num=NUM, problem=None, **options):
    return ba.simulate(
        child.problem() if problem is None else problem, num, path=path, **{"seed": 1, "progress": False, **options}
    )


def contents(bank):
    coordinates, observed = bank.rows(slice(None))
    return {"coordinates": coordinates, "is_failed": bank.is_failed, **observed}


def same(one, other):
    return all(np.array_equal(a, contents(other)[n], equal_nan=True) for n, a in contents(one).items())


def test_rows_are_draws_from_the_prior_predictive(bank):
    coordinates, observed = bank.rows(slice(None))
    assert (coordinates.shape, coordinates.dtype) == ((NUM, 2), np.float64)
    assert (observed["y"].shape, observed["y"].dtype) == ((NUM, len(child.X)), np.float64)
    assert (np.abs(coordinates.mean(0)) < Z * child.PRIOR_SD / NUM**0.5).all()
    noise = (observed["y"] - coordinates[:, :1] - coordinates[:, 1:] * child.X) / child.SIGMA
    assert abs((noise**2).mean() - 1) < Z * (2 / noise.size) ** 0.5


def test_each_row_has_its_own_key(bank):
    problem = child.problem()
    with working_precision("double"):
        keys = [jax.random.fold_in(jax.random.key(1), i) for i in (0, 700, NUM - 1)]
        draws = [problem.unconstrained.draw_prior(key, jax.device_put(problem.data)) for key in keys]
    np.testing.assert_allclose(bank.rows([0, 700, NUM - 1])[0], np.stack(draws), rtol=1e-12)


def test_a_bank_that_grew_is_the_one_made_at_once(bank, tmp_path, monkeypatch):
    monkeypatch.setattr(simulation, "WRITE_SECONDS", 0.0)
    for num in (100, 700, NUM):
        assert len(make(tmp_path / "bank", num)) == num
    assert same(ba.Bank.open(tmp_path / "bank"), bank)
    assert len(make(tmp_path / "bank", 100)) == 100  # what was asked for, though there are more
    assert len(ba.Bank.open(tmp_path / "bank")) == NUM


def test_other_chunks_make_the_same_rows(bank):
    other = make(None, chunk=100)
    for name, values in contents(bank).items():
        np.testing.assert_allclose(contents(other)[name], values, rtol=1e-12)


KILLED = """
import sys
sys.path.insert(0, sys.argv[3])
import child
import bayesastro as ba
from bayesastro.banks import simulation
simulation.WRITE_SECONDS = 0.0
ba.enable_compilation_cache(sys.argv[2])
ba.simulate(child.problem(), 10**6, seed=1, path=sys.argv[1], chunk=16, progress=False)
"""


def test_a_killed_simulation_goes_on_bit_by_bit(tmp_path, tmp_path_factory):
    path, cache, before = tmp_path / "bank", tmp_path_factory.getbasetemp() / "compiled", 0
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", KILLED, path, cache, Path(child.__file__).parent])
        while not path.exists() or len(ba.Bank.open(path)) < before + 50:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
        before = len(ba.Bank.open(path))
    assert same(make(path, before + 100), make(None, before + 100, chunk=16))


@pytest.mark.slow
def test_workers_make_the_same_rows_though_one_is_killed(bank, tmp_path):
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert same(make(tmp_path / "bank", client=client), bank)
        victim = next(iter(client.run(os.getpid).values()))

        def kill():
            while len(ba.Bank.open(tmp_path / "bank")) == NUM:
                time.sleep(0.01)
            os.kill(victim, signal.SIGKILL)

        thread = threading.Thread(target=kill, daemon=True)
        thread.start()
        grown = make(tmp_path / "bank", 100_000, client=client)
        thread.join(timeout=10)
        assert not thread.is_alive()
    assert same(grown, make(None, 100_000))


def test_ctrl_c_keeps_what_there_is(tmp_path):
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    make(None, 10)  # compiled before
    timer.start()
    with pytest.warns(UserWarning, match=r"stopped at \d+ of 100000000 rows"):
        bank = make(tmp_path / "bank", 10**8)
    assert 0 < len(bank) < 10**8
    assert same(bank, make(tmp_path / "bank", len(bank)))


def other_prior(x, sigma):
    a = numpyro.sample("a", dist.Normal(0.0, 11.0))
    b = numpyro.sample("b", dist.StudentT(3.0, 0.0, 10.0))
    with numpyro.plate("point", len(x)):
        numpyro.sample("y", dist.Normal(a + b * x, sigma))


OTHERS = {
    "seed": ({"seed": 2}, r"another `seed` \(`1` there, `2` here\)"),
    "precision": ({"precision": "single"}, "another `precision`"),
    "argument": ({"problem": child.problem(x=child.X * 2)}, "another value of the argument `x`"),
    "program": (
        {"problem": ba.Problem(other_prior, child.X, 0.3, observed={"y": child.Y})},
        r"another program \(`b` latent Normal \[\] there, latent StudentT \[\] here",
    ),
    "setting": ({"problem": ba.Problem(child.line, child.X, 0.4, observed={"y": child.Y})}, "or a setting differs"),
    "chunk": ({"chunk": 100}, r"another `chunk` \(512 there, 100 here\)"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_bank_of_something_else_is_refused_and_left_alone(name, tmp_path):
    options, message = OTHERS[name]
    before = make(tmp_path / "bank", 100)
    with pytest.raises(ValueError, match=message):
        make(tmp_path / "bank", 200, **options)
    assert same(ba.Bank.open(tmp_path / "bank"), before)
    if name not in ("seed", "precision", "chunk"):
        with pytest.raises(ValueError, match=message):
            before.check(options["problem"])


def regression(x, y=None):
    slope = numpyro.sample("slope", dist.Normal(0.0, 1.0))
    numpyro.sample("y", dist.Normal(slope * x, 0.1), obs=y)


def test_a_bank_serves_all_observations(tmp_path):
    make(tmp_path / "bank", 10)
    assert len(make(tmp_path / "bank", 20, child.problem(child.Y + 1))) == 20
    x = np.arange(3.0)
    problem = ba.Problem(regression, x, y=x + 1)
    assert list(problem.covariates) == ["x"]
    bank = make(None, 10, problem)
    bank.check(problem.replace(y=x + 2))
    with pytest.raises(ValueError, match="another value of the argument `x`"):
        bank.check(problem.replace(x + 1, y=x))


def test_what_is_no_bank_is_refused_and_left_alone(tmp_path):
    (tmp_path / "folder").mkdir()
    make(tmp_path / "folder", 10)  # an empty folder will do
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes").write_text("mine")
    for name in ("file", "full"):
        with pytest.raises(ValueError, match="exists and is no simulation bank"):
            make(tmp_path / name)
    assert (tmp_path / "file").read_text() == (tmp_path / "full" / "notes").read_text() == "mine"
    with pytest.raises(FileNotFoundError, match="There is no bank"):
        ba.Bank.open(tmp_path / "none")


def test_another_format_and_damage_are_told(tmp_path):
    path = tmp_path / "bank"
    bank = make(path, 1000, chunk=100)
    head = json.loads((path / "zarr.json").read_text())
    head["attributes"]["format"] = "bayesastro bank 0"
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "zarr.json").write_text(json.dumps(head))
    with pytest.raises(ValueError, match="has the format `bayesastro bank 0`"):
        ba.Bank.open(tmp_path / "old")
    chunk = next(file for file in (path / "observed" / "y" / "c").rglob("*") if file.is_file())
    whole = chunk.read_bytes()
    for content in (whole[:-9], whole[:50] + b"?" + whole[51:]):
        chunk.write_bytes(content)
        with pytest.raises(ValueError, match="is damaged, in `observed/y`"):
            bank.rows(slice(0, 10))
    chunk.unlink()
    chunk.parent.rmdir()
    with pytest.raises(ValueError, match="chunk 0 of `observed/y` is missing"):
        ba.Bank.open(path)


def test_one_writer_at_a_time(tmp_path):
    problem = child.problem()
    make(tmp_path / "bank", 10)
    identity = identity_of(problem, 1, "double")
    with (
        store.reopen(tmp_path / "bank", identity, num=20, block=None),
        pytest.raises(ValueError, match="is being written to by another process"),
    ):
        make(tmp_path / "bank", 20)
    assert len(make(tmp_path / "bank", 20)) == 20


def test_what_an_external_function_made_before_it_raised_is_kept(tmp_path):
    calls = []

    def spectrum(slope):
        calls.append(slope)
        if len(calls) > 200:
            raise OSError("the licence server is down")
        return slope * np.arange(3.0)

    external = ba.external(spectrum, 3)

    def program():
        slope = numpyro.sample("slope", dist.Normal(0.0, 1.0))
        numpyro.sample("flux", dist.Normal(external(slope), 1e-9).to_event(1))

    problem = ba.Problem(program, observed={"flux": np.ones(3)})
    calls.clear()
    with pytest.raises(RuntimeError, match="the licence server is down"):
        make(tmp_path / "bank", 10_000, problem)
    bank = ba.Bank.open(tmp_path / "bank")
    assert len(bank) == 200 - 200 % simulation.MAX_BLOCK_ON_HOST
    coordinates, observed = bank.rows(slice(None))
    np.testing.assert_allclose(observed["flux"], coordinates * np.arange(3.0), atol=1e-7)
    calls.clear()
    assert len(make(tmp_path / "bank", len(bank) + 16, problem)) == len(bank) + 16
    assert len(calls) == 16


def gapped(x):
    slope = numpyro.sample("slope", dist.Uniform(-2.0, 2.0))
    offset = numpyro.sample("offset", dist.Normal(0.0, 1.0))
    numpyro.sample("flux", dist.Normal(jnp.where(slope < -1.0, jnp.nan, slope) * x + offset, 1.0).to_event(1))


@pytest.fixture(scope="module")
def failing():
    return make(None, 4000, ba.Problem(gapped, np.ones(3), observed={"flux": np.ones(3)}))


def test_failures_are_kept_counted_and_told(failing, bank):
    slope = failing.parameters(ba.Problem(gapped, np.ones(3), observed={"flux": np.ones(3)}), slice(None))["slope"]
    np.testing.assert_array_equal(failing.is_failed, slope < -1.0)
    assert failing.num_failed == (slope < -1.0).sum()
    assert np.isnan(failing.rows(failing.is_failed)[1]["flux"]).all()
    rates = failing.failure_rates()
    assert rates.loc["slope"].tolist()[2:] == [0, 0, 0]
    assert rates.loc["slope", "0–20 %"] == 1
    assert failing.failure_rates(2).shape == (2, 2)
    with pytest.warns(UserWarning, match=r"of 4000 simulations \(25 %\) failed.*varies most with `slope`: 100 % at"):
        failing.warn_failures()
    assert "varies most with `slope`" in failing.summary()
    bank.warn_failures()  # says nothing: a warning would be an error


def test_a_rate_that_does_not_vary_is_said_not_to():
    parameters = {name: np.linspace(-1.0, 1.0, 1000) for name in "ab"}
    y = np.zeros((1000, len(child.X)))
    y[::7, 3] = np.inf
    bank = ba.Bank.from_arrays(child.problem(), parameters, {"y": y})
    with pytest.warns(UserWarning, match=r"143 of 1000 simulations.*does not vary noticeably"):
        bank.warn_failures()


def test_masked_entries_are_zero_and_do_not_fail():
    def program(x, is_real):
        slope = numpyro.sample("slope", dist.Normal(0.0, 1.0))
        with masked(mask=is_real):
            numpyro.sample("y", dist.Normal(slope * x, 1.0))

    x, is_real = np.arange(1.0, 5.0), np.array([True, True, False, True])
    problem = ba.Problem(program, x, is_real, observed={"y": x})
    bank = make(None, 50, problem)
    np.testing.assert_array_equal(bank.masks["y"], is_real)
    assert (bank.rows(slice(None))[1]["y"][:, 2] == 0).all()
    assert bank.moments().constant == ["y[2]"]
    y = np.ones((3, 4))
    y[1, 2], y[2, 0] = np.nan, np.nan
    given = ba.Bank.from_arrays(problem, {"slope": np.ones(3)}, {"y": y})
    np.testing.assert_array_equal(given.is_failed, [False, False, True])


def test_a_mask_that_depends_on_latents_is_refused():
    def program(x):
        slope = numpyro.sample("slope", dist.Normal(0.0, 1.0))
        with masked(mask=slope * x < 1.0):
            numpyro.sample("y", dist.Normal(slope * x, 1.0))

    with pytest.raises(ValueError, match="The mask of site `y` depends on latent sites"):
        make(None, 10, ba.Problem(program, np.ones(3), observed={"y": np.ones(3)}))


def with_factor():
    mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
    numpyro.factor("term", -(mean**2))
    numpyro.sample("y", dist.Normal(mean, 1.0))


def discrete():
    kind = numpyro.sample("kind", dist.Bernoulli(0.5))
    numpyro.sample("y", dist.Normal(kind, 1.0))


@pytest.mark.parametrize(
    ("problem", "options", "error", "message"),
    [
        (ba.Problem(with_factor, observed={"y": np.array(0.0)}), {}, ValueError, "`term` is a `numpyro.factor`"),
        (ba.Problem(discrete, observed={"y": np.array(0.0)}), {}, ValueError, "site `kind` has `Bernoulli"),
        (ba.Problem(with_factor), {}, ValueError, "generates"),
        (ba.Problem(discrete), {}, ValueError, "observes nothing"),
        ("line", {}, TypeError, "needs a `Problem`"),
        (child.problem(), {"num": 0}, ValueError, "`num` must be"),
        (child.problem(), {"num": 1.5}, ValueError, "`num` must be"),
        (child.problem(), {"chunk": 0}, ValueError, "`chunk` must be"),
        (child.problem(), {"seed": -1}, ValueError, "`seed` must be"),
        (child.problem(), {"precision": "half"}, ValueError, "`precision` must be"),
    ],
)
def test_what_cannot_be_simulated_is_refused(problem, options, error, message):
    with pytest.raises(error, match=message):
        ba.simulate(problem, **{"num": 10, "seed": 1, "progress": False, **options})


def test_single_precision_and_programs_that_draw_keys():
    def program():
        scale = numpyro.sample("scale", dist.HalfNormal(1.0))
        noise = jax.random.normal(numpyro.prng_key(), (4,))
        numpyro.sample("y", dist.Normal(scale * noise, 0.1).to_event(1))

    problem = ba.Problem(program, observed={"y": np.zeros(4)})
    bank = make(None, 100, problem, precision="single", seed=2**40)
    coordinates, observed = bank.rows(slice(None))
    assert (coordinates.dtype, observed["y"].dtype) == (np.float64, np.float32)
    assert len(np.unique(observed["y"])) == 400
    np.testing.assert_allclose(bank.parameters(problem, slice(None))["scale"], np.exp(coordinates[:, 0]))


def rich():
    with numpyro.plate("kind", 3):
        share = numpyro.sample("share", dist.Dirichlet(jnp.ones(3)))
    edge = numpyro.sample("edge", dist.Uniform(0.0, share[0, 0]))
    numpyro.sample("lens/counts", dist.Poisson(10.0 * share.sum(0) + edge).to_event(1))


@pytest.fixture(scope="module")
def rich_problem():
    return ba.Problem(rich, observed={"lens/counts": np.ones(3, int)})


def test_parameters_come_back(rich_problem, tmp_path):
    sims = rich_problem.simulate(300, key=jax.random.key(1))
    bank = ba.Bank.from_arrays(rich_problem, sims.parameters, sims.observables, tmp_path / "bank")
    assert (len(bank), bank.num_failed, bank.seed) == (300, 0, None)
    assert bank.labels == [f"share[{i}, {j}]" for i in range(3) for j in range(2)] + ["edge"]
    for name, values in bank.parameters(rich_problem, slice(100, 300)).items():
        np.testing.assert_allclose(values, sims.parameters[name][100:], rtol=1e-6, atol=1e-9)
    counts = ba.Bank.open(tmp_path / "bank").rows(slice(None))[1]["lens/counts"]
    assert counts.dtype.kind == "i"
    np.testing.assert_array_equal(counts, sims.observables["lens/counts"])
    with pytest.raises(ValueError, match="rows that were given"):
        make(tmp_path / "bank", 400, rich_problem)
    with pytest.raises(ValueError, match="exists"):
        ba.Bank.from_arrays(rich_problem, sims.parameters, sims.observables, tmp_path / "bank")


def test_given_rows_equal_simulated_ones(bank):
    coordinates, observed = bank.rows(slice(None))
    given = ba.Bank.from_arrays(child.problem(), {"a": coordinates[:, 0], "b": coordinates[:, 1]}, observed)
    assert same(given, bank)
    assert given.fingerprint == bank.fingerprint
    assert "given" in given.summary()


A, Y4 = np.zeros(4), np.zeros((4, len(child.X)))


@pytest.mark.parametrize(
    ("parameters", "observed", "error", "message"),
    [
        ({"a": A}, {"y": Y4}, ValueError, "`parameters` must have the sites `a`, `b`, but `a` came"),
        ({"a": A, "b": A}, {"z": Y4}, ValueError, "`observed` must have the sites `y`, but `z` came"),
        ({"a": A, "b": Y4}, {"y": Y4}, ValueError, r"must have shape \(row, \) at `b`"),
        ({"a": A, "b": A}, {"y": Y4[:, 1:]}, ValueError, r"must have shape \(row, 12\) at `y`, but \(4, 11\) came"),
        ({"a": A, "b": A[1:]}, {"y": Y4}, ValueError, "the same number of rows.*`a` 4, `b` 3, `y` 4"),
        ({"a": A, "b": A + 1j}, {"y": Y4}, TypeError, "real numbers at `b`"),
        ({"a": A, "b": A}, {"y": np.ma.masked_less(Y4, 1.0)}, TypeError, "masks or units at `y`"),
        ({"a": A, "b": A}, {"y": Masked(Y4, mask=Y4 < 1.0)}, TypeError, "masks or units at `y`"),
        ([A], {"y": Y4}, TypeError, "`parameters` must map"),
    ],
)
def test_wrong_arrays_are_refused(parameters, observed, error, message, tmp_path):
    with pytest.raises(error, match=message):
        ba.Bank.from_arrays(child.problem(), parameters, observed, tmp_path / "bank")
    assert not any(tmp_path.iterdir())


def test_parameters_outside_the_prior_are_refused(failing, tmp_path):
    problem = ba.Problem(gapped, np.ones(3), observed={"flux": np.ones(3)})
    slope = np.array([0.0, np.nan, 2.0, 1.0])  # a value missing, and one at the prior's end
    arrays = {"offset": np.zeros(4)}, {"flux": np.zeros((4, 3))}
    bank = ba.Bank.from_arrays(problem, {"slope": slope, **arrays[0]}, arrays[1])
    assert bank.is_failed[1]
    assert not bank.is_failed[[0, 3]].any()
    with pytest.raises(ValueError, match=r"has 2\.5 at `slope` in row 3, outside the support"):
        ba.Bank.from_arrays(
            problem, {"slope": np.array([0.0, np.nan, 2.0, 2.5]), **arrays[0]}, arrays[1], tmp_path / "bank"
        )
    assert not any(tmp_path.iterdir())


def test_batches_hold_each_usable_row_once(small_chunks, failing):
    problem = ba.Problem(gapped, np.ones(3), observed={"flux": np.ones(3)})
    bank = make(None, 1500, problem, chunk=128)
    training, validation = bank.split(0.2, seed=5)
    whole, observed = bank.rows(training)
    batches = list(bank.batches(64, seed=(1, 0), among=training))
    assert {len(c) for c, _ in batches[:-1]} == {64}
    found = np.concatenate([c for c, _ in batches])
    assert not np.array_equal(found, whole)
    order = np.lexsort(found.T), np.lexsort(whole.T)
    np.testing.assert_array_equal(found[order[0]], whole[order[1]])
    flux = np.concatenate([o["flux"] for _, o in batches])
    np.testing.assert_array_equal(flux[order[0]], observed["flux"][order[1]])
    again, other = (np.concatenate([c for c, _ in bank.batches(64, seed=s, among=training)]) for s in ((1, 0), (1, 1)))
    np.testing.assert_array_equal(again, found)
    assert not np.array_equal(other, found)
    assert len(list(bank.batches(64, seed=1, among=training, drop_last=True))) == training.sum() // 64
    in_order = np.concatenate([c for c, _ in bank.batches(100, seed=None, among=validation)])
    np.testing.assert_array_equal(in_order, bank.rows(validation)[0])


def test_batches_mix_chunks_from_all_over(small_chunks):
    bank = make(None, 12_800, chunk=128)
    place = np.empty(len(bank))
    order = np.argsort(bank.rows(slice(None))[0][:, 0])
    found = np.concatenate([c for c, _ in bank.batches(128, seed=3)])[:, 0]
    place[np.argsort(found)] = order  # of each row found, where in the bank it is
    spread = np.array([np.std(part) for part in place.reshape(-1, 128)])
    assert np.median(spread) > 500  # rows within one chunk have 37


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be"),
        ({"among": np.ones(3, bool)}, "`among` must be"),
        ({"among": np.arange(NUM)}, "`among` must be"),
    ],
)
def test_bad_batches_are_refused_at_once(bank, options, message):
    with pytest.raises(ValueError, match=message):
        bank.batches(**{"batch_size": 10, "seed": 1, **options})


def test_rows_are_found_by_slices_numbers_and_marks(bank):
    coordinates, _ = bank.rows(slice(None))
    for index in (slice(5, 9), slice(0, NUM, 700), [3, 1, 1, -1], np.arange(NUM) % 99 == 0, np.array([], int)):
        np.testing.assert_array_equal(bank.rows(index)[0], coordinates[index])
    for index in ([NUM], [0.5], np.ones(3, bool)):
        with pytest.raises(IndexError):
            bank.rows(index)


def test_appended_rows_leave_the_split_as_it_was(bank):
    training, validation = bank.split(0.25, seed=1)
    assert not (training & validation).any()
    assert (training | validation).all()
    assert abs(validation.mean() - 0.25) < Z * (0.25 * 0.75 / NUM) ** 0.5
    more = make(None, NUM + 500).split(0.25, seed=1)
    np.testing.assert_array_equal(more[0][:NUM], training)
    with pytest.raises(ValueError, match="`validation_fraction`"):
        bank.split(1.0, seed=1)


def test_moments_are_exact_far_from_zero(small_chunks):
    random = np.random.default_rng(2)
    y = 2_459_000.5 + 1e-4 * random.normal(size=(1000, len(child.X)))
    y[:, 4] = 0.1
    y[17, 0] = np.nan
    bank = ba.Bank.from_arrays(child.problem(), {"a": random.normal(size=1000), "b": np.full(1000, 0.3)}, {"y": y})
    moments, kept = bank.moments(), np.arange(1000) != 17
    assert moments.num_rows == 999
    assert moments.constant == ["b", "y[4]"]
    np.testing.assert_allclose(moments.observed["y"].mean, y[kept].mean(0), rtol=1e-13)
    np.testing.assert_allclose(moments.observed["y"].sd[:4], (y[kept, :4] - 2_459_000.5).std(0), rtol=1e-6)
    np.testing.assert_allclose(moments.coordinates.sd[0], bank.rows(kept)[0][:, 0].std())
    assert "The same in all rows: b, y[4]." in bank.summary()
    assert np.isnan(bank.moments(np.zeros(1000, bool)).coordinates.mean).all()


STREAMED = """
import resource, sys
import jax.numpy as jnp, numpy as np, numpyro, numpyro.distributions as dist
import bayesastro as ba

def program(t):
    a = numpyro.sample("a", dist.Normal(0.0, 1.0).expand([5]).to_event(1))
    numpyro.sample("y", dist.Normal(a[0] + a[1] * jnp.sin(t), 1.0).to_event(1))

problem = ba.Problem(program, np.linspace(0.0, 30.0, 100), observed={"y": np.zeros(100)})
bank = ba.simulate(problem, 1_000_000, seed=1, path=sys.argv[1], progress=False)
moments = bank.moments()
print(sum(len(c) for c, _ in bank.batches(1024, seed=1)), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_a_million_rows_stream_in_bounded_memory(tmp_path):
    script = STREAMED
    out = subprocess.run([sys.executable, "-c", script, tmp_path / "bank"], capture_output=True, check=True, text=True)
    rows, kilobytes = map(int, out.stdout.split())
    assert rows == 1_000_000
    assert kilobytes < 1_000_000
