"""Readers of transit light curves and radial velocities, from files that the caller has.

Julian dates of 2.46 million days leave a double 40 microseconds. The readers of text take the integer part off while
a date is still a string, and give times relative to a whole day.
"""

from dataclasses import dataclass
from decimal import Decimal
from os import PathLike

import numpy as np
from jaxtyping import Bool, Float, Int

__all__ = ["RadialVelocities", "TransitLightCurve", "read_archive_npz", "read_light_curve_text", "read_velocities_text"]


@dataclass(frozen=True, kw_only=True, eq=False)
class TransitLightCurve:
    """A light curve divided by its median.

    Parameters
    ----------
    time : (n,) array [day]
        Barycentric Julian date minus `reference`.
    flux, sigma : (n,) arrays
        Relative flux and its error.
    reference : float [day]
    """

    time: Float[np.ndarray, " n"]
    flux: Float[np.ndarray, " n"]
    sigma: Float[np.ndarray, " n"]
    reference: float

    def __getitem__(self, chosen: "slice | Bool[np.ndarray, ' n'] | Int[np.ndarray, ' m']") -> "TransitLightCurve":
        """Some of the points."""
        return TransitLightCurve(
            time=self.time[chosen], flux=self.flux[chosen], sigma=self.sigma[chosen], reference=self.reference
        )

    def __len__(self) -> int:
        return self.time.size

    def folded(self, period: float, t0: float) -> Float[np.ndarray, " n"]:
        """Time since the nearest multiple of the period from `t0` [day]."""
        return (self.time - t0 + 0.5 * period) % period - 0.5 * period

    def binned(self, width: float) -> "TransitLightCurve":
        """Means over bins of equal width, weighted by the errors; empty bins are left out.

        A model then has to be averaged over exposures of that width.

        Parameters
        ----------
        width : float [day]
        """
        _, place = np.unique(np.floor((self.time - self.time.min()) / width), return_inverse=True)
        weight = 1.0 / self.sigma**2
        total = np.bincount(place, weight)
        return TransitLightCurve(
            time=np.bincount(place, weight * self.time) / total,
            flux=np.bincount(place, weight * self.flux) / total,
            sigma=1.0 / np.sqrt(total),
            reference=self.reference,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class RadialVelocities:
    """Radial velocities of one star by several instruments.

    Parameters
    ----------
    time : (n,) array [day]
        Barycentric Julian date minus `reference`.
    velocity, sigma : (n,) arrays
        In the unit of the file.
    instrument : (n,) array of int
        Index into `names`.
    names : tuple of str
        In alphabetical order.
    reference : float [day]
    """

    time: Float[np.ndarray, " n"]
    velocity: Float[np.ndarray, " n"]
    sigma: Float[np.ndarray, " n"]
    instrument: Int[np.ndarray, " n"]
    names: tuple[str, ...]
    reference: float


def read_archive_npz(path: str | PathLike[str]) -> TransitLightCurve:
    """A Kepler or TESS light curve whose archive columns were put into an npz file.

    Kept are points of quality 0 with a finite and positive flux. The flux is PDCSAP's.

    Parameters
    ----------
    path : path
        With the arrays ``time``, ``pdcsap_flux``, ``pdcsap_flux_err``, ``quality`` and ``header``, of which an entry
        holds ``BJDREFI=`` and the day that times count from.

    Raises
    ------
    ValueError
        If an array is missing, or no point is good.
    """
    with np.load(path, allow_pickle=False) as columns:
        wanted = ("time", "pdcsap_flux", "pdcsap_flux_err", "quality", "header")
        if missing := [name for name in wanted if name not in columns]:
            raise ValueError(f"`{path}` needs the arrays {wanted}, but has no {missing}.")
        time, flux, sigma, quality, header = (columns[name] for name in wanted)
    good = (quality == 0) & np.isfinite(time) & np.isfinite(flux) & np.isfinite(sigma) & (flux > 0.0)
    reference = [card.split("BJDREFI=")[1] for card in header.tolist() if "BJDREFI=" in card]
    if not good.any() or not reference:
        raise ValueError(f"`{path}` has no good point, or no `BJDREFI=` in its header.")
    flux, sigma = flux[good].astype(float), sigma[good].astype(float)
    level = np.median(flux)
    return TransitLightCurve(
        time=time[good].astype(float), flux=flux / level, sigma=sigma / level, reference=float(reference[0])
    )


def _relative(dates: list[str], reference: int) -> np.ndarray:
    return np.array([float(Decimal(date) - reference) for date in dates])


def _rows(path: str | PathLike[str], num_columns: int, what: str) -> list[list[str]]:
    with open(path, encoding="ascii") as lines:
        rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    if not rows or any(len(row) < num_columns for row in rows):
        raise ValueError(f"`{path}` needs rows of {what}, but has none, or shorter ones.")
    return rows


def read_light_curve_text(path: str | PathLike[str]) -> TransitLightCurve:
    """A light curve from rows of time, relative flux and error; what follows in a row is ignored.

    Parameters
    ----------
    path : path

    Raises
    ------
    ValueError
        If a row has less than three entries.
    """
    dates, flux, sigma, *_ = zip(*(row[:3] for row in _rows(path, 3, "time, flux and error")), strict=True)
    reference = int(Decimal(dates[0]))
    return TransitLightCurve(
        time=_relative(list(dates), reference),
        flux=np.array(flux, dtype=float),
        sigma=np.array(sigma, dtype=float),
        reference=float(reference),
    )


def read_velocities_text(path: str | PathLike[str], *, reference: float | None = None) -> RadialVelocities:
    """Radial velocities from rows of time, velocity, error and instrument, in the order of the file.

    Parameters
    ----------
    path : path
    reference : float, optional [day]
        A whole number of days to take off; by default that of the first row.

    Raises
    ------
    ValueError
        If a row has less than four entries.
    """
    rows = _rows(path, 4, "time, velocity, error and instrument")
    dates, velocity, sigma, names = (list(column) for column in zip(*(row[:4] for row in rows), strict=True))
    day = int(Decimal(dates[0]) if reference is None else reference)
    known = tuple(sorted(set(names)))
    return RadialVelocities(
        time=_relative(dates, day),
        velocity=np.array(velocity, dtype=float),
        sigma=np.array(sigma, dtype=float),
        instrument=np.array([known.index(name) for name in names]),
        names=known,
        reference=float(day),
    )
