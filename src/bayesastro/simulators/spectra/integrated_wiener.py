r"""Smooth functions from white noise: the integrated Wiener process, whose curvature is white.

.. math:: \frac{d^2 f}{dx^2} = \sigma \, \dot W

References
----------
Wahba (1978), JRSS B 40, 364 (as a prior of smoothing splines).
"""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real

__all__ = ["integrated_wiener"]


def integrated_wiener(
    excitations: Float[ArrayLike, "n 2"],
    step: Real[ArrayLike, ""],
    sigma: Real[ArrayLike, ""],
    start: Real[ArrayLike, ""] = 0.0,
    slope: Real[ArrayLike, ""] = 0.0,
) -> Float[Array, " n+1"]:
    r"""The process on a regular grid, exactly: no discretisation of the equation.

    Over a step h value and slope gain :math:`h v + \sigma h^{3/2} (\xi_1/2 + \xi_2/\sqrt{12})` and
    :math:`\sigma h^{1/2} \xi_1`.

    Parameters
    ----------
    excitations : array, shape (n, 2)
        Independent standard normals.
    step : scalar
        h, positive.
    sigma : scalar
        Standard deviation that the slope gathers over a unit of x.
    start, slope : scalars
        At the first point.

    Returns
    -------
    array, shape (n + 1,)
    """
    xi, h = jnp.asarray(excitations), jnp.asarray(step)
    slopes = slope + sigma * jnp.sqrt(h) * (jnp.cumsum(xi[:, 0]) - xi[:, 0])  # at the beginning of each step
    gains = h * slopes + sigma * h**1.5 * (0.5 * xi[:, 0] + xi[:, 1] / jnp.sqrt(12.0))
    return jnp.asarray(start) + jnp.concatenate([jnp.zeros(1, gains.dtype), jnp.cumsum(gains)])
