"""Many data sets at once: one compiled fit, vectorised over data sets in chunks, on one machine or a cluster."""

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesastro.batch import Batch
from bayesastro.checkpoint import Checkpoint
from bayesastro.cluster import spread
from bayesastro.compilation import compile_clock
from bayesastro.drive import check_kinds, interruptions, next_block, run_identity, warn_of_prior
from bayesastro.fingerprint import data_fingerprint
from bayesastro.inference.alone import run_alone
from bayesastro.inference.engine import Draws, Engine, Progress, Rows
from bayesastro.inference.lanes import on_one_device, over_lanes, vectorised
from bayesastro.many_result import build_many
from bayesastro.precision import Precision, to_numpy, validate_precision, working_precision
from bayesastro.problem import Problem, Views
from bayesastro.program import Data
from bayesastro.progress import Reporter
from bayesastro.seeds import checked_seed
from bayesastro.starting import BatchStart, origin

__all__ = ["fit_many"]

FIRST_CHUNK = 256
"""Data sets fitted together to begin with; more fill the caches and wait longer for the slowest among them."""


def fit_many(
    problem: Problem,
    data: Batch | Mapping[str, Any],
    engine: Engine,
    *,
    seed: int,
    start: xr.DataTree | None = None,
    chunk: int | Literal["auto"] = "auto",
    checkpoint: str | Path | None = None,
    time_limit: float | None = None,
    progress: bool = True,
    precision: Precision = "double",
    client: Any = None,
) -> xr.DataTree:
    """Fit every data set of a batch with one compiled program.

    A data set's draws depend on `seed` and its number in the batch, not on the chunks.

    Parameters
    ----------
    problem : Problem
        The program; its own data give shapes and whatever the batch does not stack.
    data : Batch or mapping
        Of :meth:`Problem.batch`; or observed values by site name, the data sets along their leading axes.
    engine : Engine
    seed : int
    start : xarray.DataTree, optional
        Of `fit_many`: each data set starts from its draws there, and fails where it failed. Of `fit`: all from the same.
    chunk : int or "auto"
        Data sets fitted together. ``"auto"`` begins with `FIRST_CHUNK` and halves it, saying so, when memory runs out.
    checkpoint : path, optional
        Folder in which finished chunks are kept. If it holds this run's, only the rest is fitted.
    time_limit : float, optional
        Seconds after which to stop; data sets not reached are marked so.
    progress : bool
    precision : {"double", "single"}
    client : dask.distributed.Client, optional
        Spread the chunks over its workers. A chunk whose worker dies is done again by another.

    Returns
    -------
    xarray.DataTree
        As of :func:`fit`, with a leading dimension ``dataset``; and ``fits``, with the engine's figures for each data
        set and ``failed``: no finite start, a draw that is not finite, or not reached. Their draws are NaN.

    Raises
    ------
    ValueError
        If the engine cannot run the problem, or a setting or the checkpoint does not fit.
    MemoryError
        If not even one data set fits into memory.
    """
    check_kinds("fit_many", problem, engine)
    batch = data if isinstance(data, Batch) else problem.batch(observed=data)
    _check(batch, engine, chunk, precision, start)
    engine = engine.side_by_side()
    starts = None if start is None else BatchStart(batch, engine, start, precision)
    identity = run_identity(batch.problem.with_data(batch.take(0)), engine, checked_seed(seed), precision)
    reporter = Reporter(f"{type(engine).__name__} × {batch.size}", shown=progress)
    began = time.monotonic()
    with compile_clock() as clock, interruptions(reporter) as is_interrupted:
        work = _Work(batch, engine, int(seed), precision, reporter, starts)
        if checkpoint is not None:
            begin = "prior" if starts is None else starts.fingerprint()
            work.attach(Checkpoint(Path(checkpoint), identity | {"batch": work.fingerprint(), "start": begin}))

        def is_over() -> bool:
            return is_interrupted() or (time_limit is not None and time.monotonic() - began > time_limit)

        try:
            size = FIRST_CHUNK if chunk == "auto" else int(chunk)
            if client is None:
                work.here(size, halve=chunk == "auto", is_over=is_over)
            else:
                work.on(client, size, is_over)
        finally:
            reporter.close()
        result = build_many(batch, engine, work.rows(), identity, precision)
        running = max(time.monotonic() - began - clock.seconds, 0.0)
        result.attrs |= origin(start) | {"seconds_compiling": clock.seconds, "seconds_running": running}
    return result


