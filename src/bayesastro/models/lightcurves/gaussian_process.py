"""Gaussian processes in programs: the distribution of a light curve with correlated noise, and priors of kernels.

A site of this distribution is one event, the whole light curve: it generates, conditions, and has one joint
log-density. `numpyro.handlers.mask` would drop all of it, so points to leave out are a parameter of the distribution.
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float
from numpyro.distributions import constraints
from numpyro.distributions.util import validate_sample

from bayesastro.extras import Extra
from bayesastro.simulators.lightcurves.gaussian_process import correlated, log_likelihood
from bayesastro.simulators.lightcurves.kernels import matern32, rotation

with Extra("lightcurves", "Gaussian processes"):
    from tinygp.kernels.quasisep import Quasisep

__all__ = ["GaussianProcess", "Variability", "kernel_prior"]

Variability = Literal["matern", "rotation"]


class _Ascending(constraints.Constraint):
    """Vectors whose entries do not decrease."""

    event_dim = 1

    def __call__(self, x: Any) -> Any:
        return jnp.all(x[..., 1:] >= x[..., :-1], axis=-1)

    def feasible_like(self, prototype: Any) -> Any:
        return jnp.zeros_like(prototype)

    def tree_flatten(self) -> tuple[tuple[()], tuple[tuple[()], dict[str, Any]]]:
        return (), ((), {})


class GaussianProcess(dist.Distribution):
    """A quasiseparable Gaussian process plus independent noise, at n times; log-density and draws cost O(n).

    Parameters
    ----------
    kernel : Quasisep
        Of :mod:`bayesastro.simulators.lightcurves.kernels`, or any of tinygp's.
    time : array, shape (n,) [day]
        Ascending; equal times may follow each other.
    loc : array, shape (n,)
        Mean.
    scale : array, shape (n,)
        Standard deviation of the independent noise.
    mask : array of bool, shape (n,), optional
        False at points to leave out of the density, as if they had not been observed.
    """

    arg_constraints = {  # noqa: RUF012 - as NumPyro has it
        "time": _Ascending(),
        "loc": constraints.real_vector,
        "scale": constraints.independent(constraints.positive, 1),
    }
    support: Any = constraints.real_vector
    reparametrized_params = ["loc"]  # noqa: RUF012
    pytree_data_fields = ("kernel", "time", "loc", "scale", "kept")

    def __init__(
        self,
        kernel: Quasisep,
        time: Float[Array, " n"],
        loc: Float[Array, " n"],
        scale: Float[Array, " n"],
        mask: Bool[Array, " n"] | None = None,
        *,
        validate_args: bool | None = None,
    ) -> None:
        self.kernel, self.time, self.kept = kernel, time, mask
        self.loc, self.scale = jnp.broadcast_arrays(loc, scale)
        super().__init__((), jnp.shape(self.loc), validate_args=validate_args)

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draws of process and noise together, at masked points too."""
        normals = jax.random.normal(key, (*sample_shape, *self.event_shape), self.loc.dtype)
        draw = lambda z: correlated(self.kernel, self.time, jnp.square(self.scale), z)  # noqa: E731
        for _ in sample_shape:
            draw = jax.vmap(draw)
        return self.loc + draw(normals)

    @validate_sample
    def log_prob(self, value: Array) -> Array:
        """Joint log-density of all points."""

        def one(residual: Array) -> Array:
            return log_likelihood(self.kernel, self.time, jnp.square(self.scale), residual, self.kept)

        residual = value - self.loc
        for _ in residual.shape[:-1]:
            one = jax.vmap(one)
        return one(residual)

    @property
    def mean(self) -> Array:
        return self.loc

    @property
    def variance(self) -> Array:
        return jax.vmap(self.kernel.evaluate_diag)(self.time) + jnp.square(self.scale)


def kernel_prior(kind: Variability, sigma: Float[Array, " 2"], timescale: Float[Array, " 2"]) -> Quasisep:
    r"""Kernel with its prior.

    Every scale is log-normal; `sigma` and `timescale` hold a median and the standard deviation of its logarithm.

    * ``"matern"``: sites ``gp_sigma``, ``gp_rho``.
    * ``"rotation"``: sites ``gp_sigma``, ``gp_period``, ``gp_Q0``, ``gp_dQ`` (log-normal about 1 with standard
      deviation 2) and ``gp_f`` (uniform from 0.01 to 1).

    Parameters
    ----------
    kind : {"matern", "rotation"}
    sigma : array, shape (2,)
        Of the process' standard deviation.
    timescale : array, shape (2,) [day]
        Of ρ, or of the period of rotation.

    References
    ----------
    Foreman-Mackey et al. 2021, JOSS 6, 3285 (arXiv:2105.01994): exoplanet, whose tutorials of stellar variability have
    these priors of qualities and mixture.
    """
    amplitude: Any = numpyro.sample("gp_sigma", dist.LogNormal(jnp.log(sigma[0]), sigma[1]))
    if kind == "matern":
        rho = numpyro.sample("gp_rho", dist.LogNormal(jnp.log(timescale[0]), timescale[1]))
        return matern32(amplitude, rho)
    period = numpyro.sample("gp_period", dist.LogNormal(jnp.log(timescale[0]), timescale[1]))
    Q0 = numpyro.sample("gp_Q0", dist.LogNormal(0.0, 2.0))
    dQ = numpyro.sample("gp_dQ", dist.LogNormal(0.0, 2.0))
    f = numpyro.sample("gp_f", dist.Uniform(0.01, 1.0))
    return rotation(amplitude, period, Q0, dQ, f)
