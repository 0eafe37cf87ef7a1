"""Slice sampling of the prior above a likelihood threshold, many lanes at once and out of step.

A lane is a walker making hit-and-run slice moves (stepping out, shrinking). Moves differ in how many densities they
need; lanes that waited for each other after every move would idle for more than half of the time (40 lanes, measured). Here each turn of the
loop evaluates one density for every lane, whatever that lane is at: a lane that has finished a move begins its next.

Plateaus of the likelihood are ordered by a second number, the *label*, an exponential variate independent of
everything else. Points count as above the threshold if their likelihood is, or if it is equal and their label above.

References
----------
Neal 2003, Ann. Stat. 31, 705, figures 3 and 5;
Yallup, Kroupa & Handley 2026, arXiv:2601.23252 (nested slice sampling: directions, widths);
Fowlie, Handley & Su 2021, MNRAS 503, 1199 (arXiv:2010.13884; plateaus).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from bayesastro.inference.reference import Points

__all__ = ["Threshold", "Walk", "is_above", "walk"]

MAX_EXPANSIONS = 10
"""Steps out, on both sides together; a step is two standard deviations of the live points."""

MAX_SHRINKAGE = 100
"""Points tried within a bracket before the move is given up."""

LEFT, RIGHT, WITHIN = 0, 1, 2


class Threshold(NamedTuple):
    """A log-likelihood and the label that orders points of equal likelihood."""

    log_likelihood: jax.Array
    label: jax.Array


class Walk(NamedTuple):
    """Where a lane arrived, and what it took."""

    point: Points
    label: jax.Array
    num_evaluations: jax.Array
    num_failures: jax.Array
    """Moves given up."""
    num_undefined: jax.Array
    """Evaluations that gave no number, or an infinite likelihood; they are taken as excluded."""


class _Lane(NamedTuple):
    walk: Walk
    move: jax.Array
    phase: jax.Array
    left: jax.Array
    right: jax.Array
    left_steps: jax.Array
    right_steps: jax.Array
    num_shrinks: jax.Array
    level: jax.Array


class _Moves(NamedTuple):
    """What is random in a lane's moves, drawn beforehand, and the threshold."""

    directions: jax.Array
    uniforms: jax.Array
    """Height within the slice, place of the bracket, and share of its steps on the left."""
    labels: jax.Array
    key: jax.Array
    """Of the points within a bracket."""
    threshold: Threshold


def is_above(log_likelihood: jax.Array, label: jax.Array, threshold: Threshold) -> jax.Array:
    """Whether points lie above the threshold."""
    is_tied = log_likelihood == threshold.log_likelihood
    return (log_likelihood > threshold.log_likelihood) | (is_tied & (label > threshold.label))


def walk(
    key: jax.Array,
    start: Points,
    threshold: Threshold,
    directions: jax.Array,
    num_moves: jax.Array,
    terms_fn: Callable[[jax.Array], Points],
) -> Walk:
    """Slice moves of one lane from a point above the threshold; batch it with ``jax.vmap``.

    Parameters
    ----------
    key : jax.Array
    start : Points
        One point. Its label is drawn anew.
    threshold : Threshold
    directions : array, shape (most_moves, size)
        Direction and width of each move.
    num_moves : int
        How many of them to make.
    terms_fn : callable
        The terms of a point.

    Returns
    -------
    Walk
    """
    key_moves, key_label, key_shrink = jax.random.split(key, 3)
    dtype = directions.dtype
    uniforms = jax.random.uniform(key_moves, (len(directions), 3), dtype)
    labels = jax.random.exponential(key_label, (len(directions),), dtype)

    moves = _Moves(directions, uniforms, labels, key_shrink, threshold)
    zero, number = jnp.zeros((), int), jnp.zeros((), dtype)
    first = Walk(start, number, zero, zero, zero)
    lane = _begun(_Lane(first, zero, zero, number, number, zero, zero, zero, number), moves, zero)
    return jax.lax.while_loop(lambda lane: lane.move < num_moves, lambda lane: _turn(lane, moves, terms_fn), lane).walk


def _begun(lane: _Lane, moves: _Moves, move: jax.Array) -> _Lane:
    """A lane at the beginning of a move. The label's conditional is exponential, on a plateau beyond the threshold's."""
    i = jnp.minimum(move, len(moves.directions) - 1)
    height, place, share = moves.uniforms[i]
    point = lane.walk.point
    is_tied = point.log_likelihood == moves.threshold.log_likelihood
    left_steps = jnp.floor(MAX_EXPANSIONS * share).astype(int)
    return lane._replace(
        walk=lane.walk._replace(label=moves.labels[i] + jnp.where(is_tied, moves.threshold.label, 0.0)),
        move=move,
        phase=jnp.asarray(LEFT),
        left=-place,
        right=1 - place,
        left_steps=left_steps,
        right_steps=MAX_EXPANSIONS - 1 - left_steps,
        num_shrinks=jnp.asarray(0),
        level=point.log_prior + jnp.log1p(-height),
    )


def _turn(lane: _Lane, moves: _Moves, terms_fn: Callable[[jax.Array], Points]) -> _Lane:
    """One density, and what follows from it."""
    number, i = lane.walk.num_evaluations, jnp.minimum(lane.move, len(moves.directions) - 1)
    within = jax.random.uniform(jax.random.fold_in(moves.key, number), (), moves.directions.dtype)
    t = jnp.where(lane.phase == WITHIN, lane.left + within * (lane.right - lane.left), lane.right)
    t = jnp.where(lane.phase == LEFT, lane.left, t)
    candidate = terms_fn(lane.walk.point.position + t * moves.directions[i])
    is_defined = (candidate.log_prior < jnp.inf) & (candidate.log_likelihood < jnp.inf)
    inside = is_above(candidate.log_likelihood, lane.walk.label, moves.threshold)
    inside &= is_defined & (candidate.log_prior >= lane.level)
    undefined = lane.walk.num_undefined + jnp.where(is_defined, 0, 1)
    lane = lane._replace(walk=lane.walk._replace(num_evaluations=number + 1, num_undefined=undefined))
    lane, is_over = _after(lane, t, candidate, inside)
    following = _begun(lane, moves, lane.move + 1)
    return jax.tree.map(lambda new, old: jnp.where(is_over, new, old), following, lane)


def _after(lane: _Lane, t: jax.Array, candidate: Points, inside: jax.Array) -> tuple[_Lane, jax.Array]:
    """A lane after its point at `t` was found to be inside the slice or not; and whether the move is over."""
    goes_left = (lane.phase == LEFT) & inside & (lane.left_steps > 0)
    goes_right = (lane.phase == RIGHT) & inside & (lane.right_steps > 0)
    is_within = lane.phase == WITHIN
    found = is_within & inside
    gives_up = is_within & ~inside & (lane.num_shrinks + 1 >= MAX_SHRINKAGE)
    point = jax.tree.map(lambda new, old: jnp.where(found, new, old), candidate, lane.walk.point)
    lane = lane._replace(
        walk=lane.walk._replace(point=point, num_failures=lane.walk.num_failures + gives_up),
        phase=jnp.where(is_within | goes_left | goes_right, lane.phase, lane.phase + 1),
        left=jnp.where(is_within & (t < 0), t, lane.left - goes_left),
        right=jnp.where(is_within & (t >= 0), t, lane.right + goes_right),
        left_steps=lane.left_steps - goes_left,
        right_steps=lane.right_steps - goes_right,
        num_shrinks=lane.num_shrinks + is_within,
    )
    return lane, found | gives_up
