r"""Gaussian processes on a line of n times, at a cost of O(n): likelihood, draws, predictions.

The covariance is :math:`K = k(|t_i - t_j|) + \mathrm{diag}(\sigma_i^2)` with a quasiseparable kernel of tinygp. Below
the diagonal it has rank m (2 for an oscillator, 4 for a rotating star), :math:`K_{ij} = p_i^T A_i \dots A_{j+1} q_j`,
and one sweep over the points factorises it and solves with it.

For sums of damped oscillations and exponentials the sweep uses coordinates in which every A is diagonal, and it does
factor and solution in one loop. Beside tinygp's two loops over dense A that saves a factor of three to five.

Times must ascend; equal ones may follow each other.

References
----------
Foreman-Mackey et al. 2017, AJ 154, 220 (arXiv:1703.09710), section 5 and appendix A;
Foreman-Mackey et al. 2024, tinygp, doi:10.5281/zenodo.6389737.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from bayesastro.extras import Extra
from bayesastro.simulators.lightcurves.kernels import Damped

with Extra("lightcurves", "Gaussian processes"):
    from tinygp.kernels.quasisep import Exp, Quasisep, Sum
    from tinygp.solvers.quasisep.core import DiagQSM, StrictLowerTriQSM, SymmQSM

__all__ = ["correlated", "innovations", "log_likelihood", "predict", "predict_at"]


class Semiseparable(NamedTuple):
    """Generators of a covariance; below the diagonal :math:`K_{ij} = u_i^T A_i A_{i-1} … A_{j+1} v_j`."""

    diagonal: Float[Array, " n"]
    u: Float[Array, "n m"]
    v: Float[Array, "n m"]
    A: Float[Array, "n m"] | Float[Array, "n m m"]
    """Diagonals where all are diagonal."""


def _terms(kernel: Quasisep) -> list[Damped | Exp] | None:
    """Parts of a sum of damped oscillations and exponentials; none if there are others in it."""
    if isinstance(kernel, Sum):
        first, second = _terms(kernel.kernel1), _terms(kernel.kernel2)
        return None if first is None or second is None else first + second
    return [kernel] if isinstance(kernel, Damped | Exp) else None


def _generators(kernel: Quasisep, time: Float[Array, " n"]) -> Semiseparable:
    terms = _terms(kernel)
    if terms is None:
        matrix = _matrix(kernel, time)
        # tinygp's p has the transition to its point in it; here the state is carried there first.
        u = jax.vmap(kernel.observation_model)(time) @ kernel.stationary_covariance()
        return Semiseparable(matrix.diag.d, u, matrix.lower.q, matrix.lower.a)
    u, v, decay, variance = [], [], [], jnp.zeros(())
    for term in terms:
        scale = jnp.square(term.sigma)
        variance += scale
        if isinstance(term, Exp):
            u.append(jnp.broadcast_to(scale, time.shape))
            v.append(jnp.ones_like(time))
            decay.append(1.0 / term.scale)
        else:
            # cos(d(t − t')) + β sin(d(t − t')) by the addition theorems.
            cos, sin = jnp.cos(term.frequency * time), jnp.sin(term.frequency * time)
            u += [scale * (cos + term.sine * sin), scale * (sin - term.sine * cos)]
            v += [cos, sin]
            decay += [term.decay, term.decay]
    lag = jnp.diff(time, prepend=time[:1])
    A = jnp.exp(-jnp.stack(decay) * lag[:, None])
    return Semiseparable(jnp.broadcast_to(variance, time.shape), jnp.stack(u, 1), jnp.stack(v, 1), A)


def _matrix(kernel: Quasisep, time: Float[Array, " n"]) -> SymmQSM:
    """The kernel's matrix, with transitions as arrays also for sums, where tinygp has blocks that it cannot invert."""
    matrix = kernel.to_symm_qsm(time)
    p, q, a = matrix.lower
    dense = a if isinstance(a, jax.Array) else jax.vmap(lambda block: block @ jnp.eye(block.shape[-1]))(a)
    return SymmQSM(diag=matrix.diag, lower=StrictLowerTriQSM(p=p, q=q, a=dense))


