"""Readers of X-ray spectra and responses in the files of OGIP: PHA, ARF and RMF.

References
----------
Arnaud, George & Tennant (2009), OGIP Memo 92-007 (PHA); George et al. (2007), CAL/GEN/92-002 (ARF and RMF).
"""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

__all__ = ["CountSpectrum", "EffectiveArea", "RedistributionMatrix", "beside", "read_arf", "read_pha", "read_rmf"]


@dataclass(frozen=True, kw_only=True, eq=False)
class CountSpectrum:
    """Counts per detector channel.

    Parameters
    ----------
    name : str
        Of the file.
    channel : (c,) array of int
    counts : (c,) array of int
    exposure : float [s]
    backscal, areascal : (c,) arrays
        Relative size of the region, and relative area, of each channel.
    quality : (c,) array of int
        0 where good.
    grouping : (c,) array of int
        1 at the first channel of a group, −1 at the others, 0 at a channel by itself.
    response_file, area_file, background_file : str or None
        As named in the header.
    """

    name: str
    channel: Int[np.ndarray, " c"]
    counts: Int[np.ndarray, " c"]
    exposure: float
    backscal: Float[np.ndarray, " c"]
    areascal: Float[np.ndarray, " c"]
    quality: Int[np.ndarray, " c"]
    grouping: Int[np.ndarray, " c"]
    response_file: str | None
    area_file: str | None
    background_file: str | None


@dataclass(frozen=True, kw_only=True, eq=False)
class EffectiveArea:
    """Effective area in energy bins: edges [keV] and area [cm²]."""

    edges: Float[np.ndarray, " m"]
    area: Float[np.ndarray, " n"]


@dataclass(frozen=True, kw_only=True, eq=False)
class RedistributionMatrix:
    """Probability of a channel given the energy.

    Parameters
    ----------
    edges : (n + 1,) array [keV]
        Of the energy bins.
    channel : (c,) array of int
    e_min, e_max : (c,) arrays [keV]
        Nominal energies of the channels.
    matrix : sparse array, shape (c, n)
        With the effective area [cm²] in it where the file's matrix has it.
    """

    edges: Float[np.ndarray, " m"]
    channel: Int[np.ndarray, " c"]
    e_min: Float[np.ndarray, " c"]
    e_max: Float[np.ndarray, " c"]
    matrix: sparse.csr_array


