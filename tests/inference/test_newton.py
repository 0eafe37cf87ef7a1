"""Conjugate gradients and truncated Newton: solutions and honest limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesastro.inference.newton import conjugate_gradient, newton_cg
from bayesastro.precision import to_numpy

RNG = np.random.default_rng(1)
ROTATION = np.linalg.qr(RNG.normal(size=(40, 40)))[0]
MATRIX = ROTATION @ np.diag(np.geomspace(1.0, 1e4, 40)) @ ROTATION.T
RIGHT = RNG.normal(size=40)


def solve(tolerance, limit):
    with jax.enable_x64(True):
        matvec = lambda v: jnp.asarray(MATRIX) @ v  # noqa: E731
        return to_numpy(conjugate_gradient(matvec, jnp.asarray(RIGHT), tolerance=tolerance, max_iterations=limit))


@pytest.mark.parametrize("tolerance", [1e-1, 1e-3, 1e-6])
def test_conjugate_gradients_reach_the_error_asked_for(tolerance):
    solution = solve(tolerance, 500)
    error = np.asarray(solution.x) - np.linalg.solve(MATRIX, RIGHT)
    assert solution.converged
    assert np.sqrt(error @ MATRIX @ error) < 2 * tolerance


def test_a_limit_reached_is_said():
    solution = solve(1e-6, 5)
    assert solution.iterations == 5
    assert not solution.converged


def test_an_exact_start_takes_no_step():
    with jax.enable_x64(True):
        x0 = jnp.asarray(np.linalg.solve(MATRIX, RIGHT))
        matvec = lambda v: jnp.asarray(MATRIX) @ v  # noqa: E731
        solution = to_numpy(conjugate_gradient(matvec, jnp.asarray(RIGHT), x0, tolerance=1e-6, max_iterations=5))
    assert solution.iterations == 0
    assert solution.converged


def energy(x):
    """Convex, of curvature at least one, and far from quadratic where it starts."""
    y = 3.0 * jnp.asarray(ROTATION[:8]) @ x
    return 0.5 * x @ x + jnp.sum(jnp.logaddexp(y, -y)) - jnp.asarray(RIGHT) @ x


def minimise(**limits):
    def curvature(x, v):
        return jax.jvp(jax.grad(energy), (x,), (v,))[1]

    with jax.enable_x64(True):
        x0 = 3.0 * jnp.ones(40)
        limits = {"tolerance": 1e-6, "max_iterations": 50, "max_cg_iterations": 200} | limits
        return to_numpy(newton_cg(x0=x0, fun_and_grad=jax.value_and_grad(energy), hessp=curvature, **limits))


def test_newton_finds_the_minimum():
    minimum = minimise()
    with jax.enable_x64(True):
        gradient = np.asarray(jax.grad(energy)(minimum.x))
    assert minimum.converged
    assert np.linalg.norm(gradient) < 1e-5


@pytest.mark.parametrize("limits", [{"max_iterations": 2}, {"max_iterations": 0}])
def test_newton_says_when_it_stops_at_its_limit(limits):
    minimum = minimise(**limits)
    assert not minimum.converged
    assert minimum.iterations == limits["max_iterations"]


def test_newton_says_when_the_energy_is_not_a_number():
    with jax.enable_x64(True):
        minimum = to_numpy(
            newton_cg(
                x0=jnp.ones(3),
                fun_and_grad=jax.value_and_grad(lambda x: jnp.sum(jnp.log(-x))),
                hessp=lambda x, v: v,
                tolerance=1e-3,
                max_iterations=5,
                max_cg_iterations=5,
            )
        )
    assert not minimum.converged
    np.testing.assert_array_equal(minimum.x, 1.0)


def test_many_at_once_are_each_solved():
    right = RNG.normal(size=(3, 40)) * np.array([1.0, 1e-2, 1e2])[:, None]

    def one(b):
        matvec = lambda v: jnp.asarray(MATRIX) @ v  # noqa: E731
        return conjugate_gradient(matvec, b, tolerance=1e-3, max_iterations=200)

    with jax.enable_x64(True):
        batch = to_numpy(jax.vmap(one)(jnp.asarray(right)))
    error = batch.x - np.linalg.solve(MATRIX, right.T).T
    assert batch.converged.all()
    assert np.all(np.sqrt(np.einsum("ni,ij,nj->n", error, MATRIX, error)) < 2e-3)
    assert len(set(batch.iterations)) == 3
