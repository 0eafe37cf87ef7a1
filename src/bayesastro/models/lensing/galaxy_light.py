"""Fixed shapes for the light of a lens galaxy: radial splines with angular structure about a measured ellipse.

Early-type galaxies are not exact Sérsic profiles at the signal-to-noise ratio of HST images, and what such a profile
leaves behind would be taken for lensed light. This basis follows any smooth galaxy. Its radial resolution is too coarse
for it to follow arcs; what it can follow of a ring is not attributed to the source.

References
----------
Bolton et al. (2006), ApJ 638, 703, arXiv:astro-ph/0511453, section 4 (radial B-splines with multipoles).
"""

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float
from scipy.interpolate import BSpline

__all__ = ["galaxy_shapes"]

ORDERS = (0, 1, 2, 4, 6, 8)
"""Angular orders: mean, lopsidedness, ellipticity that changes with radius, boxiness, and two more for discs."""

SPREADS = {0: 1.0, 1: 0.05, 2: 0.3, 4: 0.1, 6: 0.05, 8: 0.03}
"""Prior standard deviation of each order, relative to the mean profile."""

NUM_SPLINES = {0: 12, 1: 6, 2: 6, 4: 6, 6: 6, 8: 6}
"""Radial functions of each order, evenly spaced in the logarithm of the radius."""


def galaxy_shapes(
    image: Float[np.ndarray, "ny nx"],
    mask: Bool[np.ndarray, "ny nx"],
    pixel_scale: float,
    *,
    aperture: float = 1.0,
) -> Float[np.ndarray, "k ny nx"]:
    """Shapes of a smooth galaxy near the middle of an image, scaled to amplitudes of unit prior variance.

    The ellipse comes from the second moments within `aperture` [arcsec]; the mean profile is the median over ellipses.

    Parameters
    ----------
    image : array, shape (ny, nx)
    mask : array of bool, shape (ny, nx)
        True where the image is used.
    pixel_scale : float [arcsec]
    aperture : float [arcsec]
    """
    rows, columns = (pixel_scale * (np.arange(n) - 0.5 * (n - 1)) for n in image.shape)
    x, y = np.meshgrid(columns, rows)
    e1, e2 = _measured_ellipticity(image, mask, x, y, aperture)
    e = e1**2 + e2**2
    quadrupole = e1 * (x**2 - y**2) + 2 * e2 * x * y
    R = np.sqrt(((1 + e) * (x**2 + y**2) - 2 * quadrupole) / (1 - e) + (0.5 * pixel_scale) ** 2)
    log_R = np.log(R)
    profile = _median_profile(image, mask, log_R)
    phi = np.arctan2(y, x)
    shapes = []
    for order in ORDERS:
        angular = [np.ones_like(phi)] if order == 0 else [np.cos(order * phi), np.sin(order * phi)]
        # At the centre no direction is distinguished.
        centre = R**2 / (R**2 + (2 * pixel_scale) ** 2) if order else 1.0
        shapes += [
            SPREADS[order] * profile * centre * part * spline
            for part in angular
            for spline in _splines(log_R, NUM_SPLINES[order])
        ]
    return np.stack(shapes)


def _splines(log_R: np.ndarray, number: int) -> np.ndarray:
    """Cubic B-splines in the logarithm of the radius, shape (number, ny, nx)."""
    knots = np.linspace(log_R.min(), log_R.max(), number - 2)
    step = knots[1] - knots[0]
    knots = np.concatenate([knots[0] - step * np.arange(3, 0, -1), knots, knots[-1] + step * np.arange(1, 4)])
    return BSpline.design_matrix(log_R.ravel(), knots, 3).toarray().T.reshape(-1, *log_R.shape)


def _measured_ellipticity(
    image: np.ndarray, mask: np.ndarray, x: np.ndarray, y: np.ndarray, aperture: float
) -> tuple[float, float]:
    """Ellipticity from second moments in an aperture that is adapted to the ellipse found."""
    light = np.where(mask, np.maximum(image, 0.0), 0.0)
    e1 = e2 = 0.0
    for _ in range(10):
        e = e1**2 + e2**2
        R2 = ((1 + e) * (x**2 + y**2) - 2 * (e1 * (x**2 - y**2) + 2 * e2 * x * y)) / (1 - e)
        weight = light * np.exp(-R2 / aperture**2)
        xx, xy, yy = ((weight * product).sum() for product in (x * x, x * y, y * y))
        size = xx + yy + 2 * np.sqrt(max(xx * yy - xy**2, 0.0))
        found = np.array([xx - yy, 2 * xy]) / size
        # Half a step: weight and moments respond to each other.
        e1, e2 = np.clip(0.5 * (np.array([e1, e2]) + found), -0.6, 0.6)
    return float(e1), float(e2)


def _median_profile(image: np.ndarray, mask: np.ndarray, log_R: np.ndarray) -> np.ndarray:
    """Median brightness on ellipses, decreasing outwards, interpolated to all pixels."""
    edges = np.linspace(log_R.min(), log_R.max() + 1e-9, 25)
    places, values = [], []
    for low, high in pairwise(edges):
        within = mask & (log_R >= low) & (log_R < high)
        if within.sum() >= 4:
            places.append(np.median(log_R[within]))
            values.append(np.median(image[within]))
    floor = 0.02 * max(np.max(values), 0.0)
    positive = np.minimum.accumulate(np.maximum(values, floor * np.exp(-np.array(places) + places[0])))
    return np.exp(np.interp(log_R, places, np.log(positive)))
