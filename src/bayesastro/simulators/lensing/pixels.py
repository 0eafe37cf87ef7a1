"""Light on a grid of pixels: a source interpolated between its pixels."""

from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, ScalarLike

from bayesastro.simulators.lensing.light import Light
from bayesastro.simulators.lensing.mass import Position

__all__ = ["PixelSource"]


class PixelSource(Light):
    """Surface brightness given at the centres of square pixels, and interpolated; zero outside the grid.

    Bilinear interpolation is the linear map from pixels to light that source reconstructions use. The cubic one
    (Keys' convolution with a = -1/2) has continuous derivatives, hence a smooth posterior of the lens, and reproduces
    quadratic functions; within one pixel of the edge it takes pixels beyond it as zero.

    Parameters
    ----------
    values : array, shape (ny, nx)
        Surface brightness; rows along y, columns along x.
    pixel_scale : scalar [arcsec]
    center_x, center_y : scalar [arcsec]
        Where the middle of the grid lies.
    interpolation : {"bilinear", "cubic"}

    Raises
    ------
    ValueError
        If the grid has fewer than two pixels along a side, or the interpolation is unknown.

    References
    ----------
    Keys (1981), IEEE Trans. Acoust. Speech Signal Process. 29, 1153, equation 15.
    """

    values: Float[Array | np.ndarray, "ny nx"]
    pixel_scale: ScalarLike
    center_x: ScalarLike = 0.0
    center_y: ScalarLike = 0.0
    interpolation: Literal["bilinear", "cubic"] = eqx.field(static=True, default="bilinear")

    def __check_init__(self) -> None:
        shape = jnp.shape(self.values)
        if len(shape) != 2 or min(shape) < 2:
            raise ValueError(f"`PixelSource` needs at least two pixels along each side, but the shape {shape} came.")
        if self.interpolation not in ("bilinear", "cubic"):
            raise ValueError(f'`interpolation` must be "bilinear" or "cubic", but {self.interpolation!r} came.')

    def brightness(self, x: Position, y: Position) -> Position:
        ny, nx = self.values.shape
        column = jnp.asarray((x - self.center_x) / self.pixel_scale + 0.5 * (nx - 1))
        row = jnp.asarray((y - self.center_y) / self.pixel_scale + 0.5 * (ny - 1))
        weights = _linear if self.interpolation == "bilinear" else _cubic
        columns, across = weights(column)
        rows, along = weights(row)
        light = jnp.zeros_like(column)
        for i, down in zip(rows, along, strict=True):
            for j, right in zip(columns, across, strict=True):
                light = light + down * right * self._pixel(i, j)
        is_within = (column >= 0) & (column <= nx - 1) & (row >= 0) & (row <= ny - 1)
        return jnp.where(is_within, light, 0.0)

    def _pixel(self, row: Array, column: Array) -> Position:
        ny, nx = self.values.shape
        is_there = (row >= 0) & (row < ny) & (column >= 0) & (column < nx)
        found = jnp.asarray(self.values)[jnp.clip(row, 0, ny - 1), jnp.clip(column, 0, nx - 1)]
        return jnp.where(is_there, found, 0.0)


def _linear(place: Array) -> tuple[list[Array], list[Array]]:
    """The pixels around a place along one axis, and their weights."""
    first = jnp.floor(place)
    part = place - first
    first = first.astype(int)
    return [first, first + 1], [1.0 - part, part]


def _cubic(place: Array) -> tuple[list[Array], list[Array]]:
    first = jnp.floor(place)
    t = place - first
    first = first.astype(int)
    weights = [
        ((-0.5 * t + 1.0) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1.0,
        ((-1.5 * t + 2.0) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    ]
    return [first + k for k in (-1, 0, 1, 2)], weights
