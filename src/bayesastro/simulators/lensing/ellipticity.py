r"""Ellipticities: an axis ratio and an angle as two numbers that are smooth through the circle.

.. math:: e_1 + i e_2 = \frac{1 - q}{1 + q} \, e^{2 i \varphi}

with the axis ratio q and the angle φ of the major axis from +x towards +y. Radii that are constant on ellipses are
written in these numbers directly; no profile computes q or φ, whose derivatives do not exist at q = 1.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, ScalarLike

__all__ = ["axis_ratio", "ellipticity", "position_angle", "quadrupole"]


def ellipticity(q: ScalarLike, phi: ScalarLike) -> tuple[Array, Array]:
    """e₁ and e₂ of the axis ratio `q` (minor over major) and the angle `phi` [rad] of the major axis."""
    e = (1.0 - jnp.asarray(q)) / (1.0 + jnp.asarray(q))
    return e * jnp.cos(2.0 * jnp.asarray(phi)), e * jnp.sin(2.0 * jnp.asarray(phi))


def axis_ratio(e1: ScalarLike, e2: ScalarLike) -> Array:
    """Axis ratio q, minor over major."""
    e = jnp.hypot(jnp.asarray(e1), jnp.asarray(e2))
    return (1.0 - e) / (1.0 + e)


def position_angle(e1: ScalarLike, e2: ScalarLike) -> Array:
    """Angle [rad] of the major axis from +x towards +y, between -π/2 and π/2."""
    return 0.5 * jnp.arctan2(jnp.asarray(e2), jnp.asarray(e1))


def quadrupole(
    x: Float[Array | np.ndarray, "*shape"], y: Float[Array | np.ndarray, "*shape"], e1: ScalarLike, e2: ScalarLike
) -> Float[Array | np.ndarray, "*shape"]:
    r""":math:`e_1 (x^2 - y^2) + 2 e_2 x y`, the part of a squared elliptical radius that depends on direction."""
    return e1 * (x * x - y * y) + 2.0 * e2 * (x * y)