def innovations(
    kernel: Quasisep,
    time: Float[Array, " n"],
    variance: Float[Array, " n"],
    residual: Float[Array, " n"],
    mask: Bool[Array, " n"] | None = None,
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    r"""Each point's deviation from its prediction by those before it, and the variance of that prediction.

    They are independent normals; the sum of their log-densities is the log-likelihood.

    Parameters
    ----------
    kernel : Quasisep
    time : array, shape (n,) [day]
        Ascending.
    variance : array, shape (n,)
        Of the white noise.
    residual : array, shape (n,)
        Data minus mean.
    mask : array of bool, shape (n,), optional
        False at points to leave out, as if they were not there; their innovations are 0 and of variance 1.

    Returns
    -------
    innovation : array, shape (n,)
    variance : array, shape (n,)

    References
    ----------
    Foreman-Mackey et al. 2017, arXiv:1703.09710, equations 34–39 and 44.
    """
    diagonal, u, v, A = _generators(kernel, time)
    diagonal = diagonal + variance
    if mask is not None:
        here = mask[:, None]
        u, v = jnp.where(here, u, 0.0), jnp.where(here, v, 0.0)
        diagonal, residual = jnp.where(mask, diagonal, 1.0), jnp.where(mask, residual, 0.0)

    def carried(A: Array, S: Array, f: Array) -> tuple[Array, Array]:
        if A.ndim == 1:
            return A[:, None] * S * A, A * f
        # Sums of products rather than `@`: XLA fuses them, while it calls a library for a product of tiny matrices.
        left = (A[:, :, None] * S).sum(1)
        return (left[:, None, :] * A).sum(2), (A * f).sum(1)

    def step(state: tuple[Array, Array], point: tuple[Array, ...]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        diagonal, u, v, A, residual = point
        S, f = carried(A, *state)
        Su = (S * u).sum(1)
        D = diagonal - (u * Su).sum()
        innovation = residual - (u * f).sum()
        w = (v - Su) / D
        return (S + D * w[:, None] * w, f + w * innovation), (innovation, D)

    size = u.shape[1]
    start = (jnp.zeros((size, size), u.dtype), jnp.zeros(size, u.dtype))
    return jax.lax.scan(step, start, (diagonal, u, v, A, residual))[1]


def log_likelihood(
    kernel: Quasisep,
    time: Float[Array, " n"],
    variance: Float[Array, " n"],
    residual: Float[Array, " n"],
    mask: Bool[Array, " n"] | None = None,
) -> Float[Array, ""]:
    r"""Log-density of the data, :math:`-\frac12 [r^T K^{-1} r + \log\det 2\pi K]`; parameters as for `innovations`.

    Where rounding makes a variance negative, −∞.
    """
    innovation, D = innovations(kernel, time, variance, residual, mask)
    good = jnp.all(D > 0.0)
    D = jnp.where(D > 0.0, D, 1.0)
    terms = -0.5 * (jnp.square(innovation) / D + jnp.log(2.0 * jnp.pi * D))
    if mask is not None:
        terms = jnp.where(mask, terms, 0.0)
    return jnp.where(good, terms.sum(), -jnp.inf)


def correlated(
    kernel: Quasisep, time: Float[Array, " n"], variance: Float[Array, " n"], normals: Float[Array, " n"]
) -> Float[Array, " n"]:
    """Independent standard normals turned into a draw of process and noise together.

    Parameters
    ----------
    kernel, time, variance
        As for `innovations`.
    normals : array, shape (n,)
    """
    return _with_noise(_matrix(kernel, time), variance).cholesky() @ normals


def predict(
    kernel: Quasisep, time: Float[Array, " n"], variance: Float[Array, " n"], residual: Float[Array, " n"]
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Mean and standard deviation of the process, without the noise, at the data's times.

    Parameters
    ----------
    kernel, time, variance, residual
        As for `innovations`.
    """
    matrix = _matrix(kernel, time)
    factor = _with_noise(matrix, variance).cholesky()
    weights = factor.transpose().solve(factor.solve(residual))
    explained = (factor.inv() @ matrix).gram()
    return matrix @ weights, jnp.sqrt(jnp.maximum((matrix - explained).diag.d, 0.0))


def predict_at(
    kernel: Quasisep,
    time: Float[Array, " n"],
    variance: Float[Array, " n"],
    residual: Float[Array, " n"],
    at: Float[Array, " m"],
) -> Float[Array, " m"]:
    """Mean of the process at other times, ascending; parameters as for `innovations`."""
    factor = _with_noise(_matrix(kernel, time), variance).cholesky()
    return kernel.matmul(at, time, factor.transpose().solve(factor.solve(residual)))


def _with_noise(matrix: SymmQSM, variance: Array) -> SymmQSM:
    return SymmQSM(diag=DiagQSM(d=matrix.diag.d + variance), lower=matrix.lower)
