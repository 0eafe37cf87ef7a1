"""Starting points: draws from the prior with their densities and gradients, and the best of them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from bayesastro.charts import Chart
from bayesastro.program import Data

__all__ = ["Points", "best", "first_points", "points_at", "starting_points"]


class Points(NamedTuple):
    """Points in chart coordinates with the log-density there and its gradient; without a leading axis, one of them."""

    position: jax.Array
    log_density: jax.Array
    gradient: jax.Array


def points_at(chart: Chart, positions: jax.Array, data: Data) -> Points:
    """Densities and gradients at the given positions, one after another.

    Where the density, its gradient or a coordinate is not finite (a prior draw on the very edge of its support, an
    overflow), the log-density is −inf.
    """

    def point(position: jax.Array) -> Points:
        log_density, gradient = jax.value_and_grad(chart.log_density)(position, data)
        fine = jnp.isfinite(log_density) & jnp.all(jnp.isfinite(position)) & jnp.all(jnp.isfinite(gradient))
        return Points(position, jnp.where(fine, log_density, -jnp.inf), gradient)

    return jax.lax.map(point, positions)


def first_points(chart: Chart, key: jax.Array, data: Data, num_draws: int) -> Points:
    """Draws from the prior, or near the data, as :func:`points_at` gives them."""
    keys = jax.random.split(key, num_draws)
    return points_at(chart, jax.lax.map(lambda key: chart.draw_start(key, data), keys), data)


def best(points: Points) -> Points:
    """The point of highest log-density; the origin if none is finite."""
    first = jax.tree.map(lambda array: array[jnp.argmax(points.log_density)], points)
    return first._replace(position=jnp.where(jnp.isfinite(first.log_density), first.position, 0.0))


def starting_points(
    chart: Chart, key: jax.Array, data: Data, num_starts: int, start: jax.Array | None
) -> tuple[Points, Points]:
    """Candidates, and the one to start from: draws from the prior and the best of them, or of `start` and the first."""
    if start is None:
        points = first_points(chart, key, data, num_starts)
        return points, best(points)
    points = points_at(chart, jax.random.choice(key, start, (num_starts,)), data)
    return points, jax.tree.map(lambda array: array[0], points)
