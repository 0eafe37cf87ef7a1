"""Images of counts in X-rays, with exposures and point-spread functions, from FITS files.

Files of Chandra and XMM-Newton are public, and are not part of the package: acknowledge the Chandra Data Archive, and ESA's
XMM-Newton Science Archive.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import fourier_shift

if TYPE_CHECKING:
    from astropy.io import fits
    from astropy.wcs import WCS

__all__ = ["CountsImage", "read_counts_image", "read_exposure", "read_psf"]


@dataclass(frozen=True, kw_only=True, eq=False)
class CountsImage:
    """An image of counts.

    Parameters
    ----------
    counts : array of int, shape (ny, nx)
        Rows along y.
    exposure : float [s]
        Of the header; NaN if it has none.
    pixel_size : float [arcsec]
    wcs : astropy.wcs.WCS
    origin : (float, float) [pixel]
        x and y of the middle of the first pixel in the physical coordinates of the header; NaN if it has none.
    """

    counts: Int[np.ndarray, "ny nx"]
    exposure: float
    pixel_size: float
    wcs: "WCS"
    origin: tuple[float, float] = (np.nan, np.nan)

    def ellipse(self, x: float, y: float, r1: float, r2: float, angle: float) -> Bool[np.ndarray, "ny nx"]:
        """Pixels whose middles are in an ellipse of physical coordinates, as in regions of CIAO and Sherpa.

        Parameters
        ----------
        x, y, r1, r2 : float [pixel]
            Middle and half-axes.
        angle : float [deg]
            From the x axis to the first half-axis, counterclockwise.

        Raises
        ------
        ValueError
            If the image has no physical coordinates.
        """
        if not np.isfinite(self.origin).all():
            raise ValueError("The image has no physical coordinates in its header.")
        rows, columns = np.indices(self.counts.shape)
        right, up = columns + self.origin[0] - x, rows + self.origin[1] - y
        turn = np.radians(angle)
        along, across = right * np.cos(turn) + up * np.sin(turn), up * np.cos(turn) - right * np.sin(turn)
        return (along / r1) ** 2 + (across / r2) ** 2 <= 1

    def offset_from(self, other: "CountsImage") -> tuple[float, float]:
        """How many rows and columns further the same place of the sky is than in another image, at its middle."""
        ny, nx = other.counts.shape
        middle = other.wcs.pixel_to_world((nx - 1) / 2, (ny - 1) / 2)
        x, y = self.wcs.world_to_pixel(middle)
        return float(y) - (ny - 1) / 2, float(x) - (nx - 1) / 2


def read_counts_image(path: str | Path) -> CountsImage:
    """The image in the first extension of a FITS file, with square pixels.

    Raises
    ------
    FileNotFoundError
    ValueError
        If there is no image of whole numbers of at least 0, or its pixels are not square.
    """
    from astropy.wcs import WCS, FITSFixedWarning

    data, header = _image(path)
    if not np.isfinite(data).all() or (data < 0).any() or (data != np.round(data)).any():
        raise ValueError(f"`{path}` must hold counts, whole numbers not below 0.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)  # old spellings of keywords, which it reads all the same
        wcs = WCS(header)
    scales = 3600.0 * np.sqrt(np.sum(wcs.pixel_scale_matrix**2, axis=0))
    if not np.isclose(scales[0], scales[1], rtol=1e-3):
        raise ValueError(f"`{path}` must have square pixels, but they are {scales[0]:.3g} by {scales[1]:.3g} arcsec.")
    return CountsImage(
        counts=data.astype(int),
        exposure=float(str(header.get("EXPOSURE", np.nan))),
        pixel_size=float(scales[0]),
        wcs=wcs,
        origin=(_physical(header, 1), _physical(header, 2)),
    )


def _physical(header: "fits.Header", axis: int) -> float:
    """Of the middle of the first pixel."""
    value, pixel, step = (float(str(header.get(f"{name}{axis}P", np.nan))) for name in ("CRVAL", "CRPIX", "CDELT"))
    return value + (1 - pixel) * step


def read_exposure(path: str | Path) -> Float[np.ndarray, "ny nx"]:
    """An exposure map [as in the file, mostly s]; 0 where it is not finite.

    Raises
    ------
    FileNotFoundError
    ValueError
        If there is no image, or a value is below 0.
    """
    data, _ = _image(path)
    data = np.where(np.isfinite(data), data, 0.0)
    if (data < 0).any():
        raise ValueError(f"`{path}` has exposures below 0.")
    return data


def read_psf(
    path: str | Path, size: int, offset: tuple[float, float] | None = (0.0, 0.0)
) -> Float[np.ndarray, "size size"]:
    """A point-spread function of unit sum whose centroid lies in the middle pixel, or off it.

    Parameters
    ----------
    path : path
    size : int
        Odd; of the file's image so many pixels about its brightest are kept.
    offset : (float, float) [pixel] or None
        Rows and columns by which it lies off the middle, as that of an image that is not aligned with another does; see
        :meth:`CountsImage.offset_from`. With None it is not shifted: the brightest pixel is in the middle.

    Raises
    ------
    FileNotFoundError
    ValueError
        If there is no image of values of at least 0 with a positive sum, or `size` is even.
    """
    data, _ = _image(path)
    if size < 1 or size % 2 == 0:
        raise ValueError(f"`size` must be odd, so that there is a middle pixel, but {size} came.")
    if not np.isfinite(data).all() or (data < 0).any() or not data.sum() > 0:
        raise ValueError(f"`{path}` must hold a point-spread function: finite, not below 0, with a positive sum.")
    half = size // 2
    row, column = np.unravel_index(int(data.argmax()), data.shape)
    cut = np.pad(data, half)[row : row + size, column : column + size]
    if offset is None:
        return cut / cut.sum()
    place = np.arange(size) - half
    off = np.array([(cut.sum(1) @ place) / cut.sum(), (cut.sum(0) @ place) / cut.sum()])
    moved = np.fft.ifft2(fourier_shift(np.fft.fft2(cut), np.asarray(offset) - off)).real
    moved = np.maximum(moved, 0.0)
    return moved / moved.sum()


def _image(path: str | Path) -> "tuple[np.ndarray, fits.Header]":
    from astropy.io import fits

    with fits.open(path) as file:
        first: Any = file[0]
        data, header = first.data, first.header.copy()
        if data is None or np.ndim(data) != 2:
            raise ValueError(f"`{path}` must hold an image in its first extension.")
        return np.asarray(data, float), header
