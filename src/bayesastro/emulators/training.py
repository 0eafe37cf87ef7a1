"""Descent of a loss over the points of a grid."""

import time
import warnings
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from bayesastro.inference.engine import Progress
from bayesastro.progress import Reporter

__all__ = ["History", "Loss", "Rows", "descend"]

MAX_GRADIENT = 1.0
"""Norm to which gradients are shortened."""

WARM_UP = 0.02
"""Of all steps, in which the learning rate rises; then it falls as a cosine."""

Loss = Callable[[Any, Any, Array, Array, Array], Array]
"""Of parameters, what is fixed, scaled labels, targets and a key."""

Rows = tuple[Float[np.ndarray, "m k"], Float[np.ndarray, "m p"]]


@dataclass(kw_only=True)
class History:
    """Losses by epoch, in units of that of the mean, and which epoch was the best.

    Attributes
    ----------
    training, validation : list of float
    best_epoch : int
        Counted from 0.
    seconds : float
    """

    training: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    best_epoch: int = -1
    seconds: float = 0.0


@eqx.filter_jit
def _epoch(
    loss: Loss,
    optimiser: optax.GradientTransformation,
    batch_size: int,
    params: Any,
    state: Any,
    fixed: Any,
    rows: tuple[Array, Array],
    key: Array,
) -> tuple[Any, Any, Array]:
    """One pass over the points, and the mean loss of its batches."""
    order_key, key = jax.random.split(key)
    num = rows[0].shape[0] // batch_size
    batches = jax.random.permutation(order_key, rows[0].shape[0])[: num * batch_size].reshape(num, batch_size)

    def step(carry: Any, batch: tuple[Array, Array]) -> Any:
        (params, state), (chosen, key) = carry, batch
        value, gradient = jax.value_and_grad(loss)(params, fixed, rows[0][chosen], rows[1][chosen], key)
        updates, state = optimiser.update(gradient, state)
        return (optax.apply_updates(params, updates), state), value

    (params, state), values = jax.lax.scan(step, (params, state), (batches, jax.random.split(key, num)))
    return params, state, values.mean()


@eqx.filter_jit
def _validated(loss: Loss, params: Any, fixed: Any, rows: tuple[Array, Array], key: Array) -> Array:
    # One point at a time: a whole grid of wavelengths for each takes memory enough.
    return jax.lax.map(lambda row: loss(params, fixed, row[0][None], row[1][None], key), rows).mean()


def descend(
    loss: Loss,
    start: Any,
    fixed: Any,
    rows: Rows,
    validation: Rows,
    *,
    name: str,
    learning_rate: float,
    batch_size: int,
    max_epochs: int,
    seed: int,
    progress: bool,
) -> tuple[Any, History]:
    """Parameters of the epoch that did best with the points to validate with, by Adam in single precision.

    Ctrl-C ends the descent with the best epoch so far, and a warning.

    Raises
    ------
    ValueError
        If the loss is not finite.
    """
    began, history = time.monotonic(), History()
    single = partial(jax.tree.map, lambda leaf: jnp.asarray(leaf, jnp.float32))
    params, fixed, seen, unseen = single(start), single(fixed), single(rows), single(validation)
    batch_size = min(batch_size, len(rows[0]))
    steps = max_epochs * (len(rows[0]) // batch_size)
    rate = optax.warmup_cosine_decay_schedule(0.0, learning_rate, max(1, int(WARM_UP * steps)), steps)
    optimiser = optax.chain(optax.clip_by_global_norm(MAX_GRADIENT), optax.adam(rate))
    state, best, least = optimiser.init(params), params, np.inf
    epoch = partial(_epoch, loss, optimiser, batch_size)
    with closing(Reporter(name, shown=progress)) as reporter:
        reporter.compiling()
        try:
            for i, key in enumerate(jax.random.split(jax.random.key(seed), max_epochs)):
                params, state, value = epoch(params, state, fixed, seen, key)
                history.training.append(float(value))
                history.validation.append(float(_validated(loss, params, fixed, unseen, jax.random.key(seed))))
                if not np.isfinite(history.training[-1] + history.validation[-1]):
                    raise ValueError(f"The loss is not finite in epoch {i}. Lower `learning_rate`.")
                if history.validation[-1] < least:
                    best, least, history.best_epoch = params, history.validation[-1], i
                figures = {"validation": history.validation[-1], "best": least}
                reporter.update(Progress(i + 1, max_epochs, "epoch", figures, "epoch"))
        except KeyboardInterrupt:
            if history.best_epoch < 0:
                raise
            warnings.warn(f"Training was interrupted; epoch {history.best_epoch} was the best so far.", stacklevel=3)
    history.seconds = time.monotonic() - began
    return best, history
