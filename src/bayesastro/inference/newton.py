"""Conjugate gradients and truncated Newton for many unknowns, as pure JAX loops that count their work.

They take the places of NIFTy's own solvers, through its `cg` and `minimize` arguments: those call back to the host
from within compiled code, to log and to raise, which neither vectorises nor keeps in the compilation cache. Here a
solve that stops at its limit says so in what it returns.

The curvature is at least one in every direction (prior plus Fisher metric M), so a gradient of norm g leaves an
error of √(gᵀM⁻¹g) ≤ g posterior standard deviations; tolerances are given as such errors.

References
----------
Nash & Sofer 1990, Oper. Res. Lett. 9, 219 (the truncation test);
Nocedal & Wright 2006, Numerical Optimization, algorithms 5.2 and 7.1.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

__all__ = ["Minimum", "Solution", "conjugate_gradient", "newton_cg"]

MAX_HALVINGS = 10
"""Of a Newton step that does not lower the energy."""

TRUNCATION = 0.1
"""A Newton system is solved until as many steps again, like the last, would gain less than this fraction of its energy."""


class Solution(NamedTuple):
    """A linear system's solution."""

    x: jax.Array
    iterations: jax.Array
    converged: jax.Array


class Minimum(NamedTuple):
    """A minimum and the way there; `jac` is there for NIFTy, which drops it."""

    x: jax.Array
    energy: jax.Array
    iterations: jax.Array
    cg_iterations: jax.Array
    converged: jax.Array
    jac: None = None


def conjugate_gradient(
    matvec: Callable[[jax.Array], jax.Array],
    b: jax.Array,
    x0: jax.Array | None = None,
    *,
    tolerance: Any,
    truncation: float = 0.0,
    max_iterations: Any,
) -> Solution:
    """Solve ``matvec(x) = b`` for a symmetric matrix with no eigenvalue below one.

    Parameters
    ----------
    tolerance : scalar
        Error √((x − x*)ᵀ M (x − x*)) to reach. It is bounded by the residual's norm, and estimated by the energy that as
        many more steps like the last would gain; the first of the two to fall below ends the solve.
    truncation : float
        Ends it, too, where that energy is this fraction of what all steps have gained (Nash & Sofer's test).
    max_iterations : int
    """

    def is_accurate(carry: _Solve) -> jax.Array:
        return (carry.gamma <= tolerance**2) | ((carry.iteration > 0) & (_forecast(carry) <= tolerance**2))

    def goes_on(carry: _Solve) -> jax.Array:
        is_truncated = (carry.iteration > 0) & (_forecast(carry) <= truncation * carry.total)
        is_over = is_accurate(carry) | is_truncated | ~jnp.isfinite(carry.gamma)
        return (carry.iteration < max_iterations) & ~is_over

    def step(carry: _Solve) -> _Solve:
        product = matvec(carry.direction)
        alpha = carry.gamma / jnp.vdot(carry.direction, product)
        r = carry.residual - alpha * product
        gamma, gained = jnp.vdot(r, r), alpha * carry.gamma
        return _Solve(
            x=carry.x + alpha * carry.direction,
            residual=r,
            direction=r + gamma / carry.gamma * carry.direction,
            gamma=gamma,
            iteration=carry.iteration + 1,
            gained=gained,
            total=carry.total + gained,
        )

    r = b if x0 is None else b - matvec(x0)
    x0 = jnp.zeros_like(b) if x0 is None else x0
    zero = jnp.zeros((), r.dtype)
    end = jax.lax.while_loop(goes_on, step, _Solve(x0, r, r, jnp.vdot(r, r), jnp.zeros((), int), zero, zero))
    return Solution(end.x, end.iteration, is_accurate(end))


class _Solve(NamedTuple):
    x: jax.Array
    residual: jax.Array
    direction: jax.Array
    gamma: jax.Array
    iteration: jax.Array
    gained: jax.Array
    """By the last step, of the squared error in the matrix's norm."""
    total: jax.Array


