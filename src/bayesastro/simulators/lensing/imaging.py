"""From light on the sky to pixels: grids, lensing, supersampling and the point-spread function.

A *view* is a function of positions on the sky that returns surface brightness there. Lensing and supersampling take a
view and return one; the point-spread function takes a function that returns an image and returns one too:

>>> from bayesastro.simulators.lensing import SIE, ExternalShear, Companions, Sersic, PixelGrid
>>> from bayesastro.simulators.lensing.imaging import lensed, supersampled, convolved
>>> import numpy as np
>>> lens = Companions((SIE(1.2, 0.1, 0.0), ExternalShear(0.03, 0.0)))
>>> source = Sersic(R=0.2, n=1.0, center_x=0.05)
>>> grid = PixelGrid((50, 50), 0.1)
>>> view = supersampled(lensed(source.brightness, lens), grid.pixel_scale, 2)
>>> psf = np.ones((3, 3)) / 9
>>> convolved(view, psf)(*grid.coordinates()).shape
(50, 50)
"""

from collections.abc import Callable
from typing import TypeAlias

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayesastro.simulators.convolution import convolved_image
from bayesastro.simulators.lensing.mass import Mass, Position, ray_trace

__all__ = ["PixelGrid", "View", "convolved", "lensed", "supersampled"]

View: TypeAlias = Callable[[Position, Position], Position]
"""Surface brightness at positions x, y [arcsec]."""


class PixelGrid(eqx.Module):
    """Square pixels about the origin; rows along y, columns along x.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    pixel_scale : float [arcsec]

    Raises
    ------
    ValueError
        If there is no pixel, or the scale is not positive.
    """

    shape: tuple[int, int] = eqx.field(static=True)
    pixel_scale: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        if min(self.shape) < 1 or not self.pixel_scale > 0:
            raise ValueError(
                f"`PixelGrid` needs pixels of positive size, but shape {self.shape} and scale {self.pixel_scale} came."
            )

    def coordinates(self) -> tuple[Float[np.ndarray, "ny nx"], Float[np.ndarray, "ny nx"]]:
        """x and y [arcsec] of the centres of the pixels."""
        rows, columns = (self.pixel_scale * (np.arange(n) - 0.5 * (n - 1)) for n in self.shape)
        x, y = np.meshgrid(columns, rows)
        return x, y


def lensed(brightness: View, mass: Mass) -> View:
    """The view through a lens: surface brightness is conserved along rays."""

    def view(x: Position, y: Position) -> Position:
        return brightness(*ray_trace(mass, x, y))

    return view


def supersampled(brightness: View, pixel_scale: float, factor: int) -> View:
    """The mean over `factor` × `factor` points within each pixel, in place of the value at its centre.

    Raises
    ------
    ValueError
        If `factor` is not a positive whole number.
    """
    if not isinstance(factor, int | np.integer) or factor < 1:
        raise ValueError(f"`factor` must be a positive whole number, but {factor!r} came.")
    if factor == 1:
        return brightness
    steps = pixel_scale * ((np.arange(factor) + 0.5) / factor - 0.5)

    def view(x: Position, y: Position) -> Position:
        x, y = jnp.asarray(x), jnp.asarray(y)
        dx, dy = (jnp.asarray(np.ravel(d), x.dtype).reshape(-1, *(1,) * x.ndim) for d in np.meshgrid(steps, steps))
        return jnp.mean(brightness(x + dx, y + dy), axis=0)

    return view


def convolved(view: View, psf: Float[Array | np.ndarray, "py px"]) -> View:
    """The view as a telescope sees it; its positions must be the pixels of one grid. See `convolved_image`."""

    def image(x: Position, y: Position) -> Position:
        return convolved_image(view(x, y), jnp.asarray(psf))

    return image