def _check(
    batch: Batch, engine: Engine, chunk: int | Literal["auto"], precision: Precision, start: xr.DataTree | None
) -> None:
    validate_precision(precision)
    if chunk != "auto" and not (isinstance(chunk, int | np.integer) and chunk >= 1):
        raise ValueError(f'`chunk` must be "auto" or a whole number of at least 1, but {chunk!r} came.')
    engine.validate(batch.problem)
    warn_of_prior(batch.problem, stacklevel=4)
    engine.check_axes(batch.problem, batch.axes)
    if engine.is_batched and start is not None:
        raise ValueError(f"`{type(engine).__name__}` draws independently and takes no `start`. Leave it out.")


class _Work:
    """The data sets still to do, and what the finished chunks gave."""

    def __init__(
        self,
        batch: Batch,
        engine: Engine,
        seed: int,
        precision: Precision,
        reporter: Reporter,
        starts: BatchStart | None,
    ) -> None:
        self.batch, self.engine, self.seed, self.reporter, self.starts = batch, engine, seed, reporter, starts
        self.precision: Precision = precision
        self.done: list[Rows] = []
        self.checkpoint: Checkpoint | None = None

    def fingerprint(self) -> str:
        return data_fingerprint(self.batch.data)

    def attach(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        found = checkpoint.open()
        if found is not None:
            self.done = list(found[1])
            self.reporter.say(f"going on from `{checkpoint.folder}`")

    def points_of(self, numbers: np.ndarray) -> np.ndarray | None:
        return None if self.starts is None else self.starts.of(numbers)

    def remaining(self) -> np.ndarray:
        finished = np.concatenate([rows["index"] for rows in self.done]) if self.done else np.zeros(0, int)
        return np.setdiff1d(np.arange(self.batch.size), finished)

    def add(self, rows: Rows) -> None:
        self.done.append(rows)
        if self.checkpoint is not None:
            self.checkpoint.append([np.asarray(len(self.done))], rows)
        self.report(0.0)

    def report(self, fraction_of_chunk: float) -> None:
        finished = sum(len(rows["index"]) for rows in self.done)
        failed = sum(int(rows["failed"].sum()) for rows in self.done)
        done = min(int(finished + fraction_of_chunk), self.batch.size)
        self.reporter.update(Progress(done, self.batch.size, "data sets", {"failed": float(failed)}))

    def rows(self) -> Mapping[int, Rows]:
        """By number of the data set, what its fit gave."""
        return {int(n): {k: v[i] for k, v in rows.items()} for rows in self.done for i, n in enumerate(rows["index"])}

    def here(self, size: int, *, halve: bool, is_over: Callable[[], bool]) -> None:
        """Fit what remains in this process, chunk by chunk."""
        while len(left := self.remaining()) and not is_over():
            numbers = left[:size]
            try:
                rows = fit_chunk(
                    self.batch,
                    self.engine,
                    self.seed,
                    numbers,
                    min(size, self.batch.size),
                    self.precision,
                    self.points_of(numbers),
                    self.report,
                    is_over,
                )
            except (MemoryError, jax.errors.JaxRuntimeError) as error:
                if not (isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)) or not halve:
                    raise
                if size == 1:
                    raise MemoryError("Not even one data set fits into memory. Use `thin` or fewer chains.") from error
                size = max(1, min(size, self.batch.size) // 2)
                self.reporter.say(f"out of memory; going on with {size} data sets at a time")
                continue
            if rows is not None:
                self.add(rows)

    def on(self, client: Any, size: int, is_over: Callable[[], bool]) -> None:
        """Fit what remains on the workers of a Dask cluster."""
        left = self.remaining()
        shares = max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
        size = max(1, min(size, -(-len(left) // shares)))
        parts = [left[i : i + size] for i in range(0, len(left), size)]
        jobs = [(self.engine, self.seed, part, size, self.precision, self.points_of(part)) for part in parts]
        for _, future in spread(client, fit_chunk, self.batch, jobs, is_over=is_over):
            self.add_from(future)

    def add_from(self, future: Any) -> None:
        """Add what a worker returned; a chunk that its workers died of stays among the data sets not reached."""
        from distributed import KilledWorker

        try:
            self.add(future.result())
        except KilledWorker as error:
            self.reporter.say(f"a chunk is given up, for its workers died one after the other: {error}")


@functools.lru_cache(maxsize=32)
def _compiled(engine: Engine, views: Views, axes: tuple[Any, ...], size: int) -> tuple[Any, Any]:
    """The engine's functions over `size` data sets."""
    in_axes = Data(axes[0], dict(axes[1]))

    def init(keys: jax.Array, data: Data, points: jax.Array | None) -> Any:
        with on_one_device():
            one = functools.partial(engine.init, views)
            return vectorised(one, size, (0, in_axes, None if points is None else 0))(keys, data, points)

    def advance(keys: jax.Array, state: Any, data: Data, num_steps: jax.Array) -> Any:
        def one(key: jax.Array, state: Any, data: Data, num_steps: jax.Array) -> Any:
            with on_one_device():
                return engine.advance(views, key, state, data, num_steps)

        return over_lanes(one, size, (0, 0, in_axes, None))(keys, state, data, num_steps)

    return jax.jit(init), jax.jit(advance, donate_argnums=1)


def fit_chunk(
    batch: Batch,
    engine: Engine,
    seed: int,
    numbers: np.ndarray,
    size: int,
    precision: Precision,
    points: np.ndarray | None = None,
    report: Callable[[float], None] | None = None,
    is_over: Callable[[], bool] | None = None,
) -> Rows | None:
    """Fit the data sets of the given `numbers`, padded to `size`, from `points` of each; None if it was stopped.

    Returns
    -------
    dict of str to array
        ``index``, ``failed``, ``coordinates``, and the engine's figures, with the data sets along the leading axis.
    """
    has_start = np.ones(len(numbers), bool) if points is None else np.isfinite(points).all(axis=(1, 2))
    found: Sequence[Draws | None] | None = []
    if has_start.any():
        kept = None if points is None else points[has_start]
        found = _draws_of(batch, engine, seed, numbers[has_start], size, precision, kept, report, is_over)
    if found is None:
        return None
    by_number = dict(zip(numbers[has_start].tolist(), found, strict=True))
    return _as_rows(numbers, [by_number.get(int(n)) for n in numbers])


def _draws_of(
    batch: Batch,
    engine: Engine,
    seed: int,
    numbers: np.ndarray,
    size: int,
    precision: Precision,
    points: np.ndarray | None,
    report: Callable[[float], None] | None,
    is_over: Callable[[], bool] | None,
) -> Sequence[Draws | None] | None:
    """See `fit_chunk`; None for data sets without a finite start."""
    views = batch.problem.views(precision)
    with working_precision(precision):
        key = jax.random.key(seed)
        if engine.is_batched:
            keys = jax.vmap(lambda n: jax.random.fold_in(key, n))(jnp.asarray(numbers))
            return engine.fit_batch(views, keys, batch.take(numbers), batch.axes)
        if not engine.is_traced:
            begins = [None] * len(numbers) if points is None else points
            return [
                run_alone(engine, views, jax.random.fold_in(key, int(n)), batch.take(int(n)), begin)
                for n, begin in zip(numbers, begins, strict=True)
            ]
        repeats = max(0, size - len(numbers))
        padded = np.concatenate([numbers, np.repeat(numbers[-1:], repeats)])
        if points is not None:
            points = np.concatenate([points, np.repeat(points[-1:], repeats, axis=0)])
        data = jax.device_put(batch.take(padded))
        keys = jax.vmap(lambda n: jax.random.fold_in(key, n))(jnp.asarray(padded))
        axes = (batch.axes.arrays, tuple(batch.axes.observed.items()))
        init, advance = _compiled(engine, views, axes, len(padded))
        first, blocks = init(keys, data, points), []
        state = first
        for fraction, last in _advanced(engine, views, advance, keys, first, data, blocks):
            state = last
            if report is not None:
                report(fraction * len(numbers))
            if is_over is not None and fraction < 1 and is_over():
                return None
        states = to_numpy(state)
    return [_finished(engine, views, _at(states, i), blocks, i) for i in range(len(numbers))]


def _advanced(
    engine: Engine, views: Views, advance: Any, keys: jax.Array, state: Any, data: Data, blocks: list[Any]
) -> Iterator[tuple[float, Any]]:
    """Advance all data sets until the last is done; the fraction done and the state after each block."""
    largest = engine.block_size(views)
    num_steps, fraction = max(1, largest // 20), 0.0
    while fraction < 1:
        with compile_clock() as clock:
            began = time.monotonic()
            state, block = advance(keys, state, data, jnp.asarray(num_steps))
            counts = np.asarray(block.count)
            elapsed = time.monotonic() - began - clock.seconds
        if most := int(counts.max()):
            blocks.append((counts, {name: np.array(np.asarray(rows)[:, :most]) for name, rows in block.rows.items()}))
        states = to_numpy(state)
        standings = [engine.progress(_at(states, i)) for i in range(len(counts))]
        fraction = min(s.done / s.total if s.total else 1.0 for s in standings)
        left = max(s.total - s.done for s in standings)
        num_steps = max(1, min(next_block(num_steps, elapsed), largest, left))
        yield fraction, state


def _at(tree: Any, index: int) -> Any:
    return jax.tree.map(lambda array: array[index], tree)


def _finished(engine: Engine, views: Views, state: Any, blocks: Sequence[Any], index: int) -> Draws | None:
    """The draws of one data set; None if it had no finite start."""
    if not engine.started(state).all():
        return None
    names = blocks[0][1]
    rows = {name: np.concatenate([rows[name][index, : counts[index]] for counts, rows in blocks]) for name in names}
    return engine.finish(views, state, rows)


def _as_rows(numbers: np.ndarray, draws: Sequence[Draws | None]) -> Rows:
    """Stack the draws of several data sets; NaN for those that failed."""
    failed = np.array([d is None or not np.isfinite(d.coordinates).all() for d in draws])
    rows: dict[str, np.ndarray] = {"index": np.asarray(numbers), "failed": failed}
    example = next((d for d in draws if d is not None), None)
    if example is None:
        return rows
    flat = [None if d is None else _flat(d) for d in draws]
    for name, value in _flat(example).items():
        missing = np.full_like(value, np.nan if value.dtype.kind == "f" else 0)
        rows[name] = np.stack([missing if f is None else f[name] for f in flat])
    return rows


def _flat(draws: Draws) -> dict[str, np.ndarray]:
    """Everything of a fit by one name each: coordinates, statistics of draws, figures of the run."""
    numbers = {k: np.asarray(v) for k, v in draws.attributes.items() if isinstance(v, int | float | np.number)}
    return {
        "coordinates": draws.coordinates,
        **{f"stat {name}": value for name, value in draws.sample_stats.items()},
        **{f"figure {name}": value for name, value in numbers.items()},
    }
