"""A problem's likelihood as NIFTy knows it, and draws of the MGVI and geoVI approximations about a point.

About the expansion point e the posterior's metric is M = 1 + J_eᵀJ_e, with J the Jacobian of the Fisher coordinates
t(ξ). With

    g(ξ) = ξ − e + J_eᵀ (t(ξ) − t(e)),

geoVI's draws solve g(ξ) = η with η ~ N(0, M); MGVI's are those of the linearised g, that is ξ ~ N(e, M⁻¹). The
density of either is known,

    q(ξ) = N(g(ξ); 0, M) |det ∂g/∂ξ|,    ∂g/∂ξ = 1 + J_eᵀ J_ξ.

This module alone imports nifty8.

References
----------
Knollmüller & Enßlin 2019, arXiv:1901.11033 (MGVI); Frank, Leike & Enßlin 2021, arXiv:2105.10470 (geoVI, eqs. 21–33).
"""

import warnings
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from bayesastro.extras import Extra
from bayesastro.inference.newton import conjugate_gradient, newton_cg
from bayesastro.problem import Views
from bayesastro.program import Data

with Extra("fields", "Fields by `GeoVI`"), warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # NIFTy imports names that JAX has moved
    from nifty8.re.evi import nonlinearly_update_residual, sample_likelihood
    from nifty8.re.likelihood import Likelihood
    from nifty8.re.tree_math import random_like

__all__ = ["Effort", "SiteLikelihood", "draw_pair", "log_density"]


class SiteLikelihood(Likelihood):
    """The observed sites' likelihood as a function of white coordinates.

    Parameters
    ----------
    views : Views
    data : Data
    point : array, shape (size,)
        Any point; gives shape and dtype.
    anchor : array, shape (size,), optional
        Where the Fisher coordinates are anchored. Without, each point anchors its own: their Jacobian is then a root of
        the Fisher metric everywhere, but they are differences from that point and no transformation.
    """

    def __init__(self, views: Views, data: Data, point: jax.Array, anchor: jax.Array | None = None) -> None:
        self._views, self._data = views, data
        self._anchor = None if anchor is None else views.fisher.distributions(anchor, data)
        domain: Any = jax.ShapeDtypeStruct(point.shape, point.dtype)
        super().__init__(domain=domain, lsm_tangents_shape=jax.eval_shape(self.transformation, point))

    def energy(self, primals: jax.Array) -> jax.Array:
        return -self._views.white.log_likelihood(primals, self._data)

    def transformation(self, primals: jax.Array) -> Any:
        return self._views.fisher.coordinates(primals, self._data, self._anchor)

    def right_sqrt_metric(self, primals: jax.Array, tangents: jax.Array) -> Any:
        return jax.jvp(self.transformation, (primals,), (tangents,))[1]

    def metric(self, primals: jax.Array, tangents: jax.Array) -> jax.Array:
        push = jax.linearize(self.transformation, primals)[1]
        return jax.linear_transpose(push, primals)(push(tangents))[0]


class Effort(NamedTuple):
    """Work that a draw took, and whether both of its solves reached their tolerances."""

    cg_iterations: jax.Array
    newton_iterations: jax.Array
    converged: jax.Array


def draw_pair(
    likelihood: SiteLikelihood,
    point: jax.Array,
    key: jax.Array,
    *,
    geometric: bool,
    tolerance: float,
    max_cg_iterations: int,
    max_newton_iterations: int,
) -> tuple[jax.Array, Effort]:
    """A mirrored pair of draws, from η and −η, relative to the expansion point.

    The linear solve starts at the prior's part of η: in directions that no datum constrains it is the answer.

    Returns
    -------
    array, shape (2, size); Effort with a leading axis of 2
    """
    # NIFTy's own split of the key: the nonlinear update draws the same η from it.
    data_key, prior_key = jax.random.split(key)
    prior = random_like(prior_key, point)
    eta = sample_likelihood(likelihood, point, data_key) + prior
    push = jax.linearize(likelihood.transformation, point)[1]
    pull = jax.linear_transpose(push, point)
    linear = conjugate_gradient(
        lambda v: v + pull(push(v))[0], eta, prior, tolerance=tolerance, max_iterations=max_cg_iterations
    )
    both = jnp.stack([linear.x, -linear.x])
    if not geometric:
        twice = partial(jnp.broadcast_to, shape=(2,))
        return both, Effort(twice(linear.iterations), twice(0), twice(linear.converged))

    def curved(residual: jax.Array, sign: Any) -> tuple[jax.Array, Any]:
        minimize: Any = partial(
            newton_cg,
            tolerance=tolerance,
            max_iterations=max_newton_iterations,
            max_cg_iterations=max_cg_iterations,
        )
        return nonlinearly_update_residual(likelihood, point, residual, key, sign, minimize=minimize)

    residuals, minimum = jax.vmap(curved)(both, jnp.array([1.0, -1.0], point.dtype))
    effort = Effort(linear.iterations + minimum.cg_iterations, minimum.iterations, linear.converged & minimum.converged)
    return residuals, effort


def log_density(likelihood: SiteLikelihood, point: jax.Array, draws: jax.Array, *, geometric: bool) -> jax.Array:
    """log q at draws, of the approximation about `point`; dense, for few unknowns.

    Parameters
    ----------
    point : array, shape (size,)
    draws : array, shape (num_draws, size)
    """
    size = point.size

    def coordinates(xi: jax.Array) -> jax.Array:
        return ravel_pytree(likelihood.transformation(xi))[0]

    identity = jnp.eye(size, dtype=point.dtype)
    jacobian = jax.jacfwd(coordinates)(point)
    metric = identity + jacobian.T @ jacobian
    root = jnp.linalg.cholesky(metric)
    half_log_det = jnp.sum(jnp.log(jnp.diagonal(root)))

    def one(xi: jax.Array) -> jax.Array:
        if geometric:
            shift, tangent = coordinates(xi) - coordinates(point), jax.jacfwd(coordinates)(xi)
            log_volume = jnp.linalg.slogdet(identity + jacobian.T @ tangent)[1]
        else:
            shift, log_volume = jacobian @ (xi - point), 2 * half_log_det
        g = xi - point + jacobian.T @ shift
        white = jax.scipy.linalg.solve_triangular(root, g, lower=True)
        return log_volume - half_log_det - 0.5 * jnp.vdot(white, white) - 0.5 * size * jnp.log(2 * jnp.pi)

    return jax.lax.map(one, draws)
