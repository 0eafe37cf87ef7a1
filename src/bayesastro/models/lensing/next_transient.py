"""Where and when the images of a lensed galaxy's next transient will appear, according to a posterior."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesastro.simulators.cosmology import Cosmology
from bayesastro.simulators.lensing import Mass, TransientImages, time_delay_distance, transient_images

__all__ = ["next_transient"]

WINDOW = 3.0
"""Half the side of the square that is searched for images, in units of the largest Einstein radius."""

DRAWS_TOGETHER = 64


def next_transient(
    draws: Mapping[str, Any],
    lens_of: Callable[[Mapping[str, Any]], Mass],
    z_l: float,
    z_s: float,
    cosmology: Cosmology,
    *,
    offset: tuple[Any, Any] = (0.0, 0.0),
    max_images: int = 5,
) -> TransientImages:
    """Images for each draw of a lens' parameters, of a transient in its source; arrays have shape (draw, image).

    What a point source shows depends on where it is, by much more than a posterior of the galaxy's centre is wide:
    give offsets that follow its light for a transient of which no more is known.

    Parameters
    ----------
    draws : mapping of str to array, shape (draw,) or (draw, ...)
        Of the parameters that `lens_of` takes, with ``theta_E``, ``source_x`` and ``source_y``.
    lens_of : callable
        The mass of one draw, such as `euclid.lens_of` or `parametric.lens_of`.
    z_l, z_s : float
        Redshifts of lens and source.
    cosmology : Cosmology
    offset : (scalar or array, scalar or array) [arcsec]
        Of the transient from the centre of the source, along x and y; of shape (draw,) where not the same for all.
    max_images : int

    Raises
    ------
    ValueError
        If the source is not behind the lens, or the draws have no position of a source.
    """
    if not 0 < z_l < z_s:
        raise ValueError(f"`next_transient` needs redshifts 0 < z_l < z_s, but z_l={z_l} and z_s={z_s} came.")
    if missing := [name for name in ("theta_E", "source_x", "source_y") if name not in draws]:
        raise ValueError(f"`draws` must have `{missing[0]}`, but has {list(draws)}.")
    arrays = {name: np.asarray(values, float) for name, values in draws.items()}
    beta = [arrays[f"source_{axis}"] + np.asarray(shift, float) for axis, shift in zip("xy", offset, strict=True)]
    half_width = WINDOW * float(arrays["theta_E"].max())
    with jax.enable_x64(True):
        D_dt = time_delay_distance(z_l, z_s, cosmology)

        def one(values: tuple[Any, Any, Any]) -> TransientImages:
            parameters, beta_x, beta_y = values
            return transient_images(
                lens_of(parameters), beta_x, beta_y, D_dt, half_width=half_width, max_images=max_images
            )

        every = jax.tree.map(jnp.asarray, (arrays, *beta))
        found = jax.jit(lambda values: jax.lax.map(one, values, batch_size=DRAWS_TOGETHER))(every)
        return jax.tree.map(np.asarray, found)
