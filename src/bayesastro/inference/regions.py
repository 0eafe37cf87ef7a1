"""Regions about live points, from which new ones are drawn by rejection.

Coordinates are first mapped to the unit interval, by a logistic distribution with the quartiles of the prior: a
uniform prior is uniform there again, and what it cuts off has an edge and no tail. The region is a union of balls about the live points, in coordinates in which close points differ by as much in every
direction, cut by an ellipsoid about all points. So modes far apart, each with the shape that they share, stay apart.
The radii of balls and ellipsoid are those that would have covered every point left out of a resample, in the worst of several
resamples. Points uniform in the region and then thinned to the prior cost no likelihood; the likelihood decides
about what remains. For few parameters that takes a small part of the likelihoods that a walk takes, and new points owe
nothing to old ones; with more parameters the region becomes much larger than what it encloses.

References
----------
Buchner 2016, Stat. Comput. 26, 383 (arXiv:1407.5459; the radius by resampling);
Buchner 2019, PASP 131, 108005 (arXiv:1707.04476; whitened balls);
Mukherjee, Parkinson & Liddle 2006, ApJ 638, L51 (doi:10.1086/501068; ellipsoids).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from bayesastro.inference.reference import Points
from bayesastro.inference.slices import Threshold, is_above
from bayesastro.inference.spread import inverse, local_root, root, squared_distances

__all__ = ["Found", "Quartiles", "Region", "draw_above", "quartiles", "surrounding"]

NUM_RESAMPLES = 20

KEPT = 0.63
"""Share of the points in a resample, as in a bootstrap."""

MARGIN = 1.0
"""How far the log-density within the region, per ball that a point is in, may exceed that of the live points."""

POOL = 512
"""Points tried side by side before any likelihood."""

MAX_POOLS = 100
"""Pools tried for as many points as are sought; then the region is given up."""

SHARE = 8
"""Likelihoods are evaluated side by side for an eighth of the points sought: wider, and more come out above the
threshold than are sought."""


class Quartiles(NamedTuple):
    """The logistic distribution in each coordinate with the quartiles of the prior."""

    location: jax.Array
    scale: jax.Array

    def to_unit(self, position: jax.Array) -> jax.Array:
        return jax.nn.sigmoid((position - self.location) / self.scale)

    def log_jacobian(self, position: jax.Array) -> jax.Array:
        """Of the map to the unit cube, for points along the first axis."""
        t = (position - self.location) / self.scale
        return jnp.sum(jax.nn.log_sigmoid(t) + jax.nn.log_sigmoid(-t) - jnp.log(self.scale), axis=-1)

    def to_position(self, unit: jax.Array) -> jax.Array:
        return self.location + self.scale * (jnp.log(unit) - jnp.log1p(-unit))


def quartiles(positions: jax.Array) -> Quartiles:
    """From draws of the prior, along the first axis."""
    low, middle, high = jnp.quantile(positions, jnp.array([0.25, 0.5, 0.75]), axis=0)
    scale = (high - low) / (2 * jnp.log(3.0))
    return Quartiles(middle, jnp.where(scale > 0, scale, 1.0))


class Region(NamedTuple):
    """Balls cut by an ellipsoid. A point of the unit cube is ``centre + factor @ coordinates`` in those of either."""

    quartiles: Quartiles
    centre: jax.Array
    ball_factor: jax.Array
    ball_inverse: jax.Array
    balls: jax.Array
    """Centres of the balls, of shape (num_points, size), in their coordinates."""
    ball_radius: jax.Array
    ellipsoid_factor: jax.Array
    ellipsoid_inverse: jax.Array
    ellipsoid_radius: jax.Array
    from_balls: jax.Array
    """Whether points are drawn in the balls, and kept in the ellipsoid, or the other way round."""
    log_bound: jax.Array
    """Bound on the prior's density in the unit cube; for points from balls, over the number of balls that a point is in."""


class Found(NamedTuple):
    """Points above a threshold; of those arrays that have a leading axis the first `number` places are filled."""

    points: Points
    label: jax.Array
    number: jax.Array
    num_evaluations: jax.Array
    num_undefined: jax.Array
    is_exhausted: jax.Array
    """Whether pools were of no avail."""


