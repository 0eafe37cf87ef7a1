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

__all__ = ["compile_ahead", "compiled", "functions_of", "run_alone"]


@functools.lru_cache(maxsize=32)
def functions_of(engine: Engine, views: Views) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The engine's `init` and `advance` as JAX compiles them, one pair for all data sets of equal shapes.

    The state given to `advance` is used up by it.
    """
    init, advance = functools.partial(engine.init, views), functools.partial(engine.advance, views)
    return compiled(init, advance) if engine.is_traced else (init, advance)


def compiled(init: Callable[..., Any], advance: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Both as JAX compiles them; the state given to `advance`, its second argument, is used up by it.

    JAX has weak types, of numbers written in a program, and compiles anew for what had one and has it no longer. Hence
    all results have types proper: a state as `init` leaves it and one as `advance` does are then of the same types.
    """

    def proper(value: jax.Array) -> jax.Array:
        return jax.lax.convert_element_type(value, value.dtype) if getattr(value, "weak_type", False) else value

    def begin(*args: Any) -> Any:
        return jax.tree.map(proper, init(*args))

    def go_on(*args: Any) -> Any:
        return jax.tree.map(proper, advance(*args))

    return jax.jit(begin), jax.jit(go_on, donate_argnums=1)


def compile_ahead(function: Any, *args: Any) -> None:
    """Compile what :func:`compiled` gave for such arguments; a call with them then compiles nothing."""
    function.lower(*args).compile()


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
