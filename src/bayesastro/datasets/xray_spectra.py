"""X-ray spectra with background and response, grouped and cut to a range of energies, from files of OGIP.

Grouping, quality and the range are applied once, to counts and response alike; what is left are arrays.
"""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from bayesastro.datasets.ogip import (
    CountSpectrum,
    EffectiveArea,
    RedistributionMatrix,
    beside,
    read_arf,
    read_pha,
    read_rmf,
)
from bayesastro.units import in_unit

__all__ = ["CrossSections", "XraySpectrum", "grouped", "read_cross_sections", "read_xray_spectrum"]


@dataclass(frozen=True, kw_only=True, eq=False)
class XraySpectrum:
    """Counts in groups of channels, and what a detector makes of photons.

    Parameters
    ----------
    name : str
    counts : (g,) array of int
    background_counts : (g,) array of int, or None
        In the background region.
    background_scale : (g,) array, or None
        Background expected in the source region per background expected in the background region: the ratio of
        exposures, BACKSCAL and AREASCAL.
    exposure : float [s]
    e_min, e_max : (g,) arrays [keV]
        Nominal energies of the groups.
    edges : (n + 1,) array [keV]
        Of the energy bins from which photons reach a group.
    matrix : (g, n) array [cm²]
        Effective area times the probability of a group.
    """

    name: str
    counts: Int[np.ndarray, " g"]
    background_counts: Int[np.ndarray, " g"] | None
    background_scale: Float[np.ndarray, " g"] | None
    exposure: float
    e_min: Float[np.ndarray, " g"]
    e_max: Float[np.ndarray, " g"]
    edges: Float[np.ndarray, " m"]
    matrix: Float[np.ndarray, "g n"]


@dataclass(frozen=True, kw_only=True, eq=False)
class CrossSections:
    """Photoelectric absorption per hydrogen atom, on a table.

    Parameters
    ----------
    name : str
        Of the law, as ``tbabs``.
    abundances : str
        Name of the set of abundances, as ``wilm``.
    energy : (k,) array [keV]
        Increasing.
    sigma : (k,) array [10⁻²² cm²]
    """

    name: str
    abundances: str
    energy: Float[np.ndarray, " k"]
    sigma: Float[np.ndarray, " k"]

    def binned(self, edges: Float[np.ndarray, " m"]) -> Float[np.ndarray, " n"]:
        """Mean cross-sections [10⁻²² cm²] over energy bins, of the table's linear interpolant.

        Raises
        ------
        ValueError
            If the table does not cover the bins.
        """
        if edges[0] < self.energy[0] * (1 - 1e-3) or edges[-1] > self.energy[-1] * (1 + 1e-3):
            raise ValueError(
                f"The cross-sections {self.name} ({self.abundances}) reach from {self.energy[0]:.4g} to "
                f"{self.energy[-1]:.4g} keV, but the response needs {edges[0]:.4g} to {edges[-1]:.4g} keV. Use another "
                "table, or narrow the range of energies of the spectrum."
            )
        steps = 0.5 * (self.sigma[1:] + self.sigma[:-1]) * np.diff(self.energy)
        integral = np.append(0.0, np.cumsum(steps))
        inside = np.clip(edges, self.energy[0], self.energy[-1])
        place = np.clip(np.searchsorted(self.energy, inside, side="right") - 1, 0, len(self.energy) - 2)
        at = np.interp(inside, self.energy, self.sigma)
        total = integral[place] + 0.5 * (at + self.sigma[place]) * (inside - self.energy[place])
        width = np.diff(inside)
        return np.where(width > 0, np.diff(total) / np.where(width > 0, width, 1.0), at[:-1])


def read_cross_sections(path: str | PathLike[str], *, abundances: str) -> CrossSections:
    """Photoelectric cross-sections from a FITS table with the columns ENERGY [keV] and SIGMA [10⁻²² cm²].

    Parameters
    ----------
    path : path
    abundances : str
        Name of the set of abundances that the table was made with, as ``"wilm"`` or ``"angr"``: it goes into results,
        for photon indices depend on it.

    Raises
    ------
    ValueError
        If a column is missing, energies do not increase, or a cross-section is negative or not finite.
    """
    from astropy.io import fits  # slow to load

    with fits.open(path) as file:
        unit: Any = list(file)[1]
        table, name = unit.data, unit.name.lower()
        if not {"ENERGY", "SIGMA"} <= set(table.names):
            raise ValueError(f"`{path}` needs the columns ENERGY and SIGMA, but has {table.names}.")
        energy, sigma = np.asarray(table["ENERGY"], float), np.asarray(table["SIGMA"], float)
    if not (np.diff(energy) > 0).all() or not (np.isfinite(sigma) & (sigma >= 0)).all():
        raise ValueError(
            f"Energies must increase and cross-sections be positive, but those of `{path}` do not, or are not."
        )
    return CrossSections(name=name, abundances=abundances, energy=energy, sigma=sigma)