def surrounding(
    key: jax.Array,
    positions: jax.Array,
    log_prior: jax.Array,
    prior: Quartiles,
    terms_fn: Callable[[jax.Array], Points],
) -> Region:
    """The region about points.

    Parameters
    ----------
    key : jax.Array
    positions : array, shape (num_points, size)
    log_prior : array, shape (num_points,)
    prior : Quartiles
    terms_fn : callable
        The terms of a point.
    """
    unit, log_density = prior.to_unit(positions), log_prior - prior.log_jacobian(positions)
    centre, ellipsoid_factor = jnp.mean(unit, axis=0), root(unit)
    centred = unit - centre
    ball_factor = local_root(centred, ellipsoid_factor)
    ball_inverse, ellipsoid_inverse = inverse(ball_factor), inverse(ellipsoid_factor)
    balls, white = centred @ ball_inverse.T, centred @ ellipsoid_inverse.T
    distances = squared_distances(balls, balls)
    key_resample, key_trial = jax.random.split(key)
    is_kept = jax.random.bernoulli(key_resample, KEPT, (NUM_RESAMPLES, len(positions)))
    ball = _squared_ball_radius(is_kept, distances)
    ellipsoid = _squared_ellipsoid_radius(is_kept, white)
    # Points from balls are as dense as live points are, which the prior is too; points from an ellipsoid lie evenly.
    num_others = jnp.maximum(jnp.sum(distances <= ball, axis=1) - 1, 1)
    in_balls = Region(
        prior,
        centre,
        ball_factor,
        ball_inverse,
        balls,
        jnp.sqrt(ball),
        ellipsoid_factor,
        ellipsoid_inverse,
        jnp.sqrt(ellipsoid),
        jnp.array(True),
        jnp.max(log_density - jnp.log(num_others)) + MARGIN,
    )
    in_ellipsoid = in_balls._replace(from_balls=jnp.array(False), log_bound=jnp.max(log_density) + MARGIN)
    both = jax.tree.map(lambda x, y: jnp.stack([x, y]), in_balls, in_ellipsoid)
    number_kept = jax.lax.map(lambda region: jnp.sum(_pool(key_trial, region, terms_fn)[1]), both)
    return jax.tree.map(lambda x: x[jnp.argmax(number_kept)], both)


def _squared_ball_radius(is_kept: jax.Array, distances: jax.Array) -> jax.Array:
    """The largest distance of a point left out of a resample from the nearest point within it."""
    nearest = jax.lax.map(lambda kept: jnp.min(jnp.where(kept, distances, jnp.inf), axis=1), is_kept)
    return jnp.max(jnp.where(is_kept, 0.0, nearest))


def _squared_ellipsoid_radius(is_kept: jax.Array, white: jax.Array) -> jax.Array:
    """The largest distance of a point from its centre, in units of the covariance of resamples that leave it out."""
    weights = is_kept / jnp.maximum(jnp.sum(is_kept, axis=1, keepdims=True), 1)
    mean = weights @ white
    products = (white[:, :, None] * white[:, None, :]).reshape(len(white), -1)
    covariance = (weights @ products).reshape(-1, *[white.shape[1]] * 2) - mean[:, :, None] * mean[:, None, :]
    precision = jnp.linalg.inv(covariance)
    outlying = jax.vmap(lambda m, p: jnp.sum(((white - m) @ p) * (white - m), axis=1))(mean, precision)
    outlying = jnp.where(jnp.isfinite(outlying), outlying, jnp.inf)
    return jnp.maximum(jnp.max(jnp.where(is_kept, 0.0, outlying)), jnp.max(jnp.sum(white**2, axis=1)))


