r"""King's profile, as which X-ray telescopes spread a point source.

.. math:: \mathrm{PSF}(r) \propto \left[1 + (r / r_c)^2\right]^{-\alpha}

References
----------
King 1962, AJ 67, 471; Ghizzardi 2001, XMM-SOC-CAL-TN-0022 (for EPIC's cameras :math:`r_c \approx 5''`, :math:`\alpha \approx 1.5`).
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayesastro.simulators.convolution import check_psf_sides

__all__ = ["king_psf"]

SUBPIXELS = 9
"""Along each side of a pixel, over which the profile is averaged."""


def king_psf(
    size: int, pixel_size: float, core_radius: float | Float[Array, ""], slope: float | Float[Array, ""]
) -> Float[Array, "size size"]:
    """The profile on square pixels about the middle one, averaged over each, of unit sum.

    Parameters
    ----------
    size : int
        Odd.
    pixel_size, core_radius : scalar
        In the same unit.
    slope : scalar [1]
        α.

    Raises
    ------
    ValueError
        If `size` is even.
    """
    check_psf_sides((size, size))
    place = pixel_size * ((np.arange(size * SUBPIXELS) + 0.5) / SUBPIXELS - 0.5 * size)
    squared = place[:, None] ** 2 + place**2
    fine = (1 + squared / jnp.square(core_radius)) ** -slope
    coarse = fine.reshape(size, SUBPIXELS, size, SUBPIXELS).sum((1, 3))
    return coarse / coarse.sum()
