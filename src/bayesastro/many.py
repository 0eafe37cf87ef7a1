"""Many data sets at once: one compiled fit, vectorised over data sets in chunks, on one machine or a cluster."""

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import xarray as xr

from bayesastro import drive
from bayesastro.batch import Batch
from bayesastro.cautions import warn_of_cautions, warn_of_prior
from bayesastro.chunks import fit_chunk
from bayesastro.cluster import spread
from bayesastro.compilation import compile_clock
from bayesastro.drive import check_kinds, check_time_limit, run_identity
from bayesastro.fingerprint import data_fingerprint
from bayesastro.hints import told
from bayesastro.inference.engine import Engine, Progress, Rows
from bayesastro.interruption import interruptions
from bayesastro.many_checkpoint import KeptChunk, ManyCheckpoint
from bayesastro.many_result import build_many
from bayesastro.precision import Precision, validate_precision
from bayesastro.problem import Problem
from bayesastro.progress import Reporter
from bayesastro.seeds import asks_for, checked_seed
from bayesastro.starting import BatchStart, origin

__all__ = ["fit_many"]

FIRST_CHUNK = 256
"""Data sets fitted together to begin with; more fill the caches and wait longer for the slowest among them."""


@asks_for("seed")
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
        Folder in which finished chunks are kept, and every few seconds and at an interruption how far the chunk under way
        has got. If it holds this run's, the run goes on from there, with the same draws.
    time_limit : float, optional
        Seconds after which to stop, as Ctrl-C does; data sets not reached are marked so.
    progress : bool
    precision : {"double", "single"}
    client : dask.distributed.Client, optional
        Spread the chunks over its workers. A chunk whose worker dies is done again by another.

    Returns
    -------
    xarray.DataTree
        As of :func:`fit`, with a leading dimension ``dataset``; and ``fits``, with the engine's figures for each data set,
        without words and arrays whose lengths differ; ``reached``, whether its fit came to an end; ``started``, whether it
        found a finite start; and ``failed``: neither, or a draw that is not finite. Its draws are NaN then.

    Raises
    ------
    ValueError
        If the engine cannot run the problem, or a setting or the checkpoint does not fit.
    MemoryError
        If not even one data set fits into memory.
    """
    seed = checked_seed(seed)
    check_kinds("fit_many", problem, engine)
    batch = data if isinstance(data, Batch) else problem.batch(observed=data)
    cautions = _check(batch, engine, chunk, precision, start, time_limit)
    engine = engine.side_by_side()
    starts = None if start is None else BatchStart(batch, engine, start, precision)
    identity = run_identity(batch.problem.with_data(batch.take(0)), engine, seed, precision)
    reporter, began = Reporter(f"{type(engine).__name__} × {batch.size}", shown=progress), time.monotonic()
    work = _Work(batch, engine, seed, precision, reporter, starts)
    with compile_clock() as clock, interruptions(reporter) as is_interrupted:
        if checkpoint is not None:
            work.attach(ManyCheckpoint(Path(checkpoint), identity | work.fingerprints()))

        def is_over() -> bool:
            return is_interrupted() or (time_limit is not None and time.monotonic() - began > time_limit)

        with closing(reporter):
            size = FIRST_CHUNK if chunk == "auto" else int(chunk)
            if client is None:
                work.here(size, halve=chunk == "auto", is_over=is_over, is_interrupted=is_interrupted)
            else:
                work.on(client, size, is_over)
        result = build_many(batch, engine, work.rows(), identity, precision)
        seconds = time.monotonic() - began
        timing = {"seconds_compiling": clock.seconds, "seconds_running": max(seconds - clock.seconds, 0.0)}
        result.attrs |= origin(start) | cautions | timing
    return result


def _check(
    batch: Batch,
    engine: Engine,
    chunk: int | Literal["auto"],
    precision: Precision,
    start: xr.DataTree | None,
    time_limit: float | None,
) -> dict[str, str]:
    """Raise before anything is compiled, or warn; the attribute that tells of the warning."""
    validate_precision(precision)
    check_time_limit(time_limit)
    if chunk != "auto" and not (isinstance(chunk, int | np.integer) and chunk >= 1):
        raise ValueError(f'`chunk` must be "auto" or a whole number of at least 1, but {told(chunk)} came.')
    engine.validate(batch.problem)
    warn_of_prior(batch.problem, stacklevel=4)
    engine.check_axes(batch.problem, batch.axes)
    if engine.is_batched and start is not None:
        raise ValueError(f"`{type(engine).__name__}` draws independently and takes no `start`. Leave it out.")
    return warn_of_cautions(batch.problem, engine, stacklevel=4)


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
        self.checkpoint: ManyCheckpoint | None = None
        self.is_alone = not (engine.is_traced or engine.is_batched)
        """Whether the data sets of a chunk are fitted one after the other."""

    def fingerprints(self) -> dict[str, str]:
        """Of the data sets, and of what they start from."""
        begin = "prior" if self.starts is None else self.starts.fingerprint()
        return {"batch": data_fingerprint(self.batch.data), "start": begin}

    def attach(self, checkpoint: ManyCheckpoint) -> None:
        self.checkpoint = checkpoint
        found = checkpoint.open()
        if found is not None:
            self.done = found
            self.reporter.say(f"going on from `{checkpoint.folder}`")

    def points_of(self, numbers: np.ndarray) -> np.ndarray | None:
        return None if self.starts is None else self.starts.of(numbers)

    def remaining(self) -> np.ndarray:
        finished = np.concatenate([rows["index"] for rows in self.done]) if self.done else np.zeros(0, int)
        return np.setdiff1d(np.arange(self.batch.size), finished)

    def add(self, rows: Rows) -> None:
        self.done.append(rows)
        if self.checkpoint is not None:
            self.checkpoint.add(rows)
        self.report(0.0, 0)

    def report(self, fraction: float, number: int) -> None:
        """Say how many data sets are finished, and what fraction is done of the `number` under way."""
        finished = sum(len(rows["index"]) for rows in self.done)
        failed = sum(int(rows["failed"].sum()) for rows in self.done)
        figures = {"without draws": float(failed)} if failed else {}
        standing = Progress(
            finished, self.batch.size, "data sets", figures, "data set", under_way=fraction * number, together=number
        )
        self.reporter.update(standing)

    def rows(self) -> Mapping[int, Rows]:
        """By number of the data set, what its fit gave."""
        return {int(n): {k: v[i] for k, v in rows.items()} for rows in self.done for i, n in enumerate(rows["index"])}

    def here(self, size: int, *, halve: bool, is_over: Callable[[], bool], is_interrupted: Callable[[], bool]) -> None:
        """Fit what remains in this process, chunk by chunk."""
        compiled_for = 0

        def stops_compiled() -> bool:
            if is_interrupted():
                return True
            self.reporter.compiled()
            return False

        while len(left := self.remaining()) and not is_over():
            kept = self._kept(left, size)
            numbers, padded = (left[:size], min(size, self.batch.size)) if kept is None else (kept.numbers, kept.size)
            if self.engine.is_traced and padded != compiled_for:
                self.reporter.compiling(apart=not self.engine.is_batched)
                compiled_for = padded
            try:
                rows = fit_chunk(
                    self.batch,
                    self.engine,
                    self.seed,
                    numbers,
                    padded,
                    self.precision,
                    self.points_of(numbers),
                    self.report,
                    self._is_enough(is_over),
                    kept,
                    stops_compiled,
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

    def _kept(self, left: np.ndarray, size: int) -> KeptChunk | None:
        """The next chunk, if its blocks are kept."""
        if self.checkpoint is None or self.is_alone or self.engine.is_batched:
            return None
        return self.checkpoint.chunk(left, size, self.batch.size)

    def _is_enough(self, is_over: Callable[[], bool]) -> Callable[[], bool]:
        """What ends a chunk: for data sets fitted one after the other also the time to keep those done."""
        due = time.monotonic() + drive.CHECKPOINT_SECONDS
        return lambda: is_over() or (self.is_alone and time.monotonic() > due)

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
