"""What every program of an image of a lens asks of it."""

import numpy as np

__all__ = ["check_image"]


def check_image(
    image: np.ndarray,
    noise: np.ndarray,
    psf: np.ndarray,
    mask: np.ndarray,
    pixel_scale: float,
    noise_name: str = "noise",
) -> None:
    """Raise unless an image can be fitted.

    Parameters
    ----------
    image, noise, mask : arrays, shape (ny, nx)
    psf : array, shape (py, px)
    pixel_scale : float [arcsec]
    noise_name : str
        What the user calls the noise.

    Raises
    ------
    ValueError
        If shapes differ, a used pixel or its noise is not finite, a noise is not positive, the point-spread function has
        an even side, or a sum other than 1, or no pixel is used.
    """
    if image.ndim != 2 or noise.shape != image.shape or mask.shape != image.shape:
        raise ValueError(
            f"`image`, `{noise_name}` and `mask` must be images of one shape, but {image.shape}, {noise.shape} and {mask.shape} came."
        )
    if mask.dtype != bool:
        raise ValueError(f"`mask` must be boolean, True where the image is used, but its dtype is {mask.dtype}.")
    if not mask.any():
        raise ValueError("`mask` leaves no pixel to be used. It must be True where the image is used.")
    for name, array in (("image", image), (noise_name, noise)):
        if bad := int((~np.isfinite(array[mask])).sum()):
            raise ValueError(f"`{name}` is not finite at {bad} used pixels. Set `mask` to False there.")
    if bad := int((noise[mask] <= 0).sum()):
        raise ValueError(
            f"`{noise_name}` must be positive, but is not at {bad} used pixels. Set `mask` to False there."
        )
    if psf.ndim != 2 or psf.shape[0] % 2 == 0 or psf.shape[1] % 2 == 0:
        raise ValueError(
            f"`psf` needs odd sides, so that it has a middle pixel, but its shape is {psf.shape}. Pad or resample it."
        )
    if not np.isfinite(psf).all() or abs(psf.sum() - 1.0) > 1e-3:
        raise ValueError(f"`psf` must have the sum 1, but has {psf.sum():.6g}. Divide it by its sum.")
    if not pixel_scale > 0:
        raise ValueError(f"`pixel_scale` must be a positive number of arcseconds, but {pixel_scale!r} came.")
