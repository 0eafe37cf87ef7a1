r"""Power spectrum of matter in linear theory, by the fits of Eisenstein and Hu.

.. math:: P(k) = \sigma_8^2 \, \frac{k^{n_s} T^2(k)}{S}, \qquad
    S = \int \frac{k^3}{2\pi^2} k^{n_s} T^2(k) \, W^2(8 k) \, d\ln k, \quad W(x) = 3 \frac{\sin x - x \cos x}{x^3}

References
----------
Eisenstein & Hu 1998, ApJ 496, 605 (arXiv:astro-ph/9709112).
"""

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

__all__ = ["CMB_TEMPERATURE", "linear_power", "smooth_transfer", "transfer"]

CMB_TEMPERATURE = 2.7255
"""Of the microwave background today [K]; Fixsen 2009, ApJ 707, 916."""

SIGMA8_RADIUS = 8.0
"""Mpc/h."""

_LOG_K = np.linspace(np.log(1e-5), np.log(1e2), 513)
"""Wave numbers [h/Mpc] of the integral of σ₈, whose error with them is 1e-6."""

_X = SIGMA8_RADIUS * np.exp(_LOG_K)
_WINDOW = np.where(_X < 0.02, 1.0 - _X**2 / 10, 3.0 * (np.sin(_X) - _X * np.cos(_X)) / _X**3)


def linear_power(
    k: Float[ArrayLike, " k"],
    sigma8: Float[ArrayLike, ""],
    Omega_m: Float[ArrayLike, ""],
    *,
    h: Float[ArrayLike, ""] = 0.6766,
    Omega_b: Float[ArrayLike, ""] = 0.049,
    n_s: Float[ArrayLike, ""] = 0.9665,
    wiggles: bool = True,
) -> Float[Array, " k"]:
    """Power spectrum of the linear density contrast today.

    Parameters
    ----------
    k : array, shape (k,) [h/Mpc]
        Wave numbers, above 0.
    sigma8 : scalar
        Standard deviation of the contrast in spheres of 8 Mpc/h.
    Omega_m, Omega_b : scalar
        Density of matter and of baryons in units of the critical density, the second below the first.
    h : scalar
        Hubble constant in units of 100 km/s/Mpc.
    n_s : scalar
        Index of the primordial spectrum.
    wiggles : bool
        With baryon acoustic oscillations, or without.

    Returns
    -------
    array, shape (k,) [(Mpc/h)³]

    References
    ----------
    Eisenstein & Hu 1998, arXiv:astro-ph/9709112. Defaults: Planck 2018 VI (arXiv:1807.06209), table 2, last column.
    """
    of_k = transfer if wiggles else smooth_transfer
    wave_numbers = jnp.asarray(k)
    nodes = jnp.asarray(np.exp(_LOG_K), wave_numbers.dtype)
    both = jnp.concatenate([nodes, wave_numbers])
    unscaled = both ** jnp.asarray(n_s) * jnp.square(of_k(both, Omega_m, h=h, Omega_b=Omega_b))
    # Both ends are far below the rest: all weights of the trapezium are the step.
    weights = (_LOG_K[1] - _LOG_K[0]) / (2.0 * np.pi**2) * np.exp(3.0 * _LOG_K) * _WINDOW**2
    variance = jnp.sum(jnp.asarray(weights, nodes.dtype) * unscaled[: nodes.size])
    return jnp.square(jnp.asarray(sigma8)) / variance * unscaled[nodes.size :]


