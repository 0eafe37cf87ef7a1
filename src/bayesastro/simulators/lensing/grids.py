r"""Deflection by a convergence that is given on a grid, as for haloes from simulations or corrections to a profile.

.. math::

    \alpha(\theta) = \frac1\pi \int \kappa(\theta') \frac{\theta - \theta'}{|\theta - \theta'|^2} \, d^2\theta'

The convergence is constant over each square pixel and zero outside the grid. The integral over one pixel is known in
closed form, so that the deflection at the pixel centres is exact for such a convergence; the sum over pixels is a
convolution, done by FFT with padding, hence without periodic images.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayesastro.simulators.convolution import fast_lengths

__all__ = ["deflection_of_grid"]


def _corner(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """An antiderivative of x / (x² + y²) in x and in y: ½ y ln(x² + y²) + x arctan(y/x)."""
    return 0.5 * y * np.log(x**2 + y**2) + x * np.arctan2(y, x)


def _kernel(num_rows: int, num_columns: int) -> np.ndarray:
    """Deflection along x of a pixel of unit side and convergence, at offsets of -(n-1) … n-1 pixels."""
    y, x = np.meshgrid(np.arange(-num_rows + 1.0, num_rows), np.arange(-num_columns + 1.0, num_columns), indexing="ij")
    # arctan2 jumps across x < 0 where y changes sign; the kernel is odd in x, so take |x|.
    size = np.abs(x)
    ends = [
        sign * _corner(size + dx, y + dy)
        for dx, dy, sign in ((0.5, 0.5, 1), (0.5, -0.5, -1), (-0.5, 0.5, -1), (-0.5, -0.5, 1))
    ]
    return np.sign(x) * sum(ends) / np.pi


def deflection_of_grid(
    convergence: Float[Array | np.ndarray, "ny nx"], pixel_scale: float
) -> tuple[Float[Array, "ny nx"], Float[Array, "ny nx"]]:
    """Deflection at the centres of the pixels, by the convergence of all pixels.

    Parameters
    ----------
    convergence : array, shape (ny, nx)
        Rows along y, columns along x.
    pixel_scale : float [arcsec]

    Returns
    -------
    two arrays, shape (ny, nx) [arcsec]
        Along x and along y. Linear in `convergence`.
    """
    ny, nx = convergence.shape
    shape = fast_lengths(3 * ny - 2, 3 * nx - 2)
    along_x, along_y = _kernel(ny, nx), _kernel(nx, ny).T
    transformed = jnp.fft.rfft2(convergence, shape)

    def convolved(kernel: np.ndarray) -> Array:
        product = transformed * jnp.asarray(np.fft.rfft2(kernel, shape), transformed.dtype)
        return pixel_scale * jnp.fft.irfft2(product, shape)[ny - 1 : 2 * ny - 1, nx - 1 : 2 * nx - 1]

    return convolved(along_x), convolved(along_y)
