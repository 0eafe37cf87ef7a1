"""The driver: runs any engine in blocks, with progress, checkpoints, time limits and interruption."""

import functools
import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesastro._version import __version__
from bayesastro.cautions import no_start, sites_undefined, warn_of_cautions, warn_of_prior
from bayesastro.checkpoint import Checkpoint
from bayesastro.compilation import CompileClock, compile_clock
from bayesastro.fingerprint import data_fingerprint
from bayesastro.hints import told
from bayesastro.inference.alone import compile_ahead, functions_of
from bayesastro.inference.engine import Draws, Engine, Rows
from bayesastro.interruption import interruptions
from bayesastro.names import check_deterministics
from bayesastro.precision import Precision, to_numpy, validate_precision, working_precision
from bayesastro.problem import Problem
from bayesastro.program import Data
from bayesastro.progress import Reporter
from bayesastro.result import build_result
from bayesastro.seeds import asks_for, checked_seed
from bayesastro.starting import origin, start_points

__all__ = ["check_kinds", "check_time_limit", "fit", "next_block", "run_identity"]

BLOCK_SECONDS = 0.5
"""How long a block should take: short enough for Ctrl-C and the bar, long enough that its overhead does not show."""

CHECKPOINT_SECONDS = 5.0
"""Time between checkpoints."""


@asks_for("seed")
def fit(
    problem: Problem,
    engine: Engine,
    *,
    seed: int,
    start: xr.DataTree | None = None,
    checkpoint: str | Path | None = None,
    time_limit: float | None = None,
    progress: bool = True,
    precision: Precision = "double",
    log_likelihood: bool = False,
    deterministics: bool | str | Sequence[str] = True,
) -> xr.DataTree:
    """Run an engine on a problem.

    Where nothing is observed the draws are the prior's, and a warning says so. Another says which angle in degrees is taken for
    radians; and which parameter of a distribution, such as a scale, leaves its domain at some draws from the prior, for an engine
    that computes the density.

    Ctrl-C and the time limit end the run after the present block and return what there is, with ``status`` saying
    so; a second Ctrl-C raises `KeyboardInterrupt` at once.

    Parameters
    ----------
    problem : Problem
    engine : Engine
    seed : int
        The same seed gives the same draws, whatever the blocks, interruptions and checkpoints.
    start : xarray.DataTree, optional
        A result of another engine, or of another data set, whose draws to start from instead of the prior's. The
        attributes ``start_engine``, ``start_seed`` and ``start_fingerprint``, of its draws, say which it was.
    checkpoint : path, optional
        Folder to keep the run in. If it holds this run's checkpoint, the run goes on from there.
    time_limit : float, optional
        Seconds after which to stop.
    progress : bool
        Show a progress bar, or plain lines where standard error is not a terminal.
    precision : {"double", "single"}
        Floating-point precision of the run.
    log_likelihood : bool
        Add the pointwise log-likelihood, for `arviz.loo`.
    deterministics : bool, str or sequence of str
        Which deterministic sites to compute for the draws: all, none, or those named.

    Returns
    -------
    xarray.DataTree
        In ArviZ's schema: ``posterior``, ``sample_stats``, ``observed_data``, ``constant_data``; and what the engine
        adds.

    Raises
    ------
    ValueError
        If the engine cannot run the problem, the density is not finite anywhere the engine starts, a setting is
        out of range, or the checkpoint is damaged or another run's.
    ImportError
        If the engine needs a package that is not installed.
    OSError
        If the checkpoint folder cannot be written to.
    """
    seed = checked_seed(seed)
    _check(problem, engine, time_limit, precision)
    kept = _deterministics(problem, deterministics)
    warn_of_prior(problem)
    reporter = Reporter(type(engine).__name__, shown=progress)
    with working_precision(precision), compile_clock() as clock:
        began = time.monotonic()
        points = None if start is None else start_points(problem, engine, start, precision)
        run = _Run(problem, engine, seed, points, precision, reporter, clock)
        if checkpoint is not None:
            run.attach(Path(checkpoint))
        cautions = warn_of_cautions(problem, engine)
        status = run.go(None if time_limit is None else began + time_limit)
        draws = run.finish()
        attributes = _attributes(run, draws) | origin(start) | cautions | {"status": status}
        result = build_result(
            problem, draws, attributes, deterministics=kept, log_likelihood=log_likelihood, precision=precision
        )
        seconds = time.monotonic() - began
        result.attrs |= {"seconds_compiling": clock.seconds, "seconds_running": max(seconds - clock.seconds, 0.0)}
    return result


