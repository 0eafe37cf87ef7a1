r"""Light on its way: extinction by dust with :math:`R_V`, and veiling by a continuum of no lines.

References
----------
Cardelli, Clayton & Mathis 1989, ApJ 345, 245; O'Donnell 1994, ApJ 422, 158 (optical coefficients); Calvet & Gullbring 1998,
ApJ 509, 802 (veiling).
"""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

__all__ = ["ExtinctionCurve", "extinction_curve", "reddened", "veiled"]

_OPTICAL = {
    "CCM89": (
        (1.0, 0.17699, -0.50447, -0.02427, 0.72085, 0.01979, -0.77530, 0.32999),
        (0.0, 1.41338, 2.28305, 1.07233, -5.38434, -0.62251, 5.30260, -2.09002),
    ),
    "O94": (
        (1.0, 0.104, -0.609, 0.701, 1.137, -1.718, -0.827, 1.647, -0.505),
        (0.0, 1.952, 2.908, -3.989, -7.985, 11.102, 5.491, -10.805, 3.347),
    ),
}
"""Coefficients of the powers of 1/λ − 1.82 µm⁻¹, from 1.1 to 3.3 µm⁻¹, in a and b."""

ExtinctionCurve = tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]
"""a and b of :math:`A_\\lambda / A_V = a + b / R_V`."""


def extinction_curve(wavelength: Float[np.ndarray, " n"], law: Literal["CCM89", "O94"] = "O94") -> ExtinctionCurve:
    r"""a and b of :math:`A_\lambda / A_V = a(\lambda) + b(\lambda) / R_V`, from the infrared to the far ultraviolet.

    Parameters
    ----------
    wavelength : array, shape (n,) [Å]
        From 1000 Å to 3.33 µm.
    law : {"CCM89", "O94"}
        Differ in the optical.

    Raises
    ------
    ValueError
        If the law is none of these, or a wavelength is outside of the range.
    """
    if law not in _OPTICAL:
        raise ValueError(f"`law` must be one of {list(_OPTICAL)}, but {law!r} came.")
    x = 1e4 / np.asarray(wavelength, float)
    if not ((x >= 0.3) & (x <= 10.0)).all():
        raise ValueError(
            f"Extinction is known from 1000 to 33333 Å, but wavelengths from {1e4 / x.max():.6g} to {1e4 / x.min():.6g} came. "
            "Are they in ångström?"
        )
    y = x - 1.82
    optical = [np.polynomial.polynomial.polyval(y, coefficients) for coefficients in _OPTICAL[law]]
    bump = [
        1.752 - 0.316 * x - 0.104 / ((x - 4.67) ** 2 + 0.341),
        -3.090 + 1.825 * x + 1.206 / ((x - 4.62) ** 2 + 0.263),
    ]
    rise = np.maximum(x - 5.9, 0.0)
    bump[0] += -0.04473 * rise**2 - 0.009779 * rise**3
    bump[1] += 0.2130 * rise**2 + 0.1207 * rise**3
    far = np.polynomial.polynomial.polyval(
        x - 8.0, np.array([[-1.073, 13.670], [-0.628, 4.257], [0.137, -0.420], [-0.070, 0.374]])
    )
    a, b = (
        np.select([x < 1.1, x < 3.3, x < 8.0], [infrared * x**1.61, middle, near], beyond)
        for infrared, middle, near, beyond in zip((0.574, -0.527), optical, bump, far, strict=True)
    )
    return a, b


def reddened(
    flux: Float[Array, " n"],
    curve: tuple[Float[Array | np.ndarray, " n"], Float[Array | np.ndarray, " n"]],
    A_V: Float[ArrayLike, ""],
    R_V: Float[ArrayLike, ""] = 3.1,
) -> Float[Array, " n"]:
    """Flux behind dust.

    Parameters
    ----------
    flux : array, shape (n,)
    curve : two arrays, shape (n,)
        From :func:`extinction_curve`.
    A_V : scalar [mag]
    R_V : scalar
        Total over selective extinction.
    """
    a, b = curve
    return flux * 10.0 ** (-0.4 * jnp.asarray(A_V) * (jnp.asarray(a) + jnp.asarray(b) / R_V))


def veiled(
    flux: Float[Array, " n"], excess: Float[ArrayLike, ""], level: Float[ArrayLike, "..."]
) -> Float[Array, " n"]:
    """Flux of a star with an excess continuum that has no lines and is flat in wavelength.

    Parameters
    ----------
    flux : array, shape (n,)
    excess : scalar
        In units of `level`.
    level : scalar
        Flux of the star's continuum where the excess is defined.
    """
    return flux + jnp.asarray(excess) * level