def transfer(
    k: Float[ArrayLike, " k"],
    Omega_m: Float[ArrayLike, ""],
    *,
    h: Float[ArrayLike, ""] = 0.6766,
    Omega_b: Float[ArrayLike, ""] = 0.049,
) -> Float[Array, " k"]:
    """Transfer function of cold matter and baryons, with acoustic oscillations; parameters as for :func:`linear_power`.

    References
    ----------
    Eisenstein & Hu 1998, arXiv:astro-ph/9709112, equations 2 to 24.
    """
    h, matter = jnp.asarray(h), jnp.asarray(Omega_m) * jnp.square(jnp.asarray(h))
    baryons = jnp.asarray(Omega_b) * jnp.square(h)
    share = baryons / matter
    k = jnp.asarray(k) * h  # 1/Mpc from here on
    warmth = CMB_TEMPERATURE / 2.7
    z_equal, k_equal = 2.5e4 * matter / warmth**4, 7.46e-2 * matter / warmth**2
    b1 = 0.313 * matter**-0.419 * (1.0 + 0.607 * matter**0.674)
    b2 = 0.238 * matter**0.223
    z_drag = 1291.0 * matter**0.251 / (1.0 + 0.659 * matter**0.828) * (1.0 + b1 * baryons**b2)
    ratio_drag, ratio_equal = (31.5 * baryons / warmth**4 * (1000.0 / z) for z in (z_drag, z_equal))
    roots = jnp.sqrt(1.0 + ratio_drag) + jnp.sqrt(ratio_drag + ratio_equal)
    sound = 2.0 / (3.0 * k_equal) * jnp.sqrt(6.0 / ratio_equal) * jnp.log(roots / (1.0 + jnp.sqrt(ratio_equal)))
    k_silk = 1.6 * baryons**0.52 * matter**0.73 * (1.0 + (10.4 * matter) ** -0.95)
    q, ks = k / (13.41 * k_equal), k * sound

    a1 = (46.9 * matter) ** 0.670 * (1.0 + (32.1 * matter) ** -0.532)
    a2 = (12.0 * matter) ** 0.424 * (1.0 + (45.0 * matter) ** -0.582)
    alpha_c = a1 ** (-share) * a2 ** (-(share**3))
    b1 = 0.944 / (1.0 + (458.0 * matter) ** -0.708)
    b2 = (0.395 * matter) ** -0.0266
    beta_c = 1.0 / (1.0 + b1 * ((1.0 - share) ** b2 - 1.0))
    mix = 1.0 / (1.0 + (ks / 5.4) ** 4)
    cold = mix * _pressureless(q, 1.0, beta_c) + (1.0 - mix) * _pressureless(q, alpha_c, beta_c)

    y = (1.0 + z_equal) / (1.0 + z_drag)
    root = jnp.sqrt(1.0 + y)
    suppression = y * (-6.0 * root + (2.0 + 3.0 * y) * jnp.log((root + 1.0) / (root - 1.0)))
    alpha_b = 2.07 * k_equal * sound * (1.0 + ratio_drag) ** -0.75 * suppression
    beta_b = 0.5 + share + (3.0 - 2.0 * share) * jnp.sqrt((17.2 * matter) ** 2 + 1.0)
    node = 8.41 * matter**0.435
    effective = ks / jnp.cbrt(1.0 + (node / ks) ** 3)
    silk = jnp.exp(-((k / k_silk) ** 1.4))
    acoustic = _pressureless(q, 1.0, 1.0) / (1.0 + (ks / 5.2) ** 2) + alpha_b / (1.0 + (beta_b / ks) ** 3) * silk
    return share * acoustic * jnp.sinc(effective / jnp.pi) + (1.0 - share) * cold


def smooth_transfer(
    k: Float[ArrayLike, " k"],
    Omega_m: Float[ArrayLike, ""],
    *,
    h: Float[ArrayLike, ""] = 0.6766,
    Omega_b: Float[ArrayLike, ""] = 0.049,
) -> Float[Array, " k"]:
    """Transfer function without acoustic oscillations; parameters as for :func:`linear_power`.

    References
    ----------
    Eisenstein & Hu 1998, arXiv:astro-ph/9709112, equations 26 and 28 to 31.
    """
    h, k = jnp.asarray(h), jnp.asarray(k)
    matter, baryons = (jnp.asarray(density) * jnp.square(h) for density in (Omega_m, Omega_b))
    share = baryons / matter
    sound = 44.5 * jnp.log(9.83 / matter) / jnp.sqrt(1.0 + 10.0 * baryons**0.75)
    alpha = 1.0 - 0.328 * jnp.log(431.0 * matter) * share + 0.38 * jnp.log(22.3 * matter) * jnp.square(share)
    shape = matter / h * (alpha + (1.0 - alpha) / (1.0 + (0.43 * k * h * sound) ** 4))
    q = k * (CMB_TEMPERATURE / 2.7) ** 2 / shape
    log = jnp.log(2.0 * jnp.e + 1.8 * q)
    return log / (log + (14.2 + 731.0 / (1.0 + 62.5 * q)) * jnp.square(q))


def _pressureless(q: Array, alpha: Float[ArrayLike, ""], beta: Float[ArrayLike, ""]) -> Array:
    """Equations 19 and 20."""
    log = jnp.log(jnp.e + 1.8 * jnp.asarray(beta) * q)
    return log / (log + (14.2 / jnp.asarray(alpha) + 386.0 / (1.0 + 69.9 * q**1.08)) * jnp.square(q))
