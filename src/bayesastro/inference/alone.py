"""One run of an engine from beginning to end, without progress and checkpoints: a step within another algorithm."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesastro.inference.engine import Draws, Engine
from bayesastro.problem import Views
from bayesastro.program import Data

__all__ = ["functions_of", "run_alone"]


@functools.lru_cache(maxsize=32)
def functions_of(engine: Engine, views: Views) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The engine's `init` and `advance` as JAX compiles them, one pair for all data sets of equal shapes.

    The state given to `advance` is used up by it.
    """
    init, advance = functools.partial(engine.init, views), functools.partial(engine.advance, views)
    return (jax.jit(init), jax.jit(advance, donate_argnums=1)) if engine.is_traced else (init, advance)


def run_alone(
    engine: Engine, views: Views, key: jax.Array, data: Data, start: np.ndarray | None = None
) -> Draws | None:
    """The engine's draws; None if it found no finite start. See :meth:`Engine.init` for `start`."""
    init, advance = functions_of(engine, views)
    state, blocks = init(key, data, start), []
    if not engine.started(jax.tree.map(np.asarray, state)).all():
        return None
    while (standing := engine.progress(state)).done < standing.total:
        num_steps = min(engine.block_size(views), standing.total - standing.done)
        state, block = advance(key, state, data, jnp.asarray(num_steps))
        count = int(block.count)
        blocks.append({name: np.asarray(rows)[:count] for name, rows in block.rows.items()})
    rows = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]} if blocks else {}
    return engine.finish(views, jax.tree.map(np.asarray, state), rows)
