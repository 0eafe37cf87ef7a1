r"""Covariance functions of stellar variability, as quasiseparable kernels of tinygp.

A likelihood of n points costs O(n). Each of these may be added to another. With :math:`\tau = |t - t'|`,

* rotation: two damped oscillators, at the period of rotation and at half of it;
* quasi-periodic: :math:`B/(2 + C) \, e^{-\tau/L} [\cos(2\pi\tau/P) + 1 + C]`;
* Matérn-3/2: :math:`\sigma^2 (1 + \sqrt3\tau/\rho) \, e^{-\sqrt3\tau/\rho}`.

tinygp's own `SHO` chooses between three regimes by `lax.cond`, of which `jax.vmap` evaluates all. The oscillators here are
underdamped by construction, and have one.

References
----------
Foreman-Mackey et al. 2017, AJ 154, 220 (arXiv:1703.09710), equations 20–23 and 56 (celerite);
Foreman-Mackey 2018, RNAAS 2, 31 (arXiv:1801.10156): gradients.
"""

from abc import abstractmethod

import jax.numpy as jnp
from jaxtyping import Array, ScalarLike

from bayesastro.extras import Extra

with Extra("lightcurves", "Gaussian processes"):
    from tinygp.kernels.quasisep import Exp, Matern32, Quasisep, Sum

__all__ = ["Damped", "DampedCosine", "Oscillator", "matern32", "quasi_periodic", "rotation"]


class Damped(Quasisep):
    r"""Abstract: :math:`k(\tau) = \sigma^2 e^{-c\tau} [\cos(d\tau) + \beta \sin(d\tau)]`.

    Parameters
    ----------
    sigma : scalar
        Standard deviation of the process.
    decay : scalar [1/day]
        c.
    frequency : scalar [rad/day]
        d.
    """

    sigma: ScalarLike
    decay: ScalarLike
    frequency: ScalarLike

    @property
    @abstractmethod
    def sine(self) -> ScalarLike:
        """β."""

    @property
    @abstractmethod
    def _skew(self) -> tuple[Array, Array]:
        """Off-diagonal and diagonal of the part of the transition matrix that goes with sin(dτ)."""

    def design_matrix(self) -> Array:
        """Generator of the transitions of the state."""
        across, along = self._skew
        c, d = jnp.asarray(self.decay), jnp.asarray(self.frequency)
        return jnp.array([[-c + d * along, d * across], [-d * across, -c - d * along]])

    def stationary_covariance(self) -> Array:
        """Of the state, which is normalised."""
        return jnp.eye(2)

    def observation_model(self, X: Array) -> Array:
        """The first component of the state is observed, times sigma."""
        return jnp.array([self.sigma, jnp.zeros_like(self.sigma)])

    def transition_matrix(self, X1: Array, X2: Array) -> Array:
        """From one time to a later one."""
        across, along = self._skew
        lag = X2 - X1
        cos, sin = jnp.cos(self.frequency * lag), jnp.sin(self.frequency * lag)
        matrix = jnp.array([[cos + along * sin, -across * sin], [across * sin, cos - along * sin]])
        return jnp.exp(-jnp.asarray(self.decay) * lag) * matrix


class Oscillator(Damped):
    r"""A harmonic oscillator driven by white noise, underdamped: :math:`\beta = c/d`.

    Of quality :math:`Q > 1/2` and undamped frequency :math:`\omega_0` it has :math:`c = \omega_0/2Q` and
    :math:`d = c \sqrt{4Q^2 - 1}`.
    """

    @property
    def sine(self) -> ScalarLike:
        return self.decay / self.frequency

    @property
    def _skew(self) -> tuple[Array, Array]:
        along = jnp.asarray(self.decay) / self.frequency
        return jnp.sqrt(1.0 + along**2), along


class DampedCosine(Damped):
    """A cosine that decays: β = 0."""

    @property
    def sine(self) -> ScalarLike:
        return jnp.zeros_like(self.decay)

    @property
    def _skew(self) -> tuple[Array, Array]:
        return jnp.ones_like(self.decay), jnp.zeros_like(self.decay)


def rotation(sigma: ScalarLike, period: ScalarLike, Q0: ScalarLike, dQ: ScalarLike, f: ScalarLike) -> Quasisep:
    r"""A spotted star's variability: oscillators at the period of rotation and at half of it.

    .. math::

        Q_1 = 1/2 + Q_0 + \delta Q, \quad Q_2 = 1/2 + Q_0, \quad
        \sigma_1^2 = \sigma^2 / (1 + f), \quad \sigma_2^2 = f \sigma_1^2

    Parameters
    ----------
    sigma : scalar
        Standard deviation of the process.
    period : scalar [day]
    Q0 : scalar
        Quality of the second oscillator, minus 1/2; positive.
    dQ : scalar
        By how much that of the first is higher; positive.
    f : scalar
        Power of the second in units of the first.

    References
    ----------
    Foreman-Mackey et al. 2017, arXiv:1703.09710, equation 23; the mixture is that of celerite2's `RotationTerm`.
    """
    first = sigma / jnp.sqrt(1.0 + f)
    parts = []
    for amplitude, excess, frequency in (
        (first, Q0 + dQ, 2.0 * jnp.pi / period),
        (first * jnp.sqrt(f), Q0, 4.0 * jnp.pi / period),
    ):
        # √(4Q² − 1) with Q = 1/2 + x is 2√(x(1 + x)), which keeps its digits at small x.
        decay = frequency / (2.0 * jnp.sqrt(excess * (1.0 + excess)))
        parts.append(Oscillator(sigma=amplitude, decay=decay, frequency=frequency))
    return parts[0] + parts[1]


def quasi_periodic(B: ScalarLike, C: ScalarLike, L: ScalarLike, P: ScalarLike) -> Quasisep:
    r"""celerite's quasi-periodic form, :math:`B/(2 + C) \, e^{-\tau/L} [\cos(2\pi\tau/P) + 1 + C]`.

    Parameters
    ----------
    B : scalar
        Variance of the process.
    C : scalar
        Weight of the part without a period.
    L : scalar [day]
        Time over which it forgets.
    P : scalar [day]
        Period.

    References
    ----------
    Foreman-Mackey et al. 2017, arXiv:1703.09710, equation 56.
    """
    periodic = B / (2.0 + C)
    cosine = DampedCosine(sigma=jnp.sqrt(periodic), decay=1.0 / jnp.asarray(L), frequency=2.0 * jnp.pi / P)
    return Sum(cosine, Exp(scale=jnp.asarray(L), sigma=jnp.sqrt(periodic * (1.0 + C))))


def matern32(sigma: ScalarLike, rho: ScalarLike) -> Quasisep:
    r"""Matérn's kernel of order 3/2, :math:`\sigma^2 (1 + \sqrt3\tau/\rho) \, e^{-\sqrt3\tau/\rho}`.

    Parameters
    ----------
    sigma : scalar
    rho : scalar [day]

    References
    ----------
    Rasmussen & Williams 2006, *Gaussian Processes for Machine Learning*, equation 4.17.
    """
    return Matern32(scale=jnp.asarray(rho), sigma=jnp.asarray(sigma))
