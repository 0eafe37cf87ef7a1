"""One chunk of many data sets: fitted side by side where JAX can trace the engine, otherwise one after the other."""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesastro.batch import Batch
from bayesastro.compilation import compile_clock
from bayesastro.drive import next_block
from bayesastro.inference.alone import compile_ahead, compiled, run_alone
from bayesastro.inference.engine import Draws, Engine, Rows
from bayesastro.inference.lanes import on_one_device, over_lanes, vectorised
from bayesastro.many_checkpoint import KeptChunk, LaneBlock
from bayesastro.precision import Precision, to_numpy, working_precision
from bayesastro.problem import Views
from bayesastro.program import Data

__all__ = ["fit_chunk"]


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

    return compiled(init, advance)


def fit_chunk(
    batch: Batch,
    engine: Engine,
    seed: int,
    numbers: np.ndarray,
    size: int,
    precision: Precision,
    points: np.ndarray | None = None,
    report: Callable[[float, int], None] | None = None,
    is_over: Callable[[], bool] | None = None,
    kept: KeptChunk | None = None,
    stops_compiled: Callable[[], bool] | None = None,
) -> Rows | None:
    """Fit the data sets of the given `numbers`, padded to `size`, from `points` of each; None if it was stopped.

    An engine that JAX cannot trace fits one after the other, and stopped gives those that it has fitted. For one that it
    can, `kept` is what to go on from, and what to write to when it is time or the work is stopped; and `stops_compiled` is
    asked before the first block whether to stop there: at an interruption, but not for time, or a run whose limit is shorter
    than it compiles would never get on.

    Returns
    -------
    dict of str to array
        ``index``, ``failed``, ``started``, ``coordinates``, and the engine's figures, with the data sets along the leading axis.
    """
    has_start = np.ones(len(numbers), bool) if points is None else np.isfinite(points).all(axis=(1, 2))
    good = numbers[has_start]
    found: Sequence[Draws | None] | None = []
    if len(good):
        starts = None if points is None else points[has_start]
        if engine.is_batched or not engine.is_traced:
            found = _one_by_one(batch, engine, seed, good, precision, starts, is_over)
        else:
            found = _side_by_side(
                batch, engine, seed, good, size, precision, starts, report, is_over, kept, stops_compiled
            )
    if found is None:
        return None
    by_number = dict(zip(good.tolist(), found, strict=False))
    reached = numbers[~has_start | np.isin(numbers, good[: len(found)])]
    return _as_rows(reached, [by_number.get(int(n)) for n in reached])


def _one_by_one(
    batch: Batch,
    engine: Engine,
    seed: int,
    numbers: np.ndarray,
    precision: Precision,
    points: np.ndarray | None,
    is_over: Callable[[], bool] | None,
) -> Sequence[Draws | None]:
    """Draws of the data sets until it is over; None for those without a finite start. Batches are done in one call."""
    views, found = batch.problem.views(precision), []
    with working_precision(precision):
        key = jax.random.key(seed)
        if engine.is_batched:
            keys = jax.vmap(lambda n: jax.random.fold_in(key, n))(jnp.asarray(numbers))
            return engine.fit_batch(views, keys, batch.take(numbers), batch.axes)
        for i, n in enumerate(numbers):
            begin = None if points is None else points[i]
            found.append(run_alone(engine, views, jax.random.fold_in(key, int(n)), batch.take(int(n)), begin))
            if is_over is not None and is_over():
                break
    return found


