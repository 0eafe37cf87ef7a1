"""Live points of nested sampling: draws from the prior, their order, and the births of new ones."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from bayesastro.charts import Chart
from bayesastro.inference.reference import Points, Reference, draw_points
from bayesastro.inference.regions import Found, Quartiles, Region, draw_above, surrounding
from bayesastro.inference.slices import Threshold, is_above, walk
from bayesastro.program import Data

__all__ = [
    "MAX_REGION_SIZE",
    "Births",
    "Live",
    "born",
    "draw_live",
    "in_order",
    "most_likelihoods",
    "region_cost",
    "rows_of",
]

MAX_REGION_SIZE = 10
"""Parameters beyond which no region about the live points is tried."""

WORTH = 0.5
"""Regions are given up once a new point takes more likelihoods than this number for each slice move of a walk, of which
each takes some five."""

MEMORY = 0.8
"""Of the running mean of that number, from one iteration to the next."""

PATIENCE = 5
"""What an iteration may spend on a region, in units of the number at which regions are given up."""


class Live(NamedTuple):
    """Live points, in the order of their likelihood; the first four names are blackjax's."""

    position: jax.Array
    logdensity: jax.Array
    loglikelihood: jax.Array
    loglikelihood_birth: jax.Array
    label: jax.Array
    insertion_rank: jax.Array
    birth_iteration: jax.Array
    """−1 for draws from the prior."""


class Births(NamedTuple):
    """What an iteration's births took."""

    num_evaluations: jax.Array
    num_moves: jax.Array
    num_failures: jax.Array
    num_undefined: jax.Array
    num_from_region: jax.Array
    num_region_evaluations: jax.Array
    position_correlation: jax.Array
    """Of new points with those that their walks began at, by coordinate."""
    rank_correlation: jax.Array
    """The same for their ranks in likelihood."""


def draw_live(
    chart: Chart, reference: Reference | None, key: jax.Array, data: Data, num_live: int
) -> tuple[Live, jax.Array]:
    """Live points from the prior, or from `reference`, in order; and how many had no defined likelihood."""
    key_points, key_label = jax.random.split(key)
    points = draw_points(chart, reference, key_points, data, num_live)
    is_undefined = jnp.isnan(points.log_likelihood)
    log_likelihood = jnp.where(is_undefined, -jnp.inf, points.log_likelihood)
    label = jax.random.exponential(key_label, log_likelihood.shape, log_likelihood.dtype)
    live = Live(
        position=points.position,
        logdensity=points.log_prior,
        loglikelihood=log_likelihood,
        loglikelihood_birth=jnp.full_like(log_likelihood, -jnp.inf),
        label=label,
        insertion_rank=jnp.full_like(log_likelihood, jnp.nan),
        birth_iteration=jnp.full(log_likelihood.shape, -1),
    )
    return in_order(live), jnp.sum(is_undefined)


def in_order(live: Live) -> Live:
    """Points in the order of their likelihood, and on plateaus of their label."""
    order = jnp.lexsort((live.label, live.loglikelihood))
    return jax.tree.map(lambda array: array[order], live)


def rows_of(live: Live, stage: Any) -> dict[str, Any]:
    """What is kept of points when they die."""
    return {
        "position": live.position,
        "log_prior": live.logdensity,
        "log_likelihood": live.loglikelihood,
        "log_likelihood_birth": live.loglikelihood_birth,
        "insertion_rank": live.insertion_rank,
        "birth_iteration": live.birth_iteration,
        "stage": stage + 0 * live.birth_iteration,
    }


