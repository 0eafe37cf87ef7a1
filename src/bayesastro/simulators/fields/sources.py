"""Single sources on images."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

__all__ = ["gaussian_source"]


def gaussian_source(
    shape: tuple[int, int],
    x: float | Float[Array, ""],
    y: float | Float[Array, ""],
    fwhm: float | Float[Array, ""],
    *,
    subpixels: int = 1,
) -> Float[Array, "ny nx"]:
    r"""A round Gaussian of unit integral, :math:`\frac{4 \ln 2}{\pi w^2} e^{-4 \ln 2 \, r^2 / w^2}`.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    x, y : scalar [pixel]
        Column and row of the middle, from 0 at the middle of the first pixel.
    fwhm : scalar [pixel]
        w.
    subpixels : int
        Along each side of a pixel, over whose middles the Gaussian is averaged; with 1 it is taken at the middle of the
        pixel, as Sherpa's ``gauss2d`` is, and its sum is not 1 where it is no wider than a pixel.
    """
    rows, columns = (((np.arange(n * subpixels) + 0.5) / subpixels - 0.5) for n in shape)
    sharpness = 4 * jnp.log(2.0) / jnp.square(fwhm)

    def averaged(place: np.ndarray, middle: float | Float[Array, ""]) -> Float[Array, " n"]:
        return jnp.exp(-sharpness * (place - middle) ** 2).reshape(-1, subpixels).mean(1)

    return sharpness / jnp.pi * averaged(rows, y)[:, None] * averaged(columns, x)
