"""`simulate`: draws from the prior predictive, streamed into a bank."""

import itertools
import math
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bayesastro.angles import angle_cautions
from bayesastro.banks.bank import Bank
from bayesastro.banks.identity import identity_of
from bayesastro.banks.rows import Plan, blocks, dtypes_of, rows_of
from bayesastro.banks.store import Rows, Writer, create, is_free, reopen
from bayesastro.banks.truncation import checked_within, listed_within
from bayesastro.cluster import num_threads, spread
from bayesastro.hints import told
from bayesastro.interruption import interruptions
from bayesastro.precision import Precision, validate_precision
from bayesastro.predictive import observed_masks, require_generative
from bayesastro.problem import Problem
from bayesastro.progress import Progress, Reporter
from bayesastro.refusals import require_coordinates
from bayesastro.seeds import asks_for, checked_seed

__all__ = ["simulate"]

MAX_BLOCK = 512
"""Rows simulated together. More gain nothing on a processor, and are more to lose with the last block."""

MAX_BLOCK_ON_HOST = 16
"""The same of a program that calls a function on the host, which may take long."""

BLOCK_BYTES = 16 * 2**20
"""Of what a block of rows returns; what it needs on the way may be many times that."""

WRITE_SECONDS = 5.0
"""After which rows are written though their chunk is not full: at most so much is lost by a kill."""

JOBS_PER_THREAD = 4
"""Of a cluster, at least, so that no thread waits long for the last."""


@asks_for("seed")
def simulate(
    problem: Problem,
    num: int,
    *,
    seed: int,
    path: str | Path | None = None,
    client: Any = None,
    chunk: int | Literal["auto"] = "auto",
    progress: bool = True,
    precision: Precision = "double",
    within: Mapping[str, Any] | None = None,
) -> Bank:
    """Draws of parameters and observables from the prior predictive, streamed into a bank.

    Row i is made with the key ``fold_in(key(seed), i)``: a bank that is continued, after a kill or to a larger `num`,
    is the one that a single call would have made. Simulations that fail (a value that is not finite) are kept, and
    marked. What the observed values are does not matter: a bank serves them all.

    Parameters
    ----------
    problem : Problem
    num : int
        Rows wanted in all.
    seed : int
    path : path, optional
        Folder of the bank. One of the same program, arguments, seed and precision is continued; anything else that is
        there is refused. Without it, the bank is kept in memory.
    client : dask.distributed.Client, optional
        Spread the work over its workers. What a worker had in hand that dies is done again by another.
    chunk : int or "auto"
        Rows simulated together. A bank that is continued keeps to its own; others may round differently.
    progress : bool
    precision : {"double", "single"}
    within : mapping of str to (lower, upper), optional
        Bounds of latent sites, numbers or arrays of their shape: draws are from the prior between them. What is learnt
        from such a bank holds there only.

    Returns
    -------
    Bank
        With `num` rows, or those done when Ctrl-C was pressed, and a warning.

    Raises
    ------
    ValueError
        If the program does not generate its data or has latent sites without coordinates, a setting makes no sense, or
        `path` holds something else.
    MemoryError
        If the rows of a chunk do not fit into memory together.

    Examples
    --------
    >>> import numpy as np, numpyro, numpyro.distributions as dist
    >>> import bayesastro as ba
    >>> def line(x):
    ...     slope = numpyro.sample("slope", dist.Normal(0.0, 1.0))
    ...     numpyro.sample("y", dist.Normal(slope * x, 0.1))
    >>> problem = ba.Problem(line, np.arange(3.0), observed={"y": np.zeros(3)})
    >>> bank = ba.simulate(problem, 1000, seed=1, progress=False)
    >>> coordinates, observed = bank.rows(slice(0, 5))
    >>> coordinates.shape, observed["y"].shape
    ((5, 1), (5, 3))
    """
    seed = checked_seed(seed)
    num = _checked(problem, num, chunk)
    validate_precision(precision)
    place, bounds = None if path is None else Path(path), checked_within(problem, within)
    reporter = Reporter("simulate", shown=progress)
    identity = identity_of(problem, seed, precision, listed_within(bounds))
    with _writer(place, problem, num, identity, None if chunk == "auto" else int(chunk), precision) as writer:
        plan = Plan(precision, seed, writer.header.block, Bank(writer.group, place).masks, bounds)
        work = _Work(problem, plan, writer, num, reporter)
        if writer.num_rows:
            reporter.say(f"going on from row {writer.num_rows} of `{place}`")
        if writer.num_rows < num:
            work.go(client)
        if writer.num_rows < num:
            warnings.warn(f"`simulate` was stopped at {writer.num_rows} of {num} rows.", stacklevel=2)
        return Bank(writer.group, place, num)


