"""Continua of normalised spectra: polynomials on each detector, and their fit to pixels without lines.

References
----------
Ness et al. 2015, ApJ 808, 16 (arXiv:1501.07604), section 5 (polynomials through pixels that hardly have lines).
"""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

__all__ = ["ContinuumFit", "continuum_fit", "polynomials"]


def polynomials(wavelength: Float[np.ndarray, " n"], parts: Sequence[slice], order: int) -> Float[np.ndarray, "n k"]:
    """Chebyshev polynomials up to an order on each stretch, 0 elsewhere; `order + 1` columns for each."""
    blocks = np.zeros((len(wavelength), len(parts) * (order + 1)))
    for i, part in enumerate(parts):
        ends = wavelength[part][[0, -1]]
        x = 2.0 * (wavelength[part] - ends[0]) / (ends[1] - ends[0]) - 1.0
        blocks[part, i * (order + 1) : (i + 1) * (order + 1)] = np.polynomial.chebyshev.chebvander(x, order)
    return blocks


class ContinuumFit(eqx.Module):
    """The weighted least-squares fit of polynomials to some pixels, a linear map; see :func:`continuum_fit`.

    Parameters
    ----------
    basis : array, shape (n, k)
    solve : array, shape (k, m)
    """

    basis: Float[Array | np.ndarray, "n k"]
    solve: Float[Array | np.ndarray, "k m"]

    def __call__(self, flux: Float[Array, " m"]) -> Float[Array, " n"]:
        """The continuum, of the flux at the pixels that are fitted."""
        return jnp.asarray(self.basis) @ (jnp.asarray(self.solve) @ flux)


def continuum_fit(
    wavelength: Float[np.ndarray, " n"],
    parts: Sequence[slice],
    pixels: Int[np.ndarray, " m"],
    weight: Float[np.ndarray, " m"],
    order: int = 4,
) -> ContinuumFit:
    """A fit of polynomials on each detector to the pixels of the continuum.

    Parameters
    ----------
    wavelength : array, shape (n,)
    parts : sequence of slice
        Pixels of each detector.
    pixels : array of int, shape (m,)
        Which are of the continuum.
    weight : array, shape (m,)
        Inverse variances there; 0 for a pixel that is not used.
    order : int

    Raises
    ------
    ValueError
        If a detector has no more pixels of continuum than its polynomial has powers.
    """
    used = pixels[weight > 0]
    numbers = [int(((used >= part.start) & (used < part.stop)).sum()) for part in parts]
    if min(numbers) <= order:
        raise ValueError(
            f"A continuum of order {order} needs more than {order} pixels on each detector, but {numbers} came."
        )
    basis = polynomials(wavelength, parts, order)
    chosen = basis[pixels]
    return ContinuumFit(basis, np.linalg.solve(chosen.T @ (weight[:, None] * chosen), chosen.T * weight))