def born(
    key: jax.Array,
    live: Live,
    metric: jax.Array,
    terms_fn: Callable[[jax.Array], Points],
    number: int,
    most_moves: int,
    num_moves: jax.Array,
    region: tuple[Quartiles, jax.Array] | None,
    iteration: jax.Array,
) -> tuple[Live, Births]:
    """New points above the first `number`, which die: from a region about the survivors, or by walks from some of them.

    Parameters
    ----------
    key : jax.Array
    live : Live
        In order.
    metric : array, shape (size, size)
        Root of the live points' covariance.
    terms_fn : callable
        The terms of a point.
    number : int
    most_moves, num_moves : int
        Bound on the number of slice moves of a walk, and the number.
    region : Quartiles and int, optional
        Of the prior, and likelihoods to spend on points from a region; those that it does not find are walked to.
    iteration : int
        Noted with the points.
    """
    num_survivors, size = len(live.label) - number, len(metric)
    key_start, key_direction, key_walk, key_region = jax.random.split(key, 4)
    threshold = Threshold(live.loglikelihood[number - 1], live.label[number - 1])
    # One survivor from each of as many parts of the order: all are as likely, and few are taken twice.
    places = (jnp.arange(number) + jax.random.uniform(key_start, (number,))) / number
    chosen = number + (places * num_survivors).astype(int)
    start = Points(live.position[chosen], live.logdensity[chosen], live.loglikelihood[chosen])
    moves, found = jnp.full(number, num_moves), None
    if region is not None:
        found = _from_region(key_region, live, threshold, terms_fn, number, *region)
        moves = jnp.where(jnp.arange(number) < found.number, 0, moves)
    # Two standard deviations of the live points long (arXiv:2601.23252).
    normal = jax.random.normal(key_direction, (number, most_moves, size), metric.dtype)
    directions = 2 * (normal / jnp.linalg.norm(normal, axis=-1, keepdims=True)) @ metric.T
    walks = jax.vmap(walk, (0, 0, None, 0, 0, None))(
        jax.random.split(key_walk, number), start, threshold, directions, moves, terms_fn
    )
    point, label = walks.point, walks.label
    num_evaluations, num_undefined = jnp.sum(walks.num_evaluations), jnp.sum(walks.num_undefined)
    num_from_region = num_region_evaluations = jnp.zeros((), int)
    if found is not None:
        point, label = jax.tree.map(
            lambda new, walked: jnp.where((moves == 0).reshape(-1, *[1] * (new.ndim - 1)), new, walked),
            (found.points, found.label),
            (point, label),
        )
        num_from_region, num_region_evaluations = found.number, found.num_evaluations
        num_evaluations, num_undefined = num_evaluations + num_region_evaluations, num_undefined + found.num_undefined
    rank = _insertion_ranks(point.log_likelihood, label, live, number)
    new = Live(
        position=point.position,
        logdensity=point.log_prior,
        loglikelihood=point.log_likelihood,
        loglikelihood_birth=jnp.broadcast_to(threshold.log_likelihood, (number,)),
        label=label,
        insertion_rank=rank,
        birth_iteration=jnp.broadcast_to(iteration, (number,)),
    )
    start_rank = (chosen - number + 0.5) / num_survivors
    return new, Births(
        num_evaluations,
        jnp.sum(moves),
        jnp.sum(walks.num_failures),
        num_undefined,
        num_from_region,
        num_region_evaluations,
        _position_correlation(start.position, point.position, live.position, metric),
        12 * jnp.mean((start_rank - 0.5) * (rank - 0.5)),
    )


def most_likelihoods(num_moves: int, number: int) -> int:
    """What an iteration may spend on a region for `number` points, instead of walks of `num_moves` each."""
    return int(PATIENCE * WORTH * num_moves * number)


def region_cost(mean: jax.Array, births: Births, num_moves: int) -> jax.Array:
    """Running mean of the likelihoods for a point from a region; infinite from when on walks of `num_moves` cost less."""
    new = births.num_region_evaluations / jnp.maximum(births.num_from_region, 1)
    mean = MEMORY * mean + (1 - MEMORY) * new
    return jnp.where(mean < WORTH * num_moves, mean, jnp.inf)


def _from_region(
    key: jax.Array,
    live: Live,
    threshold: Threshold,
    terms_fn: Callable[[jax.Array], Points],
    number: int,
    prior: Quartiles,
    budget: jax.Array,
) -> Found:
    key_region, key_draw = jax.random.split(key)

    def about_survivors() -> Region:
        return surrounding(key_region, live.position[number:], live.logdensity[number:], prior, terms_fn)

    none = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(about_survivors))
    region = jax.lax.cond(budget > 0, about_survivors, lambda: none)
    return draw_above(key_draw, region, threshold, terms_fn, number, budget)


def _position_correlation(start: jax.Array, end: jax.Array, live: jax.Array, metric: jax.Array) -> jax.Array:
    """Correlation of two sets of points in each of the coordinates in which the live points are white."""
    white = lambda z: solve_triangular(metric, (z - jnp.mean(live, axis=0)).T, lower=True)  # noqa: E731
    return jnp.mean(white(start) * white(end), axis=1)


def _insertion_ranks(log_likelihood: jax.Array, label: jax.Array, live: Live, number: int) -> jax.Array:
    """Ranks as fractions. Each point of a batch counts those before it among the points it could lie above: so ranks
    are independent of each other (Rényi 1962), which the ranks among the survivors alone are not.
    """
    survivors = Threshold(live.loglikelihood[number:], live.label[number:])
    batch = Threshold(log_likelihood, label)
    above = jax.vmap(lambda x, y, points: jnp.sum(is_above(x, y, points)), (0, 0, None))(
        log_likelihood, label, survivors
    )
    pairs = jax.vmap(is_above, (0, 0, None))(log_likelihood, label, batch)
    above += jnp.sum(jnp.tril(pairs, -1), axis=1)
    return (above + 0.5) / (len(live.label) - number + jnp.arange(number) + 1)