def _side_by_side(
    batch: Batch,
    engine: Engine,
    seed: int,
    numbers: np.ndarray,
    size: int,
    precision: Precision,
    points: np.ndarray | None,
    report: Callable[[float, int], None] | None,
    is_over: Callable[[], bool] | None,
    kept: KeptChunk | None,
    stops_compiled: Callable[[], bool] | None,
) -> Sequence[Draws | None] | None:
    """Draws of the data sets in one compiled program; None if it was stopped."""
    views, repeats = batch.problem.views(precision), max(0, size - len(numbers))
    with working_precision(precision):
        key = jax.random.key(seed)
        padded = np.concatenate([numbers, np.repeat(numbers[-1:], repeats)])
        if points is not None:
            points = np.concatenate([points, np.repeat(points[-1:], repeats, axis=0)])
        data = jax.device_put(batch.take(padded))
        keys = jax.vmap(lambda n: jax.random.fold_in(key, n))(jnp.asarray(padded))
        axes = (batch.axes.arrays, tuple(batch.axes.observed.items()))
        init, advance = _compiled(engine, views, axes, len(padded))
        if kept is None or kept.leaves is None:
            first, blocks = init(keys, data, points), []
            if is_over is not None and is_over():  # `advance` is not compiled for what is to be stopped
                if kept is not None:
                    kept.write(first, blocks)
                return None
        else:
            structure = jax.tree.structure(jax.eval_shape(init, keys, data, points))
            first, blocks = jax.tree.unflatten(structure, kept.leaves), list(kept.blocks)
        compile_ahead(advance, keys, first, data, jnp.asarray(1))
        if stops_compiled is not None and stops_compiled():
            if kept is not None and kept.leaves is None:
                kept.write(first, blocks)
            return None
        states = first
        for fraction, states in _advanced(engine, views, advance, keys, first, data, blocks):
            if report is not None:
                report(fraction, len(numbers))
            is_stopped = fraction < 1 and is_over is not None and is_over()
            if kept is not None and fraction < 1 and (is_stopped or kept.is_due()):
                kept.write(states, blocks)
            if is_stopped:
                return None
    return [_finished(engine, views, _at(states, i), blocks, i) for i in range(len(numbers))]


def _advanced(
    engine: Engine, views: Views, advance: Any, keys: jax.Array, state: Any, data: Data, blocks: list[LaneBlock]
) -> Iterator[tuple[float, Any]]:
    """Advance all data sets until the last is done; the fraction done and the state, as NumPy, after each block."""
    largest, fraction = engine.block_size(views), 0.0
    num_steps, left = max(1, largest // 20), _standing(engine, to_numpy(state))[1]
    while fraction < 1:
        num_steps = max(1, min(num_steps, largest, left))
        with compile_clock() as clock:
            began = time.monotonic()
            state, block = advance(keys, state, data, jnp.asarray(num_steps))
            counts = np.asarray(block.count)
            elapsed = time.monotonic() - began - clock.seconds
        if most := int(counts.max()):
            blocks.append((counts, {name: np.array(np.asarray(rows)[:, :most]) for name, rows in block.rows.items()}))
        states = to_numpy(state)
        fraction, left = _standing(engine, states)
        num_steps = next_block(num_steps, elapsed)
        yield fraction, states


def _standing(engine: Engine, states: Any) -> tuple[float, int]:
    """Of all data sets, the smallest fraction done and the most steps left."""
    number = len(jax.tree.leaves(states)[0])
    standings = [engine.progress(_at(states, i)) for i in range(number)]
    return min(s.done / s.total if s.total else 1.0 for s in standings), max(s.total - s.done for s in standings)


def _at(tree: Any, index: int) -> Any:
    return jax.tree.map(lambda array: array[index], tree)


def _finished(engine: Engine, views: Views, state: Any, blocks: Sequence[LaneBlock], index: int) -> Draws | None:
    """The draws of one data set; None if it had no finite start."""
    if not engine.started(state).all():
        return None
    names = blocks[0][1]
    rows = {name: np.concatenate([rows[name][index, : counts[index]] for counts, rows in blocks]) for name in names}
    return engine.finish(views, state, rows)


def _as_rows(numbers: np.ndarray, draws: Sequence[Draws | None]) -> Rows:
    """Stack the draws of several data sets; NaN for those that failed."""
    failed = np.array([d is None or not np.isfinite(d.coordinates).all() for d in draws])
    started = np.array([d is not None for d in draws])
    rows: dict[str, np.ndarray] = {"index": np.asarray(numbers), "failed": failed, "started": started}
    example = next((d for d in draws if d is not None), None)
    if example is None:
        return rows
    flat = [None if d is None else _flat(d) for d in draws]
    for name, value in _flat(example).items():
        if any(f is not None and name in f and f[name].shape != value.shape for f in flat):
            continue  # a figure of another length in each
        missing = np.full_like(value, np.nan if value.dtype.kind == "f" else 0)
        rows[name] = np.stack([missing if f is None or name not in f else f[name] for f in flat])
    return rows


def _flat(draws: Draws) -> dict[str, np.ndarray]:
    """Everything of a fit by one name each: coordinates, statistics of draws, figures of the run."""
    figures = {name: np.asarray(value) for name, value in draws.attributes.items()}
    numbers = {name: value for name, value in figures.items() if value.dtype.kind in "biuf"}
    return {
        "coordinates": draws.coordinates,
        **{f"stat {name}": value for name, value in draws.sample_stats.items()},
        **{f"figure {name}": value for name, value in numbers.items()},
    }