def beside(path: Path, name: str) -> Path:
    """The file that a header names, beside another, compressed or not.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    for candidate in (path.parent / name, path.parent / f"{name}.gz", path.parent / name.removesuffix(".gz")):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(
        f"`{path.name}` names the file `{name}`, but there is none in `{path.parent}`. Put it there, or pass its path."
    )


def _table(path: str | PathLike[str], what: str, *wanted: str) -> tuple[dict[str, Any], Any]:
    """Columns by name, and header, of the one table of a kind."""
    from astropy.io import fits  # slow to load

    with fits.open(path) as file:
        units: list[Any] = list(file)[1:]
        found = [u for u in units if u.name in wanted or u.header.get("HDUCLAS1") in wanted]
        if not found:
            names = [u.name for u in units]
            raise ValueError(f"`{path}` needs a table {what}, but has {names}. Is it the file that was meant?")
        if len(found) > 1:
            raise ValueError(f"`{path}` has {len(found)} tables {what}; one is read. Split the file.")
        return {name: np.array(found[0].data[name]) for name in found[0].columns.names}, found[0].header


def _named_file(header: Any, key: str) -> str | None:
    name = str(header.get(key, "none")).strip()
    return None if name.lower() in ("", "none", "null") else name


def read_pha(path: str | PathLike[str]) -> CountSpectrum:
    """A spectrum, or the background of one, from a PHA or PI file of type I.

    Parameters
    ----------
    path : path
        Compressed by gzip or not.

    Raises
    ------
    ValueError
        If there is no spectrum or there are several, no column of counts, a count is negative or no whole number, or
        the exposure, BACKSCAL or AREASCAL is not positive.
    """
    data, header = _table(path, "SPECTRUM", "SPECTRUM")
    if not {"CHANNEL", "COUNTS"} <= set(data) or data["COUNTS"].ndim != 1:
        raise ValueError(
            f"`{path}` needs one spectrum in columns CHANNEL and COUNTS, but its columns are {list(data)}."
        )
    counts = np.asarray(data["COUNTS"], float)
    if not (np.isfinite(counts).all() and (counts >= 0).all() and (counts == np.round(counts)).all()):
        bad = int((~(counts >= 0) | (counts != np.round(counts))).sum())
        raise ValueError(
            f"Counts must be whole numbers and not negative, but {bad} of `{path}` are not. Use the counts before any "
            "subtraction or scaling."
        )

    def per_channel(name: str, default: float = 0.0) -> np.ndarray:
        value = data[name] if name in data else header.get(name, default)
        return np.broadcast_to(np.asarray(value, float), counts.shape).copy()

    exposure, scales = float(header.get("EXPOSURE", 0.0)), {n: per_channel(n, 1.0) for n in ("BACKSCAL", "AREASCAL")}
    for name, value in [("EXPOSURE", np.array(exposure)), *scales.items()]:
        if not (np.isfinite(value) & (value > 0)).all():
            raise ValueError(f"{name} must be positive, but `{path}` has {value.min():g}. Correct its header.")
    return CountSpectrum(
        name=Path(path).name,
        channel=np.asarray(data["CHANNEL"], int),
        counts=counts.astype(int),
        exposure=exposure,
        backscal=scales["BACKSCAL"],
        areascal=scales["AREASCAL"],
        quality=per_channel("QUALITY").astype(int),
        grouping=per_channel("GROUPING").astype(int),
        response_file=_named_file(header, "RESPFILE"),
        area_file=_named_file(header, "ANCRFILE"),
        background_file=_named_file(header, "BACKFILE"),
    )


def _edges(path: str | PathLike[str], data: dict[str, Any]) -> np.ndarray:
    """Edges of bins that touch, in double precision."""
    low, high = np.asarray(data["ENERG_LO"], float), np.asarray(data["ENERG_HI"], float)
    if not (high > low).all() or (np.abs(low[1:] - high[:-1]) > 1e-3 * (high - low)[:-1]).any():
        raise ValueError(
            f"Energy bins must be increasing and touch each other, but those of `{path}` do not. Only such responses are read."
        )
    return np.append(low, high[-1])


def read_arf(path: str | PathLike[str]) -> EffectiveArea:
    """Effective area from an ARF file.

    Raises
    ------
    ValueError
        If there is no such table, its energy bins do not touch, or an area is negative or not finite.
    """
    data, _ = _table(path, "SPECRESP", "SPECRESP")
    area = np.asarray(data["SPECRESP"], float)
    if not (np.isfinite(area) & (area >= 0)).all():
        raise ValueError(f"Effective areas must be finite and not negative, but some of `{path}` are not.")
    return EffectiveArea(edges=_edges(path, data), area=area)


def read_rmf(path: str | PathLike[str]) -> RedistributionMatrix:
    """Redistribution matrix from an RMF file, or a response with the area in it from an RSP file.

    The number of the first channel is TLMIN of the column F_CHAN, and that of the first row of EBOUNDS without it.

    Raises
    ------
    ValueError
        If a table is missing, energy bins do not touch, or a group of channels lies outside EBOUNDS.
    """
    from astropy.io import fits

    with fits.open(path) as file:
        units: list[Any] = list(file)[1:]
        kinds = {u.name: u.header.get("HDUCLAS2") for u in units}
    names = [n for n, kind in kinds.items() if kind == "RSP_MATRIX" or n in ("MATRIX", "SPECRESP MATRIX")]
    data, header = _table(path, "MATRIX", *(names or ["MATRIX"]))
    bounds, _ = _table(path, "EBOUNDS", "EBOUNDS")
    channel = np.asarray(bounds["CHANNEL"]).astype(int)
    place = 1 + list(data).index("F_CHAN")
    first = int(header.get(f"TLMIN{place}", channel[0]))
    rows, elements, starts = [], [], [0]
    for num, f_chan, n_chan, values in zip(*(data[k] for k in ("N_GRP", "F_CHAN", "N_CHAN", "MATRIX")), strict=True):
        groups = zip(np.atleast_1d(f_chan)[:num], np.atleast_1d(n_chan)[:num], strict=True)
        found = np.concatenate([np.arange(f, f + n, dtype=int) for f, n in groups] or [np.zeros(0, int)])
        rows.append(found - first)
        elements.append(np.asarray(values, float)[: len(found)])
        starts.append(starts[-1] + len(found))
    row, element = np.concatenate(rows), np.concatenate(elements)
    if len(row) != len(element) or (len(row) and not (row.min() >= 0 and row.max() < len(channel))):
        raise ValueError(
            f"`{path}` names channels {row.min() + first} to {row.max() + first} in its matrix, but {channel[0]} to "
            f"{channel[-1]} in EBOUNDS. Correct TLMIN{place}, the number of the first channel."
        )
    matrix = sparse.csc_array((element, row, np.array(starts)), shape=(len(channel), len(data["N_GRP"])))
    return RedistributionMatrix(
        edges=_edges(path, data),
        channel=channel,
        e_min=np.asarray(bounds["E_MIN"], float),
        e_max=np.asarray(bounds["E_MAX"], float),
        matrix=matrix.tocsr(),
    )