def _check(problem: Problem, engine: Engine, time_limit: float | None, precision: Precision) -> None:
    """Raise before anything is compiled."""
    check_kinds("fit", problem, engine)
    check_time_limit(time_limit)
    validate_precision(precision)
    engine.validate(problem)


def check_time_limit(time_limit: float | None) -> None:
    """Raise unless this is a positive number of seconds, or none.

    Raises
    ------
    ValueError
    """
    if time_limit is not None and not (isinstance(time_limit, int | float | np.number) and time_limit > 0):
        raise ValueError(f"`time_limit` must be a positive number of seconds, but {told(time_limit)} came.")


def check_kinds(function: str, problem: Problem, engine: Engine) -> None:
    """Raise unless these are a problem and an engine.

    Raises
    ------
    TypeError
    """
    if not isinstance(problem, Problem):
        raise TypeError(
            f"`{function}` needs a `Problem`, but {told(problem)} came. Make one with `Problem(program, ...)`."
        )
    if hasattr(engine, "train") and not isinstance(engine, type):
        name = type(engine).__name__
        raise TypeError(
            f"`{name}` has to be trained before `{function}`: simulate a bank with `simulate(problem, num, seed=...)`, "
            f"and give what `{name}(...).train(problem, bank, seed=...)` returns."
        )
    if not isinstance(engine, Engine):
        raise TypeError(f"`{function}` needs an engine such as `NUTS()`, but {told(engine)} came.")


def _deterministics(problem: Problem, wanted: bool | str | Sequence[str]) -> tuple[str, ...]:
    known = problem.views().deterministics
    if isinstance(wanted, bool):
        return known if wanted else ()
    if not isinstance(wanted, Iterable):
        raise TypeError(f"`deterministics` must be True, False or names of sites, but {told(wanted)} came.")
    wanted = [wanted] if isinstance(wanted, str) else list(wanted)
    check_deterministics(problem.views().structure, wanted)
    return tuple(wanted)