def _checked(problem: Problem, num: Any, chunk: Any) -> int:
    """Raise unless a bank of the problem can be made; warn of angles that are taken for radians."""
    if not isinstance(problem, Problem):
        raise TypeError(
            f"`simulate` needs a `Problem`, but {told(problem)} came. Make one with `Problem(program, ...)`."
        )
    require_generative(problem, "simulate")
    require_coordinates(problem.parameters, "simulate")
    if not isinstance(num, int | np.integer) or isinstance(num, bool) or not 1 <= num < 2**32:
        raise ValueError(f"`num` must be a whole number from 1 to 2³² − 1, but {told(num)} came.")
    if chunk != "auto" and (not isinstance(chunk, int | np.integer) or isinstance(chunk, bool) or chunk < 1):
        raise ValueError(f'`chunk` must be "auto" or a whole number of at least 1, but {told(chunk)} came.')
    if found := angle_cautions(problem.views().structure, problem.units):
        warnings.warn(" ".join(map(str, found)), UserWarning, stacklevel=3)
    return int(num)


def _writer(
    path: Path | None,
    problem: Problem,
    num: int,
    identity: Mapping[str, Any],
    chunk: int | None,
    precision: Precision,
) -> Writer:
    """A new bank, or the one at `path`."""
    if path is not None and not is_free(path):
        return reopen(path, identity, num=num, block=chunk)
    dtypes = dtypes_of(problem, precision)
    sites = problem.views().structure.of_kind("observed")
    row_bytes = sum(dtypes[site.name].itemsize * math.prod(site.shape) for site in sites)
    most = MAX_BLOCK if problem.views().structure.external is None else MAX_BLOCK_ON_HOST
    block = chunk or max(1, min(most, BLOCK_BYTES // max(row_bytes, 1)))
    masks = observed_masks(problem)
    return create(path, problem, identity, dtypes, masks, num=num, block=block)


class _Work:
    """The rows still to make, and the bank that they go to."""

    def __init__(self, problem: Problem, plan: Plan, writer: Writer, num: int, reporter: Reporter) -> None:
        self.problem, self.plan, self.writer, self.num, self.reporter = problem, plan, writer, num, reporter
        self.done, self.failed = writer.num_rows, 0

    def go(self, client: Any) -> None:
        """Make the rows; Ctrl-C ends that after the block at hand."""
        with interruptions(self.reporter) as is_interrupted:
            try:
                if client is None:
                    self.here(is_interrupted)
                else:
                    self.on(client, is_interrupted)
            finally:
                self.reporter.close()

    def here(self, is_over: Callable[[], bool]) -> None:
        """Make the rows in this process."""
        start, chunk = self.writer.num_rows, self.writer.header.chunk
        pending: list[Rows] = []
        written = time.monotonic()

        def write() -> None:
            if pending:
                rows = {name: np.concatenate([part[name] for part in pending]) for name in pending[0]}
                self.writer.write(self.writer.num_rows, rows)
                pending.clear()

        self.reporter.compiling()
        try:
            for rows in blocks(self.problem, self.plan, start, self.num):
                pending.append(rows)
                self.report(rows)
                if self.done % chunk == 0 or time.monotonic() - written > WRITE_SECONDS:
                    write()
                    written = time.monotonic()
                if is_over():
                    break
        finally:
            write()

    def on(self, client: Any, is_over: Callable[[], bool]) -> None:
        """Make the rows on the workers of a Dask cluster."""
        from distributed import KilledWorker

        start, block = self.writer.num_rows, self.plan.block
        share = -(-(self.num - start) // (JOBS_PER_THREAD * num_threads(client)))
        size = min(self.writer.header.chunk, -(-share // block) * block)
        edges = [start, *range(start - start % size + size, self.num, size), self.num]
        jobs = [(self.plan, first, last) for first, last in itertools.pairwise(edges)]
        for (_, first, last), future in spread(client, rows_of, self.problem, jobs, is_over=is_over):
            try:
                rows = future.result()
            except KilledWorker as error:
                raise RuntimeError(
                    f"Rows {first} to {last} were not simulated: the workers died of it one after the other. Look for "
                    "the reason in their logs, often memory, and call again."
                ) from error
            self.writer.write(first, rows)
            self.report(rows)

    def report(self, rows: Rows) -> None:
        self.done += len(rows["is_failed"])
        self.failed += int(rows["is_failed"].sum())
        self.reporter.update(Progress(self.done, self.num, "rows", {"failed": float(self.failed)}, "row"))