def read_xray_spectrum(
    path: str | PathLike[str],
    *,
    low: Any,
    high: Any,
    partial: bool = False,
    response: str | PathLike[str] | None = None,
    area: str | PathLike[str] | None = None,
    background: str | PathLike[str] | None = None,
) -> XraySpectrum:
    """A spectrum with the response, effective area and background that its header names.

    Parameters
    ----------
    path : path
        PHA or PI file. The files that its header names are looked for beside it, compressed or not.
    low, high : float or Quantity [keV]
        Groups within this range are kept; see :func:`grouped`.
    partial : bool
        Keep groups partly within the range, too.
    response, area, background : path, optional
        Instead of the files named in the header.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a file is not as it should be, no response is named, or files do not fit together; see :func:`grouped`.
    """
    path = Path(path)
    low, high = (float(in_unit(end, "keV", name, spectral=True)) for name, end in (("low", low), ("high", high)))
    source = read_pha(path)
    paths = {
        kind: Path(given) if given is not None else beside(path, named) if named else None
        for kind, given, named in (
            ("response", response, source.response_file),
            ("area", area, source.area_file),
            ("background", background, source.background_file),
        )
    }
    if paths["response"] is None:
        raise ValueError(
            f"The header of `{path.name}` names no response (RESPFILE). Pass the path of one as `response`."
        )
    return grouped(
        source,
        read_rmf(paths["response"]),
        None if paths["area"] is None else read_arf(paths["area"]),
        None if paths["background"] is None else read_pha(paths["background"]),
        low=low,
        high=high,
        partial=partial,
    )


def grouped(
    source: CountSpectrum,
    response: RedistributionMatrix,
    area: EffectiveArea | None,
    background: CountSpectrum | None,
    *,
    low: float,
    high: float,
    partial: bool = False,
) -> XraySpectrum:
    """Counts and response in the source's groups of good channels within a range of energies.

    Channels of other quality than 0 are left out, and energy bins from which nothing reaches the groups or that begin at
    0 keV.

    Parameters
    ----------
    source : CountSpectrum
    response : RedistributionMatrix
    area : EffectiveArea, optional
        None where the response has it in it.
    background : CountSpectrum, optional
    low, high : float [keV]
    partial : bool
        Keep groups partly within the range, too.

    Raises
    ------
    ValueError
        If channels or energies of the files differ, or the range has no group or exceeds the response.
    """
    _check(source, response, area, background, low, high)
    sums = _groups(source)
    begins, ends = _range(sums, response)
    kept = (ends > low) & (begins < high) if partial else (begins >= low) & (ends <= high)
    if not kept.any():
        raise ValueError(
            f"No group of `{source.name}` lies within {low:g} to {high:g} keV; they reach from {begins.min():g} to "
            f"{ends.max():g} keV. Widen the range."
        )
    sums = sums[kept]
    weight = response.matrix.multiply(source.areascal[:, None]).tocsr()
    matrix = (sums @ weight).toarray() * (1.0 if area is None else area.area)
    used = np.flatnonzero((matrix.sum(0) > 0) & (response.edges[:-1] > 0))
    if not used.size:
        raise ValueError(f"Photons of no energy reach `{source.name}` within {low:g} to {high:g} keV by this response.")
    first, last = used[0], used[-1] + 1
    scale = None
    if background is not None:
        ratio = source.exposure * source.backscal * source.areascal
        ratio = ratio / (background.exposure * background.backscal * background.areascal)
        scale = (sums @ ratio) / sums.sum(1)
    return XraySpectrum(
        name=source.name,
        counts=(sums @ source.counts).astype(int),
        background_counts=None if background is None else (sums @ background.counts).astype(int),
        background_scale=scale,
        exposure=source.exposure,
        e_min=begins[kept],
        e_max=ends[kept],
        edges=response.edges[first : last + 1],
        matrix=matrix[:, first:last],
    )


def _groups(source: CountSpectrum) -> sparse.csr_array:
    """Which good channels a group sums up, shape (group, channel); groups without any are left out."""
    size = len(source.channel)
    group = np.cumsum(source.grouping != -1)
    good = np.flatnonzero(source.quality == 0)
    if not good.size:
        raise ValueError(f"`{source.name}` has no channel of quality 0.")
    _, row = np.unique(group[good], return_inverse=True)
    return sparse.csr_array((np.ones(good.size), (row, good)), shape=(row.max() + 1, size))


def _range(sums: sparse.csr_array, response: RedistributionMatrix) -> tuple[np.ndarray, np.ndarray]:
    """Nominal energies at which groups begin and end."""
    # Some responses count their channels down in energy.
    bottom, top = np.minimum(response.e_min, response.e_max), np.maximum(response.e_min, response.e_max)
    parts = [sums.indices[a:b] for a, b in zip(sums.indptr[:-1], sums.indptr[1:], strict=True)]
    return np.array([bottom[part].min() for part in parts]), np.array([top[part].max() for part in parts])


def _check(
    source: CountSpectrum,
    response: RedistributionMatrix,
    area: EffectiveArea | None,
    background: CountSpectrum | None,
    low: float,
    high: float,
) -> None:
    for other, channel in (("response", response.channel), ("background", background and background.channel)):
        if channel is not None and not np.array_equal(channel, source.channel):
            raise ValueError(
                f"`{source.name}` has {source.channel.size} channels from {source.channel[0]} to {source.channel[-1]}, but "
                f"its {other} has {channel.size} from {channel[0]} to {channel[-1]}. Use the {other} made for it."
            )
    if area is not None and (
        area.edges.size != response.edges.size or not np.allclose(area.edges, response.edges, rtol=1e-3, atol=1e-6)
    ):
        raise ValueError(
            f"The effective area has {area.area.size} energy bins from {area.edges[0]:g} to {area.edges[-1]:g} keV, but the "
            f"response has {response.edges.size - 1} from {response.edges[0]:g} to {response.edges[-1]:g} keV. Use the area "
            "made for this response."
        )
    ends = min(response.e_min.min(), response.e_max.min()), max(response.e_min.max(), response.e_max.max())
    if not 0 <= low < high or low >= ends[1] or high <= ends[0]:
        raise ValueError(
            f"`low` and `high` must be energies in keV, one below the other, that overlap the channels' {ends[0]:g} to "
            f"{ends[1]:g} keV, but {low!r} and {high!r} came."
        )