def _forecast(carry: _Solve) -> jax.Array:
    """What as many steps again would gain, each as much as the last: more than they will, unless progress halts."""
    return carry.iteration * carry.gained


def newton_cg(
    fun: None = None,
    *,
    x0: jax.Array,
    fun_and_grad: Callable[[jax.Array], tuple[jax.Array, jax.Array]],
    hessp: Callable[[jax.Array, jax.Array], jax.Array],
    custom_gradnorm: Callable[[jax.Array], jax.Array] | None = None,
    tolerance: Any,
    max_iterations: int,
    max_cg_iterations: int,
) -> Minimum:
    """Minimise a function of positive curvature; the arguments up to `custom_gradnorm` are those NIFTy gives.

    One loop serves evaluation and step, so that the function and its curvature are compiled once each.

    Parameters
    ----------
    fun_and_grad : callable
        Energy and gradient at a point.
    hessp : callable
        ``hessp(x, v)``: the curvature at x applied to v; linear in v. What depends on x alone is computed once a step.
    custom_gradnorm : callable, optional
        Length of a step, in posterior standard deviations; by default √(g·d) for the Newton step d at gradient g.
    tolerance : scalar
        Ends with a step of at most this length.
    max_iterations, max_cg_iterations : int
        Of Newton steps, and of conjugate gradients within one.
    """

    def is_running(carry: _Search) -> jax.Array:
        return carry.status == RUNNING

    def body(carry: _Search) -> _Search:
        trial = carry.x - carry.scale * carry.step
        energy, gradient = fun_and_grad(trial)
        slack = 8 * jnp.finfo(energy.dtype).eps * jnp.abs(energy)
        is_lower = (energy <= carry.energy + slack) & jnp.all(jnp.isfinite(gradient))
        x, energy, gradient = (
            jnp.where(is_lower, new, old)
            for new, old in zip((trial, energy, gradient), (carry.x, carry.energy, carry.gradient), strict=True)
        )
        is_next = is_lower & (carry.iteration < max_iterations)
        solution = conjugate_gradient(
            jax.linearize(lambda v: hessp(x, v), jnp.zeros_like(x))[1],
            gradient,
            tolerance=tolerance,
            truncation=TRUNCATION,
            max_iterations=jnp.where(is_next, max_cg_iterations, 0),
        )
        length = jnp.sqrt(jnp.vdot(gradient, solution.x)) if custom_gradnorm is None else custom_gradnorm(solution.x)
        is_converged = is_next & (length <= tolerance)
        is_stalled = ~is_lower & (carry.halvings >= MAX_HALVINGS)
        status = jnp.where(is_lower & ~is_next, LIMIT, jnp.where(is_stalled, STALLED, RUNNING))
        return _Search(
            x=jnp.where(is_converged, x - solution.x, x),
            energy=energy,
            gradient=gradient,
            step=jnp.where(is_next, solution.x, carry.step),
            scale=jnp.where(is_lower, 1.0, carry.scale / 2),
            halvings=jnp.where(is_lower, 0, carry.halvings + 1),
            iteration=carry.iteration + is_next,
            cg_iterations=carry.cg_iterations + solution.iterations,
            status=jnp.where(is_converged, CONVERGED, status),
        )

    zero, none = jnp.zeros_like(x0), jnp.zeros((), int)
    infinite, one = jnp.full((), jnp.inf, x0.dtype), jnp.ones((), x0.dtype)
    start = _Search(x0, infinite, zero, zero, one, none, none, none, jnp.full((), RUNNING))
    end = jax.lax.while_loop(is_running, body, start)
    return Minimum(end.x, end.energy, end.iteration, end.cg_iterations, end.status == CONVERGED)


RUNNING, CONVERGED, LIMIT, STALLED = 0, 1, 2, 3


class _Search(NamedTuple):
    x: jax.Array
    energy: jax.Array
    gradient: jax.Array
    step: jax.Array
    scale: jax.Array
    halvings: jax.Array
    iteration: jax.Array
    cg_iterations: jax.Array
    status: jax.Array
