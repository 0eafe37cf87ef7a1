"""Regions about live points: draws from them are draws of the prior above the threshold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matrix import Z
from scipy import stats

from bayesastro.inference.reference import Points
from bayesastro.inference.regions import draw_above, quartiles, surrounding
from bayesastro.inference.slices import Threshold

SIZE = 3


def ball(z):
    """A standard normal prior; the likelihood falls with the distance from (1, 0, 0)."""
    return Points(z, -0.5 * jnp.sum(z**2), -jnp.sum((z - jnp.eye(1, SIZE)[0]) ** 2))


def modes(z):
    """The same prior with narrow modes at ±1.5 on the first axis, a tenth as wide along it as along the others."""
    away = (jnp.abs(z) - 1.5 * jnp.eye(1, SIZE)[0]) / jnp.array([0.1, 1.0, 1.0])
    return Points(z, -0.5 * jnp.sum(z**2), -jnp.sum(jnp.where(jnp.arange(SIZE) == 0, away, z) ** 2))


def truncated(terms_fn, level, number, seed=0):
    """Draws of the prior above a level, by rejection."""
    draws = jnp.asarray(np.random.default_rng(seed).normal(size=(200_000, SIZE)))
    above = draws[jax.vmap(terms_fn)(draws).log_likelihood > level]
    assert len(above) >= number
    return above[:number]


def drawn(terms_fn, level, number, budget=10**6):
    with jax.enable_x64(True):
        prior = quartiles(jnp.asarray(np.random.default_rng(1).normal(size=(400, SIZE))))
        live = truncated(terms_fn, level, 300)
        region = surrounding(jax.random.key(1), live, jax.vmap(terms_fn)(live).log_prior, prior, terms_fn)
        threshold = Threshold(jnp.asarray(level), jnp.asarray(0.0))
        found = draw_above(jax.random.key(2), region, threshold, terms_fn, number, jnp.asarray(budget))
        reference = truncated(terms_fn, level, 10 * number if level < -1 else number, seed=3)
        return region, jax.tree.map(np.asarray, found), np.asarray(reference)


@pytest.mark.parametrize(("terms_fn", "level"), [(ball, -4.0), (ball, -0.25), (modes, -1.0)])
def test_draws_are_those_of_the_prior_above_the_threshold(terms_fn, level):
    """Each coordinate and the likelihood have the distribution that rejection from the prior gives."""
    _, found, reference = drawn(terms_fn, level, 2000)
    assert found.number == 2000
    assert (found.points.log_likelihood > level).all()
    like = lambda z: np.asarray(jax.vmap(terms_fn)(jnp.asarray(z)).log_likelihood)  # noqa: E731
    ours = np.column_stack([found.points.position, like(found.points.position)])
    exact = np.column_stack([reference, like(reference)])
    level_of_each = stats.norm.sf(Z) / ours.shape[1]
    for a, b in zip(ours.T, exact.T, strict=True):
        assert stats.ks_2samp(a, b).pvalue > level_of_each


def test_modes_apart_are_drawn_from_balls_and_one_from_an_ellipsoid():
    region, found, _ = drawn(modes, -1.0, 500)
    assert bool(region.from_balls)
    assert found.num_evaluations < 12 * 500
    region, found, _ = drawn(ball, -0.25, 500)
    assert not bool(region.from_balls)
    assert found.num_evaluations < 4 * 500


def test_the_budget_bounds_the_likelihoods():
    _, found, _ = drawn(ball, -0.25, 400, budget=250)
    assert found.num_evaluations == 250  # five batches of 50
    assert 0 < found.number < 400


def test_likelihoods_without_a_value_are_counted_and_excluded():
    def broken(z):
        point = ball(z)
        return point._replace(log_likelihood=jnp.where(z[1] > 0, jnp.nan, point.log_likelihood))

    _, found, _ = drawn(broken, -0.25, 200)
    assert found.num_undefined > 0
    assert (found.points.position[:, 1] <= 0).all()