def draw_above(
    key: jax.Array,
    region: Region,
    threshold: Threshold,
    terms_fn: Callable[[jax.Array], Points],
    number: int,
    budget: jax.Array,
) -> Found:
    """Draws from the prior within a region, above a threshold.

    Parameters
    ----------
    key : jax.Array
    region : Region
    threshold : Threshold
    terms_fn : callable
        The terms of a point.
    number : int
        How many to find.
    budget : int
        No further likelihoods after these; then fewer are found.
    """
    size, dtype = region.balls.shape[1], region.balls.dtype
    width = max(1, number // SHARE)
    zero = jnp.zeros((), int)
    places = jnp.zeros(number, dtype)
    empty = Points(jnp.zeros((number, size), dtype), places, places)
    first = Found(empty, places, zero, zero, zero, jnp.zeros((), bool))

    def is_short(found: Found) -> jax.Array:
        return (found.number < number) & (found.num_evaluations < budget)

    def evaluated(found: Found, queue: jax.Array, is_filled: jax.Array, key_label: jax.Array) -> Found:
        candidate = jax.vmap(terms_fn)(queue)
        label = jax.random.exponential(key_label, (width,), dtype)
        is_defined = candidate.log_likelihood < jnp.inf
        is_good = is_filled & is_defined & is_above(candidate.log_likelihood, label, threshold)
        points, label = jax.tree.map(
            lambda all_places, new: _appended(all_places, new, is_good, found.number),
            (found.points, found.label),
            (candidate, label),
        )
        return found._replace(
            points=points,
            label=label,
            number=jnp.minimum(found.number + jnp.sum(is_good), number),
            num_evaluations=found.num_evaluations + width,
            num_undefined=found.num_undefined + jnp.sum(is_filled & ~is_defined),
        )

    def turn(found: Found) -> Found:
        key_pool, key_label = jax.random.split(jax.random.fold_in(key, found.num_evaluations))
        queue, num_queued, is_exhausted = _thinned(key_pool, region, terms_fn, number, width)

        def add(carry: tuple[Found, jax.Array]) -> tuple[Found, jax.Array]:
            found, i = carry
            is_filled = i + jnp.arange(width) < num_queued
            chunk = jax.lax.dynamic_slice_in_dim(queue, i, width)
            return evaluated(found, chunk, is_filled, jax.random.fold_in(key_label, i)), i + width

        found, _ = jax.lax.while_loop(lambda c: is_short(c[0]) & (c[1] < num_queued), add, (found, zero))
        return found._replace(is_exhausted=is_exhausted)

    return jax.lax.while_loop(lambda found: is_short(found) & ~found.is_exhausted, turn, first)


def _thinned(
    key: jax.Array, region: Region, terms_fn: Callable[[jax.Array], Points], number: int, width: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Draws of the prior within the region, at least `number` in places for whole multiples of `width`; how many they
    are; and whether it took all pools."""

    def add(carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        found, num_found, i = carry
        position, is_kept = _pool(jax.random.fold_in(key, i), region, terms_fn)
        return _appended(found, position, is_kept, num_found), num_found + jnp.sum(is_kept), i + 1

    def goes_on(carry: tuple[jax.Array, ...]) -> jax.Array:
        return (carry[1] < number) & (carry[2] < MAX_POOLS)

    zero, capacity = jnp.zeros((), int), width * math.ceil((number + POOL) / width)
    first = (jnp.broadcast_to(region.quartiles.location, (capacity, len(region.centre))), zero, zero)
    found, num_found, num_pools = jax.lax.while_loop(goes_on, add, first)
    return found, num_found, num_pools >= MAX_POOLS


def _pool(key: jax.Array, region: Region, terms_fn: Callable[[jax.Array], Points]) -> tuple[jax.Array, jax.Array]:
    """Points in balls or ellipsoid, and which of them to keep so that they are draws of the prior in the region."""
    size, dtype = region.balls.shape[1], region.balls.dtype
    key_ball, key_normal, key_radius, key_thin = jax.random.split(key, 4)
    normal = jax.random.normal(key_normal, (POOL, size), dtype)
    radius = jax.random.uniform(key_radius, (POOL, 1), dtype) ** (1 / size)
    within = radius * normal / jnp.linalg.norm(normal, axis=1, keepdims=True)
    ball = region.balls[jax.random.randint(key_ball, (POOL,), 0, len(region.balls))]
    from_centre = jnp.where(
        region.from_balls,
        (ball + region.ball_radius * within) @ region.ball_factor.T,
        region.ellipsoid_radius * within @ region.ellipsoid_factor.T,
    )
    # A point that is in m balls is drawn from them m times as often.
    distances = squared_distances(from_centre @ region.ball_inverse.T, region.balls)
    num_balls = jnp.sum(distances <= region.ball_radius**2, axis=1)
    is_in = (num_balls > 0) & (
        jnp.sum((from_centre @ region.ellipsoid_inverse.T) ** 2, axis=1) <= region.ellipsoid_radius**2
    )
    unit = region.centre + from_centre
    is_in &= jnp.all((unit > 0) & (unit < 1), axis=1)
    position = region.quartiles.to_position(jnp.where(is_in[:, None], unit, 0.5))
    log_density = jax.vmap(lambda z: terms_fn(z).log_prior)(position) - region.quartiles.log_jacobian(position)
    log_share = log_density - region.log_bound - jnp.where(region.from_balls, jnp.log(num_balls), 0.0)
    log_uniform = jnp.log(jax.random.uniform(key_thin, (POOL,), dtype))
    return position, is_in & (log_uniform < log_share)  # not where the share is not a number


def _appended(places: jax.Array, new: jax.Array, is_kept: jax.Array, num_filled: jax.Array) -> jax.Array:
    """Those rows of `new` that are kept, in their order, put behind the places filled; what is too many is dropped."""
    index = jnp.where(is_kept, num_filled + jnp.cumsum(is_kept) - 1, len(places))
    return places.at[index].set(new, mode="drop")
