r"""Point-spread functions that change over the field of view, by interpolation between nodes.

Light at position x is spread by :math:`\sum_k w_k(x) \, \mathrm{PSF}_k`, with :math:`w_k` the weights of bilinear interpolation
between nodes; the image is :math:`\sum_k \mathrm{PSF}_k * (w_k s)`, a convolution of each node's patch. Patches overlap by half,
so that the work is that of four convolutions of the image with its edges, whatever the number of nodes; one row of patches is
in memory at a time. All is linear, and what JAX transposes is the adjoint exactly.

References
----------
Nagy & O'Leary 1998, SIAM J. Sci. Comput. 19, 1063 (interpolated point-spread functions); Eberle et al. 2023, Entropy 25, 652
(arXiv:2302.09068); Westerkamp et al. 2024, A&A 684, A155 (arXiv:2308.09176), section 3 (X-ray imaging with patches).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayesastro.simulators.convolution import check_psf_sides, fast_lengths

__all__ = ["variant_convolved"]


def variant_convolved(
    image: Float[Array | np.ndarray, "ny nx"], psfs: Float[Array | np.ndarray, "gy gx py px"]
) -> Float[Array, "ny nx"]:
    """An image spread by point-spread functions that change over it; beyond the edges there is no light.

    Parameters
    ----------
    image : array, shape (ny, nx)
    psfs : array, shape (gy, gx, py, px)
        On the pixels of the image, of odd sides, their centres in the middle; at nodes in the middles of gy × gx equal
        tiles of the image. Beyond the outermost nodes they are constant.

    Raises
    ------
    ValueError
        If a side of the point-spread functions is even, or there are more nodes than pixels along an axis.
    """
    ny, nx = image.shape
    gy, gx, py, px = psfs.shape
    check_psf_sides(psfs.shape[2:])
    if gy > ny or gx > nx:
        raise ValueError(f"An image of shape {image.shape} has no room for {(gy, gx)} nodes. Give fewer.")
    (first_y, weight_y), (first_x, weight_x) = _patches(ny, gy), _patches(nx, gx)
    long_y, long_x = weight_y.shape[1], weight_x.shape[1]
    image, psfs = jnp.asarray(image), jnp.asarray(psfs)
    size_y, size_x = long_y + py - 1, long_x + px - 1
    shape = fast_lengths(size_y, size_x)
    padded = jnp.pad(image, ((0, long_y), (0, long_x)))
    across = first_x[:, None] + np.arange(long_x)
    spread_across = first_x[:, None] + np.arange(size_x)

    def row(total: Array, now: tuple[Array, Array, Array]) -> tuple[Array, None]:
        first, weight, kernels = now
        strip = jax.lax.dynamic_slice_in_dim(padded, first, long_y) * weight[:, None]
        patches = jnp.moveaxis(strip[:, across] * weight_x.astype(image.dtype), 1, 0)
        product = jnp.fft.rfft2(patches, shape) * jnp.fft.rfft2(kernels, shape)
        spread = jnp.fft.irfft2(product, shape)[:, :size_y, :size_x]
        here = jax.lax.dynamic_slice_in_dim(total, first, size_y)
        here = here.at[:, spread_across].add(jnp.moveaxis(spread, 0, 1))
        return jax.lax.dynamic_update_slice_in_dim(total, here, first, 0), None

    start = jnp.zeros((ny + long_y + py, nx + long_x + px), image.dtype)
    total, _ = jax.lax.scan(row, start, (jnp.asarray(first_y), jnp.asarray(weight_y, image.dtype), psfs))
    return total[py // 2 : py // 2 + ny, px // 2 : px // 2 + nx]


def _patches(size: int, number: int) -> tuple[Int[np.ndarray, " g"], Float[np.ndarray, "g length"]]:
    """Along an axis: where each node's patch begins, and its weights, which sum to one at every pixel."""
    nodes = (np.arange(number) + 0.5) * size / number - 0.5
    weights = np.stack([np.interp(np.arange(size), nodes, row) for row in np.eye(number)])
    used = [np.flatnonzero(row) for row in weights]
    first = np.array([some[0] for some in used])
    length = max(some[-1] - some[0] + 1 for some in used)
    beyond = np.pad(weights, ((0, 0), (0, length)))
    return first, np.stack([row[begin : begin + length] for row, begin in zip(beyond, first, strict=True)])