@dataclass
class _Run:
    """One run: state, rows so far, and the loop over blocks."""

    problem: Problem
    engine: Engine
    seed: int
    start: np.ndarray | None
    precision: Precision
    reporter: Reporter
    clock: CompileClock
    checkpoint: Checkpoint | None = None
    state: Any = None
    rows: list[Rows] = field(default_factory=list)
    num_saved: int = 0

    def __post_init__(self) -> None:
        self.views = self.problem.views(self.precision)
        self.data: Data = jax.device_put(self.problem.data)
        self.init, self.advance = functions_of(self.engine, self.views)

    @functools.cached_property
    def key(self) -> jax.Array:
        """The key that all others are made from; not before it is needed, for making it compiles."""
        return jax.random.key(self.seed)

    def attach(self, folder: Path) -> None:
        """Use a checkpoint folder, and go on from what it holds."""
        identity = run_identity(self.problem, self.engine, self.seed, self.precision)
        start = "prior" if self.start is None else hashlib.sha256(self.start.tobytes()).hexdigest()
        self.checkpoint = Checkpoint(folder, identity | {"start": start})
        found = self.checkpoint.open()
        if found is not None:
            leaves, self.rows = found
            self.num_saved = len(self.rows)
            self.state = jax.tree.unflatten(self._state_structure(), leaves)
            self.reporter.say(f"going on from `{folder}`")

    def _state_structure(self) -> Any:
        """The tree of a state; an engine that JAX cannot trace has to make one."""
        make = jax.eval_shape if self.engine.is_traced else lambda init, *args: init(*args)
        return jax.tree.structure(make(self.init, self.key, self.data, self.start))

    def go(self, deadline: float | None) -> str:
        """Advance until done, interrupted or out of time; the status in words."""
        with interruptions(self.reporter) as is_interrupted:
            try:
                if self.state is None:
                    self._start()
                return self._loop(deadline, is_interrupted)
            finally:
                self.reporter.close()

    def _start(self) -> None:
        self.reporter.compiling(apart=self.engine.is_traced)
        self.state = self.init(self.key, self.data, self.start)
        started = self.engine.started(to_numpy(self.state))
        if not started.all():
            raise ValueError(no_start(self.problem, self.engine, started))

    def _loop(self, deadline: float | None, is_interrupted: Callable[[], bool]) -> str:
        largest = self.engine.block_size(self.views)
        num_steps, saved_at = max(1, largest // 20), time.monotonic()
        standing = self.engine.progress(self.state)
        if self.engine.is_traced and standing.done < standing.total:
            self.reporter.compiling(apart=True)
            compile_ahead(self.advance, self.key, self.state, self.data, jnp.asarray(1))
            self.reporter.compiled()
            if is_interrupted():
                num_steps = 1  # a run of no steps has nothing to finish with
        while standing.done < standing.total:
            num_steps = min(num_steps, largest, standing.total - standing.done)
            began, compiled = time.monotonic(), self.clock.seconds
            self.state, block = self.advance(self.key, self.state, self.data, jnp.asarray(int(num_steps)))
            count = int(block.count)
            # Cut on the host: JAX would compile a slice for every new count.
            self.rows.append({name: np.array(np.asarray(array)[:count]) for name, array in block.rows.items()})
            elapsed = time.monotonic() - began - (self.clock.seconds - compiled)
            num_steps = next_block(num_steps, elapsed)
            standing = self.engine.progress(self.state)
            self.reporter.update(standing)
            if time.monotonic() - saved_at > CHECKPOINT_SECONDS:
                self._save()
                saved_at = time.monotonic()
            if standing.done < standing.total and (is_interrupted() or _is_past(deadline)):
                self._save()
                return "interrupted" if is_interrupted() else "time limit reached"
        self._save()
        return "complete"

    def _save(self) -> None:
        if self.checkpoint is not None and len(self.rows) > self.num_saved:
            self.checkpoint.append(jax.tree.leaves(to_numpy(self.state)), _joined(self.rows[self.num_saved :]))
            self.num_saved = len(self.rows)

    def finish(self) -> Draws:
        """The draws from all rows."""
        rows = _joined(self.rows) if self.rows else {}
        return self.engine.finish(self.views, to_numpy(self.state), rows)


def _joined(blocks: Sequence[Rows]) -> Rows:
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def next_block(num_steps: int, elapsed: float) -> int:
    """Steps for the next block, aimed at `BLOCK_SECONDS`; changes by a factor of four at most."""
    return max(1, int(num_steps * np.clip(BLOCK_SECONDS / max(elapsed, 1e-6), 0.25, 4.0)))


def _is_past(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() > deadline


def run_identity(problem: Problem, engine: Engine, seed: int, precision: Precision) -> dict[str, Any]:
    """What makes a run: equal identities, equal draws on the same machine. JSON-serialisable."""
    settings = {k: v.item() if isinstance(v, np.generic) else v for k, v in engine.settings().items()}
    versions = {name: version(name) for name in ("jax", "jaxlib", "numpyro", "blackjax", "numpy")}
    return {
        "engine": type(engine).__name__,
        "settings": settings,
        "seed": seed,
        "precision": precision,
        "program": getattr(problem.program, "__name__", type(problem.program).__name__),
        "program_fingerprint": problem.fingerprint,
        "data_fingerprint": data_fingerprint(problem.data),
        "versions": {"bayesastro": __version__, "python": platform.python_version(), **versions},
    }


def _attributes(run: _Run, draws: Draws) -> dict[str, Any]:
    """Those of the result that a run has; mappings and lists as JSON."""
    problem, engine = run.problem, run.engine
    identity = run_identity(problem, engine, run.seed, run.precision)
    return (
        {name: json.dumps(v) if isinstance(v, dict) else v for name, v in identity.items()}
        | {
            "program_settings": json.dumps(problem.settings),
            "exactness": engine.exactness,
            "references": json.dumps(engine.references),
            "device": f"{jax.local_device_count()} × {jax.local_devices()[0].device_kind}",
        }
        | draws.attributes
        | sites_undefined(problem, draws.attributes)
    )
