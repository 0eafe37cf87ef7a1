"""Convolution of images by FFT."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy import fft

__all__ = ["check_psf_sides", "convolved_image", "fast_lengths"]


def fast_lengths(*sizes: int) -> tuple[int, ...]:
    """For each size the same or a larger one whose Fourier transform is quick."""
    next_fast_len: Any = fft.next_fast_len  # annotated as returning nothing
    return tuple(next_fast_len(size, True) for size in sizes)


def check_psf_sides(shape: tuple[int, ...]) -> None:
    """Refuse a point-spread function without a middle pixel.

    Raises
    ------
    ValueError
        If a side is even.
    """
    if any(side % 2 == 0 for side in shape):
        raise ValueError(f"A point-spread function needs odd sides, so that it has a middle pixel, but {shape} came.")


def convolved_image(
    image: Float[Array | np.ndarray, "ny nx"], psf: Float[Array | np.ndarray, "py px"]
) -> Float[Array, "ny nx"]:
    """An image convolved with a point-spread function, by FFT; beyond the edges there is no light.

    Parameters
    ----------
    image : array, shape (ny, nx)
    psf : array, shape (py, px)
        On the pixels of the image, of odd sides, its centre in the middle.

    Raises
    ------
    ValueError
        If a side of `psf` is even.
    """
    ny, nx = image.shape
    py, px = psf.shape
    check_psf_sides(psf.shape)
    # What wraps around falls on rows and columns that are cut away.
    shape = fast_lengths(max(ny + py // 2, py), max(nx + px // 2, px))
    kernel = jnp.zeros(shape, image.dtype).at[:py, :px].set(psf)
    kernel = jnp.roll(kernel, (-(py // 2), -(px // 2)), (0, 1))
    product = jnp.fft.rfft2(image, shape) * jnp.fft.rfft2(kernel)
    return jnp.fft.irfft2(product, shape)[:ny, :nx]
