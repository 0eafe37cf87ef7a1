"""Starting points: the best of several draws from the prior."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from bayesastro.charts import Chart
from bayesastro.program import Data

__all__ = ["Start", "best_of_prior"]


class Start(NamedTuple):
    """A point in chart coordinates and its log-density, −inf if no finite one was found."""

    position: jax.Array
    log_density: jax.Array


def best_of_prior(chart: Chart, key: jax.Array, data: Data, num_draws: int) -> Start:
    """The draw of highest log-density among `num_draws` from the prior.

    The draws are made one after another, so that memory holds two points and not `num_draws`. A draw whose density
    or coordinates are not finite (a prior draw on the very edge of its support, an overflow) is never chosen.
    """

    def better(i: jax.Array, best: Start) -> Start:
        position = chart.draw_prior(jax.random.fold_in(key, i), data)
        log_density = chart.log_density(position, data)
        fine = jnp.isfinite(log_density) & jnp.all(jnp.isfinite(position))
        log_density = jnp.where(fine, log_density, -jnp.inf)
        better = log_density > best.log_density
        return Start(jnp.where(better, position, best.position), jnp.maximum(log_density, best.log_density))

    dtype = jnp.zeros(()).dtype
    return jax.lax.fori_loop(0, num_draws, better, Start(jnp.zeros(chart.size, dtype), jnp.asarray(-jnp.inf, dtype)))
