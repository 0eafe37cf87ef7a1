"""Starting points: draws from the prior with their densities and gradients, and the best of them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from bayesastro.charts import Chart
from bayesastro.inference.metric import first_metric
from bayesastro.program import Data

__all__ = ["MAX_GRADIENTS", "Points", "best", "first_points", "points_at", "starting_points"]

MAX_GRADIENTS = 64
"""Of more draws than this from the prior, gradients are found of this many alone: they cost some four densities each."""

MIN_DISTINCT = 10
"""Draws of another run, below which they tell no scales."""

ROUNDS = 3
"""Of points close about one: the first as far from it in all coordinates, those after by the scales that were seen."""

SPREAD = 0.1
"""Of points about one, in rough standard deviations."""

NUM_FINALISTS = 8
"""Draws of the highest density that are looked at for a finite gradient."""


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
    return points_at(chart, _drawn(chart, key, data, num_draws), data)


def _drawn(chart: Chart, key: jax.Array, data: Data, num_draws: int) -> jax.Array:
    return jax.lax.map(lambda key: chart.draw_start(key, data), jax.random.split(key, num_draws))


def best(points: Points) -> Points:
    """The point of highest log-density; the origin if none is finite."""
    first = jax.tree.map(lambda array: array[jnp.argmax(points.log_density)], points)
    return first._replace(position=jnp.where(jnp.isfinite(first.log_density), first.position, 0.0))


def starting_points(
    chart: Chart, key: jax.Array, data: Data, num_starts: int, start: jax.Array | None
) -> tuple[Points, Points]:
    """Points to find scales from, and the one to start from.

    Draws from the prior and the best of them; of more than `MAX_GRADIENTS` draws, the first so many, and the best of all.
    Or draws of `start`, and the first; where these are few and repeated, as importance resampling leaves them, points close
    about the first, where gradients tell the curvature.
    """
    if start is None and num_starts > MAX_GRADIENTS:
        return _best_of_many(chart, _drawn(chart, key, data, num_starts), data)
    if start is None:
        points = first_points(chart, key, data, num_starts)
        return points, best(points)
    drawn = jax.random.choice(key, start, (num_starts,))
    are_few = _number_distinct(drawn) < min(MIN_DISTINCT, num_starts)
    offsets = jax.random.normal(jax.random.fold_in(key, 1), drawn.shape, drawn.dtype).at[0].set(0.0)
    nearest = jnp.sqrt(jnp.finfo(drawn.dtype).eps) * jnp.maximum(jnp.abs(drawn[0]), 1.0)

    def closer(_: jax.Array, carry: tuple[jax.Array, Points]) -> tuple[jax.Array, Points]:
        points = points_at(chart, carry[0], data)
        scale = jnp.sqrt(first_metric(points.position, points.gradient))
        return drawn[0] + SPREAD * scale * offsets, points

    # Scales that differ by orders of magnitude are seen from points as far apart as they.
    positions = jnp.where(are_few, drawn[0] + nearest * offsets, drawn)
    empty = jax.tree.map(jnp.zeros_like, Points(drawn, drawn[:, 0], drawn))
    _, points = jax.lax.fori_loop(0, jnp.where(are_few, ROUNDS, 1), closer, (positions, empty))
    return points, jax.tree.map(lambda array: array[0], points)


def _number_distinct(positions: jax.Array) -> jax.Array:
    """Of a set of points, by their first coordinate."""
    return 1 + jnp.sum(jnp.diff(jnp.sort(positions[:, 0])) > 0)


def _best_of_many(chart: Chart, positions: jax.Array, data: Data) -> tuple[Points, Points]:
    """The first of the points with their gradients, and of all the one of the highest density and a finite gradient."""
    densities = jax.lax.map(lambda position: chart.log_density(position, data), positions)
    densities = jnp.where(jnp.isfinite(densities), densities, -jnp.inf)
    _, highest = jax.lax.top_k(densities, NUM_FINALISTS)
    first = jnp.arange(MAX_GRADIENTS)
    points = points_at(chart, positions[jnp.concatenate([first, highest])], data)
    return jax.tree.map(lambda array: array[:MAX_GRADIENTS], points), best(points)
