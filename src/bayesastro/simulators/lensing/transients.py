"""What is seen of a transient in a lensed galaxy: where its images appear, how bright and when."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, ScalarLike

from bayesastro.simulators.lensing.delays import arrival_time, fermat_potential
from bayesastro.simulators.lensing.images import image_positions
from bayesastro.simulators.lensing.mass import Mass, Position, magnification

__all__ = ["TransientImages", "transient_images"]


class TransientImages(NamedTuple):
    """Images in order of arrival; where `is_image` is False there is none, and all else is NaN."""

    x: Float[Array, " images"]
    """[arcsec]"""
    y: Float[Array, " images"]
    """[arcsec]"""
    magnification: Float[Array, " images"]
    """Signed: negative at saddle points."""
    delay: Float[Array, " images"]
    """After the first image [days]."""
    is_image: Bool[Array, " images"]


def transient_images(
    mass: Mass,
    beta_x: ScalarLike,
    beta_y: ScalarLike,
    D_dt: ScalarLike,
    *,
    half_width: float,
    num_grid: int = 100,
    max_images: int = 5,
) -> TransientImages:
    """Images of a transient at `beta_x`, `beta_y` [arcsec] in the source plane.

    Parameters
    ----------
    mass : Mass
    beta_x, beta_y : scalar [arcsec]
    D_dt : scalar [Mpc]
        Time-delay distance; see `time_delay_distance`.
    half_width, num_grid, max_images
        See `image_positions`, and what it can miss.

    Raises
    ------
    ValueError
        If the window, the grid or the number of images is not positive.
    """
    images = image_positions(mass, beta_x, beta_y, half_width=half_width, num_grid=num_grid, max_images=max_images)
    times = arrival_time(fermat_potential(mass, images.x, images.y, beta_x, beta_y), D_dt)

    def where_seen(values: Position) -> Array:
        return jnp.where(images.is_image, values, jnp.nan)

    return TransientImages(
        where_seen(images.x),
        where_seen(images.y),
        where_seen(magnification(mass, images.x, images.y)),
        where_seen(times - times[0]),
        images.is_image,
    )
