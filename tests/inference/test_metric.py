"""Metrics learnt from draws and gradients: correlations of the posterior, also from points on the way there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesastro.inference.metric import curvature_metric, metric_at, metric_of, no_moments, relative_metric_of, updated

RNG = np.random.default_rng(1)
SIZE = 6
FACTOR = np.diag(np.geomspace(1e-4, 1e2, SIZE)) @ (np.eye(SIZE) + 0.9 * RNG.normal(size=(SIZE, SIZE)))
COVARIANCE = FACTOR @ FACTOR.T
PRECISION = np.linalg.inv(COVARIANCE)


def journey(number):
    """Points that come from afar along one direction, a little scattered, and their gradients."""
    along = np.linspace(30.0, 3.0, number)[:, None] * FACTOR[:, 0]
    points = along + 0.3 * RNG.normal(size=(number, SIZE)) @ FACTOR.T
    return points, -points @ PRECISION


def moments(points, gradients, is_dense=True):
    found = no_moments(SIZE, is_dense)
    for point, gradient in zip(points, gradients, strict=True):
        found = updated(found, jnp.asarray(point), jnp.asarray(gradient))
    return found


def condition(metric):
    """Of the posterior in the metric's coordinates; one is best."""
    values = np.linalg.eigvals(np.asarray(metric) @ PRECISION).real
    return values.max() / values.min()


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def test_correlations_come_from_a_journey():
    points, gradients = journey(40)
    metric = metric_of(moments(points, gradients), jnp.eye(SIZE))
    alone = condition(np.diag(np.diag(COVARIANCE)))
    assert condition(metric) < 0.3 * alone
    assert condition(np.cov(points.T)) > 3 * alone


def test_few_draws_of_the_posterior_give_its_correlations():
    points = RNG.normal(size=(20, SIZE)) @ FACTOR.T
    metric = metric_of(moments(points, -points @ PRECISION), jnp.eye(SIZE))
    assert condition(metric) < 10 < 0.1 * condition(np.diag(np.diag(COVARIANCE)))


def test_fewer_points_than_parameters_leave_the_rest_uncorrelated():
    points, gradients = journey(4)
    metric = np.asarray(metric_of(moments(points, gradients), jnp.eye(SIZE)))
    assert np.linalg.eigvalsh(metric / np.sqrt(np.outer(np.diag(metric), np.diag(metric)))).min() > 0.01


def test_moments_of_points_at_once_are_the_running_ones():
    points, gradients = journey(40)
    running = metric_of(moments(points, gradients), jnp.eye(SIZE))
    broken = np.concatenate([points, points[:1]]), np.concatenate([gradients, np.full((1, SIZE), np.nan)])
    for these in ((points, gradients), broken):
        at_once = metric_at(*map(jnp.asarray, these), jnp.eye(SIZE))
        np.testing.assert_allclose(at_once, running, rtol=1e-8, atol=1e-12)


def test_entries_that_do_not_move_keep_their_value():
    points, gradients = journey(40)
    points[:, 2] = 1.0
    metric = np.asarray(metric_of(moments(points, gradients), 7 * jnp.eye(SIZE)))
    np.testing.assert_array_equal(metric[2], 7 * np.eye(SIZE)[2])
    assert np.all(np.linalg.eigvalsh(metric) > 0)
    assert np.array_equal(np.asarray(metric_at(jnp.ones((9, SIZE)), jnp.ones((9, SIZE)), jnp.eye(SIZE))), np.eye(SIZE))


@pytest.mark.parametrize("is_dense", [False, True])
def test_long_windows_give_the_covariance_of_the_draws(is_dense):
    points = RNG.normal(size=(2000, SIZE)) @ FACTOR.T
    sample = np.cov(points.T) if is_dense else points.var(0, ddof=1)
    previous = jnp.eye(SIZE) if is_dense else jnp.ones(SIZE)
    metric = metric_of(moments(points, -points @ PRECISION, is_dense), previous)
    scale = np.sqrt(np.outer(points.var(0), points.var(0))) if is_dense else points.var(0)
    np.testing.assert_allclose(np.asarray(metric) / scale, sample / scale, atol=0.01)


def test_curvature_of_a_gaussian_is_its_covariance():
    found = curvature_metric(lambda z: -PRECISION @ z, jnp.ones(SIZE), jnp.ones(SIZE))
    np.testing.assert_allclose(found, COVARIANCE, rtol=1e-6, atol=1e-6 * np.abs(COVARIANCE).min())


def test_curvature_upwards_or_none_gives_a_metric():
    precision = np.diag([4.0, -25.0, 0.0])
    found = np.asarray(curvature_metric(lambda z: -precision @ z, jnp.ones(3), jnp.array([1.0, 1.0, 9.0])))
    assert np.all(np.isfinite(found))
    assert np.diag(found)[:2] == pytest.approx([1 / 4, 1 / 25])
    assert found[2, 2] > 9
    nowhere = curvature_metric(lambda z: z * jnp.nan, jnp.ones(3), jnp.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(nowhere, np.diag([1.0, 2.0, 3.0]))


def test_a_short_window_keeps_what_was_known_before():
    points = RNG.normal(size=(4, SIZE)) @ FACTOR.T
    window = moments(points, -points @ PRECISION)
    assert condition(relative_metric_of(window, jnp.asarray(COVARIANCE))) < 1.5
    assert condition(metric_of(window, jnp.asarray(COVARIANCE))) > 10
    # A metric too wide by half in one direction is mended by a longer one.
    wrong = COVARIANCE + 3 * np.outer(FACTOR[:, 1], FACTOR[:, 1])
    points = RNG.normal(size=(30, SIZE)) @ FACTOR.T
    mended = relative_metric_of(moments(points, -points @ PRECISION), jnp.asarray(wrong))
    assert condition(mended) < 0.6 * condition(wrong)
